// Command census takes censuses of a server on this machine, one after the other, and prints for each: seconds, seconds of
// processor time of the server's own processes and of this one, exact, tolerant or none, the snapshots that it took, and
// the rows of all tables.
//
//	census CONNECTION DATA_DIRECTORY SAMPLE_BYTES COUNT_BYTES HOW_MANY
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/storage/catalog"
	"lifeboat/verify/census"
)

// tick is what /proc counts processor time in.
const tick = 10 * time.Millisecond

func main() {
	var budgets [3]int64
	for i := range budgets {
		n, err := strconv.ParseInt(os.Args[3+i], 10, 64)
		if err != nil {
			log.Fatal(err)
		}
		budgets[i] = n
	}
	b := bench{dsn: os.Args[1], data: os.Args[2], sample: budgets[0], count: budgets[1]}
	for range budgets[2] {
		if err := b.take(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}

type bench struct {
	dsn, data     string
	sample, count int64 // bytes of a table
}

func (b bench) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(b.dsn)
	if err != nil {
		return nil, err
	}
	if database != "" {
		config.Database = database
	}
	return pgx.ConnectConfig(ctx, config)
}

func (b bench) take(ctx context.Context) error {
	identity, err := b.identity(ctx)
	if err != nil {
		return err
	}
	server, own, started := b.serverTime(), ownTime(), time.Now()
	taken, err := census.Take(ctx, census.Options{
		Connect: b.connect, Identity: identity, ID: catalog.NewID(time.Now()), WALDirectory: filepath.Join(b.data, "pg_wal"),
		SampleBudget: b.sample, CountBudget: b.count, Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
	})
	if err != nil {
		return err
	}
	took := time.Since(started)
	time.Sleep(200 * time.Millisecond) // until the sessions' processes have ended and are counted
	tell(taken, took, b.serverTime()-server, ownTime()-own)
	return nil
}

func tell(taken *census.Census, took, server, own time.Duration) {
	comparison, attempts, rows := census.Exact, 0, int64(0)
	for _, d := range taken.Databases {
		attempts = max(attempts, d.Attempts)
		if d.Cut == nil {
			comparison = census.Tolerant
		}
		for _, t := range d.Tables {
			rows += t.Rows
		}
	}
	fmt.Printf("%.3f %.2f %.2f %s %d %d\n", took.Seconds(), server.Seconds(), own.Seconds(), comparison, attempts, rows)
}

func (b bench) identity(ctx context.Context) (catalog.Identity, error) {
	var identity catalog.Identity
	conn, err := b.connect(ctx, "")
	if err != nil {
		return identity, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT system_identifier, pg_size_bytes(current_setting('wal_segment_size')) FROM pg_control_system()").
		Scan(&identity.SystemIdentifier, &identity.WALSegmentSize)
	return identity, err
}

// serverTime is the processor time of all processes of the server that have ended: fields 16 and 17 of proc_pid_stat(5).
func (b bench) serverTime() time.Duration {
	pid, err := os.ReadFile(filepath.Join(b.data, "postmaster.pid"))
	if err != nil {
		log.Fatal(err)
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	stat, err := os.ReadFile("/proc/" + first + "/stat")
	if err != nil {
		log.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, field := range fields[13:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			log.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

func ownTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

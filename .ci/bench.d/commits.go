// Command commits commits to a server every few milliseconds, watches the files behind an S3 server, and prints how long
// commits took to be there: the number of commits, then p50, p99 and the longest, in milliseconds.
//
//	commits CONNECTION CLUSTER_DIRECTORY SECONDS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/wal"
)

const (
	pause    = 5 * time.Millisecond // between commits
	look     = 2 * time.Millisecond // between looks at the files
	patience = time.Minute
	size     = wal.DefaultSegmentSize
)

// moment is a position, and when it was reached.
type moment struct {
	lsn wal.LSN
	at  time.Time
}

func main() {
	seconds, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	if err := measure(context.Background(), os.Args[1], os.Args[2], time.Duration(seconds)*time.Second); err != nil {
		log.Fatal(err)
	}
}

func measure(ctx context.Context, dsn, directory string, length time.Duration) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SET synchronous_commit = on; CREATE TABLE IF NOT EXISTS mark (n int)"); err != nil {
		return err
	}
	first, err := commit(ctx, conn)
	if err != nil {
		return err
	}
	s := &store{directory: directory, number: wal.SegmentOf(first.lsn, size)}
	if err := s.await(first.lsn); err != nil {
		return err
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(stop) })
	var commits []moment
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(pause) {
		c, err := commit(ctx, conn)
		if err != nil {
			return err
		}
		commits = append(commits, c)
	}
	err = s.await(commits[len(commits)-1].lsn)
	close(stop)
	watching.Wait()
	if err != nil {
		return err
	}
	show(s.delays(commits))
	return nil
}

// commit returns a position behind the commit, and when the commit was acknowledged.
func commit(ctx context.Context, conn *pgx.Conn) (moment, error) {
	if _, err := conn.Exec(ctx, "INSERT INTO mark VALUES (1)"); err != nil {
		return moment{}, err
	}
	m := moment{at: time.Now()}
	var text string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&text); err != nil {
		return m, err
	}
	lsn, err := wal.ParseLSN(text)
	m.lsn = lsn
	return m, err
}

// store is the repository as the files behind its server show it.
type store struct {
	directory string

	mu     sync.Mutex
	number wal.SegmentNumber // of the first segment that is not there whole
	moves  []moment
}

func (s *store) watch(stop <-chan struct{}) {
	for {
		s.end()
		select {
		case <-stop:
			return
		case <-time.After(look):
		}
	}
}

func (s *store) await(lsn wal.LSN) error {
	for begun := time.Now(); s.end() < lsn; time.Sleep(look) {
		if time.Since(begun) > patience {
			return fmt.Errorf("%s does not reach %s", s.directory, lsn)
		}
	}
	return nil
}

// end is up to where the repository has all WAL, and notes when it moved.
func (s *store) end() wal.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.whole() {
		s.number++
	}
	end := wal.Start(s.number, size) + wal.LSN(s.tail())
	if len(s.moves) == 0 || end > s.moves[len(s.moves)-1].lsn {
		s.moves = append(s.moves, moment{lsn: end, at: time.Now()})
	}
	return end
}

func (s *store) path(kind string) string {
	name := wal.SegmentFile(1, s.number, size)
	return filepath.Join(s.directory, kind, name.Timeline.Hex(), fmt.Sprintf("%08X", name.Log), name.String())
}

func (s *store) whole() bool {
	_, err := os.Stat(s.path("wal"))
	return err == nil
}

// tail is how much of the segment its pieces have; each begins where the one before ends.
func (s *store) tail() uint32 {
	entries, err := os.ReadDir(s.path("tails"))
	if err != nil {
		return 0
	}
	var last uint32
	for _, entry := range entries {
		var from, to uint32
		if _, err := fmt.Sscanf(entry.Name(), "%08X-%08X", &from, &to); err == nil {
			last = max(last, to)
		}
	}
	return last
}

// delays are the times from commits to their being in the repository, sorted.
func (s *store) delays(commits []moment) []time.Duration {
	var delays []time.Duration
	for _, c := range commits {
		i, _ := slices.BinarySearchFunc(s.moves, c.lsn, func(m moment, lsn wal.LSN) int { return int(int64(m.lsn) - int64(lsn)) })
		delays = append(delays, s.moves[i].at.Sub(c.at))
	}
	slices.Sort(delays)
	return delays
}

func show(delays []time.Duration) {
	last := len(delays) - 1
	fmt.Println(len(delays), delays[last/2].Milliseconds(), delays[last*99/100].Milliseconds(), delays[last].Milliseconds())
}

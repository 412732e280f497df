package census

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/storage/catalog"
)

// Connect opens a session in the named database of an instance. The empty name is the database that the operator
// configured. It is called from several goroutines at once.
type Connect func(ctx context.Context, database string) (*pgx.Conn, error)

// Limits protect the instance that is counted. The zero value has the defaults.
type Limits struct {
	Workers          int           // sessions that count at the same time; default 2
	LockTimeout      time.Duration // how long a table's lock is waited for; default 2 s
	StatementTimeout time.Duration // how long one query may take; default 10 min
}

// Options of Take.
type Options struct {
	Connect  Connect
	Identity catalog.Identity // of the cluster that must answer
	ID       string           // of the census, up to 40 bytes: it is part of the restore point's name

	// WALDirectory is the server's pg_wal, readable here. Where it is empty no cut can be found, and the census can be
	// compared tolerantly only.
	WALDirectory string

	Limits       Limits
	Attempts     int   // snapshots to take of a database until one has a cut; default 50
	SampleBudget int64 // bytes of one table that are fingerprinted; of a larger one a sample is; default 256 MiB
	CountBudget  int64 // bytes of one table whose rows are counted; of a larger one those in the sample are; default 16 GiB

	Logger *slog.Logger
	Clock  func() time.Time
}

// The keys of log attributes.
const (
	keyDatabase = "database"
	keyTable    = "table"
	keyAttempt  = "attempt"
	keyLSN      = "lsn"
	keyWhy      = "why"
)

const maxIDLength = 40

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
	o.Attempts = positive(o.Attempts, 50)
	o.SampleBudget = positive(o.SampleBudget, 256<<20)
	o.CountBudget = positive(o.CountBudget, 16<<30)
	return o
}

func (l Limits) withDefaults() Limits {
	l.Workers = positive(l.Workers, 2)
	l.LockTimeout = positive(l.LockTimeout, 2*time.Second)
	l.StatementTimeout = positive(l.StatementTimeout, 10*time.Minute)
	return l
}

// positive is the value, or the default for one that is not above zero.
func positive[T int | int64 | time.Duration](value, byDefault T) T {
	if value > 0 {
		return value
	}
	return byDefault
}

func (o Options) check() error {
	if o.ID == "" || len(o.ID) > maxIDLength {
		return errors.New("the id must have 1 to 40 bytes")
	}
	return nil
}

package census

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/pgtest"
)

const beforehand = `
CREATE TABLE untouched AS SELECT i AS id, i AS v FROM generate_series(1, 100) i;
CREATE TABLE written AS TABLE untouched; CREATE TABLE truncated AS TABLE untouched; CREATE TABLE dropped AS TABLE untouched;
CREATE TABLE renamed AS TABLE untouched; CREATE TABLE widened AS TABLE untouched; CREATE TABLE narrowed AS TABLE untouched;
CREATE TABLE retyped AS TABLE untouched; CREATE TABLE swapped AS TABLE untouched; CREATE TABLE swapped_new AS SELECT 1 AS id, 2 AS v;
CREATE TABLE replaced AS TABLE untouched; CREATE TABLE locked AS TABLE untouched; CREATE TABLE vacuumed AS TABLE untouched`

const meanwhile = `
INSERT INTO written VALUES (0, 0); DELETE FROM written WHERE id > 50; TRUNCATE truncated; DROP TABLE dropped;
ALTER TABLE renamed RENAME TO called_otherwise; ALTER TABLE widened ADD COLUMN more int DEFAULT 5;
ALTER TABLE narrowed DROP COLUMN v; ALTER TABLE retyped ALTER COLUMN v TYPE text USING v || 'x';
ALTER TABLE swapped RENAME TO swapped_old; ALTER TABLE swapped_new RENAME TO swapped;
ALTER TABLE replaced DROP COLUMN v; ALTER TABLE replaced ADD COLUMN v int DEFAULT 7;
CREATE TABLE born_later (id int)`

// before runs something once, right before the given connection to the database is made: the first one of a census
// asks for facts, the second one takes the snapshot, the third one counts.
func before(connect Connect, database string, number int64, do func()) Connect {
	var made atomic.Int64
	return func(ctx context.Context, name string) (*pgx.Conn, error) {
		if (name == database || name == "") && made.Add(1) == number {
			do()
		}
		return connect(ctx, name)
	}
}

// TestWhatChangesMeanwhileIsNotTakenForTheSnapshots changes tables between the snapshot and the count. Rows obey the
// snapshot; what does not obey it must never pass as exact.
func TestWhatChangesMeanwhileIsNotTakenForTheSnapshots(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := deadline(t)
		p := startPrimary(t, install, pgtest.Options{})
		p.Exec(ctx, beforehand)
		locker := p.Conn(ctx)
		o := p.options(ctx, "meanwhile")
		o.Limits.LockTimeout = 100 * time.Millisecond
		o.Limits.Workers = 1
		o.Connect = before(o.Connect, "postgres", 3, func() {
			p.Exec(ctx, meanwhile)
			p.Exec(ctx, "VACUUM FULL vacuumed")
			if _, err := locker.Exec(ctx, "BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE"); err != nil {
				t.Error(err)
			}
		})
		c, err := Take(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		d := c.database(t, "postgres")
		for name, why := range map[string]string{
			"truncated": "truncated", "dropped": "dropped", "renamed": "renamed", "widened": "altered", "narrowed": "altered",
			"retyped": "", "swapped": "renamed", "swapped_new": "renamed", "replaced": "", "locked": "locked", "vacuumed": "rewritten",
		} {
			if got := d.table(t, name); got.Comparable != None || !strings.Contains(got.Why, why) {
				t.Errorf("%s: %+v", name, got)
			}
		}
		for _, name := range []string{"untouched", "written"} {
			got := d.table(t, name)
			if got.Comparable != Exact || got.Rows != 100 || got.Fingerprint != d.table(t, "untouched").Fingerprint {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if len(d.Tables) != 13 {
			t.Errorf("%d tables, 13 were there", len(d.Tables))
		}
	})
}

// large is a table of 4 GB of text in 30 MB: to read it takes many seconds anywhere.
const large = `CREATE TABLE seed AS SELECT repeat('x', 20000000) AS v; CREATE TABLE large AS SELECT i AS id, v FROM seed, generate_series(1, 200) i; DROP TABLE seed`

// TestAQueryThatTakesTooLongIsNoCount lets the statement timeout strike, which no other query comes near.
func TestAQueryThatTakesTooLongIsNoCount(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	p := startPrimary(t, pgtest.Newest(t), pgtest.Options{})
	p.Exec(ctx, large+"; CREATE TABLE small (id int)")
	o := p.options(ctx, "slow")
	o.Limits.StatementTimeout = 3 * time.Second
	c, err := Take(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	d := c.database(t, "postgres")
	if got := d.table(t, "large"); got.Comparable == Exact && got.Fingerprint != "" || got.Why == "" {
		t.Errorf("the large table: %+v", got)
	}
	if got := d.table(t, "small"); got.Comparable != Exact || got.Why != "" {
		t.Errorf("the small one: %+v", got)
	}
}

func TestCancelledCensusIsNone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(deadline(t))
	p := startPrimary(t, pgtest.Newest(t), pgtest.Options{})
	p.Exec(ctx, "CREATE TABLE few AS SELECT 1")
	o := p.options(ctx, "cancelled")
	o.Connect = before(o.Connect, "postgres", 3, cancel)
	if c, err := Take(ctx, o); err == nil {
		t.Errorf("a census: %+v", c)
	}
}

func TestServerThatStopsMeanwhileIsNoCensus(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	p := startPrimary(t, pgtest.Newest(t), pgtest.Options{})
	p.Exec(ctx, "CREATE TABLE few AS SELECT 1")
	o := p.options(ctx, "stopped")
	o.Connect = before(o.Connect, "postgres", 3, p.Stop)
	if c, err := Take(ctx, o); err == nil {
		t.Errorf("a census: %+v", c)
	}
}

package census

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// request says what to find out about a table.
type request struct {
	fingerprint bool
	sample      *Sample // nil: the fingerprint covers all rows
}

// measured is what was found out.
type measured struct {
	bytes       int64
	request     request
	rows        int64
	fingerprint string
	problem     string // why there is no row count
	remark      string // why there is no fingerprint
}

// counter counts in one session, which is in a transaction.
type counter struct {
	conn   *pgx.Conn
	choose func(oid uint32, bytes int64) request
}

// measure counts one relation. What is wrong with the relation stands in the result; the error is for what ends the
// session. Only the relation's own lock is held, ACCESS SHARE, and it is given back.
func (c *counter) measure(ctx context.Context, r relation) (measured, error) {
	if why := r.obstacle(); why != "" {
		return measured{problem: why}, nil
	}
	var m measured
	err := c.atSavepoint(ctx, func() (err error) {
		m, err = c.measureLocked(ctx, r, true)
		return err
	})
	if err != nil && m.request.fingerprint && onlyContents(err) {
		remark := "no fingerprint: " + describe(err)
		err = c.atSavepoint(ctx, func() (err error) {
			m, err = c.measureLocked(ctx, r, false)
			return err
		})
		m.remark = remark
	}
	if err == nil {
		return m, nil
	}
	if why := describe(err); why != "" {
		return measured{problem: why}, nil
	}
	return measured{}, fmt.Errorf("count %s: %w", r.quoted(), err)
}

// atSavepoint runs queries that may fail without ending the transaction, and gives their locks back.
func (c *counter) atSavepoint(ctx context.Context, queries func() error) error {
	if _, err := c.conn.Exec(ctx, "SAVEPOINT relation"); err != nil {
		return err
	}
	err := queries()
	if ctx.Err() != nil || c.conn.IsClosed() {
		return err
	}
	if _, rollbackErr := c.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT relation; RELEASE SAVEPOINT relation"); rollbackErr != nil {
		return rollbackErr
	}
	return err
}

func (c *counter) measureLocked(ctx context.Context, r relation, mayFingerprint bool) (measured, error) {
	var m measured
	var size *int64
	if err := c.conn.QueryRow(ctx, "SELECT pg_table_size($1::oid::regclass)", r.oid).Scan(&size); err != nil {
		return m, err
	}
	if size == nil {
		return m, errGone
	}
	m.bytes, m.request = *size, c.choose(r.oid, *size)
	wanted := m.request
	if !mayFingerprint {
		wanted.fingerprint = false
	}
	if err := c.query(ctx, r, wanted, &m); err != nil {
		return m, err
	}
	return m, c.checkStorage(ctx, r)
}

// query fills in rows and fingerprint.
func (c *counter) query(ctx context.Context, r relation, wanted request, m *measured) error {
	sampled := wanted.sample != nil
	if wanted.fingerprint {
		rows, fingerprint, err := c.fingerprint(ctx, r, wanted.sample)
		if err != nil {
			return err
		}
		m.rows, m.fingerprint = rows, fingerprint
		if !sampled || wanted.sample.Rows {
			return nil
		}
	}
	from := "FROM ONLY " + r.quoted() + " AS x"
	if sampled && wanted.sample.Rows {
		from += wanted.sample.clause()
	}
	return c.conn.QueryRow(ctx, "SELECT count(*) "+from, pgx.QueryExecModeExec).Scan(&m.rows)
}

// The two seeds of hashtextextended whose sums make a fingerprint.
const (
	firstSeed  = 0
	secondSeed = 0x6C696665626F6174
)

// fingerprint adds up two 64-bit hashes of each row's text form: the order of rows does not matter, and the chance
// that other rows have the same sums is about 1 in 2^128. OFFSET 0 keeps the planner from forming the text twice.
func (c *counter) fingerprint(ctx context.Context, r relation, sample *Sample) (rows int64, fingerprint string, err error) {
	sql := fmt.Sprintf(`SELECT count(*), coalesce(sum(hashtextextended(r, %d)), 0)::text, coalesce(sum(hashtextextended(r, %d)), 0)::text
FROM (SELECT ROW(%s)::text COLLATE "C" AS r FROM ONLY %s AS x%s OFFSET 0) AS y`,
		firstSeed, secondSeed, r.columnList("x"), r.quoted(), sample.clause())
	var first, second string
	if err := c.conn.QueryRow(ctx, sql, pgx.QueryExecModeExec).Scan(&rows, &first, &second); err != nil {
		return 0, "", err
	}
	fingerprint, err = joinSums(first, second)
	return rows, fingerprint, err
}

// columnList names the columns that the snapshot's catalog has. A table that lost one meanwhile gives an error; one
// that was given one more gives the same rows as before.
func (r relation) columnList(alias string) string {
	list := make([]string, len(r.columns))
	for i, column := range r.columns {
		list[i] = alias + "." + pgx.Identifier{column}.Sanitize()
	}
	return strings.Join(list, ", ")
}

// clause is the sample in SQL; nothing for all rows.
func (s *Sample) clause() string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf(" TABLESAMPLE SYSTEM (%s) REPEATABLE (%d)", strconv.FormatFloat(s.Percent, 'f', -1, 64), s.Seed)
}

// checkStorage makes sure, while the lock of the count is still held, that the name stands for the relation that the
// snapshot sees and that its rows lie where they lay then: TRUNCATE, rewrites and renames do not obey snapshots.
func (c *counter) checkStorage(ctx context.Context, r relation) error {
	var same bool
	err := c.conn.QueryRow(ctx,
		"SELECT coalesce(to_regclass($1)::oid = $2::oid AND pg_relation_filenode($2::oid::regclass) = $3::oid, false)",
		r.quoted(), r.oid, r.filenode).Scan(&same)
	if err != nil {
		return err
	}
	if !same {
		return errMoved
	}
	return nil
}

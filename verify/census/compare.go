package census

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// CompareOptions say how a restored instance is compared.
type CompareOptions struct {
	Connect   Connect // to the restored instance
	Limits    Limits
	Tolerance float64 // the share by which row counts may differ in a tolerant comparison: 0.01 is 1 %
}

// Result is the verdict on one thing.
type Result string

// The results, from best to worst.
const (
	Pass     Result = "pass"
	Warn     Result = "warn"
	Unproven Result = "unproven" // it could not be checked
	Fail     Result = "fail"
)

// Worse is the worse one of two results.
func (r Result) Worse(other Result) Result {
	if other.rank() > r.rank() {
		return other
	}
	return r
}

func (r Result) rank() int {
	switch r {
	case Pass:
		return 1
	case Warn:
		return 2
	case Unproven:
		return 3
	case Fail:
		return 4
	}
	return 0
}

// Match says how two fingerprints compare.
type Match string

// The kinds of Match.
const (
	Matches  Match = "match"
	Differs  Match = "differ"
	NotTaken Match = "not taken"
)

// TableResult is the comparison of one table.
type TableResult struct {
	OID         uint32  `json:"oid"`
	Schema      string  `json:"schema"`
	Name        string  `json:"name"`
	Expected    int64   `json:"expected"` // rows in the census
	Actual      int64   `json:"actual"`   // rows in the restored instance
	Sample      *Sample `json:"sample,omitempty"`
	Fingerprint Match   `json:"fingerprint"`
	Result      Result  `json:"result"`
	Why         string  `json:"why,omitempty"`
}

// DatabaseResult is the comparison of one database.
type DatabaseResult struct {
	Name       string        `json:"name"`
	Comparison Comparison    `json:"comparison"`
	Why        string        `json:"why,omitempty"` // why it is not exact, or what else there is to say
	Result     Result        `json:"result"`        // the worst of all tables
	Tables     []TableResult `json:"tables"`        // of the census, by schema and name
	Extra      []string      `json:"extra"`         // tables, quoted, that the census does not know
	Skipped    []Skipped     `json:"skipped"`       // as in the census
}

// Compare counts a database of a restored instance as the census counted it, and compares. The instance should stand
// still at one of the census's stops: recovery paused there, hot standby on. Whether it does is proved: where a
// transaction that the census did not see has committed, or recovery went past the cut, the comparison is tolerant.
// Where recovery ended short of the cut it stays exact, and missing rows are a failure.
//
// The error is for what ends the comparison, such as a lost connection; it proves nothing about the tables.
func Compare(ctx context.Context, database Database, options CompareOptions) (DatabaseResult, error) {
	options.Limits = options.Limits.withDefaults()
	r, err := compare(ctx, database, options)
	if err != nil {
		return DatabaseResult{}, fmt.Errorf("compare database %q: %w", database.Name, err)
	}
	return r, nil
}

func compare(ctx context.Context, d Database, o CompareOptions) (DatabaseResult, error) {
	r := DatabaseResult{Name: d.Name, Skipped: d.Skipped}
	if d.Snapshot.IsZero() {
		r.Comparison, r.Why, r.Result = None, "not counted in the census: "+d.Why, Unproven
		return r, nil
	}
	h := &holder{listed: listed{name: d.Name}}
	var err error
	h.conn, err = openSession(ctx, o.Connect, d.Name, o.Limits)
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code == noSuchDatabase {
		r.Comparison, r.Why, r.Result = Exact, "the database is missing", Fail
		return r, nil
	}
	if err != nil {
		return r, err
	}
	defer h.close()
	if err := h.take(ctx); err != nil {
		return r, err
	}
	if r.Comparison, r.Why, err = prove(ctx, h.conn, d); err != nil {
		return r, err
	}
	return r, r.compareTables(ctx, d, o, h)
}

// compareTables finds each table of the census by its OID, which a physical copy keeps, and counts it.
func (r *DatabaseResult) compareTables(ctx context.Context, d Database, o CompareOptions, h *holder) error {
	relations, err := queryRelations(ctx, h.conn)
	if err != nil {
		return err
	}
	byOID := make(map[uint32]Table, len(d.Tables))
	for _, t := range d.Tables {
		byOID[t.OID] = t
	}
	restored, _ := splitRelations(relations)
	wanted := r.separateExtra(restored, byOID, d.Skipped)
	results, err := countShared(ctx, o.Connect, o.Limits, h, wanted, func(oid uint32, _ int64) request {
		t := byOID[oid]
		return request{fingerprint: t.Fingerprint != "", sample: t.Sample}
	})
	if err != nil {
		return err
	}
	found := make(map[uint32]measured, len(wanted))
	for i, relation := range wanted {
		found[relation.oid] = results[i]
	}
	r.Result = Pass
	for _, t := range d.Tables {
		m, ok := found[t.OID]
		result := judge(t, m, ok, r.Comparison, o.Tolerance)
		r.Tables = append(r.Tables, result)
		r.Result = r.Result.Worse(result.Result)
	}
	return nil
}

// separateExtra returns the relations to count: those of the census that it could count. Relations that it does not
// know are reported.
func (r *DatabaseResult) separateExtra(relations []relation, known map[uint32]Table, skipped []Skipped) []relation {
	skip := make(map[uint32]bool, len(skipped))
	for _, s := range skipped {
		skip[s.OID] = true
	}
	var wanted []relation
	for _, relation := range relations {
		t, ok := known[relation.oid]
		switch {
		case ok && t.Comparable != None:
			wanted = append(wanted, relation)
		case !ok && !skip[relation.oid] && !relation.holdsLargeObjects():
			r.Extra = append(r.Extra, relation.quoted())
		}
	}
	return wanted
}

package census

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Details are what a database has besides rows.
type Details struct {
	Extensions []Extension `json:"extensions"`              // by name, at the cut
	Sequences  []Sequence  `json:"sequences"`               // by OID
	Why        string      `json:"sequences_why,omitempty"` // why sequences could not be read
}

// Extension is one that was created in the database.
type Extension struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Sequence is what a sequence had given before the census's snapshot. Sequences obey no snapshot, and they are ahead of
// themselves in the WAL: PostgreSQL writes there, each 32 values, the last one that it may give without writing again
// (SEQ_LOG_VALS in sequence.c). So on an instance that was recovered to the cut, a sequence is never behind Last, may be
// ahead of it, and says nothing where it had not been asked.
type Sequence struct {
	OID       uint32 `json:"oid"`
	Schema    string `json:"schema"`
	Name      string `json:"name"`
	Increment int64  `json:"increment"`
	Last      *int64 `json:"last_value,omitempty"` // nil: it cannot be compared
}

// Behind says whether a value lies before another one on a sequence's way.
func (s Sequence) Behind(value, other int64) bool {
	if s.Increment < 0 {
		return value > other
	}
	return value < other
}

// sequenceState is all sequences at one moment.
type sequenceState struct {
	list []sequenceNow
	why  string // why it is not known
}

type sequenceNow struct {
	Sequence
	filenode uint32 // a restart gives another one
	cycles   bool
}

// listSequences leaves out unlogged and temporary ones, which recovery does not keep.
const listSequences = `
SELECT c.oid, n.nspname::text, c.relname::text, s.seqincrement, s.seqcycle, c.relfilenode,
  CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(c.oid) END
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence = 'p' ORDER BY c.oid`

// sequences asks for all sequences outside of a transaction. One that is dropped meanwhile is an error of the query, and
// so is one that is locked: the reason is kept.
func (h *holder) sequences(ctx context.Context) sequenceState {
	rows, err := h.conn.Query(ctx, listSequences)
	if err != nil {
		return sequenceState{why: whyNot(err)}
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sequenceNow, err error) {
		err = row.Scan(&s.OID, &s.Schema, &s.Name, &s.Increment, &s.cycles, &s.filenode, &s.Last)
		return s, err
	})
	if err != nil {
		return sequenceState{why: whyNot(err)}
	}
	return sequenceState{list: list}
}

func whyNot(err error) string {
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		return refused.Message
	}
	return err.Error()
}

// addSequences keeps the sequences that were there all the time. What was restarted, set back or altered meanwhile, or
// begins anew at its end, cannot be compared.
func (d *Details) addSequences(early, late sequenceState) {
	if d.Why = early.why + late.why; d.Why != "" {
		return
	}
	before := make(map[uint32]sequenceNow, len(early.list))
	for _, s := range early.list {
		before[s.OID] = s
	}
	for _, now := range late.list {
		was, ok := before[now.OID]
		if !ok {
			continue
		}
		s := was.Sequence
		if was.cycles || now.cycles || was.filenode != now.filenode || was.Increment != now.Increment ||
			was.Last == nil || now.Last == nil || s.Behind(*now.Last, *was.Last) {
			s.Last = nil
		}
		d.Sequences = append(d.Sequences, s)
	}
}

// details reads what the snapshot sees.
func (h *holder) details(ctx context.Context) (*Details, error) {
	d := &Details{Extensions: []Extension{}, Sequences: []Sequence{}}
	rows, err := h.conn.Query(ctx, "SELECT extname::text, extversion FROM pg_extension ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("list extensions: %w", err)
	}
	if d.Extensions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Extension]); err != nil {
		return nil, fmt.Errorf("list extensions: %w", err)
	}
	return d, nil
}

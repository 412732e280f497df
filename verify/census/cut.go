package census

import (
	"fmt"

	"lifeboat/internal/wal"
)

// Cut is the place in the WAL that a snapshot belongs to. Recovery that stops at a position from From to To, both
// included, with recovery_target_inclusive = off, has replayed every transaction that the snapshot saw and no other.
type Cut struct {
	From wal.LSN `json:"from"` // the end of the last commit record of a transaction that the snapshot saw
	To   wal.LSN `json:"to"`   // the start of the next commit record: recovery finds a record here to stop at
	LSN  wal.LSN `json:"lsn"`  // the position chosen, one for as many databases as possible
}

// commit is a commit record of a top-level transaction, prepared or not.
type commit struct {
	start, end wal.LSN // of the record
	xid        wal.TransactionID
}

// mixedError says that a snapshot has no cut: visibility and WAL disagree about the order of two transactions.
type mixedError struct {
	hidden, seen commit
}

func (e *mixedError) Error() string {
	return fmt.Sprintf("transaction %d committed at %s in the WAL, before transaction %d at %s, but became visible after it",
		e.hidden.xid, e.hidden.start, e.seen.xid, e.seen.start)
}

// findCut looks for the cut of a snapshot among all commit records from position from to position to, in the order
// of the WAL. The snapshot must have been taken after from was the WAL's end and before to was, so that what it saw
// committed before to. The error is a *mixedError.
func findCut(s Snapshot, commits []commit, from, to wal.LSN) (Cut, error) {
	cut := Cut{From: from, To: to}
	var hidden *commit
	for i := range commits {
		c := &commits[i]
		switch seen := s.Sees(s.Full(uint32(c.xid))); {
		case seen && hidden != nil:
			return Cut{}, &mixedError{hidden: *hidden, seen: *c}
		case seen:
			cut.From = c.end
		case hidden == nil:
			hidden, cut.To = c, c.start
		}
	}
	cut.LSN = cut.To
	return cut, nil
}

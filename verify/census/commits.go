package census

import (
	"fmt"

	"lifeboat/internal/wal"
)

// history is what the WAL says about the moment of a snapshot.
type history struct {
	from, to wal.LSN // what was read
	commits  []commit
	unread   error // why it could not be read
}

// readHistory reads the commit records from a little before begin up to end, which must be a place that endOfWAL gave.
// All of it must have been flushed: only then is it in the files.
func (d walDirectory) readHistory(begin, end wal.LSN) history {
	var h history
	for _, from := range d.scanStarts(begin) {
		h = history{from: from, to: end}
		err := h.read(d)
		if err == nil {
			return h
		}
		h.unread = fmt.Errorf("read WAL from %s to %s: %w", from, end, err)
	}
	return h
}

func (h *history) read(d walDirectory) error {
	source, closeLast := d.pages()
	defer closeLast()
	reader := wal.NewReader(source, d.size)
	if err := reader.FindFrom(h.from); err != nil {
		return err
	}
	for at := h.from; at < h.to; {
		record, err := reader.Next()
		if err != nil {
			return err
		}
		h.add(record)
		at = record.End
	}
	return nil
}

func (h *history) add(record *wal.Record) {
	if x, ok := record.XactEnd(); ok && x.Kind.Committed() && x.XID != 0 {
		h.commits = append(h.commits, commit{start: record.LSN, end: record.End, xid: x.XID})
	}
}

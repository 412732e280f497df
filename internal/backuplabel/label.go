// Package backuplabel reads the two files that PostgreSQL hands out when a base backup ends: backup_label, which tells
// recovery where to begin, and tablespace_map. Both are stored byte for byte; what is read here serves the record and the
// plan (src/backend/access/transam/xlogbackup.c: build_backup_content; xlogrecovery.c: read_backup_label).
package backuplabel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lifeboat/internal/wal"
)

// ErrMalformed says that the text is no backup_label or tablespace_map.
var ErrMalformed = errors.New("malformed")

// Label is what backup_label says.
type Label struct {
	StartLSN        wal.LSN        // START WAL LOCATION
	StartSegment    string         // the name of the WAL file that holds it
	CheckpointLSN   wal.LSN        // CHECKPOINT LOCATION: the checkpoint that recovery begins with
	Method          string         // BACKUP METHOD: "streamed"
	From            string         // BACKUP FROM: "primary" or "standby"
	StartTime       string         // START TIME, as the server wrote it, in its log's time zone
	Label           string         // LABEL
	StartTimeline   wal.TimelineID // START TIMELINE
	IncrementalFrom wal.LSN        // INCREMENTAL FROM LSN, 17 and later; 0: not incremental
}

// Parse reads backup_label. Lines that later versions may add are passed over. The error is ErrMalformed.
func Parse(text []byte) (Label, error) {
	var l Label
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		name, value, found := strings.Cut(line, ": ")
		if !found {
			return Label{}, fmt.Errorf("backup_label: %w line %q", ErrMalformed, line)
		}
		if err := l.set(name, value); err != nil {
			return Label{}, fmt.Errorf("backup_label: %w line %q: %w", ErrMalformed, line, err)
		}
	}
	if l.StartLSN == 0 || l.CheckpointLSN == 0 || l.StartTimeline == 0 {
		return Label{}, fmt.Errorf("backup_label: %w: it names no start, checkpoint or timeline", ErrMalformed)
	}
	return l, nil
}

func (l *Label) set(name, value string) (err error) {
	switch name {
	case "START WAL LOCATION":
		err = l.setStart(value)
	case "CHECKPOINT LOCATION":
		l.CheckpointLSN, err = wal.ParseLSN(value)
	case "BACKUP METHOD":
		l.Method = value
	case "BACKUP FROM":
		l.From = value
	case "START TIME":
		l.StartTime = value
	case "LABEL":
		l.Label = value
	case "START TIMELINE":
		var timeline uint64
		timeline, err = strconv.ParseUint(value, 10, 32)
		l.StartTimeline = wal.TimelineID(timeline)
	case "INCREMENTAL FROM LSN":
		l.IncrementalFrom, err = wal.ParseLSN(value)
	}
	return err
}

// setStart reads "0/2000028 (file 000000010000000000000002)".
func (l *Label) setStart(value string) (err error) {
	lsn, file, found := strings.Cut(value, " (file ")
	if !found || !strings.HasSuffix(file, ")") {
		return errors.New("it names no WAL file")
	}
	l.StartSegment = strings.TrimSuffix(file, ")")
	l.StartLSN, err = wal.ParseLSN(lsn)
	return err
}

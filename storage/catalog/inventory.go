package catalog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// Inventory is what the repository held of one cluster at one moment. What follows from it is computed without
// asking the repository again.
type Inventory struct {
	Cluster  string
	Identity Identity

	Backups    []Record                               // by StopLSN
	Runs       []WALRun                               // by timeline and position
	Histories  map[wal.TimelineID]wal.TimelineHistory // of the timelines whose history file is stored
	Unfinished []string                               // labels of backups that were started and have no record
	Findings   []Finding                              // oldest first

	// Problems are the objects that could not be understood. Nothing is concluded from them: a segment with a damaged
	// header counts as missing, and a timeline with a damaged history offers nothing.
	Problems []Problem
	// Unreached names the copies that could not be asked, each of which is a problem, too (*UnreachedError). What they hold
	// may be missing from all of this.
	Unreached []string

	damagedHistories map[wal.TimelineID]bool

	// Locked are the sealed objects that were read and could not be opened, with why. All that their plain parts say
	// counts; what else is in them is not known: see Record.Locked, WALHeader.Locked. Histories lack their reasons.
	Locked []Problem

	newestBackup string                               // label, of the listing
	records      map[string]string                    // SHA-256 of the record documents, hexadecimal, by label
	lastSegments map[wal.TimelineID]wal.SegmentNumber // of the listing, those that are whole
	tails        map[wal.FileName]TailRange           // last piece of the segments that tails stand for
	pieces       storedTails                          // of one of several copies: all, which only together say more
}

// WALRun is a stretch of WAL segments of one timeline without a hole.
type WALRun struct {
	Timeline wal.TimelineID
	From     wal.LSN // start of the first segment
	To       wal.LSN // end of the last segment, exclusive
	// Tail is where the last segment ends that was received, where it is not whole: only its tail is stored. Otherwise zero.
	Tail wal.LSN

	// What the headers of the last segments say: the last record that is there completely, and the latest times (see
	// wal.Summary). Zero where no segment behind the first backup's end has any.
	LastRecord, LastRecordEnd wal.LSN
	LastXactTime, LastTime    time.Time
}

// Inventory lists the cluster's objects once and reads its records, histories, findings, and the headers of the last
// segments. An object that cannot be read is an error; one that is damaged is a problem in the result.
func (c *Cluster) Inventory(ctx context.Context) (*Inventory, error) {
	if c.copies != nil {
		return c.copies.inventory(ctx, c)
	}
	inv := &Inventory{Cluster: c.name, Identity: c.identity}
	if err := c.take(ctx, inv, c.takeBackups, c.takeHistories, c.takeRuns, c.takeFindings); err != nil {
		return nil, fmt.Errorf("take inventory of cluster %s: %w", c.name, err)
	}
	return inv, nil
}

// take fills some parts of an inventory.
func (c *Cluster) take(ctx context.Context, inv *Inventory, parts ...func(context.Context, *Inventory) error) error {
	for _, part := range parts {
		if err := part(ctx, inv); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) takeBackups(ctx context.Context, inv *Inventory) error {
	listed, err := c.backups(ctx)
	inv.Backups, inv.Unfinished = listed.records, listed.unfinished
	inv.Problems = append(inv.Problems, listed.problems...)
	inv.records, inv.newestBackup = listed.sums, listed.newest
	for _, rec := range listed.records {
		inv.noteLocked(c.recordKey(rec.Label), rec.Locked)
	}
	slices.SortStableFunc(inv.Backups, func(a, b Record) int { return cmp.Compare(a.StopLSN, b.StopLSN) })
	return err
}

func (c *Cluster) takeFindings(ctx context.Context, inv *Inventory) error {
	found, problems, err := c.findings(ctx)
	inv.Findings = found
	inv.Problems = append(inv.Problems, problems...)
	return err
}

// takeHistories reads the history files, of which there is one for each promotion.
func (c *Cluster) takeHistories(ctx context.Context, inv *Inventory) error {
	inv.Histories = map[wal.TimelineID]wal.TimelineHistory{}
	inv.damagedHistories = map[wal.TimelineID]bool{}
	for info, err := range c.bucket.List(ctx, c.timelinesPrefix()) {
		if err != nil {
			return fmt.Errorf("list timelines: %w", err)
		}
		name, ok := c.parseWALKey(info.Key)
		if !ok {
			continue
		}
		history, locked, err := c.history(ctx, name.Timeline)
		inv.noteLocked(info.Key, locked)
		switch {
		case isProblem(err):
			inv.Problems = append(inv.Problems, Problem{Key: info.Key, Err: err})
			inv.damagedHistories[name.Timeline] = true
		case isLocked(err):
			inv.damagedHistories[name.Timeline] = true
		case err == nil:
			inv.Histories[name.Timeline] = history
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
	}
	return nil
}

// noteLocked remembers a sealed object that could not be opened, if there is a reason.
func (inv *Inventory) noteLocked(key string, why error) {
	if why != nil {
		inv.Locked = append(inv.Locked, Problem{Key: key, Err: why})
	}
}

// History reads a timeline's history file. storage.ErrNotFound where none is stored, *DamagedError where it is damaged
// or says nothing that PostgreSQL could read. Of a sealed one that cannot be opened, the entries have no reasons.
func (c *Cluster) History(ctx context.Context, tli wal.TimelineID) (wal.TimelineHistory, error) {
	history, _, err := c.history(ctx, tli)
	return history, err
}

// history is History, and why the file could not be opened.
func (c *Cluster) history(ctx context.Context, tli wal.TimelineID) (history wal.TimelineHistory, locked, err error) {
	history, err = c.readHistory(ctx, tli)
	if !isLocked(err) {
		return history, nil, err
	}
	locked = err
	h, err := c.WALHeader(ctx, wal.HistoryFile(tli))
	if err == nil && len(h.history) == 0 {
		err = locked // the note does not tell
	}
	return wal.TimelineHistory{Timeline: tli, Entries: h.history}, locked, err
}

func (c *Cluster) readHistory(ctx context.Context, tli wal.TimelineID) (wal.TimelineHistory, error) {
	var text bytes.Buffer
	name := wal.HistoryFile(tli)
	if _, err := c.GetWAL(ctx, name, &text); err != nil {
		return wal.TimelineHistory{}, err
	}
	history, err := wal.ParseHistory(tli, text.Bytes())
	if err != nil {
		return wal.TimelineHistory{}, &DamagedError{Key: c.walKey(name), Detail: "content", Err: err}
	}
	return history, nil
}

// takeRuns joins the listed segments to runs, and completes each from its last headers.
func (c *Cluster) takeRuns(ctx context.Context, inv *Inventory) error {
	// Tails come first: one that is dropped meanwhile has its segment among those that are listed then.
	tails, err := c.tails(ctx)
	if err != nil {
		return err
	}
	return c.takeRunsWith(ctx, inv, tails)
}

// takeRunsWith is takeRuns with the tails that were found before.
func (c *Cluster) takeRunsWith(ctx context.Context, inv *Inventory, tails storedTails) error {
	segments, err := c.segments(ctx)
	if err != nil {
		return err
	}
	inv.lastSegments = map[wal.TimelineID]wal.SegmentNumber{}
	for tli, numbers := range segments {
		inv.lastSegments[tli] = slices.Max(numbers)
	}
	inv.addTails(segments, tails)
	for _, tli := range slices.Sorted(maps.Keys(segments)) {
		numbers := segments[tli]
		slices.Sort(numbers)
		for len(numbers) > 0 {
			n := runLength(numbers)
			span := segmentSpan{timeline: tli, first: numbers[0], last: numbers[n-1]}
			if err := c.takeRun(ctx, inv, span); err != nil {
				return err
			}
			numbers = numbers[n:]
		}
	}
	return nil
}

// segments lists the numbers of the whole segments of each timeline. Partial ones do not count, since recovery does
// not ask for them.
func (c *Cluster) segments(ctx context.Context) (map[wal.TimelineID][]wal.SegmentNumber, error) {
	found := map[wal.TimelineID][]wal.SegmentNumber{}
	for info, err := range c.bucket.List(ctx, c.walPrefix()) {
		if err != nil {
			return nil, fmt.Errorf("list WAL: %w", err)
		}
		if name, ok := c.parseWALKey(info.Key); ok && name.Kind == wal.Segment {
			found[name.Timeline] = append(found[name.Timeline], name.SegmentNumber(c.identity.WALSegmentSize))
		}
	}
	return found, nil
}

// runLength is how many of the sorted numbers follow each other from the first on.
func runLength(numbers []wal.SegmentNumber) int {
	n := 1
	for n < len(numbers) && numbers[n] == numbers[n-1]+1 {
		n++
	}
	return n
}

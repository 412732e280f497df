package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/wal"
)

// UnreachedError says that a copy could not be asked, so that what only it holds is missing from a result.
type UnreachedError struct {
	Copy string
	Err  error
}

func (e *UnreachedError) Error() string { return e.Err.Error() }

func (e *UnreachedError) Unwrap() error { return e.Err }

// inventory is the union of what the copies hold. A copy that cannot be reached is a problem; where none can be, or one
// is of another cluster, it is an error.
func (s *copies) inventory(ctx context.Context, c *Cluster) (*Inventory, error) {
	inv := &Inventory{
		Cluster: c.name, Identity: c.identity,
		Histories: map[wal.TimelineID]wal.TimelineHistory{}, damagedHistories: map[wal.TimelineID]bool{},
		records: map[string]string{}, lastSegments: map[wal.TimelineID]wal.SegmentNumber{},
	}
	all := askEach(ctx, s, false, func(ctx context.Context, one *Cluster) (*Inventory, error) {
		part := &Inventory{Cluster: one.name, Identity: one.identity}
		return part, one.take(ctx, part, one.takeBackups, one.takeHistories, one.takeFindings)
	})
	parts, err := inv.reached(all)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		inv.addDocuments(part.value)
	}
	inv.settle()
	// Runs come second: where a copy has WAL and no backup, the others' backups say how much of it is worth a look.
	runs := askEach(ctx, s.only(parts), false, func(ctx context.Context, one *Cluster) (*Inventory, error) {
		part := &Inventory{Cluster: one.name, Identity: one.identity, Backups: inv.Backups}
		return part, one.take(ctx, part, one.takePieces, one.takeWholeRuns)
	})
	if parts, err = inv.reached(runs); err != nil {
		return nil, err
	}
	for _, part := range parts {
		inv.addRuns(part.value)
	}
	inv.Runs = joinRuns(inv.Runs)
	if err := c.addTailRuns(ctx, inv, unionOfPieces(parts)); err != nil {
		return nil, fmt.Errorf("take inventory of cluster %s: %w", c.name, err)
	}
	return inv, nil
}

// only is the copies that are in the list.
func (s *copies) only(parts []heard[*Inventory]) *copies {
	some := &copies{}
	some.want.Store(s.want.Load())
	for _, part := range parts {
		some.list = append(some.list, part.from)
	}
	return some
}

// reached are the copies that answered. The others are noted.
func (inv *Inventory) reached(all []heard[*Inventory]) ([]heard[*Inventory], error) {
	good, err := answered(all)
	if err != nil {
		return nil, fmt.Errorf("take inventory of cluster %s: %w", inv.Cluster, err)
	}
	for _, h := range all {
		if h.err != nil {
			inv.Unreached = append(inv.Unreached, h.from.Name)
			inv.Problems = append(inv.Problems, Problem{Key: h.from.Name, Err: &UnreachedError{Copy: h.from.Name, Err: h.err}})
		}
	}
	return good, nil
}

// addDocuments takes what is not there already. Of the same document the nearest copy's is taken.
func (inv *Inventory) addDocuments(part *Inventory) {
	for _, record := range part.Backups {
		if !slices.ContainsFunc(inv.Backups, func(r Record) bool { return r.Label == record.Label }) {
			inv.Backups = append(inv.Backups, record)
		}
	}
	for tli, history := range part.Histories {
		if _, ok := inv.Histories[tli]; !ok {
			inv.Histories[tli] = history
		}
	}
	for tli := range part.damagedHistories {
		inv.damagedHistories[tli] = true
	}
	for _, finding := range part.Findings {
		if !slices.ContainsFunc(inv.Findings, func(f Finding) bool { return f.ID() == finding.ID() }) {
			inv.Findings = append(inv.Findings, finding)
		}
	}
	inv.Unfinished = append(inv.Unfinished, part.Unfinished...)
	inv.newestBackup = max(inv.newestBackup, part.newestBackup)
	for label, sum := range part.records {
		if _, ok := inv.records[label]; !ok {
			inv.records[label] = sum
		}
	}
	inv.addProblems(part)
}

func (inv *Inventory) addRuns(part *Inventory) {
	inv.Runs = append(inv.Runs, part.Runs...)
	for tli, last := range part.lastSegments {
		inv.lastSegments[tli] = max(inv.lastSegments[tli], last)
	}
	inv.addProblems(part)
}

// addProblems takes all problems, as each copy has its own, and of the objects that cannot be opened one of each key.
func (inv *Inventory) addProblems(part *Inventory) {
	inv.Problems = append(inv.Problems, part.Problems...)
	for _, locked := range part.Locked {
		if !slices.ContainsFunc(inv.Locked, func(p Problem) bool { return p.Key == locked.Key }) {
			inv.Locked = append(inv.Locked, locked)
		}
	}
}

// settle brings the documents of several copies into order. What one copy has whole is not damaged or unfinished because
// another one has it so.
func (inv *Inventory) settle() {
	slices.SortStableFunc(inv.Backups, func(a, b Record) int { return cmp.Compare(a.StopLSN, b.StopLSN) })
	slices.SortStableFunc(inv.Findings, func(a, b Finding) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name))
	})
	for tli := range inv.Histories {
		delete(inv.damagedHistories, tli)
	}
	slices.Sort(inv.Unfinished)
	inv.Unfinished = slices.DeleteFunc(slices.Compact(inv.Unfinished), func(label string) bool {
		return slices.ContainsFunc(inv.Backups, func(r Record) bool { return r.Label == label })
	})
}

// joinRuns joins the runs of several copies where they meet, so that the hole of one is filled by another.
func joinRuns(runs []WALRun) []WALRun {
	slices.SortStableFunc(runs, func(a, b WALRun) int {
		return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.From, b.From))
	})
	var joined []WALRun
	for _, run := range runs {
		last := len(joined) - 1
		if last < 0 || joined[last].Timeline != run.Timeline || joined[last].To < run.From {
			joined = append(joined, run)
			continue
		}
		joined[last].join(run)
	}
	return joined
}

// join takes in a run that starts in this one or at its end. What the one that ends later does not tell, the other does.
func (r *WALRun) join(other WALRun) {
	late, early := *r, other
	if other.To > r.To {
		late, early = other, *r
	}
	if late.LastRecord == 0 {
		late.LastRecord, late.LastRecordEnd = early.LastRecord, early.LastRecordEnd
	}
	if late.LastTime.IsZero() {
		late.LastTime = early.LastTime
	}
	if late.LastXactTime.IsZero() {
		late.LastXactTime = early.LastXactTime
	}
	late.From = r.From
	*r = late
}

// findings is the union of what the copies that can be reached hold.
func (s *copies) findings(ctx context.Context) ([]Finding, error) {
	all, err := answered(askEach(ctx, s, false, func(ctx context.Context, c *Cluster) ([]Finding, error) { return c.Findings(ctx) }))
	if err != nil {
		return nil, err
	}
	var inv Inventory
	for _, h := range all {
		inv.addDocuments(&Inventory{Findings: h.value})
	}
	inv.settle()
	return inv.Findings, nil
}

// removeUnfinished removes the leavings of a backup from every copy, unless one of them has its record or cannot be
// asked for it.
func (s *copies) removeUnfinished(ctx context.Context, label string) error {
	check := func(ctx context.Context, c *Cluster) (struct{}, error) {
		return struct{}{}, c.checkNoRecord(ctx, label)
	}
	if err := errorOf(askEach(ctx, s, false, check)); err != nil {
		return err
	}
	var errs []error
	for _, o := range s.list {
		_, err := tryCopy(ctx, s, o, func(ctx context.Context, c *Cluster) (struct{}, error) {
			return struct{}{}, c.removeUnfinished(ctx, label)
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

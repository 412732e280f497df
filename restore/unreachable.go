package restore

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// UnreachableError says that the repository cannot bring the cluster to the target.
type UnreachableError struct {
	Target  Target
	Why     string
	Windows []catalog.Window // all that can be reached, on any timeline
	Nearest []string         // targets that can be reached, nearest to the one asked for first
	Gap     *catalog.Gap     // that lies before the target, or around it; nil for none
}

func (e *UnreachableError) Error() string {
	s := fmt.Sprintf("recovery target %s cannot be reached: %s", e.Target, e.Why)
	if e.Gap != nil {
		s += "; " + describeGap(*e.Gap)
	}
	if len(e.Nearest) > 0 {
		s += "; nearest: " + strings.Join(e.Nearest, ", or ")
	}
	return s
}

// Hint names the windows.
func (e *UnreachableError) Hint() string {
	if len(e.Windows) == 0 {
		return "no window can be reached: the repository has no backup with all of its WAL"
	}
	var lines []string
	for _, w := range e.Windows {
		lines = append(lines, describeWindow(w))
	}
	return "reachable: " + strings.Join(lines, "; ")
}

func describeWindow(w catalog.Window) string {
	return fmt.Sprintf("timeline %d from %s (%s) to %s (%s)", w.Timeline, w.FromLSN, FormatTime(w.FromTime), w.ToLSN, FormatTime(w.ToTime))
}

// unreachable is the error for a target on a timeline; why is completed by the nearest targets that can be reached.
func unreachable(inv *catalog.Inventory, t Target, tli wal.TimelineID, why string) error {
	e := &UnreachableError{Target: t, Why: why, Windows: inv.Windows()}
	windows := slices.DeleteFunc(slices.Clone(e.Windows), func(w catalog.Window) bool { return w.Timeline != tli })
	switch t.Kind {
	case KindTime:
		e.Nearest = nearestTimes(t, windows)
	case KindLSN:
		e.Nearest = nearestLSNs(t, windows)
	case KindName, KindXID, KindImmediate, KindLatest:
	}
	e.Gap = gapBefore(inv, t, tli, windows)
	if len(e.Nearest) == 0 && len(windows) > 0 {
		e.Nearest = []string{describeEnd(windows[len(windows)-1])}
	}
	return e
}

// gapBefore is the gap that keeps recovery from the target: the first one behind the window before it, or the one that
// it lies in. Where a restore point or a transaction was looked for in vain, it may lie behind the first gap of all.
func gapBefore(inv *catalog.Inventory, t Target, tli wal.TimelineID, windows []catalog.Window) *catalog.Gap {
	var reached wal.LSN
	for _, w := range windows {
		if t.Kind == KindLSN && w.FromLSN > t.LSN || t.Kind == KindTime && w.FromTime.After(t.Time) {
			break
		}
		reached = w.ToLSN
		if t.Kind == KindName || t.Kind == KindXID {
			break
		}
	}
	if reached == 0 {
		reached = t.LSN // zero but for an LSN
	}
	gap, ok := inv.GapBehind(tli, reached)
	switch {
	case !ok, t.Kind == KindLSN && t.LSN < gap.From, reached == 0:
		return nil
	}
	return &gap
}

// describeGap says where WAL is missing, and why as far as that is known.
func describeGap(gap catalog.Gap) string {
	s := fmt.Sprintf("the WAL of timeline %s from %s to %s is missing", gap.Timeline, gap.From, gap.To)
	if gap.Why != "" {
		s += ": " + gap.Why
	}
	return s
}

// nearestTimes names the end of the last window before the target and the start of the first one after it.
func nearestTimes(t Target, windows []catalog.Window) []string {
	var before, after string
	for _, w := range windows {
		if w.FromTime.After(t.Time) && after == "" {
			after = fmt.Sprintf("time %s (the end of backup %s)", FormatTime(w.FromTime), w.Backups[0])
		}
		if !w.FromTime.After(t.Time) {
			before = describeEnd(w)
		}
	}
	return nonEmpty(before, after)
}

func nearestLSNs(t Target, windows []catalog.Window) []string {
	var before, after string
	for _, w := range windows {
		if w.FromLSN > t.LSN && after == "" {
			after = fmt.Sprintf("lsn %s (the end of backup %s)", w.FromLSN, w.Backups[0])
		}
		if w.FromLSN <= t.LSN {
			before = fmt.Sprintf("lsn %s (the last record there)", w.ToLSN)
		}
	}
	return nonEmpty(before, after)
}

// describeEnd names the end of a window as a target. Its last transaction's time is no time target that recovery would
// stop at, since it stops only at a later one.
func describeEnd(w catalog.Window) string {
	return fmt.Sprintf("lsn %s (the last record there, with transactions up to %s)", w.ToLSN, FormatTime(w.ToTime))
}

func nonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/wal"
)

// FindingGap is the kind of a finding about WAL that was lost before it could be stored. All of these are the ledger of
// gaps. An entry is closed by the WAL itself, if it turns up after all.
const FindingGap = "gap"

// LostWAL is WAL that will not come: From inclusive, To exclusive.
type LostWAL struct {
	Timeline wal.TimelineID `json:"timeline"`
	From     wal.LSN        `json:"from"`
	To       wal.LSN        `json:"to"`
	Why      string         `json:"why"` // a sentence for people, without a stop
}

func (l LostWAL) check() error {
	if l.Timeline == 0 || l.From >= l.To {
		return fmt.Errorf("no WAL of timeline %d lies from %s to %s", l.Timeline, l.From, l.To)
	}
	return nil
}

// checkLost says whether the finding speaks of lost WAL if and only if that is its kind.
func (f Finding) checkLost() error {
	if (f.Lost != nil) != (f.Kind == FindingGap) {
		return fmt.Errorf("a finding of the kind %s speaks of a gap, or one of a gap does not", f.Kind)
	}
	if f.Lost == nil {
		return nil
	}
	return f.Lost.check()
}

// PutGap enters lost WAL into the ledger, durably. The same entry once more is no error.
func (c *Cluster) PutGap(ctx context.Context, lost LostWAL, now time.Time) error {
	if err := lost.check(); err != nil {
		return fmt.Errorf("note a gap: %w", err)
	}
	size := c.identity.WALSegmentSize
	name := wal.SegmentFile(lost.Timeline, wal.SegmentOf(lost.From, size), size)
	if err := name.ValidFor(size); err != nil {
		return fmt.Errorf("note a gap: %w", err)
	}
	return c.PutFinding(ctx, Finding{
		Kind: FindingGap, Time: now.UTC(), Name: name.String(), Lost: &lost,
		Detail: fmt.Sprintf("WAL of timeline %s from %s to %s was lost: %s", lost.Timeline, lost.From, lost.To, lost.Why),
	})
}

// lostGaps are the entries of the ledger that no WAL has filled, at segment boundaries. One that lies before all that is
// left of its timeline has expired with the WAL around it.
func (inv *Inventory) lostGaps() []Gap {
	traces := inv.traces()
	size := inv.Identity.WALSegmentSize
	var gaps []Gap
	for _, f := range inv.Findings {
		if f.Lost == nil {
			continue
		}
		want := stretch{from: inv.segmentStart(f.Lost.From), to: wal.Start(wal.LastSegmentOf(f.Lost.To, size)+1, size)}
		if trace, ok := traces[f.Lost.Timeline]; ok && want.to < trace.from {
			continue
		}
		for _, hole := range inv.unfilled(f.Lost, want) {
			hole.Why, hole.Since = f.Lost.Why, f.Time
			gaps = append(gaps, hole)
		}
	}
	return gaps
}

// unfilled is what is missing of the stretch of lost WAL. A segment of which only a tail is stored is missing, too, where
// some of the lost WAL lies behind that.
func (inv *Inventory) unfilled(lost *LostWAL, want stretch) []Gap {
	holes := inv.holes(lost.Timeline, want)
	for _, run := range inv.Runs {
		if run.Timeline == lost.Timeline && run.Tail != 0 && lost.From < run.To && run.Tail < lost.To {
			from := run.To - wal.LSN(inv.Identity.WALSegmentSize)
			holes = append(holes, Gap{Timeline: lost.Timeline, From: from, To: run.To})
		}
	}
	return holes
}

// mergeGaps joins gaps that meet, and keeps what the ledger says of any of them.
func mergeGaps(gaps []Gap) []Gap {
	slices.SortStableFunc(gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.From, b.From))
	})
	var merged []Gap
	for _, gap := range gaps {
		last := len(merged) - 1
		if last < 0 || merged[last].Timeline != gap.Timeline || merged[last].To < gap.From {
			merged = append(merged, gap)
			continue
		}
		merged[last].To = max(merged[last].To, gap.To)
		if since := merged[last].Since; since.IsZero() || !gap.Since.IsZero() && gap.Since.Before(since) {
			merged[last].Since = gap.Since
		}
		if !strings.Contains(merged[last].Why, gap.Why) {
			merged[last].Why = strings.TrimPrefix(merged[last].Why+"; "+gap.Why, "; ")
		}
	}
	return merged
}

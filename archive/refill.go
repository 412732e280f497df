package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// RefillSource is a server whose pg_wal may hold what the repository lacks.
type RefillSource struct {
	DataDirectory string
	End           wal.LSN // its WAL goes at least so far; segments behind that may be unfinished
	Primary       bool
	Trusted       bool // its WAL is taken without a proof that it continues the repository's, as archive_command's is
}

// Refill is what a server's pg_wal can give to a repository that lacks it: a row of segments of one timeline.
type Refill struct {
	Segments []wal.FileName // ascending, one behind the other; each lies in pg_wal
	// Proof are the segments before and behind the row that the repository has and pg_wal, too. By comparing them it is shown
	// that both hold the same history.
	Proof []wal.FileName
	// Cut says that the repository has the segment before or behind the row, and that pg_wal has neither of these.
	Cut bool
}

// PlanRefill finds the segments in pg_wal that the repository ought to have: those in its gaps, and of a primary those,
// too, that PostgreSQL takes for archived. What waits to be archived is left to PostgreSQL, and what lies before all backups to
// expiry.
func PlanRefill(inventory *catalog.Inventory, source RefillSource) ([]Refill, error) {
	here, err := segmentsIn(filepath.Join(source.DataDirectory, "pg_wal"), inventory.Identity.WALSegmentSize, source.End)
	if err != nil {
		return nil, fmt.Errorf("look for lost WAL: %w", err)
	}
	size, gaps := inventory.Identity.WALSegmentSize, inventory.Gaps()
	var plan []Refill
	for _, name := range slices.SortedFunc(maps.Keys(here), byPlace) {
		status := here[name]
		if status == ready || inventory.Holds(name) || !needed(inventory, name) || (!source.Primary || status != done) && !slices.ContainsFunc(gaps, holding(name, size)) {
			continue
		}
		if last := len(plan) - 1; last >= 0 && follows(plan[last].Segments[len(plan[last].Segments)-1], name, size) {
			plan[last].Segments = append(plan[last].Segments, name)
			continue
		}
		plan = append(plan, Refill{Segments: []wal.FileName{name}})
	}
	for i := range plan {
		plan[i].findProof(inventory, here)
	}
	return plan, nil
}

// needed says whether recovery from a backup can ask for the segment. What lies before all backups has expired, or is about
// to. Where there is no backup yet, everything counts.
func needed(inventory *catalog.Inventory, name wal.FileName) bool {
	size := inventory.Identity.WALSegmentSize
	asks := func(b catalog.Record) bool {
		return b.Timeline <= name.Timeline && wal.SegmentOf(b.StartLSN, size) <= name.SegmentNumber(size)
	}
	return len(inventory.Backups) == 0 || slices.ContainsFunc(inventory.Backups, asks)
}

// archiveStatus is what PostgreSQL says about a segment in archive_status.
type archiveStatus int

const (
	unsaid archiveStatus = iota
	ready
	done
)

// segmentsIn are the segments in pg_wal that end at or before the position.
func segmentsIn(pgWAL string, size wal.SegmentSize, end wal.LSN) (map[wal.FileName]archiveStatus, error) {
	entries, err := os.ReadDir(pgWAL)
	if err != nil {
		return nil, err
	}
	here := map[wal.FileName]archiveStatus{}
	for _, entry := range entries {
		name, err := wal.ParseFileName(entry.Name())
		if err != nil || name.Kind != wal.Segment || name.ValidFor(size) != nil || name.Start(size)+wal.LSN(size) > end {
			continue
		}
		if here[name], err = statusOf(pgWAL, name); err != nil {
			return nil, err
		}
	}
	return here, nil
}

func statusOf(pgWAL string, name wal.FileName) (archiveStatus, error) {
	for status, suffix := range map[archiveStatus]string{ready: ".ready", done: ".done"} {
		_, err := os.Lstat(filepath.Join(pgWAL, "archive_status", name.String()+suffix))
		if err == nil {
			return status, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return unsaid, err
		}
	}
	return unsaid, nil
}

func byPlace(a, b wal.FileName) int { return cmp.Compare(a.String(), b.String()) }

func follows(a, b wal.FileName, size wal.SegmentSize) bool {
	return a.Timeline == b.Timeline && a.SegmentNumber(size)+1 == b.SegmentNumber(size)
}

// holding says of a gap whether the segment lies in it.
func holding(name wal.FileName, size wal.SegmentSize) func(catalog.Gap) bool {
	start := name.Start(size)
	return func(g catalog.Gap) bool { return g.Timeline == name.Timeline && g.From <= start && start < g.To }
}

// LostForGood are the gaps that nothing says anything about and of which the server has nothing any more. Those that a backup
// has mended are left out.
func LostForGood(inventory *catalog.Inventory, source RefillSource) ([]catalog.Gap, error) {
	size := inventory.Identity.WALSegmentSize
	here, err := segmentsIn(filepath.Join(source.DataDirectory, "pg_wal"), size, source.End)
	if err != nil {
		return nil, fmt.Errorf("look for lost WAL: %w", err)
	}
	gaps := slices.DeleteFunc(inventory.Gaps(), func(g catalog.Gap) bool { return g.Why != "" || inventory.Mended(g) })
	for name := range here {
		gaps = slices.DeleteFunc(gaps, holding(name, size))
	}
	return gaps, nil
}

// findProof looks for what both sides have beside the row.
func (r *Refill) findProof(inventory *catalog.Inventory, here map[wal.FileName]archiveStatus) {
	size := inventory.Identity.WALSegmentSize
	first, last := r.Segments[0], r.Segments[len(r.Segments)-1]
	beside := []wal.FileName{wal.SegmentFile(last.Timeline, last.SegmentNumber(size)+1, size)}
	if number := first.SegmentNumber(size); number > 0 {
		beside = append(beside, wal.SegmentFile(first.Timeline, number-1, size))
	}
	stored := false
	for _, name := range beside {
		if !inventory.Holds(name) {
			continue
		}
		stored = true
		if _, there := here[name]; there {
			r.Proof = append(r.Proof, name)
		}
	}
	r.Cut = stored && len(r.Proof) == 0
}

// ErrUnproven says that nothing shows whether a server's WAL continues that of the repository.
var ErrUnproven = errors.New("nothing shows that this server's WAL and the repository's are of one history")

// Run stores the row, after it was shown that the server and the repository have the same WAL beside it. Each segment is
// proven sound and whole, and created only where there is none; filled are those that were. The other errors are those of
// Push, and ErrUnproven where the row is cut off and the source is not trusted.
func (r Refill) Run(ctx context.Context, cluster *catalog.Cluster, source RefillSource, o PushOptions) (filled []wal.FileName, err error) {
	if r.Cut && !source.Trusted {
		return nil, fmt.Errorf("fill in %s: %w", r.Segments[0], ErrUnproven)
	}
	pgWAL := filepath.Join(source.DataDirectory, "pg_wal")
	for _, name := range r.Proof {
		if _, err := Push(ctx, cluster, filepath.Join(pgWAL, name.String()), o); err != nil {
			return nil, fmt.Errorf("compare with the WAL beside a gap: %w", err)
		}
	}
	for _, name := range r.Segments {
		result, err := Push(ctx, cluster, filepath.Join(pgWAL, name.String()), o)
		if err != nil {
			return filled, fmt.Errorf("fill in: %w", err)
		}
		if result.Stored {
			filled = append(filled, name)
		}
	}
	return filled, nil
}

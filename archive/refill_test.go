package archive_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/archive"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// walDirectory is a data directory whose pg_wal has segments: their numbers with what PostgreSQL says of each.
func walDirectory(t *testing.T, segments map[wal.SegmentNumber]string) string {
	t.Helper()
	data := t.TempDir()
	status := filepath.Join(data, "pg_wal/archive_status")
	err := os.MkdirAll(status, 0o700)
	for number, said := range segments {
		name := wal.SegmentName(1, number, wal.MinSegmentSize)
		if err == nil {
			err = os.WriteFile(filepath.Join(data, "pg_wal", name), nil, 0o600)
		}
		if err == nil && said != "" {
			err = os.WriteFile(filepath.Join(status, name+said), nil, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// holding is an inventory of timeline 1 with the segments from first to last of each pair.
func holding(pairs ...wal.SegmentNumber) *catalog.Inventory {
	inv := &catalog.Inventory{Identity: catalog.Identity{SystemIdentifier: 7, WALSegmentSize: wal.MinSegmentSize}}
	for i := 0; i < len(pairs); i += 2 {
		inv.Runs = append(inv.Runs, catalog.WALRun{
			Timeline: 1, From: wal.Start(pairs[i], wal.MinSegmentSize), To: wal.Start(pairs[i+1]+1, wal.MinSegmentSize),
		})
	}
	return inv
}

// show is a row in short: its segments, and what is compared before.
func show(r archive.Refill) string {
	last := func(names []wal.FileName) string {
		var text string
		for _, name := range names {
			text += strings.TrimLeft(name.String()[16:], "0")
		}
		return text
	}
	text := last(r.Segments) + "/" + last(r.Proof)
	if r.Cut {
		text += " cut"
	}
	return text
}

func TestRefillTakesWhatIsLostAndLeavesWhatWaits(t *testing.T) {
	t.Parallel()
	end := wal.Start(9, wal.MinSegmentSize) + 100
	for name, c := range map[string]struct {
		here    map[wal.SegmentNumber]string
		has     *catalog.Inventory
		standby bool
		want    string
	}{
		"nothing is lost":             {map[wal.SegmentNumber]string{2: ".done", 3: ".done"}, holding(1, 3), false, ""},
		"a gap":                       {map[wal.SegmentNumber]string{2: ".done", 3: ".done", 4: ".done", 5: ".done"}, holding(1, 2, 5, 6), false, "34/52"},
		"a gap that waits":            {map[wal.SegmentNumber]string{3: ".ready", 4: ".ready", 5: ""}, holding(1, 2, 5, 6), false, ""},
		"a gap of which a part waits": {map[wal.SegmentNumber]string{2: ".done", 3: ".done", 4: ".ready"}, holding(1, 2, 5, 6), false, "3/2"},
		"a gap, nothing beside it":    {map[wal.SegmentNumber]string{3: "", 4: ""}, holding(1, 2, 5, 6), false, "34/ cut"},
		"behind the end, done":        {map[wal.SegmentNumber]string{2: ".done", 3: ".done"}, holding(1, 2), false, "3/2"},
		"behind the end, not done":    {map[wal.SegmentNumber]string{2: ".done", 3: ""}, holding(1, 2), false, ""},
		"of a standby":                {map[wal.SegmentNumber]string{2: ".done", 3: ".done", 8: ".done"}, holding(1, 2, 4, 6), true, "3/2"},
		"all, of an empty repository": {map[wal.SegmentNumber]string{2: ".done", 3: ".done"}, holding(), false, "23/"},
		"two rows":                    {map[wal.SegmentNumber]string{2: ".done", 4: ".done", 3: ".done"}, holding(1, 1, 3, 3, 5, 5), false, "2/3 4/3"},
		"what is written now":         {map[wal.SegmentNumber]string{8: ".done", 9: ".done", 10: ".done"}, holding(1, 8), false, ""},
		"only a tail of it is stored": {map[wal.SegmentNumber]string{1: ".done", 2: ".done", 3: ".done"}, withTail(holding(1, 2)), false, "23/1"},
		"nothing of a gap is here":    {map[wal.SegmentNumber]string{7: ".done"}, holding(1, 2, 5, 7), false, ""},
		"expired":                     {map[wal.SegmentNumber]string{1: ".done", 2: ".done", 3: ".done", 4: ".done"}, withBackup(holding(3, 3)), false, "4/3"},
		"an empty pg_wal":             {nil, holding(1, 2, 5, 6), false, ""},
	} {
		source := archive.RefillSource{DataDirectory: walDirectory(t, c.here), End: end, Primary: !c.standby}
		plan, err := archive.PlanRefill(c.has, source)
		var rows []string
		for _, row := range plan {
			rows = append(rows, show(row))
		}
		if got := strings.Join(rows, " "); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	if _, err := archive.PlanRefill(holding(), archive.RefillSource{DataDirectory: t.TempDir()}); err == nil {
		t.Error("a directory without pg_wal is taken")
	}
}

// withTail makes the last segment of the last run one of which only a tail is stored.
func withTail(inv *catalog.Inventory) *catalog.Inventory {
	run := &inv.Runs[len(inv.Runs)-1]
	run.Tail = run.To - 1000
	return inv
}

// withBackup adds a backup that begins in segment 3.
func withBackup(inv *catalog.Inventory) *catalog.Inventory {
	start := wal.Start(3, wal.MinSegmentSize) + 40
	inv.Backups = []catalog.Record{{Timeline: 1, StartLSN: start, StopLSN: start + 200}}
	return inv
}

func TestWhatOnlyOthersMayHaveIsLostForGood(t *testing.T) {
	t.Parallel()
	source := archive.RefillSource{DataDirectory: walDirectory(t, map[wal.SegmentNumber]string{4: ".ready"}), End: wal.Start(20, wal.MinSegmentSize)}
	inv := holding(1, 2, 5, 6, 9, 9)
	gaps, err := archive.LostForGood(inv, source)
	if err != nil || len(gaps) != 1 || gaps[0].From != wal.Start(7, wal.MinSegmentSize) {
		t.Errorf("%+v, %v", gaps, err)
	}
	inv.Backups = []catalog.Record{{Timeline: 1, StartLSN: wal.Start(9, wal.MinSegmentSize), StopLSN: wal.Start(9, wal.MinSegmentSize) + 10}}
	if gaps, err := archive.LostForGood(inv, source); err != nil || len(gaps) != 0 {
		t.Errorf("mended, and yet %+v, %v", gaps, err)
	}
}

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

func TestAMarkOfAbsenceGoesStale(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	o := owed{directory: t.TempDir(), log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	both := []string{"near", "far"}
	for minute, want := range [][]string{{"far"}, {"far"}, nil, {"far"}} {
		if minute == 0 || minute == 3 {
			o.noteAway([]string{"far"})
		}
		if got := o.away(both); !slices.Equal(got, want) {
			t.Errorf("step %d: away are %v, not %v", minute, got, want)
		}
		now = now.Add(40 * time.Second)
		if minute == 0 {
			o.noteAway([]string{"far"}) // by a process that did not ask
		}
	}
	o.settle("far", awayMark)
	if _, err := os.Stat(filepath.Join(o.directory, "far", awayMark)); err == nil {
		t.Error("the mark is still there")
	}
}

func TestEachRepositoryIsOwedItsOwn(t *testing.T) {
	t.Parallel()
	o := owed{directory: t.TempDir(), log: slog.New(slog.DiscardHandler), now: time.Now}
	first, second := segmentFile(t, "000000010000000000000001"), segmentFile(t, "000000010000000000000002")
	o.note(first, []catalog.CopyResult{{Copy: "far", Err: catalog.ErrNotTried}, {Copy: "near"}})
	o.note(second, []catalog.CopyResult{{Copy: "far", Err: catalog.ErrNotTried}, {Copy: "near", Err: catalog.ErrNotTried}})
	if far := o.first("far", 8); !slices.Equal(far, []wal.FileName{first, second}) {
		t.Errorf("far is owed %v", far)
	}
	if near := o.first("near", 8); !slices.Equal(near, []wal.FileName{second}) {
		t.Errorf("near is owed %v", near)
	}
	if far := o.first("far", 1); !slices.Equal(far, []wal.FileName{first}) {
		t.Errorf("the first that far is owed are %v", far)
	}
}

func segmentFile(t *testing.T, name string) wal.FileName {
	t.Helper()
	file, err := wal.ParseFileName(name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
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

package schedule

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWhatWasSeenFirstOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "drills.json")
	began := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	first := func(drill, schedule string, now, want time.Time) {
		t.Helper()
		for _, s := range []*Sights{NewSights(path), NewSights(path)} {
			if got, err := s.First("main", drill, schedule, now); err != nil || !got.Equal(want) {
				t.Errorf("%s: %s, want %s: %v", drill, got, want, err)
			}
		}
	}
	later := began.Add(48 * time.Hour)
	first("nightly", "0 4 * * *", began, began)
	first("nightly", "0 4 * * *", later, began)
	first("weekly", "0 4 * * 0", later, later)
	first("nightly", "0 5 * * *", later, later) // another schedule begins anew
	first("nightly", "0 5 * * *", began, began) // the clock was set back
}

func TestALostOrDamagedFileBeginsAnew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "drills.json")
	if err := os.WriteFile(path, []byte("{not"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	s := NewSights(path)
	if got, err := s.First("main", "nightly", "0 4 * * *", now); err == nil || !got.Equal(now) {
		t.Errorf("of a damaged file: %s, %v", got, err)
	}
	if got, err := NewSights(path).First("main", "nightly", "0 4 * * *", now.Add(time.Hour)); err != nil || !got.Equal(now) {
		t.Errorf("after it was written anew: %s, %v", got, err)
	}
	nowhere := NewSights("/proc/nowhere/drills.json")
	for range 2 {
		if got, _ := nowhere.First("main", "nightly", "0 4 * * *", now); !got.Equal(now) {
			t.Errorf("where it cannot be remembered: %s", got)
		}
		now, _ = nowhere.First("main", "nightly", "0 4 * * *", now.Add(time.Hour))
	}
}

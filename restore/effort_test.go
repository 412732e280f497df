package restore

import (
	"errors"
	"testing"
	"time"
)

// ticking is a clock that goes on by one second each time it is read.
func ticking() func() time.Time {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

func TestEffortIsDividedBetweenFilesAndContents(t *testing.T) {
	t.Parallel()
	m := &effortMeter{clock: ticking()}
	nothing := func() error { return nil }
	for range 3 {
		if err := m.measure(onFiles, nothing); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("broken")
	if err := m.measure(onContents, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("err = %v, want that of the step", err)
	}
	if want := (Effort{Files: 3 * time.Second, Contents: time.Second}); m.sum != want {
		t.Errorf("effort = %+v, want %+v", m.sum, want)
	}
	m.addShared(8*time.Second, 2, Effort{Files: 10 * time.Second, Contents: 30 * time.Second})
	if want := (Effort{Files: 7 * time.Second, Contents: 13 * time.Second}); m.sum != want {
		t.Errorf("effort = %+v, want %+v: 8 s for two workers, three quarters of it for contents", m.sum, want)
	}
}

func TestWithoutAClockNoEffortIsMeasured(t *testing.T) {
	t.Parallel()
	m := &effortMeter{}
	ran := false
	if err := m.measure(onFiles, func() error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("err = %v, ran = %v", err, ran)
	}
	if m.sum != (Effort{}) {
		t.Errorf("effort = %+v", m.sum)
	}
}

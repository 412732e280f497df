package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeboat/cmd/internal/config"
	"lifeboat/drill"
)

func TestNoMoreDrillsRunAtATimeThanMay(t *testing.T) {
	t.Parallel()
	var s slots
	take := func(want bool) {
		t.Helper()
		if got := s.take(); got != want {
			t.Errorf("room for one more: %t", got)
		}
	}
	take(false)
	s.allow(2)
	take(true)
	take(true)
	take(false)
	s.allow(1) // by a reload, while two run
	s.give()
	take(false)
	s.give()
	take(true)
}

func TestEvidenceIsReadUntilItSaysWhenEachDrillIsDue(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		endings []string // of the newest first
		enough  bool
	}{
		"none":                    {nil, false},
		"of an old version":       {[]string{""}, true},
		"finished":                {[]string{drill.EndedFinished}, true},
		"killed at its deadline":  {[]string{drill.EndedDeadline}, true},
		"stopped says nothing":    {[]string{drill.EndedStopped, drill.EndedStopped}, false},
		"one that died does not":  {[]string{drill.EndedDied}, false},
		"two that died in a row":  {[]string{drill.EndedDied, drill.EndedDied}, true},
		"stopped, then finished":  {[]string{drill.EndedStopped, drill.EndedFinished}, true},
		"died, and one before it": {[]string{drill.EndedDied, drill.EndedFinished}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWanted([]string{"nightly"})
			w.saw(&drill.Result{Drill: "another", Ending: drill.Ending{How: drill.EndedFinished}})
			for _, how := range tc.endings {
				w.saw(&drill.Result{Drill: "nightly", Ending: drill.Ending{How: how}})
			}
			if w.satisfied() != tc.enough {
				t.Errorf("enough: %t", w.satisfied())
			}
		})
	}
}

func TestLimitsThatTheMachineDoesNotAllowAreShown(t *testing.T) {
	t.Parallel()
	settings := &config.Config{Scheduler: config.Scheduler{Parallel: 2, Nice: 5, IOPriority: config.IOIdle, CPULimit: 150, MemoryLimit: 1 << 30}}
	s := &scheduler{daemon: &daemon{app: &app{log: slog.New(slog.DiscardHandler), now: time.Now}}, settings: settings, metrics: newSchedulerMetrics()}
	s.confine(t.TempDir()) // no control groups there
	if s.groups != nil {
		t.Error("there are groups")
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.metrics.allowed, s.metrics.inForce)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			got[family.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	for limit, want := range map[string][2]float64{"cpu": {1.5, 0}, "memory": {1 << 30, 0}, "parallel": {2, 1}, "nice": {5, 1}} {
		if got["lifeboat_drill_limit "+limit] != want[0] || got["lifeboat_drill_limit_in_force "+limit] != want[1] {
			t.Errorf("%s: want %v in %v", limit, want, got)
		}
	}
	if len(got) != 8 {
		t.Errorf("%v, also without a limit", got)
	}
}

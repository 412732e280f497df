package drill

import (
	"time"

	"lifeboat/internal/wal"
)

// The phases of a drill.
const (
	PhasePlan    = "plan"
	PhaseFetch   = "fetch"
	PhaseStart   = "start"  // until the server begins to replay
	PhaseReplay  = "replay" // until it answers at a stop
	PhaseVerify  = "verify"
	PhaseDump    = "dump" // where one is asked for: making it, and restoring it once
	PhaseCleanup = "cleanup"
)

// stopwatch adds up how long each phase takes.
type stopwatch struct {
	now     func() time.Time
	spent   map[string]time.Duration
	bytes   map[string]int64
	copied  copied // in the fetch
	replays []replay
	atReach time.Duration // what recovery to the drill's target took; 0 before that
	toReach []Phase       // the same in parts
}

// replay is one start of the server and its recovery.
type replay struct {
	start, spent time.Duration // until it began to replay, and in all
	redo         wal.LSN       // where it began
}

// time starts to measure a phase, and its result ends that.
func (s *stopwatch) time(phase string) func() {
	started := s.now()
	return func() { s.add(phase, s.now().Sub(started)) }
}

func (s *stopwatch) add(phase string, d time.Duration) {
	if s.spent == nil {
		s.spent = map[string]time.Duration{}
	}
	s.spent[phase] += max(0, d)
}

func (s *stopwatch) addBytes(phase string, n int64) {
	if s.bytes == nil {
		s.bytes = map[string]int64{}
	}
	s.bytes[phase] += n
}

func (s *stopwatch) addReplay(r replay) {
	s.replays = append(s.replays, r)
	s.add(PhaseStart, r.start)
	s.add(PhaseReplay, r.spent-r.start)
}

// reach notes that the drill's target was reached in the last replay, and answered after so long. A recovery without a
// drill would have planned and fetched once and replayed from the start of the backup: what earlier replays did counts
// only where the last one went on from there.
func (s *stopwatch) reach(answered time.Duration) {
	last := s.replays[len(s.replays)-1]
	replayed := last.spent - last.start
	for _, r := range s.replays[:len(s.replays)-1] {
		if r.redo < last.redo {
			replayed += r.spent - r.start
		}
	}
	s.atReach, s.toReach = 0, nil
	for _, part := range []struct {
		name  string
		spent time.Duration
	}{
		{PhasePlan, s.spent[PhasePlan]}, {PhaseFetch, s.spent[PhaseFetch]}, {PhaseStart, last.start}, {PhaseReplay, replayed}, {PhaseAnswer, answered},
	} {
		s.atReach += part.spent
		s.toReach = append(s.toReach, Phase{Name: part.name, Seconds: part.spent.Seconds(), Bytes: s.bytes[part.name]})
	}
}

func (s *stopwatch) phases() []Phase {
	var list []Phase
	for _, name := range []string{PhasePlan, PhaseFetch, PhaseStart, PhaseReplay, PhaseVerify, PhaseDump, PhaseCleanup} {
		if name == PhaseDump && s.spent[name] == 0 {
			continue
		}
		list = append(list, Phase{Name: name, Seconds: s.spent[name].Seconds(), Bytes: s.bytes[name]})
	}
	return list
}

package drill

import "time"

// The phases of a drill.
const (
	PhasePlan    = "plan"
	PhaseFetch   = "fetch"
	PhaseStart   = "start"  // until the server begins to replay
	PhaseReplay  = "replay" // until it answers at a stop
	PhaseVerify  = "verify"
	PhaseCleanup = "cleanup"
)

// stopwatch adds up how long each phase takes.
type stopwatch struct {
	now     func() time.Time
	spent   map[string]time.Duration
	bytes   map[string]int64
	copied  time.Duration // of the fetch: moving file contents, which grows with the cluster
	atReach time.Duration // plan, fetch, start and replay up to the drill's target
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

// reach notes that the drill's target was reached: the recovery time is what was spent so far, without the
// comparisons at earlier stops.
func (s *stopwatch) reach() {
	s.atReach = s.spent[PhasePlan] + s.spent[PhaseFetch] + s.spent[PhaseStart] + s.spent[PhaseReplay]
}

func (s *stopwatch) phases() []Phase {
	var list []Phase
	for _, name := range []string{PhasePlan, PhaseFetch, PhaseStart, PhaseReplay, PhaseVerify, PhaseCleanup} {
		list = append(list, Phase{Name: name, Seconds: s.spent[name].Seconds(), Bytes: s.bytes[name]})
	}
	return list
}

package drill

import (
	"fmt"
	"slices"
	"strings"
)

// judge says in a sentence what the time has shown, and lists what is open. Whatever is missing counts against it.
func (s *Summary) judge() {
	all := s.total()
	s.addMissing()
	s.addFailures()
	s.addEvidence()
	switch {
	case all.Run == 0:
		s.Headline = "Nothing was shown in this time: no drill was run."
	case len(s.Open) == 0:
		s.Headline = fmt.Sprintf("Every drill that was run passed (%d), none that was planned is missing, and all evidence is whole.", all.Run)
		if all.Failed+all.Unproven > 0 {
			s.Headline = fmt.Sprintf("%d of %s passed, after each that did not the same drill passed later, none that was planned is missing, and all evidence is whole.", all.Passed, plural(all.Run, "drill"))
		}
	default:
		s.Headline = fmt.Sprintf("%d of %s passed; what is listed below needs an explanation.", all.Passed, plural(all.Run, "drill"))
	}
}

// Sound says that all evidence could be read, and that none was changed or taken away as far as shows.
func (s *Summary) Sound() bool {
	return len(s.Chain.Broken) == 0 && !slices.ContainsFunc(s.Evidence, func(e EvidenceKept) bool { return e.Drill == unreadable })
}

func (s *Summary) open(format string, args ...any) {
	s.Open = append(s.Open, fmt.Sprintf(format, args...))
}

// addMissing looks for months and drills in which too little happened.
func (s *Summary) addMissing() {
	var without, unpassed []string
	for _, m := range s.Months {
		switch {
		case m.Ahead:
		case m.All.Run == 0:
			without = append(without, m.Month)
		case m.All.Passed == 0:
			unpassed = append(unpassed, m.Month)
		}
	}
	if len(without) > 0 {
		s.open("No drill was run in %s.", strings.Join(without, ", "))
	}
	if len(unpassed) > 0 {
		s.open("Drills were run, and none passed, in %s.", strings.Join(unpassed, ", "))
	}
	for i, n := range s.Drills {
		missing := 0
		for _, m := range s.Months {
			missing += max(0, m.Drills[i].Planned-m.Drills[i].Run)
		}
		if missing > 0 {
			s.open("Drill %s was planned %s, by its schedule of now; %s of them it was not run.", n.Name, times(n.Planned), times(missing))
		}
	}
}

func times(n int) string {
	if n == 1 {
		return "1 time"
	}
	return fmt.Sprintf("%d times", n)
}

// addFailures looks for what was never mended.
func (s *Summary) addFailures() {
	last := map[string]Failure{}
	left := map[string]int{}
	for _, f := range s.Failures {
		if f.MendedBy == "" {
			last[f.Drill] = f
			left[f.Drill]++
		}
	}
	for _, n := range s.Drills {
		if f := last[n.Name]; left[n.Name] > 0 {
			s.open("Drill %s has not passed since %s (%s, %s).", n.Name, stamp(f.Started), f.Verdict, f.ID)
		}
	}
}

// addEvidence looks for evidence that does not hold.
func (s *Summary) addEvidence() {
	unread, unsigned, unchecked := 0, 0, 0
	for _, e := range s.Evidence {
		switch {
		case e.Drill == unreadable:
			unread++
		case e.Signature == Unsigned:
			unsigned++
		case e.Signature == Unchecked:
			unchecked++
		}
	}
	if unread > 0 {
		s.open("The evidence of %s cannot be read, and counts as unproven.", plural(unread, "drill"))
	}
	if unsigned > 0 {
		s.open("The evidence of %s is not signed: its checksum shows damage, and not who wrote it.", plural(unsigned, "drill"))
	}
	if unchecked > 0 {
		s.open("The evidence of %s is signed, and no public key is configured here to check that with.", plural(unchecked, "drill"))
	}
	for _, b := range s.Chain.Broken {
		if b.Gone {
			s.open("The evidence of drill %s is gone, though that of %s names it and older evidence is there.", b.ID, b.By)
			continue
		}
		s.open("The evidence of drill %s is not what that of %s says it was.", b.ID, b.By)
	}
}

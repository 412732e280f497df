package drill

import (
	"fmt"
	"time"
)

// Clause is something that a reader may be asked for, in our own short words, with what of the summary speaks to it and
// what the summary cannot show. It is a guide to the evidence, and no statement that anything is fulfilled.
type Clause struct {
	Source string   `json:"source"`
	Asks   string   `json:"asks"`
	Shown  []string `json:"shown"`
	Beyond string   `json:"beyond"`
}

// ClausesNote stands with the clauses wherever they are shown.
const ClausesNote = "The words for each clause are a short reading of it and not its text. Whether it is met is for an auditor to say, with more than this report at hand."

// clauses are those of three frameworks that ask for restore tests.
func clauses(s *Summary) []Clause {
	return []Clause{soc2(s), iso27001(s), dora1(s), dora2(s), dora3(s), dora6(s), dora7(s)}
}

func soc2(s *Summary) Clause {
	return Clause{
		Source: "SOC 2, Trust Services Criteria, A1.3",
		Asks:   "The procedures of the recovery plan are tried, so that it is known whether the system can be recovered as was promised.",
		Shown:  []string{s.tellDrills(), s.tellTimes(), s.tellFailures(), s.tellContent()},
		Beyond: "How people carried out the plan: who was called, who decided, how customers were told. Recovery of anything but this PostgreSQL cluster. Whether anybody has read the results.",
	}
}

func iso27001(s *Summary) Clause {
	return Clause{
		Source: "ISO/IEC 27001:2022, Annex A 8.13",
		Asks:   "Backups of information, software and systems are kept, and regularly tested, as the organisation's own backup policy says.",
		Shown:  []string{s.tellBackups(), s.tellDrills(), s.tellPolicies(), s.tellEvidence()},
		Beyond: "The policy itself, and that somebody has agreed to it. Backups of other data, of software and of systems. How the storage is protected and where it is.",
	}
}

func dora1(s *Summary) Clause {
	return Clause{
		Source: "DORA, Regulation (EU) 2022/2554, Article 12 (1)",
		Asks:   "There are written policies on what is backed up and how often, by how critical the data is, and written methods of restoration and recovery.",
		Shown:  []string{s.tellPolicies()},
		Beyond: "The policies and methods themselves, and the judgement of how critical the data is. A checksum here changes when what drills are held to was changed.",
	}
}

func dora2(s *Summary) Clause {
	return Clause{
		Source: "DORA, Article 12 (2)",
		Asks:   "Backup systems can be set to work without harm to security or to the data, and backup, restoration and recovery are tested from time to time.",
		Shown:  []string{s.tellDrills(), s.tellFailures(), "Each drill restores into a scratch server that does not archive and runs no restored configuration; its evidence says whether it left anything behind."},
		Beyond: "Tests of backup systems other than this one.",
	}
}

func dora3(*Summary) Clause {
	return Clause{
		Source: "DORA, Article 12 (3)",
		Asks:   "Data is restored on systems that are apart from the source, physically and logically, and guarded against access and corruption.",
		Shown:  []string{"Each drill's evidence names the machine it ran on, its kernel, and the repository that it read; objects are proven by checksums, and where keys are configured by signatures."},
		Beyond: "Whether that machine and the storage are apart from production in the sense of the clause: that is a matter of where they were set up.",
	}
}

func dora6(s *Summary) Clause {
	return Clause{
		Source: "DORA, Article 12 (6)",
		Asks:   "Each function has objectives for the time and the point of recovery, which hold in extreme scenarios, too.",
		Shown:  []string{s.tellTimes(), s.tellTargets()},
		Beyond: "Which functions depend on this cluster, and what they need. Loss of a whole site or of the storage is no part of a drill.",
	}
}

func dora7(s *Summary) Clause {
	return Clause{
		Source: "DORA, Article 12 (7)",
		Asks:   "Whoever recovers checks more than once, and reconciles, that the data is whole.",
		Shown:  []string{s.tellContent(), "A drill also reads every object of the repository and compares its checksum; whether it came to that stands among its checks."},
		Beyond: "Checks of meaning that only the application can make, and data that has to be rebuilt from others.",
	}
}

func (s *Summary) total() Count {
	var all Count
	for _, n := range s.Drills {
		all.add(n)
	}
	return all
}

func (s *Summary) tellDrills() string {
	n := s.total()
	text := fmt.Sprintf("Drills planned: %d, run: %d, of which by hand: %d; passed: %d, failed: %d, not proven: %d.", n.Planned, n.Run, n.ByHand, n.Passed, n.Failed, n.Unproven)
	if s.Gap.Seconds > 0 {
		text += fmt.Sprintf(" The longest time without a passed drill is %s, from %s to %s.", spell(seconds(s.Gap.Seconds)), day(s.Gap.From), day(s.Gap.To))
	}
	return text
}

func (s *Summary) tellTimes() string {
	return "Time to recover: " + s.RTO.tell() + ". Loss, had production been gone: " + s.RPO.tell() + "."
}

func (p Spread) tell() string {
	if p.Measured == 0 {
		return "not measured"
	}
	return fmt.Sprintf("best %s, median %s, worst %s, in %s", spell(seconds(p.Best)), spell(seconds(p.Median)), spell(seconds(p.Worst)), plural(p.Measured, "drill"))
}

func (s *Summary) tellTargets() string {
	if len(s.Targets) == 0 {
		return "No target was judged."
	}
	text := "Documented targets, as often as they were kept:"
	for i, t := range s.Targets {
		if i > 0 {
			text += ";"
		}
		text += fmt.Sprintf(" %s (%s) %d of %d", t.Name, t.Promised, t.Kept, t.Kept+t.Missed+t.Unproven)
	}
	return text + "."
}

func (s *Summary) tellContent() string {
	c := s.Content
	return fmt.Sprintf("Drills that compared rows with production's: %d. Added over all of them: %s tables with %s rows at the very position in the log where production was counted, %s tables with %s rows within a tolerance, %s tables that differed by more. Drills that compared none: %d.",
		c.ExactDrills+c.TolerantDrills, count(c.ExactTables), count(c.ExactRows), count(c.TolerantTables), count(c.TolerantRows), count(c.WrongTables), c.WithoutDrills)
}

func (s *Summary) tellFailures() string {
	if len(s.Failures) == 0 && len(s.Evidence) == 0 {
		return "No drill was run."
	}
	if len(s.Failures) == 0 {
		return "No drill failed or stayed unproven."
	}
	mended, longest := 0, 0.0
	for _, f := range s.Failures {
		if f.MendedBy != "" {
			mended++
			longest = max(longest, f.MendedSeconds)
		}
	}
	text := fmt.Sprintf("Drills that failed or stayed unproven, each listed with its reason: %d; after %d of them the same drill passed later", len(s.Failures), mended)
	if mended > 0 {
		text += ", at the latest " + spell(time.Duration(longest*float64(time.Second))) + " after"
	}
	return text + "."
}

func (s *Summary) tellBackups() string {
	proven := 0
	for _, b := range s.Backups {
		if b.Passed > 0 {
			proven++
		}
	}
	return fmt.Sprintf("Backups that were restored: %d, of which in a drill that passed: %d.", len(s.Backups), proven)
}

func (s *Summary) tellPolicies() string {
	named := 0
	for _, e := range s.Evidence {
		if e.Approver != "" || e.Ticket != "" {
			named++
		}
	}
	return fmt.Sprintf("What drills were held to, and each change of it, is listed (%d); %d of %s name an approver or a ticket.", len(s.Policies), named, plural(len(s.Evidence), "drill"))
}

func (s *Summary) tellEvidence() string {
	verified := 0
	for _, e := range s.Evidence {
		if e.Signature == Verified {
			verified++
		}
	}
	text := fmt.Sprintf("%d of %s have evidence whose signature was verified just now", verified, plural(len(s.Evidence), "drill"))
	if len(s.Chain.Broken) == 0 {
		return text + "; no evidence is known to be missing or changed."
	}
	return text + fmt.Sprintf("; of %d the evidence is missing or was changed.", len(s.Chain.Broken))
}

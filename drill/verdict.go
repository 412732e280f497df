package drill

// Verdict is the outcome of a drill, and of each check and target in it.
type Verdict string

// The verdicts. A check that was not run counts as unproven.
const (
	Pass     Verdict = "pass"
	Warn     Verdict = "warn" // a target is used up to a large part
	Unproven Verdict = "unproven"
	Fail     Verdict = "fail"
	NotRun   Verdict = "not run"
)

// severity orders verdicts: what is wrong outweighs what is not known, and that outweighs what is right. A word that is
// not known counts as not proven.
func (v Verdict) severity() int {
	switch v {
	case Pass:
		return 0
	case Warn:
		return 1
	case Fail:
		return 3
	case Unproven, NotRun:
	}
	return 2
}

// Worst is the verdict that a whole has from its parts; of no parts nothing is proven.
func Worst(parts ...Verdict) Verdict {
	if len(parts) == 0 {
		return Unproven
	}
	worst := parts[0]
	for _, v := range parts[1:] {
		if v.severity() > worst.severity() {
			worst = v
		}
	}
	if worst.severity() == Unproven.severity() {
		return Unproven
	}
	return worst
}

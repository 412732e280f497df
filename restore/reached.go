package restore

import (
	"fmt"
	"regexp"

	"lifeboat/internal/wal"
)

// Reached is where a server's recovery has ended, in the server's own words.
type Reached struct {
	StopReason string  // the line that says why recovery stopped; empty when it ran to the end of the WAL
	LSN        wal.LSN // the end of what was replayed; 0 when not known
}

// NotReachedError says that a recovery did not prove that it ended at the plan's target.
type NotReachedError struct {
	Target  PlannedTarget
	Reached Reached
	Why     string
}

func (e *NotReachedError) Error() string {
	return fmt.Sprintf("recovery target %s is not proven to be reached: %s", e.Target.describe(), e.Why)
}

var (
	stopAtLSN  = regexp.MustCompile(`^recovery stopping (?:after|before) WAL location \(LSN\) "([0-9A-F]+/[0-9A-F]+)"$`)
	stopAtXact = regexp.MustCompile(`^recovery stopping (?:after|before) (?:commit|abort) of transaction (\d+), time (.+)$`)
	stopAtName = regexp.MustCompile(`^recovery stopping at restore point "(.*)", time (.+)$`)
)

const stopAtConsistency = "recovery stopping after reaching consistency"

// CheckReached compares where recovery ended with what the plan wants. Only a stop that fits the target is proof; nil
// means proven. The error is a *NotReachedError.
func (p Plan) CheckReached(r Reached) error {
	why := p.Target.contradiction(r)
	if why == "" {
		return nil
	}
	return &NotReachedError{Target: p.Target, Reached: r, Why: why}
}

func (t PlannedTarget) contradiction(r Reached) string {
	if t.Setting == "" {
		return t.contradictionAtEnd(r)
	}
	if r.StopReason == "" {
		return "the server does not say that it stopped at a target"
	}
	if !t.fits(r.StopReason) {
		return "the server says: " + r.StopReason
	}
	return ""
}

// contradictionAtEnd is for a recovery without a target, which must have replayed the last record that there is.
func (t PlannedTarget) contradictionAtEnd(r Reached) string {
	switch {
	case r.StopReason != "":
		return "the server says: " + r.StopReason
	case !r.LSN.IsValid():
		return "the position that it ended at is not known"
	case r.LSN < t.StopLSN:
		return fmt.Sprintf("it ended at %s, before the last record at %s", r.LSN, t.StopLSN)
	}
	return ""
}

// fits says whether the server's words speak of this target (xlogrecovery.c, recoveryStopsBefore and -After).
func (t PlannedTarget) fits(reason string) bool {
	switch t.Setting {
	case "recovery_target":
		return reason == stopAtConsistency
	case "recovery_target_lsn":
		m := stopAtLSN.FindStringSubmatch(reason)
		if m == nil {
			return false
		}
		want, wantErr := wal.ParseLSN(t.SettingValue)
		got, gotErr := wal.ParseLSN(m[1])
		return wantErr == nil && gotErr == nil && got >= want
	case "recovery_target_name":
		m := stopAtName.FindStringSubmatch(reason)
		return m != nil && m[1] == t.SettingValue
	case "recovery_target_xid":
		m := stopAtXact.FindStringSubmatch(reason)
		return m != nil && m[1] == t.SettingValue
	case "recovery_target_time":
		return stopAtXact.MatchString(reason)
	}
	return false
}

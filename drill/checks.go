package drill

import (
	"fmt"
	"slices"
)

// The checks of every drill. The first five are the quarterly checklist.
const (
	CheckBackup     = "last night's backup restores"
	CheckRows       = "row counts match"
	CheckPITR       = "point-in-time recovery is consistent"
	CheckTime       = "restore time"
	CheckDocumented = "failures are documented"
	CheckRecovery   = "recovery proven"
	CheckRepository = "repository verified"
	CheckPages      = "no damaged pages"
	CheckLeavings   = "nothing left behind"
	CheckDump       = "logical dump restores" // where one is asked for
)

// checklist is the checks in order, each not run until it is set.
type checklist struct {
	checks  []Check
	current []string // the checks that an error now would decide
	endedAt string   // the check at which the drill could not go on
}

func newChecklist() *checklist {
	l := &checklist{}
	names := []string{CheckBackup, CheckRows, CheckPITR, CheckTime, CheckDocumented, CheckRecovery, CheckRepository, CheckPages, CheckLeavings}
	for _, name := range append(names, layerChecks()...) {
		l.checks = append(l.checks, Check{Name: name, Result: NotRun})
	}
	return l
}

// add makes a further check part of the drill.
func (l *checklist) add(name string) { l.checks = append(l.checks, Check{Name: name, Result: NotRun}) }

// during says which checks an error decides from now on.
func (l *checklist) during(names ...string) { l.current = names }

// set decides a check.
func (l *checklist) set(name string, result Verdict, format string, args ...any) {
	for i := range l.checks {
		if l.checks[i].Name == name {
			l.checks[i].Result, l.checks[i].Detail = result, fmt.Sprintf(format, args...)
		}
	}
}

// worsen decides a check unless it has been decided for the worse.
func (l *checklist) worsen(name string, result Verdict, detail string) {
	for _, c := range l.checks {
		if c.Name == name && (c.Result == NotRun || c.Result.severity() < result.severity()) {
			l.set(name, result, "%s", detail)
		}
	}
}

// blame decides the current checks by what ended a part of the drill.
func (l *checklist) blame(err error) {
	for _, name := range l.current {
		l.worsen(name, verdictOf(err), words(err))
	}
	if l.endedAt == "" && len(l.current) > 0 {
		l.endedAt = l.current[0]
	}
}

// judgeDocumented looks whether everything that did not pass says why. Whether the evidence is stored shows later.
func (l *checklist) judgeDocumented() {
	l.set(CheckDocumented, Pass, "every check that did not pass says why, and the evidence is in the repository")
	for _, c := range l.list() {
		if c.Result != Pass && c.Detail == "" {
			l.set(CheckDocumented, Unproven, "%q is %s and does not say why", c.Name, c.Result)
		}
	}
}

// list is all checks; those that were not reached say where the drill ended.
func (l *checklist) list() []Check {
	list := slices.Clone(l.checks)
	for i, c := range list {
		if c.Result == NotRun && c.Detail == "" && l.endedAt != "" {
			list[i].Detail = fmt.Sprintf("the drill could not go on after %q", l.endedAt)
		}
	}
	return list
}

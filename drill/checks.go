package drill

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/restore"
	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
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
)

// checklist is the checks in order, each not run until it is set.
type checklist struct {
	checks  []Check
	current []string // the checks that an error now would decide
}

func newChecklist() *checklist {
	l := &checklist{}
	for _, name := range []string{CheckBackup, CheckRows, CheckPITR, CheckTime, CheckDocumented, CheckRecovery, CheckRepository, CheckPages, CheckLeavings} {
		l.checks = append(l.checks, Check{Name: name, Result: NotRun, Detail: "the drill ended before it"})
	}
	return l
}

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
		if c.Name == name && (c.Result == NotRun || c.Result.severity() <= result.severity()) {
			l.set(name, result, "%s", detail)
		}
	}
}

// blame decides the current checks by what ended the drill.
func (l *checklist) blame(err error) {
	for _, name := range l.current {
		l.worsen(name, verdictOf(err), err.Error())
	}
}

func (l *checklist) list() []Check { return append([]Check(nil), l.checks...) }

// verdictOf tells what an error shows: that the backup is bad, or only that nothing could be shown.
func verdictOf(err error) Verdict {
	var (
		damaged  *catalog.DamagedError
		recovery *server.RecoveryError
		short    *ShortError
		content  *restore.ContentError
	)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unproven
	}
	if errors.As(err, &damaged) || errors.As(err, &recovery) || errors.As(err, &short) || errors.As(err, &content) {
		return Fail
	}
	return Unproven
}

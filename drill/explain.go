package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/restore"
	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
)

// verdictOf tells what an error shows: that the backup is bad, or only that nothing could be shown.
func verdictOf(err error) Verdict {
	var (
		damaged  *catalog.DamagedError
		recovery *server.RecoveryError
		short    *ShortError
		content  *restore.ContentError
		foreign  *ForeignError
	)
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return Unproven
	case errors.As(err, &recovery):
		return verdictOfRecovery(recovery)
	case errors.As(err, &damaged) || errors.As(err, &short) || errors.As(err, &content) || errors.As(err, &foreign):
		return Fail
	}
	return Unproven
}

// notTheBackup are words of a server that ends for a reason which lies in the machine that the drill runs on, or in the
// way to the repository: what is damaged there, reading all of it will tell.
var notTheBackup = []string{
	"could not access directory", "Permission denied", "Cannot allocate memory", "could not map anonymous shared memory",
	"could not create shared memory segment", "No space left on device", "could not create lock file", "could not create any Unix-domain sockets",
	"Too many open files", "could not restore file", "resource manager with ID",
}

// verdictOfRecovery knows what is not the backup's fault. Every other reason is taken to be.
func verdictOfRecovery(e *server.RecoveryError) Verdict {
	words := lastWords(e)
	for _, reason := range notTheBackup {
		if strings.Contains(words, reason) {
			return Unproven
		}
	}
	return Fail
}

// lastWords is why a server ended, in its own words where it has left any.
func lastWords(e *server.RecoveryError) string {
	if !strings.HasPrefix(e.Reason, "the server ended") {
		return e.Reason
	}
	lines := strings.Split(strings.TrimSpace(e.Log), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return e.Reason
}

// words is an error as a check's detail tells it: one line, with the hint that comes with it.
func words(err error) string {
	var recovery *server.RecoveryError
	var hinted interface{ Hint() string }
	text := err.Error()
	switch {
	case errors.Is(err, context.Canceled):
		text = "the drill was interrupted"
	case errors.As(err, &recovery):
		text = strings.ReplaceAll(text, recovery.Reason, lastWords(recovery))
	}
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		text += " (" + hinted.Hint() + ")"
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

// panicError is a defect of the drill itself, which must not keep it from cleaning up.
type panicError struct{ value any }

func (e *panicError) Error() string {
	return fmt.Sprintf("the drill itself is broken, please report this: %v", e.value)
}

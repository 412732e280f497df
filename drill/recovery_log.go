package drill

import (
	"fmt"
	"regexp"
	"strings"
)

// maxRecoveryLines bounds what evidence keeps of the server's log, over all stops.
const maxRecoveryLines = 120

// recoveryWords begin the messages that tell how a recovery went (xlogrecovery.c and xlog.c).
var recoveryWords = []string{
	"starting PostgreSQL", "database system was", "database system is", "starting backup recovery", "restarting backup recovery",
	"starting point-in-time recovery", "starting archive recovery", "entering standby mode", "redo ", "completed backup recovery",
	"consistent recovery state", "recovery stopping", "pausing at the end of recovery", "last completed transaction", "selected new timeline",
	"archive recovery complete", "invalid ", "received ", "shutting down",
}

var serverLine = regexp.MustCompile(`^\S+ \S+ \S+ \[\d+\] ([A-Z]+):  (.*)$`)

// recoveryLines picks the lines of a server's log that tell how recovery went, without what might be secret. Where WAL
// files were restored one after the other, it keeps the first and the last of them.
func recoveryLines(log string) []string {
	var kept []string
	files := 0
	var last string
	flush := func() {
		if files > 2 {
			kept = append(kept, fmt.Sprintf("(%d more files restored)", files-2))
		}
		if files > 1 {
			kept = append(kept, last)
		}
		files = 0
	}
	for line := range strings.Lines(log) {
		line = scrub(strings.TrimRight(line, "\n"))
		switch {
		case strings.Contains(line, "LOG:  restored log file"):
			if files++; files == 1 {
				kept = append(kept, line)
			}
			last = line
		case tellsRecovery(line):
			flush()
			kept = append(kept, line)
		}
	}
	flush()
	return kept
}

// tellsRecovery leaves out what sessions do, whose messages may hold rows.
func tellsRecovery(line string) bool {
	m := serverLine.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	switch severity, text := m[1], m[2]; severity {
	case "FATAL":
		return !strings.Contains(text, "database system is")
	case "WARNING", "PANIC":
		return true
	case "LOG":
		for _, words := range recoveryWords {
			if strings.HasPrefix(text, words) {
				return true
			}
		}
	}
	return false
}

// noteRecovery keeps how the recovery to one stop went.
func (d *drill) noteRecovery(log string) {
	lines := append(d.result.RecoveryLog, recoveryLines(log)...)
	if len(lines) > maxRecoveryLines {
		lines = append(lines[:maxRecoveryLines-1:maxRecoveryLines-1], fmt.Sprintf("(%d more lines)", len(lines)-maxRecoveryLines+1))
	}
	d.result.RecoveryLog = lines
}

const leftOut = "(left out)"

// secrets are what a log may show of settings, and what replaces it.
var secrets = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\b(restore_command|archive_command|archive_cleanup_command|recovery_end_command|primary_conninfo)\b(["']?\s*(?:=|to|:)\s*)("[^"]*"|'(?:[^']|'')*'|.*)`), "${1}${2}" + leftOut},
	{regexp.MustCompile(`(?i)\b(\w*(?:password|passwd|passphrase|secret|token|credential|access_?key|api_?key)\w*)(["']?\s*[=:]\s*)("[^"]*"|'(?:[^']|'')*'|[^\s"',;]+)`), "${1}${2}" + leftOut},
	{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@]+@`), "${1}" + leftOut + "@"},
	{regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`), leftOut},
}

// scrub takes out of a text what might be secret in it.
func scrub(text string) string {
	for _, s := range secrets {
		text = s.pattern.ReplaceAllString(text, s.instead)
	}
	return text
}

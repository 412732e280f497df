package server

import (
	"strings"
	"testing"
	"time"
)

// story puts the prefix of the server's lines before each text: "pid severity: text".
func story(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		pid, rest, _ := strings.Cut(l, " ")
		severity, text, _ := strings.Cut(rest, ": ")
		b.WriteString("2026-11-22 10:21:03.123 UTC [" + pid + "] " + severity + ":  " + text + "\n")
	}
	return b.String()
}

func TestReadRecovery(t *testing.T) {
	t.Parallel()
	const begin = "7 LOG: starting point-in-time recovery to 2026-11-22 10:00:00+00"
	for name, c := range map[string]struct {
		log  string
		want recovery
	}{
		"nothing": {"", recovery{}},
		"paused": {
			story(begin, "7 LOG: recovery stopping before commit of transaction 9, time x", "7 LOG: pausing at the end of recovery"),
			recovery{startup: 7, stop: "recovery stopping before commit of transaction 9, time x", paused: true},
		},
		"promoted": {
			story("7 LOG: starting archive recovery", "7 LOG: last completed transaction was at log time 2026-11-22 10:00:00.5+00",
				"7 LOG: selected new timeline ID: 10", "7 LOG: archive recovery complete", "1 LOG: database system is ready to accept connections"),
			recovery{
				startup: 7, complete: true, promoted: true, timeline: 10,
				lastXact: time.Date(2026, 11, 22, 10, 0, 0, 500000000, time.UTC),
			},
		},
		"ready without an archive recovery": {story("1 LOG: database system is ready to accept connections"), recovery{}},
		"shut down": {
			story(begin, `7 LOG: recovery stopping at restore point "x", time y`, "1 LOG: shutdown at recovery target"),
			recovery{startup: 7, stop: `recovery stopping at restore point "x", time y`, shut: true},
		},
		"gave up": {
			story(begin, "7 FATAL: recovery ended before configured recovery target was reached"),
			recovery{startup: 7, fatal: "recovery ended before configured recovery target was reached"},
		},
		"impatient client": {story(begin, "9 FATAL: the database system is starting up"), recovery{startup: 7}},
		"wrong setting":    {story("1 FATAL: could not create lock file"), recovery{ended: "could not create lock file"}},
		"words of a client": {
			story(begin, "9 LOG: recovery stopping after reaching consistency", "9 LOG: pausing at the end of recovery",
				"9 LOG: archive recovery complete", "9 LOG: selected new timeline ID: 4"),
			recovery{startup: 7},
		},
		"words in a statement": {
			story(begin, "9 LOG: statement: SELECT '") + "\t2026-11-22 10:21:03.123 UTC [7] LOG:  pausing at the end of recovery\n",
			recovery{startup: 7},
		},
		"text of the hook": {story(begin) + "lifeboat-wal: archive recovery complete\n", recovery{startup: 7}},
	} {
		if got := readRecovery(c.log); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzReadRecovery(f *testing.F) {
	f.Add(story("7 LOG: starting archive recovery", "7 LOG: selected new timeline ID: 10"))
	f.Add(story("1 FATAL: x"))
	f.Add("\t\n[]:  ")
	f.Fuzz(func(t *testing.T, log string) {
		r := readRecovery(log)
		if r.promoted && !r.complete {
			t.Errorf("%q: promoted before recovery was complete", log)
		}
	})
}

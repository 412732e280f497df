package server

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/wal"
)

// linePrefix is the log_line_prefix that parseLine reads: time and process.
const linePrefix = "%m [%p] "

// line is one message of the server's log. Further lines of a message start with a tab, so that no text of a client can
// look like a line of its own.
type line struct {
	pid      int
	severity string // LOG, FATAL, HINT, ...
	text     string
}

var logLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \S+ \[(\d+)\] ([A-Z]+[0-9]?):  (.*)$`)

func parseLine(text string) (line, bool) {
	m := logLine.FindStringSubmatch(text)
	if m == nil {
		return line{}, false
	}
	pid, err := strconv.Atoi(m[1])
	return line{pid: pid, severity: m[2], text: m[3]}, err == nil
}

// recovery is what a log tells about one recovery (xlogrecovery.c and postmaster.c; before version 15 xlog.c).
type recovery struct {
	startup  int    // the process that recovers
	stop     string // why recovery stopped; empty when it ran to the end of WAL
	paused   bool
	promoted bool // archive recovery is complete and the server takes writes
	shut     bool // shut down at the target
	complete bool // archive recovery is complete

	timeline wal.TimelineID // the new one, 0 before it is selected
	lastXact time.Time      // of the last transaction that was replayed
	fatal    string         // what the recovering process ended with
	ended    string         // the postmaster's last FATAL, such as a setting that it does not accept
}

func readRecovery(log string) recovery {
	var r recovery
	for text := range strings.Lines(log) {
		if l, ok := parseLine(strings.TrimRight(text, "\n")); ok {
			r.see(l)
		}
	}
	return r
}

func (r *recovery) see(l line) {
	switch {
	case l.severity == "FATAL" || l.severity == "PANIC":
		r.seeFatal(l)
	case l.severity != "LOG":
	case isStart(l.text):
		r.startup = l.pid
	case l.pid == r.startup && r.startup != 0:
		r.seeStartup(l.text)
	case l.text == "database system is ready to accept connections":
		r.promoted = r.complete
	case strings.HasPrefix(l.text, "shutdown at recovery target"):
		r.shut = true
	}
}

func isStart(text string) bool {
	return strings.HasPrefix(text, "starting point-in-time recovery to ") || text == "starting archive recovery"
}

func (r *recovery) seeFatal(l line) {
	if l.pid == r.startup && r.startup != 0 {
		r.fatal = l.text
		return
	}
	if r.startup == 0 && l.text != "the database system is starting up" {
		r.ended = l.text
	}
}

const (
	newTimelineText = "selected new timeline ID: "
	lastXactText    = "last completed transaction was at log time "
)

func (r *recovery) seeStartup(text string) {
	switch {
	case strings.HasPrefix(text, "recovery stopping "):
		r.stop = text
	case text == "pausing at the end of recovery":
		r.paused = true
	case text == "archive recovery complete":
		r.complete = true
	case strings.HasPrefix(text, newTimelineText):
		if tli, err := wal.ParseTimelineID(strings.TrimPrefix(text, newTimelineText)); err == nil {
			r.timeline = tli
		}
	case strings.HasPrefix(text, lastXactText):
		if t, ok := parseLogTime(strings.TrimPrefix(text, lastXactText)); ok {
			r.lastXact = t
		}
	}
}

// parseLogTime reads a timestamptz as the server prints it in the time zone UTC and ISO style.
func parseLogTime(text string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999-07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

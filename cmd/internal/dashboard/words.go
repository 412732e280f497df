package dashboard

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
)

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func spell(d time.Duration) string { return term.Duration(d.Truncate(time.Millisecond)) }

// rough is a length of time in its largest unit and the next one, without fractions.
func rough(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	if d < time.Hour {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return term.Duration(d)
}

// ago says how far from now a moment lies, on either side.
func ago(now, t time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "never"
	case d < 0:
		return "in " + rough(-d)
	default:
		return rough(d) + " ago"
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sentence makes the words of an error one.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	if last := text[len(text)-1]; last != '.' && last != '!' && last != '?' {
		text += "."
	}
	first, length := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[length:]
}

func percent(p float64) string {
	switch {
	case p > 0 && p < 1:
		return "under 1 %"
	case p > 999:
		return "over 10 times"
	}
	return fmt.Sprintf("%.0f %%", p)
}

// sign is a verdict without colour.
func sign(v drill.Verdict) string {
	switch v {
	case drill.Pass:
		return "✓"
	case drill.Warn:
		return "!"
	case drill.Fail:
		return "✕"
	case drill.Unproven, drill.NotRun:
	}
	return "?"
}

// class is a verdict as a CSS class. One that this version does not know is unproven.
func class(v drill.Verdict) string {
	switch v {
	case drill.Pass, drill.Warn, drill.Fail:
		return string(v)
	case drill.Unproven, drill.NotRun:
	}
	return string(drill.Unproven)
}

package term

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Bar is one line that shows how far a piece of work has come. On a terminal it redraws itself in place, at most ten
// times a second; elsewhere it writes nothing, so that logs stay short. It is safe for concurrent use.
type Bar struct {
	p     *Printer
	now   func() time.Time
	mutex sync.Mutex
	start time.Time
	drawn time.Time
	shown bool
}

// Bar starts a progress line; now is the clock.
func (p *Printer) Bar(now func() time.Time) *Bar {
	return &Bar{p: p, now: now, start: now()}
}

// Show draws the state of the work: what is being done, and done of total bytes where total is known.
func (b *Bar) Show(what string, done, total int64) {
	if !b.p.tty {
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	now := b.now()
	if now.Sub(b.drawn) < 100*time.Millisecond {
		return
	}
	b.drawn, b.shown = now, true
	b.p.Printf("\r\x1b[K%s", b.line(what, done, total, now))
}

func (b *Bar) line(what string, done, total int64, now time.Time) string {
	if total <= 0 {
		return clip(fmt.Sprintf("  %s  %s", what, Duration(now.Sub(b.start))), b.p.width)
	}
	share := min(1, float64(done)/float64(total))
	const cells = 24
	full := int(share * cells)
	text := fmt.Sprintf("  %s  %s%s %3.0f %%  %s of %s", what, strings.Repeat("█", full), strings.Repeat("░", cells-full), share*100, Bytes(done), Bytes(total))
	if elapsed := now.Sub(b.start).Seconds(); elapsed > 0.5 {
		text += fmt.Sprintf("  %s/s", Bytes(int64(float64(done)/elapsed)))
	}
	return clip(text, b.p.width)
}

// Done wipes the line, so that what is printed next stands alone.
func (b *Bar) Done() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.shown {
		b.p.Printf("\r\x1b[K")
		b.shown = false
	}
}

func clip(text string, width int) string {
	runes := []rune(text)
	if len(runes) < width {
		return text
	}
	return string(runes[:width-1])
}

// Package term writes for people: aligned tables, human units, a progress line on a terminal, and colour only there.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Printer writes text to one stream and knows whether a person looks at it through a terminal.
type Printer struct {
	w     io.Writer
	tty   bool
	width int // in columns; of a terminal only
}

// New returns a Printer on w. Colour and live progress are used when w is a terminal that has not opted out through
// NO_COLOR or TERM=dumb.
func New(w io.Writer) *Printer {
	p := &Printer{w: w, width: 80}
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return p
	}
	p.tty = true
	if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 20 {
		p.width = columns
	}
	return p
}

// Terminal says whether a person watches.
func (p *Printer) Terminal() bool { return p.tty }

// Printf writes formatted text as it is. A reader that has gone away is no reason to stop the work.
func (p *Printer) Printf(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format, args...)
}

// Colour is how a word is set on a terminal.
type Colour string

// The few colours in use: good, doubtful, bad, beside the point, and a heading.
const (
	Good   Colour = "32"
	Doubt  Colour = "33"
	Bad    Colour = "31"
	Dim    Colour = "2"
	Strong Colour = "1"
)

// Paint sets text in a colour where the stream is a terminal, and leaves it plain elsewhere.
func (p *Printer) Paint(c Colour, text string) string {
	if !p.tty || os.Getenv("NO_COLOR") != "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Verdict paints a result word (pass, warn, fail, unproven, …) in the colour of its meaning.
func (p *Printer) Verdict(word string) string {
	switch word {
	case "pass", "ok":
		return p.Paint(Good, word)
	case "warn", "unproven", "not run":
		return p.Paint(Doubt, word)
	case "fail":
		return p.Paint(Bad, word)
	}
	return word
}

// Column describes one column of a table.
type Column struct {
	Title string
	Right bool // numbers are set flush right
}

// Table writes rows under their titles, each column as wide as its widest cell. Cells that are verdicts are painted.
func (p *Printer) Table(columns []Column, rows [][]string) {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.Title
	}
	p.row(columns, widths, titles, func(text string) string { return p.Paint(Dim, text) })
	for _, row := range rows {
		p.row(columns, widths, row, p.Verdict)
	}
}

func (p *Printer) row(columns []Column, widths []int, cells []string, paint func(string) string) {
	var line strings.Builder
	for i, cell := range cells {
		space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		line.WriteString("  ")
		if columns[i].Right {
			line.WriteString(space + paint(cell))
		} else {
			line.WriteString(paint(cell) + space)
		}
	}
	p.Printf("%s\n", strings.TrimRight(line.String(), " "))
}

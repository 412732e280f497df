package demo

import (
	"fmt"
	"strings"
	"time"

	"lifeboat/cmd/internal/term"
)

func (s *story) heading(number int, title string) {
	s.Out.Printf("\n%s\n", s.Out.Paint(term.Strong, fmt.Sprintf(" %d   %s", number, title)))
}

func (s *story) done(format string, args ...any) {
	s.Out.Printf("     %s %s\n", s.Out.Paint(term.Good, "✓"), fmt.Sprintf(format, args...))
}

// command shows what is typed; the scene's long paths are cut to their names.
func (s *story) command(args []string) {
	words := append([]string{"lifeboat"}, args...)
	for i, word := range words {
		word = strings.ReplaceAll(word, s.scene.dir+"/", "")
		if strings.Contains(word, " ") {
			word = "'" + word + "'"
		}
		words[i] = word
	}
	s.Out.Printf("     %s\n", s.Out.Paint(term.Dim, "$ "+strings.Join(words, " ")))
}

// tellVerdict sets the drill's result in a table: rows, then each target, then the checks.
func (s *story) tellVerdict() {
	var rows, expected int64
	for _, t := range s.drill.Rows.Tables {
		rows, expected = rows+t.Actual, expected+t.Expected
	}
	s.Out.Printf("     %s rows restored, %s expected, comparison %s\n\n", term.Count(rows), term.Count(expected), s.drill.Rows.Comparison)
	var checks [][]string
	for _, c := range s.drill.Checks {
		checks = append(checks, []string{"  " + c.Name, c.Result})
	}
	s.Out.Table([]term.Column{{Title: "  check"}, {Title: "result"}}, checks)
	for _, c := range s.drill.Checks {
		if c.Result != "pass" {
			s.Out.Printf("     %s: %s\n", c.Name, c.Detail)
		}
	}
	s.Out.Printf("\n")
	var targets [][]string
	for _, t := range s.drill.Targets {
		targets = append(targets, []string{"  " + t.Name, t.Target, t.Actual, fmt.Sprintf("%.0f %%", t.Used), t.Result})
	}
	s.Out.Table([]term.Column{{Title: "  target"}, {Title: "promised"}, {Title: "measured"}, {Title: "used", Right: true}, {Title: "result"}}, targets)
	s.Out.Printf("\n     verdict: %s\n", s.Out.Paint(term.Strong, s.Out.Verdict(s.drill.Verdict)))
}

func (s *story) tellEnd() {
	s.Out.Printf("\n     The report: %s\n", s.Report)
	s.Out.Printf("     The whole story took %s.\n", term.Duration(s.Now().Sub(s.started).Round(100*time.Millisecond)))
}

// tellKept says how to look at what Keep left.
func (s *story) tellKept() {
	as, dir := "", s.scene.dir
	if s.scene.credential != nil {
		as = "runuser -u " + s.scene.userName + " -- "
	}
	pgCtl := as + s.scene.postgresBin + "/pg_ctl stop -m immediate -D " + dir
	s.Out.Printf("\n     The scene is kept in %s: the primary and the recovered server run, the load has stopped.\n", dir)
	for _, line := range []string{
		as + dir + "/bin/lifeboat list --config " + dir + "/lifeboat.yaml",
		as + dir + "/bin/lifeboat verify --config " + dir + "/lifeboat.yaml",
		fmt.Sprintf("%spsql -h %s/socket -p %d -U postgres   # the primary", as, dir, primaryPort),
		fmt.Sprintf("%spsql -h %s/socket -p %d -U postgres   # the recovered server", as, dir, restoredPort),
		fmt.Sprintf("%s/recovered; %s/primary; %srm -r %s   # clear away", pgCtl, pgCtl, s.scene.store.killer(), dir),
	} {
		s.Out.Printf("       %s\n", line)
	}
}

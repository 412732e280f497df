package dashboard

import (
	"fmt"
	"slices"
	"time"

	"lifeboat/drill"
)

// Concern is one thing that keeps a cluster from being good.
type Concern struct {
	Result drill.Verdict
	About  string // one of the subjects below, or AboutDrill of a drill
	Text   string
	Mark   string // other than before: something else is wrong now
	Early  bool   // nothing went wrong: it has not come to it yet
}

// The subjects of concerns that are not of one drill.
const (
	AboutView    = "view of the repository"
	AboutBackups = "backups"
	AboutGaps    = "gaps"
	AboutObjects = "repository"
	AboutDrills  = "drills"
)

// AboutDrill is the subject of concerns about one drill.
func AboutDrill(name string) string { return "drill " + name }

// Judge says how a cluster is at a moment, and why, the worst first. It is pass only where everything is known, was seen
// not long ago, and is good.
func (c *Cluster) Judge(now time.Time, staleAfter time.Duration) (drill.Verdict, []Concern) {
	concerns := slices.Concat(c.judgeView(now, staleAfter), c.judgeArchive(now), c.judgeDrills(now))
	slices.SortStableFunc(concerns, func(a, b Concern) int { return severity(b.Result) - severity(a.Result) })
	if len(concerns) == 0 {
		return drill.Pass, nil
	}
	return concerns[0].Result, concerns
}

// Stale says that what was seen of the cluster is too old to prove anything, or that nothing was seen.
func (c *Cluster) Stale(now time.Time, staleAfter time.Duration) bool {
	return c.Seen.IsZero() || now.Sub(c.Seen) > staleAfter || c.Seen.After(now.Add(staleAfter))
}

func (c *Cluster) judgeView(now time.Time, staleAfter time.Duration) []Concern {
	if !c.Stale(now, staleAfter) {
		return nil
	}
	text := "Nothing is known of it: its repository was not read yet."
	if !c.Seen.IsZero() {
		text = fmt.Sprintf("What is shown here is of %s (%s). It says nothing about now.", stamp(c.Seen), ago(now, c.Seen))
	}
	if c.Trouble != "" {
		text += " " + sentence(c.Trouble)
	}
	return []Concern{{Result: drill.Unproven, About: AboutView, Text: text}}
}

func (c *Cluster) judgeArchive(now time.Time) []Concern {
	if c.Seen.IsZero() {
		return nil
	}
	var list []Concern
	newest := c.newestBackup()
	switch {
	case newest == nil:
		list = append(list, Concern{Result: drill.Fail, About: AboutBackups, Text: "There is no backup: nothing can be recovered."})
	case c.MaxBackupAge > 0 && now.Sub(newest.Finished) > c.MaxBackupAge:
		list = append(list, Concern{Result: drill.Fail, About: AboutBackups, Text: fmt.Sprintf("The newest backup is of %s (%s), and is to be at most %s old.",
			stamp(newest.Finished), ago(now, newest.Finished), spell(c.MaxBackupAge))})
	case len(c.Windows) == 0:
		list = append(list, Concern{Result: drill.Fail, About: AboutBackups, Text: "No moment can be reached."})
	}
	for _, g := range c.Gaps {
		if !g.Mended {
			list = append(list, Concern{Result: drill.Fail, About: AboutGaps, Mark: g.FromLSN, Text: fmt.Sprintf(
				"WAL is missing on timeline %d from %s to %s. Nothing behind it can be reached until a backup is made.", g.Timeline, g.FromLSN, g.ToLSN)})
		}
	}
	for _, p := range c.Problems {
		list = append(list, Concern{Result: drill.Fail, About: AboutObjects, Mark: "problem", Text: sentence(p)})
	}
	for _, d := range c.Doubts {
		list = append(list, Concern{Result: drill.Unproven, About: AboutObjects, Mark: "doubt", Text: sentence(d)})
	}
	return list
}

func (c *Cluster) judgeDrills(now time.Time) []Concern {
	if c.Seen.IsZero() {
		return nil
	}
	var list []Concern
	scheduled := false
	for _, d := range c.Drills {
		scheduled = scheduled || d.Schedule != ""
		list = append(list, judgeDrill(d, now)...)
	}
	if !scheduled {
		list = append(list, Concern{Result: drill.Unproven, About: AboutDrills, Text: "No drill has a schedule: nothing proves regularly that the backups come back."})
	}
	if c.Unread > 0 {
		list = append(list, Concern{Result: drill.Unproven, About: AboutDrills, Text: fmt.Sprintf("The evidence of %s cannot be read.", plural(c.Unread, "drill"))})
	}
	return list
}

func judgeDrill(d Drill, now time.Time) []Concern {
	about := AboutDrill(d.Name)
	var list []Concern
	if d.Overdue(now) {
		list = append(list, Concern{Result: drill.Unproven, About: about, Mark: "overdue", Text: fmt.Sprintf("Drill %s ought to have run at %s (%s).", d.Name, stamp(d.Due), ago(now, d.Due))})
	}
	last := d.Last
	switch {
	case last == nil && d.Schedule != "":
		list = append(list, Concern{Result: drill.Unproven, About: about, Early: true, Text: fmt.Sprintf("Drill %s has never run.", d.Name)})
	case last != nil && last.Verdict != drill.Pass:
		text := fmt.Sprintf("Drill %s of %s: %s.", d.Name, stamp(last.Started), last.Verdict)
		if len(last.Why) > 0 {
			text = fmt.Sprintf("Drill %s of %s: %s", d.Name, stamp(last.Started), sentence(last.Why[0]))
		}
		list = append(list, Concern{Result: last.Verdict, About: about, Text: text})
	}
	return list
}

// severity orders verdicts. One that is not known is as bad as unproven.
func severity(v drill.Verdict) int {
	switch v {
	case drill.Pass:
		return 0
	case drill.Warn:
		return 1
	case drill.Fail:
		return 3
	case drill.Unproven, drill.NotRun:
	}
	return 2
}

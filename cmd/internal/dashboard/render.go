package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"slices"
	"time"

	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
)

//go:embed *.tmpl style.css
var files embed.FS

const (
	refreshSeconds = 60
	shownRuns      = 20
	shownBackups   = 20
)

// Renderer writes the pages. Each needs nothing but itself: no script, no font, no picture from elsewhere.
type Renderer struct {
	templates *template.Template
	style     template.CSS
	styleHash string // as a Content-Security-Policy names it
}

// NewRenderer reads what is built in.
func NewRenderer() (*Renderer, error) {
	style, err := files.ReadFile("style.css")
	if err != nil {
		return nil, fmt.Errorf("read the dashboard's style: %w", err)
	}
	// The clock is that of each page: a template is cloned and given its own.
	t, err := template.New("pages").Funcs(words(time.Time{})).ParseFS(files, "*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read the dashboard's pages: %w", err)
	}
	sum := sha256.Sum256(style)
	return &Renderer{templates: t, style: template.CSS(style), styleHash: "sha256-" + base64.StdEncoding.EncodeToString(sum[:])}, nil
}

func words(now time.Time) template.FuncMap {
	return template.FuncMap{
		"stamp": stamp, "spell": spell, "sign": sign, "class": class, "bytes": term.Bytes,
		"ago": func(t time.Time) string { return ago(now, t) },
	}
}

// sheet is what a template shows.
type sheet struct {
	Title, Headline, Summary string
	Refresh                  int // seconds; 0: never
	Style                    template.CSS
	Page                     *Page
	Verdict                  drill.Verdict
	Clusters                 []*shownCluster
	Shown                    *shownCluster
}

// shownCluster is a cluster with all that is computed for its pages.
type shownCluster struct {
	*Cluster
	Verdict     drill.Verdict
	Headline    string
	Alarm       string // why nothing shown is to be believed; empty: it is
	Concerns    []Concern
	Figures     []figure
	Lines       []line
	From        time.Time
	Drills      []shownDrill
	Trends      []trend
	Recent      []shownRun
	More        int
	Newest      []Backup
	MoreBackups int
}

type figure struct{ Title, Value, Note, Link string }

type shownDrill struct {
	Drill
	Last                 *shownRun
	IsRunning, IsOverdue bool
}

type shownRun struct {
	Run
	Link string
}

// Overview writes the page of all clusters.
func (r *Renderer) Overview(w io.Writer, p *Page) error {
	s := &sheet{Title: "Lifeboat", Refresh: refreshSeconds, Page: p, Verdict: drill.Pass}
	if p.Trouble != "" || len(p.Clusters) == 0 {
		s.Verdict = drill.Unproven
	}
	counted := map[drill.Verdict]int{}
	for i := range p.Clusters {
		c := show(&p.Clusters[i], p)
		s.Clusters = append(s.Clusters, c)
		counted[c.Verdict]++
		if severity(c.Verdict) > severity(s.Verdict) {
			s.Verdict = c.Verdict
		}
	}
	slices.SortStableFunc(s.Clusters, func(a, b *shownCluster) int { return severity(b.Verdict) - severity(a.Verdict) })
	s.Headline = headline(s.Verdict)
	s.Summary = fmt.Sprintf("%s: %d pass, %d warn, %d fail, %d unproven.", plural(len(p.Clusters), "cluster"),
		counted[drill.Pass], counted[drill.Warn], counted[drill.Fail], counted[drill.Unproven])
	s.Title = fmt.Sprintf("%s: Lifeboat", s.Verdict)
	return r.write(w, "overview", s)
}

// ClusterPage writes the page of one cluster of the page.
func (r *Renderer) ClusterPage(w io.Writer, p *Page, c *Cluster) error {
	shown := show(c, p)
	return r.write(w, "cluster", &sheet{
		Title: fmt.Sprintf("%s: %s, Lifeboat", shown.Verdict, c.Name), Refresh: refreshSeconds, Page: p, Shown: shown,
	})
}

// Message writes a page that says one thing.
func (r *Renderer) Message(w io.Writer, title, text string) error {
	return r.write(w, "message", &sheet{Title: title, Summary: text})
}

func (r *Renderer) write(w io.Writer, name string, s *sheet) error {
	s.Style = r.style
	t, err := r.templates.Clone()
	if err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	if s.Page != nil {
		t.Funcs(words(s.Page.Now))
	}
	if err := t.ExecuteTemplate(w, name, s); err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	return nil
}

func show(c *Cluster, p *Page) *shownCluster {
	s := &shownCluster{Cluster: c, Lines: c.lines(p.Now), Trends: c.trends()}
	s.Verdict, s.Concerns = c.Judge(p.Now, p.StaleAfter)
	s.Headline = headline(s.Verdict)
	s.takeAlarm()
	for _, w := range c.Windows {
		if s.From.IsZero() || w.From.Before(s.From) {
			s.From = w.From
		}
	}
	for _, d := range c.Drills {
		s.Drills = append(s.Drills, shownDrill{Drill: d, Last: c.link(d.Last), IsRunning: !d.Running.IsZero(), IsOverdue: d.Overdue(p.Now)})
	}
	for i := range c.Runs {
		s.Recent = append(s.Recent, *c.link(&c.Runs[len(c.Runs)-1-i]))
	}
	s.Recent, s.More = first(s.Recent, shownRuns)
	newest := slices.Clone(c.Backups)
	slices.Reverse(newest)
	s.Newest, s.MoreBackups = first(newest, shownBackups)
	s.Figures = figures(c, p.Now)
	return s
}

// takeAlarm makes a banner of the concern that all the others depend on.
func (s *shownCluster) takeAlarm() {
	s.Concerns = slices.DeleteFunc(s.Concerns, func(c Concern) bool {
		if c.About == AboutView {
			s.Alarm = c.Text
		}
		return c.About == AboutView
	})
}

func first[T any](list []T, most int) (shown []T, more int) {
	if len(list) <= most {
		return list, 0
	}
	return list[:most], len(list) - most
}

func (c *Cluster) link(r *Run) *shownRun {
	if r == nil {
		return nil
	}
	return &shownRun{Run: *r, Link: "/drills/" + url.PathEscape(c.Name) + "/" + url.PathEscape(r.ID)}
}

func headline(v drill.Verdict) string {
	switch v {
	case drill.Pass:
		return "Proven: it comes back."
	case drill.Warn:
		return "It comes back, with little to spare."
	case drill.Fail:
		return "Something is wrong."
	case drill.Unproven, drill.NotRun:
	}
	return "Not everything is proven."
}

// figures are what matters most of a cluster.
func figures(c *Cluster, now time.Time) []figure {
	return []figure{reachFigure(c, now), backupFigure(c, now), drillFigure(c, now), nextFigure(c, now)}
}

func reachFigure(c *Cluster, now time.Time) figure {
	f := figure{Title: "Reachable up to", Value: "none known"}
	var newest time.Time
	for _, w := range c.Windows {
		newest = later(newest, w.To)
	}
	if !newest.IsZero() {
		f.Value, f.Note = ago(now, newest), stamp(newest)
	}
	return f
}

func backupFigure(c *Cluster, now time.Time) figure {
	f := figure{Title: "Newest backup", Value: "none known"}
	if b := c.newestBackup(); b != nil {
		f.Value, f.Note = ago(now, b.Finished), b.Type+", "+term.Bytes(b.ClusterBytes)
	}
	return f
}

func drillFigure(c *Cluster, now time.Time) figure {
	f := figure{Title: "Last drill", Value: "none known"}
	if len(c.Runs) > 0 {
		last := c.link(&c.Runs[len(c.Runs)-1])
		f.Value, f.Note, f.Link = string(last.Verdict)+", "+ago(now, last.Started), last.Drill+" at "+stamp(last.Started), last.Link
	}
	return f
}

func nextFigure(c *Cluster, now time.Time) figure {
	f := figure{Title: "Next drill", Value: "none planned"}
	var next time.Time
	for _, d := range c.Drills {
		switch {
		case !d.Running.IsZero():
			return figure{Title: "Running now", Value: d.Name, Note: "since " + stamp(d.Running)}
		case !d.Next.IsZero() && (next.IsZero() || d.Next.Before(next)):
			next = d.Next
			f.Value, f.Note = ago(now, next), d.Name+" at "+stamp(next)
		}
	}
	return f
}

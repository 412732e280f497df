package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/dashboard"
	"lifeboat/drill"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// schedulerPages are the dashboard's source.
type schedulerPages struct{ *scheduler }

// listenDashboard adds the dashboard to what mux shows, and guards all of it.
func (s *scheduler) listenDashboard(mux *http.ServeMux) (*pages, error) {
	server, err := dashboard.NewServer(schedulerPages{s}, s.app.log)
	if err != nil {
		return nil, err
	}
	server.Routes(mux)
	p, err := listenPages("scheduler.listen", s.settings.Scheduler.Listen, mux)
	if err == nil && p.listener != nil {
		p.handler = dashboard.Guard(p.listener.Addr(), mux)
	}
	return p, err
}

// Page implements dashboard.Source.
func (p schedulerPages) Page() *dashboard.Page {
	view := p.view()
	page := dashboardPage(&view)
	if !p.alive() {
		page.Trouble = "The scheduler's main loop stands still: no drill begins. Its service manager is to start it anew."
	}
	return page
}

// Report implements dashboard.Source.
func (p schedulerPages) Report(ctx context.Context, w io.Writer, cluster, id string) error {
	if !catalog.ValidID(id) {
		return dashboard.ErrNoDrill
	}
	c := p.attendedNow()[cluster]
	if c == nil || c.opened() == nil {
		return fmt.Errorf("report of drill %s: the repository of cluster %s is not open", id, cluster)
	}
	ctx, cancel := context.WithTimeout(ctx, pagesPatience)
	defer cancel()
	result, err := drill.Load(ctx, c.opened().cluster, id)
	if errors.Is(err, storage.ErrNotFound) {
		return dashboard.ErrNoDrill
	}
	if err != nil {
		return err
	}
	history, _ := c.evidence.newest(viewedResults) // what cannot be read is told on the cluster's page
	return drill.WriteHTML(w, result, history)
}

// inForce is the configuration that is followed now, and what is known.
func (s *scheduler) inForce() (*config.Config, *dashboard.Page) {
	settings := s.settings
	for _, c := range s.attendedNow() {
		settings = c.settings
	}
	return settings, schedulerPages{s}.Page()
}

// dashboardPage is what the pages show of what the scheduler knows.
func dashboardPage(v *schedulerView) *dashboard.Page {
	p := &dashboard.Page{Now: v.Now, StaleAfter: v.StaleAfter, Version: version()}
	for i := range v.Clusters {
		p.Clusters = append(p.Clusters, dashboardCluster(v, &v.Clusters[i]))
	}
	return p
}

func dashboardCluster(v *schedulerView, c *clusterView) dashboard.Cluster {
	shown := dashboard.Cluster{
		Name: c.Name, Seen: c.Seen, Trouble: c.Trouble, Unread: len(c.Unread),
		MaxBackupAge: oldest(c.Config.Backup.Schedule, v.Now), WarnAt: float64(c.Config.Targets.WarnAt),
	}
	for _, d := range c.Drills {
		shown.Drills = append(shown.Drills, dashboardDrill(d))
	}
	for _, r := range c.Results {
		shown.Runs = append(shown.Runs, dashboard.RunOf(r))
	}
	if c.Inventory != nil {
		showInventory(&shown, c.Inventory)
	}
	return shown
}

func dashboardDrill(d drillView) dashboard.Drill {
	shown := dashboard.Drill{
		Name: d.Name, To: d.Config.To.Value, Schedule: d.Config.Schedule.Value, Next: d.Next, Running: d.Running, Due: d.Overdue, Awaited: d.Elsewhere,
	}
	if d.Last != nil {
		last := dashboard.RunOf(d.Last)
		shown.Last = &last
	}
	return shown
}

func showInventory(c *dashboard.Cluster, inventory *catalog.Inventory) {
	c.SystemIdentifier = fmt.Sprint(inventory.Identity.SystemIdentifier)
	for _, w := range inventory.Windows() {
		c.Windows = append(c.Windows, dashboard.Window{
			Timeline: uint32(w.Timeline), From: w.FromTime, To: w.ToTime, FromLSN: w.FromLSN.String(), ToLSN: w.ToLSN.String(),
		})
	}
	for _, g := range inventory.Gaps() {
		c.Gaps = append(c.Gaps, dashboard.Gap{
			Timeline: uint32(g.Timeline), FromLSN: g.From.String(), ToLSN: g.To.String(), Since: g.Since, Why: g.Why, Mended: inventory.Mended(g),
		})
	}
	for _, b := range inventory.Backups {
		c.Backups = append(c.Backups, dashboard.Backup{
			Label: b.Label, Type: b.Type, Finished: b.StopTime, ClusterBytes: b.ClusterBytes, StoredBytes: b.StoredBytes,
			DamagedPages: len(b.DamagedPages), Timeline: uint32(b.Timeline), ConsistentLSN: b.StopLSN.String(),
		})
	}
	slices.SortStableFunc(c.Backups, func(a, b dashboard.Backup) int {
		return cmp.Or(a.Finished.Compare(b.Finished), cmp.Compare(a.Label, b.Label))
	})
	for _, p := range damages(inventory) {
		c.Problems = append(c.Problems, p.Err.Error())
	}
	for _, f := range conflicts(inventory) {
		c.Problems = append(c.Problems, tellFinding(f))
	}
	if len(inventory.Unreached) > 0 {
		c.Doubts = append(c.Doubts, "of the repositories "+strings.Join(inventory.Unreached, ", ")+" cannot be asked, and may hold more or less")
	}
	if n := len(inventory.Locked); n > 0 {
		c.Doubts = append(c.Doubts, fmt.Sprintf("sealed objects: %d of them open with no identity at hand", n))
	}
}

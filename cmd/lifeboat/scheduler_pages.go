package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lifeboat/cmd/internal/dashboard"
	"lifeboat/storage/catalog"
)

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
		Name: d.Name, To: d.Config.To.Value, Schedule: d.Config.Schedule.Value, Next: d.Next, Running: d.Running, Overdue: d.Overdue,
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

package dashboard_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"lifeboat/cmd/internal/dashboard"
	"lifeboat/drill"
)

// noon is the moment of the tests' pages.
func noon() time.Time { return time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) time.Time { return noon().Add(-d) }

const days = 24 * time.Hour

// sound is a cluster of which everything is known and good.
func sound(name string) dashboard.Cluster {
	c := dashboard.Cluster{
		Name: name, SystemIdentifier: "7412001122334455667", Seen: ago(2 * time.Minute), MaxBackupAge: 26 * time.Hour, WarnAt: 70,
		Windows: []dashboard.Window{{Timeline: 1, From: ago(14 * days), To: ago(4 * time.Second), FromLSN: "0/2000028", ToLSN: "5/A1000110"}},
		Drills: []dashboard.Drill{
			{Name: "nightly", To: "latest", Schedule: "0 4 * * *", Next: ago(-16 * time.Hour)},
			{Name: "quarterly", To: "1h ago", Schedule: "0 6 1 1,4,7,10 *", Next: ago(-11*days - 18*time.Hour)},
		},
	}
	for i := 13; i >= 0; i-- {
		c.Backups = append(c.Backups, dashboard.Backup{
			Label: ago(time.Duration(i)*days - 10*time.Hour + 20*time.Hour).Format("20060102T150405Z"), Type: "full", Timeline: 1,
			Finished: ago(time.Duration(i)*days + 10*time.Hour), ClusterBytes: 412e9 + int64(13-i)*3e9, StoredBytes: 96e9, ConsistentLSN: fmt.Sprintf("%X/28000110", 5),
		})
		c.Runs = append(c.Runs, run("nightly", time.Duration(i)*days+8*time.Hour, drill.Pass, 31+float64((i*7)%9), 4+float64((i*5)%7)))
	}
	c.Runs[3] = run("quarterly", 11*days+6*time.Hour, drill.Pass, 38, 6)
	return latest(c)
}

// latest notes each drill's last run.
func latest(c dashboard.Cluster) dashboard.Cluster {
	for i := range c.Drills {
		c.Drills[i].Last = nil
		for j := range c.Runs {
			if c.Runs[j].Drill == c.Drills[i].Name {
				c.Drills[i].Last = &c.Runs[j]
			}
		}
	}
	return c
}

func run(name string, before time.Duration, verdict drill.Verdict, restore, lost float64) dashboard.Run {
	at := ago(before)
	restored := time.Duration(restore) * 48 * time.Second
	return dashboard.Run{
		ID: at.Format("20060102T150405Z") + "-" + name, Drill: name, Verdict: verdict, Started: at, Took: restored + 9*time.Minute,
		Target: "latest", Rows: "exact", RestoredIn: restored,
		Restore: promise(restore, fmt.Sprintf("%.1f min", 1.2*restore), "at most 2.0 h"), Lost: promise(lost, fmt.Sprintf("%.1f s", 0.6*lost), "at most 60.0 s"),
	}
}

func promise(used float64, actual, target string) dashboard.Promise {
	result := drill.Pass
	switch {
	case used > 100:
		result = drill.Fail
	case used > 70:
		result = drill.Warn
	}
	return dashboard.Promise{Measured: true, Target: target, Actual: actual, UsedPercent: used, Result: result}
}

// failing has a gap, a drill that failed, and a slow restore.
func failing() dashboard.Cluster {
	c := sound("billing")
	c.Windows = []dashboard.Window{
		{Timeline: 1, From: ago(14 * days), To: ago(6 * days), FromLSN: "0/2000028", ToLSN: "2/11000000"},
		{Timeline: 1, From: ago(5 * days), To: ago(30 * time.Hour), FromLSN: "2/40000028", ToLSN: "4/C0000000"},
		{Timeline: 2, From: ago(30 * time.Hour), To: ago(3 * time.Hour), FromLSN: "4/C0000000", ToLSN: "5/1000000"},
	}
	c.Gaps = []dashboard.Gap{
		{Timeline: 1, FromLSN: "2/11000000", ToLSN: "2/40000000", Since: ago(6 * days), Why: "the server had removed it before it was archived: slot lifeboat_billing was lost (wal_status lost)", Mended: true},
		{Timeline: 2, FromLSN: "5/1000000", ToLSN: "5/2000000"},
	}
	failed := run("nightly", 8*time.Hour, drill.Fail, 131, 88)
	failed.Why = []string{"“row counts match”: public.invoice_positions_archive has 1,204,113 rows instead of 1,204,114", "“restore of 1 TB”: 2.6 h; promised: at most 2.0 h"}
	c.Runs[len(c.Runs)-1] = failed
	c.Problems = []string{"object wal/00000002/0000000200000005000000AA.zst is damaged: checksum differs"}
	return c
}

func stale() dashboard.Cluster {
	c := sound("reporting")
	c.Windows[0].To = ago(3 * time.Hour)
	c.Seen, c.Trouble = ago(3*time.Hour), "open the repository: s3://backups/reporting: dial tcp 10.1.2.3:443: i/o timeout"
	return c
}

func unknown() dashboard.Cluster {
	return dashboard.Cluster{Name: "new", Trouble: "the repository does not know cluster new: run 'lifeboat init'"}
}

func near() dashboard.Cluster {
	c := sound("shop")
	c.Runs[len(c.Runs)-1] = run("nightly", 8*time.Hour, drill.Warn, 82, 9)
	c.Runs[len(c.Runs)-1].Why = []string{"“restore of 1 TB”: 98.4 min; promised: at most 2.0 h"}
	c.Drills[0].Running = ago(4 * time.Minute)
	return c
}

func pageOf(clusters ...dashboard.Cluster) *dashboard.Page {
	return &dashboard.Page{Now: noon(), StaleAfter: 15 * time.Minute, Version: "1.0", Clusters: clusters}
}

// fixed is a source that never changes. Its reports are real ones.
type fixed struct{ page *dashboard.Page }

func (f fixed) Page() *dashboard.Page { return f.page }

func (f fixed) Report(_ context.Context, w io.Writer, cluster, id string) error {
	c := f.page.Cluster(cluster)
	for _, r := range c.Runs {
		if r.ID == id {
			return drill.WriteHTML(w, &drill.Result{
				ID: id, Cluster: cluster, Drill: r.Drill, Verdict: r.Verdict, Started: r.Started, Finished: r.Started.Add(r.Took),
				Checks:  []drill.Check{{Name: "row counts match", Result: drill.Pass, Detail: "12 tables, exact"}},
				Targets: []drill.Measured{{Name: drill.TargetTime, Target: r.Restore.Target, Actual: r.Restore.Actual, UsedPercent: r.Restore.UsedPercent, Result: r.Restore.Result}},
			}, nil)
		}
	}
	return fmt.Errorf("%s of %s: %w", id, cluster, dashboard.ErrNoDrill)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)) }

package dashboard_test

import (
	"strings"
	"testing"
	"time"

	"lifeboat/cmd/internal/dashboard"
	"lifeboat/drill"
)

func TestAClusterIsGoodOnlyWhereAllIsKnownAndGood(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(c *dashboard.Cluster)
		want   drill.Verdict
		says   string
	}{
		"sound":                     {func(*dashboard.Cluster) {}, drill.Pass, ""},
		"never looked at":           {func(c *dashboard.Cluster) { *c = dashboard.Cluster{Name: "x"} }, drill.Unproven, "Nothing is known"},
		"looked at long ago":        {func(c *dashboard.Cluster) { c.Seen = ago(16 * time.Minute) }, drill.Unproven, "says nothing about now"},
		"looked at in the future":   {func(c *dashboard.Cluster) { c.Seen = ago(-time.Hour) }, drill.Unproven, "says nothing about now"},
		"a moment's trouble":        {func(c *dashboard.Cluster) { c.Trouble = "timeout" }, drill.Pass, ""},
		"no backup":                 {func(c *dashboard.Cluster) { c.Backups = nil }, drill.Fail, "There is no backup"},
		"old backup":                {func(c *dashboard.Cluster) { c.Backups = c.Backups[:5] }, drill.Fail, "at most 26 h"},
		"no window":                 {func(c *dashboard.Cluster) { c.Windows = nil }, drill.Fail, "No moment"},
		"open gap":                  {func(c *dashboard.Cluster) { c.Gaps = []dashboard.Gap{{Timeline: 1}} }, drill.Fail, "WAL is missing"},
		"gap behind a backup":       {func(c *dashboard.Cluster) { c.Gaps = []dashboard.Gap{{Mended: true}} }, drill.Pass, ""},
		"object not understood":     {func(c *dashboard.Cluster) { c.Problems = []string{"bad object"} }, drill.Fail, "Bad object."},
		"drill failed":              {func(c *dashboard.Cluster) { c.Runs[13].Verdict = drill.Fail }, drill.Fail, "Drill nightly"},
		"drill unproven":            {func(c *dashboard.Cluster) { c.Runs[13].Verdict = drill.Unproven }, drill.Unproven, "Drill nightly"},
		"drill of unknown verdict":  {func(c *dashboard.Cluster) { c.Runs[13].Verdict = "splendid" }, drill.Verdict("splendid"), "splendid"},
		"drill warned":              {func(c *dashboard.Cluster) { c.Runs[13].Verdict = drill.Warn }, drill.Warn, "Drill nightly"},
		"an older run failed":       {func(c *dashboard.Cluster) { c.Runs[12].Verdict = drill.Fail }, drill.Pass, ""},
		"the other drill failed":    {func(c *dashboard.Cluster) { c.Runs[3].Verdict = drill.Fail }, drill.Fail, "Drill quarterly"},
		"drill overdue":             {func(c *dashboard.Cluster) { c.Drills[0].Due = ago(2 * time.Hour) }, drill.Unproven, "ought to have run"},
		"drill about to begin":      {func(c *dashboard.Cluster) { c.Drills[0].Due = ago(time.Minute) }, drill.Pass, ""},
		"drill runs since long":     {func(c *dashboard.Cluster) { c.Drills[0].Due, c.Drills[0].Running = ago(5*time.Hour), ago(5*time.Hour) }, drill.Pass, ""},
		"drill runs elsewhere":      {func(c *dashboard.Cluster) { c.Drills[0].Due, c.Drills[0].Awaited = ago(5*time.Hour), true }, drill.Pass, ""},
		"drill never run":           {func(c *dashboard.Cluster) { c.Runs = c.Runs[4:] }, drill.Unproven, "Drill quarterly has never run"},
		"no drill scheduled":        {func(c *dashboard.Cluster) { c.Drills[0].Schedule, c.Drills[1].Schedule = "", "" }, drill.Unproven, "No drill has a schedule"},
		"one drill by hand, unused": {func(c *dashboard.Cluster) { c.Drills = append(c.Drills, dashboard.Drill{Name: "x"}) }, drill.Pass, ""},
		"a repository is away":      {func(c *dashboard.Cluster) { c.Doubts = []string{"x is away"} }, drill.Unproven, "X is away."},
		"evidence not readable":     {func(c *dashboard.Cluster) { c.Unread = 2 }, drill.Unproven, "evidence of 2 drills"},
		"fails and stale":           {func(c *dashboard.Cluster) { c.Seen, c.Backups = ago(time.Hour), nil }, drill.Fail, "no backup"},
	}
	for name, c := range cases {
		cluster := sound("main")
		c.change(&cluster)
		cluster = latest(cluster)
		verdict, concerns := cluster.Judge(noon(), 15*time.Minute)
		words := ""
		for _, concern := range concerns {
			words += concern.Text + "\n"
		}
		if verdict != c.want || !strings.Contains(words, c.says) || c.says == "" && words != "" {
			t.Errorf("%s: %s, %q; want %s, %q", name, verdict, words, c.want, c.says)
		}
	}
}

package drill

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
	"lifeboat/verify/census"
)

var judged = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func judge(policy Policy) *drill {
	return &drill{
		Options: Options{Targets: policy, Log: slog.New(slog.NewTextHandler(io.Discard, nil))},
		result:  &Result{Started: judged}, checks: newChecklist(), clock: &stopwatch{},
	}
}

// verdictOfCheck is a check's result and detail.
func verdictOfCheck(d *drill, name string) Check {
	for _, c := range d.checks.list() {
		if c.Name == name {
			return c
		}
	}
	return Check{}
}

// TestLastNightsBackupIsTheNewestAndYoung has repositories in which something other than last night's backup comes back.
func TestLastNightsBackupIsTheNewestAndYoung(t *testing.T) {
	t.Parallel()
	type made struct {
		at  wal.LSN
		ago time.Duration
	}
	for name, c := range map[string]struct {
		backups []made
		drilled int
		target  wal.LSN
		want    Verdict // NotRun: nothing speaks against it yet
		says    string
	}{
		"young":                            {[]made{{100, 2 * time.Hour}}, 0, 500, NotRun, ""},
		"a day old, before the next":       {[]made{{100, 25 * time.Hour}}, 0, 500, NotRun, ""},
		"old":                              {[]made{{100, 27 * time.Hour}}, 0, 500, Fail, "is 27.0 h old: at most 26.0 h is promised"},
		"one before the newest":            {[]made{{100, 25 * time.Hour}, {200, time.Hour}}, 0, 500, Unproven, "and not the newest backup, label1"},
		"a target before the newest":       {[]made{{100, 25 * time.Hour}, {200, time.Hour}}, 0, 150, NotRun, ""},
		"a target long before it":          {[]made{{100, 50 * time.Hour}, {200, time.Hour}}, 0, 150, Unproven, "the target lies before the newest backup"},
		"from a clock in the future":       {[]made{{100, -10 * 24 * time.Hour}}, 0, 500, Unproven, "lies in the future"},
		"from a clock that was set back":   {[]made{{100, -10 * 24 * time.Hour}, {200, time.Hour}}, 1, 500, NotRun, ""},
		"set back, and none made since":    {[]made{{100, 24 * time.Hour}, {200, 40 * time.Hour}}, 1, 500, Fail, "label1, is 40.0 h old"},
		"a little ahead of this machine's": {[]made{{100, -30 * time.Second}}, 0, 500, NotRun, ""},
	} {
		d := judge(Policy{MaxBackupAge: 26 * time.Hour, WarnAtPercent: 70})
		var records []catalog.Record
		for i, b := range c.backups {
			records = append(records, catalog.Record{Label: "label" + string(rune('0'+i)), Timeline: 1, StopLSN: b.at, StopTime: judged.Add(-b.ago)})
		}
		d.archive.history = wal.TimelineHistory{Timeline: 1}
		d.archive.newest = d.archive.newestOf(records)
		drilled := records[c.drilled]
		d.plan.Backup = restore.PlannedBackup{Label: drilled.Label, StopTime: drilled.StopTime, StopLSN: drilled.StopLSN}
		d.plan.Target.StopLSN = c.target
		d.judgeBackup()
		if got := verdictOfCheck(d, CheckBackup); got.Result != c.want || !strings.Contains(got.Detail, c.says) {
			t.Errorf("%s: %+v, want %s and %q", name, got, c.want, c.says)
		}
		if m := d.result.Targets[0]; (c.want == NotRun) != (m.Result == Pass) && !strings.Contains(c.says, "newest backup") {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// TestBackupsOfOtherBranchesAreNotLastNights has a younger backup on a timeline that the drill does not follow.
func TestBackupsOfOtherBranchesAreNotLastNights(t *testing.T) {
	t.Parallel()
	a := archive{history: wal.TimelineHistory{Timeline: 2, Entries: []wal.HistoryEntry{{Timeline: 1, SwitchLSN: 300}}}}
	got := a.newestOf([]catalog.Record{
		{Label: "ancestor", Timeline: 1, StopLSN: 250}, {Label: "left", Timeline: 1, StopLSN: 400}, {Label: "other", Timeline: 3, StopLSN: 900},
	})
	if got.Label != "ancestor" {
		t.Errorf("the newest backup is %q", got.Label)
	}
}

// TestRowsOfAnOldCensusAreNoPass has rows that agree with what was counted long ago.
func TestRowsOfAnOldCensusAreNoPass(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy Policy
		age    time.Duration
		want   Verdict
	}{
		"of last night":              {Policy{MaxCensusAge: 26 * time.Hour}, 25 * time.Hour, Pass},
		"of the night before":        {Policy{MaxCensusAge: 26 * time.Hour}, 49 * time.Hour, Unproven},
		"of last month":              {Policy{MaxCensusAge: 26 * time.Hour}, 30 * 24 * time.Hour, Unproven},
		"weekly":                     {Policy{MaxCensusAge: 8 * 24 * time.Hour}, 5 * 24 * time.Hour, Pass},
		"without a promise":          {Policy{MaxBackupAge: 26 * time.Hour}, 30 * 24 * time.Hour, Unproven},
		"without a promise, in time": {Policy{MaxBackupAge: 26 * time.Hour}, time.Hour, Pass},
		"of the future":              {Policy{MaxCensusAge: 26 * time.Hour}, -time.Hour, Unproven},
	} {
		c.policy.WarnAtPercent = 70
		d := judge(c.policy)
		d.census = &census.Census{Taken: judged.Add(-c.age)}
		d.checks.set(CheckRows, Pass, "all as counted")
		d.judgeCensusAge()
		if got := verdictOfCheck(d, CheckRows); got.Result != c.want {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
		if m := d.result.Targets[0]; m.Name != TargetCensus || m.Result != c.want {
			t.Errorf("%s: %+v, want %s", name, m, c.want)
		}
	}
	d := judge(Policy{MaxCensusAge: time.Hour, WarnAtPercent: 70})
	d.census = &census.Census{Taken: judged.Add(-2 * time.Hour)}
	d.checks.set(CheckRows, Fail, "a row is lost")
	d.judgeCensusAge()
	if got := verdictOfCheck(d, CheckRows); got.Result != Fail || got.Detail != "a row is lost" {
		t.Errorf("a failure became %+v", got)
	}
}

// TestRestoreTimeIsToldForOtherSizes extrapolates a small copy to 1 TB and to a cluster that has grown since.
func TestRestoreTimeIsToldForOtherSizes(t *testing.T) {
	t.Parallel()
	d := judge(Policy{RestorePerTerabyte: 2 * time.Hour, WarnAtPercent: 70})
	d.clock = &stopwatch{
		spent:  map[string]time.Duration{PhasePlan: time.Second, PhaseFetch: 100 * time.Second},
		copied: copied{took: 100 * time.Second, bytes: 20e9, files: 1},
		replays: []replay{
			{start: time.Second, spent: 31 * time.Second, redo: 100}, {start: 2 * time.Second, spent: 12 * time.Second, redo: 200},
		},
	}
	d.clock.reach(time.Second)
	d.archive.newest.ClusterBytes = 40e9
	d.judgeRestoreTime()
	r := d.result.RestoreTime
	var sum float64
	for _, p := range r.Phases {
		sum += p.Seconds
	}
	if r.Seconds != 144 || sum != r.Seconds || d.result.RTOSeconds != r.Seconds { // 1 + 100 + 2 + (30 + 10) + 1
		t.Errorf("%g s in all, %g s in phases, %g s as RTO: %+v", r.Seconds, sum, d.result.RTOSeconds, r.Phases)
	}
	if r.ClusterSeconds != 244 || r.ClusterBytes != 40e9 || r.TerabyteSeconds != 5044 || r.Basis == "" {
		t.Errorf("%+v", r)
	}
	c := verdictOfCheck(d, CheckTime) // 84 min of 2 h are 70.1 %
	if c.Result != Warn || !strings.Contains(c.Detail, "1 TB would take 84.1 min, the cluster as it is now, 40.0 GB, 4.1 min") {
		t.Errorf("%+v", c)
	}
}

// TestEvidenceOfAnotherClusterIsNone stores the evidence of one cluster's drill, and of another drill, under a cluster's id.
func TestEvidenceOfAnotherClusterIsNone(t *testing.T) {
	t.Parallel()
	repository := objectstore.NewPlace(t).Create(t, judged)
	cluster, err := repository.Register(t.Context(), "main", catalog.Identity{SystemIdentifier: 7, WALSegmentSize: 16 << 20}, judged)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cluster string
		other   bool
		sound   bool
	}{
		"its own": {"main", false, true}, "of another cluster": {"other", false, false}, "of another drill": {"main", true, false},
	} {
		r := &Result{ID: catalog.NewID(judged), Cluster: c.cluster, Verdict: Pass}
		id := r.ID
		if c.other {
			id = catalog.NewID(judged)
		}
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.PutEvidence(t.Context(), id, nil, body); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), cluster, id); (err == nil) != c.sound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

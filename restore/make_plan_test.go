package restore_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
)

func at(segment wal.SegmentNumber, offset wal.LSN) wal.LSN {
	return wal.Start(segment, vaultSegment) + offset
}

// branchingVault has two backups on timeline 1, a gap before a third, and a branch to timeline 2 in segment 6.
func branchingVault(t *testing.T) *vault {
	v := newVault(t)
	v.segments(1, 1, 3)
	v.segment(1, 4, func(s *wal.Summary) {
		s.RestorePoints = []wal.RestorePoint{
			{Name: "once", LSN: at(4, 5000), Time: dawn}, {Name: "twice", LSN: at(4, 6000), Time: dawn},
		}
		s.Tablespaces = []string{"/srv/space"}
	})
	v.segments(1, 5, 8)
	v.segments(1, 10, 12) // 9 is missing
	v.segments(2, 6, 6)
	v.segment(2, 7, func(s *wal.Summary) {
		s.RestorePoints = []wal.RestorePoint{{Name: "twice", LSN: at(7, 6000), Time: dawn}}
	})
	v.history(2, "1\t0/600800\tbefore 2026-11-22\n")
	v.backup("20261122T060000Z-full-aaaaaa", 1, 1, smallTree(), nil)
	v.backup("20261122T060300Z-full-bbbbbb", 1, 3, smallTree(), nil)
	v.backup("20261122T061000Z-full-cccccc", 1, 10, smallTree(), nil)
	return v
}

func TestPlanChoosesTheNewestBackupThatWillDo(t *testing.T) {
	t.Parallel()
	v := branchingVault(t)
	for name, c := range map[string]struct {
		target  restore.Target
		options restore.PlanOptions
		backup  string // its last letter
		path    []wal.TimelineID
		first   string
		last    string
		setting string
	}{
		"lsn between the backups": {
			restore.Target{Kind: restore.KindLSN, LSN: at(2, 100)}, restore.PlanOptions{}, "a", []wal.TimelineID{1, 2},
			"000000010000000000000001", "000000010000000000000002", "recovery_target_lsn=0/200064",
		},
		"lsn over the branch": {
			restore.Target{Kind: restore.KindLSN, LSN: at(7, 100)}, restore.PlanOptions{}, "b", []wal.TimelineID{1, 2},
			"000000010000000000000003", "000000020000000000000007", "recovery_target_lsn=0/700064",
		},
		"lsn on the timeline that was left": {
			restore.Target{Kind: restore.KindLSN, LSN: at(7, 100)}, restore.PlanOptions{Timeline: 1}, "b", []wal.TimelineID{1},
			"000000010000000000000003", "000000010000000000000007", "recovery_target_lsn=0/700064",
		},
		"lsn from a wished backup": {
			restore.Target{Kind: restore.KindLSN, LSN: at(7, 100)},
			restore.PlanOptions{Timeline: 1, Backup: "20261122T060000Z-full-aaaaaa"}, "a", []wal.TimelineID{1},
			"000000010000000000000001", "000000010000000000000007", "recovery_target_lsn=0/700064",
		},
		"lsn behind the gap": {
			restore.Target{Kind: restore.KindLSN, LSN: at(11, 0)}, restore.PlanOptions{Timeline: 1}, "c", []wal.TimelineID{1},
			"00000001000000000000000A", "00000001000000000000000B", "recovery_target_lsn=0/B00000",
		},
		"the last record": {
			restore.Target{Kind: restore.KindLSN, LSN: at(12, vaultSegment/2)}, restore.PlanOptions{Timeline: 1}, "c",
			[]wal.TimelineID{1}, "00000001000000000000000A", "00000001000000000000000C", "recovery_target_lsn=0/C80000",
		},
		"latest": {
			restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{}, "b", []wal.TimelineID{1, 2},
			"000000010000000000000003", "000000020000000000000007", "=",
		},
		"latest, paused": {
			restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{Action: restore.ActionPause}, "b", []wal.TimelineID{1, 2},
			"000000010000000000000003", "000000020000000000000007", "recovery_target_lsn=0/780000",
		},
		"latest of the old timeline": {
			restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{Timeline: 1}, "c", []wal.TimelineID{1},
			"00000001000000000000000A", "00000001000000000000000C", "=",
		},
		"latest before a gap": {
			restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{Timeline: 1, Backup: "20261122T060300Z-full-bbbbbb"}, "b",
			[]wal.TimelineID{1}, "000000010000000000000003", "000000010000000000000008", "recovery_target_lsn=0/880000",
		},
		"immediate": {
			restore.Target{Kind: restore.KindImmediate}, restore.PlanOptions{}, "c", []wal.TimelineID{1},
			"00000001000000000000000A", "00000001000000000000000A", "recovery_target=immediate",
		},
		"name": {
			restore.Target{Kind: restore.KindName, Name: "once"}, restore.PlanOptions{}, "b", []wal.TimelineID{1, 2},
			"000000010000000000000003", "000000010000000000000004", "recovery_target_name=once",
		},
		"a name that was used once on its timeline": {
			restore.Target{Kind: restore.KindName, Name: "twice"}, restore.PlanOptions{Timeline: 1}, "b", []wal.TimelineID{1},
			"000000010000000000000003", "000000010000000000000004", "recovery_target_name=twice",
		},
	} {
		c.options.Directory, c.options.Now = "/restored", dawn
		plan, err := restore.MakePlan(t.Context(), v.cluster, c.target, c.options)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasSuffix(plan.Backup.Label, c.backup) || !slices.Equal(plan.TimelinePath, c.path) ||
			plan.WAL.First != c.first || plan.WAL.Last != c.last ||
			plan.Target.Setting+"="+plan.Target.SettingValue != c.setting {
			t.Errorf("%s: planned\n%s", name, plan)
		}
	}
}

func TestPlanRefusesWhatCannotBeReached(t *testing.T) {
	t.Parallel()
	v := branchingVault(t)
	for name, c := range map[string]struct {
		target  restore.Target
		options restore.PlanOptions
		says    string
	}{
		"before the first backup":  {restore.Target{Kind: restore.KindLSN, LSN: at(1, 100)}, restore.PlanOptions{}, "nearest: lsn 0/1001B8"},
		"after the end":            {restore.Target{Kind: restore.KindLSN, LSN: at(8, 0)}, restore.PlanOptions{}, "nearest: lsn 0/780000"},
		"behind the last record":   {restore.Target{Kind: restore.KindLSN, LSN: at(7, vaultSegment/2+1)}, restore.PlanOptions{}, "nearest: lsn 0/780000"},
		"in the gap":               {restore.Target{Kind: restore.KindLSN, LSN: at(9, 0)}, restore.PlanOptions{Timeline: 1}, "nearest: lsn 0/880000 (the last record there), or lsn 0/A001B8"},
		"early time":               {restore.Target{Kind: restore.KindTime, Time: dawn}, restore.PlanOptions{}, "nearest: time 2026-11-22 06:00:30.000000+00"},
		"unknown name":             {restore.Target{Kind: restore.KindName, Name: "onec"}, restore.PlanOptions{Timeline: 2}, "read WAL"},
		"name given twice":         {restore.Target{Kind: restore.KindName, Name: "twice"}, restore.PlanOptions{}, "0/401770 (2026-11-22 06:00:00.000000+00), 0/701770"},
		"timeline without a way":   {restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{Timeline: 7}, "no backup can be recovered along timeline 7"},
		"backup on another branch": {restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{Timeline: 2, Backup: "20261122T061000Z-full-cccccc"}, "on another branch"},
	} {
		c.options.Directory, c.options.Now = "/restored", dawn.Add(time.Hour)
		_, err := restore.MakePlan(t.Context(), v.cluster, c.target, c.options)
		var unreachable *restore.UnreachableError
		if name != "unknown name" && !errors.As(err, &unreachable) || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want an UnreachableError that says %q", name, err, c.says)
		}
		if unreachable != nil && !strings.Contains(unreachable.Hint(), "timeline 2 from 0/1001B8") {
			t.Errorf("%s: hint %q does not name the windows", name, unreachable.Hint())
		}
	}
}

func TestPlanNamesTheGapThatIsInTheWay(t *testing.T) {
	t.Parallel()
	v := branchingVault(t)
	const slot = "missing: the slot was lost"
	for _, gap := range []catalog.LostWAL{
		{Timeline: 1, From: at(9, 0), To: at(10, 0), Why: "the slot was lost"},
		{Timeline: 1, From: at(13, 0), To: at(15, 0), Why: "the disk was full"},
	} {
		if err := v.cluster.PutGap(t.Context(), gap, dawn); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		target restore.Target
		backup string
		says   string // of the gap; empty: nothing
	}{
		"inside": {restore.Target{Kind: restore.KindLSN, LSN: at(9, 5)}, "", "0/900000 to 0/A00000 is " + slot},
		"behind, before the end of the next backup": {restore.Target{Kind: restore.KindLSN, LSN: at(10, 5)}, "", slot},
		"behind, from a backup before":              {restore.Target{Kind: restore.KindLSN, LSN: at(11, 5)}, "20261122T060300Z-full-bbbbbb", "cannot be reached"},
		"behind the end":                            {restore.Target{Kind: restore.KindLSN, LSN: at(14, 0)}, "", "missing: the disk was full"},
		"before all":                                {restore.Target{Kind: restore.KindLSN, LSN: at(1, 100)}, "", ""},
		"before the gap at the end":                 {restore.Target{Kind: restore.KindLSN, LSN: at(12, vaultSegment-8)}, "", ""},
	} {
		o := restore.PlanOptions{Directory: "/restored", Now: dawn.Add(time.Hour), Timeline: 1, Backup: c.backup}
		_, err := restore.MakePlan(t.Context(), v.cluster, c.target, o)
		var unreachable *restore.UnreachableError
		if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), c.says) || (unreachable.Gap == nil) != (c.says == "" || c.backup != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
	plan, err := restore.MakePlan(t.Context(), v.cluster, restore.Target{Kind: restore.KindLatest}, restore.PlanOptions{Directory: "/restored", Now: dawn, Timeline: 1})
	if err != nil || !strings.Contains(plan.String(), "0/D00000 to 0/F00000 is missing: the disk was full") {
		t.Errorf("the plan does not tell of the gap behind its end: %v\n%s", err, plan)
	}
}

func TestPlanRefusesWrongOptions(t *testing.T) {
	t.Parallel()
	v := branchingVault(t)
	latest := restore.Target{Kind: restore.KindLatest}
	for name, c := range map[string]struct {
		target  restore.Target
		options restore.PlanOptions
	}{
		"unknown backup":     {latest, restore.PlanOptions{Directory: "/r", Backup: "none"}},
		"relative directory": {latest, restore.PlanOptions{Directory: "r"}},
		"no directory":       {latest, restore.PlanOptions{}},
		"line break":         {latest, restore.PlanOptions{Directory: "/r\nx"}},
		"unknown action":     {latest, restore.PlanOptions{Directory: "/r", Action: "dance"}},
		"incomplete target":  {restore.Target{Kind: restore.KindLSN}, restore.PlanOptions{Directory: "/r"}},
		"map of nothing":     {latest, restore.PlanOptions{Directory: "/r", TablespaceMap: map[string]string{"/a": "/b"}}},
	} {
		_, err := restore.MakePlan(t.Context(), v.cluster, c.target, c.options)
		var option *restore.OptionError
		if !errors.As(err, &option) {
			t.Errorf("%s: %v, want an OptionError", name, err)
		}
	}
}

func TestPlanOfTablespaces(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.segments(1, 1, 2)
	v.backup("20261122T060000Z-full-aaaaaa", 1, 1, smallTree(), func(r *catalog.Record) {
		r.Tablespaces = []catalog.Tablespace{
			{OID: 16400, Name: "fast", Location: "/srv/fast"}, {OID: 16401, Name: "slow", Location: "/srv/slow"},
			{OID: 16402, Name: "inside", Location: "pg_tblspc/16402"},
		}
	})
	for name, c := range map[string]struct {
		mapping map[string]string
		want    string // targets, or empty for a refusal
	}{
		"as they were":         {nil, "/srv/fast /srv/slow"},
		"by location":          {map[string]string{"/srv/fast": "/new/fast/"}, "/new/fast /srv/slow"},
		"by name":              {map[string]string{"slow": "/new/slow"}, "/srv/fast /new/slow"},
		"exchanged":            {map[string]string{"fast": "/srv/slow", "slow": "/srv/fast"}, "/srv/slow /srv/fast"},
		"to the same place":    {map[string]string{"fast": "/srv/slow"}, ""},
		"into another":         {map[string]string{"fast": "/srv/slow/deep"}, ""},
		"into the directory":   {map[string]string{"fast": "/restored/fast"}, ""},
		"around the directory": {map[string]string{"fast": "/"}, ""},
		"relative":             {map[string]string{"fast": "fast"}, ""},
		"of none":              {map[string]string{"/srv/none": "/x"}, ""},
	} {
		plan, err := v.planTo(restore.Target{Kind: restore.KindLatest}, func(o *restore.PlanOptions) { o.TablespaceMap = c.mapping })
		if c.want == "" {
			var option *restore.OptionError
			if !errors.As(err, &option) {
				t.Errorf("%s: %v, want an OptionError", name, err)
			}
			continue
		}
		if err != nil || plan.Tablespaces[0].Target+" "+plan.Tablespaces[1].Target != c.want || len(plan.Tablespaces) != 2 {
			t.Errorf("%s: %v, %v", name, plan.Tablespaces, err)
		}
	}
}

// TestPlanIsReadable looks at the plan as people, programs and PostgreSQL see it.
func TestPlanIsReadable(t *testing.T) {
	t.Parallel()
	v := branchingVault(t)
	plan, err := v.planTo(restore.Target{Kind: restore.KindLSN, LSN: at(7, 100), Exclusive: true}, func(o *restore.PlanOptions) {
		o.FetchCommand, o.ArchiveModeOff = `"/opt/it's/lifeboat-wal" fetch %f %p`, true
	})
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	for _, want := range []string{
		"20261122T060300Z-full-bbbbbb", "lsn 0/700064, exclusive (recovery_target_lsn = 0/700064)", "1 then 2",
		"5 segments, 000000010000000000000003 to 000000020000000000000007", "creates a tablespace in /srv/space",
		`restore_command = '"/opt/it''s/lifeboat-wal" fetch %f %p'`, "recovery_target_timeline = '2'", "archive_mode = 'off'",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan lacks %q:\n%s", want, text)
		}
	}
	order := []string{}
	for _, s := range plan.Settings {
		if s.Name == "recovery_target_lsn" || strings.HasPrefix(s.Name, "recovery_target") && s.Value == "" {
			order = append(order, s.Name)
		}
	}
	if len(order) != 5 || order[4] != "recovery_target_lsn" {
		t.Errorf("the settings of the target come as %v, the real one must be last", order)
	}
	raw, err := json.Marshal(plan)
	if err != nil || !strings.Contains(string(raw), `"system_identifier":"7000000000000000001"`) {
		t.Errorf("%v: %s", err, raw)
	}
}

func TestPlanOnAnEmptyRepository(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	_, err := v.planTo(restore.Target{Kind: restore.KindLatest}, nil)
	var unreachable *restore.UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "has no backup") {
		t.Errorf("%v", err)
	}
}

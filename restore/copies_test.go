package restore_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/fault"
)

// twoVaults are two repositories with the same content.
func twoVaults(t *testing.T) (near, far *vault) {
	t.Helper()
	near, far = smallVault(t, smallTree(), nil), newVault(t)
	if report, err := near.cluster.WithCopies(far.cluster).Fill(t.Context(), nil); err != nil || !report.Complete() {
		t.Fatalf("fill: %+v, %v", report, err)
	}
	return near, far
}

// copied is a vault as a copy that fails by a script once it has been opened.
func (v *vault) copied(name string, rules ...fault.Rule) (catalog.Copy, *fault.Set) {
	cluster, set := v.failing(rules...)
	return catalog.Copy{Name: name, Open: func(context.Context) (*catalog.Cluster, error) { return cluster, nil }}, set
}

const (
	anyPack = "clusters/*/*/backups/*/packs/*/*"
	anyWAL  = "clusters/*/*/wal/*/*/*"
)

var allOps = []fault.Op{fault.Get, fault.Stat, fault.List}

// gone is a store that answers nothing after so many requests of each kind.
func gone(after int) []fault.Rule {
	var rules []fault.Rule
	for _, op := range allOps {
		rules = append(rules, fault.Rule{Op: op, After: after, Times: -1, Action: fault.Fail(storage.ErrUnavailable)})
	}
	return rules
}

// TestExecuteFallsOver harms one copy at every place: the restored directory is whole all the same.
func TestExecuteFallsOver(t *testing.T) {
	t.Parallel()
	near, far := twoVaults(t)
	for harm, rules := range map[string][]fault.Rule{
		"away":                     gone(0),
		"away after one request":   gone(1),
		"away after two requests":  gone(2),
		"away after four requests": gone(4),
		"away after six requests":  gone(6),
		"missing packs":            {{Op: fault.Get, Key: anyPack, Times: -1, Action: fault.Fail(storage.ErrNotFound)}},
		"flipped frames":           {{Op: fault.Get, Key: anyPack, Times: -1, Action: fault.FlipByte(30)}},
		"flipped later frames":     {{Op: fault.Get, Key: anyPack, After: 1, Times: -1, Action: fault.FlipByte(5)}},
		"a cut connection":         {{Op: fault.Get, Key: anyPack, Times: -1, Action: fault.Truncate(2, io.ErrUnexpectedEOF)}},
		"a flipped index":          {{Op: fault.Get, Key: "clusters/*/*/backups/*/index", After: 1, Times: -1, Action: fault.FlipByte(1)}},
	} {
		t.Run(harm, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			plan := near.plan(dir)
			harmed, set := near.copied("near", rules...)
			whole, _ := far.copied("far")
			both, err := catalog.OpenCopies(t.Context(), harmed, whole)
			if err != nil {
				t.Fatal(err)
			}
			result, err := restore.Execute(t.Context(), both, plan, own())
			if err != nil {
				t.Fatal(err)
			}
			if result.BytesWritten == 0 {
				t.Error("no bytes were counted")
			}
			checkTree(t, dir, smallTree())
			if len(rules) == 1 {
				if err := set.AllFired(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestExecuteOfTwoDamagedCopiesLeavesNothing(t *testing.T) {
	t.Parallel()
	near, far := twoVaults(t)
	dir := t.TempDir()
	plan := near.plan(dir)
	flipped := fault.Rule{Op: fault.Get, Key: anyPack, Times: -1, Action: fault.FlipByte(30)}
	first, _ := near.copied("near", flipped)
	second, _ := far.copied("far", flipped)
	both, err := catalog.OpenCopies(t.Context(), first, second)
	if err != nil {
		t.Fatal(err)
	}
	var damage *catalog.DamagedError
	if _, err := restore.Execute(t.Context(), both, plan, own()); !errors.As(err, &damage) {
		t.Errorf("restored from damaged copies: %v", err)
	}
	untouched(t, dir)
}

func TestAPlanBridgesTheHoleOfOneCopy(t *testing.T) {
	t.Parallel()
	near, far := smallVault(t, smallTree(), nil), newVault(t)
	near.segments(1, 8, 9)
	for number := wal.SegmentNumber(3); number <= 7; number++ {
		far.segment(1, number, nil)
	}
	target := restore.Target{Kind: restore.KindLSN, LSN: wal.Start(8, vaultSegment) + vaultSegment/2}
	if _, err := near.planTo(target, nil); err == nil {
		t.Fatal("the near copy alone reaches the target: nothing is tested")
	}
	near.cluster = near.cluster.WithCopies(far.cluster)
	plan, err := near.planTo(target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Backup.Label == "" {
		t.Errorf("plan: %+v", plan)
	}
}

// TestFetchFromCopies tells absence from the unknown where two repositories are asked.
func TestFetchFromCopies(t *testing.T) {
	t.Parallel()
	const first, last, next = "000000010000000000000001", "000000010000000000000002", "000000010000000000000003"
	for name, c := range map[string]struct {
		file      string
		near, far []fault.Rule
		want      restore.Outcome
	}{
		"both have it":                    {file: first, want: restore.Found},
		"the nearest is away":             {file: first, near: gone(0), want: restore.Found},
		"the nearest is damaged":          {file: first, near: []fault.Rule{{Op: fault.Get, Key: anyWAL, Times: -1, Action: fault.FlipByte(500)}}, want: restore.Found},
		"the nearest is cut short":        {file: first, near: []fault.Rule{{Op: fault.Get, Key: anyWAL, Times: -1, Action: fault.Truncate(300, io.ErrUnexpectedEOF)}}, want: restore.Found},
		"the nearest has lost it":         {file: first, near: []fault.Rule{{Op: fault.Get, Key: anyWAL, Times: -1, Action: fault.Fail(storage.ErrNotFound)}}, want: restore.Found},
		"none has it":                     {file: next, want: restore.Absent},
		"none here, and the other away":   {file: next, far: gone(0), want: restore.Unknown},
		"the nearest away, none there":    {file: next, near: gone(0), want: restore.Unknown},
		"the other loses its repository":  {file: next, far: []fault.Rule{{Op: fault.Get, Key: "clusters/*/cluster.json", Times: -1, Action: fault.Fail(storage.ErrNotFound)}}, want: restore.Unknown},
		"damaged here, absent there":      {file: last, near: []fault.Rule{{Op: fault.Get, Key: anyWAL, Times: -1, Action: fault.FlipByte(500)}}, far: []fault.Rule{{Op: fault.Get, Key: anyWAL, Times: -1, Action: fault.Fail(storage.ErrNotFound)}}, want: restore.Unknown},
		"both away":                       {file: first, near: gone(0), far: gone(0), want: restore.Unknown},
		"no listing of one, none in both": {file: next, far: []fault.Rule{{Op: fault.List, Times: -1, Action: fault.Fail(storage.ErrUnavailable)}}, want: restore.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := newVault(t), newVault(t)
			for _, v := range []*vault{near, far} {
				v.segments(1, 1, 2)
			}
			one, _ := near.copied("near", c.near...)
			two, _ := far.copied("far", c.far...)
			both, err := catalog.OpenCopies(t.Context(), one, two)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			dest := filepath.Join(dir, "RECOVERYXLOG")
			outcome, err := fetch(t, both, c.file, dest)
			if outcome != c.want || (err == nil) != (c.want == restore.Found) {
				t.Errorf("%v, %v", outcome, err)
			}
			if c.want == restore.Found {
				alone(t, dest)
			} else {
				untouched(t, dir)
			}
		})
	}
}

func TestFetchOfAGapInAllCopiesIsUnknown(t *testing.T) {
	t.Parallel()
	near, far := newVault(t), newVault(t)
	near.segments(1, 1, 1)
	far.segments(1, 3, 3)
	dir := t.TempDir()
	outcome, err := fetch(t, near.cluster.WithCopies(far.cluster), "000000010000000000000002", filepath.Join(dir, "x"))
	if outcome != restore.Unknown || !errors.Is(err, restore.ErrGap) {
		t.Errorf("%v, %v", outcome, err)
	}
}

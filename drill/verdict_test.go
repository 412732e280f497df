package drill

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"lifeboat/restore"
)

func TestTheWorstVerdictCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parts []Verdict
		want  Verdict
	}{
		{nil, Unproven},
		{[]Verdict{Pass, Pass}, Pass},
		{[]Verdict{Pass, Warn}, Warn},
		{[]Verdict{Warn, Unproven, Pass}, Unproven},
		{[]Verdict{NotRun, Pass}, Unproven},
		{[]Verdict{NotRun}, Unproven},
		{[]Verdict{Unproven, Fail, NotRun}, Fail},
		{[]Verdict{Pass, "unheard of"}, Unproven},
	} {
		if got := Worst(c.parts...); got != c.want {
			t.Errorf("%v: %s, want %s", c.parts, got, c.want)
		}
	}
}

func TestTargetsAreWarnedOfBeforeTheyFail(t *testing.T) {
	t.Parallel()
	d := &drill{Options: Options{Targets: Policy{WarnAtPercent: 70}}}
	for actual, want := range map[time.Duration]Verdict{
		0: Pass, 70 * time.Minute: Pass, 71 * time.Minute: Warn, 100 * time.Minute: Warn, 101 * time.Minute: Fail,
	} {
		if got := d.against("x", 100*time.Minute, actual); got.Result != want {
			t.Errorf("%s of 100 min: %s, want %s", actual, got.Result, want)
		}
	}
}

// TestErrorsDecideTheChecksTheyEnd wants what was decided worse to stay, and what was not reached to say where it ended.
func TestErrorsDecideTheChecksTheyEnd(t *testing.T) {
	t.Parallel()
	l := newChecklist()
	l.set(CheckPages, Pass, "fine")
	l.set(CheckBackup, Fail, "too old")
	l.during(CheckBackup, CheckRecovery)
	l.blame(errors.New("no way\nat all"))
	l.judgeDocumented()
	want := map[string]Check{
		CheckBackup:     {Result: Fail, Detail: "too old"},
		CheckRecovery:   {Result: Unproven, Detail: "no way; at all"},
		CheckPages:      {Result: Pass, Detail: "fine"},
		CheckRows:       {Result: NotRun, Detail: `the drill could not go on after "last night's backup restores"`},
		CheckDocumented: {Result: Pass, Detail: "every check that did not pass says why, and the evidence is in the repository"},
	}
	for _, c := range l.list() {
		if w, ok := want[c.Name]; ok && (c.Result != w.Result || c.Detail != w.Detail) {
			t.Errorf("%+v, want %+v", c, w)
		}
	}
	l.set(CheckTime, Fail, "")
	l.judgeDocumented()
	if c := l.list()[4]; c.Name != CheckDocumented || c.Result != Unproven {
		t.Errorf("a failure without a reason: %+v", c)
	}
}

// TestRestoreTimeIsExtrapolatedByBytesAndFiles has 40 MB in 1000 small files, where the files cost the most.
func TestRestoreTimeIsExtrapolatedByBytesAndFiles(t *testing.T) {
	t.Parallel()
	c := copied{
		took: 2 * time.Second, bytes: 40e6, files: 1000,
		effort: restore.Effort{Files: 6 * time.Second, Contents: 2 * time.Second},
	}
	if got, want := c.rate(), 80e6; got != want { // 40 MB in a quarter of 2 s
		t.Errorf("rate %.0f, want %.0f", got, want)
	}
	if got, want := c.perFile(), 1500*time.Microsecond; got != want {
		t.Errorf("%s for each file, want %s", got, want)
	}
	// 12500 s of contents, and 1000 files and 931 segments of 1 GiB at 1.5 ms
	if got := c.extrapolate(1e12); got < 12502800*time.Millisecond || got > 12503000*time.Millisecond {
		t.Errorf("1 TB in %s", got)
	}
	if got, want := c.extrapolate(40e6), 2*time.Second; got != want {
		t.Errorf("what was copied in %s, want %s", got, want)
	}
	c.effort = restore.Effort{}
	if got := c.extrapolate(1e12); got < 49999*time.Second || got > 50001*time.Second {
		t.Errorf("without measured effort, 1 TB in %s, want all of the time to grow with the bytes", got)
	}
}

func TestWhatEarlierReplaysDidCountsOnlyWhereTheLastWentOn(t *testing.T) {
	t.Parallel()
	s := &stopwatch{}
	s.add(PhasePlan, time.Second)
	s.add(PhaseFetch, 10*time.Second)
	s.addReplay(replay{start: time.Second, spent: 5 * time.Second, redo: 100})
	s.addReplay(replay{start: time.Second, spent: 8 * time.Second, redo: 100})
	s.reach(time.Second)
	if want := 20 * time.Second; s.atReach != want {
		t.Errorf("recovered in %s, want %s: everything was replayed again", s.atReach, want)
	}
	s.addReplay(replay{start: time.Second, spent: 3 * time.Second, redo: 500})
	s.reach(time.Second)
	if want := 26 * time.Second; s.atReach != want {
		t.Errorf("recovered in %s, want %s: the last replay went on from the others", s.atReach, want)
	}
	if got := s.phases(); got[2].Seconds != 3 || got[3].Seconds != 13 {
		t.Errorf("phases %+v", got)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	t.Parallel()
	sound := Policy{RowsPercent: 1, RestorePerTerabyte: 1, RPO: 1, MaxBackupAge: 1, WarnAtPercent: 70}
	for name, change := range map[string]func(*Policy){
		"rows": func(p *Policy) { p.RowsPercent = -1 }, "restore": func(p *Policy) { p.RestorePerTerabyte = 0 },
		"rpo": func(p *Policy) { p.RPO = 0 }, "age": func(p *Policy) { p.MaxBackupAge = -1 },
		"warn": func(p *Policy) { p.WarnAtPercent = 0 }, "warn late": func(p *Policy) { p.WarnAtPercent = 101 },
	} {
		p := sound
		change(&p)
		if p.check() == nil {
			t.Errorf("%s: %+v is taken", name, p)
		}
	}
	if err := sound.check(); err != nil {
		t.Error(err)
	}
	if (Examination{Amcheck: "often"}).check() == nil {
		t.Error("an unknown way to examine heaps is taken")
	}
	if r, err := Run(t.Context(), Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now}); err == nil || r != nil {
		t.Errorf("a drill without a repository: %v, %v", r, err)
	}
}

func TestNumbersAreReadable(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1 000", count(1234567): "1 234 567", count(-12345): "-12 345",
		size(999): "999 B", size(1500): "1.5 kB", size(2_500_000_000_000): "2.5 TB",
		spell(1500 * time.Millisecond): "1.5 s", spell(90 * time.Minute): "90.0 min", spell(72 * time.Hour): "3.0 d",
		spellPercent(0.4): "under 1 %", spellPercent(1200): "over 10 times", spellPercent(69.6): "70 %",
	} {
		if strings.ReplaceAll(got, "\u202f", " ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

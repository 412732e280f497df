package drill

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"time"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
)

var reportDay = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// soundResult is a drill as it should be.
func soundResult() *Result {
	plan := restore.Plan{
		Cluster: "main", SystemIdentifier: 7000000000000000001, Directory: "/var/lib/lifeboat/scratch/20261122T040000Z-abcdef/data", Timeline: 1,
		Backup: restore.PlannedBackup{Label: "20261122T020000Z-full-k3v2qa", PostgresVersion: 150018, Timeline: 1, StartLSN: 0x2000028, StopLSN: 0x2000138,
			StartTime: reportDay.Add(-2 * time.Hour), StopTime: reportDay.Add(-118 * time.Minute)},
		Target: restore.PlannedTarget{Kind: restore.KindLatest, Setting: "recovery_target_lsn", SettingValue: "0/57FFF80", StopLSN: 0x57FFF80,
			Why: "the start of the last record there"},
		TimelinePath: []wal.TimelineID{1}, WAL: restore.PlannedWAL{First: "000000010000000000000002", Last: "000000010000000000000005", Segments: 4, Bytes: 64 << 20},
		BytesToRead: 61 << 20, BytesToWrite: 212 << 20, Settings: []restore.Setting{{Name: "recovery_target_lsn", Value: "0/57FFF80"}},
	}
	raw, err := json.Marshal(plan)
	if err != nil {
		panic(err)
	}
	r := &Result{
		ID: "20261122T040000Z-abcdef", Cluster: "main", Drill: "nightly", Verdict: Pass,
		Target:     TargetReached{Kind: "latest", ReachedLSN: 0x5800000, ReachedTime: reportDay.Add(-12 * time.Second), StopReason: `recovery stopping after WAL location (LSN) "0/57FFF80"`},
		Backup:     BackupUsed{Label: plan.Backup.Label, Type: "full", StartLSN: 0x2000028, StopLSN: 0x2000138, StopTime: plan.Backup.StopTime, Bytes: 212 << 20},
		Phases:     []Phase{{PhasePlan, 0.08, 0}, {PhaseFetch, 1.42, 212 << 20}, {PhaseStart, 0.35, 0}, {PhaseReplay, 0.81, 64 << 20}, {PhaseVerify, 1.1, 90 << 20}, {PhaseCleanup, 0.12, 0}},
		RTOSeconds: 2.4, RPOSeconds: 12.2, Rows: Rows{Comparison: "exact", Why: "recovered to the very position in the WAL that census 20261122T033000Z-q2w4zz belongs to"},
		Evidence: "drill 20261122T040000Z-abcdef in file:///var/lib/lifeboat/repository", Started: reportDay, Finished: reportDay.Add(4100 * time.Millisecond),
		Policy:      Policy{RowsPercent: 1, RestorePerTerabyte: 2 * time.Hour, RPO: time.Minute, WarnAtPercent: 70, MaxBackupAge: 26 * time.Hour},
		Environment: Environment{Lifeboat: "0.1.0", PostgreSQL: "15.18", System: "linux/amd64", Cores: 2}, Census: "20261122T033000Z-q2w4zz", Plan: raw,
		RestoreBasis: "222.3 MB in 1 004 files copied in 1.1 s: contents at 310.2 MB/s and 0.4 ms for each file beside; all else took 1.3 s and is added once",
		Damaged:      []string{},
	}
	for _, name := range []string{CheckBackup, CheckRows, CheckPITR, CheckTime, CheckDocumented, CheckRecovery, CheckRepository, CheckPages, CheckLeavings} {
		r.Checks = append(r.Checks, Check{Name: name, Result: Pass, Detail: "as it should be"})
	}
	r.Targets = []Measured{
		{TargetAge, "at most 26.0 h", "118.0 min", 7.6, Pass}, {TargetRPO, "at most 60.0 s", "12.2 s", 20.3, Pass},
		{TargetTime, "at most 2.0 h", "53.8 min", 44.8, Pass}, {TargetRows, "within 1 %", "0 % off", 0, Pass},
	}
	for i, table := range []string{"public.accounts", "public.branches", "public.history", "public.ledger"} {
		r.Rows.Tables = append(r.Rows.Tables, Table{Database: "postgres", Table: table, Expected: int64(1000000 / (i*i*37 + 1)), Actual: int64(1000000 / (i*i*37 + 1)), Fingerprint: "match", Result: Pass})
	}
	return r
}

// failedResult is a drill that found rows missing, and could not ask production.
func failedResult() *Result {
	r := soundResult()
	r.Verdict = Fail
	r.Rows.Tables[3].Actual, r.Rows.Tables[3].Fingerprint, r.Rows.Tables[3].Result, r.Rows.Tables[3].Why = 2900, "differ", Fail, "2900 rows, not 2994"
	r.Checks[1] = Check{CheckRows, Fail, "postgres.public.ledger: 2900 rows, not 2994 (4 tables compared with census 20261122T033000Z-q2w4zz, row for row, at its very position in the WAL)"}
	r.Checks[6] = Check{CheckRepository, NotRun, `the drill could not go on after "row counts match"`}
	r.Targets[1] = Measured{TargetRPO, "at most 60.0 s", "3.1 h, or less: production could not be asked: connection refused", 18600, Unproven}
	r.Targets[2] = Measured{TargetTime, "at most 2.0 h", "103.0 min", 85.8, Warn}
	r.Targets[3] = Measured{TargetRows, "within 1 %", "3.1 % off", 313, Fail}
	r.LogExcerpt = "2026-11-22 04:00:02.123 UTC [412] LOG:  recovery stopping after WAL location (LSN) \"0/57FFF80\"\n2026-11-22 04:00:02.124 UTC [412] FATAL:  <b>\"it\"</b> & more"
	return r
}

// withBundle is a result with all that evidence tells beside.
func withBundle(r *Result) *Result {
	r.Bundle = Bundle{
		Mandate:     Mandate{Name: "Backup policy", Version: "3", SHA256: strings.Repeat("ab", 32), Schedule: "0 4 * * *", Approver: "Head of Operations", Ticket: "OPS-1"},
		Origin:      Origin{Trigger: ByHand, By: "me@here", Command: "lifeboat drill run nightly --ticket OPS-1"},
		Host:        Host{Kernel: "Linux 6.1.0", MemoryBytes: 8 << 30, Disk: Disk{FileSystem: "ext4", Kind: "solid state", FreeBytes: 40e9, TotalBytes: 100e9}},
		RecoveryLog: []string{"2026-11-22 04:00:01.150 UTC [412] LOG:  redo starts at 0/2000028", `2026-11-22 04:00:02.123 UTC [412] LOG:  recovery stopping after WAL location (LSN) "0/57FFF80"`},
		Objects: []catalog.StoredObject{
			{Key: "clusters/main/7000000000000000001/backups/20261122T020000Z-full-k3v2qa/record.json", Size: 4711, SHA256: strings.Repeat("cd", 32)},
			{Key: "clusters/main/7000000000000000001/censuses/20261122T033000Z-q2w4zz.json", Size: 1234, SHA256: strings.Repeat("ef", 32)},
		},
		Previous: []catalog.EvidenceLink{{ID: "20261121T040000Z-aaaaaa", SHA256: strings.Repeat("01", 32)}},
		Proof:    &Proof{SHA256: strings.Repeat("23", 32), Signature: Verified, Key: "12AB34CD56EF7890"},
	}
	return r
}

// pastDrills are the drills of the days before.
func pastDrills(days int) []*Result {
	var history []*Result
	for i := range days {
		r := soundResult()
		r.ID = fmt.Sprintf("202611%02dT040000Z-aaaaa%c", i+1, 'a'+i%26)
		r.Started = reportDay.Add(time.Duration(i-days) * 24 * time.Hour)
		r.RTOSeconds = 1.8 + float64(i*7%5)/4
		r.RPOSeconds = 4 + float64(i*11%9)*3
		if i%9 == 4 {
			r.Verdict = Fail
		}
		history = append(history, r)
	}
	return history
}

// external is what would make a browser ask somebody else, or run something.
var external = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|@import|url\(|src=|href=|https?://|javascript:`)

func render(t *testing.T, r *Result, history []*Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, r, history); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportNeedsNothingButItself(t *testing.T) {
	t.Parallel()
	for _, r := range []*Result{soundResult(), failedResult(), {Verdict: Unproven}} {
		if found := external.FindString(render(t, r, pastDrills(3))); found != "" {
			t.Errorf("a report with verdict %s has %q", r.Verdict, found)
		}
	}
}

func TestReportTellsEverything(t *testing.T) {
	t.Parallel()
	r := withBundle(failedResult())
	page := render(t, r, pastDrills(20))
	wanted := []string{
		"Something is wrong.", "One thing did not hold, and 3 more to look at", "1 wrong", "12.2 s or less", r.Target.StopReason, r.RestoreBasis,
		r.Census, r.Backup.Label, "0/5800000", "over 10 times", "recovery_target_lsn", "2900 rows, not 2994", "3 of 4 tables pass", "2026-11-02", "promised: at most 60.0 s", "Are the rows those of production?", "somebody started this drill by hand (me@here)",
		"Backup policy; version 3; checksum abababababab", "Head of Operations", "OPS-1", "Linux 6.1.0", "ext4", "redo starts at 0/2000028", "1 of 9 were not run",
		"signed by key 12AB34CD56EF7890, verified", "clusters/main/7000000000000000001/backups", "20261121T040000Z-aaaaaa", "exact, tolerant",
	}
	for _, c := range r.Checks {
		wanted = append(wanted, c.Name, c.Detail)
	}
	for _, m := range r.Targets {
		wanted = append(wanted, m.Name, m.Target, m.Actual)
	}
	text := unescape.Replace(page)
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not have %q", want)
		}
	}
}

var unescape = strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&amp;", "&")

// TestReportEscapes has markup in everything that comes from somewhere else.
func TestReportEscapes(t *testing.T) {
	t.Parallel()
	const evil = `</td><script>alert("1")</script>`
	r := withBundle(failedResult())
	r.Mandate = Mandate{Name: evil, Version: evil, SHA256: evil, Schedule: evil, Approver: evil, Ticket: evil}
	r.Origin, r.Host.Kernel, r.Host.Disk.FileSystem, r.RecoveryLog = Origin{Trigger: evil, By: evil, Command: evil}, evil, evil, []string{evil}
	r.Objects[0].Key, r.Previous[0].ID, r.Proof.Key, r.ID = evil, evil, evil, evil
	r.Cluster, r.Drill, r.Census, r.Evidence, r.LogExcerpt, r.RestoreBasis = evil, evil, evil, evil, evil, evil
	r.Target.Value, r.Target.StopReason, r.Backup.Label, r.Environment.PostgreSQL, r.Rows.Why = evil, evil, evil, evil, evil
	r.Damaged = []string{evil}
	r.Plan = json.RawMessage(`{"cluster": "</pre><script>alert(1)</script>"}`)
	r.Verdict, r.Checks[0].Result, r.Phases[0].Name = evil, evil, evil
	r.Checks[1].Detail, r.Targets[0].Actual, r.Rows.Tables[0].Table, r.Rows.Tables[0].Why = evil, evil, evil, evil
	if page := render(t, r, nil); strings.Contains(page, "<script") {
		t.Errorf("markup comes through: %s", page)
	}
}

func TestReportOfManyTablesStaysReadable(t *testing.T) {
	t.Parallel()
	r := soundResult()
	for i := range maxReportTables + 500 {
		r.Rows.Tables = append(r.Rows.Tables, Table{Database: "postgres", Table: fmt.Sprintf("public.t%d", i), Result: Pass})
	}
	r.Rows.Tables[len(r.Rows.Tables)-1] = Table{Database: "postgres", Table: "public.last", Expected: 7, Result: Fail}
	page := render(t, r, nil)
	if !strings.Contains(page, "public.last") || !strings.Contains(page, "The first 1000 of 1503 tables that pass") || !strings.Contains(page, "503 that pass are left out here") || !strings.Contains(page, "1503 of 1504 tables pass.") {
		t.Error("the table that failed, or the number of those left out, is not there")
	}
	if len(r.Rows.Tables) != maxReportTables+504 || r.Rows.Tables[0].Table != "public.accounts" {
		t.Error("the result itself was changed")
	}
}

func TestTrends(t *testing.T) {
	t.Parallel()
	self := soundResult()
	history := append(pastDrills(9), self) // with the drill itself, which must not count twice
	later := soundResult()
	later.ID, later.Started = "20261123T040000Z-aaaaaa", reportDay.Add(24*time.Hour)
	unmeasured := soundResult()
	unmeasured.ID, unmeasured.Started, unmeasured.RTOSeconds, unmeasured.Targets = "20261101T040000Z-bbbbbb", reportDay.Add(-21*24*time.Hour), 0, nil
	found := trends(withSelf(append(history, later, unmeasured), self))
	if len(found) != 3 || len(found[0].Points) != 10 || len(found[1].Points) != 10 || len(found[2].Points) != 10 {
		t.Fatalf("trends %+v, want three of ten drills", found)
	}
	for _, trend := range found {
		for i, p := range trend.Points {
			if p.X < 0 || p.X > trendWidth || p.Y < 0 || p.Y > trendHeight || i > 0 && p.X <= trend.Points[i-1].X {
				t.Errorf("%s: point %d is at %.1f, %.1f", trend.Title, i, p.X, p.Y)
			}
		}
		if last := trend.Points[9]; !last.Self || trend.Points[8].Self {
			t.Errorf("%s: the drill itself is not its last point", trend.Title)
		}
	}
	if alone := trends(withSelf(nil, self)); len(alone) > 0 {
		t.Errorf("one drill makes the trends %+v", alone)
	}
}

// TestJUnit wants failures for what failed and errors for what is not proven, so that no CI takes them for success.
func TestJUnit(t *testing.T) {
	t.Parallel()
	r := failedResult()
	r.Checks[0].Detail = "bell \a and <markup>"
	var b bytes.Buffer
	if err := WriteJUnit(&b, r); err != nil {
		t.Fatal(err)
	}
	var document junitSuites
	if err := xml.Unmarshal(b.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	suite := document.Suite
	cases := 1 + len(r.Checks) + len(r.Targets) + len(r.Rows.Tables)
	if suite.Tests != cases || len(suite.Cases) != cases || suite.Failures != 4 || suite.Errors != 2 || suite.Time != 4.1 {
		t.Errorf("suite of %d tests (%d cases), %d failures, %d errors, %g s", suite.Tests, len(suite.Cases), suite.Failures, suite.Errors, suite.Time)
	}
	for _, c := range suite.Cases {
		switch {
		case c.Class == "lifeboat.check" && c.Name == CheckRows && (c.Failure == nil || !strings.Contains(c.Failure.Message, "2900 rows")):
			t.Errorf("%+v", c)
		case c.Class == "lifeboat.check" && c.Name == CheckRepository && (c.Error == nil || !strings.HasPrefix(c.Error.Message, "not run: ")):
			t.Errorf("%+v", c)
		}
	}
}

// TestJUnitIsAsStrictReadersWantIt wants each attribute there, and elements in their order.
func TestJUnitIsAsStrictReadersWantIt(t *testing.T) {
	t.Parallel()
	for _, r := range []*Result{withBundle(failedResult()), soundResult(), {Verdict: "odd"}} {
		var b bytes.Buffer
		if err := WriteJUnit(&b, r); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for _, pattern := range []string{
			`(?s)^<\?xml version="1.0" encoding="UTF-8"\?>\s*<testsuites>\s*<testsuite id="0" package="lifeboat" name="[^"]+" hostname="[^"]+" tests="[1-9]\d*" failures="\d+" errors="\d+" time="[0-9.]+" timestamp="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d">`,
			`(?s)<properties>(\s*<property name="[^"]+" value="[^"]+"></property>)+\s*</properties>\s*<testcase`,
			`(?s)</testcase>\s*<system-out>[^<]*</system-out>\s*<system-err></system-err>\s*</testsuite>\s*</testsuites>$`,
		} {
			if !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("%s is not in\n%s", pattern, text)
			}
		}
		if n := strings.Count(text, "<testcase"); n != len(regexp.MustCompile(`<testcase classname="lifeboat\.\w+" name="[^"]+" time="0">\s*(<(failure|error) type="[^"]+" message="[^"]*"></(failure|error)>\s*)?</testcase>`).FindAllString(text, -1)) {
			t.Errorf("a case is not as it should be in\n%s", text)
		}
		if bad := r.Verdict != Pass; bad != regexp.MustCompile(`(failures|errors)="[1-9]`).MatchString(text) {
			t.Errorf("verdict %s in\n%s", r.Verdict, text)
		}
	}
}

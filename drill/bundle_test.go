package drill

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"lifeboat/storage/catalog"
)

const recoveryLog = `2026-11-22 04:00:01.000 UTC [400] LOG:  starting PostgreSQL 15.18 on x86_64-pc-linux-gnu, compiled by gcc, 64-bit
2026-11-22 04:00:01.001 UTC [400] LOG:  listening on Unix socket "/tmp/lifeboat/.s.PGSQL.5432"
2026-11-22 04:00:01.010 UTC [412] LOG:  starting point-in-time recovery to WAL location (LSN) "0/57FFF80"
2026-11-22 04:00:01.011 UTC [413] FATAL:  the database system is starting up
2026-11-22 04:00:01.100 UTC [412] LOG:  restored log file "000000010000000000000002" from archive
2026-11-22 04:00:01.150 UTC [412] LOG:  redo starts at 0/2000028
2026-11-22 04:00:01.200 UTC [412] LOG:  restored log file "000000010000000000000003" from archive
2026-11-22 04:00:01.300 UTC [412] LOG:  restored log file "000000010000000000000004" from archive
2026-11-22 04:00:01.400 UTC [412] LOG:  restored log file "000000010000000000000005" from archive
2026-11-22 04:00:01.410 UTC [412] LOG:  restored log file "000000010000000000000006" from archive
2026-11-22 04:00:01.500 UTC [412] LOG:  consistent recovery state reached at 0/2000138
2026-11-22 04:00:01.600 UTC [412] WARNING:  could not connect with password=hunter2 to postgres://me:hunter2@there/db
2026-11-22 04:00:01.900 UTC [412] LOG:  recovery stopping before WAL location (LSN) "0/57FFF80"
2026-11-22 04:00:01.901 UTC [412] LOG:  pausing at the end of recovery
2026-11-22 04:00:02.000 UTC [420] ERROR:  duplicate key value violates unique constraint "customers_pkey"
2026-11-22 04:00:02.000 UTC [420] DETAIL:  Key (name)=(Ann Customer) already exists.
2026-11-22 04:00:02.001 UTC [420] LOG:  duration: 3 ms  statement: SELECT 'Ann Customer'
`

func TestRecoveryLinesTellHowItWentAndNothingOfTheRows(t *testing.T) {
	t.Parallel()
	lines := recoveryLines(recoveryLog)
	text := strings.Join(lines, "\n")
	for _, want := range []string{"starting PostgreSQL 15.18", "point-in-time recovery to", "redo starts at 0/2000028", "recovery stopping", "pausing",
		`"000000010000000000000002"`, `"000000010000000000000006"`, "(2 more files restored)", "password=(left out)", "postgres://(left out)@there"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, secret := range []string{"hunter2", "Customer", "starting up", "0000000000000004", "duration", "socket"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in\n%s", secret, text)
		}
	}
}

func TestRecoveryLinesAreBounded(t *testing.T) {
	t.Parallel()
	d := &drill{result: &Result{}}
	for range 50 {
		d.noteRecovery(recoveryLog)
	}
	if n := len(d.result.RecoveryLog); n != maxRecoveryLines {
		t.Errorf("%d lines", n)
	}
	if last := d.result.RecoveryLog[maxRecoveryLines-1]; !strings.HasSuffix(last, "more lines)") {
		t.Errorf("the last line is %q", last)
	}
}

func TestSecretsAreTakenOut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`restore_command = '/bin/hook --key abc %f "%p"'`: `restore_command = (left out)`,
		`parameter "restore_command" changed to "x y"`:    `parameter "restore_command" changed to "x y"`,
		`restore_command to "hook abc"`:                   `restore_command to (left out)`,
		`AWS_SECRET_ACCESS_KEY=abc/def+ghi rest`:          `AWS_SECRET_ACCESS_KEY=(left out) rest`,
		`{"password": "a b", "user": "c"}`:                `{"password": (left out), "user": "c"}`,
		`s3://key:secret@host/bucket`:                     `s3://(left out)@host/bucket`,
		`identity AGE-SECRET-KEY-1QQQ here`:               `identity (left out) here`,
		`redo starts at 0/2000028`:                        `redo starts at 0/2000028`,
	} {
		if got := scrub(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestProofSaysHowFarItGoes(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]catalog.EvidenceProof{
		"signed by key 12AB, verified":     {Key: "12AB", Verified: true},
		"signed by key 12AB, not verified": {Key: "12AB"},
		"not signed":                       {},
	} {
		if got := newProof(p).String(); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestEvidenceOfOlderProgramsIsRead has a result as it was stored before there was more in it.
func TestEvidenceOfOlderProgramsIsRead(t *testing.T) {
	t.Parallel()
	r := soundResult()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mandate", "origin", "host", "recovery_log", "objects", "previous", "proof"} {
		if _, there := fields[name]; there {
			t.Errorf("%s is there without content", name)
		}
	}
	read, err := decode(r.Cluster, catalog.ReadEvidence{ID: r.ID, Body: raw, Proof: catalog.EvidenceProof{SHA256: "ab"}})
	if err != nil || read.Proof == nil {
		t.Fatal(read, err)
	}
	if page := render(t, read, nil); !strings.Contains(page, r.Backup.Label) {
		t.Error("it does not render")
	}
}

func TestHostIsDescribed(t *testing.T) {
	t.Parallel()
	h := describeHost("/nowhere/at/all")
	if !strings.HasPrefix(h.Kernel, "Linux ") || h.MemoryBytes < 1<<20 || h.Disk.TotalBytes < 1<<20 || h.Disk.FileSystem == "" {
		t.Errorf("%+v", h)
	}
	if kinds := []string{"", "rotating", "solid state"}; !slices.Contains(kinds, h.Disk.Kind) {
		t.Errorf("%+v", h)
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/archive"
	"lifeboat/internal/pgtest"
)

// checked is what check says of a subject, the first one of that name.
func (in *installation) checked(subject string) finding {
	in.t.Helper()
	o := in.run("check", "--output", "json")
	var all []finding
	if err := json.Unmarshal([]byte(o.out), &all); err != nil {
		in.t.Fatalf("check: %v\n%s%s", err, o.out, o.errors)
	}
	for _, f := range all {
		if f.Subject == subject {
			return f
		}
	}
	return finding{}
}

// finds wants a result for a subject, with words in what is said and in what mends it.
func (in *installation) finds(subject, result, detail, mend string) finding {
	in.t.Helper()
	f := in.checked(subject)
	if f.Result != result || !strings.Contains(f.Detail, detail) || !strings.Contains(f.Mend, mend) {
		in.t.Errorf("check says of %s: %+v; want %s, %q, and %q to mend it", subject, f, result, detail, mend)
	}
	return f
}

const streamsFast = "    wal: {stream: true, interval: 100ms}\n"

func TestCheckSaysWhatStreamingNeedsOfTheServer(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newStationOf(t, install, pgtest.Options{}, streamsFast)
		ctx := t.Context()
		in.server.Exec(ctx, "CREATE ROLE streamer LOGIN")
		for _, grant := range archive.Grants(install.Major, "streamer") {
			in.server.Exec(ctx, grant)
		}
		in.server.Exec(ctx, "GRANT pg_read_all_data, pg_monitor TO streamer")
		raw, err := os.ReadFile(in.config)
		if err != nil {
			t.Fatal(err)
		}
		in.write("lifeboat.yaml", strings.Replace(string(raw), "user=postgres", "user=streamer", 1))

		f := in.finds("replication", "fail", "role streamer has not the attribute REPLICATION", "ALTER ROLE")
		in.server.Exec(ctx, strings.TrimPrefix(f.Mend, "as a superuser: "))
		in.finds("replication", "pass", "role streamer", "")
		in.refuseReplication()
		in.finds("replication", "fail", "pg_hba.conf", `local replication "streamer" peer`)
		in.sets("max_wal_senders = 0", "wal_level = replica")
		in.server.Restart()
		in.finds("max_wal_senders", "fail", "0, all of which are in use", "ALTER SYSTEM SET max_wal_senders = 10")
		in.sets("max_wal_senders = 3", "max_replication_slots = 1")
		in.server.Restart()
		in.server.Exec(ctx, "SELECT pg_create_physical_replication_slot('other')")
		in.finds("max_replication_slots", "fail", "1, all of which are in use", "ALTER SYSTEM SET max_replication_slots = 10")
	})
}

// refuseReplication takes the lines for replication out of pg_hba.conf.
func (in *installation) refuseReplication() {
	in.t.Helper()
	path := filepath.Join(in.server.DataDir, "pg_hba.conf")
	raw, err := os.ReadFile(path)
	if err != nil {
		in.t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(raw)) {
		if !strings.Contains(line, "replication") {
			kept = append(kept, line)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(kept, "")), 0o600); err != nil {
		in.t.Fatal(err)
	}
	in.server.Exec(in.t.Context(), "SELECT pg_reload_conf()")
}

func TestCheckSaysHowTheSlotIs(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		in := newStationOf(t, install, pgtest.Options{WALSegmentMB: 1}, streamsFast)
		ctx := t.Context()
		const slot, limit = "replication slot", "max_slot_wal_keep_size"
		in.finds(slot, "warn", "lifeboat_main is not there", "lifeboat-agent")
		f := in.finds(limit, "warn", "until pg_wal's disk is full", "ALTER SYSTEM SET max_slot_wal_keep_size")
		for statement := range strings.SplitSeq(strings.TrimSuffix(f.Mend, ";"), ";") {
			in.server.Exec(ctx, statement)
		}
		in.finds(limit, "pass", "", "")
		in.sets("max_wal_size = '4MB'", "min_wal_size = '2MB'", "max_slot_wal_keep_size = '1MB'")
		in.finds(limit, "warn", "is less than max_wal_size", "ALTER SYSTEM SET max_slot_wal_keep_size")
		s := in.readyAgent()
		in.caughtUp(s)
		in.finds(slot, "pass", "may be written before it is in danger", "")
		s.kill()
		in.slotIsFree()
		in.finds(slot, "fail", "nobody receives from lifeboat_main", "lifeboat-agent")
		in.forget()
		in.finds(slot, "fail", "lifeboat_main is lost", "lifeboat backup")
		in.addAgent("    wal: {stream: false}\n")
		in.finds(slot, "warn", "is left over", "SELECT pg_drop_replication_slot('lifeboat_main')")
	})
}

func TestCheckSaysWhatCommitsWaitFor(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, streamsFast)
	const subject = "synchronous_standby_names"
	in.sets("synchronous_standby_names = 'ANY 1 (other, \"LIFEBOAT_main\")'")
	in.finds(subject, "fail", "commits wait for it", "ALTER SYSTEM SET synchronous_standby_names = ''")
	s := in.readyAgent()
	in.caughtUp(s)
	in.finds(subject, "warn", "dies with it", "wal.durable: repository")
	in.sets("synchronous_commit = 'local'")
	in.finds(subject, "warn", "synchronous_commit = local", "ALTER SYSTEM SET synchronous_commit")
	in.sets("synchronous_commit = 'on'")
	in.addAgent("    wal: {stream: true, durable: repository}\n")
	in.finds(subject, "pass", "durable in the repository", "")
	in.addAgent("    wal: {stream: false}\n")
	in.finds(subject, "fail", "wal.stream is off", "wal.stream: true")
	in.sets("synchronous_standby_names = 'FIRST 1 (lifeboat_mainly)'")
	if f := in.checked(subject); f != (finding{}) {
		t.Errorf("another standby's name is taken for the agent's: %+v", f)
	}
}

func TestInitPrintsWhatStreamingNeeds(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{})
	if err := os.Remove(in.config); err != nil {
		t.Fatal(err)
	}
	out := in.must("init", "--stream", "--repository", "file://"+in.repository, "--connection", in.server.DSN("postgres"), "--data-directory", in.server.DataDir)
	for _, want := range []string{`ALTER ROLE "postgres" REPLICATION;`, `local replication "postgres" peer`, "max_wal_senders = 10", "max_slot_wal_keep_size = 10GB"} {
		if !strings.Contains(out, want) {
			t.Errorf("init does not print %q:\n%s", want, out)
		}
	}
	in.finds("replication", "pass", "", "")
}

func TestSpoolLimitIsHeldAgainstSegmentsAndDisk(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    wal: {stream: true, spool_limit: 31MiB}\n")
	in.startAgent().says("cannot hold two segments")
	in.finds("wal.spool_limit", "fail", "no room for two segments", "raise it")
	in.addAgent("    wal: {stream: true, spool_limit: 900000TiB}\n")
	in.finds("wal.spool_limit", "warn", "the spool would fill it", "lower it")
	in.addAgent("    wal: {stream: true, spool_limit: 32MiB}\n")
	in.finds("wal.spool_limit", "pass", "", "")
}

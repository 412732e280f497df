package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/internal/pgtest"
)

func TestExpiryFollowsBackupsWhereItHasNoSchedule(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	seen := &view{}
	j := &job{schedule: config.Schedule{Schedule: afterBackups{view: seen}}, base: now.Add(-time.Hour)}
	if j.due(now) {
		t.Error("due without any backup")
	}
	for ago, due := range map[time.Duration]bool{2 * time.Hour: false, time.Hour: false, time.Minute: true, -time.Minute: false} {
		seen.seen.lastBackup = now.Add(-ago)
		if j.due(now) != due {
			t.Errorf("a backup %s ago, and the last expiry an hour: due %t", ago, !due)
		}
	}
}

func TestAgentExpiresWhatABackupLeavesOver(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{WALSegmentMB: 1}, "    backup: {schedule: \"0 2 1 1 *\"}\n"+shortly)
	in.must("backup")
	in.server.Exec(t.Context(), "CREATE TABLE t AS SELECT 0 AS n")
	in.switchWAL()
	time.Sleep(1100 * time.Millisecond) // labels tell seconds apart
	in.must("backup")
	time.Sleep(600 * time.Millisecond) // retention counts from the last moment of the WAL
	in.server.Exec(t.Context(), "INSERT INTO t VALUES (1)")
	in.switchWAL()
	in.must("verify")
	s := in.readyAgent()
	done := `lifeboat_job_runs_total{cluster="main",job="expire",result="done"}`
	in.eventually("the agent expires", func() bool { return s.metrics()[done] == 1 })
	if list := document(t, in.must("list", "--output", "json")); len(list["backups"].([]any)) != 1 {
		t.Errorf("backups: %v", list["backups"])
	}
	m := s.metrics()
	for name, least := range map[string]float64{
		`lifeboat_expired_objects_total{class="backup",cluster="main",repository=""}`:   4,
		`lifeboat_expired_bytes_total{class="backup",cluster="main",repository=""}`:     1 << 20,
		`lifeboat_expired_objects_total{class="wal",cluster="main",repository=""}`:      1,
		`lifeboat_repository_stored_bytes{class="backup",cluster="main",repository=""}`: 1 << 20,
		`lifeboat_repository_stored_bytes{class="wal",cluster="main",repository=""}`:    1 << 10,
		`lifeboat_expiry_refused_objects{cluster="main",repository=""}`:                 0,
	} {
		if value, there := m[name]; !there || value < least {
			t.Errorf("%s is %v, there: %t", name, value, there)
		}
	}
	in.must("verify")
	s.kill()
	again := in.readyAgent() // the repository tells that nothing is due
	time.Sleep(5 * jobPoll)
	if runs, there := again.metrics()[done]; there {
		t.Errorf("%v further expiries", runs)
	}
	if log := again.log.String(); strings.Contains(log, "a job failed") {
		t.Errorf("a job failed:\n%s", log)
	}
	in.must("backup")
	again.kill()
	late := in.readyAgent() // what it missed runs late
	in.eventually("the agent expires after the backup that it has not seen", func() bool { return late.metrics()[done] == 1 })
}

// TestRestartedAgentGoesOnAtOnce kills the agent in a backup: the one after it does not wait for the lease.
func TestRestartedAgentGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	in := newStation(t, pgtest.Options{}, "    backup: {schedule: \"0 2 1 1 *\"}\n")
	fast, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	in.write("lifeboat.yaml", strings.Replace(string(fast), "clusters:\n", "  limits: {requests: 20/s}\nclusters:\n", 1))
	s := in.readyAgent()
	s.says("a job begins")
	s.kill()
	in.eventually("the server has noticed", func() bool { // before, there is another backup under way
		return in.server.Value(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
	})
	if list := document(t, in.must("list", "--output", "json")); len(list["backups"].([]any)) != 0 {
		t.Fatal("the backup was made before the agent could be killed")
	}
	in.write("lifeboat.yaml", string(fast))
	again := in.readyAgent()
	in.eventually("the backup is made", func() bool {
		return again.metrics()[`lifeboat_job_runs_total{cluster="main",job="backup",result="done"}`] == 1
	})
}

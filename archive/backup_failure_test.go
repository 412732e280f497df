package archive_test

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/archive"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// at returns progress that runs an action once, when a phase begins.
func at(phase string, action func()) archive.Progress {
	var once sync.Once
	return func(p archive.BackupProgress) {
		if p.Phase == phase {
			once.Do(action)
		}
	}
}

func TestBackupFailsWhenItsSessionIsLost(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{})
	for _, phase := range []string{archive.PhaseScan, archive.PhaseCopy, archive.PhaseFinish, archive.PhaseWAL} {
		options := s.options()
		options.Progress = at(phase, func() {
			s.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lifeboat backup'")
		})
		if record, err := archive.Backup(ctx, options); err == nil {
			t.Errorf("session lost in phase %s: backup %s succeeded", phase, record.Label)
		}
		s.noBackups(ctx)
	}
}

// The session holds the lock until the record is there, also where there is no WAL to wait for.
func TestBackupFailsWhenItsSessionIsLostAtTheVeryEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{})
	options := s.options()
	options.Progress = at(archive.PhaseWAL, func() {
		s.archived(ctx)
		s.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lifeboat backup'")
	})
	if record, err := archive.Backup(ctx, options); err == nil {
		t.Errorf("backup %s succeeded", record.Label)
	}
	s.noBackups(ctx)
}

func TestBackupCancelledAtAnyPhaseLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{})
	for _, phase := range []string{
		archive.PhaseConnect, archive.PhaseScan, archive.PhaseStart, archive.PhaseCopy, archive.PhaseFinish, archive.PhaseWAL,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		options := s.options()
		options.Progress = at(phase, cancel)
		if _, err := archive.Backup(ctx, options); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled in phase %s: %v", phase, err)
		}
		s.noBackups(t.Context())
	}
	s.backup(t.Context())
}

func TestBackupSaysWhyItsWALDoesNotArrive(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{ArchiveCommand: "false"})
	options := s.options()
	options.WALTimeout = time.Second
	options.Progress = at(archive.PhaseWAL, func() {
		until(t, "the archiver fails", "t", func() string { return s.Value(ctx, "SELECT failed_count > 0 FROM pg_stat_archiver") })
	})
	_, err := archive.Backup(ctx, options)
	if h := hint(t, err); !strings.Contains(h, "log") {
		t.Errorf("hint is %q", h)
	}
	if !strings.Contains(err.Error(), "archiver last failed on 0000") {
		t.Errorf("error is %v", err)
	}
	s.noBackups(ctx)
}

// A command that says yes and stores nothing is found out.
func TestBackupFailsWhenTheArchiveCommandLies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{ArchiveCommand: "true"})
	options := s.options()
	options.WALTimeout = time.Second
	options.Progress = at(archive.PhaseWAL, func() {
		until(t, "the archiver succeeds", "t", func() string { return s.Value(ctx, "SELECT archived_count > 0 FROM pg_stat_archiver") })
	})
	_, err := archive.Backup(ctx, options)
	if err == nil || !strings.Contains(err.Error(), "archiver last succeeded") {
		t.Errorf("error is %v", err)
	}
	s.noBackups(ctx)
}

func TestSecondBackupAtTheSameTimeIsRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{})
	s.Exec(ctx, "CREATE DATABASE other")
	for _, database := range []string{"postgres", "other"} {
		var second error
		options := s.options()
		options.Progress = at(archive.PhaseCopy, func() {
			other := s.options()
			other.Connect = func(ctx context.Context) (*pgx.Conn, error) { return s.Connect(ctx, database) }
			_, second = archive.Backup(ctx, other)
		})
		if _, err := archive.Backup(ctx, options); err != nil {
			t.Fatal(err)
		}
		if h := hint(t, second); !strings.Contains(second.Error(), "another backup") || !strings.Contains(h, "pg_terminate_backend") {
			t.Errorf("the second backup, from database %s: %v", database, second)
		}
	}
}

// A backup that is killed leaves nothing that lists as a backup, and the next one removes its leavings.
func TestKilledBackupsAreCleanedByTheNext(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newScene(t, pgtest.Newest(t), pgtest.Options{})
	s.Pgbench(ctx, 3, 0, 0)
	for range 8 {
		s.killBackup(ctx)
	}
	record := s.backup(ctx)
	inventory, err := s.cluster.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(inventory.Unfinished) != 0 || len(inventory.Problems) != 0 {
		t.Errorf("leavings %v, problems %v", inventory.Unfinished, inventory.Problems)
	}
	report, err := s.repository.Scrub(ctx, catalog.ScrubOptions{})
	if err != nil || len(report.Damaged) != 0 || len(report.Unknown) != 0 || len(report.Unfinished) != 0 {
		t.Errorf("scrub: %+v, %v", report, err)
	}
	s.recover(ctx, s.restore(ctx, record))
}

// killBackup kills a backup in a process of its own, at a random step or a moment after it.
func (s *scene) killBackup(ctx context.Context) {
	s.t.Helper()
	cmd := exec.CommandContext(ctx, s.hooks, runBackup, s.place.File, s.DSN("postgres"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 1 + rand.IntN(60) {
		if !lines.Scan() {
			break
		}
	}
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	_ = cmd.Process.Kill() // it may have ended, which is as good
	for lines.Scan() {
	}
	_ = cmd.Wait()
}

// PostgreSQL does not recover on a timeline whose history file it does not get.
func TestBackupOnANewTimelineStoresItsHistory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	old := newScene(t, pgtest.Debian(t), pgtest.Options{})
	promoted := old.recover(ctx, old.restore(ctx, old.backup(ctx)))
	promoted.Stop()
	s := &scene{t: t, place: objectstore.NewPlace(t), hooks: old.hooks}
	s.repository = s.place.Create(t, time.Now())
	var err error
	s.Cluster, err = pgtest.StartDir(t, old.Install, promoted.DataDir, pgtest.Options{ArchiveCommand: s.pushCommand()})
	if err != nil {
		t.Fatal(err)
	}
	s.cluster = objectstore.Register(t, s.repository, clusterName, s.Cluster)
	record := s.backup(ctx)
	if record.Timeline != 2 {
		t.Errorf("timeline is %s", record.Timeline)
	}
	if _, err := s.cluster.WALHeader(ctx, wal.HistoryFile(2)); err != nil {
		t.Errorf("history of timeline 2: %v", err)
	}
	s.hasWAL(ctx, record)
}

package stream

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// frailDisk forgets what was not synced when its power is cut, and fails to sync when it is told to.
type frailDisk struct {
	mu     sync.Mutex
	synced map[string]int64
	broken bool
}

func newFrailDisk() *frailDisk { return &frailDisk{synced: map[string]int64{}} }

func (d *frailDisk) attach(r *Receiver) {
	sync := r.spool.disk.sync
	r.spool.disk.sync = func(file *os.File) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.broken {
			return errors.New("the disk is broken")
		}
		info, err := file.Stat()
		if err != nil {
			return err
		}
		d.synced[filepath.Base(file.Name())] = info.Size()
		time.Sleep(2 * time.Millisecond) // acknowledging without waiting for it would show
		return sync(file)
	}
}

func (d *frailDisk) setBroken(broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = broken
}

// syncedEnd is up to where WAL was synced before the disk broke. From then on the newest segment stays the same.
func (d *frailDisk) syncedEnd(t *testing.T, dir string) wal.LSN {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	names := spoolFiles(t, dir, partialSuffix)
	newest := names[len(names)-1]
	name, err := wal.ParseFileName(strings.TrimSuffix(newest, partialSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return name.Start(megabyte) + wal.LSN(d.synced[newest])
}

// cutPower leaves of the partial segments what was synced.
func (d *frailDisk) cutPower(t *testing.T, dir string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range spoolFiles(t, dir, partialSuffix) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if d.synced[name] < info.Size() {
			t.Logf("the power cut takes %d bytes of %s", info.Size()-d.synced[name], name)
			if err := os.Truncate(filepath.Join(dir, name), d.synced[name]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCommitsAcknowledgedBySpoolSurviveTheServersDiskAndThePowerOfTheSpools(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, keepAll())
		s.options.Interval = time.Hour // tails must not help
		receiver, err := New(s.options)
		if err != nil {
			t.Fatal(err)
		}
		disk := newFrailDisk()
		disk.attach(receiver)
		s.run(receiver)
		s.load(1).end() // makes the table
		s.arrivedInSpool()
		s.synchronous()
		load := s.load(4)
		eventually(t, "many transactions were acknowledged", func() bool { return load.count() > 300 })
		disk.setBroken(true) // nothing is synced from here on
		time.Sleep(200 * time.Millisecond)
		s.destroy()
		load.end()
		s.end()
		disk.cutPower(t, s.options.Spool)
		s.options.Interval = time.Millisecond
		s.begin()
		s.drained()
		if missing := load.missing(s.vault.commits(t, wal.TimelineHistory{Timeline: 1})); len(missing) > 0 {
			t.Errorf("%d of %d acknowledged transactions are missing: %v", len(missing), load.count(), missing)
		}
	})
}

func TestFailedSyncIsNeverAcknowledgedAndItsBytesComeAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), keepAll())
	receiver, err := New(s.options)
	if err != nil {
		t.Fatal(err)
	}
	disk := newFrailDisk()
	disk.attach(receiver)
	s.run(receiver)
	s.fill(300000)
	s.arrived()
	disk.setBroken(true)
	s.fill(2 << 20)
	eventually(t, "the failure shows", func() bool { return strings.Contains(receiver.Status().LastError, "the disk is broken") })
	synced := disk.syncedEnd(t, s.options.Spool)
	flushed := s.cluster.Load().Value(t.Context(), "SELECT coalesce(max(flush_lsn), '0/0') <= '"+synced.String()+"' FROM pg_stat_replication")
	if durable := receiver.Status().SpoolDurable.LSN; durable != synced || flushed != "t" {
		t.Errorf("synced up to %s, durable up to %s, and the server was told no more: %s", synced, durable, flushed)
	}
	disk.setBroken(false)
	s.arrived()
	s.vault.check(t, s.cluster.Load().DataDir, 1)
}

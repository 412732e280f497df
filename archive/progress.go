package archive

import "sync"

// The phases of a backup, in order.
const (
	PhaseConnect = "connect" // checks on the server and the directory
	PhaseScan    = "scan"    // counting files
	PhaseStart   = "start"   // the server's checkpoint
	PhaseCopy    = "copy"
	PhaseFinish  = "finish" // index, manifest and pg_control
	PhaseWAL     = "wal"    // waiting for the WAL that the backup needs
)

// BackupProgress is how far a backup has come. The totals come from a count before the copy and move while the cluster
// does.
type BackupProgress struct {
	Phase             string
	Files, FilesTotal int64
	Bytes, BytesTotal int64  // of the data directory's files
	WaitingFor        string // name of the WAL segment that is not in the repository yet; PhaseWAL only
}

// Progress is told about every step, from one goroutine at a time. It must not block.
type Progress func(BackupProgress)

// tracker adds up the progress of parallel workers.
type tracker struct {
	mu     sync.Mutex
	state  BackupProgress
	report Progress // may be nil
}

func newTracker(report Progress) *tracker { return &tracker{report: report} }

// phase enters a phase and leaves the counts alone.
func (t *tracker) phase(name string) {
	t.update(func(p *BackupProgress) { p.Phase, p.WaitingFor = name, "" })
}

func (t *tracker) totals(files, bytes int64) {
	t.update(func(p *BackupProgress) { p.FilesTotal, p.BytesTotal = files, bytes })
}

// copied adds files and bytes; the totals are never below them.
func (t *tracker) copied(files, bytes int64) {
	t.update(func(p *BackupProgress) {
		p.Files += files
		p.Bytes += bytes
		p.FilesTotal = max(p.FilesTotal, p.Files)
		p.BytesTotal = max(p.BytesTotal, p.Bytes)
	})
}

func (t *tracker) waitingFor(segment string) {
	t.update(func(p *BackupProgress) { p.WaitingFor = segment })
}

func (t *tracker) update(change func(*BackupProgress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.state)
	if t.report != nil {
		t.report(t.state)
	}
}

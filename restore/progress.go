package restore

import "sync"

// The phases of a restore, in their order.
const (
	PhaseCheck = "check" // what is to be restored, and whether it fits
	PhaseCopy  = "copy"  // files
	PhaseSync  = "sync"  // directories, settings and, last of all, pg_control
)

// RestoreProgress is how far a restore has come. The counts are those of the data directory and its tablespaces.
type RestoreProgress struct {
	Phase             string
	Bytes, BytesTotal int64
	Files, FilesTotal int64
}

// Progress is told how far a restore has come, by one goroutine at a time. It must return soon.
type Progress func(RestoreProgress)

// meter adds up what the workers do. A nil report is allowed.
type meter struct {
	mu     sync.Mutex
	now    RestoreProgress
	report Progress
}

func (m *meter) begin(phase string) { m.change(func(p *RestoreProgress) { p.Phase = phase }) }

func (m *meter) add(files, bytes int64) {
	m.change(func(p *RestoreProgress) {
		p.Files += files
		p.Bytes += bytes
	})
}

func (m *meter) change(apply func(*RestoreProgress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	apply(&m.now)
	if m.report != nil {
		m.report(m.now)
	}
}

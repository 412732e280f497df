package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// note is what a drill keeps in its lock file, so that whoever finds it dead can write its evidence, and so that others on
// the machine know what it does.
type note struct {
	SystemIdentifier uint64    `json:"system_identifier,string"`
	Result           *Result   `json:"result"` // what was known when it was kept last
	Phase            string    `json:"phase"`
	Since            time.Time `json:"since"`    // when the phase began
	Reserved         int64     `json:"reserved"` // bytes of disk
	PID              int       `json:"pid"`
}

// noteLimit bounds what is read of a lock file.
const noteLimit = 16 << 20

// notebook is a drill's note and the lock file that it is kept in.
type notebook struct {
	now func() time.Time

	mu   sync.Mutex
	note note
	file *os.File // nil: there is no lock yet, or not any more
	end  int64    // of what is written
}

// open begins to keep the note in the lock file.
func (b *notebook) open(file *os.File, r *Result, systemIdentifier uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file, b.note.SystemIdentifier, b.note.PID = file, systemIdentifier, os.Getpid()
	b.note.Result = r.excerpt()
	if err := b.write(); err != nil {
		return err
	}
	return file.Sync()
}

// keep notes what is known of the result by now.
func (b *notebook) keep(r *Result) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note.Result = r.excerpt()
	return b.write()
}

// enter notes that a phase begins. It is called again and again while the phase lasts.
func (b *notebook) enter(phase string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.note.Phase == phase {
		return nil
	}
	b.note.Phase, b.note.Since = phase, b.now().UTC()
	return b.write()
}

func (b *notebook) reserve(bytes int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note.Reserved = bytes
	return b.write()
}

// at is the phase, and for how long it has gone on.
func (b *notebook) at() (phase string, spent time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.note.at(b.now())
}

func (n note) at(now time.Time) (phase string, spent time.Duration) {
	if n.Phase == "" {
		return "its beginning", max(0, now.Sub(n.Result.Started))
	}
	return n.Phase, max(0, now.Sub(n.Since))
}

func (b *notebook) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file = nil
}

// write adds the note to the file as a line. The one before stays, so that there is one whatever happens meanwhile.
func (b *notebook) write() error {
	if b.file == nil {
		return nil
	}
	text, err := json.Marshal(b.note)
	if err != nil {
		return fmt.Errorf("note what the drill does: %w", err)
	}
	if _, err := b.file.WriteAt(append(text, '\n'), b.end); err != nil {
		return fmt.Errorf("note what the drill does: %w", err)
	}
	b.end += int64(len(text) + 1)
	return nil
}

// readNote reads a lock file's newest note that is whole. It is nil where there is none, or none that can be understood.
func readNote(file *os.File) *note {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, noteLimit))
	if err != nil {
		return nil
	}
	lines := bytes.Split(text, []byte{'\n'})
	for _, line := range slices.Backward(lines[:len(lines)-1]) { // the last has no end: a note that is just being written, or nothing
		var n note
		if err := json.Unmarshal(line, &n); err == nil && n.Result != nil {
			return &n
		}
	}
	return nil
}

// excerpt is a copy of what a result says before anything was compared.
func (r *Result) excerpt() *Result {
	return &Result{
		ID: r.ID, Cluster: r.Cluster, Drill: r.Drill, Target: r.Target, Backup: r.Backup, Started: r.Started, Policy: r.Policy,
		Environment: r.Environment, Census: r.Census, Plan: r.Plan, RTOSeconds: r.RTOSeconds, RPOSeconds: r.RPOSeconds, Ending: r.Ending,
		Rows: Rows{Comparison: r.Rows.Comparison, Why: r.Rows.Why},
	}
}

package restore

import (
	"sync"
	"time"
)

// Effort is what copying cost, as time of the workers added up. Files is the part that grows with the number of files:
// to create, finish and settle them. Contents is the part that grows with their bytes.
type Effort struct {
	Files    time.Duration `json:"files_ns"`
	Contents time.Duration `json:"contents_ns"`
}

// contentsFrom is the size, in bytes, from which on it is a file's contents that making it durable takes its time for.
const contentsFrom = 1 << 20

// effortMeter adds up the effort of several workers. Without a clock it measures nothing.
type effortMeter struct {
	clock func() time.Time

	mu  sync.Mutex
	sum Effort
}

// measure runs a step, and adds its time to one of the parts.
func (m *effortMeter) measure(part func(*Effort) *time.Duration, step func() error) error {
	if m.clock == nil {
		return step()
	}
	started := m.clock()
	err := step()
	spent := m.clock().Sub(started)
	m.mu.Lock()
	defer m.mu.Unlock()
	*part(&m.sum) += spent
	return err
}

func onFiles(e *Effort) *time.Duration    { return &e.Files }
func onContents(e *Effort) *time.Duration { return &e.Contents }

// addShared adds the time of a step that was made for many files at once, divided as it was spent on each of them. It
// counts once for each worker that waited for it.
func (m *effortMeter) addShared(spent time.Duration, waiting int, of Effort) {
	all := of.Files + of.Contents
	if all <= 0 {
		return
	}
	contents := time.Duration(float64(spent) * float64(of.Contents) / float64(all))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Contents += contents * time.Duration(waiting)
	m.sum.Files += (spent - contents) * time.Duration(waiting)
}

package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Sights remembers, in a file, when each drill was first seen with the schedule that it has. A drill that has never run is
// due from then on, so that it neither runs at once nor starts to wait anew whenever the process is restarted. A lost file
// puts a drill off that has never run, and no other, by one period.
type Sights struct {
	path string

	mu    sync.Mutex
	first map[string]sight // by cluster and drill; nil: not read yet
}

type sight struct {
	Schedule string    `json:"schedule"`
	Seen     time.Time `json:"seen"`
}

// NewSights keeps what it knows at path.
func NewSights(path string) *Sights { return &Sights{path: path} }

// First is when the drill was first seen with this schedule: now, where that is the first time. An error says that it could
// not be remembered; the time is right nevertheless, for as long as this process lasts. One that lies in the future, since
// the clock was set back, is forgotten.
func (s *Sights) First(cluster, drill, schedule string, now time.Time) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	problem := s.read()
	key := cluster + "/" + drill
	if known, ok := s.first[key]; ok && known.Schedule == schedule && !known.Seen.After(now.Add(Ahead)) {
		return known.Seen, problem
	}
	s.first[key] = sight{Schedule: schedule, Seen: now.UTC()}
	return now, errors.Join(problem, s.write())
}

// read reads the file once. A damaged one counts as lost, which is told.
func (s *Sights) read() error {
	if s.first != nil {
		return nil
	}
	s.first = map[string]sight{}
	raw, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &s.first)
	}
	if err != nil {
		s.first = map[string]sight{}
		return fmt.Errorf("when drills were first seen is forgotten: %w", err)
	}
	return nil
}

// write replaces the file as a whole.
func (s *Sights) write() error {
	raw, err := json.Marshal(s.first)
	if err != nil {
		return err
	}
	temporary := s.path + ".new"
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return fmt.Errorf("remember when drills were first seen: %w", err)
	}
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return fmt.Errorf("remember when drills were first seen: %w", err)
	}
	if err := os.Rename(temporary, s.path); err != nil {
		return fmt.Errorf("remember when drills were first seen: %w", err)
	}
	return nil
}

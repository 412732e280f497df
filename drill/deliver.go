package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Waits says whether a drill has a lock file: it is at work, or its evidence is still to be stored.
func (f Finder) Waits(id string) bool {
	_, err := os.Lstat(lockPath(f.WorkDirectory, id))
	return err == nil
}

// deliver brings the evidence into the repository that drills of the cluster kept in the work directory, since the repository was
// away.
func (f Finder) deliver(ctx context.Context) error {
	kept := filepath.Join(f.WorkDirectory, localEvidence)
	entries, err := os.ReadDir(kept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for evidence to deliver: %w", err)
	}
	var problems []error
	for _, entry := range entries {
		if drillID.MatchString(entry.Name()) {
			problems = append(problems, f.deliverOne(ctx, filepath.Join(kept, entry.Name())))
		}
	}
	_ = os.Remove(kept) // unless there is more
	return errors.Join(problems...)
}

func (f Finder) deliverOne(ctx context.Context, dir string) error {
	body, err := os.ReadFile(filepath.Join(dir, localResult))
	if err != nil {
		return fmt.Errorf("deliver evidence: %w", err)
	}
	var r Result
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("deliver evidence %s: %w", dir, err)
	}
	if r.ID != filepath.Base(dir) || r.Cluster != f.Cluster.Name() {
		return nil
	}
	page, err := os.ReadFile(filepath.Join(dir, reportFile))
	if err != nil {
		return fmt.Errorf("deliver evidence: %w", err)
	}
	if err := f.Cluster.PutEvidence(ctx, r.ID, map[string][]byte{reportFile: page}, body); err != nil {
		return fmt.Errorf("deliver evidence of drill %s: %w", r.ID, err)
	}
	return os.RemoveAll(dir)
}

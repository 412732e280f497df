package archive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/control"
)

// controlFile is the cluster's control file, relative to the data directory.
const controlFile = "global/pg_control"

// The server overwrites pg_control in place, so that a reader can meet half of it.
const (
	controlAttempts = 10
	controlWait     = 20 * time.Millisecond
)

// readControl reads the control file of a data directory until its CRC holds.
func readControl(ctx context.Context, dataDirectory string) ([]byte, control.Control, error) {
	path := filepath.Join(dataDirectory, controlFile)
	for attempt := 1; ; attempt++ {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, control.Control{}, unreadable(err)
		}
		parsed, err := control.Parse(raw)
		if err == nil {
			return raw, parsed, nil
		}
		if attempt == controlAttempts {
			return nil, control.Control{}, fmt.Errorf("read %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			return nil, control.Control{}, ctx.Err()
		case <-time.After(controlWait):
		}
	}
}

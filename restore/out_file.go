package restore

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"lifeboat/storage/catalog"
)

// outFile is a file that is being restored. Several workers may write parts of it at the same time.
type outFile struct {
	entry catalog.FileEntry
	site  *site
	path  string // in the site

	mu   sync.Mutex
	file *os.File // nil before the first part and behind the last
	left int      // parts that are not written

	ended bool // the last byte was written
}

// open creates the file at the first part.
func (o *outFile) open() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		return nil
	}
	file, err := o.site.root.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", o.entry.Path, err)
	}
	o.file = file
	return nil
}

// write writes at the offset.
func (o *outFile) write(p []byte, offset int64) error {
	if _, err := o.file.WriteAt(p, offset); err != nil {
		return fmt.Errorf("write %s: %w", o.entry.Path, err)
	}
	if offset+int64(len(p)) == o.entry.Size {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ended = true
	}
	return nil
}

// done counts a part as written; behind the last one the file gets its size, mode and owner.
func (o *outFile) done() (finished bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left--
	if o.left > 0 {
		return false, nil
	}
	if !o.ended && o.entry.Size > 0 {
		err = o.file.Truncate(o.entry.Size) // what ends with zeros was not written to its end
	}
	err = errors.Join(
		err,
		o.file.Chmod(o.entry.Mode.Perm()),
		o.site.give(o.file),
	)
	if err != nil {
		return false, fmt.Errorf("finish %s: %w", o.entry.Path, err)
	}
	return true, nil
}

// settle closes a finished file, and makes it durable before if it is to be.
func (o *outFile) settle(durable bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if durable {
		err = o.file.Sync()
	}
	err = errors.Join(err, o.file.Close())
	o.file = nil
	if err != nil {
		return fmt.Errorf("finish %s: %w", o.entry.Path, err)
	}
	return nil
}

// close gives up on a file that will not be finished.
func (o *outFile) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close() // it is removed anyway
		o.file = nil
	}
}

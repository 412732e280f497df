package drill

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// workingRoom is what recovery needs beside the backup and its WAL, and what a copy may be ahead of its own count.
	workingRoom = 128 << 20
	// mostWAL is how much WAL recovery keeps at a time: it removes what it has replayed (CreateRestartPoint in xlog.c).
	mostWAL = 1 << 30
	// ballastStep is by how much the ballast gives way at a time.
	ballastStep = 4 << 20

	ballastFile = "ballast"
)

// RoomError says that a drill would take more disk than it may, or than there is.
type RoomError struct {
	Need   int64 // bytes that this drill needs
	Others int64 // bytes that other drills have taken, where there is a limit
	Limit  int64 // that all drills together may take; 0: the disk is full before
	Free   int64 // on the disk, where that is what lacks
	Path   string
}

func (e *RoomError) Error() string {
	if e.Limit > 0 {
		return fmt.Sprintf("the drill needs %s of disk, and other drills have %s: the limit is %s for all together", size(e.Need), size(e.Others), size(e.Limit))
	}
	return fmt.Sprintf("the drill needs %s of disk in %s, and %s are free", size(e.Need), e.Path, size(e.Free))
}

// Hint is what the operator can do about it.
func (e *RoomError) Hint() string {
	if e.Limit > 0 {
		return "raise scheduler.disk_limit, or let fewer drills run at the same time"
	}
	return "free space there, or set scheduler.work_directory to a larger disk"
}

// ballast is a file that keeps the disk free for a copy, and gives way as that grows.
type ballast struct {
	mu   sync.Mutex
	file *os.File // nil: the file system cannot set space aside, so that only its free space was looked at
	left int64
}

// reserve takes the disk that the plan needs, before its first byte.
func (d *drill) reserve() (*ballast, error) {
	if err := d.book.keep(d.result); err != nil {
		return nil, err
	}
	need := d.plan.BytesToWrite + min(d.plan.WAL.Bytes, mostWAL) + workingRoom
	unlock, err := lockSpace(d.WorkDirectory)
	if err != nil {
		return nil, fmt.Errorf("reserve disk: %w", err)
	}
	defer unlock()
	if err := d.withinLimit(need); err != nil {
		return nil, err
	}
	b, err := layBallast(d.scratch.path(ballastFile), need)
	if err != nil {
		return nil, err
	}
	return b, d.book.reserve(need)
}

// withinLimit adds up what the living drills have reserved. It is called with the space locked.
func (d *drill) withinLimit(need int64) error {
	if d.DiskLimit <= 0 {
		return nil
	}
	living, err := Living(d.WorkDirectory)
	if err != nil {
		return err
	}
	others := int64(0)
	for _, other := range living {
		if other.ID != d.result.ID {
			others += other.reserved
		}
	}
	if need+others > d.DiskLimit {
		return &RoomError{Need: need, Others: others, Limit: d.DiskLimit, Path: d.WorkDirectory}
	}
	return nil
}

// lockSpace lets one drill at a time reserve disk in a work directory.
func lockSpace(work string) (unlock func(), err error) {
	file, err := os.Open(work)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = releaseLock(file) }, nil // nothing was written
}

// layBallast makes a file of so many bytes that lie on the disk.
func layBallast(path string, bytes int64) (*ballast, error) {
	free, err := freeSpace(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("reserve disk: %w", err)
	}
	full := &RoomError{Need: bytes, Free: free, Path: filepath.Dir(filepath.Dir(path))}
	if free < bytes {
		return nil, full
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("reserve disk: %w", err)
	}
	err = unix.Fallocate(int(file.Fd()), 0, 0, bytes)
	switch {
	case err == nil:
		return &ballast{file: file, left: bytes}, nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return &ballast{}, errors.Join(file.Close(), os.Remove(path))
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return nil, errors.Join(full, file.Close(), os.Remove(path))
	}
	return nil, errors.Join(fmt.Errorf("reserve disk: %w", err), file.Close(), os.Remove(path))
}

func freeSpace(dir string) (int64, error) {
	var system unix.Statfs_t
	if err := unix.Statfs(dir, &system); err != nil {
		return 0, fmt.Errorf("ask for free space in %s: %w", dir, err)
	}
	return int64(system.Bavail) * system.Bsize, nil
}

// kept is how many bytes are set aside.
func (b *ballast) kept() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left
}

// give makes room for a copy of total bytes of which done are there.
func (b *ballast) give(done, total int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep := max(0, total-done)
	if b.file == nil || keep > b.left-ballastStep && keep > 0 {
		return nil
	}
	b.left = min(b.left, keep)
	return b.file.Truncate(b.left)
}

// drop gives back what is left.
func (b *ballast) drop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	err := errors.Join(os.Remove(b.file.Name()), b.file.Close())
	b.file, b.left = nil, 0
	return err
}

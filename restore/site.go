package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Owner is whom restored files belong to, in numbers.
type Owner struct{ UID, GID int }

// NotEmptyError says that a directory that is to be restored into holds something already.
type NotEmptyError struct {
	Path   string
	Detail string // what is there, where it is known
}

func (e *NotEmptyError) Error() string {
	s := fmt.Sprintf("directory %s is not empty", e.Path)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Hint is what the operator can do about it.
func (e *NotEmptyError) Hint() string {
	return "restore into a directory that is empty or does not exist, or move away what is there"
}

// site is a directory that a restore fills: the data directory, or a tablespace. While it is being filled it holds a
// marker, which this process keeps locked; what it held before was nothing.
type site struct {
	path    string
	root    *os.Root
	marker  *os.File // locked; nil before the claim and after the release
	claimed bool     // what is in the directory is this restore's
	owner   *Owner
	created []string    // directories that had to be made, the outermost first
	mode    fs.FileMode // that the directory had before, when it was there

	need int64 // bytes that will be written
}

// openSite makes the directory if needed and claims it. An interrupted restore in it is removed first. On an error the
// directory is as it was, unless an interrupted restore was in it.
func openSite(path string, owner *Owner, mark mark) (*site, error) {
	s := &site{path: path, owner: owner}
	if err := s.open(mark); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	return s, nil
}

func (s *site) open(mark mark) error {
	if err := s.make(); err != nil {
		return fmt.Errorf("prepare directory %s: %w", s.path, err)
	}
	root, err := os.OpenRoot(s.path)
	if err != nil {
		return fmt.Errorf("prepare directory: %w", err)
	}
	s.root = root
	if err := s.clearInterrupted(); err != nil {
		return err
	}
	if err := s.checkEmpty(); err != nil {
		return err
	}
	if err := s.claim(mark); err != nil {
		return err
	}
	return s.setMode(0o700)
}

// make creates the directory and those above it that do not exist.
func (s *site) make() error {
	var missing []string
	path := s.path
	for {
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a directory", path)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, path)
		path = filepath.Dir(path)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := s.makeOne(missing[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) makeOne(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	s.created = append(s.created, path)
	if s.owner == nil {
		return nil
	}
	return os.Chown(path, s.owner.UID, s.owner.GID)
}

func (s *site) checkEmpty() error {
	names, err := s.names()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return &NotEmptyError{Path: s.path, Detail: describeContent(names)}
	}
	return nil
}

func (s *site) names() ([]string, error) {
	dir, err := s.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("list directory %s: %w", s.path, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list directory %s: %w", s.path, err)
	}
	return names, nil
}

func describeContent(names []string) string {
	for _, name := range names {
		switch name {
		case "PG_VERSION":
			return "it is a data directory of PostgreSQL"
		case markerName:
			return "it holds a restore that was interrupted at its very end, or is still at work; look at it before you remove it"
		}
	}
	return fmt.Sprintf("it holds %s", names[0])
}

// setMode gives the directory a mode that PostgreSQL starts from, and remembers the one it had.
func (s *site) setMode(mode fs.FileMode) error {
	info, err := s.root.Stat(".")
	if err != nil {
		return fmt.Errorf("prepare directory %s: %w", s.path, err)
	}
	if s.mode == 0 {
		s.mode = info.Mode().Perm()
	}
	if info.Mode().Perm() == mode {
		return nil
	}
	if err := os.Chmod(s.path, mode); err != nil {
		return fmt.Errorf("prepare directory: %w", err)
	}
	return nil
}

// free is the space that this process can still use in the site's file system, and which file system that is.
func (s *site) free() (device uint64, bytes int64, err error) {
	var stat unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Stat(s.path, &stat), unix.Statfs(s.path, &system)); err != nil {
		return 0, 0, fmt.Errorf("ask for free space in %s: %w", s.path, err)
	}
	return stat.Dev, int64(system.Bavail) * system.Bsize, nil
}

// abandon removes what the restore has brought, and the directories that it made, however far it came.
func (s *site) abandon() error {
	var problems []error
	if s.claimed {
		problems = append(problems, s.clear(), s.closeMarker())
		if s.mode != 0 && len(s.created) == 0 {
			problems = append(problems, os.Chmod(s.path, s.mode))
		}
	}
	if s.root != nil {
		problems = append(problems, s.root.Close())
	}
	for i := len(s.created) - 1; i >= 0; i-- {
		problems = append(problems, ignoreBusy(os.Remove(s.created[i])))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("clean up %s: %w", s.path, err)
	}
	return nil
}

// ignoreBusy passes over directories that somebody else uses by now.
func ignoreBusy(err error) error {
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clear removes everything in the directory, the marker last, so that a clearing that is cut off can be repeated.
func (s *site) clear() error {
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == markerName {
			continue
		}
		if err := s.root.RemoveAll(name); err != nil {
			return err
		}
	}
	return ignoreMissing(s.root.Remove(markerName))
}

// release ends the claim on a filled directory: the marker goes, durably.
func (s *site) release() error {
	return errors.Join(s.root.Remove(markerName), s.closeMarker(), syncDir(s.root, "."))
}

func (s *site) closeMarker() error {
	if s.marker == nil {
		return nil
	}
	err := s.marker.Close()
	s.marker = nil
	return err
}

// syncParents makes the directories durable that were made for this one.
func (s *site) syncParents() error {
	for _, path := range s.created {
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
		if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
			return fmt.Errorf("sync directory %s: %w", filepath.Dir(path), err)
		}
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root, path string) error {
	dir, err := root.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir.Name(), err)
	}
	return nil
}

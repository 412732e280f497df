package restore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// markerName is a file in every directory that a restore is filling. The restore holds a lock on it. The markers of
// tablespaces go before pg_control is put in place, that of the data directory goes right after. So a directory with a
// marker, without a lock on it and without pg_control was never run by a server, and its content is worth nothing.
const markerName = "lifeboat.restore.incomplete"

// controlPath is the file without which no server starts; it is restored last.
const controlPath = "global/pg_control"

// mark is what a marker says, for people and for the next restore.
type mark struct {
	Note      string `json:"note"`
	Cluster   string `json:"cluster"`
	Backup    string `json:"backup"`
	Directory string `json:"directory"` // the data directory that is being restored
}

const markNote = "Lifeboat is restoring into this directory, or was stopped while it did. It does not start. " +
	"The same restore, run again, clears it and begins anew."

// BusyError says that another restore is filling the directory right now.
type BusyError struct{ Path string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("directory %s is being restored into by another process", e.Path)
}

// claim puts a locked marker into the empty directory.
func (s *site) claim(m mark) error {
	marker, err := s.root.OpenFile(markerName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &BusyError{Path: s.path}
	}
	if err != nil {
		return fmt.Errorf("claim directory: %w", err)
	}
	if err := lockMarker(marker); err != nil {
		return errors.Join(&BusyError{Path: s.path}, err, marker.Close())
	}
	s.marker, s.claimed = marker, true
	return s.writeMark(m)
}

func (s *site) writeMark(m mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("claim directory %s: %w", s.path, err)
	}
	if _, err := s.marker.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("claim directory: %w", err)
	}
	if err := errors.Join(s.give(s.marker), s.marker.Sync(), syncDir(s.root, ".")); err != nil {
		return fmt.Errorf("claim directory: %w", err)
	}
	return nil
}

// give hands an open file to the owner, where one is set.
func (s *site) give(file *os.File) error {
	if s.owner == nil {
		return nil
	}
	return file.Chown(s.owner.UID, s.owner.GID)
}

func lockMarker(marker *os.File) error {
	for {
		err := syscall.Flock(int(marker.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// clearInterrupted removes what a killed restore has left. It does nothing unless all signs agree: a marker that says
// so, on which nobody has a lock, and no pg_control.
func (s *site) clearInterrupted() error {
	marker, err := s.root.OpenFile(markerName, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at an interrupted restore: %w", err)
	}
	defer marker.Close()
	if err := lockMarker(marker); err != nil {
		return errors.Join(&BusyError{Path: s.path}, ignoreBlocked(err))
	}
	names, err := s.names()
	if err != nil {
		return err
	}
	if !isMark(marker, len(names) == 1) || !s.neverRun() {
		return nil // checkEmpty refuses it
	}
	if err := s.clear(); err != nil {
		return fmt.Errorf("clear an interrupted restore in %s: %w", s.path, err)
	}
	return nil
}

func ignoreBlocked(err error) error {
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	return err
}

// isMark recognises a marker. An empty one that is alone is a restore that was killed between two system calls.
func isMark(marker io.Reader, alone bool) bool {
	text, err := io.ReadAll(io.LimitReader(marker, 1<<16))
	if err != nil {
		return false
	}
	var m mark
	return len(text) == 0 && alone || json.Unmarshal(text, &m) == nil && m.Note == markNote
}

// neverRun says for certain that no server can have run on the directory.
func (s *site) neverRun() bool {
	for _, name := range []string{controlPath, "postmaster.pid"} {
		if _, err := s.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/wal"
)

const (
	identityName    = "identity"
	temporarySuffix = ".tmp"
	gapSuffix       = ".gap"
)

// gap is WAL that can never be received. Its file's name says where, its content why.
type gap struct {
	timeline wal.TimelineID
	from, to wal.LSN
	why      string
}

func (g gap) file() string {
	return fmt.Sprintf("%s-%016X-%016X%s", g.timeline.Hex(), uint64(g.from), uint64(g.to), gapSuffix)
}

// parseGap reads a name that file made.
func parseGap(name string) (gap, error) {
	var tli uint32
	var from, to uint64
	_, err := fmt.Sscanf(name, "%08X-%016X-%016X", &tli, &from, &to)
	g := gap{timeline: wal.TimelineID(tli), from: wal.LSN(from), to: wal.LSN(to)}
	if err != nil || g.file() != name {
		return gap{}, errors.New("the name does not say where the gap is")
	}
	return g, nil
}

func (s *spool) recoverGap(name string) error {
	g, err := parseGap(name)
	if err != nil {
		return err
	}
	why, err := os.ReadFile(s.path(name))
	if err != nil {
		return err
	}
	g.why = string(why)
	s.gaps = append(s.gaps, g)
	return nil
}

// addGap remembers a gap until the repository knows it. Durable on return.
func (s *spool) addGap(g gap) error {
	if err := s.writeNote(g.file(), []byte(g.why)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.gaps, g) {
		s.gaps = append(s.gaps, g)
	}
	return nil
}

func (s *spool) removeGap(g gap) error {
	if err := s.removeNote(g.file()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = slices.DeleteFunc(s.gaps, func(other gap) bool { return other == g })
	return nil
}

// addHistory keeps a timeline's history until the repository has it. Durable on return.
func (s *spool) addHistory(tli wal.TimelineID, content []byte) error {
	if err := s.writeNote(wal.HistoryFile(tli).String(), content); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.histories, tli) {
		s.histories = append(s.histories, tli)
	}
	return nil
}

func (s *spool) removeHistory(tli wal.TimelineID) error {
	if err := s.removeNote(wal.HistoryFile(tli).String()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.histories = slices.DeleteFunc(s.histories, func(other wal.TimelineID) bool { return other == tli })
	return nil
}

// claim makes the spool that of a cluster, or refuses another cluster's.
func (s *spool) claim(system uint64) error {
	owner, err := s.identity()
	if err != nil {
		return err
	}
	if owner == 0 {
		return s.writeNote(identityName, fmt.Appendf(nil, "system identifier %d\nsegment size %d\n", system, s.size))
	}
	if owner != system {
		return refuse("the spool %s holds WAL of the cluster with system identifier %d, the server's is %d", s.dir, owner, system)
	}
	return nil
}

// identity is the system identifier that the spool belongs to; 0 where it belongs to none yet.
func (s *spool) identity() (uint64, error) {
	system, _, err := s.readIdentity()
	return system, err
}

func (s *spool) checkIdentitySize() error {
	_, size, err := s.readIdentity()
	if err == nil && size != s.size {
		err = fmt.Errorf("the spool holds segments of %d bytes, not of %d", size, s.size)
	}
	return err
}

func (s *spool) readIdentity() (uint64, wal.SegmentSize, error) {
	text, err := os.ReadFile(s.path(identityName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return parseIdentity(string(text))
}

func parseIdentity(text string) (uint64, wal.SegmentSize, error) {
	first, rest, _ := strings.Cut(text, "\n")
	second, rest, ended := strings.Cut(rest, "\n")
	system, errSystem := strconv.ParseUint(strings.TrimPrefix(first, "system identifier "), 10, 64)
	size, errSize := strconv.ParseInt(strings.TrimPrefix(second, "segment size "), 10, 64)
	if errSystem != nil || errSize != nil || system == 0 || !ended || rest != "" {
		return 0, 0, fmt.Errorf("the spool's %s file is damaged", identityName)
	}
	return system, wal.SegmentSize(size), nil
}

// writeNote writes a small file, whole or not at all. Durable on return.
func (s *spool) writeNote(name string, content []byte) error {
	temporary := s.path(name + temporarySuffix)
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, s.path(name)); err != nil {
		return err
	}
	return syncDirectory(s.dir)
}

func (s *spool) readNote(name string) ([]byte, error) { return os.ReadFile(s.path(name)) }

func (s *spool) removeNote(name string) error {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

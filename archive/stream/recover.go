package stream

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/wal"
)

// openSpool makes a spool's directory where it is missing, takes its lock, and finds out what it holds.
func openSpool(dir string, size wal.SegmentSize, limit int64, clock func() time.Time) (*spool, error) {
	if err := makeDirectory(dir); err != nil {
		return nil, err
	}
	s := &spool{dir: dir, size: size, limit: limit, clock: clock, disk: realDisk()}
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func makeDirectory(dir string) error {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(dir))
}

// takeLock keeps a second receiver out. The kernel lets go of it when the process ends.
func (s *spool) takeLock() error {
	lock, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close() // it is not held
		return fmt.Errorf("another receiver uses it: %w", err)
	}
	s.lock = lock
	return nil
}

func (s *spool) recover() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := s.recoverFile(entry.Name()); err != nil {
			return fmt.Errorf("recover %s: %w", entry.Name(), err)
		}
	}
	if err := s.order(); err != nil {
		return err
	}
	if err := s.checkAll(); err != nil {
		return err
	}
	s.note()
	return nil
}

// recoverFile puts one file where it belongs.
func (s *spool) recoverFile(name string) error {
	base, partial := strings.CutSuffix(name, partialSuffix)
	parsed, err := wal.ParseFileName(base)
	switch {
	case name == identityName:
		return s.checkIdentitySize()
	case strings.HasSuffix(name, temporarySuffix):
		return os.Remove(s.path(name))
	case strings.HasSuffix(name, gapSuffix):
		return s.recoverGap(name)
	case err == nil && parsed.Kind == wal.History && !partial:
		s.histories = append(s.histories, parsed.Timeline)
		return nil
	case err == nil && parsed.Kind == wal.Segment && parsed.ValidFor(s.size) == nil:
		return s.recoverPiece(parsed, name, partial)
	}
	return errors.New("the file does not belong into a spool; it may have been put there by mistake")
}

func (s *spool) recoverPiece(name wal.FileName, file string, partial bool) error {
	info, err := os.Lstat(s.path(file))
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > int64(s.size) || !partial && info.Size() != int64(s.size) {
		return fmt.Errorf("it is no segment of %d bytes, but %s of %d", s.size, info.Mode(), info.Size())
	}
	s.pieces = append(s.pieces, &piece{name: name, start: name.Start(s.size), durable: uint32(info.Size()), whole: !partial})
	return nil
}

// order sorts the pieces and makes sure that the newest one is partial. A full one with its successor at hand was synced,
// and a crash came before it got its name.
func (s *spool) order() error {
	slices.SortFunc(s.pieces, func(a, b *piece) int {
		return cmp.Or(cmp.Compare(a.name.Timeline, b.name.Timeline), cmp.Compare(a.start, b.start))
	})
	for i, p := range s.pieces[:max(0, len(s.pieces)-1)] {
		next := s.pieces[i+1]
		if p.whole || int64(p.durable) != int64(s.size) || next.name != s.following(p.name) {
			continue
		}
		if err := s.complete(p.name); err != nil {
			return err
		}
		p.whole = true
	}
	if len(s.pieces) == 0 || !s.newest().whole {
		return nil
	}
	return s.addNewest()
}

func (s *spool) following(name wal.FileName) wal.FileName {
	return wal.SegmentFile(name.Timeline, name.SegmentNumber(s.size)+1, s.size)
}

func (s *spool) addNewest() error {
	name := s.following(s.newest().name)
	file, err := s.create(name)
	if err != nil {
		return err
	}
	s.pieces = append(s.pieces, &piece{name: name, start: name.Start(s.size)})
	return errors.Join(file.Close(), syncDirectory(s.dir))
}

// checkAll finds the end of every partial piece, and cuts off what is behind it.
func (s *spool) checkAll() error {
	for _, p := range s.pieces {
		if !p.whole {
			unproven, err := s.checkPartial(p)
			if err != nil {
				return fmt.Errorf("recover segment %s: %w", p.name, err)
			}
			s.unproven = unproven
		}
		s.used += int64(p.durable)
	}
	if len(s.pieces) > 0 {
		s.current = s.newest()
		s.written = s.current.durable
		s.doubted = s.unproven > 0
	}
	return nil
}

// checkPartial cuts a partial piece behind its last whole record and returns how many bytes at its start are not covered
// by a checksum in it. What it keeps is synced: the process before may have died before it did that.
func (s *spool) checkPartial(p *piece) (unproven uint32, err error) {
	file, err := os.OpenFile(s.partialPath(p.name), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	end, unproven, err := validEnd(file, int64(p.durable), p.start, s.size)
	if err != nil {
		return 0, err
	}
	if err := file.Truncate(int64(end)); err != nil {
		return 0, err
	}
	p.durable = end
	return unproven, file.Sync()
}

// validEnd is the offset behind the last whole record of a segment's first size bytes, and how many of them belong to a
// record that began in the segment before, which cannot be checked here.
func validEnd(file io.ReaderAt, size int64, start wal.LSN, segment wal.SegmentSize) (end, unproven uint32, err error) {
	pages := padded{file: file, size: size}
	reader := wal.NewReader(wal.NewSegmentPages(pages, start, pages.length()), segment)
	err = reader.FindFrom(start)
	if err == nil {
		end = restOfRecord(pages)
		unproven = end
	}
	for first := true; err == nil; first = false {
		var record *wal.Record
		if record, err = reader.Next(); err != nil {
			break
		}
		if first {
			unproven = unprovenBefore(record.LSN, start)
		}
		end = uint32(min(int64(record.End-start), size))
	}
	var corrupt *wal.CorruptError
	if errors.Is(err, io.EOF) || errors.Is(err, wal.ErrIncomplete) || errors.As(err, &corrupt) {
		err = nil
	}
	if int64(end) > size {
		return 0, 0, err // the record's rest is not all there
	}
	return end, unproven, err
}

// unprovenBefore is how many bytes of a segment come before its first record, apart from the header of its first page.
func unprovenBefore(first, start wal.LSN) uint32 {
	if first == start+wal.LongHeaderSize {
		return 0
	}
	return uint32(first - start)
}

// restOfRecord is the offset behind the rest of a record that began in the segment before; 0 where there is none.
func restOfRecord(file io.ReaderAt) uint32 {
	var start [wal.LongHeaderSize]byte
	if _, err := file.ReadAt(start[:], 0); err != nil {
		return 0
	}
	header, err := wal.ParsePageHeader(start[:])
	if err != nil || header.Flags&wal.FlagContinuation == 0 {
		return 0
	}
	rest, offset := (uint64(header.Remaining)+7)&^7, uint64(wal.LongHeaderSize)
	for room := wal.PageSize - offset; rest > room; room = wal.PageSize - wal.ShortHeaderSize {
		rest -= room
		offset += room + wal.ShortHeaderSize
	}
	return uint32(offset + rest)
}

// padded fills the last page of a file that ends in the middle of one with zeros, as the server's own does.
type padded struct {
	file io.ReaderAt
	size int64
}

// length is the size in whole pages.
func (p padded) length() int64 { return (p.size + wal.PageSize - 1) / wal.PageSize * wal.PageSize }

func (p padded) ReadAt(b []byte, offset int64) (int, error) {
	if offset+int64(len(b)) > p.length() {
		return 0, io.EOF
	}
	n := min(max(p.size-offset, 0), int64(len(b)))
	if _, err := io.ReadFull(io.NewSectionReader(p.file, offset, n), b[:n]); err != nil {
		return 0, err
	}
	clear(b[n:])
	return len(b), nil
}

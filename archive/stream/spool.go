package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/wal"
)

const partialSuffix = ".partial"

// piece is a segment in the spool. The newest piece is being received; an older one that is not whole ended early, with
// its timeline or at a gap.
type piece struct {
	name    wal.FileName // of the whole segment
	start   wal.LSN
	durable uint32 // bytes that are synced
	whole   bool

	tail      uint32 // bytes of it that the repository has, contiguous from 0
	tailAsked bool   // tail is known
}

// spool is a directory that holds what was received until the repository has it. One goroutine writes; the others look at
// the pieces, and remove those that are shipped.
type spool struct {
	dir   string
	size  wal.SegmentSize
	limit int64 // bytes; below one means none
	clock func() time.Time
	lock  *os.File
	disk  disk

	// Of the goroutine that writes.
	current  *piece   // the newest one; nil where the spool never held any
	file     *os.File // of that; nil until it is opened
	written  uint32   // bytes in it
	unproven uint32   // its first bytes, which no checksum covers since the process before this one

	mu         sync.Mutex
	pieces     []*piece // the newest is the last
	histories  []wal.TimelineID
	gaps       []gap
	doubted    bool  // the newest piece begins with bytes that are unproven, and the server is to be asked for them before they are shipped
	used       int64 // bytes of all pieces, synced or not
	received   Position
	synced     Position
	repository Position
}

// disk is how segments reach the disk.
type disk struct {
	write func(file *os.File, b []byte, offset int64) (int, error)
	sync  func(file *os.File) error
}

func realDisk() disk {
	return disk{
		write: (*os.File).WriteAt,
		sync:  func(file *os.File) error { return unix.Fdatasync(int(file.Fd())) },
	}
}

// errFull says that the spool has reached its limit.
var errFull = errors.New("the spool has reached its limit")

// end is where receiving goes on: behind what is synced. ok is false for a spool that never held anything.
func (s *spool) end() (tli wal.TimelineID, lsn wal.LSN, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pieces) == 0 {
		return 0, 0, false
	}
	p := s.newest()
	return p.name.Timeline, p.start + wal.LSN(p.durable), true
}

func (s *spool) newest() *piece { return s.pieces[len(s.pieces)-1] }

// durableEnd is end's position alone; zero where there is none.
func (s *spool) durableEnd() wal.LSN {
	_, lsn, _ := s.end()
	return lsn
}

// repositoryEnd is up to where the repository has everything that the spool ever held; zero where it never held anything.
func (s *spool) repositoryEnd() wal.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.confirmed()
}

// confirmed is repositoryEnd. The lock is held. A piece that is gone was shipped, so what is left says it all. Where the
// repository knows more of a segment than the spool does, the spool's end counts.
func (s *spool) confirmed() wal.LSN {
	var end wal.LSN
	for i, p := range s.pieces {
		if at := p.start + wal.LSN(min(p.tail, p.durable)); i == 0 || at < end {
			end = at
		}
	}
	return end
}

// note keeps the positions, and when they moved. The lock is held.
func (s *spool) note() {
	if len(s.pieces) == 0 {
		return
	}
	p, now := s.newest(), s.clock()
	move(&s.received, p.start+wal.LSN(s.written), now)
	move(&s.synced, p.start+wal.LSN(p.durable), now)
	move(&s.repository, s.confirmed(), now)
}

func move(p *Position, lsn wal.LSN, now time.Time) {
	if p.LSN != lsn {
		*p = Position{LSN: lsn, Time: now}
	}
}

func (s *spool) report(status *Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pieces) > 0 {
		status.Timeline = s.newest().name.Timeline
	}
	status.Received, status.SpoolDurable, status.RepositoryDurable = s.received, s.synced, s.repository
	status.SpoolBytes = s.used
}

// hasRoom tells whether another segment fits below the limit.
func (s *spool) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit < 1 || s.used+int64(s.size) <= s.limit
}

func (s *spool) path(name string) string { return filepath.Join(s.dir, name) }

func (s *spool) partialPath(name wal.FileName) string { return s.path(name.String() + partialSuffix) }

// begin makes a segment the newest piece, from its start on; what was the newest has ended. Durable on return.
func (s *spool) begin(tli wal.TimelineID, segno wal.SegmentNumber) error {
	name := wal.SegmentFile(tli, segno, s.size)
	file, err := s.create(name)
	if err == nil {
		err = syncDirectory(s.dir)
	}
	if err != nil {
		return err
	}
	s.closeFile()
	s.append(file, name)
	return nil
}

// create makes an empty partial segment.
func (s *spool) create(name wal.FileName) (*os.File, error) {
	return os.OpenFile(s.partialPath(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (s *spool) append(file *os.File, name wal.FileName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = &piece{name: name, start: name.Start(s.size)}
	s.file, s.written, s.unproven, s.doubted = file, 0, 0, false
	s.pieces = append(s.pieces, s.current)
	s.note()
}

// settle makes the newest piece ready to be written behind what is synced; what was written to it and not synced is taken
// back, since after an error nobody knows what of that has reached the disk.
func (s *spool) settle() error {
	s.closeFile()
	switch {
	case s.current == nil:
		return nil
	case int64(s.current.durable) == int64(s.size):
		return s.next() // it failed before
	}
	file, err := os.OpenFile(s.partialPath(s.current.name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := file.Truncate(int64(s.current.durable)); err != nil {
		_ = file.Close() // the truncation's error says more
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= int64(s.written) - int64(s.current.durable)
	s.file, s.written = file, s.current.durable
	s.note()
	return nil
}

// resume is from where the server is asked to send: some bytes that are there already are compared with what it has.
func (s *spool) resume() wal.LSN {
	p := s.current
	if s.unproven > 0 || p.durable == 0 {
		return p.start
	}
	return p.start + wal.LSN((p.durable-1)/wal.PageSize*wal.PageSize)
}

// put writes WAL that starts at lsn, across segments where it must. What is there already is compared. Nothing is durable
// before sync. Errors: errFull and *RefusedError, besides those of the file system; a part may have been written then.
func (s *spool) put(lsn wal.LSN, data []byte) error {
	for len(data) > 0 {
		p := s.current
		offset, err := s.offset(p, lsn)
		if err != nil {
			return err
		}
		part := data[:min(int64(len(data)), int64(s.size)-offset)]
		if err := s.putHere(p, uint32(offset), part); err != nil {
			return err
		}
		data, lsn = data[len(part):], lsn+wal.LSN(len(part))
		if int64(s.written) == int64(s.size) {
			if err := s.finish(); err != nil {
				return err
			}
		}
	}
	return nil
}

// offset is lsn's place in the newest piece, and at most its end.
func (s *spool) offset(p *piece, lsn wal.LSN) (int64, error) {
	end := p.start + wal.LSN(s.written)
	if lsn < p.start || lsn > end {
		return 0, fmt.Errorf("the server sent WAL from %s on, expected at %s", lsn, end)
	}
	return int64(lsn - p.start), nil
}

func (s *spool) putHere(p *piece, offset uint32, data []byte) error {
	known := min(int64(s.written-offset), int64(len(data)))
	if err := s.compare(p, offset, data[:known]); err != nil {
		return err
	}
	data = data[known:]
	if !s.take(int64(len(data))) {
		return errFull
	}
	n, err := s.disk.write(s.file, data, int64(s.written))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += uint32(n)
	s.used -= int64(len(data) - n)
	s.note()
	if err != nil {
		return fmt.Errorf("write %s: %w", p.name, err)
	}
	return nil
}

// take reserves bytes of the limit.
func (s *spool) take(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit > 0 && s.used+n > s.limit {
		return false
	}
	s.used += n
	return true
}

// compare proves that the server has the same WAL where it sends what is there already. The rest of a record from the
// segment before, which a crash may have left in pieces, is believed to the server.
func (s *spool) compare(p *piece, offset uint32, data []byte) error {
	have := make([]byte, len(data))
	if _, err := s.file.ReadAt(have, int64(offset)); err != nil {
		return fmt.Errorf("read %s: %w", p.name, err)
	}
	free := min(max(int64(s.unproven)-int64(offset), 0), int64(len(data)))
	if !bytes.Equal(have[free:], data[free:]) {
		return refuse("the server's WAL in segment %s differs from what was received before, from %s on or behind it: two servers have written on one timeline, or one has lost what it had sent",
			p.name, p.start+wal.LSN(offset))
	}
	if !bytes.Equal(have[:free], data[:free]) {
		if _, err := s.disk.write(s.file, data[:free], int64(offset)); err != nil {
			return err
		}
	}
	if s.unproven > 0 && int64(offset)+int64(len(data)) >= int64(s.unproven) {
		s.unproven = 0
		s.believe()
	}
	return nil
}

// believe lets the unproven beginning of the newest piece be shipped: the server has said what it is, or there is none to ask.
func (s *spool) believe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubted = false
}

// sync makes durable what was put.
func (s *spool) sync() error {
	p := s.current
	if err := s.disk.sync(s.file); err != nil {
		return fmt.Errorf("sync %s: %w", p.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.durable = s.written
	s.note()
	return nil
}

// finish ends the newest piece, which is full.
func (s *spool) finish() error {
	if err := s.sync(); err != nil {
		return err
	}
	return s.next()
}

// next gives the newest piece, which is full and synced, the name of a whole segment, and begins the one behind it. That
// one is made first: the spool must never be without its newest piece. It can be repeated after an error.
func (s *spool) next() error {
	p := s.current
	name := s.following(p.name)
	file, err := s.create(name)
	if err != nil {
		return fmt.Errorf("begin segment %s: %w", name, err)
	}
	if err := s.complete(p.name); err != nil {
		_ = file.Close() // the other error says more
		return fmt.Errorf("finish segment %s: %w", p.name, err)
	}
	s.closeFile()
	s.mu.Lock()
	p.whole = true
	s.mu.Unlock()
	s.append(file, name)
	return nil
}

// complete renames a partial segment that is full and synced.
func (s *spool) complete(name wal.FileName) error {
	err := os.Rename(s.partialPath(name), s.path(name.String()))
	if errors.Is(err, fs.ErrNotExist) { // it was renamed, and the directory could not be synced
		_, err = os.Stat(s.path(name.String()))
	}
	if err != nil {
		return err
	}
	return syncDirectory(s.dir)
}

// read reads durable bytes of a piece, which may get its whole name meanwhile.
func (s *spool) read(name wal.FileName, b []byte, offset uint32) error {
	file, err := os.Open(s.partialPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		file, err = os.Open(s.path(name.String()))
	}
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.ReadFull(io.NewSectionReader(file, int64(offset), int64(len(b))), b)
	return err
}

// remove takes a piece out that is shipped: a whole one, or one that ended.
func (s *spool) remove(p *piece) error {
	path := s.path(p.name.String())
	if !p.whole {
		path = s.partialPath(p.name)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pieces {
		if s.pieces[i] == p {
			s.pieces = append(s.pieces[:i], s.pieces[i+1:]...)
			break
		}
	}
	s.used -= int64(p.durable)
	s.note()
	return nil
}

func (s *spool) closeFile() {
	if s.file != nil {
		_ = s.file.Close() // what counts was synced
		s.file = nil
	}
}

// close lets go of the lock by itself: a child process that was just forked has the descriptor, too, until it runs its
// program.
func (s *spool) close() {
	s.closeFile()
	_ = unix.Flock(int(s.lock.Fd()), unix.LOCK_UN) // it ends with the process at the latest
	_ = s.lock.Close()
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// writtenEnd is the end of what was written. For the goroutine that writes.
func (s *spool) writtenEnd() wal.LSN { return s.current.start + wal.LSN(s.written) }

// timeline is the one that is being received. For the goroutine that writes.
func (s *spool) timeline() wal.TimelineID { return s.current.name.Timeline }

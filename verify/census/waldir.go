package census

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/wal"
)

// walDirectory is the pg_wal of a running server, as far as one timeline goes.
type walDirectory struct {
	path     string
	system   uint64
	timeline wal.TimelineID
	size     wal.SegmentSize
}

// open opens a segment. One that is gone is an error that says so: the server removes or reuses old segments after a
// checkpoint.
func (d walDirectory) open(segno wal.SegmentNumber) (*os.File, error) {
	name := wal.SegmentName(d.timeline, segno, d.size)
	file, err := os.Open(filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("WAL segment %s is no longer in pg_wal: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open WAL segment: %w", err)
	}
	return file, nil
}

// has says whether the segment is there.
func (d walDirectory) has(segno wal.SegmentNumber) bool {
	_, err := os.Stat(filepath.Join(d.path, wal.SegmentName(d.timeline, segno, d.size)))
	return err == nil
}

// check makes sure that the directory is the pg_wal of the cluster whose WAL has just been written up to lsn.
func (d walDirectory) check(lsn wal.LSN) error {
	file, err := d.open(wal.LastSegmentOf(lsn, d.size))
	if err != nil {
		return err
	}
	defer file.Close()
	page := make([]byte, wal.LongHeaderSize)
	if _, err := io.ReadFull(file, page); err != nil {
		return fmt.Errorf("read WAL segment: %w", err)
	}
	header, err := wal.ParsePageHeader(page)
	if err != nil {
		return fmt.Errorf("%s: %w", file.Name(), err)
	}
	if header.SystemIdentifier != d.system {
		return fmt.Errorf("%s belongs to cluster %d, not to %d", d.path, header.SystemIdentifier, d.system)
	}
	return nil
}

// lookBack is how many bytes of WAL before the census began are searched as well: there lie the commit records of
// transactions that still wait to become visible.
const lookBack = 8 << 20

// scanStarts are the places to begin reading at, for a census that began when the WAL ended at lsn, the earliest first.
// Behind a segment switch the rest of a segment is empty, so that reading cannot begin everywhere; the start of a
// segment is always good.
func (d walDirectory) scanStarts(lsn wal.LSN) []wal.LSN {
	number := wal.SegmentOf(lsn, d.size)
	earliest := lsn - min(lsn, lookBack)
	for wal.Start(number, d.size) > earliest && d.has(number-1) {
		number--
	}
	first, last := wal.Start(number, d.size), wal.Start(wal.SegmentOf(lsn, d.size), d.size)
	return []wal.LSN{max(first, earliest), first, last}
}

// pages reads the directory's segments one after the other. The function closes the one that is open.
func (d walDirectory) pages() (wal.PageSource, func()) {
	var last *os.File
	source := wal.ChainSegments(d.size, func(segno wal.SegmentNumber) (io.ReaderAt, error) {
		file, err := d.open(segno)
		if err != nil {
			return nil, err
		}
		last = file
		return file, nil
	})
	return source, func() {
		if last != nil {
			_ = last.Close() // it was only read
		}
	}
}

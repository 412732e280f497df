package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// ScanOptions says what ScanSegment lets pass.
type ScanOptions struct {
	// Unfinished accepts a segment that the server still writes, or never finished: the scan ends, without an
	// error, at the first record that is not valid. A Partial name implies it.
	Unfinished bool
}

// Summary is what a segment says about itself.
type Summary struct {
	Version          Version
	SystemIdentifier uint64
	SegmentSize      SegmentSize
	Timeline         TimelineID // of the segment's last page in use
	FirstRecord      LSN        // start of the first record that begins in the segment; 0 if none does
	LastRecord       LSN        // start of the last record that lies in it completely; 0 if none does
	LastRecordEnd    LSN        // where the record behind it starts; the segment's end if Switched
	Switched         bool       // the last record is a segment switch, and nothing follows it

	// The earliest and latest time of commit, abort, restore point and checkpoint records, and of the first
	// three alone, which are what recovery_target_time is compared with (getRecordTimestamp in
	// xlogrecovery.c). Zero if there are none. The server's clock may have stepped in between.
	FirstTime, LastTime         time.Time
	FirstXactTime, LastXactTime time.Time

	// The least and the greatest top transaction of commit and abort records, modulo 2^32; 0 if none.
	MinXID, MaxXID TransactionID

	RestorePoints []RestorePoint
	Tablespaces   []string // paths that CREATE TABLESPACE records name

	CustomManagers []int // resource managers of extensions that have records here, ascending
}

// ScanSegment reads a segment of size bytes and proves it sound as far as it can be by itself: every page header
// (version, place, timeline, cluster, sizes), every link between records, and the CRC of every record that lies
// completely in it. The rest of a record that began in the segment before, the start of one that ends in the
// next, and what follows a segment switch can have no proof here. A new timeline's first segment, which starts
// with pages of the old one, is sound.
//
// Errors: *CorruptError with the file's name; *NameError for a name that is not that of a segment; or what the
// file's ReadAt returned.
func ScanSegment(file io.ReaderAt, size int64, name FileName, options ScanOptions) (Summary, error) {
	if name.Kind != Segment && name.Kind != Partial {
		return Summary{}, &NameError{Name: name.String(), Reason: "is not the name of a segment"}
	}
	s := scan{name: name, unfinished: options.Unfinished || name.Kind == Partial}
	err := s.open(file, size)
	if err == nil {
		err = s.records()
	}
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		corrupt.Name = name.String()
	}
	if err != nil {
		return Summary{}, err
	}
	return s.summary, nil
}

// scan is one run of ScanSegment.
type scan struct {
	name       FileName
	unfinished bool
	start      LSN
	reader     *Reader
	summary    Summary
}

// open checks the first page against the file's name and size.
func (s *scan) open(file io.ReaderAt, size int64) error {
	header, err := readFirstHeader(file, size)
	if err != nil {
		return err
	}
	if err := s.checkFile(header, size); err != nil {
		return err
	}
	s.summary.Version = header.Version
	s.summary.SystemIdentifier = header.SystemIdentifier
	s.summary.SegmentSize = header.SegmentSize
	s.start = s.name.Start(header.SegmentSize)
	s.reader = NewReader(NewSegmentPages(file, s.start, size), header.SegmentSize)
	s.reader.ReadFrom(s.start)
	return nil
}

func readFirstHeader(file io.ReaderAt, size int64) (PageHeader, error) {
	var h PageHeader
	if size < PageSize {
		return h, corruptf(0, "file has only %d bytes", size)
	}
	var start [LongHeaderSize]byte
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, size), start[:]); err != nil {
		return h, fmt.Errorf("read WAL segment: %w", err)
	}
	if reason := h.parse(start[:]); reason != "" {
		return h, corruptf(h.Address, "%s", reason)
	}
	return h, nil
}

func (s *scan) checkFile(h PageHeader, size int64) error {
	if !h.Long() {
		return corruptf(h.Address, "first page of the segment has no long header")
	}
	if want := int64(h.SegmentSize); size != want && (!s.unfinished || size > want) {
		return corruptf(h.Address, "file has %d bytes, segments have %d", size, want)
	}
	return s.name.ValidFor(h.SegmentSize)
}

func (s *scan) records() error {
	err := s.reader.pages.load(s.start)
	if err != nil {
		return err
	}
	for err = s.reader.skipContinuation(); err == nil && !s.summary.Switched; {
		if err = s.reader.advance(); err == nil {
			err = s.note(&s.reader.record)
		}
	}
	if s.atEnd(err) {
		err = nil
	}
	s.summary.Timeline = s.reader.pages.timeline
	if err == nil && s.summary.Timeline > s.name.Timeline {
		err = corruptf(s.reader.pages.latest, "page is of timeline %d, the file of an older one", s.summary.Timeline)
	}
	return err
}

// atEnd says whether err is how this segment may end.
func (s *scan) atEnd(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, ErrIncomplete) {
		return true
	}
	var corrupt *CorruptError
	return s.unfinished && errors.As(err, &corrupt)
}

// note adds a record to the summary. Only those of a few resource managers are taken apart, for speed.
func (s *scan) note(r *Record) error {
	if s.summary.FirstRecord == 0 {
		s.summary.FirstRecord = r.LSN
	}
	if r.Rmgr >= firstCustomRmgr {
		s.noteCustom(int(r.Rmgr))
	}
	if r.Rmgr == RmgrXLOG || r.Rmgr == RmgrXact || r.Rmgr == RmgrTablespace {
		if err := r.decode(); err != nil {
			return err
		}
		s.noteContent(r)
	}
	s.summary.LastRecord, s.summary.LastRecordEnd, s.summary.Switched = r.LSN, r.End, r.Switch()
	return nil
}

func (s *scan) noteContent(r *Record) {
	if end, ok := r.XactEnd(); ok && end.Kind != PreparedXact {
		s.noteXID(end.XID)
		s.noteXactTime(end.Time)
	}
	if point, ok := r.RestorePoint(); ok {
		s.summary.RestorePoints = append(s.summary.RestorePoints, point)
		s.noteXactTime(point.Time)
	}
	if checkpoint, ok := r.Checkpoint(); ok {
		widen(&s.summary.FirstTime, &s.summary.LastTime, checkpoint.Time)
	}
	if created, ok := r.TablespaceCreate(); ok {
		s.summary.Tablespaces = append(s.summary.Tablespaces, created.Path)
	}
}

func (s *scan) noteCustom(manager int) {
	if at, known := slices.BinarySearch(s.summary.CustomManagers, manager); !known {
		s.summary.CustomManagers = slices.Insert(s.summary.CustomManagers, at, manager)
	}
}

func (s *scan) noteXID(xid TransactionID) {
	if s.summary.MinXID == 0 || xid.Precedes(s.summary.MinXID) {
		s.summary.MinXID = xid
	}
	if s.summary.MaxXID == 0 || s.summary.MaxXID.Precedes(xid) {
		s.summary.MaxXID = xid
	}
}

func (s *scan) noteXactTime(t time.Time) {
	widen(&s.summary.FirstXactTime, &s.summary.LastXactTime, t)
	widen(&s.summary.FirstTime, &s.summary.LastTime, t)
}

// widen makes the range from first to last hold t.
func widen(first, last *time.Time, t time.Time) {
	if first.IsZero() || t.Before(*first) {
		*first = t
	}
	if last.IsZero() || t.After(*last) {
		*last = t
	}
}

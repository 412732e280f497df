package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/control"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// maxHeld is the longest file that is held in memory while it is archived, in bytes; longer ones are read twice.
const maxHeld = 64 << 20

// maxSmallFile is the longest history or backup history file that is taken, in bytes.
const maxSmallFile = 1 << 20

// PushOptions are what Push needs besides the file.
type PushOptions struct {
	Clock func() time.Time
	Store catalog.StoreOptions // of a cluster with copies: in how many of them the file must be durable
	// DataDirectory is the server's, of a file that does not lie in its pg_wal; empty of one that does.
	DataDirectory string
	// Intake is shared by the pushes of a process that go on at the same time; nil where there is one only.
	Intake *Intake
}

// PushResult says what Push did.
type PushResult struct {
	Name   wal.FileName
	Bytes  int64 // size of the file
	Stored bool  // false: the same file was in the repository already

	Copies []catalog.CopyResult // what became of it in each repository, the nearest first
}

// BadNameError says that PostgreSQL archives no file of this name.
type BadNameError struct {
	Path string
	Err  error
}

// Error names the path.
func (e *BadNameError) Error() string {
	return fmt.Sprintf("%q is not a file to archive: %v", e.Path, e.Err)
}

// Unwrap is the *wal.NameError.
func (e *BadNameError) Unwrap() error { return e.Err }

// Push stores one file from pg_wal, as archive_command asks for: a segment, a partial segment, a timeline history or
// backup history file. When it returns nil, that content is durable in the repository under the file's name; of several
// copies in as many as the options say, and no copy contradicts. What keeps the others from having it is in the result.
//
// Before anything is sent the file is proven sound and of this cluster. The errors are *BadNameError,
// *wal.CorruptError, *wal.HistoryError, *catalog.ForeignError, *catalog.ConflictError (other content has the name; a
// finding is stored), *catalog.DamagedError (the stored object is damaged), *catalog.IncomparableError (it is sealed and
// cannot be compared), and those of the file and the store.
func Push(ctx context.Context, cluster *catalog.Cluster, path string, opts PushOptions) (PushResult, error) {
	end, err := opts.Intake.begin(ctx, filepath.Base(path))
	if err != nil {
		return PushResult{}, fmt.Errorf("push %s: %w", filepath.Base(path), err)
	}
	defer end()
	result, file, place, err := accept(ctx, cluster, path, opts)
	if err != nil {
		return result, fmt.Errorf("push %s: %w", filepath.Base(path), err)
	}
	defer place.giveBack()
	if opts.Intake.knows(result.Name, place) {
		return result, nil
	}
	result.Copies = cluster.StoreWAL(ctx, file, opts.Clock(), opts.Store)
	for _, copied := range result.Copies {
		result.Stored = result.Stored || copied.Stored
	}
	err = judgeCopies(result.Copies, max(1, opts.Store.Durable))
	if err == nil && judgeCopies(result.Copies, len(result.Copies)) == nil {
		opts.Intake.remember(result.Name, result.Copies[0].SHA256)
	}
	return result, err
}

// accept waits for a place in the intake, and proves the file there. The place is the caller's where there is no error.
func accept(ctx context.Context, cluster *catalog.Cluster, path string, opts PushOptions) (PushResult, catalog.WALFile, *place, error) {
	place, err := opts.Intake.take(ctx)
	if err != nil {
		return PushResult{}, catalog.WALFile{}, nil, err
	}
	result, file, err := inspect(cluster.Identity(), cluster.Name(), path, place)
	if err == nil && cluster.Seals() {
		file.Secret, err = Secret(ctx, cluster.Identity(), cmp.Or(opts.DataDirectory, filepath.Join(filepath.Dir(path), "..")))
	}
	if err != nil {
		place.giveBack()
		return result, file, nil, err
	}
	file.Open = place.opens(path, cluster.Repositories() == 1)
	return result, file, place, nil
}

// judgeCopies is nil where the file is durable in enough copies and no copy knows better.
func judgeCopies(copies []catalog.CopyResult, enough int) error {
	var errs []error
	durable := 0
	for _, c := range copies {
		if c.Err == nil {
			durable++
		} else {
			errs = append(errs, c.Err)
		}
	}
	err := errors.Join(errs...)
	switch {
	case catalog.Contradicts(err), durable == 0:
		return err
	case durable < enough:
		return fmt.Errorf("durable in %d repositories, and %d are asked for: %w", durable, enough, err)
	}
	return nil
}

// Secret is what the servers of a cluster share, see catalog.WALFile: the nonce in the pg_control of a data directory. It
// is nil where that has none, or is another cluster's.
func Secret(ctx context.Context, identity catalog.Identity, dataDirectory string) ([]byte, error) {
	_, c, err := readControl(ctx, dataDirectory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if c.SystemIdentifier != identity.SystemIdentifier {
		return nil, nil
	}
	return c.MockNonce[:], nil
}

// inspect proves a file sound and of the cluster, in its place where it is not too long.
func inspect(identity catalog.Identity, cluster, path string, in *place) (PushResult, catalog.WALFile, error) {
	name, err := wal.ParseFileName(filepath.Base(path))
	if err == nil {
		err = name.ValidFor(identity.WALSegmentSize)
	}
	if err != nil {
		return PushResult{}, catalog.WALFile{}, &BadNameError{Path: path, Err: err}
	}
	file, size, err := openRegular(path)
	if err != nil {
		return PushResult{}, catalog.WALFile{}, err
	}
	defer file.Close()
	p := pushed{name: name, path: path, file: file, size: size, identity: identity, cluster: cluster}
	result := PushResult{Name: name, Bytes: size}
	if size <= maxHeld {
		if err := in.hold(file, size); err != nil {
			return result, catalog.WALFile{}, err
		}
		p.file = bytes.NewReader(in.held)
	}
	summary, err := p.check()
	return result, catalog.WALFile{Name: name, Size: size, Summary: summary}, err
}

// hold reads a file whose size is one less than that of the buffer.
func hold(file io.Reader, buffer []byte) ([]byte, error) {
	n, err := io.ReadFull(file, buffer)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n != len(buffer)-1 {
		return nil, fmt.Errorf("the file had %d bytes a moment ago, and has another size now", len(buffer)-1)
	}
	return buffer[:n], nil
}

func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path) // before opening, which would wait for the writer of a pipe
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	if info, err = file.Stat(); err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// content is what a file holds.
type content interface {
	io.Reader
	io.ReaderAt
}

// pushed is a file on its way.
type pushed struct {
	name     wal.FileName
	path     string
	file     content
	size     int64
	identity catalog.Identity
	cluster  string
}

// check returns the summary of a file that holds WAL.
func (p pushed) check() (*wal.Summary, error) {
	switch p.name.Kind {
	case wal.Segment, wal.Partial:
		return p.checkSegment()
	case wal.History:
		return nil, p.checkHistory()
	default:
		return nil, p.checkBackupHistory()
	}
}

func (p pushed) checkSegment() (*wal.Summary, error) {
	if err := p.checkFirstPage(); err != nil {
		return nil, err
	}
	summary, err := wal.ScanSegment(p.file, p.size, p.name, wal.ScanOptions{})
	if err != nil {
		return nil, err
	}
	return &summary, p.own(catalog.Identity{
		SystemIdentifier: summary.SystemIdentifier,
		WALSegmentSize:   summary.SegmentSize,
	})
}

// checkFirstPage tells a foreign segment before anything else is said of it. A page that makes no sense is the scan's
// affair.
func (p pushed) checkFirstPage() error {
	page := make([]byte, wal.LongHeaderSize)
	if _, err := p.file.ReadAt(page, 0); err != nil {
		return nil
	}
	header, err := wal.ParsePageHeader(page)
	if err != nil || header.SystemIdentifier == p.identity.SystemIdentifier {
		return nil
	}
	return p.own(catalog.Identity{SystemIdentifier: header.SystemIdentifier, WALSegmentSize: header.SegmentSize})
}

func (p pushed) own(offered catalog.Identity) error {
	if offered != p.identity {
		return &catalog.ForeignError{Name: p.cluster, Have: p.identity, Offered: offered}
	}
	return nil
}

func (p pushed) checkHistory() error {
	text, err := p.text()
	if err != nil {
		return err
	}
	history, err := wal.ParseHistory(p.name.Timeline, text)
	if err != nil {
		return err
	}
	if len(history.Entries) == 0 {
		return &wal.HistoryError{Timeline: p.name.Timeline, Reason: "names no timeline that it comes from"}
	}
	return p.ownDirectory()
}

// checkBackupHistory proves the first line, which names the segment that the file is called after
// (xlogbackup.c: build_backup_content).
func (p pushed) checkBackupHistory() error {
	text, err := p.text()
	if err != nil {
		return err
	}
	segment, _, _ := strings.Cut(p.name.String(), ".")
	first, _, _ := strings.Cut(string(text), "\n")
	if !strings.HasPrefix(first, "START WAL LOCATION: ") || !strings.HasSuffix(first, "(file "+segment+")") {
		return fmt.Errorf("backup history file does not start with the location of segment %s", segment)
	}
	return p.ownDirectory()
}

func (p pushed) text() ([]byte, error) {
	if p.size > maxSmallFile {
		return nil, fmt.Errorf("%s file has %d bytes, more than the %d allowed", p.name.Kind, p.size, maxSmallFile)
	}
	return io.ReadAll(io.LimitReader(p.file, maxSmallFile))
}

// ownDirectory proves that a file which does not say whose it is lies in this cluster's data directory: by the
// pg_control beside pg_wal, where there is one.
func (p pushed) ownDirectory() error {
	beside := filepath.Join(filepath.Dir(p.path), "..", controlFile)
	raw, err := os.ReadFile(beside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := control.Parse(raw)
	if err != nil {
		return fmt.Errorf("read %s: %w", beside, err)
	}
	return p.own(catalog.Identity{SystemIdentifier: c.SystemIdentifier, WALSegmentSize: wal.SegmentSize(c.WALSegmentSize)})
}

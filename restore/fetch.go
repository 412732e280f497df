package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// Outcome is what PostgreSQL may conclude from a fetch.
type Outcome int

// The outcomes. The zero value is the one that concludes nothing.
const (
	Unknown Outcome = iota // the repository could not say, or what it says does not hold: recovery must not go on
	Found                  // the file is in place, whole and verified
	Absent                 // the repository has answered that there is no such file, and nothing of the timeline beyond it
)

// String is the outcome's name.
func (o Outcome) String() string {
	switch o {
	case Found:
		return "found"
	case Absent:
		return "absent"
	}
	return "unknown"
}

// ErrGap says that a segment is missing although later ones of its timeline are there. Recovery must not take it as
// the end of the WAL.
var ErrGap = errors.New("missing, but later WAL of its timeline is there")

// FetchOptions are the conditions of a fetch.
type FetchOptions struct {
	Timeout time.Duration // for everything; 0 means no limit
	Logger  *slog.Logger
}

// Fetch answers PostgreSQL's restore_command: it brings the file of the name to dest, relative to the working directory
// (https://www.postgresql.org/docs/current/continuous-archiving.html).
//
// Found: dest is the verified file, put in place by one rename. At the end of a timeline's WAL that is the tail of a
// segment that was not finished, filled up with zeros, as on the server. Absent: err says what is not there; dest is untouched.
// Unknown: anything else, with the error; dest is untouched. A name that PostgreSQL does not ask for, a header of another
// cluster, an outage, a refused permission, damage and a timeout are all Unknown.
func Fetch(ctx context.Context, c *catalog.Cluster, name, dest string, o FetchOptions) (Outcome, error) {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	file, err := fetchName(c, name)
	if err != nil {
		return Unknown, fmt.Errorf("fetch %q: %w", name, err)
	}
	err = fetchFile(ctx, c, file, dest)
	if errors.Is(err, storage.ErrNotFound) {
		return confirmAbsence(ctx, c, file)
	}
	if errors.Is(err, catalog.ErrUnfinished) {
		err = fmt.Errorf("%w: %w", ErrGap, err)
	}
	if err != nil {
		return Unknown, fmt.Errorf("fetch %s: %w", name, err)
	}
	o.Logger.Debug("fetched WAL file", "file", name, "to", dest)
	return Found, nil
}

func fetchName(c *catalog.Cluster, name string) (wal.FileName, error) {
	file, err := wal.ParseFileName(name)
	if err != nil {
		return file, err
	}
	return file, file.ValidFor(c.Identity().WALSegmentSize)
}

// confirmAbsence is asked after the store has said that there is no such object: a store that lost its repository, such
// as a file system that is not mounted, says so too.
func confirmAbsence(ctx context.Context, c *catalog.Cluster, file wal.FileName) (Outcome, error) {
	if err := c.Confirm(ctx); err != nil {
		return Unknown, fmt.Errorf("fetch %s: the repository does not answer for its absence: %w", file, err)
	}
	if file.Kind == wal.Segment {
		later, err := c.HasLaterWAL(ctx, file)
		if err != nil {
			return Unknown, fmt.Errorf("fetch %s: %w", file, err)
		}
		if later {
			return Unknown, fmt.Errorf("fetch %s: %w", file, ErrGap)
		}
	}
	return Absent, fmt.Errorf("fetch %s: %w", file, storage.ErrNotFound)
}

// fetchFile writes the file beside dest and renames it when it is whole. There is no fsync: after a crash of the
// machine PostgreSQL asks again.
func fetchFile(ctx context.Context, c *catalog.Cluster, file wal.FileName, dest string) error {
	temp, err := createTemp(dest)
	if err != nil {
		return err
	}
	err = fetchInto(ctx, c, file, temp)
	if err == nil {
		err = os.Rename(temp.Name(), dest)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(temp.Name())))
	}
	return nil
}

func fetchInto(ctx context.Context, c *catalog.Cluster, file wal.FileName, temp *os.File) error {
	header, err := c.GetSegment(ctx, file, temp)
	if err == nil {
		err = checkFetched(ctx, c, file, header, temp)
	}
	return errors.Join(err, temp.Close())
}

// checkFetched repeats the checks that matter most on the file itself.
func checkFetched(ctx context.Context, c *catalog.Cluster, file wal.FileName, header catalog.WALHeader, temp *os.File) error {
	info, err := temp.Stat()
	if err != nil {
		return fmt.Errorf("check the file: %w", err)
	}
	identity := c.Identity()
	switch {
	case header.Name != file.String():
		return fmt.Errorf("the repository has %s in its place", header.Name)
	case header.SystemIdentifier != identity.SystemIdentifier:
		return fmt.Errorf("it belongs to system identifier %d, not %d", header.SystemIdentifier, identity.SystemIdentifier)
	case info.Size() != header.Size:
		return fmt.Errorf("%d of %d bytes were written", info.Size(), header.Size)
	case file.Kind == wal.Segment && info.Size() != int64(identity.WALSegmentSize):
		return fmt.Errorf("it has %d bytes, a segment has %d", info.Size(), identity.WALSegmentSize)
	}
	return ctx.Err()
}

// tempMark stands between the name of the destination and the number of the process that writes.
const tempMark = ".lifeboat-"

// createTemp makes the file to write to, in dest's directory, and removes those that killed fetches to the same place
// have left.
func createTemp(dest string) (*os.File, error) {
	if err := RemoveLeftovers(dest); err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp(filepath.Dir(dest), filepath.Base(dest)+tempMark+strconv.Itoa(os.Getpid())+"-*")
	if err != nil {
		return nil, fmt.Errorf("create a file beside the destination: %w", err)
	}
	return temp, nil
}

// RemoveLeftovers removes what killed fetches to the same place have left beside it.
func RemoveLeftovers(dest string) error {
	leftovers, err := filepath.Glob(globEscape(dest) + tempMark + "*")
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	for _, path := range leftovers {
		if err := removeDead(path); err != nil {
			return err
		}
	}
	return nil
}

// removeDead removes a leftover whose process has ended. Any doubt leaves it alone.
func removeDead(path string) error {
	number, _, _ := strings.Cut(path[strings.LastIndex(path, tempMark)+len(tempMark):], "-")
	pid, err := strconv.Atoi(number)
	if err != nil || pid <= 0 || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return nil
	}
	return ignoreMissing(os.Remove(path))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// globEscape takes the special meaning from the characters of a path.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

//go:build linux

package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

func bucket(t *testing.T) *Bucket {
	t.Helper()
	b, err := Create(filepath.Join(t.TempDir(), "root"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func put(t *testing.T, b *Bucket, key, text string, ifAbsent bool) error {
	t.Helper()
	options := storage.PutOptions{IfAbsent: ifAbsent, Size: int64(len(text))}
	return b.Put(t.Context(), key, strings.NewReader(text), options)
}

func read(t *testing.T, b *Bucket, key string) string {
	t.Helper()
	body, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantNothing checks that there is neither an object nor anything in the making.
func wantNothing(t *testing.T, b *Bucket) {
	t.Helper()
	for info, err := range b.List(t.Context(), "") {
		t.Errorf("listed %s, %v", info.Key, err)
	}
	wantClean(t, b.path)
}

func wantClean(t *testing.T, root string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(root, tempDirectory))
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

// after lets a call succeed n times and then fail.
func after[F any](n int, works, fails F) func() F {
	return func() F {
		if n--; n >= 0 {
			return works
		}
		return fails
	}
}

func TestFailureOfTheDiskLeavesNothing(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 3*copyBuffer+1)
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EFBIG, unix.EROFS} {
		for name, breaks := range map[string]func(*system){
			"first write": func(s *system) { s.write = func(int, []byte) (int, error) { return 0, errno } },
			"third write": func(s *system) {
				next := after(2, s.write, func(int, []byte) (int, error) { return 0, errno })
				s.write = func(fd int, p []byte) (int, error) { return next()(fd, p) }
			},
			"part of a write": func(s *system) {
				works := func(fd int, p []byte) (int, error) { return write(fd, p[:len(p)/2]) }
				next := after(1, works, func(int, []byte) (int, error) { return 0, errno })
				s.write = func(fd int, p []byte) (int, error) { return next()(fd, p) }
			},
			"sync of the file": func(s *system) { s.sync = func(int) error { return errno } },
			"move into place": func(s *system) {
				fails := func(int, string, int, string) error { return errno }
				s.link, s.rename = fails, fails
			},
		} {
			for _, ifAbsent := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v/%s/%t", errno, name, ifAbsent), func(t *testing.T) {
					t.Parallel()
					b := bucket(t)
					breaks(&b.sys)
					err := put(t, b, "x", large, ifAbsent)
					if !errors.Is(err, errno) || storage.Hint(err) == "" {
						t.Errorf("got %v, hint %q", err, storage.Hint(err))
					}
					wantNothing(t, b)
				})
			}
		}
	}
}

func TestShortWritesAreContinued(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	b.sys.write = func(fd int, p []byte) (int, error) { return write(fd, p[:min(len(p), 3)]) }
	if err := put(t, b, "x", "0123456789", true); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "x"); got != "0123456789" {
		t.Fatalf("read %q", got)
	}
}

// putLate is a conditional put that did not see the object at its first look, as if it appeared just after that.
func putLate(t *testing.T, b *Bucket, key, text string) error {
	t.Helper()
	f, err := b.stage(stagedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer b.discard(f)
	if err := b.fill(t.Context(), f, strings.NewReader(text), -1); err != nil {
		t.Fatal(err)
	}
	return b.publish(t.Context(), f, key, true)
}

func TestFileSystemWithoutHardLinks(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EPERM, unix.EOPNOTSUPP, unix.ENOSYS, unix.EMLINK} {
		b := bucket(t)
		b.sys.link = func(int, string, int, string) error { return errno }
		if err := put(t, b, "dir/x", "first", true); err != nil {
			t.Fatalf("%v: %v", errno, err)
		}
		if err := putLate(t, b, "dir/x", "second"); !errors.Is(err, storage.ErrExists) {
			t.Fatalf("%v: %v", errno, err)
		}
		if got := read(t, b, "dir/x"); got != "first" {
			t.Fatalf("%v: read %q", errno, got)
		}
		wantClean(t, b.path)
	}
}

func TestFileSystemWithoutConditionIsRefused(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EINVAL, unix.ENOSYS} {
		b := bucket(t)
		b.sys.link = func(int, string, int, string) error { return unix.EPERM }
		b.sys.renameNew = func(int, string, int, string) error { return errno }
		err := put(t, b, "dir/x", "text", true)
		if !errors.Is(err, errUnconditional) || storage.Hint(err) == "" {
			t.Fatalf("got %v, hint %q", err, storage.Hint(err))
		}
		wantNothing(t, b)
		if err := put(t, b, "dir/x", "text", false); err != nil {
			t.Fatalf("without a condition: %v", err)
		}
	}
}

// A network file system can repeat a link whose answer was lost, and then says that it exists.
func TestLinkWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	link := b.sys.link
	b.sys.link = func(fromDir int, from string, toDir int, to string) error {
		if err := link(fromDir, from, toDir, to); err != nil {
			return err
		}
		return unix.EEXIST
	}
	if err := put(t, b, "x", "text", true); err != nil {
		t.Fatal(err)
	}
	b.sys.link = link
	if err := putLate(t, b, "x", "other"); !errors.Is(err, storage.ErrExists) {
		t.Fatalf("got %v", err)
	}
	wantClean(t, b.path)
}

func TestTemporaryFileTakenByAnotherProcess(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	link := b.sys.link
	b.sys.link = func(fromDir int, from string, toDir int, to string) error {
		if err := unix.Unlinkat(fromDir, from, 0); err != nil {
			t.Error(err)
		}
		return link(fromDir, from, toDir, to)
	}
	if err := put(t, b, "x", "text", true); !errors.Is(err, errTaken) {
		t.Fatalf("got %v", err)
	}
	wantNothing(t, b)
}

func TestSweeperThatComesBeforeTheLock(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	lock, busy := b.sys.lock, 3
	b.sys.lock = func(fd int) error {
		if busy--; busy >= 0 {
			return unix.EWOULDBLOCK
		}
		return lock(fd)
	}
	if err := put(t, b, "x", "text", true); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "x"); got != "text" {
		t.Fatalf("read %q", got)
	}
	if busy >= 0 {
		t.Error("a file was used that is not locked")
	}
}

// traced notes what reaches the disk, in order, by the names in the repository.
func traced(t *testing.T, b *Bucket) *[]string {
	t.Helper()
	trace := &[]string{}
	name := func(fd int) string {
		path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			t.Error(err)
		}
		path = strings.TrimPrefix(strings.TrimPrefix(path, b.path), "/")
		if strings.HasPrefix(path, tempDirectory) {
			path = "temporary"
		}
		return path
	}
	sync, link, rename := b.sys.sync, b.sys.link, b.sys.rename
	b.sys.sync = func(fd int) error {
		*trace = append(*trace, "sync "+name(fd))
		return sync(fd)
	}
	b.sys.link = func(fromDir int, from string, toDir int, to string) error {
		*trace = append(*trace, "link "+to)
		return link(fromDir, from, toDir, to)
	}
	b.sys.rename = func(fromDir int, from string, toDir int, to string) error {
		*trace = append(*trace, "rename "+to)
		return rename(fromDir, from, toDir, to)
	}
	return trace
}

func wantTrace(t *testing.T, trace *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*trace, want) {
		t.Errorf("got %q, want %q", *trace, want)
	}
	*trace = nil
}

func TestOrderOfWhatReachesTheDisk(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	trace := traced(t, b)
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	must(put(t, b, "a/b/x", "text", true), nil)
	wantTrace(t, trace, "sync temporary", "sync ", "sync a", "link x", "sync a/b")
	must(put(t, b, "a/b/y", "text", true), nil)
	wantTrace(t, trace, "sync temporary", "link y", "sync a/b")
	must(put(t, b, "a/b/x", "text", false), nil)
	wantTrace(t, trace, "sync temporary", "rename x", "sync a/b")
	must(put(t, b, "a/b/x", "text", true), storage.ErrExists)
	wantTrace(t, trace, "sync a/b")
	must(putLate(t, b, "a/b/x", "text"), storage.ErrExists)
	wantTrace(t, trace, "sync temporary", "link x", "sync a/b")
	must(b.Delete(t.Context(), "a/b/x"), nil)
	wantTrace(t, trace, "sync a/b")
	must(b.Delete(t.Context(), "a/b/x"), nil)
	wantTrace(t, trace, "sync a/b")
}

// A writer that dies after making a directory, before it has synced the parent, leaves that to the next one.
func TestDirectoryWhoseEntryIsNotDurable(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	works := b.sys.sync
	next := after(1, works, func(int) error { return unix.EIO })
	b.sys.sync = func(fd int) error { return next()(fd) }
	if err := put(t, b, "a/x", "text", true); !errors.Is(err, unix.EIO) {
		t.Fatalf("got %v", err)
	}
	wantNothing(t, b)
	b.sys.sync = works
	trace := traced(t, b)
	if err := put(t, b, "a/x", "text", true); err != nil {
		t.Fatal(err)
	}
	wantTrace(t, trace, "sync temporary", "sync ", "link x", "sync a")
}

func TestUnsyncedEntryIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	if err := put(t, b, "a/x", "text", true); err != nil {
		t.Fatal(err)
	}
	b.sys.sync = func(fd int) error {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return errors.Join(unix.EIO, err)
		}
		return nil
	}
	for name, err := range map[string]error{
		"put": put(t, b, "a/y", "text", true), "replacing put": put(t, b, "a/z", "text", false),
		"put of what exists": put(t, b, "a/x", "text", true), "delete": b.Delete(t.Context(), "a/x"),
		"delete of the absent": b.Delete(t.Context(), "a/absent"),
	} {
		if !errors.Is(err, unix.EIO) || errors.Is(err, storage.ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantClean(t, b.path)
}

func TestDirectoriesWithoutConditionalRename(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	b.sys.renameNew = func(int, string, int, string) error { return unix.EINVAL }
	for _, key := range []string{"a/b/x", "a/b/y", "a/c/x"} {
		if err := put(t, b, key, key, true); err != nil {
			t.Fatal(err)
		}
		if got := read(t, b, key); got != key {
			t.Fatalf("read %q", got)
		}
	}
	wantClean(t, b.path)
}

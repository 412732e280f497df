//go:build linux

// Package file keeps objects as files in a local directory: the object "a/b" of the repository at root is the file
// root/a/b. It asks little of the file system: rename, fsync of files and of directories, and either hard links or a
// rename that does not replace.
//
// Files are written in root/.tmp and appear at their key when they are whole and synced. Symbolic links below the
// root are never followed: one in the place of an object or a directory is an error.
package file

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

const copyBuffer = 1 << 20

// Options are what a bucket takes from its process.
type Options struct {
	// Now is the clock, which tells the age of files that a dead writer of another machine left. Without one, such
	// files stay.
	Now func() time.Time
	// Log gets warnings about leavings that could not be removed; nil discards them.
	Log *slog.Logger
}

// Bucket is a storage.Bucket in a local directory, safe for concurrent use. Processes of several users may share one
// when they are root and the owner of the root directory: what root creates gets that owner.
type Bucket struct {
	path    string
	root    directory
	owner   owner
	modes   modes
	sys     system
	now     func() time.Time
	log     *slog.Logger
	buffers sync.Pool
}

var _ storage.Bucket = (*Bucket)(nil)

func newBucket(path string, root directory, st *unix.Stat_t, opts Options) *Bucket {
	b := &Bucket{
		path: path, root: root, owner: ownerFor(st), modes: modesFor(st), sys: kernel(), now: opts.Now, log: opts.Log,
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.buffers.New = func() any {
		buffer := make([]byte, copyBuffer)
		return &buffer
	}
	return b
}

// Location is the directory as a file URL.
func (b *Bucket) Location() string { return location(b.path) }

func location(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// Close lets go of the root directory. The bucket must not be in use and cannot be used afterwards.
func (b *Bucket) Close() error { return b.root.close() }

// Get opens the file of the object; see storage.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if !storage.ValidKey(key) {
		return nil, b.failed("get", key, storage.ErrKey)
	}
	body, err := b.open(ctx, key, offset, length)
	if err != nil {
		return nil, b.failed("get", key, err)
	}
	return body, nil
}

// Stat reads the file's size and modification time; see storage.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	if !storage.ValidKey(key) {
		return storage.Info{}, b.failed("stat", key, storage.ErrKey)
	}
	info, err := b.stat(ctx, key)
	return info, b.failed("stat", key, err)
}

func (b *Bucket) stat(ctx context.Context, key string) (storage.Info, error) {
	if err := ctx.Err(); err != nil {
		return storage.Info{}, err
	}
	dirs, name := split(key)
	d, err := b.find(dirs)
	if err != nil {
		return storage.Info{}, err
	}
	defer d.close()
	st, err := d.stat(name)
	if err != nil {
		return storage.Info{}, b.absence(err)
	}
	if err := b.object(&st); err != nil {
		return storage.Info{}, err
	}
	return info(key, &st), nil
}

// object checks that st describes the file of an object: a directory is none, and anything else is foreign.
func (b *Bucket) object(st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return b.absence(unix.ENOENT)
	default:
		return errForeign
	}
}

// absence turns "no such file" into the answer that there is no object, unless the root is not in its place any more: then
// nothing is known about the object.
func (b *Bucket) absence(err error) error {
	if err != unix.ENOENT {
		return err
	}
	if err := b.inPlace(); err != nil {
		return err
	}
	return storage.ErrNotFound
}

// inPlace is nil while the root's path leads to the directory that was opened. Where it was removed, moved away, unmounted or
// mounted over, others do not see what is stored in it, and may see what is missing in it.
func (b *Bucket) inPlace() error {
	own, err := b.root.self()
	if err != nil {
		return fmt.Errorf("look at the root directory: %w", err)
	}
	var there unix.Stat_t
	err = again(func() error { return unix.Stat(b.path, &there) })
	switch {
	case own.Nlink == 0:
		return errRemoved
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return errMoved
	case err != nil:
		return fmt.Errorf("look at the root directory's path: %w", err)
	case there.Dev != own.Dev || there.Ino != own.Ino:
		return errMoved
	}
	return nil
}

func info(key string, st *unix.Stat_t) storage.Info {
	return storage.Info{Key: key, Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())}
}

// split cuts a key into the directories on the way and the name of the file.
func split(key string) (dirs []string, name string) {
	segments := strings.Split(key, "/")
	last := len(segments) - 1
	return segments[:last], segments[last]
}

//go:build linux

package file

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

const (
	// writeback is after how many bytes the kernel is asked to start writing, so that the sync at the end of a large
	// object finds little left to do.
	writeback = 8 << 20
	// publishTries bounds the race against a Delete that prunes directories.
	publishTries = 100
	// emptyReads is how many reads without a byte or an error a body may answer in a row, as in bufio.
	emptyReads = 100
)

// Put writes body to a temporary file and moves it to its place; see storage.Bucket. Where an object is there already
// and opts.IfAbsent, body is not read.
func (b *Bucket) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if !storage.ValidKey(key) {
		return b.failed("put", key, storage.ErrKey)
	}
	return b.failed("put", key, b.put(ctx, key, body, opts))
}

func (b *Bucket) put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if opts.IfAbsent {
		if err := b.refuse(ctx, key); err != nil {
			return err
		}
	}
	t, err := b.stage(stagedFile)
	if err != nil {
		return err
	}
	defer b.discard(t)
	if err := b.fill(ctx, t, body, opts.Size); err != nil {
		return err
	}
	if err := b.publish(ctx, t, key, opts.IfAbsent); err != nil {
		return err
	}
	return b.inPlace()
}

// refuse saves the copying of a body for which there is no place.
func (b *Bucket) refuse(ctx context.Context, key string) error {
	if _, err := b.stat(ctx, key); err != nil {
		return nil // absent, or publish will say what is wrong
	}
	dirs, _ := split(key)
	d, err := b.make(dirs)
	switch {
	case err == unix.ENOENT:
		return nil // just deleted
	case err != nil:
		return err
	}
	defer d.close()
	return b.exists(d)
}

// exists is the answer for an object found in d, once its entry is durable: whoever put it may not have come so far.
func (b *Bucket) exists(d directory) error {
	if err := b.sys.sync(d.fd); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := b.inPlace(); err != nil {
		return err
	}
	return storage.ErrExists
}

// fill copies body to the temporary file and syncs it.
func (b *Bucket) fill(ctx context.Context, t *temp, body io.Reader, size int64) error {
	buffer := b.buffers.Get().(*[]byte)
	defer b.buffers.Put(buffer)
	written, err := b.copy(ctx, t, body, *buffer, size)
	if err != nil {
		return err
	}
	if size >= 0 && written != size {
		return fmt.Errorf("%w: got %d bytes of %d", storage.ErrSize, written, size)
	}
	if err := b.sys.sync(t.fd); err != nil {
		return fmt.Errorf("sync temporary file: %w", err)
	}
	return nil
}

// copy copies until the body ends, and no further than one buffer past limit, unless that is below zero.
func (b *Bucket) copy(ctx context.Context, t *temp, body io.Reader, buffer []byte, limit int64) (written int64, err error) {
	started := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		n, end := readBlock(body, buffer)
		if end != nil && end != io.EOF {
			return written, fmt.Errorf("read body: %w", end)
		}
		if written += int64(n); limit >= 0 && written > limit {
			return written, fmt.Errorf("%w: more than %d bytes", storage.ErrSize, limit)
		}
		if err := b.writeAll(t.fd, buffer[:n]); err != nil {
			return written, fmt.Errorf("write temporary file: %w", err)
		}
		if end == io.EOF {
			return written, nil
		}
		started = startWriteback(t.fd, started, written)
	}
}

// readBlock fills p as far as the body goes. Unlike io.ReadFull it passes on the body's own error, so that a body that
// breaks off with io.ErrUnexpectedEOF is not taken for one that ended.
func readBlock(body io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p) && err == nil; {
		var got int
		got, err = body.Read(p[n:])
		n += got
		if got > 0 {
			idle = 0
		} else if idle++; idle == emptyReads && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

func (b *Bucket) writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := b.sys.write(fd, p)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		p = p[n:]
	}
	return nil
}

// startWriteback asks the kernel to write what has come together, without waiting. It is advice: the sync that
// follows gets every error.
func startWriteback(fd int, started, written int64) int64 {
	if written-started < writeback {
		return started
	}
	_ = unix.SyncFileRange(fd, started, written-started, unix.SYNC_FILE_RANGE_WRITE)
	return written
}

// publish makes the temporary file appear at key, durably.
func (b *Bucket) publish(ctx context.Context, t *temp, key string, ifAbsent bool) error {
	dirs, name := split(key)
	for range publishTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := b.publishOnce(t, dirs, name, ifAbsent)
		if err != unix.ENOENT {
			return err
		}
		if !t.linked() {
			return errTaken
		}
		if err := b.absence(err); !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return errBusy
}

// publishOnce is publish but for the case that a directory is removed meanwhile, which is unix.ENOENT.
func (b *Bucket) publishOnce(t *temp, dirs []string, name string, ifAbsent bool) error {
	d, err := b.make(dirs)
	if err != nil {
		return err
	}
	defer d.close()
	if ifAbsent {
		err = b.placeNew(t, d, name)
	} else {
		err = b.place(t, d, name)
	}
	if err != nil {
		return err
	}
	if err := b.sys.sync(d.fd); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

func (b *Bucket) place(t *temp, d directory, name string) error {
	err := b.sys.rename(t.dir.fd, t.name, d.fd, name)
	switch err {
	case nil:
		t.moved = true
		return nil
	case unix.EISDIR, unix.EEXIST, unix.ENOTEMPTY:
		return errDirectory()
	default:
		return rename(err)
	}
}

// placeNew links the file to its place, or renames it there where links are not to be had, and replaces nothing.
func (b *Bucket) placeNew(t *temp, d directory, name string) error {
	err := b.sys.link(t.dir.fd, t.name, d.fd, name)
	switch err {
	case nil:
		return nil
	case unix.EPERM, unix.EOPNOTSUPP, unix.ENOSYS, unix.EMLINK:
		err = b.renameNew(t, d, name)
	}
	if err == unix.EEXIST {
		return b.occupied(t, d, name)
	}
	return rename(err)
}

func (b *Bucket) renameNew(t *temp, d directory, name string) error {
	err := b.sys.renameNew(t.dir.fd, t.name, d.fd, name)
	switch err {
	case nil:
		t.moved = true
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP:
		return errUnconditional
	}
	return err
}

// occupied looks at what is in the way. It may be our own file: a network file system can repeat a link whose answer
// was lost, and then says that it exists.
func (b *Bucket) occupied(t *temp, d directory, name string) error {
	there, err := d.stat(name)
	if err != nil {
		return err // ENOENT: just deleted, so it is tried again
	}
	var own unix.Stat_t
	if err := unix.Fstat(t.fd, &own); err != nil {
		return err
	}
	switch {
	case there.Dev == own.Dev && there.Ino == own.Ino:
		return nil
	case there.Mode&unix.S_IFMT == unix.S_IFREG:
		return b.exists(d)
	case there.Mode&unix.S_IFMT == unix.S_IFDIR:
		return errDirectory()
	default:
		return errForeign
	}
}

func errDirectory() error {
	return fmt.Errorf("a directory is in the place of the object: %w", storage.ErrKey)
}

// rename describes an error of the move into place, but leaves the one bare that means to try again.
func rename(err error) error {
	if err == nil || err == unix.ENOENT || err == errUnconditional {
		return err
	}
	return fmt.Errorf("move into place: %w", err)
}

//go:build linux

package file

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

func (b *Bucket) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, size, err := b.openFile(key)
	if err != nil {
		return nil, err
	}
	if length < 0 {
		length = size - offset
	}
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		_ = f.Close() // nothing was read
		return nil, fmt.Errorf("%w: %d bytes from %d of %d", storage.ErrRange, length, offset, size)
	}
	return &body{ctx: ctx, file: f, at: offset, left: length, failed: func(err error) error { return b.failed("get", key, err) }}, nil
}

func (b *Bucket) openFile(key string) (*os.File, int64, error) {
	dirs, name := split(key)
	d, err := b.find(dirs)
	if err != nil {
		return nil, 0, err
	}
	defer d.close()
	opened, err := openAt(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC)
	switch err {
	case nil:
	case unix.ELOOP, unix.ENXIO:
		return nil, 0, errForeign
	default:
		return nil, 0, b.absence(err)
	}
	st, err := opened.self()
	if err == nil {
		err = b.object(&st)
	}
	if err != nil {
		_ = opened.close() // the error at hand says more
		return nil, 0, err
	}
	return os.NewFile(uintptr(opened.fd), key), st.Size, nil
}

// body reads a range of an open file.
type body struct {
	ctx    context.Context
	file   *os.File
	at     int64
	left   int64
	failed func(error) error
}

func (r *body) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, r.failed(err)
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.file.ReadAt(p[:min(int64(len(p)), r.left)], r.at)
	r.at += int64(n)
	r.left -= int64(n)
	switch {
	case n > 0 || err == nil:
		return n, nil // an error comes again with the next read
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // the file has become shorter
	}
	return 0, r.failed(err)
}

func (r *body) Close() error { return r.file.Close() }

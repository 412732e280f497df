//go:build linux

package file

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

// Delete unlinks the file of the object and removes directories that are empty then; see storage.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if !storage.ValidKey(key) {
		return b.failed("delete", key, storage.ErrKey)
	}
	return b.failed("delete", key, b.remove(ctx, key))
}

func (b *Bucket) remove(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dirs, name := split(key)
	d, err := b.find(dirs)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	if err := b.unlink(d, name); err != nil {
		return err
	}
	b.prune(dirs)
	return b.inPlace()
}

// unlink removes a file and syncs the directory, also where the file was gone: who removed it may not have come so far.
func (b *Bucket) unlink(d directory, name string) error {
	err := again(func() error { return unix.Unlinkat(d.fd, name, 0) })
	switch err {
	case nil, unix.ENOENT:
	case unix.EISDIR:
		return nil
	default:
		return fmt.Errorf("unlink: %w", err)
	}
	if err := b.sys.sync(d.fd); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

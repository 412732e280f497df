//go:build linux

package file

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
)

// List walks the directories in the order of the keys; see storage.Bucket. Files whose names cannot be a key's, such
// as those of a network file system or lost+found, are passed over. The names of one directory at a time and of those
// above it are held in memory.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		err := b.list(ctx, prefix, func(info storage.Info) bool { return yield(info, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(storage.Info{}, b.failed("list", prefix, err))
		}
	}
}

// errStopped ends a walk whose caller has seen enough.
var errStopped = errors.New("listing stopped")

func (b *Bucket) list(ctx context.Context, prefix string, yield func(storage.Info) bool) error {
	if !storage.ValidPrefix(prefix) {
		return storage.ErrKey
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	dirs, start := split(prefix)
	d, err := b.find(dirs)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	w := walk{ctx: ctx, yield: yield}
	if err := w.directory(d, prefix[:len(prefix)-len(start)], start); err != nil {
		return err
	}
	if err := b.absence(unix.ENOENT); !errors.Is(err, storage.ErrNotFound) {
		return err // the root went away, so the listing is not complete
	}
	return nil
}

type walk struct {
	ctx   context.Context
	yield func(storage.Info) bool
}

// entry is a file or a directory, and the text that stands for it in the order of the keys: all keys below a
// directory start with its name and a slash.
type entry struct {
	name  string
	order string
	st    unix.Stat_t
}

// directory lists d, whose path is given with a slash at its end, as far as names start with start.
func (w walk) directory(d directory, path, start string) error {
	entries, err := w.entries(d, start)
	if err != nil {
		return err
	}
	for i := range entries {
		if err := w.entry(d, path, &entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w walk) entry(d directory, path string, e *entry) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	switch e.st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return w.below(d, path, e.name)
	case unix.S_IFREG:
		if !w.yield(info(path+e.name, &e.st)) {
			return errStopped
		}
		return nil
	default:
		return errForeign
	}
}

func (w walk) below(d directory, path, name string) error {
	next, err := d.open(name)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR:
		return nil // gone since it was listed
	default:
		return err
	}
	defer next.close()
	return w.directory(next, path+name+"/", "")
}

func (w walk) entries(d directory, start string) ([]entry, error) {
	names, err := d.names()
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // it was removed while it was open, which only an empty directory can be
	}
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(names))
	for _, name := range names {
		if err := w.ctx.Err(); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(name, start) || strings.Contains(name, "/") || !storage.ValidKey(name) {
			continue
		}
		st, err := d.stat(name)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, newEntry(name, st))
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.order, b.order) })
	return entries, nil
}

func newEntry(name string, st unix.Stat_t) entry {
	e := entry{name: name, order: name, st: st}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		e.order += "/"
	}
	return e
}

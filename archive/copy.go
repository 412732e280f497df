package archive

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lifeboat/storage/catalog"
)

// The limits of a unit of work: neighbouring small files are read by one worker, so that they lie together in the
// backup as well.
const (
	unitBytes = 8 << 20
	unitItems = 512
)

// unit is what a worker takes at a time.
type unit struct {
	items []item
	bytes int64
}

// batches gathers items into units and sends them.
type batches struct {
	next unit
	send func(unit) error
}

func (b *batches) add(it item) error {
	if it.Size >= unitBytes && len(b.next.items) > 0 {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.next.items = append(b.next.items, it)
	b.next.bytes += it.Size
	if b.next.bytes >= unitBytes || len(b.next.items) >= unitItems {
		return b.flush()
	}
	return nil
}

func (b *batches) flush() error {
	if len(b.next.items) == 0 {
		return nil
	}
	full := b.next
	b.next = unit{}
	return b.send(full)
}

// copier reads the files of the data directory in parallel into streams of the backup.
type copier struct {
	writer   *catalog.BackupWriter
	manifest *manifestSpool
	pages    *pageCheck
	progress *tracker
	table    *crc32.Table
}

// run copies all that the scanner finds and returns when every stream is durable. It stops at the first error.
func (c *copier) run(ctx context.Context, s *scanner, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	units := make(chan unit)
	group.Go(func() error {
		defer close(units)
		b := batches{send: func(u unit) error {
			select {
			case units <- u:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		if err := s.walk(ctx, b.add); err != nil {
			return err
		}
		return b.flush()
	})
	for range workers {
		group.Go(func() error { return c.work(ctx, units) })
	}
	return group.Wait()
}

// work is one worker: one stream, until there are no more units.
func (c *copier) work(ctx context.Context, units <-chan unit) error {
	stream, err := c.writer.NewStream(ctx)
	if err != nil {
		return err
	}
	w := worker{copier: c, stream: stream, buffer: make([]byte, readSize)}
	for u := range units {
		for _, it := range u.items {
			if err := w.item(ctx, it); err != nil {
				return err
			}
		}
	}
	return stream.Close(ctx)
}

type worker struct {
	*copier
	stream *catalog.Stream
	buffer []byte
}

func (w *worker) item(ctx context.Context, it item) error {
	if it.directory {
		return w.stream.AddDirectory(it.FileMeta)
	}
	file, err := os.OpenFile(it.source, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // dropped since the directory was listed; the WAL says so too
	}
	if err != nil {
		return unreadable(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return unreadable(err)
	}
	return w.file(ctx, newItem(it.source, it.Path, info), file)
}

// file copies an open file at the size that it has now.
func (w *worker) file(ctx context.Context, it item, file *os.File) error {
	if it.Size > readSize {
		_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_SEQUENTIAL) // only a hint
	}
	reader := &sizedReader{file: file, size: it.Size, buffer: w.buffer, table: w.table}
	check := w.pages.file(it.Path, file)
	reader.inspect = func(chunk []byte, offset int64) error {
		w.progress.copied(0, int64(len(chunk)))
		return check(ctx, chunk, offset)
	}
	if err := w.stream.AddFile(ctx, it.FileMeta, reader); err != nil {
		return fmt.Errorf("copy %s: %w", it.Path, err)
	}
	w.progress.copied(1, 0)
	return w.manifest.add(it.FileMeta, reader.sum)
}

// count says how much there is to copy.
func count(ctx context.Context, s *scanner) (files, bytes int64, err error) {
	err = s.walk(ctx, func(it item) error {
		if !it.directory {
			files++
			bytes += it.Size
		}
		return nil
	})
	return files, bytes, err
}

package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"lifeboat/storage/catalog"
)

// copier brings the files of a backup to their sites.
type copier struct {
	index   *catalog.Index
	layout  *layout
	sites   []*site
	meter   *meter
	effort  effortMeter
	durable bool

	mu       sync.Mutex
	open     map[*outFile]bool // begun and not settled
	finished []*outFile        // written and not settled
}

// run copies all files with the given number of workers. When it returns nil, all of them are durable if they are to be;
// after an error or the end of ctx nothing is written any more.
func (c *copier) run(ctx context.Context, workers int) error {
	defer c.closeAll()
	c.open = map[*outFile]bool{}
	group, ctx := errgroup.WithContext(ctx)
	units := make(chan unit)
	group.Go(func() error {
		defer close(units)
		return c.produce(ctx, units)
	})
	for range workers {
		group.Go(func() error { return c.work(ctx, units) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.settle(c.take(1), workers)
}

// produce cuts the index into units, in the order of paths, in which the frames of neighbours mostly lie together.
func (c *copier) produce(ctx context.Context, units chan<- unit) error {
	var next unit
	for entry, err := range c.index.Files(ctx) {
		if err != nil {
			return fmt.Errorf("read the backup's index: %w", err)
		}
		if entry.Directory || leftOut(entry.Path) {
			continue
		}
		for _, p := range c.pieces(entry) {
			next.pieces = append(next.pieces, p)
			next.bytes += p.bytes()
			if !next.full() {
				continue
			}
			if err := send(ctx, units, next); err != nil {
				return err
			}
			next = unit{}
		}
	}
	return send(ctx, units, next)
}

func (c *copier) pieces(entry catalog.FileEntry) []piece {
	number, path := c.layout.locate(entry.Path)
	file := &outFile{entry: entry, site: c.sites[number], path: path}
	pieces := split(file)
	file.left = len(pieces)
	return pieces
}

func send(ctx context.Context, units chan<- unit, u unit) error {
	select {
	case units <- u:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *copier) work(ctx context.Context, units <-chan unit) error {
	w := &worker{copier: c}
	for u := range units {
		if err := w.restore(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) begin(file *outFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[file] = true
}

// settleAfter is how many finished files are settled together: a file system makes many files durable for little more
// than the price of one.
const settleAfter = 256

// end takes a finished file, and settles those that have come together.
func (c *copier) end(file *outFile) error {
	c.meter.add(1, 0)
	c.mu.Lock()
	c.finished = append(c.finished, file)
	c.mu.Unlock()
	return c.settle(c.take(settleAfter), 1)
}

// take is all finished files, once there are enough.
func (c *copier) take(enough int) []*outFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.finished) < enough {
		return nil
	}
	files := c.finished
	c.finished = nil
	return files
}

// settle settles files, while so many workers wait for it.
func (c *copier) settle(files []*outFile, waiting int) error {
	if err := c.settleAll(files, waiting); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, file := range files {
		delete(c.open, file)
	}
	return nil
}

func (c *copier) settleAll(files []*outFile, waiting int) error {
	var group errgroup.Group
	group.SetLimit(settlers)
	each := &effortMeter{clock: c.effort.clock}
	for _, file := range files {
		part := onFiles
		if file.entry.Size >= contentsFrom {
			part = onContents
		}
		group.Go(func() error { return each.measure(part, func() error { return file.settle(c.durable) }) })
	}
	all := &effortMeter{clock: c.effort.clock}
	err := all.measure(onFiles, group.Wait)
	c.effort.addShared(all.sum.Files, waiting, each.sum)
	return err
}

// settlers is how many files are settled at the same time.
const settlers = 16

func (c *copier) closeAll() {
	for file := range c.open {
		file.close()
	}
}

// worker is one of the goroutines that copy. Its buffers are used again and again.
type worker struct {
	copier *copier
	stored []byte
	plain  []byte
}

func (w *worker) restore(ctx context.Context, u unit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	effort := &w.copier.effort
	if err := effort.measure(onFiles, func() error { return w.begin(u) }); err != nil {
		return err
	}
	if err := effort.measure(onContents, func() error { return w.restoreRanges(ctx, u) }); err != nil {
		return err
	}
	var finished []*outFile
	err := effort.measure(onFiles, func() (err error) {
		finished, err = w.finish(u)
		return err
	})
	if err != nil {
		return err
	}
	for _, file := range finished {
		if err := w.copier.end(file); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) begin(u unit) error {
	for _, p := range u.pieces {
		w.copier.begin(p.file)
		if err := p.file.open(); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) restoreRanges(ctx context.Context, u unit) error {
	for _, r := range u.ranges() {
		if err := w.restoreRange(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// finish returns the files of which this was the last part.
func (w *worker) finish(u unit) ([]*outFile, error) {
	var files []*outFile
	for _, p := range u.pieces {
		if w.copier.durable {
			p.startWriteback()
		}
		finished, err := p.file.done()
		if err != nil {
			return nil, err
		}
		if finished {
			files = append(files, p.file)
		}
	}
	return files, nil
}

// restoreRange reads a range, proves each frame in it, and writes the frames' plain bytes to their places. Where a copy
// of the backup cannot be read, or a frame of it does not hold, the range comes from another copy; what was written
// before is written once more.
func (w *worker) restoreRange(ctx context.Context, r packRange) error {
	var failed error // to write, for which no copy is to blame
	err := w.copier.index.FromCopies(ctx, func(ctx context.Context, from *catalog.Index) error {
		err := w.restoreRangeFrom(ctx, from, r)
		var own *writeError
		if errors.As(err, &own) {
			failed, err = own.err, nil
		}
		return err
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	w.copier.meter.add(0, r.plainBytes())
	return nil
}

// writeError is what the restored directory says, not the repository.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

func (w *worker) restoreRangeFrom(ctx context.Context, from *catalog.Index, r packRange) error {
	if err := w.fetch(ctx, from, r); err != nil {
		return fmt.Errorf("read %s: %w", r.targets[0].file.entry.Path, err)
	}
	for _, t := range r.targets {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.restoreFrame(from, r, t); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) fetch(ctx context.Context, from *catalog.Index, r packRange) error {
	body, err := from.ReadPack(ctx, r.pack, r.offset, r.size)
	if err != nil {
		return err
	}
	w.stored = slices.Grow(w.stored[:0], int(r.size))[:r.size]
	_, err = io.ReadFull(body, w.stored)
	return errors.Join(err, body.Close())
}

func (w *worker) restoreFrame(from *catalog.Index, r packRange, t target) error {
	frame, entry := t.frame(), t.file.entry
	at := frame.Offset - r.offset
	plain, err := from.DecodeFrame(w.plain, w.stored[at:at+int64(frame.Length)], frame)
	if err != nil {
		return fmt.Errorf("decode %s: %w", entry.Path, err)
	}
	w.plain = plain
	offset, length := entry.FrameRange(t.index)
	if len(plain) != length {
		return fmt.Errorf("decode %s: frame %d has %d bytes, not %d", entry.Path, t.index, len(plain), length)
	}
	if allZero(plain) {
		return nil // a hole reads as zeros
	}
	if err := t.file.write(plain, offset); err != nil {
		return &writeError{err}
	}
	return nil
}

func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

package catalog

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

const (
	// packSize is how many stored bytes close a pack.
	packSize = 128 << 20
	// packFrames is how many frames close a pack whatever its size, which bounds the memory of those who check it.
	packFrames = 128 << 10
	// packsInFlight is how many packs of a stream may wait for their durability, the one being written included.
	packsInFlight = 2
)

// packSequence writes the frames of one stream into packs, each cut at the end of a frame. It is not safe for
// concurrent use.
type packSequence struct {
	writer   *BackupWriter
	stream   uint32
	sequence uint32
	ordinal  uint32 // of the pack being written
	frames   int    // in it
	current  *upload
	uploads  *errgroup.Group
	ctx      context.Context // of the uploads, which live longer than a call
}

func newPackSequence(ctx context.Context, w *BackupWriter, stream uint32) *packSequence {
	p := &packSequence{writer: w, stream: stream}
	p.uploads, p.ctx = errgroup.WithContext(ctx)
	p.uploads.SetLimit(packsInFlight)
	return p
}

// write appends the stored bytes of one frame and returns its place, without a sum.
func (p *packSequence) write(frame []byte) (Frame, error) {
	if err := p.makeRoom(); err != nil {
		return Frame{}, err
	}
	place := Frame{Pack: p.ordinal, Offset: p.current.offset, Length: uint32(len(frame))}
	if _, err := p.current.Write(frame); err != nil {
		return Frame{}, fmt.Errorf("store %s: %w", p.current.key, err)
	}
	p.frames++
	return place, nil
}

// makeRoom sees to it that there is a pack to write to.
func (p *packSequence) makeRoom() error {
	if p.current != nil && p.current.offset < p.writer.packSize && p.frames < packFrames {
		return nil
	}
	if err := p.finishPack(); err != nil {
		return err
	}
	return p.startPack()
}

func (p *packSequence) startPack() error {
	if p.sequence == maxSequence {
		return fmt.Errorf("stream %02x is full: it has %d packs", p.stream, maxSequence)
	}
	p.sequence++
	p.frames = 0
	ref := packRef{label: p.writer.started.Label, stream: p.stream, sequence: p.sequence}
	p.ordinal = p.writer.packs.reserve(ref)
	ordinal := p.ordinal
	p.current = p.writer.cluster.startUpload(p.ctx, p.uploads, p.writer.cluster.packKey(ref), func(s stored) {
		p.writer.packs.complete(ordinal, s)
	})
	return nil
}

func (p *packSequence) finishPack() error {
	if p.current == nil {
		return nil
	}
	err := p.current.finish()
	if err != nil {
		err = fmt.Errorf("store %s: %w", p.current.key, err)
	}
	p.current = nil
	return err
}

// close ends the last pack and waits until all are durable.
func (p *packSequence) close() error {
	err := p.finishPack()
	if waited := p.uploads.Wait(); waited != nil {
		return waited // the cause of the other one, too
	}
	return err
}

// abandon ends all uploads that are still on their way.
func (p *packSequence) abandon() {
	if p.current != nil {
		p.current.abandon(errors.New("the backup was given up"))
		p.current = nil
	}
	_ = p.uploads.Wait() // what they say is of no consequence any more
}

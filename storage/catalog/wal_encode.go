package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog/seal"
)

// walChunk is how many bytes of a WAL file are compressed at a time.
const walChunk = 256 << 10

// errChanged says that a file is not the one that was announced.
var errChanged = errors.New("file changed while it was archived")

// walObject is the object of a WAL file, made and not yet stored.
type walObject struct {
	header WALHeader
	digest *walDigest // nil where the object is not sealed, or the secret not known
	parts  chain
	spools []*byteSpool // that the parts lie in
	weight int64        // of what is held of codecs.sending
}

// encodeWAL reads the file once and makes its object, and keeps the file open until there is room for that. The caller frees
// it.
func (c *Cluster) encodeWAL(ctx context.Context, f WALFile, now time.Time) (walObject, error) {
	object, history, err := c.encodePlainWAL(ctx, f, now)
	if err == nil && c.seals() {
		err = c.sealWAL(&object, history)
	}
	if err != nil {
		c.freeWAL(object)
		return walObject{}, err
	}
	return object, nil
}

// spool gives the object one more spool.
func (c *Cluster) spool(object *walObject) *byteSpool {
	spool := c.codecs.spool()
	object.spools = append(object.spools, spool)
	return spool
}

// freeWAL takes the memory of an object back.
func (c *Cluster) freeWAL(object walObject) {
	c.codecs.sending.Release(object.weight)
	for _, spool := range object.spools {
		c.codecs.putSpool(spool)
	}
}

// encodePlainWAL makes the object in plain: header frame, one zstd frame, trailer frame.
func (c *Cluster) encodePlainWAL(ctx context.Context, f WALFile, now time.Time) (object walObject, history []wal.HistoryEntry, err error) {
	content := c.spool(&object)
	read, err := c.compressWAL(ctx, f, &object, content)
	if err != nil {
		return object, nil, err
	}
	object.digest = read.mac.digest()
	object.header = WALHeader{
		Name:             f.Name.String(),
		SystemIdentifier: c.identity.SystemIdentifier,
		Size:             f.Size,
		SHA256:           hex.EncodeToString(read.sums.sha256()),
		ArchivedAt:       now.UTC(),
		Compression:      c.compression,
		Summary:          f.Summary,
		piece:            f.piece,
	}
	frame, err := encodeWALHeader(object.header)
	if err != nil {
		return object, nil, err
	}
	stored := sha256.New()
	stored.Write(frame)
	if _, err := io.Copy(stored, content.reader()); err != nil {
		return object, nil, fmt.Errorf("read what was compressed: %w", err)
	}
	trailer := skippableFrame(walTrailerMagic, stored.Sum(nil))
	object.parts = chain{sectionOf(frame), content.reader(), sectionOf(trailer)}
	return object, historyOf(f.Name, read.text.Bytes()), nil
}

func sectionOf(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

// sealWAL makes the object a sealed one with a note.
func (c *Cluster) sealWAL(object *walObject, history []wal.HistoryEntry) error {
	payload := c.spool(object)
	sealing, err := c.keys.Recipients.NewNoted(payload)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{sealing}, struct{ io.Reader }{object.parts.reader()}, make([]byte, walChunk)); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := sealing.Close(); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	header, err := noteWAL(sealing, newWALNote(object.header, history, object.digest))
	if err != nil {
		return err
	}
	object.parts = chain{sectionOf(header), payload.reader()}
	c.codecs.putSpool(object.spools[0]) // of what was sealed
	object.spools = object.spools[1:]
	c.codecs.sending.Release(object.weight / 2)
	object.weight -= object.weight / 2
	return nil
}

// noteWAL completes the note of what was sealed, and makes the header that carries it.
func noteWAL(sealing *seal.Noted, note walNote) ([]byte, error) {
	size, sum := sealing.Payload()
	note.Payload = fileSum{Size: size, SHA256: hex.EncodeToString(sum[:])}
	bare, err := sealing.Header(nil)
	if err != nil {
		return nil, err
	}
	note.Stanzas = sumOfStanzas(bare)
	line, err := encodeDocument(note.kind(), note)
	if err != nil {
		return nil, err
	}
	return sealing.Header(line)
}

// readWAL is what was learned of a file while it was read.
type readWAL struct {
	sums *sideHash // the SHA-256, then the mac if there is one
	mac  *walMAC
	text bytes.Buffer // of a history file
}

// compressWAL compresses the file into dst and hashes it on the way, and then waits until the object may be held. A file
// that does not have the size that it says is errChanged.
func (c *Cluster) compressWAL(ctx context.Context, f WALFile, object *walObject, dst *byteSpool) (*readWAL, error) {
	read, err := c.newReadWAL(f)
	if err != nil {
		return nil, err
	}
	src, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	to, done, err := c.codecs.compressor(c.compression, dst, f.Size)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	defer done()
	n, err := read.copy(to, src, f)
	read.sums.wait()
	err = ended(to, n, f.Size, err)
	if err == nil && f.piece == nil { // a piece is small, and must not wait behind a backlog
		err = c.admit(ctx, object, dst.size)
	}
	return read, errors.Join(err, src.Close())
}

// admit waits until there is room for an object of the size; what is to be sealed takes twice as much until it is.
func (c *Cluster) admit(ctx context.Context, object *walObject, size int64) error {
	if c.seals() {
		size *= 2
	}
	weight := min(size, sendingMemory)
	if err := c.codecs.sending.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("wait for the files before: %w", err)
	}
	object.weight = weight
	return nil
}

// ended ends the compression of n bytes, which must be as many as were announced.
func ended(to io.Closer, n, size int64, err error) error {
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes where %d were announced: %w", n, size, errChanged)
	}
	if err != nil {
		return err
	}
	if err := to.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}

// copy gives all of src to the compressor and to the hashes, but no more than a byte beyond the file's size.
func (r *readWAL) copy(to io.Writer, src io.Reader, f WALFile) (int64, error) {
	if held, ok := src.(Held); ok && f.Name.Kind != wal.History {
		r.sums.borrow(held.Bytes())
		n, err := to.Write(held.Bytes())
		return int64(n), err
	}
	in := io.TeeReader(src, r.sums)
	if f.Name.Kind == wal.History {
		in = io.TeeReader(in, &r.text)
	}
	return copyChunks(to, io.LimitReader(in, f.Size+1))
}

func (c *Cluster) newReadWAL(f WALFile) (*readWAL, error) {
	if !c.seals() {
		return &readWAL{sums: newSideHash()}, nil
	}
	mac, err := c.newWALMAC(f.Secret)
	if mac == nil || err != nil {
		return &readWAL{sums: newSideHash()}, err
	}
	return &readWAL{sums: newSideHash(mac), mac: mac}, nil
}

// copyChunks copies src to its end, in whole chunks, which the encoder's frames are the same for.
func copyChunks(dst io.Writer, src io.Reader) (int64, error) {
	chunk := make([]byte, walChunk)
	var total int64
	for {
		n, err := io.ReadFull(src, chunk)
		total += int64(n)
		if _, err := dst.Write(chunk[:n]); err != nil {
			return total, err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

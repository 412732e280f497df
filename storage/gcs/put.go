package gcs

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"

	gcstorage "cloud.google.com/go/storage"

	"lifeboat/storage"
)

const (
	// chunkSize is the most that is sent in one request. The store wants a multiple of 256 KiB.
	chunkSize = 8 << 20
	// copySize is how much of a large body is read at once.
	copySize = 1 << 20

	contentType = "application/octet-stream"
	// nonceKey names the metadata that tells our own object from another one.
	nonceKey = "lifeboat-nonce"
)

// Put sends a body of up to chunkSize bytes in one request, and a larger one in chunks, in an upload that becomes an
// object with its last chunk; see storage.Bucket. The store compares the CRC32C of the whole with its own before the
// object appears, and the answer's is compared again.
//
// What is sent is held in memory until it has arrived, and sent again with the patience of Options.Retry. An object found
// there that bears this put's nonce is its own, by a request whose answer was lost.
func (b *Bucket) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	if !storage.ValidKey(key) {
		return b.failed("put", key, storage.ErrKey)
	}
	p := &put{bucket: b, ctx: ctx, key: key, opts: opts, nonce: rand.Text(), size: -1}
	return b.failed("put", key, p.run(body))
}

// put is one call of Put.
type put struct {
	bucket *Bucket
	ctx    context.Context
	key    string
	opts   storage.PutOptions
	nonce  string

	size int64 // of the whole body, or -1 until that is known
	sum  uint32
}

func (p *put) run(body io.Reader) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if p.opts.IfAbsent && p.bucket.opts.EmulateConditional {
		if err := p.refuse(); err != nil {
			return err
		}
	}
	body = &limitedBody{ctx: p.ctx, body: body, size: p.opts.Size}
	held := p.bucket.buffers.get()
	defer p.bucket.buffers.put(held)
	if _, err := held.ReadFrom(io.LimitReader(body, chunkSize+1)); err != nil {
		return err
	}
	if held.Len() > chunkSize {
		return p.stream(io.MultiReader(bytes.NewReader(held.Bytes()), body))
	}
	p.size, p.sum = int64(held.Len()), crc32.Checksum(held.Bytes(), castagnoli())
	return p.bucket.patiently(p.ctx, p.ctx, p.key, func(ctx context.Context) error {
		err := p.single(ctx, held.Bytes())
		if p.doubtful(err) {
			attrs, found := p.bucket.attrs(ctx, p.key)
			err = p.judge(err, attrs, found)
		}
		return p.bucket.failed("put", p.key, err)
	})
}

func (p *put) refuse() error {
	_, err := p.bucket.Stat(p.ctx, p.key)
	switch {
	case err == nil:
		return storage.ErrExists
	case errors.Is(err, storage.ErrNotFound):
		return nil
	}
	return err
}

// writer begins an object.
func (p *put) writer(ctx context.Context, chunk int) *gcstorage.Writer {
	object := p.bucket.object(p.key)
	if p.opts.IfAbsent {
		object = object.If(gcstorage.Conditions{DoesNotExist: true})
	}
	w := object.NewWriter(ctx)
	w.ChunkSize = chunk
	w.ContentType = contentType
	w.StorageClass = p.bucket.opts.StorageClass
	w.KMSKeyName = p.bucket.opts.KMSKeyName
	w.Metadata = map[string]string{nonceKey: p.nonce}
	return w
}

// single sends all of the object in one request, with its checksum ahead.
func (p *put) single(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := p.writer(ctx, 0)
	w.CRC32C, w.SendCRC32C = p.sum, true
	if _, err := w.Write(data); err != nil {
		return err
	}
	return p.finish(ctx, w)
}

// stream sends a large object in chunks. The library keeps the one that is under way.
func (p *put) stream(body io.Reader) error {
	u := &upload{bucket: p.bucket, key: p.key, put: p.ctx}
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	err := p.send(context.WithValue(ctx, taskKey{}, u), body)
	if err != nil {
		cancel() // before anything else: an upload whose body ended in an error must not be taken for complete
	}
	if p.doubtful(err) {
		attrs, found := p.find()
		err = p.judge(err, attrs, found)
	}
	if err != nil {
		u.abandon()
	}
	return err
}

func (p *put) send(ctx context.Context, body io.Reader) error {
	w := p.writer(ctx, chunkSize)
	size, sum, buffer := int64(0), uint32(0), make([]byte, copySize)
	for {
		n, end := body.Read(buffer)
		if end != nil && end != io.EOF {
			return end
		}
		sum = crc32.Update(sum, castagnoli(), buffer[:n])
		size += int64(n)
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
		if end == io.EOF {
			p.size, p.sum = size, sum
			return p.finish(ctx, w)
		}
	}
}

// finish waits for the answer, and compares what the store has with what was sent.
func (p *put) finish(ctx context.Context, w *gcstorage.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return p.compare(w.Attrs())
}

func (p *put) compare(attrs *gcstorage.ObjectAttrs) error {
	if attrs.Size != p.size || attrs.CRC32C != p.sum {
		return fmt.Errorf("%w: it says %d bytes with CRC32C %08x, sent were %d bytes with %08x",
			errOther, attrs.Size, attrs.CRC32C, p.size, p.sum)
	}
	return nil
}

// errOther says that the store has other bytes than were sent. The object stays for somebody to look at.
var errOther = errors.New("the store has taken other bytes than were sent")

// doubtful reports whether a put that ended with err may have left its object all the same.
func (p *put) doubtful(err error) bool {
	return p.refused(err) || errors.Is(err, errForgotten)
}

// refused reports whether the condition of the put was not met.
func (p *put) refused(err error) bool {
	return p.opts.IfAbsent && hasCode(err, http.StatusPreconditionFailed)
}

// find looks for the object of a large put with patience, as its body cannot be sent again.
func (p *put) find() (attrs *gcstorage.ObjectAttrs, found error) {
	err := p.bucket.patiently(p.ctx, p.ctx, p.key, func(ctx context.Context) error {
		attrs, found = p.bucket.attrs(ctx, p.key)
		if errors.Is(found, storage.ErrNotFound) {
			return nil
		}
		return p.bucket.failed("put", p.key, found)
	})
	if err != nil {
		return nil, err
	}
	return attrs, found
}

// judge says what became of a put that ended with err, from what is at its key.
func (p *put) judge(err error, attrs *gcstorage.ObjectAttrs, found error) error {
	switch {
	case found == nil && attrs.Metadata[nonceKey] == p.nonce:
		return p.compare(attrs)
	case found == nil && p.opts.IfAbsent:
		return storage.ErrExists
	case found != nil && !errors.Is(found, storage.ErrNotFound):
		return found
	case p.refused(err) && conditionNotMet(err):
		return fmt.Errorf("the object came and went: %w", storage.ErrUnavailable)
	}
	return err
}

// conditionNotMet tells our condition from the constraints of an organization, which have the same status.
func conditionNotMet(err error) bool {
	answer, ok := answerIn(err)
	return ok && hasReason(answer, "conditionNotMet")
}

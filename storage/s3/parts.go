package s3

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"lifeboat/storage"
)

const (
	// abortTime is how long a failed upload may take to remove its parts.
	abortTime = 15 * time.Second
	// abortPause is before it looks again for parts that were under way.
	abortPause = 300 * time.Millisecond
)

// Keys of log records.
const (
	logKey      = "key"
	logLocation = "location"
	logError    = "error"
)

// upload is an object that is sent in parts, which S3 puts together at the end.
type upload struct {
	*write
	id    *string
	size  int64  // of all parts
	sum   uint64 // of all parts
	mu    sync.Mutex
	parts []types.CompletedPart
	torn  bool // the sending of a part was cut, and it may still arrive
}

// putParts sends the first piece and the rest of the source. After an error nothing is left of them.
func (w *write) putParts(ctx context.Context, src *source, first *buffer, piece []byte) (err error) {
	if w.ifAbsent {
		if err := w.refuse(ctx); err != nil {
			return err
		}
	}
	u := &upload{write: w}
	if err := u.create(ctx); err != nil {
		return err
	}
	if err = u.send(ctx, src, first, piece); err == nil {
		err = u.complete(ctx)
	}
	if err != nil {
		u.abort(ctx)
	}
	return err
}

// refuse saves the sending of a large object for which there is no place.
func (w *write) refuse(ctx context.Context) error {
	if _, err := w.occupied(ctx); errors.Is(err, storage.ErrExists) {
		return err
	}
	return ctx.Err() // absent, or the end of the upload will say what is wrong
}

func (u *upload) create(ctx context.Context) error {
	b := u.bucket
	in := &awss3.CreateMultipartUploadInput{
		Bucket: b.name(), Key: b.full(u.key), Metadata: u.metadata(), ContentType: aws.String(contentType),
		StorageClass:         types.StorageClass(b.opts.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(b.opts.ServerSideEncryption), SSEKMSKeyId: set(b.opts.KMSKeyID),
	}
	if !b.plain {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject
	}
	return b.repeat(ctx, u.key, func(ctx context.Context) error {
		out, err := b.client.CreateMultipartUpload(ctx, in)
		if err != nil {
			return b.explain(ctx, err)
		}
		if aws.ToString(out.UploadId) == "" {
			return errors.New("the store names no upload")
		}
		u.id = out.UploadId
		return nil
	})
}

// send reads the source piece by piece, and sends several at once.
func (u *upload) send(ctx context.Context, src *source, first *buffer, piece []byte) error {
	g, parts := errgroup.WithContext(ctx)
	buffers := newBuffers(u.bucket)
	defer buffers.end()
	start := func(number int, from *buffer, piece []byte) {
		sum := u.add(piece)
		g.Go(func() error {
			defer buffers.done(from)
			return u.sendPart(parts, ctx, number, piece, sum)
		})
	}
	start(1, first, piece)
	err := u.cut(parts, src, buffers, start)
	sent := g.Wait() // also after an error of the body: a part that arrives behind the abort would stay
	u.torn = sent != nil
	if err == nil {
		err = sent
	}
	return err // that of the body, or that of the part which ended the others
}

// cut starts all parts but the first.
func (u *upload) cut(ctx context.Context, src *source, buffers *buffers, start func(int, *buffer, []byte)) error {
	for number := 2; !src.last(); number++ {
		if number > maxParts {
			return &trouble{text: "the object is larger than the store can hold", hint: "the largest object of S3 has 5 TiB"}
		}
		next, err := buffers.next(ctx, partSize(src.size, number))
		if err != nil {
			return err
		}
		piece, err := src.fill(ctx, next.bytes)
		if err != nil {
			buffers.done(next)
			return err
		}
		start(number, next, piece)
	}
	return nil
}

// add makes room for a part in the order of the object, and gives its checksum.
func (u *upload) add(piece []byte) *string {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts = append(u.parts, types.CompletedPart{})
	u.size += int64(len(piece))
	if u.bucket.plain {
		return contentMD5(piece)
	}
	u.sum = addToSum(u.sum, piece)
	return encodeSum(checksum(piece))
}

// sendPart sends one part, as often as it takes. Who waits for the whole under ctx is told of its progress.
func (u *upload) sendPart(parts, ctx context.Context, number int, piece []byte, sum *string) error {
	b := u.bucket
	in := awss3.UploadPartInput{
		Bucket: b.name(), Key: b.full(u.key), UploadId: u.id, PartNumber: aws.Int32(int32(number)), ContentLength: aws.Int64(int64(len(piece))),
	}
	if b.plain {
		in.ContentMD5 = sum
	} else {
		in.ChecksumCRC64NVME = sum
	}
	return b.repeat(parts, u.key, func(attempt context.Context) error {
		send := in
		send.Body = newTold(piece, attempt, ctx)
		out, err := b.client.UploadPart(attempt, &send)
		if err != nil {
			return b.explain(attempt, err)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.parts[number-1] = types.CompletedPart{ETag: out.ETag, PartNumber: in.PartNumber, ChecksumCRC64NVME: in.ChecksumCRC64NVME}
		return nil
	})
}

// complete puts the parts together at the key.
func (u *upload) complete(ctx context.Context) error {
	b := u.bucket
	in := &awss3.CompleteMultipartUploadInput{
		Bucket: b.name(), Key: b.full(u.key), UploadId: u.id, IfNoneMatch: u.condition(),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	if !b.plain {
		in.MpuObjectSize, in.ChecksumType, in.ChecksumCRC64NVME = aws.Int64(u.size), types.ChecksumTypeFullObject, encodeSum(u.sum)
	}
	return u.publish(ctx, func(attempt context.Context) error {
		_, err := b.client.CompleteMultipartUpload(attempt, in)
		return err
	})
}

// abort removes the parts, also when ctx has ended. A part whose sending was cut may arrive behind the first abort, so
// there is a second one. What cannot be removed is left to AbortStale.
func (u *upload) abort(ctx context.Context) {
	b := u.bucket
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	remove := func(ctx context.Context) error { return b.abort(ctx, b.full(u.key), u.id) }
	err := b.repeat(ctx, u.key, remove)
	if err == nil && u.torn {
		select {
		case <-time.After(abortPause):
		case <-ctx.Done():
		}
		err = b.repeat(ctx, u.key, remove)
	}
	if err != nil {
		b.opts.Log.Warn("parts of an object that was not stored are left", logKey, u.key, logLocation, b.location, logError, err)
	}
}

// abort removes an upload; one that is not there is no error.
func (b *Bucket) abort(ctx context.Context, name, id *string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: b.name(), Key: name, UploadId: id})
	if err = b.explain(ctx, err); errors.Is(err, errNoUpload) {
		return nil
	}
	return err
}

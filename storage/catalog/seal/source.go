package seal

import (
	"bufio"
	"context"
	"errors"
	"io"

	"lifeboat/storage"
)

// Source reads the plain bytes of objects, sealed ones and plain ones, told apart by how they start. Objects must be
// immutable: what a Source has once learned of one, it keeps for a while and does not ask for again.
//
// A Source is safe for concurrent use. It holds about 64 KiB for each of the last 64 objects that ranges were read from.
type Source struct {
	bucket     storage.Bucket
	identities *Identities
	cache      cache
}

// NewSource reads from b. With nil identities, a sealed object is [ErrNoIdentity].
func NewSource(b storage.Bucket, i *Identities) *Source {
	return &Source{bucket: b, identities: i}
}

// Get opens length plain bytes of the object, from offset, as [storage.Bucket] says of its Get; offsets, lengths and
// [storage.ErrRange] are those of the plain bytes. Besides, it gives the errors of [Identities.Open].
//
// Reading a whole object (0, -1) takes one Get of the bucket. Reading a range takes one, too, that covers the sealed
// chunks of 64 KiB which the range touches. The first range of an object takes one Stat and up to two Gets more, for its
// header and its last chunk, which proves that it is not cut short; a longer header, as that of a large note, one again.
// They are kept, so that ranges inside the last chunk take none, even when the object has gone meanwhile.
func (s *Source) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if offset == 0 && length < 0 {
		return s.whole(ctx, key)
	}
	if offset < 0 {
		return nil, s.wrong(key, storage.ErrRange)
	}
	e := s.cache.entry(key)
	o, err := e.object(ctx, func() (*object, error) { return s.open(ctx, key) })
	if err != nil {
		return nil, err
	}
	var body io.ReadCloser
	if o.plain {
		body, err = s.bucket.Get(ctx, key, offset, length)
	} else {
		body, err = s.ranged(ctx, o, offset, length, func(err error) error { return s.doubt(e, err) })
	}
	if err != nil {
		return nil, s.doubt(e, err)
	}
	return body, nil
}

// doubt forgets an object where err says that it is not what it was taken for, and names it in the error.
func (s *Source) doubt(e *entry, err error) error {
	if errors.Is(err, ErrDamaged) || errors.Is(err, storage.ErrNotFound) {
		s.cache.drop(e)
	}
	return s.wrong(e.key, err)
}

// whole streams an object from its start to its end.
func (s *Source) whole(ctx context.Context, key string) (io.ReadCloser, error) {
	body, err := s.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	from := bufio.NewReaderSize(body, chunkSize)
	prefix, err := from.Peek(prefixLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, s.wrong(key, errors.Join(err, body.Close()))
	}
	if !Sealed(prefix) {
		return &stream{from, body, nil}, nil
	}
	plain, err := s.identities.Reader(from)
	if err != nil {
		return nil, s.wrong(key, errors.Join(err, body.Close()))
	}
	return &stream{plain, body, func(err error) error { return s.wrong(key, err) }}, nil
}

// wrong names the object in an error of ours, and leaves those of the bucket, which do already.
func (s *Source) wrong(key string, err error) error {
	var named *storage.Error
	if errors.As(err, &named) {
		return err
	}
	return &storage.Error{Op: "get", Key: key, Location: s.bucket.Location(), Err: err}
}

// stream gives what from gives, names the object in its errors and closes body.
type stream struct {
	from io.Reader
	body io.Closer
	name func(error) error // nil where errors are to stay as they are
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && s.name != nil {
		err = s.name(err)
	}
	return n, err
}

func (s *stream) Close() error { return s.body.Close() }

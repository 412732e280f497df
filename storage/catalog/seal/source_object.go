package seal

import (
	"bytes"
	"context"
	"errors"
	"io"

	"filippo.io/age"

	"lifeboat/storage"
)

const (
	chunkSize  = 64 << 10       // plain bytes in a chunk
	sealedSize = chunkSize + 16 // the same with its tag; the last chunk of an object may be shorter
	headSize   = 64 << 10       // bytes that are read first of an object; most headers have less than one KiB
)

// object is what is known of an object whose ranges are read.
type object struct {
	key   string
	plain bool // it is not sealed; nothing else is known then

	size    int64        // of the sealed object
	head    []byte       // the header and the nonce
	tail    []byte       // the last chunk, sealed
	fileKey age.Identity // opens this one object
	opens   *Identities
}

// open learns about an object: how it starts, and how it ends.
func (s *Source) open(ctx context.Context, key string) (*object, error) {
	info, err := s.bucket.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	first, err := s.read(ctx, key, 0, min(info.Size, headSize))
	switch {
	case err != nil:
		return nil, err
	case !Sealed(first):
		return &object{key: key, plain: true}, nil
	case s.identities == nil:
		return nil, s.wrong(key, ErrNoIdentity)
	}
	o := &object{key: key, size: info.Size, opens: s.identities}
	if err := s.readEnds(ctx, o, first); err != nil {
		return nil, s.wrong(key, err)
	}
	return o, nil
}

// readEnds finds the header, gets the key of the file from it, and reads the last chunk.
func (s *Source) readEnds(ctx context.Context, o *object, first []byte) error {
	header, err := age.ExtractHeader(bytes.NewReader(first))
	if endsEarly(err) && int64(len(first)) < o.size {
		if first, err = s.read(ctx, o.key, 0, min(o.size, maxHeader+nonceLength)); err != nil {
			return err
		}
		header, err = age.ExtractHeader(bytes.NewReader(first))
	}
	if err != nil {
		return explain(err, nil, s.identities)
	}
	fileKey, err := age.DecryptHeader(header, s.identities.keys...)
	if err != nil {
		return explain(err, nil, s.identities)
	}
	o.fileKey = age.NewInjectedFileKeyIdentity(fileKey)
	return s.keepEnds(ctx, o, first, int64(len(header)+nonceLength))
}

func endsEarly(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// keepEnds keeps copies of the head and of the last chunk, which may lie within first.
func (s *Source) keepEnds(ctx context.Context, o *object, first []byte, headLength int64) error {
	if o.size <= headLength {
		return damaged("it is cut short")
	}
	o.head = bytes.Clone(first[:min(headLength, int64(len(first)))])
	start := headLength + (o.size-headLength-1)/sealedSize*sealedSize
	if o.size <= int64(len(first)) {
		o.tail = bytes.Clone(first[start:o.size])
		return nil
	}
	var err error
	o.tail, err = s.read(ctx, o.key, start, o.size-start)
	return err
}

// read gives a range of the stored bytes, whole.
func (s *Source) read(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	body, err := s.bucket.Get(ctx, key, offset, length)
	if err != nil {
		return nil, s.shrunk(key, err)
	}
	data := make([]byte, length)
	_, err = io.ReadFull(body, data)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, s.wrong(key, err)
	}
	return data, nil
}

// shrunk explains that a range which was in the object is no longer: its caller asked for none that is not.
func (s *Source) shrunk(key string, err error) error {
	if errors.Is(err, storage.ErrRange) {
		return s.wrong(key, damaged("it has become shorter"))
	}
	return err
}

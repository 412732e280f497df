package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lifeboat/storage"
)

// emptyReads is how many reads without a byte or an error a body may answer in a row, as in bufio.
const emptyReads = 100

// source cuts a body into pieces, and holds its length against what was announced. It is always one byte ahead, so that
// the last piece is known for it.
type source struct {
	body  io.Reader
	size  int64 // announced, or below zero
	read  int64 // bytes, without the one ahead
	ahead []byte
	ended bool
}

// last reports whether the piece that fill gave was the last one.
func (s *source) last() bool { return s.ended && len(s.ahead) == 0 }

// fill reads the next piece into p, as much as there is: all of p unless it is the last piece.
func (s *source) fill(ctx context.Context, p []byte) (piece []byte, err error) {
	n := copy(p, s.ahead)
	s.ahead = s.ahead[n:]
	if err := s.block(ctx, p, &n); err != nil {
		return nil, err
	}
	s.read += int64(n)
	if !s.ended && len(s.ahead) == 0 {
		var next [1]byte
		got := 0
		if err := s.block(ctx, next[:], &got); err != nil {
			return nil, err
		}
		s.ahead = next[:got]
	}
	return p[:n], s.check()
}

// block reads until p is full or the body ends. It passes on the body's own error, so that a body that breaks off with
// io.ErrUnexpectedEOF is not taken for one that ended.
func (s *source) block(ctx context.Context, p []byte, n *int) error {
	for idle := 0; *n < len(p) && !s.ended; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		got, err := s.body.Read(p[*n:])
		*n += got
		if idle++; got > 0 {
			idle = 0
		}
		switch {
		case errors.Is(err, io.EOF):
			s.ended = true
		case err != nil:
			return &trouble{text: "read body: " + err.Error(), cause: err}
		case idle == emptyReads:
			return &trouble{text: "read body: " + io.ErrNoProgress.Error(), cause: io.ErrNoProgress}
		}
	}
	return nil
}

func (s *source) check() error {
	known := s.read + int64(len(s.ahead))
	switch {
	case s.size < 0:
		return nil
	case known > s.size:
		return fmt.Errorf("%w: more than %d bytes", storage.ErrSize, s.size)
	case s.ended && known < s.size:
		return fmt.Errorf("%w: got %d bytes of %d", storage.ErrSize, known, s.size)
	}
	return nil
}

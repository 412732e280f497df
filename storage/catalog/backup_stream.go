package catalog

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxGlue is how many bytes of tar headers gather before they become a frame.
const maxGlue = FrameSize

// Stream is a sequence of packs that together decode to one tar archive. It is used by one goroutine; streams are
// written in parallel. After an error it takes no more entries, and the backup cannot be finished.
type Stream struct {
	packs   *packSequence
	encoder *frameEncoder
	glue    *tarGlue
	index   *spool
	totals  Totals // files, directories, their bytes, and frames of files
	plain   []byte // one frame, uncompressed
	entry   []byte // body of the entry being added
	closed  bool
	err     error // the first one
}

func newStream(ctx context.Context, w *BackupWriter, number uint32) (*Stream, error) {
	encoder, err := newFrameEncoder()
	if err != nil {
		return nil, err
	}
	return &Stream{
		packs:   newPackSequence(ctx, w, number),
		encoder: encoder,
		glue:    newTarGlue(),
		index:   newSpool(),
		plain:   make([]byte, FrameSize),
	}, nil
}

// AddDirectory adds an entry for a directory. Of meta the size counts for nothing.
func (s *Stream) AddDirectory(meta FileMeta) error {
	meta.Size = 0
	return s.keep("add directory "+meta.Path, func() error {
		if err := s.begin(meta, tar.TypeDir, entryDirectory); err != nil {
			return err
		}
		s.totals.Directories++
		return s.index.add([]byte(meta.Path), s.entry)
	})
}

// AddFile adds a file, whose content must be exactly meta.Size bytes long. The content is read to its end and not
// closed. Memory does not grow with the file, but for some twenty bytes a frame.
func (s *Stream) AddFile(ctx context.Context, meta FileMeta, content io.Reader) error {
	return s.keep("add file "+meta.Path, func() error {
		if err := s.begin(meta, tar.TypeReg, entryFile); err != nil {
			return err
		}
		if err := s.addContent(ctx, meta.Size, content); err != nil {
			return err
		}
		s.totals.Files++
		s.totals.ClusterBytes += meta.Size
		return s.index.add([]byte(meta.Path), s.entry)
	})
}

// keep runs one step unless an earlier one ended in an error, and remembers its error.
func (s *Stream) keep(what string, step func() error) error {
	if s.closed {
		return fmt.Errorf("%s: stream is closed", what)
	}
	if s.err != nil {
		return fmt.Errorf("%s: stream is broken: %w", what, s.err)
	}
	if err := step(); err != nil {
		s.err = fmt.Errorf("%s: %w", what, err)
	}
	return s.err
}

// begin writes the tar header, and the head of the index's entry.
func (s *Stream) begin(meta FileMeta, tarKind, kind byte) error {
	if meta.Path == "" || len(meta.Path) > maxPath {
		return fmt.Errorf("path of %d bytes is outside of 1 to %d", len(meta.Path), maxPath)
	}
	if meta.Size < 0 || meta.Size > maxFileSize {
		return fmt.Errorf("size of %d bytes is outside of 0 to %d", meta.Size, int64(maxFileSize))
	}
	if err := s.glue.header(meta, tarKind); err != nil {
		return err
	}
	s.entry = appendEntryHead(s.entry[:0], meta, kind)
	if len(s.glue.pending) < maxGlue {
		return nil
	}
	return s.writeGlue()
}

// addContent cuts the file into frames.
func (s *Stream) addContent(ctx context.Context, size int64, content io.Reader) error {
	var before Frame
	for offset := int64(0); offset < size; offset += FrameSize {
		if err := ctx.Err(); err != nil {
			return err
		}
		plain := s.plain[:min(FrameSize, size-offset)]
		if n, err := io.ReadFull(content, plain); err != nil {
			return fmt.Errorf("read at %d of %d bytes: %w", offset+int64(n), size, noEOF(err))
		}
		frame, err := s.writeFrame(plain)
		if err != nil {
			return err
		}
		s.entry = appendFrame(s.entry, before, frame)
		before = frame
	}
	return expectEnd(content)
}

// expectEnd makes sure that a file has no more bytes than its header said.
func expectEnd(content io.Reader) error {
	var one [1]byte
	n, err := io.ReadFull(content, one[:])
	if n > 0 {
		return errors.New("content is longer than its size")
	}
	if err != io.EOF {
		return fmt.Errorf("read the end: %w", err)
	}
	return nil
}

// writeFrame stores one frame of a file, after the glue that has gathered.
func (s *Stream) writeFrame(plain []byte) (Frame, error) {
	if err := s.writeGlue(); err != nil {
		return Frame{}, err
	}
	if err := s.glue.pass(plain); err != nil {
		return Frame{}, err
	}
	bytes := s.encoder.encode(plain)
	frame, err := s.packs.write(bytes)
	frame.Sum = frameSum(bytes)
	s.totals.Frames++
	return frame, err
}

func (s *Stream) writeGlue() error {
	glue := s.glue.take()
	if len(glue) == 0 {
		return nil
	}
	_, err := s.packs.write(s.encoder.encode(glue))
	return err
}

// Close ends the archive. When it returns nil all packs of the stream are durable. A stream that has met an error
// returns it again. Closing twice is harmless.
func (s *Stream) Close(ctx context.Context) error {
	if s.closed {
		return s.err
	}
	err := s.keep("close stream", func() error { return s.end(ctx) })
	s.closed = true
	if err != nil {
		s.packs.abandon()
	}
	return err
}

func (s *Stream) end(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.glue.end(); err != nil {
		return err
	}
	if err := s.writeGlue(); err != nil {
		return err
	}
	return s.packs.close()
}

// abandon frees what the stream holds; what is stored stays.
func (s *Stream) abandon() {
	s.closed = true
	s.packs.abandon()
	s.index.close()
}

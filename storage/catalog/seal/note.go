package seal

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// maxHeader bounds the header of a noted object, in bytes, as age does.
const maxHeader = 2 << 20

// ReadNote reads the note of a sealed object from its start, and the length of the header in bytes: the payload begins
// there. It needs no identity and cannot know whether the note is genuine; see [Noted].
//
// It may read up to 4 KiB past the header, but a *bufio.Reader of at least that size stands at the payload afterwards. [ErrNoNote] says that the
// header is whole and carries none; its length is given, too. [ErrDamaged] says that it is no header of age; errors of r
// are returned as they are.
func ReadNote(r io.Reader) (note []byte, headerLength int64, err error) {
	header, err := readHeader(r)
	if err != nil {
		return nil, 0, err
	}
	note, err = noteOf(header)
	return note, int64(len(header)), err
}

// readHeader returns the header, which age has found well-formed in every byte.
func readHeader(r io.Reader) ([]byte, error) {
	header, err := readToFooter(bufio.NewReader(r)) // r itself where it is a buffered reader already
	if err != nil {
		return nil, err
	}
	if _, err := age.ExtractHeader(bytes.NewReader(header)); err != nil {
		return nil, explain(err, nil, nil)
	}
	return header, nil
}

// readToFooter reads whole lines up to the first that starts with three dashes, which no other line of a header does.
func readToFooter(r *bufio.Reader) ([]byte, error) {
	var header []byte
	for start := 0; ; {
		piece, err := r.ReadSlice('\n')
		header = append(header, piece...)
		switch {
		case errors.Is(err, io.EOF):
			return nil, damaged("it is cut short")
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case !Sealed(header):
			return nil, damaged("it does not start like one")
		case len(header) > maxHeader:
			return nil, damaged("its header has no end")
		case err != nil:
			continue // the line goes on
		case bytes.HasPrefix(header[start:], []byte(footer)):
			return header, nil
		}
		start = len(header)
	}
}

// noteOf finds the one note among the stanzas of a well-formed header.
func noteOf(header []byte) ([]byte, error) {
	var note []byte
	found := false
	for _, stanza := range bytes.Split(header, []byte("\n-> "))[1:] {
		kind, body, _ := bytes.Cut(stanza, []byte("\n"))
		if string(kind) != noteType {
			continue
		}
		if found {
			return nil, damaged("it carries two notes")
		}
		found = true
		var err error
		if note, err = noteBody(body); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, ErrNoNote
	}
	return note, nil
}

// noteBody decodes the lines of a stanza's body, which end before the next stanza or the footer.
func noteBody(lines []byte) ([]byte, error) {
	lines, _, _ = bytes.Cut(lines, []byte("\n"+footer+" "))
	note, err := base64.RawStdEncoding.Strict().DecodeString(string(bytes.ReplaceAll(lines, []byte("\n"), nil)))
	if err != nil {
		return nil, fmt.Errorf("%w: its note: %w", ErrDamaged, err)
	}
	return note, nil
}

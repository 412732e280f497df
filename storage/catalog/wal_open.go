package catalog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog/seal"
)

// openedWAL is a stored WAL object of either form, read up to where its three parts begin.
type openedWAL struct {
	key  string
	name wal.FileName

	plain io.Reader // the three parts; nil where the object cannot be opened
	note  *walNote  // nil where the object is not sealed

	locked  error     // why it cannot be opened
	payload io.Reader // then what is behind the header of the age file
}

// openWAL tells the forms apart by how the object starts. An object that is sealed and cannot be opened is no error. All
// errors but those of r are damage.
func (c *Cluster) openWAL(key string, name wal.FileName, r *bufio.Reader) (*openedWAL, error) {
	o := &openedWAL{key: key, name: name}
	start, err := r.Peek(sealedPrefix)
	if err != nil && !errors.Is(err, io.EOF) {
		return o, err
	}
	if !seal.Sealed(start) {
		o.plain = r
		return o, c.checkForm(key, false)
	}
	var head bytes.Buffer
	raw, length, err := seal.ReadNote(io.TeeReader(r, &head))
	if err != nil {
		return o, fmt.Errorf("note: %w", err)
	}
	note, err := c.decodeWALNote(key, name, head.Bytes()[:length], raw)
	if err != nil {
		return o, err
	}
	o.note = &note
	return o, c.openSealedWAL(o, head.Bytes(), length, r)
}

// sealedPrefix is how many bytes tell a sealed object from others.
const sealedPrefix = 19

// openSealedWAL opens what starts with head, of which the header of the age file has length bytes, and goes on in rest.
func (c *Cluster) openSealedWAL(o *openedWAL, head []byte, length int64, rest io.Reader) error {
	// All of the header is in head, so that rest is untouched where no identity fits.
	plain, err := c.keys.Identities.Reader(io.MultiReader(bytes.NewReader(head), rest))
	switch {
	case isLocked(err):
		o.locked, o.payload = err, io.MultiReader(bytes.NewReader(head[length:]), rest)
		return nil
	case err != nil:
		return unsealError(o.key, err)
	}
	o.plain = plain
	return nil
}

// checkPayload proves, without an identity, that all that is sealed is what the note was made for.
func (o *openedWAL) checkPayload() error {
	sum := sha256.New()
	n, err := io.Copy(sum, o.payload)
	if err != nil {
		return err
	}
	if found := (fileSum{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}); found != o.note.Payload {
		return damaged(o.key, "checksum of the sealed bytes does not hold")
	}
	return nil
}

// digest is that of the note, if there is any.
func (o *openedWAL) digest() *walDigest {
	if o == nil || o.note == nil {
		return nil
	}
	return o.note.Digest
}

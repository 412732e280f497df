package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"filippo.io/age"
)

// MaxNote is the greatest length of a note, in bytes.
const MaxNote = 1 << 20

const (
	noteType    = "lifeboat-note"
	footer      = "---"
	nonceLength = 16
	lineLength  = 64 // characters of base64 in a full line of a stanza's body
)

// Noted seals an object that carries a note: public bytes in the header of the age file, in a stanza of their own kind
// ("-> lifeboat-note"), which age passes over. The header's MAC covers it, so that whoever opens the object knows that
// the note is the one it was made with. Whoever reads the note alone, see [ReadNote], knows no such thing.
//
// The payload is made first, so that the note can say what it is. The object is the header followed by the payload.
type Noted struct {
	sealing io.WriteCloser
	stanzas []byte // the header up to where the note goes
	key     []byte
	payload counted
	closed  bool
}

// NewNoted starts a noted object and writes its payload, which starts with a nonce and ends when the Noted is closed, to
// payload.
func (r *Recipients) NewNoted(payload io.Writer) (*Noted, error) {
	n := &Noted{payload: counted{to: payload, sum: sha256.New()}}
	var first bytes.Buffer
	to := &turnout{to: &first}
	capture := &keyCapture{recipient: r.keys[0]}
	keys := append([]age.Recipient{capture}, r.keys[1:]...)
	var err error
	if n.sealing, err = age.Encrypt(to, keys...); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	n.key, to.to = capture.key, &n.payload
	return n, n.begin(first.Bytes())
}

// begin splits what age wrote at once: a header and the nonce, the first bytes of the payload.
func (n *Noted) begin(first []byte) error {
	header, nonce := first[:len(first)-nonceLength], first[len(first)-nonceLength:]
	end := bytes.LastIndex(header, []byte("\n"+footer+" "))
	if end < 0 {
		return errors.New("seal: the header has no end")
	}
	n.stanzas = slices.Clone(header[:end+1])
	_, err := n.payload.Write(nonce)
	return err
}

// Write seals plain bytes. An error of the payload's writer is returned as it is.
func (n *Noted) Write(plain []byte) (int, error) { return n.sealing.Write(plain) }

// Close seals the last bytes. It does not close the payload's writer.
func (n *Noted) Close() error {
	err := n.sealing.Close()
	n.closed = err == nil
	return err
}

// Payload returns the length in bytes and the SHA-256 of the payload, once Close has returned nil.
func (n *Noted) Payload() (size int64, sum [sha256.Size]byte) {
	n.payload.sum.Sum(sum[:0])
	return n.payload.size, sum
}

// Header returns the header with the note, once Close has returned nil.
func (n *Noted) Header(note []byte) ([]byte, error) {
	switch {
	case !n.closed:
		return nil, errors.New("seal: the header is made after the payload")
	case len(note) > MaxNote:
		return nil, fmt.Errorf("seal: a note of %d bytes is too long: %d are the most", len(note), MaxNote)
	}
	header := slices.Clone(n.stanzas)
	header = appendNote(header, note)
	header = append(header, footer...)
	mac, err := headerMAC(n.key, header)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	header = append(append(header, ' '), base64.RawStdEncoding.EncodeToString(mac)...)
	header = append(header, '\n')
	return header, n.check(header)
}

// check reads the header the way that age will, so that none is stored that cannot be opened.
func (n *Noted) check(header []byte) error {
	if _, err := age.DecryptHeader(header, age.NewInjectedFileKeyIdentity(n.key)); err != nil {
		return fmt.Errorf("seal: check the header: %w", err)
	}
	return nil
}

// appendNote appends the stanza of a note. Its last line is shorter than the others, if need be empty.
// https://github.com/C2SP/C2SP/blob/main/age.md
func appendNote(header, note []byte) []byte {
	header = append(header, "-> "+noteType+"\n"...)
	body := base64.RawStdEncoding.AppendEncode(nil, note)
	for len(body) >= lineLength {
		header = append(append(header, body[:lineLength]...), '\n')
		body = body[lineLength:]
	}
	return append(append(header, body...), '\n')
}

// headerMAC authenticates a header, given up to and including its "---", by the key of the file.
// https://github.com/C2SP/C2SP/blob/main/age.md
func headerMAC(fileKey, header []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nil, "header", sha256.Size)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(header)
	return mac.Sum(nil), nil
}

// keyCapture is a recipient that keeps the key of the file that it wraps.
type keyCapture struct {
	recipient age.Recipient
	key       []byte
}

// Wrap is what age asks of recipients without labels.
func (k *keyCapture) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	stanzas, _, err := k.WrapWithLabels(fileKey)
	return stanzas, err
}

// WrapWithLabels hands on the labels of the recipient, by which age refuses unequal ones.
func (k *keyCapture) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	k.key = slices.Clone(fileKey)
	if labelled, ok := k.recipient.(age.RecipientWithLabels); ok {
		return labelled.WrapWithLabels(fileKey)
	}
	stanzas, err := k.recipient.Wrap(fileKey)
	return stanzas, nil, err
}

// turnout is a writer whose way can be changed.
type turnout struct{ to io.Writer }

func (t *turnout) Write(p []byte) (int, error) { return t.to.Write(p) }

// counted sums up what it passes on.
type counted struct {
	to   io.Writer
	sum  hash.Hash
	size int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.sum.Write(p[:n])
	c.size += int64(n)
	return n, err
}

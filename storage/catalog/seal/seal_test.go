package seal_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"lifeboat/storage/catalog/seal"
)

// pair is a new recipient and its identity.
func pair(t *testing.T, postQuantum bool) (*seal.Recipients, *seal.Identities) {
	t.Helper()
	identity, recipient, err := seal.Generate(postQuantum)
	if err != nil {
		t.Fatal(err)
	}
	return recipients(t, recipient), identities(t, identity)
}

func recipients(t testing.TB, lines ...string) *seal.Recipients {
	t.Helper()
	r, err := seal.ParseRecipients(lines)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func identities(t testing.TB, lines ...string) *seal.Identities {
	t.Helper()
	i, err := seal.ParseIdentities(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// content gives size bytes that differ from place to place.
func content(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(data) // it never fails
	return data
}

// noted makes a noted object.
func noted(t *testing.T, r *seal.Recipients, plain, note []byte) []byte {
	t.Helper()
	var payload bytes.Buffer
	n, err := r.NewNoted(&payload)
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Write(plain)
	if err = errors.Join(err, n.Close()); err != nil {
		t.Fatal(err)
	}
	size, sum := n.Payload()
	if size != int64(payload.Len()) || sum != sha256.Sum256(payload.Bytes()) {
		t.Fatalf("payload of %d bytes is told to have %d and another checksum", payload.Len(), size)
	}
	header, err := n.Header(note)
	if err != nil {
		t.Fatal(err)
	}
	return append(header, payload.Bytes()...)
}

// edges are the sizes at which chunks begin and end.
var edges = []int{0, 1, 15, 16, 17, 65535, 65536, 65537, 131071, 131072, 131073, 196608, 300000}

func TestOpensWhatWasSealed(t *testing.T) {
	t.Parallel()
	for _, postQuantum := range []bool{false, true} {
		r, i := pair(t, postQuantum)
		for _, size := range edges {
			plain := content(size)
			sealed, err := r.Seal(plain)
			if err != nil {
				t.Fatal(err)
			}
			wantOpens(t, i, sealed, plain)
			stream, err := r.Reader(bytes.NewReader(plain))
			if err != nil {
				t.Fatal(err)
			}
			sealed, err = io.ReadAll(stream)
			if err != nil {
				t.Fatal(err)
			}
			wantOpens(t, i, sealed, plain)
			wantOpens(t, i, noted(t, r, plain, []byte("a note")), plain)
		}
	}
}

func wantOpens(t *testing.T, i *seal.Identities, sealed, plain []byte) {
	t.Helper()
	if !seal.Sealed(sealed) {
		t.Fatal("a sealed object is not taken for one")
	}
	got, err := i.Open(sealed)
	if err != nil {
		t.Fatalf("open %d bytes: %v", len(plain), err)
	}
	if !bytes.Equal(got, plain) {
		t.Fatalf("%d bytes open as %d other ones", len(plain), len(got))
	}
}

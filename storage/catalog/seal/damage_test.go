package seal_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
)

// chunk is the size of a sealed chunk.
const chunk = 65536 + 16

// found reports whether err says that an object cannot be trusted.
func found(err error) bool {
	var wrong *seal.WrongIdentityError
	return errors.Is(err, seal.ErrDamaged) || errors.As(err, &wrong)
}

func TestEveryChangedBitIsFound(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	object := noted(t, r, []byte("plain"), []byte("a note"))
	for at := range object {
		for bit := range 8 {
			changed := bytes.Clone(object)
			changed[at] ^= 1 << bit
			if plain, err := i.Open(changed); !found(err) {
				t.Fatalf("bit %d of byte %d changed: opened as %q, %v", bit, at, plain, err)
			}
		}
	}
}

func TestEveryChangedBitOfAPostQuantumHeaderIsFound(t *testing.T) {
	t.Parallel()
	r, i := pair(t, true)
	object := noted(t, r, []byte("plain"), []byte("a note"))
	for at := range object {
		changed := bytes.Clone(object)
		changed[at] ^= 1 << (at % 8)
		if plain, err := i.Open(changed); !found(err) {
			t.Fatalf("byte %d changed: opened as %q, %v", at, plain, err)
		}
	}
}

func TestEveryCutIsFound(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	object := noted(t, r, []byte("plain"), []byte("a note"))
	for end := range object {
		plain, err := i.Open(object[:end])
		if !errors.Is(err, seal.ErrDamaged) {
			t.Fatalf("cut after %d bytes: opened as %q, %v", end, plain, err)
		}
		if storage.Transient(err) {
			t.Fatalf("cut after %d bytes: %v is taken for passing trouble", end, err)
		}
	}
}

// damages are what may happen to the payload of an object, which starts at from and holds three and a half chunks.
var damages = map[string]func(object []byte, from int) []byte{
	"cut at a chunk's end":    func(o []byte, from int) []byte { return o[:from+2*chunk] },
	"cut within a chunk":      func(o []byte, from int) []byte { return o[:from+2*chunk+7] },
	"cut before the payload":  func(o []byte, from int) []byte { return o[:from] },
	"last chunk removed":      func(o []byte, from int) []byte { return o[:from+3*chunk] },
	"a byte added":            func(o []byte, _ int) []byte { return append(o, 0) },
	"a chunk added":           func(o []byte, from int) []byte { return append(o, o[from:from+chunk]...) },
	"a whole object added":    func(o []byte, _ int) []byte { return append(o, o...) },
	"chunks swapped":          func(o []byte, from int) []byte { return swapped(o, from, from+chunk) },
	"inner chunk removed":     func(o []byte, from int) []byte { return append(o[:from+chunk], o[from+2*chunk:]...) },
	"bit of the nonce":        func(o []byte, from int) []byte { return flipped(o, from-1) },
	"bit of the first chunk":  func(o []byte, from int) []byte { return flipped(o, from+100) },
	"bit of a chunk's tag":    func(o []byte, from int) []byte { return flipped(o, from+chunk-1) },
	"bit of the last chunk":   func(o []byte, _ int) []byte { return flipped(o, len(o)-100) },
	"last byte":               func(o []byte, _ int) []byte { return flipped(o, len(o)-1) },
	"header of another":       func(o []byte, from int) []byte { return append(bytes.Clone(otherHeader), o[from-16:]...) },
	"nothing is left of it":   func(o []byte, _ int) []byte { return o[:25] },
	"nothing but header left": func(o []byte, from int) []byte { return o[:from-16] },
}

// otherHeader is of an object that is sealed for recipients whose identities nobody has.
var otherHeader = []byte("age-encryption.org/v1\n-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n" +
	"EmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U\n--- Vn+54jqiiUCE+WZcEVY3f1sqHjlu/z1LCQ/T7Xm7qI0\n")

func swapped(o []byte, a, b int) []byte {
	first := bytes.Clone(o[a : a+chunk])
	copy(o[a:], o[b:b+chunk])
	copy(o[b:], first)
	return o
}

func flipped(o []byte, at int) []byte {
	o[at] ^= 0x10
	return o
}

// sealedChunks is an object of three and a half chunks, and where the first of them starts.
func sealedChunks(t *testing.T, r *seal.Recipients) (object, plain []byte, from int) {
	t.Helper()
	plain = content(3*65536 + 1000)
	object = noted(t, r, plain, []byte("note"))
	_, length, err := seal.ReadNote(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	return object, plain, int(length) + 16
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	object, _, from := sealedChunks(t, r)
	for name, damage := range damages {
		_, err := i.Open(damage(bytes.Clone(object), from))
		if !found(err) || storage.Transient(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStreamStopsBeforeDamage(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	object, plain, from := sealedChunks(t, r)
	for name, damage := range damages {
		stream, err := i.Reader(bytes.NewReader(damage(bytes.Clone(object), from)))
		if err != nil {
			continue // that it is found is seen above
		}
		got, err := io.ReadAll(stream)
		if !found(err) || !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestCutConnectionIsNoDamage(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	object, _, from := sealedChunks(t, r)
	for _, at := range []int{0, 10, 100, from - 20, from - 1, from, from + 5, from + chunk, from + chunk + 40} {
		for _, trouble := range []error{io.ErrUnexpectedEOF, storage.ErrUnavailable} {
			body := io.MultiReader(bytes.NewReader(object[:at]), iotest.ErrReader(trouble))
			stream, err := i.Reader(body)
			if err == nil {
				_, err = io.ReadAll(stream)
			}
			if !errors.Is(err, trouble) || found(err) || !storage.Transient(err) {
				t.Errorf("%v after %d bytes: %v", trouble, at, err)
			}
		}
	}
}

func TestSealingPassesOnTheReadersError(t *testing.T) {
	t.Parallel()
	r, _ := pair(t, false)
	sealed, err := r.Reader(io.MultiReader(bytes.NewReader(content(100_000)), iotest.ErrReader(storage.ErrUnavailable)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(sealed); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("sealed in spite of %v", err)
	}
}

package seal_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
)

func TestNoteReadsBackWithoutIdentity(t *testing.T) {
	t.Parallel()
	for _, postQuantum := range []bool{false, true} {
		r, _ := pair(t, postQuantum)
		for _, length := range []int{0, 1, 2, 3, 47, 48, 49, 95, 96, 97, 5000, seal.MaxNote} {
			note := content(length)
			object := noted(t, r, []byte("plain"), note)
			from := bufio.NewReader(bytes.NewReader(object))
			got, headerLength, err := seal.ReadNote(from)
			if err != nil || !bytes.Equal(got, note) {
				t.Fatalf("note of %d bytes reads back as %d, %v", length, len(got), err)
			}
			rest, err := io.ReadAll(from)
			if err != nil || !bytes.Equal(rest, object[headerLength:]) {
				t.Fatalf("note of %d bytes: a buffered reader does not stand at the payload", length)
			}
			if len(rest) != 16+len("plain")+16 {
				t.Fatalf("payload of %d bytes", len(rest))
			}
		}
	}
}

func TestHeadersOfOnePayloadDifferInTheNoteAlone(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	var payload bytes.Buffer
	n, err := r.NewNoted(&payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Header(nil); err == nil {
		t.Fatal("a header is given before the payload is whole")
	}
	if _, err := n.Write([]byte("plain")); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for _, note := range []string{"first", "second, a longer one"} {
		header, err := n.Header([]byte(note))
		if err != nil {
			t.Fatal(err)
		}
		wantOpens(t, i, append(header, payload.Bytes()...), []byte("plain"))
	}
	if _, err := n.Header(make([]byte, seal.MaxNote+1)); err == nil {
		t.Fatal("a note that is too long is taken")
	}
}

func TestForgedNoteIsRefusedByWhoeverOpens(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	genuine := noted(t, r, []byte("plain"), []byte("genuine"))
	other := noted(t, r, []byte("other"), []byte("forged!"))
	without, err := r.Seal([]byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	stanza := []byte("-> lifeboat-note\nZm9yZ2VkIQ\n---")
	for name, object := range map[string][]byte{
		"replaced": bytes.Replace(genuine, []byte("Z2VudWluZQ"), []byte("Zm9yZ2VkIQ"), 1),
		"added":    bytes.Replace(without, []byte("---"), stanza, 1),
		"taken from another object, with its MAC": append(headerOf(t, other), genuine[len(headerOf(t, genuine)):]...),
	} {
		if note, _, err := seal.ReadNote(bytes.NewReader(object)); err != nil || string(note) != "forged!" {
			t.Fatalf("%s: not forged: %q, %v", name, note, err)
		}
		if plain, err := i.Open(object); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%s: opened as %q, %v", name, plain, err)
		}
	}
	removed := bytes.Replace(genuine, []byte("-> lifeboat-note\nZ2VudWluZQ\n"), nil, 1)
	if _, err := i.Open(removed); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("note removed: %v", err)
	}
}

func headerOf(t *testing.T, object []byte) []byte {
	t.Helper()
	_, length, err := seal.ReadNote(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(object[:length])
}

func TestUnfitHeadersGiveNoNote(t *testing.T) {
	t.Parallel()
	r, _ := pair(t, false)
	object := noted(t, r, []byte("plain"), []byte("a note"))
	header := headerOf(t, object)
	without, err := r.Seal([]byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	stanza := "-> lifeboat-note\nYSBub3Rl\n"
	for name, test := range map[string]struct {
		object []byte
		want   error
	}{
		"no note":               {without, seal.ErrNoNote},
		"note of another kind":  {bytes.Replace(object, []byte("lifeboat-note"), []byte("lifeboat-nota"), 1), seal.ErrNoNote},
		"two notes":             {bytes.Replace(object, []byte(stanza), []byte(stanza+stanza), 1), seal.ErrDamaged},
		"plain":                 {[]byte("plain bytes"), seal.ErrDamaged},
		"empty":                 {nil, seal.ErrDamaged},
		"later version":         {bytes.Replace(object, []byte("/v1"), []byte("/v2"), 1), seal.ErrDamaged},
		"note is not base64":    {bytes.Replace(object, []byte("YSBub3Rl"), []byte("YSBub3R!"), 1), seal.ErrDamaged},
		"loose bits in base64":  {bytes.Replace(object, []byte("YSBub3Rl"), []byte("YSBub3R"), 1), seal.ErrDamaged},
		"no end":                {append(bytes.Clone(header[:len(header)-60]), strings.Repeat("-> X\n\n", 500_000)...), seal.ErrDamaged},
		"a line without an end": {append(bytes.Clone(header[:len(header)-60]), strings.Repeat("A", 3<<20)...), seal.ErrDamaged},
	} {
		note, _, err := seal.ReadNote(bytes.NewReader(test.object))
		if !errors.Is(err, test.want) || note != nil {
			t.Errorf("%s: %q, %v", name, note, err)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
	if _, length, err := seal.ReadNote(bytes.NewReader(without)); !errors.Is(err, seal.ErrNoNote) || length == 0 {
		t.Errorf("length of a header without a note: %d, %v", length, err)
	}
	for end := range header {
		if _, _, err := seal.ReadNote(bytes.NewReader(header[:end])); !errors.Is(err, seal.ErrDamaged) {
			t.Fatalf("cut after %d bytes: %v", end, err)
		}
	}
}

func TestErrorsQuoteLittle(t *testing.T) {
	t.Parallel()
	r, i := pair(t, false)
	object := noted(t, r, []byte("plain"), []byte("a note"))
	object = bytes.Replace(object, []byte("-> lifeboat-note\n"), []byte("-> "+strings.Repeat("A", 1<<20)+"\u00e4\n"), 1)
	if _, err := i.Open(object); !errors.Is(err, seal.ErrDamaged) || len(err.Error()) > 400 {
		t.Fatalf("an error of %d bytes: %.400v", len(err.Error()), err)
	}
}

func TestHeaderWithoutEndIsNotReadForEver(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	for name, line := range map[string]string{"stanzas": "-> X\n\n", "one line": "A"} {
		endless := io.LimitReader(&repeated{text: line}, size).(*io.LimitedReader)
		object := io.MultiReader(strings.NewReader("age-encryption.org/v1\n"), endless)
		if _, _, err := seal.ReadNote(object); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if read := size - endless.N; read > 4<<20 {
			t.Errorf("%s: %d bytes are read in search of the end", name, read)
		}
	}
}

// repeated gives its text again and again.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for n := range p {
		p[n] = r.text[r.at%len(r.text)]
		r.at++
	}
	return len(p), nil
}

func TestNoteOfACutConnectionIsNoDamage(t *testing.T) {
	t.Parallel()
	r, _ := pair(t, false)
	header := headerOf(t, noted(t, r, []byte("plain"), content(10_000)))
	for _, at := range []int{0, 5, 100, 5000, len(header) - 1} {
		body := io.MultiReader(bytes.NewReader(header[:at]), iotest.ErrReader(io.ErrUnexpectedEOF))
		_, _, err := seal.ReadNote(body)
		if errors.Is(err, seal.ErrDamaged) || !storage.Transient(err) {
			t.Errorf("cut after %d bytes: %v", at, err)
		}
	}
}

func TestFailedPayloadIsNoObject(t *testing.T) {
	t.Parallel()
	r, _ := pair(t, false)
	if _, err := r.NewNoted(limited{0}); !errors.Is(err, errFull) {
		t.Fatalf("no room for the nonce: %v", err)
	}
	n, err := r.NewNoted(limited{16})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Write(content(200_000))
	if err = errors.Join(err, n.Close()); !errors.Is(err, errFull) {
		t.Fatalf("no room for the payload: %v", err)
	}
	if _, err := n.Header(nil); err == nil {
		t.Fatal("a header is given though the payload is not whole")
	}
}

var errFull = errors.New("no room")

// limited takes writes up to a size.
type limited struct{ size int }

func (l limited) Write(p []byte) (int, error) {
	if len(p) > l.size {
		return 0, errFull
	}
	return len(p), nil
}

func FuzzReadNote(f *testing.F) {
	_, recipient, err := seal.Generate(false)
	if err != nil {
		f.Fatal(err)
	}
	var payload bytes.Buffer
	n, err := recipients(f, recipient).NewNoted(&payload)
	if err != nil {
		f.Fatal(err)
	}
	if err := n.Close(); err != nil {
		f.Fatal(err)
	}
	header, err := n.Header([]byte("a note"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(header)
	f.Add(otherHeader)
	f.Add(bytes.Replace(header, []byte("YSBub3Rl"), nil, 1))
	f.Fuzz(func(t *testing.T, object []byte) {
		note, length, err := seal.ReadNote(bytes.NewReader(object))
		switch {
		case errors.Is(err, seal.ErrNoNote):
			if note != nil || length <= 0 || length > int64(len(object)) {
				t.Fatalf("no note: %q, %d", note, length)
			}
		case err != nil:
			if !errors.Is(err, seal.ErrDamaged) || note != nil {
				t.Fatalf("%q, %v", note, err)
			}
		case length > int64(len(object)) || !bytes.HasSuffix(object[:length], []byte("\n")) || len(note) > len(object):
			t.Fatalf("note %q, header of %d bytes in %d", note, length, len(object))
		}
	})
}

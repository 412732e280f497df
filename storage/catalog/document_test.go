package catalog

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

type greeting struct {
	Text string `json:"text"`
}

func sampleDocument(t testing.TB) []byte {
	t.Helper()
	line, err := encodeDocument(kindCensus, greeting{Text: "a <b> & c"})
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// The form is part of the format: see FORMAT.md.
func TestDocumentIsOneLineOfAKnownForm(t *testing.T) {
	t.Parallel()
	const want = `{"lifeboat":"census","version":1,` +
		`"sha256":"e7960bafb81ec363f50d2ec354583ef2ee696b00c6cc333a616cd3432964c657",` +
		`"body":{"text":"a \u003cb\u003e \u0026 c"}}` + "\n"
	if got := string(sampleDocument(t)); got != want {
		t.Errorf("document is\n%s, want\n%s", got, want)
	}
}

func TestDocumentRoundTrip(t *testing.T) {
	t.Parallel()
	var got greeting
	if err := decodeDocument("k", kindCensus, sampleDocument(t), &got); err != nil {
		t.Fatal(err)
	}
	if got.Text != "a <b> & c" {
		t.Errorf("text is %q", got.Text)
	}
}

func TestDocumentFindsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	line := sampleDocument(t)
	for i := range line {
		for bit := range 8 {
			flipped := bytes.Clone(line)
			flipped[i] ^= 1 << bit
			if decodeDocument("k", kindCensus, flipped, new(greeting)) == nil {
				t.Fatalf("bit %d of byte %d (%q) flipped unnoticed", bit, i, line[i])
			}
		}
	}
}

func TestDocumentFindsEveryTruncation(t *testing.T) {
	t.Parallel()
	line := sampleDocument(t)
	for n := range line {
		if err := decodeDocument("k", kindCensus, line[:n], new(greeting)); !isDamaged(err) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestDocumentRefusesOtherForms(t *testing.T) {
	t.Parallel()
	line := string(sampleDocument(t))
	for damage, content := range map[string]string{
		"empty":               "",
		"no newline":          strings.TrimSuffix(line, "\n"),
		"second newline":      line + "\n",
		"second document":     line + line,
		"space in envelope":   strings.Replace(line, `:1,`, `: 1,`, 1),
		"space in body":       strings.Replace(line, `{"text"`, `{ "text"`, 1),
		"further field":       strings.Replace(line, `"version"`, `"extra":0,"version"`, 1),
		"field twice":         strings.Replace(line, `"version":1`, `"version":1,"version":1`, 1),
		"field in upper case": strings.Replace(line, `"version"`, `"VERSION"`, 1),
		"version zero":        string(frameDocument(kindCensus, 0, []byte(`{}`))),
		"version below zero":  string(frameDocument(kindCensus, -1, []byte(`{}`))),
		"another kind":        string(frameDocument(kindRecord, 1, []byte(`{}`))),
		"body of another type": string(frameDocument(kindCensus, 1,
			[]byte(`{"text":5}`))),
	} {
		if err := decodeDocument("k", kindCensus, []byte(content), new(greeting)); !isDamaged(err) {
			t.Errorf("%s: %v, want a *DamagedError", damage, err)
		}
	}
}

func TestDocumentOfALaterVersionSaysSo(t *testing.T) {
	t.Parallel()
	err := decodeDocument("k", kindCensus, frameDocument(kindCensus, 2, []byte(`{"all":"new"}`)), new(greeting))
	var version *VersionError
	if !errors.As(err, &version) || version.Version != 2 || !strings.Contains(err.Error(), "newer Lifeboat") {
		t.Errorf("error is %v", err)
	}
}

func TestDocumentIsClaimedOnceAndPutAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	claim := func(text string) error {
		return s.repo.claimDocument(t.Context(), "x/claimed.json", kindCensus, greeting{Text: text})
	}
	put := func(text string) error {
		return s.repo.putDocument(t.Context(), "x/put.json", kindCensus, greeting{Text: text})
	}
	if err := errors.Join(claim("a"), put("a"), put("a")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"same claim": claim("a"), "other claim": claim("b"), "other put": put("b")} {
		if !isExists(err) {
			t.Errorf("%s: %v, want storage.ErrExists", what, err)
		}
	}
}

// FuzzDecodeDocument holds that what is accepted is a document, byte for byte.
func FuzzDecodeDocument(f *testing.F) {
	f.Add(sampleDocument(f))
	f.Add(frameDocument(kindCensus, 2, []byte(`{}`)))
	f.Add([]byte(`{"lifeboat":"census","version":1,"sha256":"","body":null}` + "\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := openEnvelope("k", kindCensus, raw)
		if err == nil && !bytes.Equal(raw, frameDocument(kindCensus, documentVersion, e.Body)) {
			t.Errorf("accepted %q", raw)
		}
	})
}

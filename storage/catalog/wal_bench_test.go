package catalog

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog/seal"
)

// BenchmarkPutWAL archives segments of 16 MiB, half of whose pages do not compress, to a store that takes no time.
func BenchmarkPutWAL(b *testing.B) {
	_, recipient, err := seal.Generate(false)
	if err != nil {
		b.Fatal(err)
	}
	recipients, err := seal.ParseRecipients([]string{recipient})
	if err != nil {
		b.Fatal(err)
	}
	f := halfRandom(b)
	for name, keys := range map[string]Keys{"plain": {}, "sealed": {Recipients: recipients}} {
		b.Run(name, func(b *testing.B) {
			identity := Identity{SystemIdentifier: 1, WALSegmentSize: wal.DefaultSegmentSize}
			c := &Cluster{name: "main", identity: identity, root: "clusters/main/1/", store: newStore(sink{}, keys, false), codecs: newCodecs()}
			b.SetBytes(f.Size)
			for b.Loop() {
				if _, err := c.PutWAL(b.Context(), f, sceneTime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// halfRandom is a segment of 16 MiB.
func halfRandom(b *testing.B) WALFile {
	b.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	content := make([]byte, wal.DefaultSegmentSize)
	for at := 0; at < len(content); at += 16 << 10 {
		for i := range 8 << 10 {
			content[at+i] = byte(rng.Uint32())
		}
	}
	name, err := wal.ParseFileName("000000010000000000000001")
	if err != nil {
		b.Fatal(err)
	}
	return WALFile{
		Name: name, Size: int64(len(content)), Secret: sceneSecret,
		Open:    func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		Summary: &wal.Summary{SystemIdentifier: 1, SegmentSize: wal.DefaultSegmentSize, Timeline: 1},
	}
}

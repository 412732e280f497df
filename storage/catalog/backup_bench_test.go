package catalog

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"lifeboat/storage"
)

// sink is a bucket that keeps nothing.
type sink struct{ storage.Bucket }

func (sink) Put(_ context.Context, _ string, body io.Reader, _ storage.PutOptions) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 1<<20))
	return err
}

// tablePages are pages as a table of numbers and text has them: rows that resemble each other.
func tablePages(size int) []byte {
	rng := rand.New(rand.NewPCG(8, 9))
	pages := make([]byte, 0, size+200)
	for len(pages) < size {
		pages = append(pages, byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()), 0, 0, 0, 24, 0)
		pages = append(pages, "customer 00000 of branch 17                       "...)
		for range 12 {
			pages = append(pages, byte('a'+rng.IntN(26)))
		}
	}
	return pages[:size]
}

func BenchmarkStreamWrites(b *testing.B) {
	for name, content := range map[string][]byte{"table": tablePages(64 << 20), "zeros": make([]byte, 64<<20)} {
		b.Run(name, func(b *testing.B) {
			w, err := (&Cluster{name: "main", store: newStore(sink{}, Keys{}, false)}).StartBackup(b.Context(), StartedBackup{Label: sceneLabel})
			if err != nil {
				b.Fatal(err)
			}
			s, err := w.NewStream(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				err := s.AddFile(b.Context(), FileMeta{Path: "f", Size: int64(len(content))}, bytes.NewReader(content))
				if err != nil {
					b.Fatal(err)
				}
			}
			w.Abort()
		})
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	encoder, err := newFrameEncoder()
	if err != nil {
		b.Fatal(err)
	}
	decoder, err := newFrameDecoder()
	if err != nil {
		b.Fatal(err)
	}
	stored := encoder.encode(tablePages(FrameSize))
	ix := &Index{cluster: &Cluster{}, packs: make([]packRef, 1), decoder: decoder}
	f := Frame{Length: uint32(len(stored)), Sum: frameSum(stored)}
	dst := make([]byte, FrameSize)
	b.SetBytes(FrameSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ix.DecodeFrame(dst, stored, f); err != nil {
			b.Fatal(err)
		}
	}
}

package seal_test

import (
	"bytes"
	"io"
	"testing"

	"lifeboat/storage/catalog/seal"
)

const benchSize = 64 << 20

func benchPair(b *testing.B) (*seal.Recipients, *seal.Identities) {
	b.Helper()
	identity, recipient := generated(b, false)
	return recipients(b, recipient), identities(b, identity)
}

func BenchmarkReader(b *testing.B) {
	r, _ := benchPair(b)
	plain := content(benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		sealed, err := r.Reader(bytes.NewReader(plain))
		if err == nil {
			_, err = io.Copy(io.Discard, sealed)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNoted(b *testing.B) {
	r, _ := benchPair(b)
	plain := content(benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		n, err := r.NewNoted(io.Discard)
		if err == nil {
			_, err = n.Write(plain)
		}
		if err == nil {
			err = n.Close()
		}
		if err == nil {
			_, err = n.Header([]byte("note"))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	r, i := benchPair(b)
	sealed, err := r.Seal(content(benchSize))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	for b.Loop() {
		plain, err := i.Reader(bytes.NewReader(sealed))
		if err == nil {
			_, err = io.Copy(io.Discard, plain)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSource reads ranges of 8 MiB, as a restore does, and of 256 KiB, a frame that does not compress.
func BenchmarkSource(b *testing.B) {
	r, i := benchPair(b)
	sealed, err := r.Seal(content(benchSize))
	if err != nil {
		b.Fatal(err)
	}
	bucket := bucket(b)
	put(b, bucket, "object", sealed)
	for name, length := range map[string]int64{"8MiB": 8 << 20, "256KiB": 256 << 10, "8KiB": 8 << 10} {
		b.Run(name, func(b *testing.B) {
			s := seal.NewSource(bucket, i)
			b.SetBytes(length)
			for b.Loop() {
				body, err := s.Get(b.Context(), "object", 100_000, length)
				if err == nil {
					_, err = io.Copy(io.Discard, body)
				}
				if err != nil {
					b.Fatal(err)
				}
				if err := body.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

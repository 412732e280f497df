package s3_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/retry"
	"lifeboat/storage/s3"
)

const mebibyte = 1 << 20

// options are those of a bucket on a server of the test's own.
func options(server objectstore.Server) s3.Options {
	return s3.Options{
		Bucket: server.Bucket, Endpoint: server.Endpoint, Region: server.Region, PathStyle: true, Now: time.Now,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
		Retry:       retry.Options{MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, TotalTimeout: 2 * time.Minute},
	}
}

func open(t *testing.T, o s3.Options) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noise gives bytes that are the same for the same seed.
func noise(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

func put(t *testing.T, b storage.Bucket, key, text string) {
	t.Helper()
	opts := storage.PutOptions{IfAbsent: true, Size: int64(len(text))}
	if err := b.Put(t.Context(), key, bytes.NewReader([]byte(text)), opts); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b storage.Bucket, key string, offset, length int64) (string, error) {
	t.Helper()
	body, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

func pemOf(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

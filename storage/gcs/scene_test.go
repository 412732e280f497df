package gcs_test

import (
	"strings"
	"testing"

	"lifeboat/storage"
)

func put(t *testing.T, b storage.Bucket, key, text string) {
	t.Helper()
	err := b.Put(t.Context(), key, strings.NewReader(text), storage.PutOptions{IfAbsent: true, Size: int64(len(text))})
	if err != nil {
		t.Fatal(err)
	}
}

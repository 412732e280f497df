package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/storage"
)

func TestTransient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("anything unknown"), false},
		{storage.ErrNotFound, false},
		{storage.ErrExists, false},
		{storage.ErrKey, false},
		{storage.ErrRange, false},
		{storage.ErrSize, false},
		{storage.ErrUnavailable, true},
		{fs.ErrPermission, false},
		{syscall.EACCES, false},
		{syscall.ENOSPC, false},
		{syscall.EIO, false},
		{context.Canceled, false},
		{context.DeadlineExceeded, true},
		{os.ErrDeadlineExceeded, true},
		{io.ErrUnexpectedEOF, true},
		{io.EOF, false},
		{syscall.EMFILE, true},
		{syscall.ETIMEDOUT, true},
		{syscall.ESTALE, true},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, false},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, true},
		{errors.Join(io.ErrUnexpectedEOF, fs.ErrPermission), false},
	} {
		wrapped := error(&storage.Error{Op: "get", Key: "k", Location: "file:///r", Err: fmt.Errorf("read: %w", c.err)})
		for _, err := range []error{c.err, wrapped} {
			if got := storage.Transient(err); got != c.want {
				t.Errorf("Transient(%v) = %t", err, got)
			}
		}
	}
}

func TestErrorTellsOperationKeyAndPlace(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("push: %w", &storage.Error{
		Op: "put", Key: "a/b", Location: "file:///r", Err: syscall.ENOSPC, Hint: "free space",
	})
	if got := err.Error(); got != "push: put a/b in file:///r: no space left on device" {
		t.Errorf("got %q", got)
	}
	if got := storage.Hint(err); got != "free space" {
		t.Errorf("hint %q", got)
	}
	if !errors.Is(err, syscall.ENOSPC) || storage.Hint(syscall.ENOSPC) != "" {
		t.Error("cause or hint come out wrong")
	}
	keyless := &storage.Error{Op: "open", Location: "file:///r", Err: fs.ErrNotExist}
	if got := keyless.Error(); got != "open file:///r: file does not exist" {
		t.Errorf("got %q", got)
	}
}

func TestValidKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"a": true, "A-1_b.c/000000010000000000000001.zst": true, "-": true, "a.": true, "a..b": true,
		strings.Repeat("s", 255): true, strings.Repeat("s", 256): false,
		strings.Repeat("ab/", 299) + "abc": true, strings.Repeat("ab/", 299) + "abcd": false,
		"": false, "/": false, "a/": false, "/a": false, "a//b": false, ".": false, "..": false, "a/..": false,
		".a": false, "a/.b": false, "a b": false, "a\x00": false, "a\\b": false, "é": false, "a+b": false,
	} {
		if got := storage.ValidKey(key); got != want {
			t.Errorf("ValidKey(%q) = %t", key, got)
		}
	}
}

func TestValidPrefix(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]bool{
		"": true, "a": true, "a/": true, "a/b": true, strings.Repeat("s", 255): true, strings.Repeat("s", 255) + "/": true,
		strings.Repeat("s", 256): false, "/": false, "a//": false, ".": false, "a/.": false, "a/../": false, "*": false,
	} {
		if got := storage.ValidPrefix(prefix); got != want {
			t.Errorf("ValidPrefix(%q) = %t", prefix, got)
		}
	}
}

func FuzzValidKey(f *testing.F) {
	for _, key := range []string{"a", "a/b", "../a", "a/./b", ".tmp/x", "a\x00b", "a//b", "c:/x", "%2e%2e/a"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if !storage.ValidKey(key) {
			return
		}
		if !fs.ValidPath(key) || !filepath.IsLocal(key) || path.Clean(key) != key || len(key) > storage.MaxKeyLength {
			t.Errorf("%q is no safe path", key)
		}
		for n := range len(key) + 1 {
			if !storage.ValidPrefix(key[:n]) {
				t.Errorf("%q is not taken for a prefix of %q", key[:n], key)
			}
		}
	})
}

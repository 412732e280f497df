package server

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestNoLinkIsTakenForTheSocketOfACagedServer has whatever could lie where a caged server is to listen.
func TestNoLinkIsTakenForTheSocketOfACagedServer(t *testing.T) {
	t.Parallel()
	parent, err := os.MkdirTemp("", "lb") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	other := filepath.Join(parent, "other")
	living, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { living.Close() })
	for name, tc := range map[string]struct {
		make  func(path string) error
		ready bool
		quiet bool // not yet, rather than wrong
	}{
		"nothing": {make: func(string) error { return nil }, quiet: true},
		"a file":  {make: func(path string) error { return os.WriteFile(path, nil, 0o600) }},
		"a link":  {make: func(path string) error { return os.Symlink(other, path) }},
		"a dead socket": {quiet: true, make: func(path string) error {
			dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				dead.SetUnlinkOnClose(false)
				err = dead.Close()
			}
			return err
		}},
		"a socket": {ready: true, make: func(path string) error { return os.Link(other, path) }},
	} {
		dir, err := os.MkdirTemp(parent, "")
		if err == nil {
			err = tc.make(filepath.Join(dir, ".s.PGSQL.5432"))
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		conn, err := dialInto(dir)(t.Context(), "unix", "ignored")
		if (err == nil) != tc.ready || errors.Is(err, ErrNotListening) != tc.quiet {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

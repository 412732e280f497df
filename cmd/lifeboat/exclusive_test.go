package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestALeaseIsClaimedByOneProcessAndItsSuccessors(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "main.expire.lease")
	first, err := claimLease(path)
	if err != nil || first.Token == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	if other, err := claimLease(path); !errors.Is(err, unix.EWOULDBLOCK) || other.Token != "" {
		t.Errorf("beside it: %+v, %v", other, err)
	}
	first.release()
	second, err := claimLease(path)
	if err != nil || second.Token != first.Token {
		t.Errorf("after it: %+v, %v", second, err)
	}
	second.release()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"another machine": strings.Replace(string(raw), first.Boot, "00000000-0000-0000-0000-000000000000", 1),
		"torn":            string(raw[:len(raw)/2]),
		"empty":           "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		claim, err := claimLease(path)
		if err != nil || claim.Token == "" || claim.Token == first.Token {
			t.Errorf("%s: %+v, %v", name, claim, err)
		}
		claim.release()
	}
	if claim, err := claimLease("/dev/null/main.expire.lease"); err == nil || claim.Token != "" {
		t.Errorf("without a directory: %+v, %v", claim, err)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// TestSystemdTakesTheUnits lets systemd itself read the units, with the programs of this build in the place of installed ones.
func TestSystemdTakesTheUnits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ with, without []string }{
		"agent": {with: []string{"RestrictNamespaces=yes"}},
		"scheduler": {
			with:    []string{"Delegate=yes", "@mount", "KillMode=mixed"},
			without: []string{"RestrictNamespaces=", "PrivateUsers=", "ProtectKernelTunables=", "ProtectProc=", "ProtectControlGroups="},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile("../../systemd/lifeboat-" + name + ".service")
			if err != nil {
				t.Fatal(err)
			}
			text := string(raw)
			installed := "ExecStart=/usr/local/bin/lifeboat " + name + " "
			for _, line := range append(tc.with, installed, "\nType=notify\n", "\nWatchdogSec=", "\nNoNewPrivileges=yes\n") {
				if !strings.Contains(text, line) {
					t.Errorf("the unit has no %q", line)
				}
			}
			for _, line := range tc.without {
				if strings.Contains(text, "\n"+line) {
					t.Errorf("the unit has %q", line)
				}
			}
			verifyUnit(t, name, strings.Replace(text, installed, "ExecStart="+pgtest.BuildBinaries(t)+"/lifeboat "+name+" ", 1))
		})
	}
}

func verifyUnit(t *testing.T, name, text string) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("systemd-analyze is not on this machine: whether systemd understands every line of the unit is not tested here")
		return
	}
	unit := filepath.Join(t.TempDir(), "lifeboat-"+name+".service")
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || strings.Contains(string(out), "lifeboat-"+name+".service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

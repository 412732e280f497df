package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// TestSystemdTakesTheUnit lets systemd itself read the unit, with the programs of this build in the place of installed ones.
func TestSystemdTakesTheUnit(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../systemd/lifeboat-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	installed := "ExecStart=/usr/local/bin/lifeboat agent "
	if !strings.Contains(string(raw), installed) || !strings.Contains(string(raw), "\nType=notify\n") || !strings.Contains(string(raw), "\nWatchdogSec=") {
		t.Error("the unit does not start the agent with readiness and a watchdog, on every systemd of the last years")
	}
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("systemd-analyze is not on this machine: whether systemd understands every line of the unit is not tested here")
		return
	}
	unit := filepath.Join(t.TempDir(), "lifeboat-agent.service")
	text := strings.Replace(string(raw), installed, "ExecStart="+pgtest.BuildBinaries(t)+"/lifeboat agent ", 1)
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || strings.Contains(string(out), "lifeboat-agent.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

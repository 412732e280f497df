package pgtest_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// envVictim makes the test binary, run again by itself, start a cluster and wait to be killed.
const envVictim = "LIFEBOAT_PGTEST_VICTIM"

func TestKilledTestBinaryLeavesNoServer(t *testing.T) {
	t.Parallel()
	if os.Getenv(envVictim) != "" {
		c := pgtest.Start(t, pgtest.Newest(t), pgtest.Options{})
		_, _ = os.Stdout.WriteString("serving " + c.DataDir + "\n")
		time.Sleep(10 * time.Minute)
		t.Fatal("nobody killed this process")
	}
	dataDir := killVictim(t)
	deadline := time.Now().Add(time.Minute)
	for len(processesNaming(t, dataDir)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("still running: %v", processesNaming(t, dataDir))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// killVictim runs this test in a process of its own, kills that once its cluster serves, and returns the
// cluster's data directory.
func killVictim(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledTestBinaryLeavesNoServer$", "-test.v")
	cmd.Env = append(os.Environ(), envVictim+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dataDir string
	for lines := bufio.NewScanner(out); dataDir == "" && lines.Scan(); {
		_, dataDir, _ = strings.Cut(lines.Text(), "serving ")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as wanted
	if dataDir == "" {
		t.Fatal("the process started no cluster")
	}
	if len(processesNaming(t, dataDir)) == 0 {
		t.Log("the server was gone at once")
	}
	return dataDir
}

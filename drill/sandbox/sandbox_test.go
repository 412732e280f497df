package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"lifeboat/internal/pgtest"
)

func TestMain(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// inside runs a shell script in a sandbox and returns what it has printed.
func inside(t *testing.T, s Spec, script string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, []string{"PATH=/usr/bin:/bin"}
	s.Root = pgtest.TempDir(t)
	w, err := s.Wrap(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Started(cmd.Start()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return out.String()
}

func TestX(t *testing.T) {
	t.Log(inside(t, Spec{}, "id; ls -la / /etc /dev; cat /proc/self/status | grep -E 'Cap|NoNew|Pid'; ps ax; cat /proc/mounts; hostname; ls -la /proc/1/fd; unshare -U true; ip a; touch /x; ulimit -c"))
}

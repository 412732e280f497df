package cage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a control group as the kernel would show it, with one process in it.
func tree(t *testing.T, controllers string) (root, own string) {
	t.Helper()
	root = t.TempDir()
	own = filepath.Join(root, "system.slice", "lifeboat.service")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(root, "cgroup.procs"): "", filepath.Join(own, "cgroup.procs"): "4711\n", filepath.Join(own, "cgroup.controllers"): controllers + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root, own
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s: %q, want %q: %v", path, text, want, err)
	}
}

func TestEachProcessHasAGroupWithTheLimits(t *testing.T) {
	t.Parallel()
	root, own := tree(t, "cpuset cpu io memory")
	found, err := Own(root, "12:memory:/x\n0::/system.slice/lifeboat.service\n")
	if err != nil || found != own {
		t.Fatalf("%s: %v", found, err)
	}
	groups, err := Open(own, 4711, Limits{CPUPercent: 250, Memory: 4 << 30, IOWeight: 10})
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(own, "daemon", "cgroup.procs"), "4711")
	wantFile(t, filepath.Join(own, "cgroup.subtree_control"), "+cpu +memory +io")
	group, err := groups.Admit("one", 4712)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cpu.max": "250000 100000", "memory.max": "4294967296", "io.weight": "default 10", "cgroup.procs": "4712"} {
		wantFile(t, filepath.Join(own, "one", name), want)
	}
	if _, err := groups.Admit("one", 4713); err == nil {
		t.Error("two processes share a group")
	}
	for _, name := range []string{"cpu.max", "memory.max", "io.weight", "cgroup.procs"} { // the kernel's go with the directory
		if err := os.Remove(filepath.Join(own, "one", name)); err != nil {
			t.Fatal(err)
		}
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for os.Remove(filepath.Join(own, "one", "cgroup.kill")) != nil { // once it is written
			time.Sleep(time.Millisecond)
		}
	}()
	if err := group.End(); err != nil {
		t.Fatal(err)
	}
	<-killed
	if _, err := os.Stat(group.dir); err == nil {
		t.Error("the group is left")
	}
}

func TestLimitsThatCannotBeHadAreErrors(t *testing.T) {
	t.Parallel()
	_, own := tree(t, "cpu")
	if _, err := Open(own, 4711, Limits{CPUPercent: 100, Memory: 1 << 30}); err == nil || !strings.Contains(err.Error(), `no controller "memory"`) {
		t.Errorf("no controller: %v", err)
	}
	if _, err := Open(own, 4711, Limits{CPUPercent: 100}); err != nil {
		t.Errorf("what is there: %v", err)
	}
	if _, err := Open(own, 4712, Limits{CPUPercent: 100}); err == nil || !strings.Contains(err.Error(), "process 4711 is there") {
		t.Errorf("with another's process: %v", err)
	}
	if _, err := Open(filepath.Join(own, "gone"), 4711, Limits{CPUPercent: 100}); err == nil {
		t.Error("no group")
	}
	root := t.TempDir()
	for _, self := range []string{"", "4:cpu:/x\n", "0::/x\n"} {
		if own, err := Own(root, self); err == nil {
			t.Errorf("%q: %s", self, own)
		}
	}
}

// TestTheMachinesOwnGroupsAreUsedOrRefused is for whatever this machine has.
func TestTheMachinesOwnGroupsAreUsedOrRefused(t *testing.T) {
	t.Parallel()
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	own, err := Own("/sys/fs/cgroup", string(self))
	if err != nil {
		t.Logf("no cgroup v2: %v", err)
		return
	}
	// Below a group of the test's own: the machine's own processes stay where they are.
	own = filepath.Join(own, "lifeboat-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Logf("its groups belong to somebody else: %v", err)
		return
	}
	defer func() {
		_ = os.Remove(filepath.Join(own, "daemon"))
		if err := os.Remove(own); err != nil {
			t.Error(err)
		}
	}()
	limits := Limits{CPUPercent: 50, Memory: 1 << 30}
	if _, err := Open(own, os.Getpid(), limits); err != nil {
		t.Logf("limits cannot be had: %v", err)
		limits = Limits{}
	}
	groups, err := Open(own, os.Getpid(), limits)
	if err != nil {
		t.Fatalf("groups without limits: %v", err)
	}
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	group, err := groups.Admit("sleeper", sleeper.Process.Pid)
	if err != nil {
		_ = sleeper.Process.Kill()
		t.Fatal(err)
	}
	where, err := os.ReadFile("/proc/" + strconv.Itoa(sleeper.Process.Pid) + "/cgroup")
	if err != nil || !strings.Contains(string(where), "/sleeper\n") {
		t.Errorf("it is in %q: %v", where, err)
	}
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		_ = sleeper.Wait() // a zombie keeps its group
	}()
	if _, err := os.Stat(filepath.Join(group.dir, "cgroup.kill")); err != nil {
		_ = sleeper.Process.Kill() // a kernel before 5.14 has no such file
	}
	if err := group.End(); err != nil {
		t.Error(err)
	}
	<-reaped
}

func TestLowerIsForAllThreadsAndChildren(t *testing.T) {
	t.Parallel()
	if os.Getenv("LIFEBOAT_TEST_LOWER") != "" {
		for _, nice := range []int{7, 3} { // which is higher, and changes nothing
			if err := Lower(nice, IOIdle); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command("sh", "-c", "ps -o ni= -p $$ 2>/dev/null || cut -d' ' -f19 /proc/self/stat").CombinedOutput()
		io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, 0, 0)
		if err != nil || strings.TrimSpace(string(out)) != "7" || errno != 0 || IOClass(io) != IOIdle {
			t.Errorf("nice %q, I/O %d: %v, %v", out, io, err, errno)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestLowerIsForAllThreadsAndChildren$", "-test.count=1")
	cmd.Env = append(os.Environ(), "LIFEBOAT_TEST_LOWER=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

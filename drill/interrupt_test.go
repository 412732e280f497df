package drill_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

// phases are what a drill reports to be doing, in order, up to its end.
var phases = []string{
	drill.PhasePlan, drill.PhaseFetch, drill.PhaseReplay, drill.PhaseVerify + " postgres", drill.PhaseVerify + " repository", drill.PhaseCleanup,
}

// TestInterruptedDrillCleansUp ends the context of a drill as it begins each of its phases.
func TestInterruptedDrillCleansUp(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.quietStory()
	for _, phase := range phases[:len(phases)-1] {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			o := s.options(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o.Progress = func(now string, _, _ int64) {
				if now == phase {
					cancel()
				}
			}
			r, err := drill.Run(ctx, o)
			if err != nil || r.Verdict != drill.Unproven {
				t.Errorf("verdict %s, want unproven: %v", r.Verdict, err)
			}
			s.wantKept(t, r)
			wantNoLeavings(t, o.WorkDirectory)
			wantWhys(t, r)
			if text, err := json.Marshal(r.Checks); err != nil || !strings.Contains(string(text), "interrupted") {
				t.Errorf("no check says that the drill was interrupted: %s, %v", text, err)
			}
			if check(t, r, drill.CheckLeavings).Result != drill.Pass {
				t.Errorf("leavings: %+v", check(t, r, drill.CheckLeavings))
			}
		})
	}
	t.Run("by a signal", func(t *testing.T) {
		t.Parallel()
		d := s.startDrill(t, drill.PhaseVerify+" postgres") // a server runs
		d.await(t, drill.PhaseVerify+" postgres")
		if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if r := d.result(t); r.Verdict != drill.Unproven {
			t.Errorf("verdict %s, want unproven", r.Verdict)
		}
		wantNoLeavings(t, d.work)
	})
}

// TestKilledDrillIsReaped kills drills with SIGKILL at moments all over, and their postmaster too in every other one:
// nothing is left behind the next look, and the repository is whole.
func TestKilledDrillIsReaped(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	s.quietStory()
	moments := []struct {
		phase string
		after time.Duration
	}{
		{drill.PhasePlan, 0}, {drill.PhasePlan, 20 * time.Millisecond}, {drill.PhaseFetch, 0}, {drill.PhaseFetch, 200 * time.Millisecond},
		{drill.PhaseFetch, 600 * time.Millisecond}, {drill.PhaseReplay, 0}, {drill.PhaseReplay, 30 * time.Millisecond},
		{drill.PhaseReplay, 150 * time.Millisecond}, {drill.PhaseReplay, 400 * time.Millisecond}, {drill.PhaseVerify + " postgres", 0},
		{drill.PhaseVerify + " postgres", 100 * time.Millisecond}, {drill.PhaseVerify + " repository", 50 * time.Millisecond}, {drill.PhaseCleanup, 0},
	}
	for i, moment := range moments {
		d := s.startDrill(t, noPhase)
		d.await(t, moment.phase)
		time.Sleep(moment.after)
		made := d.leftovers(t)
		if i%2 == 1 {
			made.killPostmaster()
		}
		if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		_ = d.cmd.Wait()
		s.settleSoon(t, d.work)
		wantNoLeavings(t, d.work)
		made.wantGone(t)
		s.wantDead(t, made.id)
	}
	if r := s.drill(t, s.options(t)); r.Verdict != drill.Pass {
		tell(t, r)
		t.Errorf("verdict %s after all, want pass", r.Verdict)
	}
}

// settleSoon looks for dead drills until there are none.
func (s *store) settleSoon(t *testing.T, work string) {
	t.Helper()
	soon(t, func() bool {
		if _, err := s.finder(work).Settle(t.Context()); err != nil {
			t.Error(err)
		}
		return len(leavings(work)) == 0
	})
}

// soon looks again and again for what follows the death of a drill. A process that it was about to start when it was killed holds its
// lock until it has become another program.
func soon(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("not in 2 min")
			return
		}
	}
}

// TestLivingDrillIsNotReaped looks for leavings while a drill is at work.
func TestLivingDrillIsNotReaped(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Debian(t), nil)
	s.quietStory()
	o := s.options(t)
	looks := 0
	o.Progress = func(phase string, _, _ int64) {
		if phase != drill.PhaseReplay && phase != drill.PhaseVerify+" postgres" {
			return
		}
		looks++
		if reaped, err := drill.Reap(t.Context(), o.WorkDirectory); err != nil || len(reaped) > 0 {
			t.Errorf("reaped %v: %v", reaped, err)
		}
	}
	if r := s.drill(t, o); r.Verdict != drill.Pass || looks < 3 {
		t.Errorf("verdict %s after %d looks", r.Verdict, looks)
	}
}

// child is a drill in a process of its own.
type child struct {
	cmd   *exec.Cmd
	work  string
	lines *bufio.Scanner
}

// noPhase is held by nobody: the drill goes on.
const noPhase = ""

// startDrill starts a drill that stays in one phase.
func (s *store) startDrill(t *testing.T, hold string, dumps ...string) *child {
	t.Helper()
	d := &child{work: filepath.Join(pgtest.TempDir(t), "work")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd = exec.Command(self, append([]string{runDrill, s.place.File, d.work, s.install.BinDir, s.program, hold}, dumps...)...)
	d.cmd.Stderr = os.Stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	d.lines = bufio.NewScanner(out)
	d.lines.Buffer(nil, 1<<20)
	return d
}

// await waits until the drill begins a phase.
func (d *child) await(t *testing.T, phase string) {
	t.Helper()
	for d.lines.Scan() {
		if d.lines.Text() == phase {
			return
		}
	}
	t.Fatalf("the drill never came to %q", phase)
}

// result is what the drill prints last.
func (d *child) result(t *testing.T) *drill.Result {
	t.Helper()
	last := ""
	for d.lines.Scan() {
		last = d.lines.Text()
	}
	_ = d.cmd.Wait() // it exits with the verdict
	var r drill.Result
	if err := json.Unmarshal([]byte(last), &r); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("the drill's last words are %q: %v", last, err)
	}
	return &r
}

// leftovers are what a drill has at work beside its directory.
type leftovers struct {
	id         string // empty: it had ended, or not yet noted that it began
	sockets    string // the directory that it has where the work directory is too deep for sockets
	postmaster int    // 0: none
	memory     int    // id of its System V segment
}

func (d *child) leftovers(t *testing.T) leftovers {
	t.Helper()
	locks, err := filepath.Glob(filepath.Join(d.work, "*.lock"))
	if err != nil || len(locks) > 1 {
		t.Fatalf("locks %v: %v", locks, err)
	}
	var l leftovers
	if len(locks) == 0 {
		return l // it has ended already
	}
	id := strings.TrimSuffix(filepath.Base(locks[0]), ".lock")
	l.sockets = filepath.Join(os.TempDir(), "lifeboat-"+id)
	if hasNoted(locks[0]) {
		l.id = id
	}
	text, err := os.ReadFile(filepath.Join(d.work, id, "data", "postmaster.pid"))
	if err != nil {
		return l // no server runs yet, or any more
	}
	lines := strings.Split(string(text), "\n")
	l.postmaster = outside(filepath.Join(d.work, id, "data"), lines[0])
	if len(lines) > 6 {
		var key uint64
		_, _ = fmt.Sscan(lines[6], &key, &l.memory)
	}
	return l
}

// hasNoted says whether a drill has noted in its lock file that it began. One that dies before that has made nothing but empty
// directories, and nobody can tell of it.
func hasNoted(lock string) bool {
	text, err := os.ReadFile(lock)
	if err != nil {
		return false
	}
	var note struct {
		Result *struct{ ID string }
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(&note) == nil && note.Result != nil
}

// outside is the number by which this process knows the one that works in a directory and that its own namespace knows by
// another: proc_pid_status(5), NSpid. It is 0 where there is none.
func outside(dir, inside string) int {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		at, _ := os.Readlink(filepath.Join(process, "cwd"))
		status, err := os.ReadFile(filepath.Join(process, "status"))
		if at != dir || err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok && strings.HasSuffix(strings.TrimSpace(numbers), "\t"+inside) {
				pid, _ := strconv.Atoi(filepath.Base(process))
				return pid
			}
		}
	}
	return 0
}

// killPostmaster kills the postmaster alone, so that the others of its processes are orphans.
func (l leftovers) killPostmaster() {
	if l.postmaster > 1 {
		_ = syscall.Kill(l.postmaster, syscall.SIGKILL)
	}
}

func (l leftovers) wantGone(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(l.sockets); l.sockets != "" && err == nil {
		t.Errorf("%s is left", l.sockets)
	}
	var segment unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(l.memory, unix.IPC_STAT, &segment); l.memory != 0 && err == nil {
		t.Errorf("shared memory %d is left", l.memory)
	}
}

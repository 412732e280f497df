package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// demoStage is where a demo is told, so that all that it leaves can be seen.
type demoStage struct {
	t         *testing.T
	dir       string // its temporary directory
	report    string
	cmd       *exec.Cmd
	out, errs *journal
	ended     chan struct{}
}

func startDemo(t *testing.T, args ...string) *demoStage {
	t.Helper()
	install := pgtest.Debian(t)
	s := &demoStage{t: t, dir: shortDirectory(t), out: &journal{}, errs: &journal{}, ended: make(chan struct{})}
	s.report = filepath.Join(t.TempDir(), "report.html")
	args = append([]string{"demo", "--report", s.report, "--postgres-bin", install.BinDir}, args...)
	s.cmd = exec.Command(filepath.Join(pgtest.BuildBinaries(t), "lifeboat"), args...)
	s.cmd.Env = append(os.Environ(), "TMPDIR="+s.dir, "PATH="+os.Getenv("PATH")+":"+storeServers(t))
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.errs
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // its code is looked at
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it has ended, or the test has failed
		<-s.ended
	})
	return s
}

// says waits until the demo has told so much.
func (s *demoStage) says(words string) {
	s.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !strings.Contains(s.out.String(), words); {
		select {
		case <-s.ended:
			s.t.Fatalf("it ended before it said %q:\n%s%s", words, s.out, s.errs)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			s.t.Errorf("it does not say %q:\n%s%s", words, s.out, s.errs)
			return
		}
	}
}

// storeServers is the directory of the servers of S3 and GCS.
func storeServers(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("../../.ci/servers.sh").Output()
	if err != nil {
		t.Fatalf("build the servers of S3 and GCS: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// shortDirectory is a temporary directory that PostgreSQL's user can pass and that leaves room for a socket's path.
func shortDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it should be empty by then
	return dir
}

// leftNothing looks for files and processes of the demo.
func (s *demoStage) leftNothing() {
	s.t.Helper()
	if left, err := filepath.Glob(s.dir + "/*"); err != nil || len(left) > 0 {
		s.t.Errorf("files are left: %v, %v", left, err)
	}
	var left []string
	for range 600 { // what fetched ahead for the recovered server sees after a second that it has ended
		if left = s.processes(); len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Errorf("processes are left: %v", left)
}

// processes are the command lines that name the demo's directory.
func (s *demoStage) processes() (found []string) {
	s.t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range lines {
		if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), s.dir) {
			found = append(found, strings.ReplaceAll(string(raw), "\x00", " "))
		}
	}
	return found
}

func TestTheDemoTellsItsStoryAndLeavesTheReportOnly(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"plain": {"--plain"}, "file": {}, "s3": {"--repository", "s3"}, "gcs": {"--repository", "gcs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			startDemo(t, args...).tellsItsStory()
		})
	}
}

func (s *demoStage) tellsItsStory() {
	t := s.t
	t.Helper()
	<-s.ended // a busy machine may miss the time target, which the story tells
	if code := s.cmd.ProcessState.ExitCode(); code != exitDone && !strings.Contains(s.out.String(), "restore of 1 TB") {
		t.Fatalf("exit code %d\n%s%s", code, s.out, s.errs)
	}
	for _, want := range []string{"DROP TABLE ledger", "0 from after: equal row by row", "comparison exact", "row counts match                      pass", s.report} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("the story does not say %q:\n%s%s", want, s.out, s.errs)
		}
	}
	if page, err := os.ReadFile(s.report); err != nil || !strings.Contains(string(page), "</html>") {
		t.Errorf("report: %d bytes, %v", len(page), err)
	}
	s.leftNothing()
}

func TestAnInterruptedDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	for after, repository := range map[string]string{
		"A place for the backups": "file", "A primary under load": "s3", "$ lifeboat init": "gcs", "$ lifeboat backup": "s3",
	} {
		s := startDemo(t, "--repository", repository)
		s.says(after)
		if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		<-s.ended
		if code := s.cmd.ProcessState.ExitCode(); code != exitError || !strings.Contains(s.errs.String(), "stopped on request") {
			t.Errorf("after %q: exit code %d\n%s%s", after, code, s.out, s.errs)
		}
		if _, err := os.Stat(s.report); err == nil {
			t.Errorf("after %q: there is a report", after)
		}
		s.leftNothing()
	}
}

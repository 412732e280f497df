package objectstore

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const ready = time.Minute // until a server answers

// tries is how often a server is started: another process may take the port that was free.
const tries = 3

// loopback gives an address that nobody listens on; by the time it is used somebody may.
func loopback() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// process is a server that runs until it is stopped, or until this process ends.
type process struct {
	cmd   *exec.Cmd
	ended <-chan struct{}
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// launch runs a server, which writes its log into a directory, and waits until url answers.
func launch(cmd *exec.Cmd, url, dir string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{cmd: cmd}
	if p.ended, err = run(cmd); err != nil {
		return nil, err
	}
	if what := p.await(url); what != "" {
		p.stop()
		return nil, failure(cmd, what, log.Name())
	}
	return p, nil
}

// await waits until the server answers, or says what became of it.
func (p *process) await(url string) string {
	timeout := time.After(ready)
	for {
		answered := answers(url)
		select {
		case <-p.ended:
			return "ended"
		default:
		}
		if answered {
			return ""
		}
		select {
		case <-timeout:
			return "does not answer"
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// forTest starts a server that ends with the test.
func forTest[S any](t *testing.T, launch func(dir string) (S, *process, error)) S {
	t.Helper()
	var err error
	for range tries {
		var server S
		var p *process
		if server, p, err = launch(t.TempDir()); err == nil {
			t.Cleanup(p.stop)
			return server
		}
	}
	t.Fatal(err)
	panic("unreachable")
}

// run starts a program that dies with this process. The kernel sees to that when the thread ends that started it, so one
// thread does nothing but start it and wait.
func run(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the log tells how it ended
			close(done)
		}
	}()
	return done, <-started
}

func failure(cmd *exec.Cmd, what, log string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s %s: %s", cmd.Path, what, text)
}

func answers(url string) bool {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK
}

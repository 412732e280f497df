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

const ready = 30 * time.Second // until a server answers

// loopback gives an address that nobody listens on; by the time it is used somebody may.
func loopback(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a server until the end of the test, and waits until url answers.
func start(t *testing.T, cmd *exec.Cmd, url string) error {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	ended, err := run(cmd)
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	timeout := time.After(ready)
	for {
		answered := answers(url)
		select {
		case <-ended:
			return failure(cmd, "ended", log.Name())
		default:
		}
		if answered {
			return nil
		}
		select {
		case <-timeout:
			return failure(cmd, "does not answer", log.Name())
		case <-time.After(10 * time.Millisecond):
		}
	}
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

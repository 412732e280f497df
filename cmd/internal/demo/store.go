package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// The kinds of repositories that the story can be told with.
const (
	repositoryFile = "file"
	repositoryS3   = "s3"
	repositoryGCS  = "gcs"
)

// bucketName is the bucket of the story.
const bucketName = "lifeboat-demo"

// UsageError says that the story cannot be told as it was asked for.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

// store is the object store of the story: a real server on a loopback port of its own.
type store struct {
	program  string
	address  string
	settings string // of the repository, in YAML
	cmd      *exec.Cmd
	group    errgroup.Group
	ended    chan struct{}
}

// startStore starts what the kind of repository takes; nil for files, which take nothing.
func startStore(ctx context.Context, s *scene, kind string) (*store, error) {
	switch kind {
	case repositoryFile:
		return nil, nil
	case repositoryS3:
		return startS3(ctx, s)
	case repositoryGCS:
		return startGCS(ctx, s)
	}
	return nil, &UsageError{Message: fmt.Sprintf("--repository is file, s3 or gcs, not %q", kind)}
}

func startS3(ctx context.Context, s *scene) (*store, error) {
	access, secret := rand.Text(), rand.Text()
	st := &store{program: "versitygw"}
	err := st.start(ctx, s, []string{"ROOT_ACCESS_KEY_ID=" + access, "ROOT_SECRET_ACCESS_KEY=" + secret}, func(address string) []string {
		return []string{"--quiet", "--port", address, "posix", "--sidecar", s.path("metadata"), s.path("store")}
	})
	if err != nil {
		return nil, err
	}
	st.settings = fmt.Sprintf(`  url: s3://%s/production
  s3: {endpoint: "http://%s", region: us-east-1, path_style: true, credentials_file: %q}
`, bucketName, st.address, s.path("s3-credentials"))
	return st, s.write("s3-credentials", fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", access, secret))
}

func startGCS(ctx context.Context, s *scene) (*store, error) {
	st := &store{program: "fake-gcs-server"}
	err := st.start(ctx, s, nil, func(address string) []string {
		host, port, _ := net.SplitHostPort(address) // it was made of the two
		return []string{"-backend", "filesystem", "-filesystem-root", s.path("store"), "-scheme", "http", "-host", host, "-port", port,
			"-external-url", "http://" + address, "-log-level", "error"}
	})
	if err != nil {
		return nil, err
	}
	st.settings = fmt.Sprintf("  url: gs://%s/production\n  gcs: {endpoint: \"http://%s\"}\n", bucketName, st.address)
	return st, nil
}

// start starts the server with its bucket, and waits until it listens.
func (st *store) start(ctx context.Context, s *scene, environment []string, args func(address string) []string) error {
	for _, dir := range []string{"store", "metadata", "store/" + bucketName} {
		if err := os.Mkdir(s.path(dir), sceneMode); err != nil {
			return fmt.Errorf("make room for the store: %w", err)
		}
		if err := s.give(s.path(dir)); err != nil {
			return err
		}
	}
	path, err := exec.LookPath(st.program)
	if err != nil {
		return fmt.Errorf("%s is not on the PATH: 'make demo REPOSITORY=s3' and '=gcs' build these servers once and find them", st.program)
	}
	if err := s.copyBinary(path, s.path("bin", st.program)); err != nil {
		return fmt.Errorf("copy %s: %w", st.program, err)
	}
	if st.address, err = freeAddress(); err != nil {
		return err
	}
	if err := st.launch(ctx, s, environment, args(st.address)); err != nil {
		return fmt.Errorf("start %s: %w", st.program, err)
	}
	if err := st.await(ctx, s); err != nil {
		return errors.Join(err, st.stop())
	}
	return nil
}

// launch starts the server, which dies with this process, unless the scene is kept, and else only when it is stopped: a
// command that is interrupted may still want to tidy up. The kernel sends the parent-death signal when the thread that
// started the child ends, hence one thread starts it and then waits.
func (st *store) launch(ctx context.Context, s *scene, environment, args []string) error {
	log, err := os.Create(s.path(st.program + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	st.cmd = s.command(context.WithoutCancel(ctx), s.path("bin", st.program), args...)
	st.cmd.Env = append(st.cmd.Env, environment...)
	st.cmd.Stdout, st.cmd.Stderr = log, log
	st.ended = make(chan struct{})
	if !s.keep {
		st.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	started := make(chan error)
	st.group.Go(func() error {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		err := st.cmd.Start()
		started <- err
		if err == nil {
			err = st.cmd.Wait()
			close(st.ended)
		}
		return err
	})
	return <-started
}

// freeAddress is one on loopback that nothing listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func (st *store) await(ctx context.Context, s *scene) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if conn, err := net.DialTimeout("tcp", st.address, time.Second); err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen: %w", st.program, context.Cause(ctx))
		case <-st.ended:
			said, _ := os.ReadFile(filepath.Clean(s.path(st.program + ".log"))) // what there is of it
			return fmt.Errorf("%s ended at once:\n%s", st.program, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the server. It does nothing for a nil store.
func (st *store) stop() error {
	if st == nil {
		return nil
	}
	if err := st.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", st.program, err)
	}
	<-st.ended
	return nil
}

// killer is the command that ends a server that is kept.
func (st *store) killer() string {
	if st == nil {
		return ""
	}
	return fmt.Sprintf("kill %d; ", st.cmd.Process.Pid)
}

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lifeboat/restore/server"
)

// scene is the place of the story: one short directory under the system's temporary one (a socket's path may have 107
// bytes), and the unprivileged user that acts in it, since PostgreSQL refuses to run as root.
type scene struct {
	dir         string
	postgresBin string
	major       int
	credential  *syscall.Credential // nil: this process's own user
	userName    string
	keep        bool
	store       *store // nil for a repository in files
}

// sceneMode lets the unprivileged user pass and nobody else look in.
const sceneMode = 0o700

func newScene(ctx context.Context, o Options) (*scene, error) {
	s := &scene{keep: o.Keep}
	var err error
	if s.postgresBin, s.major, err = findPostgres(ctx, o.PostgresBin); err != nil {
		return nil, err
	}
	if s.userName, s.credential, err = actor(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp(temporary(), "lifeboat-demo-"); err != nil {
		return nil, fmt.Errorf("make room for the demo: %w", err)
	}
	if err := s.furnish(o.Lifeboat); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if s.store, err = startStore(ctx, s, o.Repository); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// deepest is the length of a temporary directory, in bytes, that leaves room for a socket's path below it.
const deepest = 55

// temporary is the system's temporary directory, or /tmp where that one is too deep.
func temporary() string {
	if dir := os.TempDir(); len(dir) <= deepest {
		return dir
	}
	return "/tmp"
}

// actor is who runs PostgreSQL and Lifeboat in the story: this user, or as root an unprivileged one.
func actor() (string, *syscall.Credential, error) {
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return "", nil, fmt.Errorf("find out who runs this: %w", err)
		}
		return me.Username, nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return "", nil, fmt.Errorf("user %s: %w", name, err)
		}
		return name, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return "", nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody: run the demo as an ordinary user")
}

// findPostgres picks the directory with a server and the client programs that the story needs.
func findPostgres(ctx context.Context, wanted string) (string, int, error) {
	candidates := []string{wanted}
	if wanted == "" {
		candidates, _ = filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
		slices.Reverse(candidates)
		if path, err := exec.LookPath("postgres"); err == nil {
			candidates = append(candidates, filepath.Dir(path))
		}
	}
	for _, dir := range candidates {
		major, err := server.MajorVersion(ctx, dir)
		if err == nil && major >= 13 && hasTools(dir) {
			return dir, major, nil
		}
	}
	return "", 0, fmt.Errorf("no PostgreSQL 13 or newer with initdb and pgbench was found (%s): install the distribution's package postgresql, or name a directory with --postgres-bin",
		strings.Join(candidates, ", "))
}

func hasTools(dir string) bool {
	for _, tool := range []string{"initdb", "pgbench"} {
		if _, err := os.Stat(filepath.Join(dir, tool)); err != nil {
			return false
		}
	}
	return true
}

// furnish makes the directories and copies the binaries, which the acting user may not reach where they lie.
func (s *scene) furnish(lifeboat string) error {
	for _, dir := range []string{"", "bin", "socket", "scratch", "keys", "escrow"} {
		if err := os.MkdirAll(s.path(dir), sceneMode); err != nil {
			return fmt.Errorf("make room for the demo: %w", err)
		}
		if err := s.give(s.path(dir)); err != nil {
			return err
		}
	}
	for _, name := range []string{"lifeboat", "lifeboat-wal"} {
		if err := s.copyBinary(filepath.Join(filepath.Dir(lifeboat), name), s.path("bin", name)); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

func (s *scene) copyBinary(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close(), s.give(to))
}

// settings is the configuration of the story. Its cluster is so small that the cost of each file, on a machine that may be
// busy, decides what a terabyte would take: the target is as generous.
func (s *scene) settings(k *keys) string {
	place := fmt.Sprintf("  url: file://%s\n", s.path("repository"))
	if s.store != nil {
		place = s.store.settings
	}
	return fmt.Sprintf(`repository:
%s%sclusters:
  main:
    connection: host=%s port=%d user=postgres dbname=postgres
    data_directory: %s
    targets: {restore_per_terabyte: 12h}
scheduler:
  work_directory: %s
  postgres_bin: %s
  isolation: best effort
state_directory: %s
`, place, k.settings(), s.path("socket"), primaryPort, s.path("primary"), s.path("scratch"), s.postgresBin, s.path("state"))
}

func (s *scene) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// write makes a private file of the acting user.
func (s *scene) write(name, text string) error {
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return s.give(s.path(name))
}

func (s *scene) give(path string) error {
	if s.credential == nil {
		return nil
	}
	return os.Chown(path, int(s.credential.Uid), int(s.credential.Gid))
}

// command prepares a program of the story, which dies with this process and sees little of its environment.
func (s *scene) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.path("bin") + ":" + s.postgresBin + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + s.dir,
		"LC_ALL=C.UTF-8", "TZ=UTC", "TMPDIR=" + s.dir, "LIFEBOAT_CONFIG=" + s.path("lifeboat.yaml")}
	if libraries := os.Getenv("LD_LIBRARY_PATH"); libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libraries)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

// run runs a program to its end; an error has what it said.
func (s *scene) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := s.command(ctx, program, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return out.Bytes(), fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, bytes.TrimSpace(said.Bytes()))
	}
	return out.Bytes(), nil
}

// lifeboat types one of Lifeboat's own commands.
func (s *scene) lifeboat(ctx context.Context, args ...string) ([]byte, error) {
	return s.run(ctx, s.path("bin", "lifeboat"), args...)
}

// stopServer stops a server that runs on its own, found by its pid file.
func (s *scene) stopServer(ctx context.Context, dataDirectory string) error {
	if _, err := os.Stat(filepath.Join(dataDirectory, "postmaster.pid")); err != nil {
		return nil
	}
	_, err := s.run(ctx, filepath.Join(s.postgresBin, "pg_ctl"), "stop", "-D", dataDirectory, "-m", "immediate", "-s")
	return err
}

// removePatience is how long the scene is cleared away again and again: a hook sees only after a second that its server is gone, and may
// make another file meanwhile.
const removePatience = 10 * time.Second

func (s *scene) remove() error {
	err := os.RemoveAll(s.dir)
	for end := time.Now().Add(removePatience); err != nil && time.Now().Before(end); err = os.RemoveAll(s.dir) {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("clear the demo away: %w", err)
	}
	return nil
}

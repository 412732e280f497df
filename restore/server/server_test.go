package server_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/restore/server"
)

func TestFindBinaries(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		dir, err := server.FindBinaries(t.Context(), install.Major, install.BinDir)
		if err != nil || dir != install.BinDir {
			t.Errorf("%q, %v", dir, err)
		}
		_, err = server.FindBinaries(t.Context(), install.Major+1, install.BinDir)
		var missing *server.MissingError
		if !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "postgresql-") {
			t.Errorf("another version gave %v", err)
		}
	})
	var missing *server.MissingError
	if _, err := server.FindBinaries(t.Context(), 15, t.TempDir()); !errors.As(err, &missing) {
		t.Errorf("an empty directory gave %v", err)
	}
	if _, err := server.FindBinaries(t.Context(), 8, ""); !errors.As(err, &missing) || len(missing.Tried) == 0 {
		t.Errorf("a version of the past gave %v", err)
	}
	impostor := t.TempDir()
	pgtest.WriteScript(t, filepath.Join(impostor, "postgres"), "echo mysqld 15")
	if _, err := server.FindBinaries(t.Context(), 15, impostor); !errors.As(err, &missing) {
		t.Errorf("an impostor gave %v", err)
	}
}

// start starts a server on a fresh cluster's directory.
func start(t *testing.T, install pgtest.Install, settings ...[2]string) *server.Server {
	t.Helper()
	made := pgtest.Start(t, install, pgtest.Options{})
	made.Stop()
	dir := pgtest.TempDir(t)
	// In the data directory, so that a killed server leaves no shared memory behind.
	settings = append(settings, [2]string{"dynamic_shared_memory_type", "mmap"})
	s, err := server.Start(t.Context(), server.Options{
		BinDir: install.BinDir, DataDir: made.DataDir, SocketDir: dir, User: "postgres", Settings: settings,
		LogFile: filepath.Join(dir, "log"), Credential: pgtest.UnprivilegedUser(), Pdeathsig: syscall.SIGQUIT,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestStopAndKill runs a server and ends it in each way.
// The environment of a command may hold the store's secrets and a role's password, and everybody who may see the process
// of PostgreSQL's user sees them there.
func TestAProgramAskedForItsVersionIsNotGivenTheEnvironment(t *testing.T) {
	t.Setenv("LIFEBOAT_TEST_SECRET", "open sesame")
	dir := t.TempDir()
	pgtest.WriteScript(t, filepath.Join(dir, "postgres"),
		`echo "postgres (PostgreSQL) 15${LIFEBOAT_TEST_SECRET:+ and a secret}" | tee "$(dirname "$0")/answer"`)
	if _, err := server.MajorVersion(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if answer, err := os.ReadFile(filepath.Join(dir, "answer")); err != nil || string(answer) != "postgres (PostgreSQL) 15\n" {
		t.Errorf("the program saw the secret: %q, %v", answer, err)
	}
}

func TestStopAndKill(t *testing.T) {
	t.Parallel()
	install := pgtest.Newest(t)
	for name, end := range map[string]func(*server.Server) error{
		"fast":      func(s *server.Server) error { return s.Stop(soon(t), server.Fast) },
		"immediate": func(s *server.Server) error { return s.Stop(soon(t), server.Immediate) },
		"kill":      func(s *server.Server) error { return s.Kill() },
	} {
		s := start(t, install)
		awaitSession(t, s)
		if err := end(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		select {
		case <-s.Done():
		default:
			t.Errorf("%s: the server still runs", name)
		}
		if err := errors.Join(s.Stop(soon(t), server.Fast), s.Kill()); err != nil {
			t.Errorf("%s, and once more: %v", name, err)
		}
		if _, err := s.Connect(t.Context(), "postgres", nil); err == nil {
			t.Errorf("%s: the server takes sessions", name)
		}
	}
}

func awaitSession(t *testing.T, s *server.Server) {
	t.Helper()
	ctx := soon(t)
	for {
		conn, err := s.Connect(ctx, "postgres", map[string]string{"work_mem": "123kB"})
		if err == nil {
			var memory string
			if err := conn.QueryRow(ctx, "SHOW work_mem").Scan(&memory); err != nil || memory != "123kB" {
				t.Errorf("the session has work_mem %s, %v", memory, err)
			}
			if err := conn.Close(ctx); err != nil {
				t.Error(err)
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no session: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestServerThatCannotStart gives a setting that no server accepts.
func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	s := start(t, pgtest.Newest(t), [2]string{"shared_buffers", "lots"})
	_, err := s.AwaitTarget(soon(t))
	var failed *server.RecoveryError
	if !errors.As(err, &failed) || !strings.Contains(failed.Reason+failed.Log, "shared_buffers") {
		t.Errorf("%v", err)
	}
}

// TestServerWithoutRecovery waits for a target that never comes, on a server that just runs.
func TestServerWithoutRecovery(t *testing.T) {
	t.Parallel()
	s := start(t, pgtest.Newest(t))
	awaitSession(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if proof, err := s.AwaitTarget(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", proof, err)
	}
}

func TestStartWithoutProgram(t *testing.T) {
	t.Parallel()
	_, err := server.Start(t.Context(), server.Options{BinDir: t.TempDir(), DataDir: "/nowhere", LogFile: filepath.Join(t.TempDir(), "log")})
	if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

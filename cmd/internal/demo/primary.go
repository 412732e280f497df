package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/restore/server"
)

const (
	primaryPort  = 54320 // a part of the sockets' names only: nothing listens on a network
	restoredPort = 54321
)

// primary is the throwaway server that the story happens to.
type primary struct {
	scene  *scene
	server *server.Server
}

// startPrimary makes a cluster as an administrator would and starts it with continuous archiving.
func startPrimary(ctx context.Context, s *scene) (*primary, error) {
	data := s.path("primary")
	initdb := filepath.Join(s.postgresBin, "initdb")
	if _, err := s.run(ctx, initdb, "-D", data, "-U", "postgres", "-A", "trust", "--data-checksums", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	if err := appendTo(filepath.Join(data, "postgresql.conf"), s.serverSettings()); err != nil {
		return nil, err
	}
	running, err := server.Start(ctx, server.Options{
		BinDir: s.postgresBin, DataDir: data, User: "postgres", LogFile: s.path("primary.log"),
		Credential: s.credential, Pdeathsig: s.deathSignal(),
	})
	if err != nil {
		return nil, err
	}
	p := &primary{scene: s, server: running}
	return p, p.await(ctx)
}

// deathSignal ends the primary with this process, however that dies, unless the scene is to be kept.
func (s *scene) deathSignal() syscall.Signal {
	if s.keep {
		return 0
	}
	return syscall.SIGQUIT
}

func (s *scene) serverSettings() string {
	return fmt.Sprintf(`
listen_addresses = ''
unix_socket_directories = '%s'
port = %d
wal_level = replica
archive_mode = on
archive_command = '"%s" push --config "%s" %%p'
archive_timeout = 30s
track_commit_timestamp = on
max_wal_size = 2GB
shared_buffers = 128MB
`, s.path("socket"), primaryPort, s.path("bin", "lifeboat-wal"), s.path("lifeboat.yaml"))
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	return file.Close()
}

// await waits until the server takes sessions.
func (p *primary) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := p.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the primary does not start: %w", err)
		case <-p.server.Done():
			log, _ := p.server.Log() // what there is of it
			return fmt.Errorf("the primary ended at once:\n%s", log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *primary) connect(ctx context.Context) (*pgx.Conn, error) {
	return connectTo(ctx, p.scene, primaryPort)
}

func connectTo(ctx context.Context, s *scene, port int) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.path("socket"), port))
}

func (p *primary) stop(ctx context.Context) error {
	return p.server.Stop(ctx, server.Immediate)
}

package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The lines of postmaster.pid that say where the server listens (src/include/utils/pidfile.h), counted from 0.
const (
	pidLine    = 0
	portLine   = 3
	socketLine = 4
)

// ErrNotListening says that the server has no socket (yet).
var ErrNotListening = errors.New("server does not listen on a socket")

// Connect opens a session over the server's socket, which it finds in postmaster.pid. The parameters are settings of
// the session, beside those that the options give to every one.
func (s *Server) Connect(ctx context.Context, database string, parameters map[string]string) (*pgx.Conn, error) {
	dir, port, err := s.socket()
	if s.options.Cage != nil {
		dir, port, err = s.options.SocketDir, defaultPort, nil
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the restored server: %w", err)
	}
	config, err := pgx.ParseConfig("sslmode=disable connect_timeout=10")
	if err != nil {
		return nil, fmt.Errorf("connect to the restored server: %w", err)
	}
	config.Host, config.Port, config.Database, config.User, config.Password = dir, port, database, s.options.User, ""
	config.Fallbacks = nil
	if s.options.Cage != nil {
		config.DialFunc = dialInto(dir)
	}
	config.RuntimeParams = map[string]string{"application_name": "lifeboat", "search_path": "pg_catalog"}
	maps.Copy(config.RuntimeParams, s.options.Session)
	maps.Copy(config.RuntimeParams, parameters)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the restored server: %w", err)
	}
	return conn, nil
}

// socket reads where this very process listens; a file of an earlier process does not count.
func (s *Server) socket() (dir string, port uint16, err error) {
	text, err := os.ReadFile(filepath.Join(s.options.DataDir, "postmaster.pid"))
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrNotListening, err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) <= socketLine || strings.TrimSpace(lines[pidLine]) != strconv.Itoa(s.PID()) || lines[socketLine] == "" {
		return "", 0, ErrNotListening
	}
	number, err := strconv.ParseUint(strings.TrimSpace(lines[portLine]), 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%w: port %q in postmaster.pid", ErrNotListening, lines[portLine])
	}
	return lines[socketLine], uint16(number), nil
}

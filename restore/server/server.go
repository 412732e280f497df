package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// defaultPort is part of a socket's name; nothing listens on a network unless the settings say so.
const defaultPort = 5432

// Options say how a server is run.
type Options struct {
	BinDir    string // where the server program lies
	DataDir   string // absolute
	SocketDir string // the only place where it listens; empty leaves sockets and addresses to the directory's configuration
	User      string // the role that sessions use, the proof's among them; empty for no proof that needs one

	// Session has settings of every session, sent at its start. They beat those of the role and of the database.
	Session map[string]string

	// Settings are names and values for the command line, which beat every configuration file.
	Settings [][2]string

	LogFile    string              // appended to; the server's stderr goes there
	Credential *syscall.Credential // whom it runs as; nil for this process's own user
	Env        []string            // in addition to a search path, the C locale and UTC

	// Pdeathsig is sent to the server when this process dies, however it does; SIGQUIT shuts the server down at once.
	// Zero lets the server outlive this process, and its session.
	Pdeathsig syscall.Signal

	// Cage keeps the server apart from all else; nil for none. The server, whatever it runs, is not trusted then: Connect
	// goes to the socket in SocketDir and nowhere else, and Pdeathsig is the cage's affair.
	Cage Cage
}

// Server is a running postmaster. It is safe for concurrent use.
type Server struct {
	options   Options
	process   *process
	logOffset int64 // where this run's part of the log starts
}

// logSettings make the log one that the proof can be read from, whatever the directory's configuration says.
func logSettings() [][2]string {
	return [][2]string{
		{"log_destination", "stderr"},
		{"logging_collector", "off"},
		{"log_min_messages", "warning"},
		{"log_line_prefix", linePrefix},
		{"log_timezone", "UTC"},
		{"lc_messages", "C"},
	}
}

// Start starts a server and returns at once, before it has recovered: see AwaitTarget.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	log, offset, err := openLog(o.LogFile)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	p, err := startProcess(command{
		program: filepath.Join(o.BinDir, "postgres"), args: o.arguments(), env: o.environment(),
		log: log, credential: o.Credential, pdeathsig: o.Pdeathsig, cage: o.Cage,
	})
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return &Server{options: o, process: p, logOffset: offset}, nil
}

func openLog(path string) (*os.File, int64, error) {
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open its log: %w", err)
	}
	offset, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open its log: %w", err), log.Close())
	}
	return log, offset, nil
}

func (o Options) arguments() []string {
	args := []string{"-D", o.DataDir}
	if o.SocketDir != "" {
		args = append(args, "-k", o.SocketDir, "-p", strconv.Itoa(defaultPort), "-c", "listen_addresses=")
	}
	for _, list := range [][][2]string{o.Settings, logSettings()} {
		for _, setting := range list {
			args = append(args, "-c", setting[0]+"="+setting[1])
		}
	}
	return args
}

// environment is all that the server, and what it starts, gets to see of this process's.
func (o Options) environment() []string {
	path := strings.Join([]string{o.BinDir, "/usr/local/bin", "/usr/bin", "/bin"}, ":")
	return append([]string{"PATH=" + path, "LC_ALL=C", "TZ=UTC", "HOME=/"}, o.Env...)
}

// PID is the postmaster's process number, and in a cage that of the process that all others in there end with.
func (s *Server) PID() int { return s.process.pid() }

// Done is closed when the postmaster has ended.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Log is what the server has logged since Start.
func (s *Server) Log() (string, error) {
	log, err := os.Open(s.options.LogFile)
	if err != nil {
		return "", fmt.Errorf("read the server's log: %w", err)
	}
	defer log.Close()
	text, err := io.ReadAll(io.NewSectionReader(log, s.logOffset, maxLog))
	if err != nil {
		return "", fmt.Errorf("read the server's log: %w", err)
	}
	return string(text), nil
}

// maxLog is how much of a log is read, in bytes.
const maxLog = 64 << 20

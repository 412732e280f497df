package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lifeboat/restore/server"
)

// toolError says that one of PostgreSQL's programs gave up.
type toolError struct {
	Program string
	Words   string // its own
}

func (e *toolError) Error() string { return e.Program + ": " + e.Words }

// notTheDump are words of a program that ends for a reason which lies in the machine that the drill runs on: another one
// may do it.
var notTheDump = []string{
	"is not available", "could not access file", "could not open extension control file", "could not load library",
	"No space left on device", "Cannot allocate memory", "out of memory", "out of shared memory",
	"invalid locale name", "could not create locale",
	"is not supported by this build", "could not open collator", "server closed the connection", "connection to server", "could not connect",
	"Permission denied", "incompatible library", "canceling statement due to",
}

// verdictOfDump tells what an error shows about a dump.
func verdictOfDump(err error) Verdict {
	var tool *toolError
	if !errors.As(err, &tool) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return verdictOf(err)
	}
	for _, reason := range notTheDump {
		if strings.Contains(tool.Words, reason) {
			return Unproven
		}
	}
	return Fail
}

// program is a run of one of PostgreSQL's programs, whose output is read as it comes.
type program struct {
	ctx    context.Context // that it ends with
	cmd    *exec.Cmd
	out    io.ReadCloser
	stderr head
	ended  bool
	err    error
}

// startProgram starts a program. Its Read gives io.EOF only where it ended well.
func startProgram(ctx context.Context, cmd *exec.Cmd) (*program, error) {
	p := &program{ctx: ctx, cmd: cmd}
	cmd.Stderr = &p.stderr
	var err error
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *program) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if err := p.end(); err != nil {
		return n, err
	}
	return n, io.EOF
}

// end waits for the program's end.
func (p *program) end() error {
	if !p.ended {
		p.ended = true
		p.err = toolWords(p.ctx, p.cmd, &p.stderr, p.cmd.Wait())
	}
	return p.err
}

// kill ends a program whose output nobody reads any more.
func (p *program) kill() {
	if !p.ended {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.end()
	}
}

// toolWords explains how a program ended.
func toolWords(ctx context.Context, cmd *exec.Cmd, stderr *head, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	name := filepath.Base(cmd.Path)
	return &toolError{Program: name, Words: strings.TrimPrefix(firstError(stderr.String(), err), name+": ")}
}

// firstError is what a program complains of first, with the detail behind it.
func firstError(stderr string, err error) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	at := slices.IndexFunc(lines, func(line string) bool {
		return strings.Contains(line, "error:") || strings.Contains(line, "ERROR:") || strings.Contains(line, "FATAL:")
	})
	if at < 0 {
		at = len(lines) - 1
	}
	words := lines[at]
	for _, line := range lines[at+1:] {
		if strings.HasPrefix(line, "DETAIL:") {
			words += "; " + line
		}
	}
	if words == "" {
		words = err.Error()
	}
	return clip(words)
}

// clip shortens words that are too long for a report.
func clip(words string) string {
	const most = 400
	if len(words) > most {
		return strings.ToValidUTF8(words[:most], "") + " …"
	}
	return strings.ToValidUTF8(words, "")
}

// head keeps the first bytes of what is written to it.
type head struct{ strings.Builder }

func (h *head) Write(b []byte) (int, error) {
	const most = 64 << 10
	h.Builder.Write(b[:min(len(b), max(0, most-h.Len()))])
	return len(b), nil
}

// sessionOptions are the settings of a session as PGOPTIONS has them: they outrank those of roles and databases.
func sessionOptions(session map[string]string) string {
	var options []string
	escape := strings.NewReplacer(`\`, `\\`, " ", `\ `)
	for _, name := range slices.Sorted(maps.Keys(session)) {
		options = append(options, "-c "+escape.Replace(name+"="+session[name]))
	}
	return strings.Join(options, " ")
}

// relayName is where the programs' way to the server lies in the scratch directory, out of the server's sight.
const relayName = "relay"

// relay opens the way to the server for programs, which is to be closed.
func (d *drill) relay(ctx context.Context, running *server.Server) (*server.Relay, error) {
	if err := d.scratch.makeOwned(d.scratch.path(relayName)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return running.Relay(ctx, d.scratch.path(relayName))
}

// client is a program that works on a database of the server behind the relay.
func (d *drill) client(ctx context.Context, relay *server.Relay, session map[string]string, name, database string, args ...string) *exec.Cmd {
	args = append(args, "--no-password", "--dbname="+connectionString(relay, d.plan.Record().Superuser, database))
	cmd := d.command(ctx, filepath.Join(d.dumped.tools.dir, name), session, args...)
	cmd.ExtraFiles = relay.Files()
	return cmd
}

// connectionString is libpq's name of a database on a server. No name of a database is taken for anything else in it.
func connectionString(relay *server.Relay, user, database string) string {
	quote := func(value string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable connect_timeout=10",
		quote(relay.Host()), relay.Port(), quote(user), quote(database))
}

// processAttributes have a program end with this process.
func processAttributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: credential}
}

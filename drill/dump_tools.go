package drill

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// dumpTools are PostgreSQL's own programs, of the server's major version: what a newer pg_dump writes an older server
// need not take.
type dumpTools struct {
	dir     string
	version string // of pg_dump
}

// NoToolsError says that the programs are missing which make and restore a logical dump.
type NoToolsError struct {
	Major int
	Tried []string // directories, each with what was wrong there
}

func (e *NoToolsError) Error() string {
	return fmt.Sprintf("a logical dump needs pg_dump, pg_dumpall, pg_restore and initdb of PostgreSQL %d, the server's own version, and they are not installed: %s",
		e.Major, strings.Join(e.Tried, "; "))
}

// Hint is what the operator can do about it.
func (e *NoToolsError) Hint() string { return fmt.Sprintf("install postgresql-client-%d", e.Major) }

// findDumpTools looks beside the server program, and then in the usual places of distributions. The error is a
// *NoToolsError.
func (d *drill) findDumpTools(ctx context.Context) (dumpTools, error) {
	missing := &NoToolsError{Major: d.major()}
	dirs := []string{d.bin, fmt.Sprintf("/usr/lib/postgresql/%d/bin", d.major()), fmt.Sprintf("/usr/pgsql-%d/bin", d.major())}
	for _, dir := range slices.Compact(dirs) {
		tools, err := d.tryDumpTools(ctx, dir)
		if err == nil {
			return tools, nil
		}
		missing.Tried = append(missing.Tried, err.Error())
	}
	return dumpTools{}, missing
}

var toolVersion = regexp.MustCompile(`^\S+ \(PostgreSQL\) ((\d+)\S*)`)

// tryDumpTools asks each program in a directory for its version, as the user whom it will run as.
func (d *drill) tryDumpTools(ctx context.Context, dir string) (dumpTools, error) {
	tools := dumpTools{dir: dir}
	for _, name := range []string{"initdb", "pg_restore", "pg_dumpall", "pg_dump"} {
		asked := d.command(ctx, filepath.Join(dir, name), nil, "--version")
		out, err := asked.Output()
		if err != nil {
			return tools, fmt.Errorf("%s: %w", asked.Path, err)
		}
		match := toolVersion.FindSubmatch(out)
		if match == nil || string(match[2]) != fmt.Sprint(d.major()) {
			return tools, fmt.Errorf("%s is of another version: %q", asked.Path, strings.TrimSpace(string(out)))
		}
		tools.version = string(match[1])
	}
	return tools, nil
}

// command is one of PostgreSQL's programs, run by the drill's user, which sees nothing of this process's environment.
func (d *drill) command(ctx context.Context, program string, session map[string]string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = d.scratch.dir
	c.Env = []string{
		"PATH=" + filepath.Dir(program) + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + d.scratch.dir, "PGPASSFILE=/dev/null",
		"PGOPTIONS=" + sessionOptions(session), nonceName + "=" + d.result.ID,
	}
	c.SysProcAttr = processAttributes(d.credential())
	return c
}

package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MissingError says that no PostgreSQL server of the wanted major version was found.
type MissingError struct {
	Major int
	Tried []string // what was looked at, each with what was wrong there
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no PostgreSQL %d server found: %s", e.Major, strings.Join(e.Tried, "; "))
}

// Hint is what the operator can do about it.
func (e *MissingError) Hint() string {
	return fmt.Sprintf("install the package postgresql-%d, or name the directory of its programs in scheduler.postgres_bin", e.Major)
}

// FindBinaries finds the directory that holds the server programs of a major version: the configured one where there
// is one, and nothing else then; otherwise the usual places of distributions and the search path. Only a server of that
// very version can read the cluster's files. The error is a *MissingError.
func FindBinaries(ctx context.Context, major int, configured string) (string, error) {
	missing := &MissingError{Major: major}
	for _, dir := range candidates(major, configured) {
		found, err := MajorVersion(ctx, dir)
		switch {
		case err != nil:
			missing.Tried = append(missing.Tried, err.Error())
		case found != major:
			missing.Tried = append(missing.Tried, fmt.Sprintf("%s has version %d", dir, found))
		default:
			return dir, nil
		}
	}
	return "", missing
}

func candidates(major int, configured string) []string {
	if configured != "" {
		return []string{configured}
	}
	dirs := []string{
		fmt.Sprintf("/usr/lib/postgresql/%d/bin", major),
		fmt.Sprintf("/usr/pgsql-%d/bin", major),
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, resolvedDir(path))
	}
	return slices.Compact(dirs)
}

// resolvedDir follows links, since PostgreSQL finds its libraries beside the program itself.
func resolvedDir(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	return filepath.Dir(path)
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// MajorVersion asks the server program in dir for its version.
func MajorVersion(ctx context.Context, dir string) (int, error) {
	program := filepath.Join(dir, "postgres")
	if _, err := os.Stat(program); err != nil {
		return 0, fmt.Errorf("no server program: %w", err)
	}
	asked := exec.CommandContext(ctx, program, "--version")
	asked.Env = Options{BinDir: dir}.environment() // this process's own may hold secrets
	out, err := asked.Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", program, err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("ask %s for its version: it answers %q", program, strings.TrimSpace(string(out)))
	}
	return strconv.Atoi(string(match[1]))
}

package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// UnprivilegedUser is whom PostgreSQL, and with it the hooks that it starts, runs as: nil, the test's own
// user, unless the test runs as root, whom PostgreSQL refuses; then the user postgres where there is one,
// else nobody.
func UnprivilegedUser() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := user.Lookup(name); err == nil {
			return credential(found)
		}
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

func credential(found *user.User) *syscall.Credential {
	uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		panic(fmt.Sprintf("user %s has no numeric id", found.Username))
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Command prepares a program of an installation to run as PostgreSQL's user, in the root directory, with
// none of the test's environment but Environment. A name with a slash is run as it is.
func Command(ctx context.Context, install Install, tool string, args ...string) *exec.Cmd {
	if filepath.Base(tool) == tool {
		tool = install.Tool(tool)
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = "/"
	cmd.Env = Environment(install)
	cmd.WaitDelay = 30 * time.Second // a busy machine may take a while to hand over the last output
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: UnprivilegedUser()}
	return cmd
}

// Environment is all that programs of PostgreSQL get to see: a search path, the C locale, UTC, and a
// coverage directory where the test run has one.
func Environment(install Install) []string {
	env := []string{"PATH=" + install.BinDir + ":/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=/"}
	if dir, ok := os.LookupEnv("GOCOVERDIR"); ok {
		env = append(env, "GOCOVERDIR="+dir)
	}
	return env
}

// run runs a command to its end; an error carries what the command printed.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}

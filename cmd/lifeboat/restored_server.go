package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"lifeboat/restore"
	"lifeboat/restore/server"
)

// hookFile is the configuration that a restored directory holds for its own restore_command, which PostgreSQL runs in
// that directory.
const hookFile = restore.ConfigPath

// fetchCommand is the restore_command of a restored directory. It names the hook where it lies beside this program.
func fetchCommand() string {
	return fmt.Sprintf("%s fetch --config %s %%f %%p", shellQuote(hookPath()), hookFile)
}

// shellQuote makes one word of a path, with what restore_command reads as its own escape doubled.
func shellQuote(path string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(path, "'", `'\''`), "%", "%%") + "'"
}

// hookConfig is as much of the configuration as fetching WAL takes. It holds no secret.
func hookConfig(s *scene) []byte {
	return fmt.Appendf(nil, "repository:\n  url: %q\nclusters:\n  %s: {}\n", s.settings.Repository.URL.Value, s.name)
}

// startRestored starts PostgreSQL on the restored directory and waits until the target is proven reached. The server
// goes on when this program has ended.
func (a *app) startRestored(ctx context.Context, s *scene, done *restored) error {
	record := done.Plan.Record()
	owner, err := s.owner(done.Plan.Directory)
	if err != nil {
		return err
	}
	if owner != nil && owner.UID == 0 {
		return usagef("%s belongs to root, as which PostgreSQL does not run: give it to another user with chown -R and start it with pg_ctl", done.Plan.Directory)
	}
	bin, err := server.FindBinaries(ctx, record.PostgresVersion/10000, s.settings.Scheduler.PostgresBin)
	if err != nil {
		return err
	}
	running, err := server.Start(ctx, server.Options{
		// No role is named: the restored pg_hba.conf may let none in, and the server's log is proof enough.
		BinDir: bin, DataDir: done.Plan.Directory, Credential: credentialOf(owner),
		LogFile: filepath.Join(done.Plan.Directory, "lifeboat.restore.log"),
	})
	if err != nil {
		return err
	}
	bar := a.bar()
	bar.Show("recovering", 0, 0)
	proof, err := running.AwaitTarget(ctx)
	bar.Done()
	if err == nil {
		err = done.Plan.CheckReached(restore.Reached{StopReason: proof.StopReason, LSN: proof.ReachedLSN})
	}
	if err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return errors.Join(err, running.Stop(stopping, server.Immediate))
	}
	done.Reached, done.PID = &proof, running.PID()
	return nil
}

// credentialOf is the owner as whom a server runs; nil for this process's own user.
func credentialOf(owner *restore.Owner) *syscall.Credential {
	if owner == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(owner.UID), Gid: uint32(owner.GID)}
}

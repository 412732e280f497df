package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lifeboat/archive"
	"lifeboat/cmd/internal/config"
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

// restoredHook is the configuration for the restored directory's own restore_command. What that needs is looked for first,
// as the user as whom PostgreSQL will run.
func (a *app) restoredHook(s *scene, owner *restore.Owner, start bool) ([]byte, error) {
	var accesses []hookAccess
	for _, view := range s.views {
		access, err := a.restoredAccess(view, owner, start)
		if err != nil {
			return nil, err
		}
		accesses = append(accesses, access)
	}
	return hookConfig(s.name, accesses), nil
}

func (a *app) restoredAccess(settings *config.Config, owner *restore.Owner, start bool) (hookAccess, error) {
	identity, err := a.identityPath(settings)
	access := hookAccess{repository: &settings.Repository, from: findCredentials(&settings.Repository), identity: identity}
	if err == nil {
		err = checkHookFiles(hookFiles(access), owner)
	}
	if err != nil {
		return access, err
	}
	if access.from.secret && start {
		return access, &archive.OperatorError{
			Message: "the store's credentials are in this process's environment only, where the restored server's restore_command does not find them",
			Hint:    "put them into a file and name it in repository.s3.credentials_file, or restore without --start and start PostgreSQL with them in its own environment",
		}
	}
	if access.from.secret {
		a.log.Warn("the restored server's restore_command needs the store's credentials, which are in this process's environment only: start PostgreSQL with them in its own")
	}
	return access, nil
}

// chainVariables lead the SDKs to credentials, and are none themselves: all of this process's environment that a restored
// server gets, beside a search path, the locale and the time zone.
func chainVariables() []string {
	names := []string{
		"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_STS_REGIONAL_ENDPOINTS", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "GCE_METADATA_HOST", "NO_PROXY",
	}
	var found []string
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			found = append(found, name+"="+value)
		}
	}
	return found
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
		LogFile: filepath.Join(done.Plan.Directory, "lifeboat.restore.log"), Env: chainVariables(),
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

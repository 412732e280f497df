package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"lifeboat/drill/sandbox"
)

// IsolationMode says what becomes of a drill whose server cannot be isolated.
type IsolationMode int

// The modes.
const (
	IsolationRequired IsolationMode = iota // it is unproven, and no server is started
	BestEffort                             // the server runs as the drill's user, among all that this user can see
)

// Isolation is what the scratch server was kept apart by, as the evidence tells it.
type Isolation struct {
	Isolated   bool     `json:"isolated"`
	Namespaces []string `json:"namespaces,omitempty"` // of its own
	Missing    string   `json:"missing,omitempty"`    // why it was not isolated
}

// String is for people; it is empty in evidence of before there was isolation.
func (i *Isolation) String() string {
	switch {
	case i == nil:
		return ""
	case i.Isolated:
		return "own user, mount, network, process, IPC and host name namespaces"
	}
	return "none: " + i.Missing
}

// IsolationError says that the scratch server could not be kept apart.
type IsolationError struct{ Missing string }

func (e *IsolationError) Error() string { return "the scratch server cannot be isolated: " + e.Missing }

// Hint is what the operator can do about it.
func (e *IsolationError) Hint() string {
	return "let the drill's user make user namespaces: Linux 5.12 or newer, sysctl user.max_user_namespaces above 0," +
		" kernel.apparmor_restrict_unprivileged_userns 0 or the drill run as root, no RestrictNamespaces= in its unit, no filter of a container;" +
		" or set scheduler.isolation: best effort to drill without"
}

// isolate tries whether the server can be kept apart, before anything is planned, and prepares for either.
func (d *drill) isolate(ctx context.Context) error {
	missing := d.tryIsolation(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if missing != nil {
		if err := d.canEnter(ctx); err != nil {
			return err // that is what is missing
		}
		d.result.Environment.Isolation = &Isolation{Missing: words(missing)}
		return d.goWithout(ctx, missing)
	}
	d.result.Environment.Isolation = &Isolation{Isolated: true, Namespaces: sandbox.Namespaces()}
	d.HookConfig, d.FetchCommand = nil, fetchInside
	return d.handOutWAL(ctx)
}

func (d *drill) tryIsolation(ctx context.Context) error {
	if d.Receiver == "" {
		return errors.New("the program that asks for WAL, lifeboat-wal, is not beside this one")
	}
	if err := d.makeCage(); err != nil {
		return err
	}
	return runCaged(sandbox.Spec{Root: d.scratch.path(rootName)}, exec.CommandContext(ctx, ""), d)
}

func (d *drill) goWithout(ctx context.Context, missing error) (err error) {
	if d.Isolation == IsolationRequired {
		return &IsolationError{Missing: words(missing)}
	}
	if d.Lend != nil {
		d.HookConfig, err = d.Lend(ctx)
	}
	return err
}

// isolated says whether the server is kept apart.
func (d *drill) isolated() bool {
	return d.result.Environment.Isolation != nil && d.result.Environment.Isolation.Isolated
}

// runCaged runs a command to its end in a sandbox, as the server's user.
func runCaged(spec sandbox.Spec, cmd *exec.Cmd, d *drill) error {
	runtime.LockOSThread() // a sandbox ends with the thread that has started it
	defer runtime.UnlockOSThread()
	cmd.Env = append(libraryPath(d.bin), nonceName+"="+d.result.ID)
	cmd.SysProcAttr = asUser(d.credential())
	wrapped, err := spec.Wrap(cmd)
	if err != nil {
		return err
	}
	defer wrapped.Close()
	started := cmd.Start()
	if err := wrapped.Started(started); err != nil {
		if started == nil {
			_ = cmd.Wait() // it has told why
		}
		return err
	}
	return cmd.Wait()
}

// makeCage makes the directories that a sandbox needs.
func (d *drill) makeCage() error {
	for _, name := range []string{rootName, socketName} {
		if err := d.scratch.makeOwned(d.scratch.path(name)); err != nil {
			return fmt.Errorf("prepare the sandbox: %w", err)
		}
	}
	return os.Mkdir(d.scratch.path(spoolName), 0o700)
}

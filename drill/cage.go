package drill

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"lifeboat/drill/sandbox"
	"lifeboat/restore/server"
)

// What a sandbox takes of the scratch directory, beside the server's own.
const (
	rootName   = "root" // where its root is mounted
	socketName = "wal"  // where it asks for WAL
	spoolName  = "ahead"
)

// Where the inside has what does not lie at its own path.
const (
	receiverInside = "/run/lifeboat/receive"
	socketInside   = "/run/lifeboat/wal"
)

// fetchInside is the restore_command of the inside: it knows a socket, and nothing of the repository.
const fetchInside = receiverInside + " receive " + socketInside + "/" + socketFile + " %f %p"

// cage is the sandbox of a scratch server.
type cage struct {
	sandbox.Spec
	environment []string // in addition to the server's
}

// Wrap implements server.Cage.
func (c cage) Wrap(cmd *exec.Cmd) (server.Caged, error) {
	cmd.Env = append(cmd.Env, c.environment...)
	return c.Spec.Wrap(cmd)
}

// cage is nil where the server is not isolated.
func (d *drill) cage() server.Cage {
	if !d.isolated() {
		return nil
	}
	s := d.sandboxSpec()
	s.Places = d.places()
	return cage{Spec: s, environment: libraryPath(d.bin)}
}

// sandboxSpec names what a scratch server sees. What there is not yet is left out: before the copy, its programs are tried.
func (d *drill) sandboxSpec() sandbox.Spec {
	s := sandbox.Spec{Root: d.scratch.path(rootName)}
	for _, dir := range programDirectories(d.bin) {
		s.Binds = append(s.Binds, sandbox.Bind{From: dir})
	}
	s.Binds = append(s.Binds, sandbox.Bind{From: d.Receiver, To: receiverInside}, sandbox.Bind{From: d.scratch.path(socketName), To: socketInside})
	for _, file := range configFiles {
		s.Binds = appendExisting(s.Binds, sandbox.Bind{From: d.scratch.path(file[1])})
	}
	for _, dir := range []string{d.scratch.path("data"), d.scratch.path("tablespaces"), d.scratch.path(restoredDump), d.scratch.sockets} {
		s.Binds = appendExisting(s.Binds, sandbox.Bind{From: dir, Writable: true})
	}
	return s
}

func appendExisting(binds []sandbox.Bind, b sandbox.Bind) []sandbox.Bind {
	if _, err := os.Stat(b.From); errors.Is(err, fs.ErrNotExist) {
		return binds
	}
	return append(binds, b)
}

// programDirectories are where a server keeps its programs, libraries and shared files: a sandbox has the system's own
// anyway.
func programDirectories(bin string) []string {
	if bin == "" || strings.HasPrefix(bin, "/usr/") {
		return nil
	}
	found := []string{bin}
	for _, name := range []string{"lib", "lib64", "share"} {
		dir := filepath.Join(filepath.Dir(bin), name)
		if _, err := os.Stat(dir); err == nil && filepath.Base(bin) == "bin" {
			found = append(found, dir)
		}
	}
	return found
}

// libraryPath goes into the environment of a server with libraries of its own. It finds them by its place, which it asks /proc
// for (ld.so(8), $ORIGIN): in a sandbox without one it is told.
func libraryPath(bin string) []string {
	dirs := programDirectories(bin)
	if len(dirs) < 2 {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(dirs[1:], ":")}
}

// places are the directories of the tablespaces that the WAL creates: each is one in the scratch directory, and only looks
// to the server as if it were where production has its own.
func (d *drill) places() []sandbox.Place {
	var places []sandbox.Place
	known := d.moves(d.plan)
	for _, s := range d.stops {
		for _, path := range s.plan.CreatesTablespaces {
			if known[path] == "" {
				known[path] = filepath.Join(d.scratch.path("tablespaces"), "created-"+strconv.Itoa(len(known)))
			}
		}
	}
	for _, s := range d.stops {
		for _, path := range s.plan.CreatesTablespaces {
			if known[path] != "" {
				places = append(places, sandbox.Place{Path: path, Directory: known[path]})
				known[path] = ""
			}
		}
	}
	return places
}

// makePlaces makes the directories for the tablespaces that the WAL creates.
func (d *drill) makePlaces() error {
	for _, place := range d.places() {
		if err := d.scratch.makeOwned(place.Directory); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func asUser(c *syscall.Credential) *syscall.SysProcAttr { return &syscall.SysProcAttr{Credential: c} }

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// systemDirectories hold the system's programs and libraries. Where one is a link, it is one inside, too.
var systemDirectories = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// Sizes of what is held in memory.
const (
	rootSize    = "size=1m,mode=0755"
	scratchSize = "size=16m,mode=1777"
)

// hostName is that of the inside.
const hostName = "lifeboat-drill"

// build makes the root and moves there. Nothing outside can see it, or is changed.
func build(j job) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts apart: %w", err)
	}
	if err := unix.Mount("tmpfs", j.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, rootSize); err != nil {
		return fmt.Errorf("mount a root directory at %s: %w", j.Root, err)
	}
	r := root(j.Root)
	for _, step := range []func() error{
		r.addSystem, func() error { return r.addSettings(j.UID, j.GID) }, r.addDevices, r.addMemory, r.addProcesses,
		func() error { return r.addBinds(j.Binds) }, forbidNamespaces, r.enter, func() error { return addPlaces(j.Places) },
		func() error { return protect("/", 0, unix.MOUNT_ATTR_RDONLY) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	_ = unix.Sethostname([]byte(hostName)) // an ornament, which systemd's ProtectHostname= forbids
	return nil
}

// root is the path of the new root directory while it is made.
type root string

func (r root) path(inside string) string { return filepath.Join(string(r), inside) }

func (r root) addSystem() error {
	for _, dir := range systemDirectories {
		info, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			err = r.copyLink(dir)
		} else if err == nil {
			err = r.bind(Bind{From: dir})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r root) copyLink(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	return os.Symlink(target, r.path(path))
}

func (r root) addBinds(binds []Bind) error {
	for _, b := range binds {
		if err := r.bind(b); err != nil {
			return err
		}
	}
	return nil
}

func (r root) bind(b Bind) error {
	flags := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_RDONLY)
	if b.Writable {
		flags = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	}
	return r.attach(b.From, b.to(), flags)
}

// attach makes what lies at a path outside seen at a path inside.
func (r root) attach(from, to string, flags uint64) error {
	target := r.path(to)
	if err := makeLike(from, target); err != nil {
		return fmt.Errorf("make a place for %s: %w", to, err)
	}
	if err := unix.Mount(from, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", from, err)
	}
	return protect(target, unix.AT_RECURSIVE, flags)
}

// protect restricts a mount. It takes Linux 5.12 (mount_setattr(2)).
func protect(target string, how uint, flags uint64) error {
	if err := unix.MountSetattr(unix.AT_FDCWD, target, how, &unix.MountAttr{Attr_set: flags}); err != nil {
		return fmt.Errorf("restrict %s: %w", target, err)
	}
	return nil
}

// makeLike makes an empty file or directory, whichever lies at the other path.
func makeLike(from, target string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, nil, 0o600)
}

// addSettings writes as much of /etc as a server looks at.
func (r root) addSettings(uid, gid int) error {
	if err := os.MkdirAll(r.path("/etc"), 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"passwd":        fmt.Sprintf("postgres:x:%d:%d::/:/bin/sh\n", uid, gid),
		"group":         fmt.Sprintf("postgres:x:%d:\n", gid),
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	} {
		if err := os.WriteFile(r.path("/etc/"+name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	const libraries = "/etc/ld.so.cache"
	if _, err := os.Stat(libraries); err != nil {
		return nil // a system without one
	}
	return r.bind(Bind{From: libraries})
}

func (r root) addDevices() error {
	for _, device := range devices {
		if err := r.attach(device, device, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
			return err
		}
	}
	return nil
}

// addMemory makes the places for what is gone with the sandbox.
func (r root) addMemory() error {
	for _, dir := range []string{"/tmp", "/dev/shm"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", r.path(dir), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, scratchSize); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	return nil
}

// addProcesses mounts a /proc that shows the sandbox's own processes. Containers that hide parts of theirs do not allow that;
// then there is none, and PostgreSQL does not need one.
func (r root) addProcesses() error {
	if err := os.MkdirAll(r.path("/proc"), 0o755); err != nil {
		return err
	}
	err := unix.Mount("proc", r.path("/proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// forbidNamespaces keeps the inside from making user namespaces of its own, in which it would have rights again. Where /proc
// cannot be written to, as in some containers, they stay possible, and are as harmless as for any user of the system.
func forbidNamespaces() error {
	err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}

// enter makes the new root the root, and the old one vanish (pivot_root(2), "pivot_root(".", ".")").
func (r root) enter() error {
	if err := unix.Chdir(string(r)); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root directory: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root directory: %w", err)
	}
	return unix.Chdir("/")
}

// addPlaces is done inside already, so that no path, whatever is in it, leads out.
func addPlaces(places []Place) error {
	for _, p := range places {
		if err := os.MkdirAll(p.Path, 0o700); err != nil {
			return fmt.Errorf("make a place for %s: %w", p.Path, err)
		}
		if err := unix.Mount(p.Directory, p.Path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", p.Path, err)
		}
		if err := protect(p.Path, 0, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC); err != nil {
			return err
		}
	}
	return nil
}

package pgtest

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ForbidNamespaces changes a command such that it runs on a system that lets nobody make user namespaces, as the same user:
// in a user namespace whose own limit of them is 0 (namespaces(7)).
func ForbidNamespaces(cmd *exec.Cmd) {
	const script = `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`
	cmd.Args = append([]string{"/bin/sh", "-c", script, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if attr.Credential != nil {
		uid, gid, attr.GidMappingsEnableSetgroups = int(attr.Credential.Uid), int(attr.Credential.Gid), true
	}
	attr.Cloneflags |= unix.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	attr.AmbientCaps = []uintptr{unix.CAP_SYS_RESOURCE}
	cmd.SysProcAttr = &attr
}

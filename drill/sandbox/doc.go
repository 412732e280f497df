// Package sandbox runs a program where it can harm nobody: in user, mount, network, process, IPC and UTS namespaces of its
// own, below a root directory that is made for it, without any capability and without a way to get one
// (namespaces(7), capabilities(7)). What it does not see it cannot touch, and it has no network at all.
//
// There are no helpers to install: the process starts itself again, three times over. The first is the parent, which
// calls Wrap. The second, in the namespaces already, makes the root and gives up its rights. It becomes the third, the first
// process of the new process namespace, which starts the program, passes signals on, and reaps orphans. When it ends, or
// its parent does, the kernel ends all that is in there.
//
// What is not kept apart: the kernel itself. There is no filter of system calls, so a defect in the kernel that an
// ordinary user can reach can be reached from inside, too; new user namespaces, which most such defects need, cannot.
package sandbox

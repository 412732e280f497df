//go:build linux

package file

import "golang.org/x/sys/unix"

// system holds the system calls whose errors decide about durability and conditions, so that tests can let them
// answer as other file systems, full disks and broken ones do. Each gives the bare errno.
type system struct {
	write     func(fd int, p []byte) (int, error)
	sync      func(fd int) error
	link      func(fromDir int, from string, toDir int, to string) error
	rename    func(fromDir int, from string, toDir int, to string) error
	renameNew func(fromDir int, from string, toDir int, to string) error
	lock      func(fd int) error
}

func kernel() system {
	return system{
		write: write,
		sync:  func(fd int) error { return again(func() error { return unix.Fsync(fd) }) },
		link: func(fromDir int, from string, toDir int, to string) error {
			return again(func() error { return unix.Linkat(fromDir, from, toDir, to, 0) })
		},
		rename: func(fromDir int, from string, toDir int, to string) error {
			return again(func() error { return unix.Renameat(fromDir, from, toDir, to) })
		},
		renameNew: func(fromDir int, from string, toDir int, to string) error {
			return again(func() error { return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE) })
		},
		lock: func(fd int) error { return again(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }) },
	}
}

// write writes some of p, at least one byte unless it fails.
func write(fd int, p []byte) (n int, err error) {
	err = again(func() (err error) {
		n, err = unix.Write(fd, p)
		return err
	})
	return n, err
}

package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeSharedMemory removes the System V segment of 56 bytes that a killed server leaves, if nobody uses it any more. The
// two numbers on line 7 of postmaster.pid are its key and its id (src/include/utils/pidfile.h); a server that ends in
// order removes both, segment and file.
func freeSharedMemory(data string) {
	path := filepath.Join(data, "postmaster.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	lines := strings.Split(string(text), "\n")
	const line = 6
	if len(lines) <= line {
		return
	}
	var key uint64
	var id int
	if n, err := fmt.Sscan(lines[line], &key, &id); n != 2 || err != nil {
		return
	}
	if isLeftSegment(path, id, int32(key)) {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // where it cannot be removed, it stays
	}
}

// isLeftSegment says whether a segment is the one that the file's owner made, and not by now somebody else's of the
// same id.
func isLeftSegment(path string, id int, key int32) bool {
	var segment unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &segment); err != nil {
		return false
	}
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && segment.Perm.Uid == owner.Uid && segment.Perm.Key == key && segment.Nattch == 0
}

package drill

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is the machine that a drill ran on. What could not be found out is left out.
type Host struct {
	Kernel      string `json:"kernel,omitempty"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	Disk        Disk   `json:"disk,omitzero"`
}

// Disk is what the scratch directory lies on.
type Disk struct {
	FileSystem string `json:"file_system,omitempty"`
	Kind       string `json:"kind,omitempty"` // "rotating" or "solid state"
	FreeBytes  int64  `json:"free_bytes,omitempty"`
	TotalBytes int64  `json:"total_bytes,omitempty"`
}

// describeHost looks at the machine before the drill begins.
func describeHost(workDirectory string) Host {
	var h Host
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		h.Kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		h.MemoryBytes = int64(info.Totalram) * int64(info.Unit)
	}
	h.Disk = describeDisk(existing(workDirectory))
	return h
}

// existing is the directory, or the first above it that is there.
func existing(directory string) string {
	for {
		if _, err := os.Stat(directory); !errors.Is(err, fs.ErrNotExist) || directory == filepath.Dir(directory) {
			return directory
		}
		directory = filepath.Dir(directory)
	}
}

func describeDisk(directory string) Disk {
	var s unix.Statfs_t
	if unix.Statfs(directory, &s) != nil {
		return Disk{}
	}
	return Disk{
		FileSystem: fileSystem(s.Type), Kind: diskKind(directory),
		FreeBytes: int64(s.Bavail) * s.Bsize, TotalBytes: int64(s.Blocks) * s.Bsize,
	}
}

// fileSystem names the usual kinds (statfs(2)).
func fileSystem(magic int64) string {
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.F2FS_SUPER_MAGIC: "f2fs", 0x2fc12fc1: "zfs",
	}
	if name, ok := names[magic]; ok {
		return name
	}
	return fmt.Sprintf("type %#x", magic)
}

// diskKind asks the kernel whether the device below a directory rotates; empty where it has none, or several.
func diskKind(directory string) string {
	var s unix.Stat_t
	if unix.Stat(directory, &s) != nil {
		return ""
	}
	device := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(s.Dev), unix.Minor(s.Dev))
	for _, queue := range []string{"/queue/rotational", "/../queue/rotational"} {
		raw, _ := os.ReadFile(device + queue) // the device may be a part of one, or none at all
		switch strings.TrimSpace(string(raw)) {
		case "0":
			return "solid state"
		case "1":
			return "rotating"
		}
	}
	return ""
}

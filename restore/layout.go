package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"lifeboat/storage/catalog"
)

// ConfigPath is where a restored directory keeps the configuration that its restore_command reads, relative to the data
// directory, which is the command's working directory. What lies in pg_wal belongs to no backup: pg_verifybackup does not
// miss it in the backup_manifest, and later backups do not take it along.
const ConfigPath = "pg_wal/lifeboat.restore.yaml"

// The other files of a data directory that a restore treats by themselves.
const (
	autoConfPath    = "postgresql.auto.conf"
	backupLabelPath = "backup_label"
	signalPath      = "recovery.signal"
	tablespacesDir  = "pg_tblspc/"
)

// ContentError says that a backup's index asks for something that no restore may do, or lacks what every cluster has.
type ContentError struct {
	Path   string
	Reason string
}

func (e *ContentError) Error() string {
	return fmt.Sprintf("backup's index is not to be followed: %s: %s", e.Path, e.Reason)
}

// leftOut says whether a file of the backup is not restored: the restore makes these itself, or they would make
// another kind of server.
func leftOut(name string) bool {
	switch name {
	case "tablespace_map", "standby.signal", signalPath, markerName, ConfigPath, controlPath:
		return true
	}
	return false
}

// layout says where the parts of a backup go. It is made by one look at the whole index, before anything is written.
type layout struct {
	spaces      map[string]int // from a tablespace's OID to its site
	directories []placedDirectory
	files       int64
	bytes       int64
	need        []int64 // bytes for each site, in whole blocks of the file system
	hasLabel    bool
}

// placedDirectory is a directory of the backup; parents stand before what is in them.
type placedDirectory struct {
	site int // 0 is the data directory
	path string
	mode fs.FileMode
}

// blockSize is what files take at least in a file system, in bytes.
const blockSize = 4096

// survey reads the whole index and refuses what must not be followed.
func survey(ctx context.Context, index *catalog.Index, spaces []PlannedTablespace) (*layout, error) {
	l := &layout{spaces: map[string]int{}, need: make([]int64, len(spaces)+1)}
	for i, space := range spaces {
		l.spaces[strconv.FormatUint(uint64(space.OID), 10)] = i + 1
	}
	seen := content{}
	for entry, err := range index.Files(ctx) {
		if err != nil {
			return nil, fmt.Errorf("read the backup's index: %w", err)
		}
		if err := seen.check(entry); err != nil {
			return nil, err
		}
		l.add(entry)
	}
	return l, seen.complete()
}

func (l *layout) add(entry catalog.FileEntry) {
	site, name := l.locate(entry.Path)
	if entry.Directory {
		l.directories = append(l.directories, placedDirectory{site: site, path: name, mode: entry.Mode.Perm()})
		return
	}
	if leftOut(entry.Path) && entry.Path != controlPath {
		return
	}
	l.files++
	l.bytes += entry.Size
	l.need[site] += (entry.Size + blockSize - 1) / blockSize * blockSize
	l.hasLabel = l.hasLabel || entry.Path == backupLabelPath
}

// locate is the site of a path and the path in it. The data directory's own link to a tablespace is the site's ".".
func (l *layout) locate(name string) (site int, inSite string) {
	rest, ok := strings.CutPrefix(name, tablespacesDir)
	if !ok {
		return 0, name
	}
	oid, inSpace, _ := strings.Cut(rest, "/")
	site, ok = l.spaces[oid]
	if !ok {
		return 0, name // a tablespace that lies in the data directory
	}
	return site, path.Clean(inSpace) // "." for the link itself
}

// content checks that the entries of an index can stand together and make up a cluster.
type content struct {
	last                   string // path of the entry before
	hasControl, hasVersion bool
}

func (c *content) check(entry catalog.FileEntry) error {
	if err := entry.Validate(); err != nil {
		return &ContentError{Path: strconv.Quote(entry.Path), Reason: err.Error()}
	}
	if entry.Path <= c.last {
		return &ContentError{Path: entry.Path, Reason: "is listed twice or out of order"}
	}
	c.last = entry.Path
	if entry.Path == controlPath {
		c.hasControl = !entry.Directory
	}
	if entry.Path == "PG_VERSION" {
		c.hasVersion = !entry.Directory
	}
	return nil
}

func (c *content) complete() error {
	if !c.hasControl || !c.hasVersion {
		return &ContentError{Path: controlPath, Reason: "PG_VERSION or pg_control is missing"}
	}
	return nil
}

// errTooSmall is the cause of every *SpaceError.
var errTooSmall = errors.New("not enough free space")

// SpaceError says that a file system is too small for what would be restored into it.
type SpaceError struct {
	Path       string
	Need, Free int64 // in bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%v in %s: %s are needed, %s are free", errTooSmall, e.Path, formatBytes(e.Need), formatBytes(e.Free))
}

// Unwrap makes every SpaceError the same error for errors.Is.
func (e *SpaceError) Unwrap() error { return errTooSmall }

// Hint is what the operator can do about it.
func (e *SpaceError) Hint() string {
	return fmt.Sprintf("free %s there, or restore to another file system", formatBytes(e.Need-e.Free))
}

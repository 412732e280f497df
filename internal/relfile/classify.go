// Package relfile knows PostgreSQL's file names: what of a data directory belongs into a base backup, and which file
// holds which part of which relation. It looks at names only, and does no I/O.
//
// The rules are those of PostgreSQL's own base backup (src/backend/backup/basebackup.c: excludeDirContents,
// excludeFiles, sendDir) and of https://www.postgresql.org/docs/current/continuous-archiving.html.
package relfile

import (
	"path"
	"strings"
)

// Class says what a base backup does with a path.
type Class int

// The classes.
const (
	Copy           Class = iota // it belongs into the backup
	Skip                        // it does not, and neither does anything below it
	EmptyDirectory              // the directory belongs into it, and of what is in it only what is such a directory, too
)

// Classify says what a base backup does with a path relative to the data directory, with slashes. Unlogged relations
// cannot be told by one name: see [UnloggedSet].
func Classify(place string) Class {
	switch base := path.Base(place); {
	case isEmptied(place):
		return EmptyDirectory
	case isInsideEmptied(place), isExcludedDirectory(base), isExcludedFile(base), isTemporary(place):
		return Skip
	case place == "global/pg_control":
		return Skip // taken apart and last
	}
	return Copy
}

// isEmptied lists the directories whose contents a recovery makes anew. pg_wal is filled from the archive.
func isEmptied(place string) bool {
	switch place {
	case "pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans",
		"pg_wal/archive_status", "pg_wal/summaries":
		return true
	}
	return false
}

// isInsideEmptied says whether a path lies in a directory that is kept empty.
func isInsideEmptied(place string) bool {
	top, _, below := strings.Cut(place, "/")
	return below && isEmptied(top)
}

func isExcludedDirectory(base string) bool {
	return strings.HasPrefix(base, "pgsql_tmp")
}

func isExcludedFile(base string) bool {
	switch base {
	case "postmaster.pid", "postmaster.opts", "postgresql.auto.conf.tmp", "current_logfiles.tmp",
		"backup_label", "backup_label.old", "tablespace_map", "tablespace_map.old", "backup_manifest",
		"recovery.signal", "standby.signal", "lifeboat.restore.yaml", "lifeboat.restore.log":
		return true
	}
	return strings.HasPrefix(base, "pg_internal.init")
}

// isTemporary recognises the files of temporary relations: tBACKEND_NUMBER, with fork and segment.
func isTemporary(place string) bool {
	base := path.Base(place)
	if !strings.HasPrefix(base, "t") || !inDatabase(place) {
		return false
	}
	backend, rest, found := strings.Cut(base[1:], "_")
	if !found || !digits(backend) {
		return false
	}
	_, ok := ParseName(rest)
	return ok
}

// inDatabase says whether a file lies where relations do: base/DATABASE, or DATABASE in a tablespace.
func inDatabase(place string) bool {
	parts := strings.Split(path.Dir(place), "/")
	switch {
	case len(parts) == 1:
		return parts[0] == "global"
	case len(parts) == 2:
		return parts[0] == "base" && digits(parts[1])
	}
	return len(parts) == 4 && parts[0] == "pg_tblspc" && digits(parts[1]) && digits(parts[3])
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

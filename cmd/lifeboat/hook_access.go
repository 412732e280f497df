package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"lifeboat/archive"
	"lifeboat/cmd/internal/config"
	"lifeboat/restore"
)

// hookFiles are the files that the restore_command of a restored directory reads, each with what it is.
func hookFiles(h hookAccess) [][2]string {
	return [][2]string{
		{"identity file", h.identity}, {"credentials file", h.from.file},
		{"file of certificate authorities", firstOf(h.repository.S3.CAFile.Value, h.repository.GCS.CAFile.Value)},
	}
}

// hookAccess is how a restore_command comes by one repository.
type hookAccess struct {
	repository *config.Repository
	from       credentialSource
	identity   string // absolute path of the identity file, or empty
}

// checkHookFiles finds out before a byte is restored whether the user as whom PostgreSQL will run can read what its
// restore_command needs. A nil owner is this process's own user.
func checkHookFiles(files [][2]string, owner *restore.Owner) error {
	for _, file := range files {
		what, path := file[0], file[1]
		if path == "" {
			continue
		}
		if err := readableBy(path, owner); err != nil {
			return &archive.OperatorError{
				Message: fmt.Sprintf("the %s %s cannot be read by %s, as whom PostgreSQL will run, and its restore_command needs it", what, path, userName(owner)),
				Hint:    fmt.Sprintf("give that user a copy of its own, mode 0600, in a directory that it can enter: install -o %s -m 600 %s …", userName(owner), path),
				Err:     err,
			}
		}
	}
	return nil
}

// readableBy is nil where a user can read the file at path, by its mode and those of the directories above.
func readableBy(path string, owner *restore.Owner) error {
	if owner == nil {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		return file.Close()
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if err := permits(real, owner, 4); err != nil {
		return err
	}
	for dir := filepath.Dir(real); ; dir = filepath.Dir(dir) {
		if err := permits(dir, owner, 1); err != nil {
			return err
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// permits is nil where the mode of path gives a user a right: 4 to read, 1 to enter.
func permits(path string, owner *restore.Owner, right fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.UID == 0 {
		return nil
	}
	mode := info.Mode().Perm()
	switch {
	case int(stat.Uid) == owner.UID:
		mode >>= 6
	case int(stat.Gid) == owner.GID:
		mode >>= 3
	}
	if mode&right == 0 {
		return &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}
	return nil
}

// userName is the owner's name for people, or its number.
func userName(owner *restore.Owner) string {
	uid := os.Geteuid()
	if owner != nil {
		uid = owner.UID
	}
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}

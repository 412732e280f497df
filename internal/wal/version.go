package wal

// Version is a major version of PostgreSQL, as the format of its WAL shows it.
type Version int

// The versions whose WAL this package reads.
const (
	OldestVersion Version = 13
	NewestVersion Version = 18
)

// versionOfMagic turns a page's magic number into the major version that writes it (XLOG_PAGE_MAGIC in
// xlog_internal.h of each release branch). Minor releases keep the number.
func versionOfMagic(magic uint16) (Version, bool) {
	switch magic {
	case 0xD106:
		return 13, true
	case 0xD10D:
		return 14, true
	case 0xD110:
		return 15, true
	case 0xD113:
		return 16, true
	case 0xD116:
		return 17, true
	case 0xD118:
		return 18, true
	}
	return 0, false
}

package storage

import "strings"

const (
	// MaxKeyLength is the longest key, in bytes; S3 allows 1024, of which the rest is left to a bucket's prefix.
	MaxKeyLength = 900
	// MaxSegmentLength is the longest part of a key between slashes, in bytes: the longest file name on Linux.
	MaxSegmentLength = 255
)

// ValidKey reports whether key may name an object: segments of the characters A-Z a-z 0-9 . _ - joined by single
// slashes, none of them empty, starting with a dot or longer than MaxSegmentLength, and no more than MaxKeyLength
// bytes in all. Such a key is safe as a relative path and needs no escaping in any store.
func ValidKey(key string) bool {
	if len(key) > MaxKeyLength {
		return false
	}
	for segment := range strings.SplitSeq(key, "/") {
		if !validSegment(segment) {
			return false
		}
	}
	return true
}

// ValidPrefix reports whether prefix may be listed: whether some valid key starts with it.
func ValidPrefix(prefix string) bool {
	return prefix == "" || ValidKey(prefix) || ValidKey(prefix+"x")
}

func validSegment(segment string) bool {
	if segment == "" || segment[0] == '.' || len(segment) > MaxSegmentLength {
		return false
	}
	for i := range len(segment) {
		if !validByte(segment[i]) {
			return false
		}
	}
	return true
}

func validByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	default:
		return c == '.' || c == '_' || c == '-'
	}
}

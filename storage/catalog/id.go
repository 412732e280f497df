package catalog

import (
	"crypto/rand"
	"strings"
	"time"
)

// NewID makes an id that sorts by time and is used by nobody else: the moment to the second in UTC, such as
// 20261122T102103Z, and six random characters.
func NewID(now time.Time) string { return idTime(now) + "-" + idNonce() }

// NewLabel makes the label of a backup: an id with the backup's type in the middle.
func NewLabel(now time.Time, backupType string) string {
	return idTime(now) + "-" + backupType + "-" + idNonce()
}

// IDTime is the moment that an id or a label begins with, and false where it does not begin with one.
func IDTime(id string) (time.Time, bool) {
	t, err := time.Parse(idLayout, id[:min(len(id), len(idLayout))])
	return t, err == nil
}

const idLayout = "20060102T150405Z"

func idTime(now time.Time) string { return now.UTC().Format(idLayout) }

// idNonce is six characters of base 32: thirty random bits.
func idNonce() string { return strings.ToLower(rand.Text()[:6]) }

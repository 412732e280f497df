package catalog

import (
	"fmt"
	"strings"
)

// The parts of a backup's keys. FORMAT.md, "Keys", shows them together.
const (
	startedFile = "started.json"
	recordFile  = "record.json"
	indexFile   = "index"
	packsFolder = "packs/"
)

// Limits of what a backup can consist of.
const (
	maxStreams  = 256
	maxSequence = 999_999 // packs of a stream
	maxPacks    = 4 << 20 // of a backup with all that it refers to
	maxPackSize = 1 << 40 // bytes
)

func (c *Cluster) backupsPrefix() string            { return c.root + "backups/" }
func (c *Cluster) backupPrefix(label string) string { return c.backupsPrefix() + label + "/" }
func (c *Cluster) startedKey(label string) string   { return c.backupPrefix(label) + startedFile }
func (c *Cluster) recordKey(label string) string    { return c.backupPrefix(label) + recordFile }
func (c *Cluster) indexKey(label string) string     { return c.backupPrefix(label) + indexFile }
func (c *Cluster) packKey(pack packRef) string      { return c.backupPrefix(pack.label) + pack.name() }

// packRef is a pack as the index's pack table names it.
type packRef struct {
	label    string
	stream   uint32
	sequence uint32 // from one
	size     int64
	sum      [32]byte // SHA-256 of the whole object
}

// name is the pack's key within its backup.
func (p packRef) name() string {
	return fmt.Sprintf("%s%02x/%06d", packsFolder, p.stream, p.sequence)
}

func (p packRef) check() error {
	switch {
	case !ValidID(p.label):
		return fmt.Errorf("pack of an invalid label %q", p.label)
	case p.stream >= maxStreams:
		return fmt.Errorf("pack of stream %d", p.stream)
	case p.sequence < 1 || p.sequence > maxSequence:
		return fmt.Errorf("pack of sequence %d", p.sequence)
	case p.size < 1 || p.size > maxPackSize:
		return fmt.Errorf("pack of %d bytes", p.size)
	}
	return nil
}

// splitBackupKey takes the key of an object below backups/ apart: the label and what follows it.
func (c *Cluster) splitBackupKey(key string) (label, name string, ok bool) {
	rest, ok := strings.CutPrefix(key, c.backupsPrefix())
	if !ok {
		return "", "", false
	}
	label, name, ok = strings.Cut(rest, "/")
	return label, name, ok && ValidID(label)
}

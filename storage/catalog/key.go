package catalog

import (
	"fmt"
	"strings"

	"lifeboat/internal/wal"
)

// The parts of keys. FORMAT.md, "Keys", shows them together.
const (
	repositoryKey  = "lifeboat.json"
	clustersPrefix = "clusters/"
	clusterFile    = "cluster.json"
	documentSuffix = ".json"
	evidenceFile   = "evidence.json"
	historySuffix  = ".history"
)

// ProbePrefix is what the keys of the objects start with by which a store is tried. None is part of the repository, and
// nobody needs one that is left.
const ProbePrefix = "lifeboat-check/"

// maxName is the longest name of a cluster, in bytes.
const maxName = 63

// ValidClusterName reports whether name can be a cluster's: 1 to 63 of a-z, 0-9, _ and -, not starting with _ or -.
func ValidClusterName(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '_' || name[0] == '-' {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return !clusterNameRune(r) }) < 0
}

func clusterNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// ValidID reports whether id can name a backup, a census, a drill or a finding: 1 to 128 of A-Z, a-z, 0-9, _ and -.
func ValidID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool { return !clusterNameRune(r) && (r < 'A' || r > 'Z') }) < 0
}

func checkID(what, id string) error {
	if !ValidID(id) {
		return fmt.Errorf("%s %q: %w", what, id, ErrName)
	}
	return nil
}

func clusterKey(name string) string { return clustersPrefix + name + "/" + clusterFile }

// clusterRoot is what all keys of a cluster's data start with.
func clusterRoot(name string, systemIdentifier uint64) string {
	return fmt.Sprintf("%s%s/%d/", clustersPrefix, name, systemIdentifier)
}

func (c *Cluster) walPrefix() string          { return c.root + "wal/" }
func (c *Cluster) timelinesPrefix() string    { return c.root + "timelines/" }
func (c *Cluster) censusPrefix() string       { return c.root + "censuses/" }
func (c *Cluster) drillPrefix() string        { return c.root + "drills/" }
func (c *Cluster) dumpPrefix() string         { return c.root + "dumps/" }
func (c *Cluster) findingPrefix() string      { return c.root + "findings/" }
func (c *Cluster) verificationPrefix() string { return c.root + "verifications/" }

// walTimelinePrefix is what the keys of a timeline's segments start with.
func (c *Cluster) walTimelinePrefix(tli wal.TimelineID) string {
	return c.walPrefix() + tli.Hex() + "/"
}

// walKey is the key of a file that PostgreSQL archives.
func (c *Cluster) walKey(name wal.FileName) string {
	if name.Kind == wal.History {
		return c.timelinesPrefix() + name.String()
	}
	return fmt.Sprintf("%s%08X/%s", c.walTimelinePrefix(name.Timeline), name.Log, name)
}

func (c *Cluster) censusKey(id string) string  { return c.censusPrefix() + id + documentSuffix }
func (c *Cluster) findingKey(id string) string { return c.findingPrefix() + id + documentSuffix }
func (c *Cluster) verificationKey(id string) string {
	return c.verificationPrefix() + id + documentSuffix
}

// dumpKey is the key of one of the objects of a dump.
func (c *Cluster) dumpKey(id, name string) string { return c.dumpPrefix() + id + "/" + name }

// pieceKey is the key of a piece of a dump's part. Its number in the key is one more than the given one.
func (c *Cluster) pieceKey(id string, part DumpPart, number int) string {
	return c.dumpKey(id, fmt.Sprintf("%s/%06d", part, number+1))
}

// drillKey is the key of one of the files that a drill leaves.
func (c *Cluster) drillKey(id, file string) string { return c.drillPrefix() + id + "/" + file }

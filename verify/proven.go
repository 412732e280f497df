package verify

import (
	"slices"
	"strings"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// Proven is what a verification has shown of one backup: OK where every byte of it, of what it refers to and of the WAL that
// makes it consistent was read and is sound, Fail where something is not, Unproven where not all could be checked.
type Proven struct {
	Repository string   `json:"repository,omitempty"` // of several
	Cluster    string   `json:"cluster"`
	Label      string   `json:"label"`
	Result     Severity `json:"result"`
}

// prove judges a backup by all findings that are about it.
func (r *Report) prove(record catalog.Record) {
	result := Unproven
	for _, f := range r.Findings {
		switch {
		case f.Severity == Fail && concerns(f.Object, record):
			r.Backups = append(r.Backups, Proven{Cluster: record.Cluster, Label: record.Label, Result: Fail})
			return
		case f.Severity == OK && f.Object == object(record) && !r.closed:
			result = OK
		}
	}
	r.Backups = append(r.Backups, Proven{Cluster: record.Cluster, Label: record.Label, Result: result})
}

// concerns says whether an object of a finding is the backup, or one that it is made of.
func concerns(about string, record catalog.Record) bool {
	if about == object(record) {
		return true
	}
	for _, label := range append([]string{record.Label}, record.References...) {
		if strings.Contains(about, "/"+record.Cluster+"/") && strings.Contains(about, "/backups/"+label+"/") {
			return true
		}
	}
	return strings.Contains(about, "/"+record.Cluster+"/") && slices.ContainsFunc(walOf(record), func(name string) bool {
		return strings.HasSuffix(about, "/"+name)
	})
}

// walOf names the segments that make a backup consistent.
func walOf(record catalog.Record) []string {
	var names []string
	last := wal.LastSegmentOf(record.StopLSN, record.WALSegmentSize)
	for number := wal.SegmentOf(record.StartLSN, record.WALSegmentSize); number <= last; number++ {
		names = append(names, wal.SegmentName(record.Timeline, number, record.WALSegmentSize))
	}
	return names
}

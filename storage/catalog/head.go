package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/wal"
)

// Head is how far a cluster's part of a repository has come, small enough to be remembered elsewhere. Who finds less
// than that later knows that the repository was set back in time, which no checksum inside of it can show.
type Head struct {
	Cluster          string         `json:"cluster"`
	SystemIdentifier uint64         `json:"system_identifier,string"`
	Backup           string         `json:"backup,omitempty"` // label of the newest one
	Record           string         `json:"record,omitempty"` // SHA-256 of its record document, hexadecimal
	Timelines        []TimelineHead `json:"timelines,omitempty"`
	Census           string         `json:"census,omitempty"`   // id of the newest one
	Evidence         string         `json:"evidence,omitempty"` // id of the newest one
}

// TimelineHead is where the WAL of a timeline ends.
type TimelineHead struct {
	Timeline wal.TimelineID `json:"timeline"`
	Segment  string         `json:"segment"` // name of the last one
	To       wal.LSN        `json:"to"`      // its end, exclusive
}

// Head computes the head from an inventory of this cluster, and lists censuses and evidence for it.
func (c *Cluster) Head(ctx context.Context, inv *Inventory) (Head, error) {
	h := inv.head()
	censuses, err := c.CensusIDs(ctx)
	if err != nil {
		return Head{}, err
	}
	evidence, err := c.EvidenceIDs(ctx)
	if err != nil {
		return Head{}, err
	}
	h.Census, h.Evidence = newest(censuses), newest(evidence)
	return h, nil
}

// newest is the last of sorted ids.
func newest(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

// head is what the inventory itself tells: what is there counts, be it damaged or not.
func (inv *Inventory) head() Head {
	h := Head{Cluster: inv.Cluster, SystemIdentifier: inv.Identity.SystemIdentifier}
	h.Backup = inv.newestBackup
	h.Record = inv.records[h.Backup]
	size := inv.Identity.WALSegmentSize
	for _, tli := range slices.Sorted(maps.Keys(inv.lastSegments)) {
		last := inv.lastSegments[tli]
		h.Timelines = append(h.Timelines, TimelineHead{
			Timeline: tli, Segment: wal.SegmentName(tli, last, size), To: wal.Start(last+1, size),
		})
	}
	return h
}

// SetBack says what the repository held when h was remembered and does not hold now, as sentences for the operator: none
// where it has only grown, and old things have expired. Expiry takes the oldest first, and never the newest backup.
func (h Head) SetBack(now Head) []string {
	if h.Cluster != now.Cluster || h.SystemIdentifier != now.SystemIdentifier {
		return []string{fmt.Sprintf("the repository held cluster %s with system identifier %d, and now holds %s with %d in its place",
			h.Cluster, h.SystemIdentifier, now.Cluster, now.SystemIdentifier)}
	}
	var lost []string
	lost = append(lost, h.lostBackup(now)...)
	for _, timeline := range h.Timelines {
		lost = append(lost, timeline.lost(now)...)
	}
	lost = append(lost, h.lostDocument(now, "census", h.Census, now.Census)...)
	return append(lost, h.lostDocument(now, "evidence of drill", h.Evidence, now.Evidence)...)
}

func (h Head) lostBackup(now Head) []string {
	switch {
	case now.Backup > h.Backup:
		return nil
	case now.Backup < h.Backup:
		return []string{fmt.Sprintf("backup %s is gone, and %s", h.Backup, newestNow("backup", now.Backup))}
	case now.Record != h.Record && h.Record != "":
		return []string{fmt.Sprintf("the record of backup %s is another one", h.Backup)}
	}
	return nil
}

// lost is about a timeline whose WAL ends earlier than it did. One that is gone altogether has expired where there is a
// later one.
func (t TimelineHead) lost(now Head) []string {
	later := false
	for _, other := range now.Timelines {
		if other.Timeline == t.Timeline && other.To < t.To {
			return []string{fmt.Sprintf("WAL segment %s is gone, and timeline %s ends with %s now", t.Segment, t.Timeline, other.Segment)}
		}
		if other.Timeline == t.Timeline {
			return nil
		}
		later = later || other.Timeline > t.Timeline
	}
	if later {
		return nil
	}
	return []string{fmt.Sprintf("WAL segment %s is gone, and with it all of timeline %s", t.Segment, t.Timeline)}
}

// lostDocument is about censuses and evidence. All of them may have expired, if the repository has gone on since.
func (h Head) lostDocument(now Head, what, known, newest string) []string {
	if newest >= known || newest == "" && now.Backup > h.Backup {
		return nil
	}
	return []string{fmt.Sprintf("%s %s is gone, and %s", what, known, newestNow(what, newest))}
}

func newestNow(what, id string) string {
	if id == "" {
		return "there is no other one"
	}
	return "the newest " + what + " is " + id
}

package catalog

import (
	"fmt"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// floor is the first segment of a timeline that is needed.
type floor struct {
	number wal.SegmentNumber
	label  string // of the backup that needs it
}

// walFloors finds what the backups that stay need on each timeline: all from their start on, on their own timeline and on
// those that they can be recovered to. A timeline that no backup leads to has no floor.
func (e *expiry) walFloors() map[wal.TimelineID]floor {
	floors := map[wal.TimelineID]floor{}
	for _, tli := range e.walTimelines() {
		for _, b := range e.inv.Backups {
			if _, stays := e.kept[b.Label]; !stays || !e.leadsTo(b, tli) {
				continue
			}
			start := wal.SegmentOf(b.StartLSN, e.inv.Identity.WALSegmentSize)
			if known, ok := floors[tli]; !ok || start < known.number {
				floors[tli] = floor{number: start, label: b.Label}
			}
		}
	}
	return floors
}

// walTimelines are all that have any WAL.
func (e *expiry) walTimelines() []wal.TimelineID {
	var found []wal.TimelineID
	seen := map[wal.TimelineID]bool{}
	for _, list := range [][]stockedWAL{e.stock.wal, e.stock.tails} {
		for _, w := range list {
			if !seen[w.timeline] {
				seen[w.timeline] = true
				found = append(found, w.timeline)
			}
		}
	}
	return found
}

func (e *expiry) leadsTo(b Record, tli wal.TimelineID) bool {
	history, ok := e.inv.History(tli)
	return b.Timeline == tli || ok && onPath(history, b)
}

// walFate is the fate of a segment of a timeline, in words.
func (e *expiry) walFate(tli wal.TimelineID, number wal.SegmentNumber) (expires bool, reason string) {
	f, ok := e.floors[tli]
	_, known := e.inv.Histories[tli]
	switch {
	case tli > 1 && !known:
		return false, "where its timeline comes from is not known: the history file is missing"
	case ok && number >= f.number:
		return false, "backup " + f.label + " and those after it need it"
	case ok:
		return true, "it lies before backup " + f.label + ", the first one that is kept and leads there"
	case tli == e.newestTimeline():
		return false, "it is of the newest timeline"
	case e.stock.newest.Sub(e.stock.lastStored(tli)) < max(e.policy.Keep, inProgress):
		return false, "its timeline is still in use, or was a while ago"
	}
	return true, fmt.Sprintf("no backup that is kept leads to timeline %s", tli)
}

func (e *expiry) newestTimeline() wal.TimelineID {
	var newest wal.TimelineID
	for _, tli := range e.walTimelines() {
		newest = max(newest, tli)
	}
	return newest
}

// lastStored is when WAL of a timeline was stored last, by the store's clock.
func (s *Stock) lastStored(tli wal.TimelineID) time.Time {
	var last time.Time
	for _, list := range [][]stockedWAL{s.wal, s.tails} {
		for _, w := range list {
			if w.timeline == tli && w.ModTime.After(last) {
				last = w.ModTime
			}
		}
	}
	return last
}

// walFates joins the files of each timeline to ranges with one fate.
func (e *expiry) walFates(files []stockedWAL) []Fate {
	var fates []Fate
	var part []stockedWAL
	var expires bool
	var reason string
	flush := func() {
		if len(part) > 0 {
			fates = append(fates, rangeFate(FateWAL, part, expires, reason))
		}
		part = nil
	}
	judged := map[floorKey]judgement{}
	for _, w := range files {
		j := e.judge(judged, w)
		if len(part) > 0 && (j.expires != expires || j.reason != reason || part[0].timeline != w.timeline) {
			flush()
		}
		part, expires, reason = append(part, w), j.expires, j.reason
	}
	flush()
	return fates
}

// floorKey is what the fate of a segment depends on: its timeline, and whether it lies below the floor.
type floorKey struct {
	timeline wal.TimelineID
	below    bool
}

type judgement struct {
	expires bool
	reason  string
}

// judge is walFate, once for each answer that there can be.
func (e *expiry) judge(known map[floorKey]judgement, w stockedWAL) judgement {
	key := floorKey{timeline: w.timeline, below: w.number < e.floors[w.timeline].number}
	j, ok := known[key]
	if !ok {
		j.expires, j.reason = e.walFate(w.timeline, w.number)
		known[key] = j
	}
	return j
}

func rangeFate(class string, part []stockedWAL, expires bool, reason string) Fate {
	objects := make([]storage.Info, 0, len(part))
	for _, w := range part {
		objects = append(objects, w.Info)
	}
	name := part[0].name.String()
	if last := part[len(part)-1].name.String(); last != name {
		name += " to " + last
	}
	fate := newFate(class, name, expires, reason, objects...)
	fate.timeline = part[0].timeline
	return fate
}

// tailFates are those of the tails, each as a whole. A tail whose segment is stored whole is of no more use.
func (e *expiry) tailFates() []Fate {
	whole := map[wal.FileName]bool{}
	for _, w := range e.stock.wal {
		whole[w.name] = true
	}
	var fates []Fate
	for i := 0; i < len(e.stock.tails); {
		first := e.stock.tails[i]
		n := 1
		for i+n < len(e.stock.tails) && e.stock.tails[i+n].name == first.name {
			n++
		}
		expires, reason := e.walFate(first.timeline, first.number)
		if whole[first.name] {
			expires, reason = true, "the whole segment is stored"
		}
		fates = append(fates, rangeFate(FateTail, e.stock.tails[i:i+n], expires, reason))
		i += n
	}
	return fates
}

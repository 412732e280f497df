package catalog

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"lifeboat/storage"
)

// Lack is what one copy of a cluster does not have and another one has.
type Lack struct {
	Copy string
	Err  error // why the copy could not be asked; then nothing else is known

	WAL      int      // archived files of all kinds
	Backups  []string // labels, of backups that another copy has the record of
	Censuses []string // ids
	Drills   []string // ids
	Dumps    []string // ids
	Findings int

	Objects int
	Bytes   int64
}

// Complete says that the copy has all that the others have.
func (l Lack) Complete() bool { return l.Err == nil && l.Objects == 0 }

// Lacks compares what the copies hold, by their keys, and says for each what it lacks, the nearest first. Copies that
// cannot be reached are left out of the comparison. Leavings of backups and drills that never ended do not count.
func (c *Cluster) Lacks(ctx context.Context) ([]Lack, error) {
	if c.copies == nil {
		return []Lack{{Copy: c.bucket.Location()}}, nil
	}
	present, lacks, err := c.copies.present(ctx)
	if err != nil {
		return nil, err
	}
	for group, err := range c.copies.groups(ctx, present) {
		if err != nil {
			return nil, err
		}
		for i := range present {
			if missing := group.missing(i); len(missing) > 0 {
				lacks[present[i].place].add(group, missing)
			}
		}
	}
	return lacks, nil
}

// presentCopy is a copy that can be asked.
type presentCopy struct {
	*Cluster
	called string
	place  int // among all copies
}

// present are the copies that can be asked now, and an empty lack for each copy.
func (s *copies) present(ctx context.Context) ([]presentCopy, []Lack, error) {
	all := askEach(ctx, s, false, func(ctx context.Context, c *Cluster) (*Cluster, error) { return c, c.Confirm(ctx) })
	if _, err := answered(all); err != nil {
		return nil, nil, err
	}
	var present []presentCopy
	lacks := make([]Lack, len(all))
	for i, h := range all {
		lacks[i] = Lack{Copy: h.from.Name, Err: h.err}
		if h.err == nil {
			present = append(present, presentCopy{Cluster: h.value, called: h.from.Name, place: i})
		}
	}
	return present, lacks, nil
}

func (l *Lack) add(g objectGroup, missing []heldObject) {
	l.Objects += len(missing)
	for _, o := range missing {
		l.Bytes += o.size
	}
	switch g.kind {
	case groupBackup:
		l.Backups = append(l.Backups, g.id)
	case groupDrill:
		l.Drills = append(l.Drills, g.id)
	case groupDump:
		l.Dumps = append(l.Dumps, g.id)
	case groupCensus:
		l.Censuses = append(l.Censuses, g.id)
	case groupFinding:
		l.Findings++
	case groupWAL:
		l.WAL++
	}
}

// heldObject is an object and which of the present copies hold it.
type heldObject struct {
	key  string
	size int64
	by   []bool
}

// The kinds of objects that are copied together.
const (
	groupWAL     = "WAL file"
	groupBackup  = "backup"
	groupCensus  = "census"
	groupDrill   = "drill"
	groupDump    = "dump"
	groupFinding = "finding"
)

// objectGroup are objects that are only of use together.
type objectGroup struct {
	kind, id string
	prefix   string // of the keys
	objects  []heldObject
}

// missing are the objects of the group that a copy lacks. A group that no copy has whole lacks nothing.
func (g objectGroup) missing(i int) []heldObject {
	var missing []heldObject
	for _, o := range g.objects {
		if !o.by[i] {
			missing = append(missing, o)
		}
	}
	return missing
}

// completed says whether the document is there that makes a group of objects one whole.
func (g objectGroup) completed() bool {
	last := map[string]string{groupBackup: recordFile, groupDrill: evidenceFile, groupDump: dumpFile}[g.kind]
	return last == "" || slices.ContainsFunc(g.objects, func(o heldObject) bool { return o.key == g.prefix+last })
}

// groupOf says what an object belongs to; false for objects that this program does not know.
func (c *Cluster) groupOf(key string) (objectGroup, bool) {
	folder, rest, _ := strings.Cut(strings.TrimPrefix(key, c.root), "/")
	id, _, nested := strings.Cut(rest, "/")
	document, isDocument := strings.CutSuffix(strings.TrimSuffix(rest, signatureSuffix), documentSuffix)
	switch folder {
	case "backups":
		return objectGroup{kind: groupBackup, id: id, prefix: c.backupPrefix(id)}, nested && ValidID(id)
	case "drills":
		return objectGroup{kind: groupDrill, id: id, prefix: c.drillKey(id, "")}, nested && ValidID(id)
	case "dumps":
		return objectGroup{kind: groupDump, id: id, prefix: c.dumpKey(id, "")}, nested && ValidID(id)
	case "censuses":
		return objectGroup{kind: groupCensus, id: document, prefix: c.censusPrefix() + document}, isDocument && ValidID(document)
	case "findings":
		return objectGroup{kind: groupFinding, id: document, prefix: c.findingPrefix() + document}, isDocument && ValidID(document)
	}
	name, ok := c.parseWALKey(key)
	return objectGroup{kind: groupWAL, id: name.String(), prefix: key}, ok
}

// groups yields all groups of objects that any of the present copies holds whole.
func (s *copies) groups(ctx context.Context, present []presentCopy) iter.Seq2[objectGroup, error] {
	return func(yield func(objectGroup, error) bool) {
		var group objectGroup
		for object, err := range mergeListings(ctx, present) {
			if err != nil {
				yield(objectGroup{}, err)
				return
			}
			next, known := present[0].groupOf(object.key)
			if !known {
				continue
			}
			if next.prefix != group.prefix {
				if len(group.objects) > 0 && group.completed() && !yield(group, nil) {
					return
				}
				group = next
			}
			group.objects = append(group.objects, object)
		}
		if len(group.objects) > 0 && group.completed() {
			yield(group, nil)
		}
	}
}

// mergeListings lists the objects of all present copies at the same time, in the order of keys, in little memory.
func mergeListings(ctx context.Context, present []presentCopy) iter.Seq2[heldObject, error] {
	return func(yield func(heldObject, error) bool) {
		lists := make([]*listed, len(present))
		for i, p := range present {
			lists[i] = newListed(p.bucket.List(ctx, p.root))
			defer lists[i].stop()
		}
		for {
			object, err := nextObject(lists)
			if err != nil {
				yield(heldObject{}, fmt.Errorf("compare the copies: %w", err))
				return
			}
			if object.key == "" || !yield(object, nil) {
				return
			}
		}
	}
}

// listed is a listing with the object that comes next.
type listed struct {
	next func() (storage.Info, error, bool)
	stop func()
	info storage.Info
	err  error
	more bool
}

func newListed(list iter.Seq2[storage.Info, error]) *listed {
	l := &listed{}
	l.next, l.stop = iter.Pull2(list)
	l.advance()
	return l
}

func (l *listed) advance() { l.info, l.err, l.more = l.next() }

// nextObject takes the first key of all listings from each that has it; an empty one at the end.
func nextObject(lists []*listed) (heldObject, error) {
	object := heldObject{by: make([]bool, len(lists))}
	for _, l := range lists {
		if l.more && l.err != nil {
			return object, l.err
		}
		if l.more && (object.key == "" || l.info.Key < object.key) {
			object.key, object.size = l.info.Key, l.info.Size
		}
	}
	for i, l := range lists {
		if l.more && l.info.Key == object.key {
			object.by[i] = true
			l.advance()
		}
	}
	return object, nil
}

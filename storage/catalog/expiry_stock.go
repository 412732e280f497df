package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// Stock is all that a repository holds of one cluster: what it means, and every object. What is to expire follows from it
// without asking the repository again.
type Stock struct {
	Inventory *Inventory
	backups   map[string][]storage.Info // objects by label
	wal       []stockedWAL              // by timeline and position
	tails     []stockedWAL              // pieces, by timeline and position
	censuses  map[string][]storage.Info // by id
	drills    map[string][]storage.Info // by id
	dumps     map[string][]storage.Info // by id
	leases    map[string][]storage.Info // by what they are for
	findings  map[string]storage.Info   // by key
	proofs    map[string][]storage.Info // verifications, by id
	probes    []storage.Info            // of stores, see ProbePrefix
	newest    time.Time                 // when the last of all objects was stored, by the store's clock

	verifications []Verification // that can be read, oldest first
}

// stockedWAL is an object of WAL with a place in it.
type stockedWAL struct {
	storage.Info
	timeline wal.TimelineID
	number   wal.SegmentNumber
	name     wal.FileName
}

// TakeStock lists all objects of the cluster and takes its inventory. Any listing that does not come to its end is an
// error.
func (c *Cluster) TakeStock(ctx context.Context) (*Stock, error) {
	s := &Stock{
		backups: map[string][]storage.Info{}, censuses: map[string][]storage.Info{}, drills: map[string][]storage.Info{},
		dumps:  map[string][]storage.Info{},
		leases: map[string][]storage.Info{}, findings: map[string]storage.Info{}, proofs: map[string][]storage.Info{},
	}
	if err := c.listStock(ctx, s); err != nil {
		return nil, fmt.Errorf("take stock of cluster %s: %w", c.name, err)
	}
	// The inventory comes second, so that a backup which was finished meanwhile is known as such.
	inv, err := c.Inventory(ctx)
	if err != nil {
		return nil, fmt.Errorf("take stock: %w", err)
	}
	s.Inventory = inv
	if err := c.takeVerifications(ctx, s); err != nil {
		return nil, fmt.Errorf("take stock: %w", err)
	}
	for _, list := range [][]stockedWAL{s.wal, s.tails} {
		slices.SortStableFunc(list, byPosition)
	}
	return s, nil
}

func (c *Cluster) listStock(ctx context.Context, s *Stock) error {
	for info, err := range c.bucket.List(ctx, c.root) {
		if err != nil {
			return err
		}
		c.stock(s, info)
	}
	for info, err := range c.bucket.List(ctx, ProbePrefix) {
		if err != nil {
			return err
		}
		s.probes = append(s.probes, info)
		s.newest = later(s.newest, info.ModTime)
	}
	return nil
}

// takeVerifications reads the verifications. One without a trusted signature says nothing; one that is damaged is a problem
// of the inventory.
func (c *Cluster) takeVerifications(ctx context.Context, s *Stock) error {
	found, problems, err := c.verifications(ctx)
	s.verifications = found
	for _, p := range problems {
		if unsigned := (*UnsignedError)(nil); !errors.As(p.Err, &unsigned) {
			s.Inventory.Problems = append(s.Inventory.Problems, p)
		}
	}
	return err
}

func byPosition(a, b stockedWAL) int {
	return cmp.Or(cmp.Compare(a.timeline, b.timeline), cmp.Compare(a.number, b.number), strings.Compare(a.Key, b.Key))
}

// stock puts an object where it belongs. What has no place, such as history files and objects of other programs, never
// expires.
func (c *Cluster) stock(s *Stock, info storage.Info) {
	s.newest = later(s.newest, info.ModTime)
	size := c.identity.WALSegmentSize
	if name, ok := c.parseWALKey(info.Key); ok {
		if name.Kind != wal.History {
			s.wal = append(s.wal, stockedWAL{Info: info, timeline: name.Timeline, number: name.SegmentNumber(size), name: name})
		}
		return
	}
	if name, _, ok := c.parseTailKey(info.Key); ok {
		s.tails = append(s.tails, stockedWAL{Info: info, timeline: name.Timeline, number: name.SegmentNumber(size), name: name})
		return
	}
	if label, _, ok := c.splitBackupKey(info.Key); ok {
		s.backups[label] = append(s.backups[label], info)
		return
	}
	c.stockDocument(s, info)
}

func (c *Cluster) stockDocument(s *Stock, info storage.Info) {
	if id, ok := idOfDocument(strings.TrimSuffix(info.Key, signatureSuffix), c.censusPrefix()); ok {
		s.censuses[id] = append(s.censuses[id], info)
		return
	}
	if id, _, ok := strings.Cut(strings.TrimPrefix(info.Key, c.drillPrefix()), "/"); ok && strings.HasPrefix(info.Key, c.drillPrefix()) && ValidID(id) {
		s.drills[id] = append(s.drills[id], info)
		return
	}
	if id, _, ok := strings.Cut(strings.TrimPrefix(info.Key, c.dumpPrefix()), "/"); ok && strings.HasPrefix(info.Key, c.dumpPrefix()) && ValidID(id) {
		s.dumps[id] = append(s.dumps[id], info)
		return
	}
	if c.isLeaseKey(info.Key) {
		what, _, _ := strings.Cut(strings.TrimPrefix(info.Key, c.leasesPrefix()), "/")
		s.leases[what] = append(s.leases[what], info)
		return
	}
	if id, ok := idOfDocument(strings.TrimSuffix(info.Key, signatureSuffix), c.verificationPrefix()); ok {
		s.proofs[id] = append(s.proofs[id], info)
		return
	}
	if _, ok := idOfDocument(info.Key, c.findingPrefix()); ok {
		s.findings[info.Key] = info
	}
}

// labels are those of all backups with objects, in order.
func (s *Stock) labels() []string { return slices.Sorted(maps.Keys(s.backups)) }

// youngest is when the last of the objects was stored.
func youngest(objects []storage.Info) time.Time {
	var latest time.Time
	for _, o := range objects {
		latest = later(latest, o.ModTime)
	}
	return latest
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// has says whether an object whose key ends so is among them.
func has(objects []storage.Info, suffix string) bool {
	return slices.ContainsFunc(objects, func(o storage.Info) bool { return strings.HasSuffix(o.Key, suffix) })
}

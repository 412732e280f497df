package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/storage"
)

// ScrubOptions say what to read.
type ScrubOptions struct {
	Cluster  string              // name; empty for all
	Backup   string              // label: only the objects of this backup; empty for all
	Parallel int                 // objects read at the same time; below one means two
	Progress func(ScrubProgress) // called by one goroutine at a time; may be nil
}

// ScrubProgress counts what was read up to now.
type ScrubProgress struct {
	Objects, ObjectsTotal int64
	Bytes, BytesTotal     int64
}

// ScrubReport is the result of reading every byte of every object.
type ScrubReport struct {
	Objects    int64    `json:"objects"`
	Bytes      int64    `json:"bytes"`
	Damaged    []Damage `json:"damaged"`    // in the order of keys
	Unknown    []string `json:"unknown"`    // keys that the format does not know, or that nothing stands for
	Unfinished []string `json:"unfinished"` // cluster/label of backups that were started and have no record
	// UnfinishedDumps are cluster/id of dumps without their document.
	UnfinishedDumps []string `json:"unfinished_dumps"`
	Unproven        []Damage `json:"unproven"` // objects of which not all could be checked, and why; in the order of keys
}

// Damage is an object whose bytes are not what was stored, or that is missing though another one stands for it.
type Damage struct {
	Key    string `json:"key"`
	Kind   string `json:"kind"` // "document", "signature", "wal", "pack", "index", "evidence" or "dump"
	Detail string `json:"detail"`
}

// Scrub reads and checks every byte of every object: documents; WAL objects by their checksums, and segments once more
// record by record; packs by the checksum of the whole and frame by frame; indexes whole and block by block; the files of
// drills; signatures where there are trusted keys. Objects of backups without a record are not read, for nothing says
// what they should be.
//
// Of sealed objects that cannot be opened, and of signatures where no key is trusted, it proves what can be proven without,
// and says which they are.
//
// What expires meanwhile is passed over. An object that could not be read, or that a newer Lifeboat made, is an error and not a damage; then the report is
// what was found until then. A backup of options that is in no cluster is storage.ErrNotFound.
func (r *Repository) Scrub(ctx context.Context, opts ScrubOptions) (ScrubReport, error) {
	tree, err := r.listTree(ctx, opts)
	if err != nil {
		return ScrubReport{}, fmt.Errorf("scrub: %w", err)
	}
	s := newScrubber(ctx, opts, tree, r.bucket)
	s.group.Go(func() error { return r.scrubTree(s, opts, tree) })
	err = s.group.Wait()
	if err != nil {
		return s.sorted(), fmt.Errorf("scrub: %w", err)
	}
	return s.sorted(), nil
}

// scrubTree sends every object to its check.
func (r *Repository) scrubTree(s *scrubber, opts ScrubOptions, tree objectTree) error {
	if opts.Backup == "" {
		r.scrubRepositoryDocument(s)
		s.unknown(tree.strange...)
	}
	for _, name := range tree.names() {
		if err := r.scrubCluster(s, opts, name, tree.clusters[name]); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) scrubRepositoryDocument(s *scrubber) {
	s.check(repositoryKey, damageDocument, func(ctx context.Context) error {
		_, err := Open(ctx, r.bucket)
		if errors.Is(err, ErrNoRepository) {
			return damaged(repositoryKey, "is missing")
		}
		return err
	})
}

// scrubCluster checks all objects of a cluster. Without its document nothing else in it can be understood.
func (r *Repository) scrubCluster(s *scrubber, opts ScrubOptions, name string, keys []string) error {
	var c *Cluster
	err := s.checkNow(clusterKey(name), damageDocument, func(ctx context.Context) (err error) {
		c, err = r.Cluster(ctx, name)
		if errors.Is(err, ErrNoCluster) {
			return damaged(clusterKey(name), "is missing")
		}
		return err
	})
	if c == nil || err != nil {
		return err
	}
	cs := &clusterScrub{scrubber: s, cluster: c, backups: map[string][]string{}, drills: map[string][]string{}, dumps: map[string][]string{}, tails: storedTails{}}
	for _, key := range keys {
		cs.take(key)
	}
	cs.checkDrills()
	cs.checkDumps()
	cs.checkTails()
	return cs.checkBackups()
}

// objectTree is every key of a repository, by cluster.
type objectTree struct {
	clusters map[string][]string // keys by the cluster's name, in order
	strange  []string            // keys that belong to no cluster
	sizes    map[string]int64    // of every key, in bytes
}

func (t objectTree) names() []string {
	names := make([]string, 0, len(t.clusters))
	for name := range t.clusters {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// listTree lists all objects that the options ask for.
func (r *Repository) listTree(ctx context.Context, opts ScrubOptions) (objectTree, error) {
	prefix := ""
	if opts.Cluster != "" {
		if !ValidClusterName(opts.Cluster) {
			return objectTree{}, fmt.Errorf("cluster %q: %w", opts.Cluster, ErrName)
		}
		prefix = clustersPrefix + opts.Cluster + "/"
	}
	tree := objectTree{clusters: map[string][]string{}, sizes: map[string]int64{}}
	for info, err := range r.bucket.List(ctx, prefix) {
		if err != nil {
			return objectTree{}, fmt.Errorf("list objects: %w", err)
		}
		if opts.Backup == "" || strings.Contains(info.Key, "/backups/"+opts.Backup+"/") {
			tree.add(info)
		}
	}
	if len(tree.clusters) == 0 && opts.Cluster+opts.Backup != "" {
		return tree, fmt.Errorf("cluster %q, backup %q: %w", opts.Cluster, opts.Backup, storage.ErrNotFound)
	}
	return tree, nil
}

func (t *objectTree) add(info storage.Info) {
	t.sizes[info.Key] = info.Size
	rest, ok := strings.CutPrefix(info.Key, clustersPrefix)
	name, _, below := strings.Cut(rest, "/")
	switch {
	case ok && below && ValidClusterName(name):
		t.clusters[name] = append(t.clusters[name], info.Key)
	case info.Key != repositoryKey:
		t.strange = append(t.strange, info.Key)
	}
}

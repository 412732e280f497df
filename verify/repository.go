package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/storage/catalog"
)

// Options say what to verify.
type Options struct {
	Cluster  string                      // name; empty for all
	Backup   string                      // label: this backup and what recovery to its end needs; empty for all
	Parallel int                         // objects read at the same time; below one means two
	Progress func(catalog.ScrubProgress) // called by one goroutine at a time; may be nil
}

// Repository reads every byte of the repository and checks it, and then what follows from it: that each backup has the
// WAL from its start to its stop, that its index has what a data directory cannot do without, that timelines have
// their histories, and where WAL is missing. What is wrong stands in the report.
//
// An error means that not all could be read, or that a newer Lifeboat wrote it: then nothing is proven.
func Repository(ctx context.Context, repository *catalog.Repository, options Options) (Report, error) {
	r, err := verifyRepository(ctx, repository, options)
	if err != nil {
		return Report{}, fmt.Errorf("verify %s: %w", repository.Location(), err)
	}
	return r, nil
}

func verifyRepository(ctx context.Context, repository *catalog.Repository, o Options) (Report, error) {
	scrubbed, err := repository.Scrub(ctx, catalog.ScrubOptions(o))
	if err != nil {
		return Report{}, err
	}
	report := Report{Objects: scrubbed.Objects, Bytes: scrubbed.Bytes, Backups: []Proven{}}
	report.addScrub(scrubbed)
	names, err := clusterNames(ctx, repository, o.Cluster)
	if err != nil {
		return Report{}, err
	}
	for _, name := range names {
		if err := report.addCluster(ctx, repository, name, o.Backup); err != nil {
			return Report{}, err
		}
	}
	if len(report.Findings) == 0 {
		report.add(Finding{Severity: OK, Object: "repository", Detail: "every object is sound; it holds no cluster yet"})
	}
	report.sort()
	return report, nil
}

func clusterNames(ctx context.Context, repository *catalog.Repository, only string) ([]string, error) {
	if only != "" {
		return []string{only}, nil
	}
	return repository.ClusterNames(ctx)
}

// addScrub tells what reading the objects has found.
func (r *Report) addScrub(scrubbed catalog.ScrubReport) {
	for _, d := range scrubbed.Damaged {
		r.add(Finding{Severity: Fail, Object: d.Key, Detail: d.Detail,
			Hint: "what depends on this object cannot be trusted: make a new base backup"})
	}
	r.addUnproven(scrubbed.Unproven)
	for _, key := range scrubbed.Unknown {
		r.add(Finding{Severity: Warn, Object: key, Detail: "nothing in the repository stands for this object",
			Hint: "Lifeboat ignores it; look where it came from before deleting it"})
	}
	for _, label := range scrubbed.Unfinished {
		r.add(Finding{Severity: Warn, Object: "backup " + label, Detail: "was started and has no record",
			Hint: "it is being made, or was interrupted: then the next backup removes what is left of it"})
	}
	for _, id := range scrubbed.UnfinishedDumps {
		r.add(Finding{Severity: Warn, Object: "dump " + id, Detail: "was begun and has no document",
			Hint: "it is being made, or was interrupted: then expiry removes what is left of it, a day later"})
	}
}

// unproven is a reason why objects of a kind could not be checked, or not wholly.
type unproven struct{ kind, why string }

// addUnproven tells each reason once, with the number of objects.
func (r *Report) addUnproven(objects []catalog.Damage) {
	counts := map[unproven]int{}
	for _, o := range objects {
		r.closed = r.closed || o.Kind != "signature"
		counts[unproven{o.Kind, o.Detail}]++
	}
	byName := func(a, b unproven) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.why, b.why)) }
	for _, u := range slices.SortedFunc(maps.Keys(counts), byName) {
		r.add(Finding{Severity: Unproven, Object: "repository", Hint: u.hint(),
			Detail: fmt.Sprintf("%s objects that could not be checked to the end: %d (%s)", u.kind, counts[u], u.why)})
	}
}

func (u unproven) hint() string {
	if u.kind == "signature" {
		return "configure the public keys that documents are signed with"
	}
	return "what is stored is what was stored, as far as that shows from outside; verify again with the identity that opens it"
}

// addCluster checks what the objects of one cluster say of each other. A cluster whose own document is damaged has been
// reported, and nothing more can be said.
func (r *Report) addCluster(ctx context.Context, repository *catalog.Repository, name, backup string) error {
	cluster, err := repository.Cluster(ctx, name)
	if damage := (*catalog.DamagedError)(nil); errors.As(err, &damage) {
		r.addUnless(Finding{Severity: Fail, Object: damage.Key, Detail: damage.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	inventory, err := cluster.Inventory(ctx)
	if err != nil {
		return err
	}
	check := &clusterCheck{cluster: cluster, inventory: inventory, only: backup, report: r}
	if err := check.all(ctx); err != nil {
		return err
	}
	for _, record := range inventory.Backups {
		if backup == "" || record.Label == backup {
			r.prove(record)
		}
	}
	return nil
}

// addUnless adds a finding about an object that has none of that severity yet.
func (r *Report) addUnless(f Finding) {
	for _, known := range r.Findings {
		if known.Object == f.Object && known.Severity == f.Severity {
			return
		}
	}
	r.add(f)
}

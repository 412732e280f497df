package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"lifeboat/drill"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// latest is the name of the newest drill, in the place of its id.
const latest = "latest"

// loadDrill reads the evidence of a drill, and what vouches for it.
func loadDrill(ctx context.Context, cluster *catalog.Cluster, id string) (*drill.Result, error) {
	if id != latest {
		return drill.Load(ctx, cluster, id)
	}
	ids, err := cluster.EvidenceIDs(ctx)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("the latest drill: %w: run one with 'lifeboat drill run'", storage.ErrNotFound)
	}
	return drill.Load(ctx, cluster, ids[len(ids)-1])
}

// tellProof says who stands for a drill, and who signed its evidence, where it was read.
func (a *app) tellProof(r *drill.Result) {
	for _, line := range [][2]string{{"approved by", r.Mandate.Approver}, {"ticket", r.Mandate.Ticket}, {"started", r.Origin.Trigger}} {
		if line[1] != "" {
			a.out.Printf("\n  %s: %s", line[0], line[1])
		}
	}
	if r.Proof != nil {
		a.out.Printf("\n  evidence: %s", r.Proof)
	}
	a.out.Printf("\n")
}

// drillFilter chooses among the newest drills.
type drillFilter struct{ name, verdict string }

func (f *drillFilter) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.name, "drill", "", "only drills of this `NAME`, of the newest ones")
	flags.StringVar(&f.verdict, "verdict", "", "only drills with this `VERDICT`: pass, warn, fail or unproven, of the newest ones")
}

func (f *drillFilter) check() error {
	known := []string{"", string(drill.Pass), string(drill.Warn), string(drill.Fail), string(drill.Unproven)}
	if !slices.Contains(known, f.verdict) {
		return usagef("--verdict is pass, warn, fail or unproven, not %q", f.verdict)
	}
	return nil
}

func (f *drillFilter) apply(results []*drill.Result) []*drill.Result {
	return slices.DeleteFunc(results, func(r *drill.Result) bool {
		return f.name != "" && r.Drill != f.name || f.verdict != "" && string(r.Verdict) != f.verdict
	})
}

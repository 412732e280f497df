package verify

import (
	"context"
	"fmt"

	"lifeboat/storage/catalog"
)

// clusterCheck checks one cluster.
type clusterCheck struct {
	cluster   *catalog.Cluster
	inventory *catalog.Inventory
	only      string // label of the only backup to check; empty for all
	report    *Report
}

func (c *clusterCheck) all(ctx context.Context) error {
	for _, record := range c.inventory.Backups {
		if c.only != "" && record.Label != c.only {
			continue
		}
		if err := c.checkBackup(ctx, record); err != nil {
			return err
		}
	}
	if c.only != "" {
		return nil
	}
	c.addProblems()
	c.addHistories()
	c.addGaps()
	c.addConflicts()
	c.addSummary()
	return c.checkEvidence(ctx)
}

// name is how findings speak of the cluster.
func (c *clusterCheck) name() string { return "cluster " + c.cluster.Name() }

func (c *clusterCheck) fail(object, hint, format string, args ...any) {
	c.report.add(Finding{Severity: Fail, Object: object, Detail: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *clusterCheck) warn(object, hint, format string, args ...any) {
	c.report.add(Finding{Severity: Warn, Object: object, Detail: fmt.Sprintf(format, args...), Hint: hint})
}

// addProblems repeats what the inventory could not understand, where reading every object has not said it already.
func (c *clusterCheck) addProblems() {
	for _, problem := range c.inventory.Problems {
		c.report.addUnless(Finding{Severity: Fail, Object: problem.Key, Detail: problem.Err.Error()})
	}
}

// addConflicts repeats the files that were refused at archiving.
func (c *clusterCheck) addConflicts() {
	for _, f := range c.inventory.Findings {
		if f.Kind == catalog.FindingGap {
			continue // it is among the gaps, unless it was filled
		}
		c.warn(c.name(), "two servers may be archiving under the same name: look which of them is the primary",
			"%s at %s: %s", f.Kind, f.Time.UTC().Format("2006-01-02 15:04:05Z"), f.Detail)
	}
}

// addSummary says what there is to recover from.
func (c *clusterCheck) addSummary() {
	if len(c.inventory.Backups) == 0 {
		c.warn(c.name(), "make one: lifeboat backup", "there is no base backup: nothing can be recovered")
	}
	for _, w := range c.inventory.Windows() {
		c.report.add(Finding{Severity: OK, Object: c.name(), Detail: fmt.Sprintf(
			"timeline %s can be recovered from %s to %s, with %d base backups", w.Timeline, w.FromLSN, w.ToLSN, len(w.Backups))})
	}
}

package storm

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"time"

	"lifeboat/storage/catalog"
)

// aftermath looks at what is there, without any trouble on the way.
func (s *ship) aftermath() {
	repo, err := catalog.Open(s.ctx, s.place.clean)
	if err != nil {
		s.violation("afterwards: open the repository: %v", err)
		return
	}
	repo = repo.With(s.place.keys)
	c, err := repo.Cluster(s.ctx, clusterName)
	if err != nil {
		s.violation("afterwards: open the cluster: %v", err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.offered)) {
		s.checkFile(c, s.offered[name], s.safe[name])
	}
	s.checkBackups(c)
	s.checkFindings(c)
	s.scrub(repo, c)
}

// checkFile reads a file back, which must be there if it was acknowledged and whole if it is there; and archives it
// once more, as PostgreSQL would where it was not.
func (s *ship) checkFile(c *catalog.Cluster, file cargo, safe bool) {
	name := file.file.Name
	var got bytes.Buffer
	_, err := c.GetWAL(s.ctx, name, &got)
	switch {
	case err != nil && safe:
		s.violation("afterwards: %s was acknowledged and does not read back: %v", name, err)
	case err != nil && !missing(err):
		s.violation("afterwards: %s was not acknowledged and is there in part: %v", name, err)
	case err == nil && !bytes.Equal(got.Bytes(), file.content):
		s.violation("afterwards: %s has other bytes than were pushed", name)
	}
	if _, err := c.PutWAL(s.ctx, file.file, stormTime); err != nil {
		s.violation("afterwards: %s cannot be archived again: %v", name, err)
	}
}

// checkBackups holds that every committed backup is there, that every one that is there is whole, and that the rest can
// be removed.
func (s *ship) checkBackups(c *catalog.Cluster) {
	inv, err := c.Inventory(s.ctx)
	if err != nil || len(inv.Problems) > 0 {
		s.violation("afterwards: inventory: %v, %v", err, inv)
		return
	}
	there := map[string]bool{}
	for _, rec := range inv.Backups {
		there[rec.Label] = true
		if !s.tried[rec.Label] {
			s.violation("afterwards: backup %s is there, and nobody committed it", rec.Label)
		}
		if err := readBackup(s.ctx, c, rec.Label, s.trees[rec.Label], 0); err != nil {
			s.violation("afterwards: backup %s does not read back: %v", rec.Label, err)
		}
	}
	for label := range s.committed {
		if !there[label] {
			s.violation("afterwards: backup %s was committed and is not there", label)
		}
	}
	s.removeUnfinished(c, inv.Unfinished)
}

func (s *ship) removeUnfinished(c *catalog.Cluster, labels []string) {
	for _, label := range labels {
		if err := c.RemoveUnfinished(s.ctx, label); err != nil {
			s.violation("afterwards: leavings of %s cannot be removed: %v", label, err)
		}
	}
}

func (s *ship) checkFindings(c *catalog.Cluster) {
	findings, err := c.Findings(s.ctx)
	if err != nil || len(findings) > 0 {
		s.violation("afterwards: findings: %v, %v", findings, err)
	}
}

// scrub reads every byte that is there. What a client has given up may still be on its way to the server, and come after the
// leavings were removed: then they are once more.
func (s *ship) scrub(repo *catalog.Repository, c *catalog.Cluster) {
	report, err := repo.Scrub(s.ctx, catalog.ScrubOptions{})
	for late := 0; err == nil && len(report.Unfinished) > 0 && late < 50; late++ {
		time.Sleep(100 * time.Millisecond)
		inv, _ := c.Inventory(s.ctx) // its problems were looked at
		s.removeUnfinished(c, inv.Unfinished)
		report, err = repo.Scrub(s.ctx, catalog.ScrubOptions{})
	}
	if err != nil {
		s.violation("afterwards: scrub: %v", errors.Unwrap(err))
	}
	if len(report.Damaged)+len(report.Unknown)+len(report.Unfinished)+len(report.Unproven) > 0 {
		s.violation("afterwards: scrub: damaged %v, unknown %v, unfinished %v, unproven %v",
			report.Damaged, report.Unknown, report.Unfinished, report.Unproven)
	}
}

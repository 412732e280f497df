package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lifeboat/storage/catalog"
)

const (
	reportFile       = "report.html"
	evidencePatience = time.Minute
	historyLength    = 50 // drills that a report's trends show
)

// storeEvidence writes the report and the result into the repository and reads the result back.
func (d *drill) storeEvidence(ctx context.Context) error {
	r := d.result
	r.Evidence = fmt.Sprintf("drill %s in %s", r.ID, d.Repository.Location())
	history, _, err := List(ctx, d.Cluster)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := WriteHTML(&page, r, history); err != nil {
		return err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the result as JSON: %w", err)
	}
	if err := d.Cluster.PutEvidence(ctx, r.ID, map[string][]byte{reportFile: page.Bytes()}, body); err != nil {
		return err
	}
	_, err = Load(ctx, d.Cluster, r.ID)
	return err
}

// Load reads a drill's result from the repository. The error is storage.ErrNotFound where there is no such drill.
func Load(ctx context.Context, c *catalog.Cluster, id string) (*Result, error) {
	raw, err := c.Evidence(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("drill %s: %w", id, err)
	}
	var r Result
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("drill %s: %w", id, err)
	}
	return &r, nil
}

// List reads the newest drills' results, oldest first. Those that cannot be read are returned as problems, never left
// out in silence.
func List(ctx context.Context, c *catalog.Cluster) (results []*Result, problems []error, err error) {
	ids, err := c.EvidenceIDs(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list drills: %w", err)
	}
	for _, id := range ids[max(0, len(ids)-historyLength):] {
		r, err := Load(ctx, c, id)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		results = append(results, r)
	}
	return results, problems, nil
}

package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/storage/catalog"
)

const (
	reportFile       = "report.html"
	evidencePatience = time.Minute
	historyLength    = 50 // drills that a report's trends show
	localEvidence    = "evidence"
	localResult      = "evidence.json"
)

// storeEvidence writes the report and the result into the repository and reads the result back.
func (d *drill) storeEvidence(ctx context.Context) error {
	r := d.result
	r.Evidence = fmt.Sprintf("drill %s in %s", r.ID, d.Repository.Location())
	d.completeBundle(ctx)
	history, problems, err := List(ctx, d.Cluster)
	if err := errors.Join(append(problems, err)...); err != nil {
		d.Log.Warn("the report's trends are not complete", keyError, err)
	}
	page, body, err := r.render(history)
	if err != nil {
		return err
	}
	if err := d.Cluster.PutEvidence(ctx, r.ID, map[string][]byte{reportFile: page}, body); err != nil {
		return err
	}
	kept, err := Load(ctx, d.Cluster, r.ID)
	if err == nil && kept.Verdict != r.Verdict {
		err = fmt.Errorf("drill %s was stored as %s and reads as %s", r.ID, r.Verdict, kept.Verdict)
	}
	if err == nil {
		d.vouch(ctx)
	}
	return err
}

// vouch notes in every repository that the backup was restored and proven, which counts when others expire. The drill stands
// without that, too.
func (d *drill) vouch(ctx context.Context) {
	r := d.result
	if r.Verdict != Pass && r.Verdict != Warn {
		return
	}
	err := d.Cluster.PutVerification(ctx, catalog.Verification{
		ID: r.ID, Time: r.Started, By: "drill " + r.ID, Backups: map[string]bool{r.Backup.Label: true},
	})
	if err != nil {
		d.Log.Warn("the drill does not vouch for its backup when others expire", keyError, err)
	}
}

// render writes the result as a page and as JSON.
func (r *Result) render(history []*Result) (page, body []byte, err error) {
	var html bytes.Buffer
	if err := WriteHTML(&html, r, history); err != nil {
		return nil, nil, err
	}
	body, err = json.Marshal(r)
	if err != nil {
		return nil, nil, fmt.Errorf("write the result as JSON: %w", err)
	}
	return html.Bytes(), body, nil
}

// keepLocally is for evidence that could not be stored: the drill is unproven at best, and its evidence stays in the work
// directory.
func (d *drill) keepLocally(storing error) {
	r := d.result
	r.Evidence = filepath.Join(d.WorkDirectory, localEvidence, r.ID)
	d.checks.set(CheckDocumented, Unproven, "the evidence could not be stored, and is in %s: %s", r.Evidence, words(storing))
	d.judge()
	if err := d.writeLocally(); err != nil {
		r.Evidence = ""
		d.checks.set(CheckDocumented, Unproven, "the evidence could not be stored anywhere: %s; %s", words(storing), words(err))
		d.judge()
	}
}

func (d *drill) writeLocally() error {
	page, body, err := d.result.render(nil)
	if err != nil {
		return err
	}
	dir := d.result.Evidence
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, reportFile), page, 0o600), os.WriteFile(filepath.Join(dir, localResult), body, 0o600))
}

// Load reads a drill's result from the repository, and what vouches for it. The error is storage.ErrNotFound where there is
// no such drill.
func Load(ctx context.Context, c *catalog.Cluster, id string) (*Result, error) {
	read, err := c.ProvenEvidence(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("drill %s: %w", id, err)
	}
	return decode(c.Name(), read)
}

func decode(cluster string, read catalog.ReadEvidence) (*Result, error) {
	var r Result
	if read.Err != nil {
		return nil, fmt.Errorf("drill %s: %w", read.ID, read.Err)
	}
	if err := json.Unmarshal(read.Body, &r); err != nil {
		return nil, fmt.Errorf("drill %s: %w", read.ID, err)
	}
	if r.ID != read.ID || r.Cluster != cluster {
		return nil, fmt.Errorf("drill %s: its evidence is that of drill %s of cluster %s", read.ID, r.ID, r.Cluster)
	}
	r.Proof = nil
	if read.Proof.SHA256 != "" {
		r.Proof = newProof(read.Proof)
	}
	return &r, nil
}

// List reads the newest drills' results, oldest first, and not what vouches for them. Those that cannot be read are returned as problems, never left
// out in silence.
func List(ctx context.Context, c *catalog.Cluster) (results []*Result, problems []error, err error) {
	ids, err := c.EvidenceIDs(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list drills: %w", err)
	}
	err = c.EachEvidence(ctx, ids[max(0, len(ids)-historyLength):], func(read catalog.ReadEvidence) error {
		r, err := decode(c.Name(), read)
		if err != nil {
			problems = append(problems, err)
			return nil
		}
		results = append(results, r)
		return nil
	})
	return results, problems, err
}

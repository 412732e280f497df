package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/storage"
)

// FindingConflict is the kind of a finding about a file that was refused because the repository holds another one of
// its name.
const FindingConflict = "conflict"

// Finding is something that an operator must know about a cluster's WAL, and that must not be forgotten when the
// process that saw it ends.
type Finding struct {
	Kind   string    `json:"kind"`
	Time   time.Time `json:"time"` // when it was first seen
	Name   string    `json:"name"` // the file that it is about
	Detail string    `json:"detail"`

	Lost *LostWAL `json:"lost,omitempty"` // of the kind FindingGap, nil for all others
}

// ID names the finding's document, findings/<id>.json. It is the same for the same finding, whenever it is seen: a server that tries again for days leaves one document.
func (f Finding) ID() string {
	sum := sha256.Sum256([]byte(f.Kind + "\x00" + f.Name + "\x00" + f.Detail))
	return f.Kind + "-" + hex.EncodeToString(sum[:16])
}

func (e *ConflictError) finding(now time.Time) Finding {
	return Finding{Kind: FindingConflict, Time: now.UTC(), Name: e.Name, Detail: e.Error()}
}

// PutFinding stores a finding durably. One that is stored already, but for its time, is left as it is.
func (c *Cluster) PutFinding(ctx context.Context, f Finding) error {
	if err := checkID("finding of kind", f.Kind); err != nil {
		return err
	}
	if c.copies != nil {
		return put(ctx, c.copies, func(ctx context.Context, c *Cluster) error { return c.PutFinding(ctx, f) })
	}
	err := c.claimDocument(ctx, c.findingKey(f.ID()), kindFinding, f)
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("store finding about %s: %w", f.Name, err)
	}
	return nil
}

// Findings reads all findings, oldest first. One that cannot be read is an error.
func (c *Cluster) Findings(ctx context.Context) ([]Finding, error) {
	if c.copies != nil {
		return c.copies.findings(ctx)
	}
	found, problems, err := c.findings(ctx)
	for _, p := range problems {
		err = errors.Join(err, p.Err)
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// readFinding proves that the object at key is a finding that belongs there.
func (c *Cluster) readFinding(ctx context.Context, key string) (Finding, error) {
	var f Finding
	if err := c.getDocument(ctx, key, kindFinding, &f); err != nil {
		return f, err
	}
	if key != c.findingKey(f.ID()) {
		return f, damaged(key, "holds finding %s", f.ID())
	}
	if err := f.checkLost(); err != nil {
		return f, &DamagedError{Key: key, Detail: "lost WAL", Err: err}
	}
	return f, nil
}

// findings reads what can be read and says what is damaged.
func (c *Cluster) findings(ctx context.Context) ([]Finding, []Problem, error) {
	var found []Finding
	problems, err := c.eachDocument(ctx, c.findingPrefix(), func(key string) error {
		f, err := c.readFinding(ctx, key)
		if err == nil {
			found = append(found, f)
		}
		return err
	})
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Name, b.Name))
	})
	return found, problems, err
}

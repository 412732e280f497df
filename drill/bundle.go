package drill

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/storage/catalog"
)

// Bundle is what evidence tells beside what the drill was asked for and has found. Evidence of older programs has none of
// it.
type Bundle struct {
	Mandate     Mandate                `json:"mandate,omitzero"`
	Origin      Origin                 `json:"origin,omitzero"`
	Host        Host                   `json:"host,omitzero"`
	RecoveryLog []string               `json:"recovery_log,omitempty"` // of the scratch server, see recoveryLines
	Objects     []catalog.StoredObject `json:"objects,omitempty"`      // that the drill rests on: the backup's record, the census
	Previous    []catalog.EvidenceLink `json:"previous,omitempty"`     // the newest first
	Proof       *Proof                 `json:"proof,omitempty"`        // found out whenever the evidence is read, and never stored
}

// Mandate is the policy that a drill is run for, and who stands for this run.
type Mandate struct {
	Name     string `json:"name,omitempty"`    // of the policy
	Version  string `json:"version,omitempty"` // as its authors count
	SHA256   string `json:"sha256,omitempty"`  // of what is configured of it: it changes when the drill is held to something else
	Schedule string `json:"schedule,omitempty"`
	Approver string `json:"approver,omitempty"`
	Ticket   string `json:"ticket,omitempty"`
}

// Origin is what started a drill.
type Origin struct {
	Trigger string `json:"trigger,omitempty"` // "by hand" or "schedule"
	By      string `json:"by,omitempty"`      // the scheduler's instance, or a user and machine
	Command string `json:"command,omitempty"`
}

// The triggers of a drill.
const (
	ByHand     = "by hand"
	BySchedule = "schedule"
)

// Proof is what vouches for evidence that was read. Its checksum has held.
type Proof struct {
	SHA256    string    `json:"sha256"` // of the evidence in plain, which later evidence repeats
	Signature Signature `json:"signature"`
	Key       string    `json:"key,omitempty"` // number of the key that signed it
}

// Signature says how far a signature goes.
type Signature string

// The states of a signature. One that is wrong makes evidence that cannot be read at all.
const (
	Verified  Signature = "verified"     // a trusted key has made it
	Unchecked Signature = "not verified" // there is one, and nobody is trusted here
	Unsigned  Signature = "none"
)

func newProof(p catalog.EvidenceProof) *Proof {
	proof := &Proof{SHA256: p.SHA256, Key: p.Key, Signature: Unsigned}
	switch {
	case p.Verified:
		proof.Signature = Verified
	case p.Key != "":
		proof.Signature = Unchecked
	}
	return proof
}

// String is what a reader is told.
func (p *Proof) String() string {
	switch p.Signature {
	case Verified:
		return "signed by key " + p.Key + ", verified"
	case Unchecked:
		return "signed by key " + p.Key + ", not verified: no public key is configured here"
	case Unsigned:
	}
	return "not signed: its checksum holds, which shows damage and not who wrote it"
}

// completeBundle adds what ties the evidence to what it rests on and to the evidence before it. What cannot be had is
// left out, and the log says so: the drill stands without it.
func (d *drill) completeBundle(ctx context.Context) {
	r := d.result
	links, problems, err := d.Cluster.LastEvidence(ctx)
	r.Previous = links
	objects, missing := d.restsOn(ctx)
	r.Objects = objects
	if err := errors.Join(append(problems, err, missing)...); err != nil {
		d.Log.Warn("the evidence does not name all that it rests on", keyError, err)
	}
}

func (d *drill) restsOn(ctx context.Context) (objects []catalog.StoredObject, err error) {
	add := func(o catalog.StoredObject, problem error) {
		if problem != nil {
			err = errors.Join(err, fmt.Errorf("what the drill rests on: %w", problem))
			return
		}
		objects = append(objects, o)
	}
	if label := d.result.Backup.Label; label != "" {
		add(d.Cluster.StoredRecord(ctx, label))
	}
	if id := d.result.Census; id != "" {
		add(d.Cluster.StoredCensus(ctx, id))
	}
	return objects, err
}

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
)

// Verification is what somebody has found who read whole backups. Only what was proven either way is in it.
type Verification struct {
	ID      string          `json:"id"` // see NewID
	Time    time.Time       `json:"time"`
	By      string          `json:"by"`      // "verify", or "drill " and its id
	Backups map[string]bool `json:"backups"` // by label: whether all was sound
}

// PutVerification stores a verification durably, in each copy of the cluster. The same one once more is no error.
func (c *Cluster) PutVerification(ctx context.Context, v Verification) error {
	if err := v.check(); err != nil {
		return err
	}
	if c.copies != nil {
		return errorOf(askEach(ctx, c.copies, false, func(ctx context.Context, c *Cluster) (struct{}, error) {
			return struct{}{}, c.PutVerification(ctx, v)
		}))
	}
	if c.keys.Signer == nil && len(c.keys.Trusted) > 0 {
		return fmt.Errorf("store verification %s: %w", v.ID, ErrNoSigner)
	}
	line, err := encodeDocument(kindVerification, v)
	if err != nil {
		return err
	}
	if err := c.putSigned(ctx, c.verificationKey(v.ID), line, func([]byte) bool { return false }); err != nil {
		return fmt.Errorf("store verification %s: %w", v.ID, err)
	}
	return nil
}

// ErrNoSigner says that documents have to be signed, and that there is no key to sign with.
var ErrNoSigner = errors.New("documents are signed here, and there is no key to sign with")

func (v Verification) check() error {
	if err := checkID("verification", v.ID); err != nil {
		return err
	}
	if len(v.Backups) == 0 {
		return fmt.Errorf("verification %s is about no backup", v.ID)
	}
	for label := range v.Backups {
		if err := checkID("verification of backup", label); err != nil {
			return err
		}
	}
	return nil
}

// verifications reads those that can be read, oldest first, and says which cannot.
func (c *Cluster) verifications(ctx context.Context) ([]Verification, []Problem, error) {
	var found []Verification
	problems, err := c.eachDocument(ctx, c.verificationPrefix(), func(key string) error {
		v, err := c.readVerification(ctx, key)
		if err == nil {
			found = append(found, v)
		}
		return err
	})
	slices.SortFunc(found, func(a, b Verification) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
	})
	return found, problems, err
}

// readVerification proves that the object at key is a verification that belongs there.
func (c *Cluster) readVerification(ctx context.Context, key string) (Verification, error) {
	var v Verification
	raw, err := c.getSigned(ctx, key, kindVerification)
	if err == nil {
		err = decodeDocument(key, kindVerification, raw, &v)
	}
	switch {
	case err != nil:
		return v, err
	case c.verificationKey(v.ID) != key:
		return v, damaged(key, "is verification %q", v.ID)
	}
	if err := v.check(); err != nil {
		return v, &DamagedError{Key: key, Detail: "content", Err: err}
	}
	return v, nil
}

// lastWords is for each label the last of the verifications, oldest first, that are about it.
func lastWords(verifications []Verification) map[string]Verification {
	last := map[string]Verification{}
	for _, v := range verifications {
		for label := range v.Backups {
			last[label] = v
		}
	}
	return last
}

// Vouched are the labels of the backups that were sound when somebody looked last.
func (s *Stock) Vouched() map[string]bool {
	vouched := map[string]bool{}
	for label, v := range lastWords(s.verifications) {
		if v.Backups[label] {
			vouched[label] = true
		}
	}
	return vouched
}

// verificationFates keep those that have the last word on a backup, and those that cannot be read.
func (e *expiry) verificationFates() []Fate {
	read, needed := map[string]bool{}, map[string]string{}
	for _, v := range e.stock.verifications {
		read[v.ID] = true
	}
	last := lastWords(e.stock.verifications)
	for _, b := range e.inv.Backups {
		if v, ok := last[b.Label]; ok {
			needed[v.ID] = b.Label
		}
	}
	var fates []Fate
	for _, id := range slices.Sorted(maps.Keys(e.stock.proofs)) {
		objects := firstly(e.stock.proofs[id], documentSuffix, documentSuffix+signatureSuffix)
		fate := newFate(FateVerification, id, false, "it came a moment ago, or no trusted key has signed it", objects...)
		switch {
		case !has(objects, documentSuffix):
			fate.Expires = e.stock.newest.Sub(youngest(objects)) >= inProgress
			fate.Reason = "its document is missing"
		case needed[id] != "":
			fate.Reason = "it has the last word on backup " + needed[id]
		case read[id]:
			fate.Expires, fate.Reason = true, "later ones have looked at its backups, or they are gone"
		}
		fates = append(fates, fate)
	}
	return fates
}

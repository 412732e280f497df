package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"lifeboat/storage"
	"lifeboat/storage/catalog/sign"
)

// EvidenceProof is what vouches for the document about a drill: its own checksum has held, or it could not have been read.
type EvidenceProof struct {
	SHA256   string // of its body in plain, hexadecimal: see EvidenceLink
	Key      string // number of the key that signed it; empty: it is not signed
	Verified bool   // a trusted key has signed it; false also where no key is trusted
}

// ReadEvidence is the evidence of one drill, or why it could not be read.
type ReadEvidence struct {
	ID    string
	Body  json.RawMessage
	Proof EvidenceProof
	Err   error
}

// ProvenEvidence is Evidence with what vouches for it.
func (c *Cluster) ProvenEvidence(ctx context.Context, id string) (ReadEvidence, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (ReadEvidence, error) { return c.ProvenEvidence(ctx, id) })
	}
	read := ReadEvidence{ID: id}
	body, err := c.Evidence(ctx, id)
	if err != nil {
		return read, err
	}
	read.Body = body
	read.Proof = EvidenceProof{SHA256: sumOfBody(body), Verified: len(c.keys.Trusted) > 0}
	read.Proof.Key, err = c.signerOf(ctx, c.drillKey(id, evidenceFile))
	return read, err
}

// signerOf is the number of the key that a document says it is signed with; empty where it is not signed.
func (s *store) signerOf(ctx context.Context, key string) (string, error) {
	signature, err := s.getBytes(ctx, key+signatureSuffix)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	number, err := sign.KeyID(signature)
	if err != nil {
		return "", &DamagedError{Key: key + signatureSuffix, Detail: "signature", Err: err}
	}
	return number, nil
}

// sumOfBody is the checksum that later evidence repeats.
func sumOfBody(body json.RawMessage) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

const (
	evidenceBatch    = 64 // drills whose evidence is in memory at a time
	evidenceParallel = 8
)

// EachEvidence reads the evidence of drills and gives it in the order of the ids, a bounded number at a time, without what
// vouches for it. What cannot be read is given with its error. An error is that of take, or of ctx.
func (c *Cluster) EachEvidence(ctx context.Context, ids []string, take func(ReadEvidence) error) error {
	return c.eachEvidence(ctx, ids, c.bareEvidence, take)
}

// EachProvenEvidence is EachEvidence with what vouches for it, which takes another request for each.
func (c *Cluster) EachProvenEvidence(ctx context.Context, ids []string, take func(ReadEvidence) error) error {
	return c.eachEvidence(ctx, ids, c.ProvenEvidence, take)
}

func (c *Cluster) bareEvidence(ctx context.Context, id string) (ReadEvidence, error) {
	body, err := c.Evidence(ctx, id)
	return ReadEvidence{Body: body}, err
}

func (c *Cluster) eachEvidence(ctx context.Context, ids []string, read func(context.Context, string) (ReadEvidence, error), take func(ReadEvidence) error) error {
	for len(ids) > 0 {
		batch := ids[:min(evidenceBatch, len(ids))]
		ids = ids[len(batch):]
		found := make([]ReadEvidence, len(batch))
		var group errgroup.Group
		group.SetLimit(evidenceParallel)
		for i, id := range batch {
			group.Go(func() error {
				one, err := read(ctx, id)
				one.ID, one.Err = id, err
				found[i] = one
				return nil // each stands for itself
			})
		}
		_ = group.Wait() // no error is passed through it
		if ctx.Err() != nil {
			return fmt.Errorf("read evidence: %w", context.Cause(ctx))
		}
		for _, one := range found {
			if err := take(one); err != nil {
				return err
			}
		}
	}
	return nil
}

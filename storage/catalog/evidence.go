package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/storage"
)

// evidenceBody is the body of the document about a drill. It stands for the drill's files.
type evidenceBody struct {
	named
	Files  map[string]fileSum `json:"files"`
	sealed bool               // as stored
}

// fileSum is what an object must be, as it is stored.
type fileSum struct {
	Size   int64  `json:"size"`   // in bytes
	SHA256 string `json:"sha256"` // hexadecimal
}

func sumOf(content []byte) fileSum {
	sum := sha256.Sum256(content)
	return fileSum{Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// PutEvidence stores what a drill leaves: its files, by name, and then the document that stands for all of them. All of
// it is durable when the error is nil; until then there is no evidence of the id. The same once more is no error;
// storage.ErrExists says that the id belongs to another drill, or that it is sealed and cannot be opened to compare. The
// body is any JSON value.
func (c *Cluster) PutEvidence(ctx context.Context, id string, files map[string][]byte, body json.RawMessage) error {
	if err := checkID("drill", id); err != nil {
		return err
	}
	if c.copies != nil {
		return put(ctx, c.copies, func(ctx context.Context, c *Cluster) error { return c.PutEvidence(ctx, id, files, body) })
	}
	for name := range files {
		if err := checkEvidenceFile(name); err != nil {
			return err
		}
	}
	sums := map[string]fileSum{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum, err := c.putEvidenceFile(ctx, c.drillKey(id, name), files[name])
		if err != nil {
			return fmt.Errorf("store evidence of drill %s: %w", id, err)
		}
		sums[name] = sum
	}
	return c.putEvidenceDocument(ctx, id, sums, body)
}

// putEvidenceFile stores a file and says what is stored.
func (c *Cluster) putEvidenceFile(ctx context.Context, key string, content []byte) (fileSum, error) {
	sealed, err := c.seal(content)
	if err != nil {
		return fileSum{}, err
	}
	sum := sumOf(sealed)
	return sum, c.putSame(ctx, key, sealed, func(stored []byte) bool {
		opened, err := c.unseal(key, stored)
		if err != nil || !bytes.Equal(opened, content) {
			return false
		}
		sum = sumOf(stored)
		return true
	})
}

func (c *Cluster) putEvidenceDocument(ctx context.Context, id string, files map[string]fileSum, body json.RawMessage) error {
	key := c.drillKey(id, evidenceFile)
	sealed, err := c.sealNamed(named{ID: id, Body: body})
	if err != nil {
		return err
	}
	line, err := encodeDocument(kindEvidence, evidenceBody{named: sealed, Files: files})
	if err != nil {
		return err
	}
	return c.putSigned(ctx, key, line, func(stored []byte) bool {
		other, err := c.decodeEvidence(key, id, stored)
		return err == nil && maps.Equal(other.Files, files) && sameJSON(other.Body, body)
	})
}

// checkEvidenceFile refuses names that cannot stand in a key, or that mean something else there.
func checkEvidenceFile(name string) error {
	if !storage.ValidKey(name) || strings.Contains(name, "/") || name == evidenceFile || strings.HasSuffix(name, signatureSuffix) {
		return fmt.Errorf("evidence file %q: %w", name, ErrName)
	}
	return nil
}

// Evidence reads the body of the document about a drill. storage.ErrNotFound where there is none of the id,
// *DamagedError, *VersionError, *UnsignedError, seal.ErrNoIdentity, *seal.WrongIdentityError.
func (c *Cluster) Evidence(ctx context.Context, id string) (json.RawMessage, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (json.RawMessage, error) { return c.Evidence(ctx, id) })
	}
	document, err := c.evidence(ctx, id)
	return document.Body, err
}

// EvidenceFile reads a file of a drill, proven to be the one that its document stands for. storage.ErrNotFound where the
// drill left no file of the name.
func (c *Cluster) EvidenceFile(ctx context.Context, id, name string) ([]byte, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) ([]byte, error) { return c.EvidenceFile(ctx, id, name) })
	}
	document, err := c.evidence(ctx, id)
	if err != nil {
		return nil, err
	}
	want, ok := document.Files[name]
	if !ok {
		return nil, fmt.Errorf("evidence of drill %s: file %q: %w", id, name, storage.ErrNotFound)
	}
	key := c.drillKey(id, name)
	content, err := c.evidenceFile(ctx, key, want)
	if err != nil || !document.sealed {
		return content, err
	}
	return c.unseal(key, content)
}

// evidenceFile reads a file and compares what is stored with what it must be. One that is not there is damage.
func (c *Cluster) evidenceFile(ctx context.Context, key string, want fileSum) ([]byte, error) {
	content, err := c.getBytes(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, damaged(key, "is gone, though the evidence stands for it")
	}
	if err != nil {
		return nil, err
	}
	if sumOf(content) != want {
		return nil, damaged(key, "is not the file that the evidence stands for")
	}
	return content, nil
}

// evidence reads the document about a drill.
func (c *Cluster) evidence(ctx context.Context, id string) (evidenceBody, error) {
	if err := checkID("drill", id); err != nil {
		return evidenceBody{}, err
	}
	key := c.drillKey(id, evidenceFile)
	raw, err := c.getSigned(ctx, key, kindEvidence)
	if err != nil {
		return evidenceBody{}, err
	}
	return c.decodeEvidence(key, id, raw)
}

// decodeEvidence proves that raw is the document about the drill, and opens it. Where it cannot be opened, the files are
// returned beside the error.
func (c *Cluster) decodeEvidence(key, id string, raw []byte) (evidenceBody, error) {
	var document evidenceBody
	if err := decodeDocument(key, kindEvidence, raw, &document); err != nil {
		return evidenceBody{}, err
	}
	for name := range document.Files {
		if err := checkEvidenceFile(name); err != nil {
			return evidenceBody{}, &DamagedError{Key: key, Detail: "file list", Err: err}
		}
	}
	document.sealed = document.Sealed != nil
	opened, err := c.openNamed(key, id, document.named)
	document.named = opened
	return document, err
}

// EvidenceIDs lists the drills that left evidence, oldest first.
func (c *Cluster) EvidenceIDs(ctx context.Context) ([]string, error) {
	if c.copies != nil {
		return c.copies.unionOfIDs(ctx, func(ctx context.Context, c *Cluster) ([]string, error) { return c.EvidenceIDs(ctx) })
	}
	var ids []string
	for info, err := range c.bucket.List(ctx, c.drillPrefix()) {
		if err != nil {
			return nil, fmt.Errorf("list evidence: %w", err)
		}
		id, file, _ := strings.Cut(strings.TrimPrefix(info.Key, c.drillPrefix()), "/")
		if file == evidenceFile && ValidID(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"lifeboat/storage"
)

// documentVersion is the version that this program writes, and the newest that it reads.
const documentVersion = 1

// maxDocument is the longest document that is written or read, in bytes; it bounds the memory that a damaged or
// hostile object can ask for.
const maxDocument = 256 << 20

// The kinds of documents, which stand in their first field.
const (
	kindRepository = "repository"
	kindCluster    = "cluster"
	kindStarted    = "started"
	kindRecord     = "record"
	kindCensus     = "census"
	kindEvidence   = "evidence"
	kindFinding    = "finding"
	kindWAL        = "wal"
)

// envelope is a document as JSON sees it.
type envelope struct {
	Kind    string          `json:"lifeboat"`
	Version int             `json:"version"`
	SHA256  string          `json:"sha256"`
	Body    json.RawMessage `json:"body"`
}

// encodeDocument is the line that stands for body: see FORMAT.md, "Documents".
func encodeDocument(kind string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode %s document: %w", kind, err)
	}
	line := frameDocument(kind, documentVersion, raw)
	if len(line) > maxDocument {
		return nil, fmt.Errorf("encode %s document: %d bytes are more than the %d allowed", kind, len(line), maxDocument)
	}
	return line, nil
}

// frameDocument puts the envelope around the bytes of a body.
func frameDocument(kind string, version int, body []byte) []byte {
	sum := sha256.Sum256(body)
	line := make([]byte, 0, len(body)+160)
	line = append(line, `{"lifeboat":"`...)
	line = append(line, kind...)
	line = append(line, `","version":`...)
	line = strconv.AppendInt(line, int64(version), 10)
	line = append(line, `,"sha256":"`...)
	line = hex.AppendEncode(line, sum[:])
	line = append(line, `","body":`...)
	line = append(line, body...)
	return append(line, "}\n"...)
}

// decodeDocument proves that raw is a document of the kind, byte for byte, and reads its body. The error is a
// *DamagedError or, for an intact document of a later version, a *VersionError.
func decodeDocument(key, kind string, raw []byte, body any) error {
	e, err := openEnvelope(key, kind, raw)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(e.Body, body); err != nil {
		return &DamagedError{Key: key, Detail: "body of the " + kind + " document", Err: err}
	}
	return nil
}

func openEnvelope(key, kind string, raw []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, &DamagedError{Key: key, Detail: "not a " + kind + " document", Err: err}
	}
	if !bytes.Equal(raw, frameDocument(e.Kind, e.Version, e.Body)) {
		return e, damaged(key, "checksum or envelope of the %s document does not hold", kind)
	}
	if e.Kind != kind {
		return e, damaged(key, "is a document of kind %q, not %q", e.Kind, kind)
	}
	if e.Version > documentVersion {
		return e, &VersionError{Key: key, Kind: kind, Version: e.Version}
	}
	if e.Version != documentVersion {
		return e, damaged(key, "%s document has version %d, which never was", kind, e.Version)
	}
	return e, nil
}

// claimDocument stores a new document durably. Of any number of competing calls one succeeds; the others get
// storage.ErrExists.
func claimDocument(ctx context.Context, b storage.Bucket, key, kind string, body any) error {
	line, err := encodeDocument(kind, body)
	if err != nil {
		return err
	}
	return claimBytes(ctx, b, key, line)
}

// putDocument stores a document durably, where no other one stands under the key: storage.ErrExists otherwise. The
// same document once more is no error, so that it may be called again after an attempt of unknown outcome.
func putDocument(ctx context.Context, b storage.Bucket, key, kind string, body any) error {
	line, err := encodeDocument(kind, body)
	if err != nil {
		return err
	}
	return putBytes(ctx, b, key, line)
}

// claimBytes is claimDocument for any object of known content.
func claimBytes(ctx context.Context, b storage.Bucket, key string, content []byte) error {
	err := b.Put(ctx, key, bytes.NewReader(content), storage.PutOptions{IfAbsent: true, Size: int64(len(content))})
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// putBytes is putDocument for any object of known content.
func putBytes(ctx context.Context, b storage.Bucket, key string, content []byte) error {
	err := claimBytes(ctx, b, key, content)
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	stored, readErr := getBytes(ctx, b, key)
	if readErr != nil {
		return fmt.Errorf("compare with what is stored: %w", readErr)
	}
	if !bytes.Equal(stored, content) {
		return err
	}
	return nil
}

// getDocument reads one document. storage.ErrNotFound where it is absent, *DamagedError, *VersionError.
func getDocument(ctx context.Context, b storage.Bucket, key, kind string, body any) error {
	raw, err := getBytes(ctx, b, key)
	if err != nil {
		return err
	}
	return decodeDocument(key, kind, raw, body)
}

// getBytes reads a whole object that is no longer than a document may be.
func getBytes(ctx context.Context, b storage.Bucket, key string) ([]byte, error) {
	r, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(raw) > maxDocument {
		return nil, damaged(key, "is longer than any document, %d bytes", maxDocument)
	}
	return raw, nil
}

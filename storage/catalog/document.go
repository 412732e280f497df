package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// documentVersion is the version of all documents, but for what newestVersion says.
const documentVersion = 1

// documentVersionS2 is that of a WAL object's header whose content is s2, which programs that came before cannot expand.
const documentVersionS2 = 2

// newestVersion is the newest version of documents of the kind that this program reads.
func newestVersion(kind string) int {
	if kind == kindWAL || kind == kindTail {
		return documentVersionS2
	}
	return documentVersion
}

// maxDocument is the longest document that is written or read, in bytes; it bounds the memory that a damaged or
// hostile object can ask for.
const maxDocument = 256 << 20

// The kinds of documents, which stand in their first field.
const (
	kindRepository   = "repository"
	kindCluster      = "cluster"
	kindStarted      = "started"
	kindRecord       = "record"
	kindCensus       = "census"
	kindEvidence     = "evidence"
	kindFinding      = "finding"
	kindWAL          = "wal"
	kindSealedWAL    = "sealed-wal"
	kindTail         = "tail"
	kindLease        = "lease"
	kindProbe        = "probe"
	kindVerification = "verification"
	kindSealedTail   = "sealed-tail"
	kindDump         = "dump"
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
	return encodeVersion(kind, documentVersion, body)
}

// encodeVersion is encodeDocument for a document of that version.
func encodeVersion(kind string, version int, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode %s document: %w", kind, err)
	}
	line := frameDocument(kind, version, raw)
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
	_, err := decodeVersion(key, kind, raw, body)
	return err
}

// decodeVersion is decodeDocument, and says which version the document has.
func decodeVersion(key, kind string, raw []byte, body any) (version int, err error) {
	e, err := openEnvelope(key, kind, raw)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(e.Body, body); err != nil {
		return 0, &DamagedError{Key: key, Detail: "body of the " + kind + " document", Err: err}
	}
	return e.Version, nil
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
	if e.Version > newestVersion(kind) {
		return e, &VersionError{Key: key, Kind: kind, Version: e.Version}
	}
	if e.Version < documentVersion {
		return e, damaged(key, "%s document has version %d, which never was", kind, e.Version)
	}
	return e, nil
}

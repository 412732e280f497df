package catalog

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
)

// walDigest stands for the content of a file towards those who know the secret of its cluster, and gives nothing away to
// all others.
type walDigest struct {
	Key string `json:"key"` // which key the mac was made with
	MAC string `json:"mac"` // HMAC-SHA256 of the file, hexadecimal
}

// walMAC makes digests of files.
type walMAC struct {
	hash.Hash
	key string
}

// newWALMAC derives the key of digests from the secret of the cluster. Without a secret there is none.
func (c *Cluster) newWALMAC(secret []byte) (*walMAC, error) {
	if len(secret) == 0 {
		return nil, nil
	}
	salt := strconv.FormatUint(c.identity.SystemIdentifier, 10)
	key, err := hkdf.Key(sha256.New, secret, []byte(salt), "lifeboat wal digest v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of digests: %w", err)
	}
	id := sha256.Sum256(key)
	return &walMAC{Hash: hmac.New(sha256.New, key), key: hex.EncodeToString(id[:8])}, nil
}

// digest is that of all that was written.
func (m *walMAC) digest() *walDigest {
	if m == nil {
		return nil
	}
	return &walDigest{Key: m.key, MAC: hex.EncodeToString(m.Sum(nil))}
}

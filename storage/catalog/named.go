package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// named is the body of a document whose content is not the catalog's affair. The id in it shows a document that was
// moved to another one's key. In a sealed document the same again, with id and body, is sealed, so that the sealed part
// cannot be moved either.
type named struct {
	ID     string          `json:"id"`
	Body   json.RawMessage `json:"body,omitempty"`
	Sealed []byte          `json:"sealed,omitempty"` // an age file of the JSON of {id, body}
}

// sealNamed is the document as it is stored: its body sealed where there are recipients.
func (s *store) sealNamed(n named) (named, error) {
	if !s.seals() {
		return n, nil
	}
	plain, err := json.Marshal(n)
	if err != nil {
		return named{}, fmt.Errorf("encode document %s: %w", n.ID, err)
	}
	sealed, err := s.keys.Recipients.Seal(plain)
	return named{ID: n.ID, Sealed: sealed}, err
}

// openNamed is the document of the id as it was before sealNamed. The errors are *DamagedError and those of isLocked.
func (s *store) openNamed(key, id string, n named) (named, error) {
	if n.ID != id {
		return named{}, damaged(key, "is the document of %q", n.ID)
	}
	if n.Sealed == nil {
		return n, s.checkForm(key, false)
	}
	plain, err := s.unseal(key, n.Sealed)
	if err != nil {
		return named{}, err
	}
	var opened named
	if err := json.Unmarshal(plain, &opened); err != nil {
		return named{}, &DamagedError{Key: key, Detail: "sealed part", Err: err}
	}
	if opened.ID != id {
		return named{}, damaged(key, "has the sealed part of %q", opened.ID)
	}
	return opened, nil
}

// sameJSON compares two JSON values but for white space.
func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

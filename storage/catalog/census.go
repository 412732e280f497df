package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// PutCensus stores a census durably. The same one once more is no error; storage.ErrExists says that the id belongs to
// another one. The body is any JSON value; white space in it is not kept.
func (c *Cluster) PutCensus(ctx context.Context, id string, body json.RawMessage) error {
	if err := checkID("census", id); err != nil {
		return err
	}
	return c.putDocument(ctx, c.censusKey(id), kindCensus, named{ID: id, Body: body})
}

// Census reads the body of a census. storage.ErrNotFound where there is none of the id, *DamagedError, *VersionError.
func (c *Cluster) Census(ctx context.Context, id string) (json.RawMessage, error) {
	if err := checkID("census", id); err != nil {
		return nil, err
	}
	var body named
	key := c.censusKey(id)
	if err := c.getDocument(ctx, key, kindCensus, &body); err != nil {
		return nil, err
	}
	return body.Body, body.check(key, id)
}

// CensusIDs lists the censuses, oldest first.
func (c *Cluster) CensusIDs(ctx context.Context) ([]string, error) {
	var ids []string
	for info, err := range c.bucket.List(ctx, c.censusPrefix()) {
		if err != nil {
			return nil, fmt.Errorf("list censuses: %w", err)
		}
		id, ok := strings.CutSuffix(strings.TrimPrefix(info.Key, c.censusPrefix()), documentSuffix)
		if ok && ValidID(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// named is the body of a document whose content is not the catalog's affair. The id in it shows a document that was
// moved to another one's key.
type named struct {
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body"`
}

func (n named) check(key, id string) error {
	if n.ID != id {
		return damaged(key, "is the document of %q", n.ID)
	}
	return nil
}

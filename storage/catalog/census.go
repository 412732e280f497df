package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// PutCensus stores a census durably. The same one once more is no error; storage.ErrExists says that the id belongs to
// another one, or that it is sealed and cannot be opened to compare. The body is any JSON value; white space in it is not
// kept.
func (c *Cluster) PutCensus(ctx context.Context, id string, body json.RawMessage) error {
	if err := checkID("census", id); err != nil {
		return err
	}
	if c.copies != nil {
		return put(ctx, c.copies, func(ctx context.Context, c *Cluster) error { return c.PutCensus(ctx, id, body) })
	}
	key := c.censusKey(id)
	document, err := c.sealNamed(named{ID: id, Body: body})
	if err != nil {
		return err
	}
	line, err := encodeDocument(kindCensus, document)
	if err != nil {
		return err
	}
	return c.putSigned(ctx, key, line, func(stored []byte) bool {
		other, err := c.decodeCensus(key, id, stored)
		return err == nil && sameJSON(other, body)
	})
}

// Census reads the body of a census. storage.ErrNotFound where there is none of the id, *DamagedError, *VersionError,
// *UnsignedError, seal.ErrNoIdentity, *seal.WrongIdentityError.
func (c *Cluster) Census(ctx context.Context, id string) (json.RawMessage, error) {
	if err := checkID("census", id); err != nil {
		return nil, err
	}
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (json.RawMessage, error) { return c.Census(ctx, id) })
	}
	key := c.censusKey(id)
	raw, err := c.getSigned(ctx, key, kindCensus)
	if err != nil {
		return nil, err
	}
	return c.decodeCensus(key, id, raw)
}

// decodeCensus proves that raw is the document of the census, and opens it.
func (c *Cluster) decodeCensus(key, id string, raw []byte) (json.RawMessage, error) {
	var document named
	if err := decodeDocument(key, kindCensus, raw, &document); err != nil {
		return nil, err
	}
	opened, err := c.openNamed(key, id, document)
	return opened.Body, err
}

// CensusIDs lists the censuses, oldest first.
func (c *Cluster) CensusIDs(ctx context.Context) ([]string, error) {
	if c.copies != nil {
		return c.copies.unionOfIDs(ctx, func(ctx context.Context, c *Cluster) ([]string, error) { return c.CensusIDs(ctx) })
	}
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

package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/storage"
)

// probeSuffix ends the keys of the objects that tell the store's time.
const probeSuffix = ".probe"

// probeBody is the body of such an object.
type probeBody struct {
	What string `json:"what"`
	ID   string `json:"id"`
}

func (c *Cluster) leasesPrefix() string           { return c.root + "leases/" }
func (c *Cluster) leasePrefix(what string) string { return c.leasesPrefix() + what + "/" }

func (c *Cluster) leaseKey(what string, sequence uint64) string {
	return fmt.Sprintf("%s%016d%s", c.leasePrefix(what), sequence, documentSuffix)
}

func (c *Cluster) probeKey(what, id string) string { return c.leasePrefix(what) + id + probeSuffix }

// parseLeaseKey is what the key of a lease's document says.
func (c *Cluster) parseLeaseKey(key string) (what string, sequence uint64, ok bool) {
	what, name, ok := strings.Cut(strings.TrimPrefix(key, c.leasesPrefix()), "/")
	if !ok || !ValidID(what) {
		return "", 0, false
	}
	sequence, err := strconv.ParseUint(strings.TrimSuffix(name, documentSuffix), 10, 64)
	return what, sequence, err == nil && c.leaseKey(what, sequence) == key
}

// parseProbeKey is what the key of an object says that told the store's time.
func (c *Cluster) parseProbeKey(key string) (what, id string, ok bool) {
	what, name, _ := strings.Cut(strings.TrimPrefix(key, c.leasesPrefix()), "/")
	id = strings.TrimSuffix(name, probeSuffix)
	return what, id, ValidID(what) && ValidID(id) && c.probeKey(what, id) == key
}

func (c *Cluster) isLeaseKey(key string) bool {
	_, _, lease := c.parseLeaseKey(key)
	_, _, probe := c.parseProbeKey(key)
	return lease || probe
}

// checkLeaseObject proves that the object is what its key says. One that went away meanwhile is no error.
func (c *Cluster) checkLeaseObject(ctx context.Context, key string) error {
	what, sequence, ok := c.parseLeaseKey(key)
	if ok {
		_, err := c.readLease(ctx, what, sequence)
		return ignoreAbsence(err)
	}
	var body probeBody
	err := c.getDocument(ctx, key, kindProbe, &body)
	if err == nil && c.probeKey(body.What, body.ID) != key {
		err = damaged(key, "is another one's")
	}
	return ignoreAbsence(err)
}

// leaseSequences lists the documents of a lease, ascending.
func (c *Cluster) leaseSequences(ctx context.Context, what string) ([]uint64, error) {
	var sequences []uint64
	for info, err := range c.bucket.List(ctx, c.leasePrefix(what)) {
		if err != nil {
			return nil, fmt.Errorf("list lease %s: %w", what, err)
		}
		if of, sequence, ok := c.parseLeaseKey(info.Key); ok && of == what {
			sequences = append(sequences, sequence)
		}
	}
	slices.Sort(sequences)
	return sequences, nil
}

func ignoreAbsence(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

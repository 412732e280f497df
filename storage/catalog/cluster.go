package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// Identity is what tells one PostgreSQL cluster from all others, and never changes in its life.
type Identity struct {
	SystemIdentifier uint64          `json:"system_identifier,string"`
	WALSegmentSize   wal.SegmentSize `json:"wal_segment_size"` // in bytes
}

// Cluster is one PostgreSQL cluster in a repository. It is safe for concurrent use.
type Cluster struct {
	*store
	name     string
	identity Identity
	root     string // what the keys of its data start with
	codecs   *codecs

	compression Compression // of new WAL objects; zstd where empty
	copies      *copies     // of which this is the sum; nil where there is one repository only
}

// clusterBody is the body of a cluster's document.
type clusterBody struct {
	Name string `json:"name"`
	Identity
	Registered time.Time `json:"registered"`
}

// Register gives the identity a name in the repository, durably. Where the name has this identity already nothing is
// written; where it has another one the error is a *ForeignError.
func (r *Repository) Register(ctx context.Context, name string, id Identity, now time.Time) (*Cluster, error) {
	if err := id.check(); err != nil {
		return nil, fmt.Errorf("register cluster %q: %w", name, err)
	}
	c, err := r.Cluster(ctx, name)
	if errors.Is(err, ErrNoCluster) {
		c, err = r.registerNew(ctx, name, id, now)
	}
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	if c.identity != id {
		return nil, &ForeignError{Name: name, Have: c.identity, Offered: id}
	}
	return c, nil
}

// registerNew stores the document, or finds the one that somebody else has stored meanwhile.
func (r *Repository) registerNew(ctx context.Context, name string, id Identity, now time.Time) (*Cluster, error) {
	body := clusterBody{Name: name, Identity: id, Registered: now.UTC()}
	err := r.putDocument(ctx, clusterKey(name), kindCluster, body)
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return nil, err
	}
	return r.Cluster(ctx, name)
}

// Cluster reads a cluster's document. The errors are ErrName, ErrNoCluster, *DamagedError, *VersionError, and
// whatever the store says.
func (r *Repository) Cluster(ctx context.Context, name string) (*Cluster, error) {
	if !ValidClusterName(name) {
		return nil, fmt.Errorf("cluster %q: %w", name, ErrName)
	}
	body, err := r.clusterBody(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("cluster %q in %s: %w", name, r.Location(), ErrNoCluster)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster %q: %w", name, err)
	}
	return &Cluster{
		store:    r.store,
		name:     name,
		identity: body.Identity,
		root:     clusterRoot(name, body.SystemIdentifier),
		codecs:   newCodecs(),
	}, nil
}

func (r *Repository) clusterBody(ctx context.Context, name string) (clusterBody, error) {
	var body clusterBody
	key := clusterKey(name)
	if err := r.getDocument(ctx, key, kindCluster, &body); err != nil {
		return body, err
	}
	if body.Name != name {
		return body, damaged(key, "is the document of cluster %q", body.Name)
	}
	if err := body.check(); err != nil {
		return body, &DamagedError{Key: key, Detail: "identity", Err: err}
	}
	return body, nil
}

// ClusterNames lists the clusters of the repository, sorted. Damaged documents count, since only the keys are read.
func (r *Repository) ClusterNames(ctx context.Context) ([]string, error) {
	var names []string
	for info, err := range r.bucket.List(ctx, clustersPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list clusters: %w", err)
		}
		name, file, _ := strings.Cut(strings.TrimPrefix(info.Key, clustersPrefix), "/")
		if file == clusterFile && ValidClusterName(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Name is the cluster's name in the repository.
func (c *Cluster) Name() string { return c.name }

// Identity is the cluster's identity.
func (c *Cluster) Identity() Identity { return c.identity }

func (id Identity) check() error {
	if id.SystemIdentifier == 0 {
		return errors.New("system identifier is zero")
	}
	if !id.WALSegmentSize.Valid() {
		return fmt.Errorf("WAL segment size of %d bytes is not a power of two from 1 MiB to 1 GiB", id.WALSegmentSize)
	}
	return nil
}

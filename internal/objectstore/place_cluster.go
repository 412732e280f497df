package objectstore

import (
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// Register makes a server known to a repository.
func Register(t testing.TB, repository *catalog.Repository, name string, server *pgtest.Cluster) *catalog.Cluster {
	t.Helper()
	cluster, err := repository.Register(t.Context(), name, Identity(t, server), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// Identity is what a server says of itself.
func Identity(t testing.TB, server *pgtest.Cluster) catalog.Identity {
	t.Helper()
	conn, err := server.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var id uint64
	var size int64
	const ask = "SELECT system_identifier, bytes_per_wal_segment::bigint FROM pg_control_system(), pg_control_init()"
	if err := conn.QueryRow(t.Context(), ask).Scan(&id, &size); err != nil {
		t.Fatal(err)
	}
	return catalog.Identity{SystemIdentifier: id, WALSegmentSize: wal.SegmentSize(size)}
}

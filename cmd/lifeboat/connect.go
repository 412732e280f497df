package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/cmd/internal/config"
	"lifeboat/internal/control"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

const (
	connectTimeout = 10 * time.Second
	stopTimeout    = 30 * time.Second
)

// connector opens connections to a cluster's server. An empty database means the one of the connection string.
func connector(c *config.Cluster) func(ctx context.Context, database string) (*pgx.Conn, error) {
	return func(ctx context.Context, database string) (*pgx.Conn, error) {
		options, err := pgx.ParseConfig(c.Connection)
		if err != nil {
			return nil, fmt.Errorf("connection string: %w", err)
		}
		if database != "" {
			options.Database = database
		}
		if options.ConnectTimeout == 0 {
			options.ConnectTimeout = connectTimeout
		}
		options.RuntimeParams["application_name"] = "lifeboat"
		options.RuntimeParams["search_path"] = "pg_catalog"
		return pgx.ConnectConfig(ctx, options)
	}
}

// identify learns which PostgreSQL cluster the settings mean: from its data directory, where that is named and can be
// read, else from its server.
func identify(ctx context.Context, c *config.Cluster) (catalog.Identity, error) {
	if c.DataDirectory != "" {
		if raw, err := os.ReadFile(c.DataDirectory + "/global/pg_control"); err == nil {
			return identityOf(raw)
		}
	}
	conn, err := connector(c)(ctx, "")
	if err != nil {
		return catalog.Identity{}, fmt.Errorf("the server cannot be asked for its system identifier: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var (
		id      catalog.Identity
		segment int64
		system  int64
	)
	const query = `SELECT (SELECT system_identifier FROM pg_control_system()), (SELECT bytes_per_wal_segment FROM pg_control_init())`
	if err := conn.QueryRow(ctx, query).Scan(&system, &segment); err != nil {
		return id, fmt.Errorf("ask for the system identifier: %w", err)
	}
	return catalog.Identity{SystemIdentifier: uint64(system), WALSegmentSize: wal.SegmentSize(segment)}, nil
}

func identityOf(raw []byte) (catalog.Identity, error) {
	data, err := control.Parse(raw)
	if err != nil {
		return catalog.Identity{}, fmt.Errorf("read pg_control: %w", err)
	}
	return catalog.Identity{SystemIdentifier: data.SystemIdentifier, WALSegmentSize: wal.SegmentSize(data.WALSegmentSize)}, nil
}

// dataDirectory is the server's data directory: the configured one, or what the server says.
func dataDirectory(ctx context.Context, c *config.Cluster) (string, error) {
	if c.DataDirectory != "" {
		return c.DataDirectory, nil
	}
	conn, err := connector(c)(ctx, "")
	if err != nil {
		return "", fmt.Errorf("ask the server for its data directory: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var directory string
	if err := conn.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&directory); err != nil {
		return "", fmt.Errorf("ask the server for its data directory: %w", err)
	}
	return directory, nil
}

package instance

import (
	"context"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/pgtest"
)

func connector(c *pgtest.Cluster) Connect {
	return func(ctx context.Context, database string) (*pgx.Conn, error) { return c.Connect(ctx, database) }
}

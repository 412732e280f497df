package server

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectAny opens a session in a database that is there for no purpose of its own: postgres, or template1 where that was
// removed or takes no sessions. The parameters are those of Connect.
func (s *Server) ConnectAny(ctx context.Context, parameters map[string]string) (*pgx.Conn, error) {
	conn, err := s.Connect(ctx, "postgres", parameters)
	if noSuchDatabase(err) {
		return s.Connect(ctx, "template1", parameters)
	}
	return conn, err
}

// noSuchDatabase recognises 3D000, invalid_catalog_name, and 55000, which is said of one that takes no sessions.
func noSuchDatabase(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && slices.Contains([]string{"3D000", "55000"}, refused.Code)
}

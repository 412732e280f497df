package server

import (
	"context"
	"fmt"
)

// AwaitReady waits until a server that has nothing to recover takes sessions. The error is that of the last attempt where
// the server has ended, and wraps the context's cause.
func (s *Server) AwaitReady(ctx context.Context) error {
	conn, err := s.connectWhenReady(ctx)
	if err != nil {
		return fmt.Errorf("wait for the server to take sessions: %w", err)
	}
	return conn.Close(ctx)
}

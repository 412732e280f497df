package archive

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// MissingGrants lists the statements of Grants that the session's role still lacks, for a server of this major version.
func MissingGrants(ctx context.Context, conn *pgx.Conn, major int) ([]string, error) {
	var role string
	if err := conn.QueryRow(ctx, "SELECT current_user::text").Scan(&role); err != nil {
		return nil, fmt.Errorf("ask for the current role: %w", err)
	}
	var missing []string
	for _, p := range allPrivileges(major) {
		held, err := p.held(ctx, conn)
		if err != nil {
			return nil, fmt.Errorf("ask for privileges: %w", err)
		}
		if !held {
			missing = append(missing, p.grant(role))
		}
	}
	return missing, nil
}

package archive

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// privilege is one right that a role without superuser rights needs.
type privilege struct {
	function string // with its argument types; empty for a role
	role     string // a predefined role
}

// grant is the statement that gives the right. The role's name is quoted as an identifier.
func (p privilege) grant(to string) string {
	to = pgx.Identifier{to}.Sanitize()
	if p.function == "" {
		return fmt.Sprintf("GRANT %s TO %s;", p.role, to)
	}
	return fmt.Sprintf("GRANT EXECUTE ON FUNCTION pg_catalog.%s TO %s;", p.function, to)
}

// held asks the server for the current role's own rights.
func (p privilege) held(ctx context.Context, conn *pgx.Conn) (bool, error) {
	query, name := "SELECT pg_catalog.has_function_privilege($1, 'EXECUTE')", "pg_catalog."+p.function
	if p.function == "" {
		query, name = "SELECT pg_catalog.pg_has_role($1, 'USAGE')", p.role
	}
	var held bool
	err := conn.QueryRow(ctx, query, name).Scan(&held)
	return held, err
}

// backupPrivileges are what Backup itself uses. PostgreSQL 15 renamed the functions:
// https://www.postgresql.org/docs/release/15.0/
func backupPrivileges(major int) []privilege {
	if major < 15 {
		return []privilege{
			{function: "pg_start_backup(text, boolean, boolean)"},
			{function: "pg_stop_backup(boolean, boolean)"},
			{role: "pg_read_all_settings"},
		}
	}
	return []privilege{
		{function: "pg_backup_start(text, boolean)"},
		{function: "pg_backup_stop(boolean)"},
		{role: "pg_read_all_settings"},
	}
}

// Grants are the statements that give a role, on a server of this major version, all that backing up and the census's
// restore points need. A superuser runs them in the database that the role connects to.
func Grants(major int, role string) []string {
	return statements(allPrivileges(major), role)
}

// GrantReplication is the statement that lets a role stream WAL.
func GrantReplication(role string) string {
	return fmt.Sprintf("ALTER ROLE %s REPLICATION;", pgx.Identifier{role}.Sanitize())
}

func allPrivileges(major int) []privilege {
	return append(backupPrivileges(major),
		privilege{function: "pg_switch_wal()"},
		privilege{function: "pg_create_restore_point(text)"})
}

func statements(privileges []privilege, role string) []string {
	list := make([]string, 0, len(privileges))
	for _, p := range privileges {
		list = append(list, p.grant(role))
	}
	return list
}

// checkPrivileges names every grant that a backup lacks, in one error.
func checkPrivileges(ctx context.Context, conn *pgx.Conn, major int) error {
	var missing []privilege
	for _, p := range backupPrivileges(major) {
		held, err := p.held(ctx, conn)
		if err != nil {
			return fmt.Errorf("ask for privileges: %w", err)
		}
		if !held {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return missingPrivileges(ctx, conn, missing)
}

func missingPrivileges(ctx context.Context, conn *pgx.Conn, missing []privilege) error {
	var role, database string
	err := conn.QueryRow(ctx, "SELECT current_user, pg_catalog.current_database()").Scan(&role, &database)
	if err != nil {
		return fmt.Errorf("ask for the current role: %w", err)
	}
	return &OperatorError{
		Message: fmt.Sprintf("role %q lacks privileges that a backup needs", role),
		Hint: fmt.Sprintf("as a superuser, in database %q:\n%s",
			database, strings.Join(statements(missing, role), "\n")),
	}
}

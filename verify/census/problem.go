package census

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// What happens to tables while they are counted.
var (
	errGone  = errors.New("dropped while the census ran")
	errMoved = errors.New("truncated, rewritten or renamed while the census ran")
)

// The SQLSTATEs that are told apart: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	lockNotAvailable = "55P03"
	queryCanceled    = "57014"
	undefinedTable   = "42P01"
	undefinedColumn  = "42703"
	undefinedSchema  = "3F000"
	noSuchDatabase   = "3D000"

	classConnection   = "08"
	classIntervention = "57"
)

// describe says what an error means for the one table it came from; empty if it is not about the table.
func describe(err error) string {
	if errors.Is(err, errGone) || errors.Is(err, errMoved) {
		return err.Error()
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || endsSession(refused) {
		return ""
	}
	switch refused.Code {
	case lockNotAvailable:
		return "locked by another session for longer than the lock timeout"
	case queryCanceled:
		return "took longer than the statement timeout"
	case undefinedTable, undefinedSchema:
		return "dropped or renamed while the census ran"
	case undefinedColumn:
		return "altered while the census ran"
	}
	return strings.ToValidUTF8(refused.Message, "?") + " (SQLSTATE " + refused.Code + ")"
}

// endsSession says whether the server refuses more than one query: shutdowns, lost connections.
func endsSession(refused *pgconn.PgError) bool {
	if refused.Severity == "FATAL" || refused.Severity == "PANIC" {
		return true
	}
	return strings.HasPrefix(refused.Code, classConnection) ||
		strings.HasPrefix(refused.Code, classIntervention) && refused.Code != queryCanceled
}

// onlyContents says whether an error can have come from forming and hashing rows, so that counting them may succeed.
func onlyContents(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || endsSession(refused) {
		return false
	}
	switch refused.Code {
	case lockNotAvailable, undefinedTable, undefinedSchema, undefinedColumn:
		return false
	}
	return true
}

package drill

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"lifeboat/restore"
)

// ManagerError says that the WAL of the drill can be replayed only with an extension's library, which no drill loads.
type ManagerError struct{ Managers []int }

func (e *ManagerError) Error() string {
	var ids []string
	for _, id := range e.Managers {
		ids = append(ids, fmt.Sprint(id))
	}
	return "the WAL that this drill replays has records of custom resource manager " + strings.Join(ids, " and ") +
		", which an extension wrote, and a drill loads no extension's library to replay them: restore by hand, with that library in shared_preload_libraries, or drill to a target before these records"
}

func refuseManagers(plan restore.Plan) error {
	if len(plan.CustomManagers) > 0 {
		return &ManagerError{Managers: plan.CustomManagers}
	}
	return nil
}

// aboutRole says in words that the backup's superuser role cannot be used at a stop any more: 28000,
// invalid_authorization_specification. Any other error is returned as it is.
func (d *drill) aboutRole(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28000" {
		return err
	}
	return &AccessError{
		Why: fmt.Sprintf("role %s, the superuser when backup %s was made, cannot be used there: let it log in, or make a new backup where it was renamed, and drill from that",
			d.plan.Record().Superuser, d.plan.Backup.Label),
		Err: refused,
	}
}

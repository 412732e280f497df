package census

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/wal"
)

// prove decides whether the instance shows what the census's snapshot saw.
func prove(ctx context.Context, conn *pgx.Conn, d Database) (Comparison, string, error) {
	if d.Cut == nil {
		return Tolerant, d.Why, nil
	}
	why, past, err := provePosition(ctx, conn, *d.Cut)
	if err != nil || past {
		return Tolerant, why, err
	}
	committed, err := committedUnseen(ctx, conn, d.Snapshot)
	if err != nil {
		return Tolerant, "", err
	}
	if committed != "" {
		return Tolerant, committed, nil
	}
	return Exact, why, nil
}

// provePosition compares how far recovery went with the cut. An instance that is not in recovery cannot tell.
func provePosition(ctx context.Context, conn *pgx.Conn, cut Cut) (why string, past bool, err error) {
	var replayed *string
	err = conn.QueryRow(ctx,
		"SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END").Scan(&replayed)
	if err != nil {
		return "", false, fmt.Errorf("ask for the end of recovery: %w", err)
	}
	if replayed == nil {
		return "", false, nil
	}
	lsn, err := wal.ParseLSN(*replayed)
	switch {
	case err != nil:
		return "", false, fmt.Errorf("ask for the end of recovery: %w", err)
	case lsn > cut.To:
		return fmt.Sprintf("recovery went to %s, past the census's place at %s", lsn, cut.To), true, nil
	case lsn < cut.From:
		return fmt.Sprintf("recovery ended at %s, short of the census's place at %s", lsn, cut.From), false, nil
	}
	return "", false, nil
}

// maxUnseen is how many transaction ids beyond the snapshot are asked for one by one.
const maxUnseen = 1 << 20

// committedUnseen asks for the fate of every transaction that the census did not see: those in progress then, and
// those that began later. It says which one has committed; empty if none.
func committedUnseen(ctx context.Context, conn *pgx.Conn, s Snapshot) (string, error) {
	horizon, err := askHorizon(ctx, conn)
	if err != nil {
		return "", err
	}
	if horizon > s.XMax && horizon-s.XMax > maxUnseen {
		return fmt.Sprintf("%d transactions ended after the census's snapshot", horizon-s.XMax), nil
	}
	running := make([]string, 0, len(s.InProgress))
	for _, xid := range s.InProgress {
		if xid < horizon { // none at or above it is over, and PostgreSQL may not know it yet
			running = append(running, strconv.FormatUint(xid, 10))
		}
	}
	var count int64
	var first string
	err = conn.QueryRow(ctx, `
SELECT count(*), coalesce(min(xid)::text, '') FROM (
  SELECT x::bigint AS xid FROM unnest($1::text[]) AS x
  UNION ALL SELECT generate_series($2::bigint, $3::bigint - 1)
) AS unseen WHERE pg_xact_status(xid::text::xid8) = 'committed'`,
		running, int64(s.XMax), int64(horizon)).Scan(&count, &first)
	if err != nil {
		return "", fmt.Errorf("ask for the fate of transactions: %w", err)
	}
	if count == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d transactions that the census did not see have committed, the first is %s", count, first), nil
}

// askHorizon is the id above the last transaction that is over. In recovery, too: only the list of running
// transactions is missing from a snapshot there.
func askHorizon(ctx context.Context, conn *pgx.Conn) (uint64, error) {
	var text string
	err := conn.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text").Scan(&text)
	if err != nil {
		return 0, fmt.Errorf("ask for the last transaction: %w", err)
	}
	return parseXID(text)
}

package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/cmd/internal/term"
)

// prove compares the recovered ledger, row by row, with what was acknowledged and committed up to the moment of the
// accident by the primary's own commit timestamps.
func (s *story) prove(ctx context.Context) error {
	want, lost, err := s.committedBefore(ctx)
	if err != nil {
		return err
	}
	conn, err := connectTo(ctx, s.scene, restoredPort)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	got, err := ledgerRows(ctx, conn)
	if err != nil {
		return err
	}
	if !maps.Equal(want, got) {
		return fmt.Errorf("the recovered ledger is not what was committed before %s: %d rows, not %d", s.accident, len(got), len(want))
	}
	s.done("%s of %s rows committed before are there, %d from after: equal row by row", term.Count(int64(len(got))), term.Count(int64(len(want))), 0)
	if lost > 0 {
		s.done("%d rows committed between that moment and the DROP are not, as asked", lost)
	}
	return s.proveBalance(ctx, conn)
}

// committedBefore asks the primary when each acknowledged row's transaction was committed.
func (s *story) committedBefore(ctx context.Context) (before map[int64]int64, after int, err error) {
	conn, err := s.primary.connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	entries := s.ledger.written()
	xids := make([]int64, len(entries))
	for i, e := range entries {
		xids[i] = int64(e.xid)
	}
	const query = `SELECT pg_xact_commit_timestamp((x % 4294967296)::text::xid) FROM unnest($1::bigint[]) WITH ORDINALITY AS t(x, n) ORDER BY n`
	times, err := collect[time.Time](ctx, conn, query, xids)
	if err != nil {
		return nil, 0, fmt.Errorf("ask for commit times: %w", err)
	}
	before = map[int64]int64{}
	for i, e := range entries {
		if times[i].After(s.accident) {
			after++
		} else {
			before[e.id] = e.amount
		}
	}
	return before, after, nil
}

func collect[T any](ctx context.Context, conn *pgx.Conn, query string, args ...any) ([]T, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

func ledgerRows(ctx context.Context, conn *pgx.Conn) (map[int64]int64, error) {
	type row struct{ ID, Amount int64 }
	rows, err := conn.Query(ctx, "SELECT id, amount FROM ledger")
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, fmt.Errorf("read the recovered ledger: %w", err)
	}
	ledger := map[int64]int64{}
	for _, r := range list {
		ledger[r.ID] = r.Amount
	}
	return ledger, nil
}

// proveBalance checks pgbench's own invariant: every transaction adds one delta to four tables, so their sums agree in
// any consistent state.
func (s *story) proveBalance(ctx context.Context, conn *pgx.Conn) error {
	const query = `SELECT unnest(ARRAY[(SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
		(SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)])::bigint`
	sums, err := collect[int64](ctx, conn, query)
	if err != nil {
		return fmt.Errorf("sum pgbench's tables: %w", err)
	}
	if len(slices.Compact(slices.Clone(sums))) != 1 {
		return fmt.Errorf("pgbench's sums disagree in the recovered server: %v", sums)
	}
	s.done("pgbench's four tables agree on their sum, %s", term.Count(sums[0]))
	return nil
}

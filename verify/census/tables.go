package census

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// count counts the tables of the holder's database under its snapshot.
func (h *holder) count(ctx context.Context, o Options, d *Database) error {
	relations, err := queryRelations(ctx, h.conn)
	if err != nil {
		return err
	}
	if relations, err = h.withLargeObjects(ctx, relations); err != nil {
		return err
	}
	tables, skipped := splitRelations(relations)
	d.Skipped = skipped
	if d.Details, err = h.details(ctx); err != nil {
		return err
	}
	results, err := countShared(ctx, o.Connect, o.Limits, h, tables, o.choose)
	if err != nil {
		return err
	}
	reshaped, err := h.reshaped(ctx, tables)
	if err != nil {
		return err
	}
	d.Details.addSequences(h.early, h.sequences(ctx))
	for i, r := range tables {
		if reshaped[r.oid] && results[i].problem == "" {
			results[i].problem = "altered while the census ran"
		}
		t := tableOf(r, results[i], h.cut != nil)
		if t.Comparable == None {
			o.Logger.Warn("could not count a table", keyDatabase, h.name, keyTable, r.quoted(), keyWhy, t.Why)
		}
		d.Tables = append(d.Tables, t)
	}
	slices.SortFunc(d.Tables, func(a, b Table) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

// countShared counts with several sessions that all see what the holder sees. The results are in the order of the
// relations.
func countShared(ctx context.Context, connect Connect, limits Limits, h *holder, relations []relation,
	choose func(oid uint32, bytes int64) request) ([]measured, error) {
	results := make([]measured, len(relations))
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(limits.Workers, len(relations)) {
		group.Go(func() error {
			conn, err := openSession(ctx, connect, h.name, limits)
			if err != nil {
				return err
			}
			defer closeSession(conn)
			if err := beginShared(ctx, conn, h.exported); err != nil {
				return fmt.Errorf("take over the snapshot: %w", err)
			}
			c := counter{conn: conn, choose: choose}
			for i := next.Add(1) - 1; i < int64(len(relations)); i = next.Add(1) - 1 {
				if results[i], err = c.measure(ctx, relations[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return results, group.Wait()
}

// reshaped ends the snapshot and finds the tables whose columns are not those that the snapshot saw: what was counted
// of them may be either.
func (h *holder) reshaped(ctx context.Context, tables []relation) (map[uint32]bool, error) {
	if err := h.release(ctx); err != nil {
		return nil, err
	}
	relations, err := queryRelations(ctx, h.conn)
	if err != nil {
		return nil, err
	}
	shapes := make(map[uint32]string, len(relations))
	for _, r := range relations {
		shapes[r.oid] = r.shape
	}
	differ := make(map[uint32]bool)
	for _, r := range tables {
		if shape, ok := shapes[r.oid]; ok && shape != r.shape {
			differ[r.oid] = true
		}
	}
	return differ, nil
}

// choose decides by a table's size how much of it is read.
func (o Options) choose(oid uint32, bytes int64) request {
	percent := samplePercent(bytes, o.SampleBudget)
	if percent >= 100 {
		return request{fingerprint: true}
	}
	return request{
		fingerprint: true,
		sample:      &Sample{Percent: percent, Seed: int64(oid), Rows: bytes > o.CountBudget},
	}
}

// samplePercent is the budget's share of a table, rounded so that its decimal form is exact.
func samplePercent(bytes, budget int64) float64 {
	if bytes <= budget {
		return 100
	}
	percent := 100 * float64(budget) / float64(bytes)
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(percent, 'e', 3, 64), 64)
	if err != nil || math.IsNaN(rounded) {
		return 100
	}
	return rounded
}

func tableOf(r relation, m measured, hasCut bool) Table {
	t := Table{OID: r.oid, Schema: r.schema, Name: r.name, Bytes: m.bytes}
	if m.problem != "" {
		t.Comparable, t.Why = None, m.problem
		return t
	}
	t.Rows, t.Fingerprint, t.Sample, t.Why = m.rows, m.fingerprint, m.request.sample, m.remark
	t.Comparable = Exact
	if !hasCut {
		t.Comparable = Tolerant
	}
	return t
}

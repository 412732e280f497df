package census

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Take counts and fingerprints all tables of the cluster that Connect leads to. It makes a restore point named
// "lifeboat-census-<ID>". What could not be counted stands in the census with the reason; an error means that there is
// no census.
//
// The role needs EXECUTE on pg_create_restore_point(text), and for each database CONNECT and SELECT on what is to be
// counted, such as membership in pg_read_all_data.
func Take(ctx context.Context, options Options) (*Census, error) {
	c, err := take(ctx, options.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("take census: %w", err)
	}
	return c, nil
}

func take(ctx context.Context, o Options) (*Census, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Census{ID: o.ID, Taken: o.Clock()}
	control, err := openSession(ctx, o.Connect, "", o.Limits)
	if err != nil {
		return nil, err
	}
	defer closeSession(control)
	directory, err := c.identify(ctx, control, o)
	if err != nil {
		return nil, err
	}
	holders, err := openHolders(ctx, control, o)
	defer closeHolders(holders)
	if err != nil {
		return nil, err
	}
	for _, h := range reachable(holders) {
		h.early = h.sequences(ctx)
	}
	p := placer{control: control, wal: directory, id: o.ID, limit: o.Attempts, logger: o.Logger}
	if c.RestorePoint, err = p.place(ctx, reachable(holders)); err != nil {
		return nil, err
	}
	if err := c.countAll(ctx, o, holders); err != nil {
		return nil, err
	}
	c.chooseStops(o)
	return c, nil
}

// identify makes sure that the right cluster answers and that the WAL directory is its own.
func (c *Census) identify(ctx context.Context, control *pgx.Conn, o Options) (walDirectory, error) {
	facts, err := askServer(ctx, control)
	if err != nil {
		return walDirectory{}, err
	}
	if facts.system != o.Identity.SystemIdentifier {
		return walDirectory{}, fmt.Errorf("the server is cluster %d, not %d", facts.system, o.Identity.SystemIdentifier)
	}
	c.SystemIdentifier, c.PostgresVersion, c.Timeline = facts.system, facts.version, facts.timeline
	d := walDirectory{path: o.WALDirectory, system: facts.system, timeline: facts.timeline, size: facts.size}
	if d.path == "" {
		return d, nil
	}
	flushed, err := askLSN(ctx, control, "SELECT pg_current_wal_flush_lsn()::text")
	if err != nil {
		return d, err
	}
	return d, d.check(flushed)
}

func openHolders(ctx context.Context, control *pgx.Conn, o Options) ([]*holder, error) {
	databases, err := queryDatabases(ctx, control)
	if err != nil {
		return nil, err
	}
	holders := make([]*holder, len(databases))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, database := range databases {
		group.Go(func() (err error) {
			holders[i], err = openHolder(ctx, o, database)
			return err
		})
	}
	return holders, group.Wait()
}

func closeHolders(holders []*holder) {
	for _, h := range holders {
		if h != nil {
			h.close()
		}
	}
}

func reachable(holders []*holder) []*holder {
	var list []*holder
	for _, h := range holders {
		if h.conn != nil {
			list = append(list, h)
		}
	}
	return list
}

// countAll counts one database after the other and ends each snapshot as soon as it is no longer needed.
func (c *Census) countAll(ctx context.Context, o Options, holders []*holder) error {
	for _, h := range holders {
		d := h.document()
		if h.conn != nil {
			if err := h.count(ctx, o, &d); err != nil {
				return fmt.Errorf("count database %q: %w", h.name, err)
			}
			h.close()
		}
		c.Databases = append(c.Databases, d)
	}
	return nil
}

func (c *Census) chooseStops(o Options) {
	var cuts []*Cut
	for _, d := range c.Databases {
		if d.Cut != nil {
			cuts = append(cuts, d.Cut)
		}
	}
	chooseStops(cuts)
	for _, d := range c.Databases {
		if d.Cut != nil {
			o.Logger.Info("counted a database", keyDatabase, d.Name, keyLSN, d.Cut.LSN, keyAttempt, d.Attempts)
		} else {
			o.Logger.Warn("counted a database inexactly", keyDatabase, d.Name, keyWhy, d.Why)
		}
	}
}

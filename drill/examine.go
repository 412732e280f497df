package drill

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"lifeboat/restore"
	"lifeboat/restore/server"
	"lifeboat/verify/census"
	"lifeboat/verify/instance"
)

// examine looks at the instance in layers: at the drill's own target at all that can be read there, and at the last stop,
// once nothing else is to be recovered, at heaps and indexes.
func (d *drill) examine(ctx context.Context, running *server.Server, s *stop) error {
	defer d.clock.time(PhaseVerify)()
	connect := instance.Connect(d.connect(running))
	_, databases, err := askServer(ctx, d.connect(running))
	if err != nil {
		return fmt.Errorf("ask the restored server: %w", err)
	}
	if s.isTarget {
		if err := d.examineTarget(ctx, connect, databases); err != nil {
			return err
		}
	}
	if d.isLast(s) {
		return d.examineRelations(ctx, running, databases)
	}
	return nil
}

func (d *drill) isLast(s *stop) bool { return s == &d.stops[len(d.stops)-1] }

// examineTarget runs the layers that a server at its recovery target can answer.
func (d *drill) examineTarget(ctx context.Context, connect instance.Connect, databases []string) error {
	for _, name := range databases {
		err := d.look(ctx, CheckCatalogues, Layer{Database: name}, func() instance.Finding { return instance.Catalogues(ctx, connect, name) })
		if err != nil {
			return err
		}
		err = d.look(ctx, CheckCollations, Layer{Database: name}, func() instance.Finding { return instance.Collations(ctx, connect, name) })
		if err != nil {
			return err
		}
	}
	return d.assert(ctx, connect)
}

// assert asks for the operator's assertions.
func (d *drill) assert(ctx context.Context, connect instance.Connect) error {
	if len(d.Examination.Assertions) == 0 {
		d.keep(CheckAssertions, Layer{Name: layerNames[CheckAssertions], Result: NotRun, Detail: "the configuration has none"})
		return nil
	}
	o := instance.AssertOptions{Moment: d.moment(), Timeout: d.Examination.AssertionTimeout}
	for _, a := range d.Examination.Assertions {
		err := d.look(ctx, CheckAssertions, Layer{Name: a.Name, Database: a.Database}, func() instance.Finding { return instance.Assert(ctx, connect, a, o) })
		if err != nil {
			return err
		}
	}
	return nil
}

// compareDetails holds what a database has besides rows against the census.
func (d *drill) compareDetails(ctx context.Context, running *server.Server, counted census.Database, comparison census.Comparison) error {
	if comparison == census.None {
		return nil // the check of its rows says so
	}
	connect := instance.Connect(d.connect(running))
	err := d.look(ctx, CheckSequences, Layer{Database: counted.Name}, func() instance.Finding {
		return instance.Sequences(ctx, connect, counted, comparison)
	})
	if err != nil {
		return err
	}
	return d.look(ctx, CheckExtensions, Layer{Database: counted.Name}, func() instance.Finding {
		return instance.Extensions(ctx, connect, counted, comparison)
	})
}

// moment is the time that was recovered to: the target's own, or that of the last transaction that was replayed. Where
// none was, nothing is newer than the end of the backup.
func (d *drill) moment() time.Time {
	switch reached := d.result.Target.ReachedTime; {
	case d.Target.Kind == restore.KindTime:
		return d.Target.Time
	case !reached.IsZero():
		return reached
	}
	return d.plan.Backup.StopTime
}

// promotionPatience bounds how long the scratch server may take to end recovery.
const promotionPatience = 5 * time.Minute

// examineRelations ends recovery, whose target is proven by now, and examines heaps and indexes: the extension for that
// cannot be created before. Nothing of the instance is used afterwards.
func (d *drill) examineRelations(ctx context.Context, running *server.Server, databases []string) error {
	if d.Examination.Amcheck == AmcheckOff {
		d.keep(CheckRelations, Layer{Name: layerNames[CheckRelations], Result: NotRun, Detail: "the configuration says off"})
		return nil
	}
	d.checks.during(CheckRelations)
	if err := promote(ctx, d.connect(running)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.checks.set(CheckRelations, verdictOf(err), "%s", words(err))
		return nil
	}
	connect := instance.Connect(d.connect(running))
	for i, name := range databases {
		o := instance.Amcheck{HeapAllIndexed: d.Examination.Amcheck == AmcheckHeapAllIndexed, Shared: i == 0}
		err := d.look(ctx, CheckRelations, Layer{Database: name}, func() instance.Finding { return instance.Relations(ctx, connect, name, o) })
		if err != nil {
			return err
		}
	}
	return nil
}

// promote makes a server that is paused at its target one that takes writes.
func promote(ctx context.Context, connect census.Connect) error {
	ctx, cancel := context.WithTimeout(ctx, promotionPatience+time.Minute)
	defer cancel()
	conn, err := connect(ctx, "")
	if err != nil {
		return fmt.Errorf("end recovery for the layers that need that: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var done bool
	if err := conn.QueryRow(ctx, "SELECT pg_promote(true, $1)", int(promotionPatience.Seconds())).Scan(&done); err != nil {
		return fmt.Errorf("end recovery for the layers that need that: %w", err)
	}
	if !done {
		return errors.New("the scratch server did not end recovery, so heaps and indexes could not be examined")
	}
	return nil
}

// examinePages checks every page on disk after the last server has shut down, and says which layers had nothing to
// look at.
func (d *drill) examinePages(ctx context.Context) error {
	defer d.clock.time(PhaseVerify)()
	for _, check := range []string{CheckSequences, CheckExtensions} {
		if d.ran(check) == 0 {
			d.keep(check, Layer{Name: layerNames[check], Result: NotRun, Detail: "no database was compared with a census"})
		}
	}
	return d.look(ctx, CheckChecksums, Layer{}, func() instance.Finding {
		return instance.Pages(ctx, instance.PagesOptions{Directory: d.plan.Directory, Workers: runtime.NumCPU()})
	})
}

// ending is how a server is to end, and how long it may take: the last one shuts down in good order, so that its pages
// can be checked.
func (d *drill) ending(ctx context.Context, s *stop) (server.Mode, time.Duration) {
	if d.isLast(s) && d.plan.Record().DataChecksums && ctx.Err() == nil {
		return server.Fast, promotionPatience
	}
	return server.Immediate, shutdownPatience
}

// ran counts the layers that belong to a check.
func (d *drill) ran(check string) (n int) {
	for _, e := range d.examined {
		if e.check == check {
			n++
		}
	}
	return n
}

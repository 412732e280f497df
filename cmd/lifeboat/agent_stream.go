package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"lifeboat/archive/stream"
	"lifeboat/cmd/internal/config"
)

const (
	streamPoll = time.Second
	// refusedPause is how long a receiver rests that needs a person.
	refusedPause = time.Minute
	// longestSlot is what PostgreSQL allows for the name of a replication slot, in bytes.
	longestSlot = 63
)

// stream receives WAL while the server is the primary, until ctx ends. At other times it ships what the spool holds: what
// was acknowledged there is to survive the server.
func (t *tended) stream(ctx context.Context) {
	defer close(t.turns.streamed)
	if !await(ctx, t.before.streamed) {
		return
	}
	for ; ctx.Err() == nil; pause(ctx, streamPoll) {
		if !t.receives() {
			t.emptySpool(ctx, t.shop.Load())
			continue
		}
		t.emptied = false
		if err := t.streamOnce(ctx); err != nil && ctx.Err() == nil {
			t.counts.failed(err)
			t.app.log.Error("no WAL is received; archive_command goes on", keyError, err, "again_in", refusedPause)
			pause(ctx, refusedPause)
		}
	}
}

// receives tells whether there is a primary to receive from.
func (t *tended) receives() bool {
	state := t.watch.now()
	return t.config.WAL.Stream && state.answers && !state.standby
}

// streamOnce receives until ctx ends, the server becomes a standby, or somebody is needed.
func (t *tended) streamOnce(ctx context.Context) error {
	spool := spoolDirectory(t.settings, t.name)
	if err := makeStateDirectory(filepath.Dir(spool)); err != nil {
		return fmt.Errorf("make the spool's directory: %w", err)
	}
	receiver, err := stream.New(t.streamOptions(t.shop.Load(), spool))
	if err != nil {
		return err
	}
	return t.through(ctx, receiver, receiver.Run, func() bool {
		state := t.watch.now()
		return state.answers && state.standby
	})
}

// through lets a receiver work, and tells what it does, until it ends or over says that its time is over.
func (t *tended) through(ctx context.Context, receiver *stream.Receiver, work func(context.Context) error, over func() bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t.flow.Store(receiver)
	defer t.flow.Store(nil)
	var group errgroup.Group
	group.Go(func() error {
		defer stop()
		return work(ctx)
	})
	group.Go(func() error {
		for pause(ctx, streamPoll) {
			if over() {
				stop()
			}
		}
		return nil
	})
	return group.Wait()
}

func (t *tended) streamOptions(s *shop, spool string) stream.Options {
	durable := stream.Spool
	if t.config.WAL.Durable == config.InRepository {
		durable = stream.Repository
	}
	return stream.Options{
		Connect: t.connectReplication, Slot: slotOf(t.name), Spool: spool, Interval: time.Duration(t.config.WAL.Interval),
		SpoolLimit: int64(t.config.WAL.SpoolLimit), Durable: durable, SegmentSize: s.scene.cluster.Identity().WALSegmentSize,
		Clock: t.app.now, Log: t.app.log, Sink: &sink{tended: t, shop: s, spool: spool},
	}
}

func spoolDirectory(settings *config.Config, cluster string) string {
	return filepath.Join(settings.StateDirectory.Value, cluster+".spool")
}

// slotOf is the name of a cluster's replication slot.
func slotOf(cluster string) string {
	name := "lifeboat_" + strings.ReplaceAll(cluster, "-", "_")
	if len(name) > longestSlot {
		sum := sha256.Sum256([]byte(cluster))
		name = fmt.Sprintf("lifeboat_%x", sum[:16])
	}
	return name
}

// connectReplication opens a connection for physical replication, and makes sure that it leads to the cluster that the
// repository knows: histories do not say whose they are.
func (t *tended) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	conn, err := replicationConn(ctx, t.config, slotOf(t.name))
	if err != nil {
		return nil, err
	}
	if err := t.recognise(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// replicationConn connects for physical replication.
func replicationConn(ctx context.Context, c *config.Cluster, application string) (*pgconn.PgConn, error) {
	options, err := pgconn.ParseConfig(c.Connection)
	if err != nil {
		return nil, fmt.Errorf("connection string: %w", err)
	}
	if options.ConnectTimeout == 0 {
		options.ConnectTimeout = connectTimeout
	}
	options.RuntimeParams["replication"] = "true"
	options.RuntimeParams["application_name"] = application
	return pgconn.ConnectConfig(ctx, options)
}

func (t *tended) recognise(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	if err != nil {
		return fmt.Errorf("ask which cluster this is: %w", err)
	}
	want := fmt.Sprint(t.shop.Load().scene.cluster.Identity().SystemIdentifier)
	if len(results) != 1 || len(results[0].Rows) != 1 || string(results[0].Rows[0][0]) != want {
		return fmt.Errorf("the server is not the cluster %s that the repository knows, whose system identifier is %s", t.name, want)
	}
	return nil
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

func TestProductionIsAskedWhatTheArchiveLacks(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := pgtest.Start(t, pgtest.Newest(t), pgtest.Options{
		OwnIdentity: true, Settings: map[string]string{"autovacuum": "off"}, // what it commits is not archived either
	})
	place := objectstore.NewPlace(t)
	s := &scene{
		config:  &config.Cluster{Connection: server.DSN("postgres")},
		cluster: objectstore.Register(t, place.Create(t, time.Now()), "main", server),
	}
	position := func() wal.LSN {
		lsn, err := wal.ParseLSN(server.Value(ctx, "SELECT pg_current_wal_flush_lsn()"))
		if err != nil {
			t.Fatal(err)
		}
		return lsn
	}
	before := position()
	server.Exec(ctx, "CREATE TABLE ledger (id int)")
	state, err := production(s)(ctx, 1, before)
	if age := state.Clock.Sub(state.FirstUnarchived); err != nil || age <= 0 || age > time.Minute {
		t.Errorf("a commit of %s ago is not archived: %+v, %v", age, state, err)
	}
	if state, err := production(s)(ctx, 1, position()); err != nil || !state.FirstUnarchived.IsZero() {
		t.Errorf("all is archived: %+v, %v", state, err)
	}
	for want, asked := range map[string]struct {
		timeline wal.TimelineID
		archived wal.LSN
	}{
		"behind the archive": {1, position() + 1<<30}, "on another timeline": {2, before},
	} {
		if _, err := production(s)(ctx, asked.timeline, asked.archived); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestProductionIsOnItsNewTimelineAtOnce asks a server that was just promoted, before the checkpoint that follows.
func TestProductionIsOnItsNewTimelineAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := pgtest.Start(t, pgtest.Newest(t), pgtest.Options{OwnIdentity: true})
	place := objectstore.NewPlace(t)
	s := &scene{
		config:  &config.Cluster{Connection: server.DSN("postgres")},
		cluster: objectstore.Register(t, place.Create(t, time.Now()), "main", server),
	}
	server.Exec(ctx, "CREATE TABLE filler AS SELECT repeat('x', 800) AS v FROM generate_series(1, 20000)") // for the checkpoint to write
	server.Kill()
	signal := filepath.Join(server.DataDir, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pgtest.GiveAway(t, signal)
	server.Launch()
	server.Exec(ctx, "SELECT pg_promote()")
	archived, err := wal.ParseLSN(server.Value(ctx, "SELECT pg_current_wal_flush_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	if state, err := production(s)(ctx, 2, archived); err != nil {
		t.Errorf("%+v, %v", state, err)
	}
}

package restore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/restore/server"
	"lifeboat/storage/catalog"
)

func TestWishesAreReadFromWords(t *testing.T) {
	t.Parallel()
	latest := restore.Target{Kind: restore.KindLatest}
	moment := restore.Target{Kind: restore.KindTime, Time: dawn.Add(-time.Hour)}
	for text, want := range map[string]restore.Wish{
		"latest": {Words: "latest", Target: latest}, " Latest ": {Words: "Latest", Target: latest},
		"1h ago": {Words: "1h ago", Target: moment}, "2026-11-22 05:00:00+00": {Words: "2026-11-22 05:00:00+00", Target: moment},
		"random":           {Words: "random", Kind: restore.WishRandom},
		"restore point":    {Words: "restore point", Kind: restore.WishRestorePoint},
		"before  last DDL": {Words: "before last DDL", Kind: restore.WishBeforeDDL},
	} {
		if got, err := restore.ParseWish(text, dawn); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "no target is named: write latest, random", "yesterday": `"yesterday" is no target: write latest, random, restore point, before last ddl`,
		"randomly": "is no target", "2026-11-22 05:00:00": "no time zone", "1 fortnight ago": `unknown unit "fortnight"`,
	} {
		if _, err := restore.ParseWish(text, dawn); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestARandomMomentIsOneOfAllThatCanBeReached chooses on a timeline with two windows, of 7.5 and 2.5 minutes.
func TestARandomMomentIsOneOfAllThatCanBeReached(t *testing.T) {
	t.Parallel()
	v := branchingVault(t)
	const all = 600_000_000
	choose := func(number uint64, o restore.WishOptions) restore.Target {
		o.Random = func(below uint64) uint64 {
			if o.Backup == "" && below != all {
				t.Errorf("chosen among %d moments, want %d", below, all)
			}
			return number
		}
		chosen, err := restore.Choose(t.Context(), v.cluster, restore.Wish{Kind: restore.WishRandom}, o)
		if err != nil || chosen.Target.Kind != restore.KindTime || chosen.Why == "" {
			t.Fatalf("%+v, %v", chosen, err)
		}
		return chosen.Target
	}
	for number, want := range map[uint64]time.Duration{
		0: 30 * time.Second, 450_000_000 - 1: 8*time.Minute - time.Microsecond, 450_000_000: 9*time.Minute + 30*time.Second,
		all - 1: 12*time.Minute - time.Microsecond,
	} {
		if got := choose(number, restore.WishOptions{Timeline: 1}).Time.Sub(dawn); got != want {
			t.Errorf("number %d is %s after dawn, want %s", number, got, want)
		}
	}
	if got := choose(0, restore.WishOptions{Timeline: 1, Backup: "20261122T061000Z-full-cccccc"}).Time.Sub(dawn); got != 9*time.Minute+30*time.Second {
		t.Errorf("from the last backup it is %s after dawn", got)
	}
	early := 0
	for range 400 {
		chosen, err := restore.Choose(t.Context(), v.cluster, restore.Wish{Kind: restore.WishRandom}, restore.WishOptions{Timeline: 1})
		if err != nil {
			t.Fatal(err)
		}
		if chosen.Target.Time.Before(dawn.Add(5 * time.Minute)) { // 270 s of 600 s
			early++
		}
	}
	if early < 120 || early > 240 {
		t.Errorf("%d of 400 moments lie in the first 45 %%", early)
	}
}

func TestTheNewestRestorePointIsAnOperators(t *testing.T) {
	t.Parallel()
	v := branchingVault(t)
	v.segment(2, 8, func(s *wal.Summary) {
		s.RestorePoints = []wal.RestorePoint{{Name: "lifeboat-census-x", LSN: at(8, 6000), Time: dawn}}
	})
	for name, c := range map[string]struct {
		options restore.WishOptions
		want    restore.Target
	}{
		"a name that is used once":  {restore.WishOptions{Timeline: 1}, restore.Target{Kind: restore.KindName, Name: "twice"}},
		"a name that is used twice": {restore.WishOptions{}, restore.Target{Kind: restore.KindLSN, LSN: at(7, 6000), Exclusive: true}},
	} {
		chosen, err := restore.Choose(t.Context(), v.cluster, restore.Wish{Kind: restore.WishRestorePoint}, c.options)
		if err != nil || chosen.Target != c.want || !strings.Contains(chosen.Why, "newest restore point") {
			t.Errorf("%s: %+v, %v; want %+v", name, chosen, err, c.want)
		}
	}
	wantNothingOfTheKind(t, v.cluster, restore.WishRestorePoint, "20261122T061000Z-full-cccccc", "no operator has made a restore point")
}

// wantNothingOfTheKind wants a target that cannot be reached, with the nearest one named.
func wantNothingOfTheKind(t *testing.T, c *catalog.Cluster, kind restore.WishKind, backup, why string) {
	t.Helper()
	_, err := restore.Choose(t.Context(), c, restore.Wish{Kind: kind}, restore.WishOptions{Timeline: 1, Backup: backup})
	var unreachable *restore.UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), why) || len(unreachable.Nearest) == 0 {
		t.Errorf("%s: %v, want %q and a nearest target", kind, err, why)
	}
}

// TestBeforeTheLastDDL makes changes of the schema on real servers, with much else after them, and recovers to just
// before each. Segments are small, so that the search goes back over many.
func TestBeforeTheLastDDL(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{WALSegmentMB: 1})
		s.Exec(ctx, "CREATE TABLE ledger (id int); CREATE TABLE held (id int); CREATE TABLE early (id int)")
		s.Exec(ctx, "CREATE TABLE doomed AS SELECT generate_series(1, 50) AS id; CREATE TABLE emptied AS TABLE doomed")
		s.Exec(ctx, "CREATE DATABASE other")
		s.backup(ctx)
		rows := s.otherWork(ctx)
		for _, kind := range []restore.WishKind{restore.WishBeforeDDL, restore.WishRestorePoint} {
			wantNothingOfTheKind(t, s.cluster, kind, "", "behind a backup on timeline 1")
		}
		session := s.Conn(ctx)
		for _, deed := range []struct {
			sql      []string // of one session, with other work before the last one
			database string   // in which the question is true just before
			ask      string
			beside   string // what another session changes while the first one's change waits for its commit
		}{
			{[]string{"DROP TABLE doomed"}, "postgres", "SELECT count(*) = 50 FROM public.doomed", ""},
			{[]string{"BEGIN", "TRUNCATE emptied", "COMMIT"}, "postgres", "SELECT count(*) = 50 FROM public.emptied", ""},
			{[]string{"BEGIN", "SAVEPOINT a", "ALTER TABLE held ADD more int", "RELEASE a", "COMMIT"}, "postgres", "SELECT count(*) = 0 AND to_regclass('public.early') IS NULL FROM pg_attribute WHERE attname = 'more'", "DROP TABLE early"},
			{[]string{"DROP DATABASE other"}, "other", "SELECT true", ""},
		} {
			for i, sql := range deed.sql {
				if i > 0 && i == len(deed.sql)-1 {
					rows = s.otherWork(ctx)
					s.Exec(ctx, deed.beside)
				}
				if _, err := session.Exec(ctx, sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			before := rows
			rows = s.otherWork(ctx)
			chosen, err := restore.Choose(ctx, s.cluster, restore.Wish{Kind: restore.WishBeforeDDL}, restore.WishOptions{})
			if err != nil || !chosen.Target.Exclusive || !strings.Contains(chosen.Why, "changed the schema") {
				t.Fatalf("%v: %+v, %v", deed.sql, chosen, err)
			}
			o := s.planOptions(t)
			o.Action, o.ArchiveModeOff = restore.ActionPromote, true // readers of a paused server would wait for the change's locks
			running, _ := s.recover(t, s.restore(t, chosen.Target, o))
			if got := valueIn(t, running, "postgres", "SELECT count(*)::text FROM public.ledger"); got != before {
				t.Errorf("%v: the ledger has %s rows just before, want %s; %s", deed.sql, got, before, chosen.Why)
			}
			if got := valueIn(t, running, deed.database, "SELECT ("+deed.ask+")::text"); got != "true" {
				t.Errorf("%v: %s: %s; %s", deed.sql, deed.ask, got, chosen.Why)
			}
		}
	})
}

// otherWork is no change of the schema, in many segments. It returns how many rows the ledger has then.
func (s *scene) otherWork(ctx context.Context) string {
	s.t.Helper()
	for _, sql := range []string{
		"INSERT INTO ledger VALUES (1)", "ANALYZE ledger", "VACUUM ledger", "CREATE TEMP TABLE t (id int)",
		"SELECT count(pg_logical_emit_message(true, 'much', repeat('x', 500000))) FROM generate_series(1, 5)", "CHECKPOINT",
	} {
		s.Exec(ctx, sql)
	}
	s.archiveAll(ctx, s.Cluster)
	return s.Value(ctx, "SELECT count(*)::text FROM ledger")
}

// valueIn is value in another database.
func valueIn(t testing.TB, running *server.Server, database, sql string) string {
	t.Helper()
	conn, err := running.Connect(t.Context(), database, nil)
	if err != nil {
		t.Errorf("database %s: %v", database, err)
		return ""
	}
	defer conn.Close(context.Background())
	var text string
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
	return text
}

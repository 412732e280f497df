package restore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/restore/server"
)

// entry is a row of the ledger, committed in a transaction of its own.
type entry struct {
	id        int
	xid       uint64
	committed time.Time
	after     wal.LSN // the insert position behind the commit
}

// keep commits a row and notes when and where.
func keep(ctx context.Context, t testing.TB, c *pgtest.Cluster, id int) entry {
	t.Helper()
	xid := c.Value(ctx, fmt.Sprintf("INSERT INTO ledger VALUES (%d, pg_current_xact_id()::text) RETURNING xid", id))
	row := c.Query(ctx, fmt.Sprintf("SELECT pg_current_wal_insert_lsn(), to_char(pg_xact_commit_timestamp('%s'::xid) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')", xid))[0]
	lsn, err := wal.ParseLSN(row[0])
	if err != nil {
		t.Fatal(err)
	}
	at, err := restore.ParseTime(row[1], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(xid, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return entry{id: id, xid: number, committed: at, after: lsn}
}

func keepMany(ctx context.Context, t testing.TB, c *pgtest.Cluster, from, to int) map[int]entry {
	t.Helper()
	kept := map[int]entry{}
	for id := from; id <= to; id++ {
		kept[id] = keep(ctx, t, c, id)
	}
	return kept
}

const ledgerSettings = "track_commit_timestamp"

// state is the ledger in one line: whether it has every row up to the last one, and which that is.
const state = "SELECT count(*) || ' of ' || coalesce(max(id), 0) FROM public.ledger"

func whole(last int) string { return fmt.Sprintf("%d of %d", last, last) }

// TestEveryTarget recovers to each kind of target and finds every row that was committed before it, and none after.
func TestEveryTarget(t *testing.T) {
	t.Parallel()
	objectstore.Each(t, func(t *testing.T, install pgtest.Install, place *objectstore.Place) {
		ctx := t.Context()
		s := newSceneAt(t, place, install, pgtest.Options{
			DataChecksums: true, WALSegmentMB: 1, Settings: map[string]string{ledgerSettings: "on"},
		})
		s.Exec(ctx, "CREATE TABLE ledger (id int PRIMARY KEY, xid text); CREATE TABLE parts (id int)")
		early := s.now(ctx)
		keepMany(ctx, t, s.Cluster, 1, 5)
		record := s.backup(ctx)
		kept := keepMany(ctx, t, s.Cluster, 6, 9)
		s.Exec(ctx, "SELECT pg_create_restore_point('before-ten')")
		s.Exec(ctx, "DO $$ BEGIN BEGIN INSERT INTO parts VALUES (1); EXCEPTION WHEN division_by_zero THEN NULL; END; END $$")
		part := s.xid(ctx, "SELECT xmin FROM parts")
		for id, e := range keepMany(ctx, t, s.Cluster, 10, 12) {
			kept[id] = e
		}
		s.archiveAll(ctx, s.Cluster)
		for id, e := range keepMany(ctx, t, s.Cluster, 13, 15) {
			kept[id] = e
		}
		quietTime := s.now(ctx)
		s.Exec(ctx, "SELECT pg_create_restore_point('the-end')")
		s.archiveAll(ctx, s.Cluster)
		at := kept[8]
		between := at.committed.Add(kept[9].committed.Sub(at.committed) / 2)
		for name, c := range map[string]struct {
			target restore.Target
			action string
			want   int
		}{
			"time between":     {restore.Target{Kind: restore.KindTime, Time: between}, restore.ActionPause, 8},
			"time of commit":   {restore.Target{Kind: restore.KindTime, Time: at.committed}, restore.ActionPromote, 8},
			"time, exclusive":  {restore.Target{Kind: restore.KindTime, Time: at.committed, Exclusive: true}, restore.ActionPause, 7},
			"lsn":              {restore.Target{Kind: restore.KindLSN, LSN: at.after}, restore.ActionPause, 8},
			"lsn, exclusive":   {restore.Target{Kind: restore.KindLSN, LSN: at.after, Exclusive: true}, restore.ActionPromote, 8},
			"xid":              {restore.Target{Kind: restore.KindXID, XID: at.xid}, restore.ActionPause, 8},
			"xid, exclusive":   {restore.Target{Kind: restore.KindXID, XID: at.xid, Exclusive: true}, restore.ActionPromote, 7},
			"name":             {restore.Target{Kind: restore.KindName, Name: "before-ten"}, restore.ActionPause, 9},
			"immediate":        {restore.Target{Kind: restore.KindImmediate}, restore.ActionPause, 5},
			"latest":           {restore.Target{Kind: restore.KindLatest}, restore.ActionPromote, 15},
			"latest, paused":   {restore.Target{Kind: restore.KindLatest}, restore.ActionPause, 15},
			"second segment":   {restore.Target{Kind: restore.KindLSN, LSN: kept[14].after}, restore.ActionPause, 14},
			"time, quiet":      {restore.Target{Kind: restore.KindTime, Time: quietTime}, restore.ActionPromote, 15},
			"time, second one": {restore.Target{Kind: restore.KindTime, Time: kept[13].committed}, restore.ActionPause, 13},
		} {
			t.Run(name, func(t *testing.T) {
				o := s.planOptions(t)
				o.Action, o.ArchiveModeOff = c.action, true
				plan := s.restore(t, c.target, o)
				if plan.Backup.Label != record.Label {
					t.Errorf("plan starts from %s, want %s", plan.Backup.Label, record.Label)
				}
				running, proof := s.recover(t, plan)
				if got := value(t, running, state); got != whole(c.want) {
					t.Errorf("the ledger has %s, want %s; plan:\n%s", got, whole(c.want), plan)
				}
				checkProof(t, plan, proof, c.action)
			})
		}
		t.Run("shutdown", func(t *testing.T) {
			o := s.planOptions(t)
			o.Action = restore.ActionShutdown
			plan := s.restore(t, restore.Target{Kind: restore.KindLSN, LSN: at.after}, o)
			_, proof := s.recover(t, plan)
			if proof.Outcome != server.ShutDown || proof.ReachedLSN < at.after {
				t.Errorf("proof %+v, want a shutdown at %s or later", proof, at.after)
			}
		})
		refuseTargets(t, s, map[string]restore.Target{
			"before the end of the first backup": {Kind: restore.KindTime, Time: early},
			"in the future":                      {Kind: restore.KindTime, Time: time.Now().Add(time.Hour)},
			"nothing shows whether":              {Kind: restore.KindTime, Time: s.now(ctx)},
			"no transaction of that number":      {Kind: restore.KindXID, XID: kept[15].xid + 1000000},
			"a part of transaction":              {Kind: restore.KindXID, XID: part},
			"there are: before-ten, the-end":     {Kind: restore.KindName, Name: "before ten"},
		})
		verifyManifest(t, s)
	})
}

// refuseTargets plans for targets that cannot be reached; the keys are words of the reason.
func refuseTargets(t *testing.T, s *scene, targets map[string]restore.Target) {
	t.Helper()
	for why, target := range targets {
		o := s.planOptions(t)
		_, err := restore.MakePlan(t.Context(), s.cluster, target, o)
		var unreachable *restore.UnreachableError
		if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), strings.TrimSpace(why)) || len(unreachable.Nearest) == 0 {
			t.Errorf("target %s gave %v, want words %q and a nearest target", target, err, why)
		}
		nothing(t, o.Directory)
	}
}

// now is the server's clock.
func (s *scene) now(ctx context.Context) time.Time {
	s.t.Helper()
	text := s.Value(ctx, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')")
	at, err := restore.ParseTime(text, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

func (s *scene) xid(ctx context.Context, sql string) uint64 {
	s.t.Helper()
	xid, err := strconv.ParseUint(s.Value(ctx, sql), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return xid
}

func checkProof(t *testing.T, plan restore.Plan, proof server.Proof, action string) {
	t.Helper()
	promoted := action == restore.ActionPromote
	if (proof.Outcome == server.Promoted) != promoted || (proof.NewTimeline == plan.Timeline+1) != promoted {
		t.Errorf("proof %+v after action %s", proof, action)
	}
	if !proof.ReachedLSN.IsValid() {
		t.Errorf("proof %+v has no position", proof)
	}
	if plan.Target.Kind == restore.KindTime && !proof.ReachedTime.IsZero() && proof.ReachedTime.After(plan.Target.StopTime) {
		t.Errorf("reached %s, behind %s", proof.ReachedTime, plan.Target.StopTime)
	}
}

// verifyManifest lets PostgreSQL's own tool look at a restored directory, as the restore left it.
func verifyManifest(t *testing.T, s *scene) {
	t.Helper()
	if !s.Install.HasTool("pg_verifybackup") {
		return // only distributions bring the tool
	}
	plan := s.restore(t, restore.Target{Kind: restore.KindLatest}, s.planOptions(t))
	out, err := pgtest.Command(t.Context(), s.Install, "pg_verifybackup", "--no-parse-wal", plan.Directory).CombinedOutput()
	if err != nil {
		t.Errorf("pg_verifybackup: %v: %s", err, out)
	}
}

// TestTimelines recovers along a promotion, and back along the timeline that was left.
func TestTimelines(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{WALSegmentMB: 1, Settings: map[string]string{ledgerSettings: "on"}})
		s.Exec(ctx, "CREATE TABLE ledger (id int PRIMARY KEY, xid text)")
		s.backup(ctx)
		first := keepMany(ctx, t, s.Cluster, 1, 6)
		s.archiveAll(ctx, s.Cluster)

		o := s.planOptions(t)
		o.Action = restore.ActionPromote
		plan := s.restore(t, restore.Target{Kind: restore.KindXID, XID: first[4].xid}, o)
		running, _ := s.recover(t, plan)
		if got := value(t, running, state); got != whole(4) {
			t.Fatalf("the branch begins with %s", got)
		}
		conn, err := running.Connect(ctx, "postgres", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		for id := 5; id <= 8; id++ {
			if _, err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO public.ledger VALUES (%d, 'branch')", id)); err != nil {
				t.Fatal(err)
			}
		}
		var segment string
		if err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal())").Scan(&segment); err != nil {
			t.Fatal(err)
		}
		s.awaitSegment(ctx, segment)

		const branch = "SELECT count(*) || ' of ' || max(id) || ', ' || count(*) FILTER (WHERE xid = 'branch') FROM public.ledger"
		for name, c := range map[string]struct {
			target   restore.Target
			timeline wal.TimelineID
			want     string
		}{
			"latest is the branch":  {restore.Target{Kind: restore.KindLatest}, 0, "8 of 8, 4"},
			"before the branch":     {restore.Target{Kind: restore.KindLSN, LSN: first[3].after}, 0, "3 of 3, 0"},
			"the timeline left":     {restore.Target{Kind: restore.KindLatest}, 1, "6 of 6, 0"},
			"its time":              {restore.Target{Kind: restore.KindTime, Time: first[5].committed}, 1, "5 of 5, 0"},
			"its xid, given anew":   {restore.Target{Kind: restore.KindXID, XID: first[6].xid}, 1, "6 of 6, 0"},
			"immediate, on its own": {restore.Target{Kind: restore.KindImmediate}, 0, ""},
		} {
			t.Run(name, func(t *testing.T) {
				o := s.planOptions(t)
				o.Timeline = c.timeline
				plan := s.restore(t, c.target, o)
				running, _ := s.recover(t, plan)
				if c.want == "" {
					return
				}
				if got := value(t, running, branch); got != c.want {
					t.Errorf("the ledger has %s, want %s; plan:\n%s", got, c.want, plan)
				}
			})
		}
	})
}

// TestEndBeforeAGap recovers to the last record before a missing segment, which recovery must not even ask for.
func TestEndBeforeAGap(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{WALSegmentMB: 1, Settings: map[string]string{ledgerSettings: "on"}})
		s.Exec(ctx, "CREATE TABLE ledger (id int PRIMARY KEY, xid text)")
		s.backup(ctx)
		keepMany(ctx, t, s.Cluster, 1, 5)
		s.archiveAll(ctx, s.Cluster)
		keepMany(ctx, t, s.Cluster, 6, 6)
		lost := s.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn())")
		s.archiveAll(ctx, s.Cluster)
		keepMany(ctx, t, s.Cluster, 7, 7)
		s.archiveAll(ctx, s.Cluster)
		name, err := wal.ParseFileName(lost)
		if err != nil {
			t.Fatal(err)
		}
		s.place.Remove(t, s.objectOf(t, name))
		for _, action := range []string{restore.ActionPause, restore.ActionPromote} {
			o := s.planOptions(t)
			o.Action, o.ArchiveModeOff = action, true // what it archived would outlast the test
			running, _ := s.recover(t, s.restore(t, restore.Target{Kind: restore.KindLatest}, o))
			if got := value(t, running, state); got != whole(5) {
				t.Errorf("%s: the ledger has %s, want %s", action, got, whole(5))
			}
		}
	})
}

func (s *scene) awaitSegment(ctx context.Context, segment string) {
	s.t.Helper()
	name, err := wal.ParseFileName(segment)
	if err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		if _, err := s.cluster.WALHeader(ctx, name); err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("segment %s is not archived", segment)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestTablespaces maps one tablespace to another place.
func TestTablespaces(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		ctx := t.Context()
		s := newScene(t, install, pgtest.Options{})
		place := filepath.Join(pgtest.TempDir(t), "space")
		makeOwned(t, place)
		s.Exec(ctx, "CREATE TABLE ledger (id int PRIMARY KEY, xid text)")
		conn := s.Conn(ctx)
		for _, sql := range []string{
			fmt.Sprintf("CREATE TABLESPACE side LOCATION '%s'", place),
			"CREATE TABLE beside TABLESPACE side AS SELECT generate_series(1, 1000) AS id",
		} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
		s.backup(ctx)
		refuseOccupied(t, s)
		for _, key := range []string{place, "side"} {
			o := s.planOptions(t)
			target := filepath.Join(filepath.Dir(o.Directory), "elsewhere", "space")
			o.TablespaceMap = map[string]string{key: target}
			running, _ := s.recover(t, s.restore(t, restore.Target{Kind: restore.KindLatest}, o))
			if got := value(t, running, "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'side'"); got != target {
				t.Errorf("the tablespace lies in %s, want %s", got, target)
			}
			if got := value(t, running, "SELECT count(*)::text FROM public.beside"); got != "1000" {
				t.Errorf("the table in it has %s rows", got)
			}
		}
	})
}

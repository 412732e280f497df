package relfile

import "testing"

func TestEachPathHasItsClass(t *testing.T) {
	t.Parallel()
	for place, want := range map[string]Class{
		"PG_VERSION": Copy, "postgresql.conf": Copy, "postgresql.auto.conf": Copy, "postgresql.auto.conf.tmp": Skip,
		"base/1/1259": Copy, "base/1/1259_fsm": Copy, "base/1/16384_init": Copy, "base/5/pg_filenode.map": Copy,
		"base/5/t3_16390": Skip, "base/5/t3_16390_fsm": Skip, "base/5/t3_16390.1": Skip, "base/5/table": Copy, "t3_16390": Copy,
		"pg_tblspc/16400/PG_15_202209061/5/t12_16390": Skip, "pg_tblspc/16400/PG_15_202209061/5/16390.2": Copy,
		"base/pgsql_tmp": Skip, "base/pgsql_tmp/pgsql_tmp12.0": Skip, "pg_tblspc/16400/PG_15_202209061/pgsql_tmp": Skip,
		"base/5/pg_internal.init": Skip, "global/pg_internal.init.123": Skip, "global/pg_control": Skip, "global/1262": Copy,
		"postmaster.pid": Skip, "postmaster.opts": Skip, "backup_label": Skip, "backup_label.old": Skip, "tablespace_map": Skip,
		"tablespace_map.old": Skip, "backup_manifest": Skip, "recovery.signal": Skip, "standby.signal": Skip, "lifeboat.restore.yaml": Skip,
		"pg_wal": EmptyDirectory, "pg_replslot": EmptyDirectory, "pg_stat_tmp": EmptyDirectory, "pg_subtrans": EmptyDirectory,
		"pg_notify": EmptyDirectory, "pg_serial": EmptyDirectory, "pg_snapshots": EmptyDirectory, "pg_dynshmem": EmptyDirectory,
		"pg_stat": Copy, "pg_xact/0000": Copy, "pg_multixact/offsets/0000": Copy, "pg_logical/replorigin_checkpoint": Copy, "extra/pg_wal": Copy,
		"pg_wal/archive_status": EmptyDirectory, "pg_wal/summaries": EmptyDirectory, "pg_wal/000000010000000000000001": Skip,
		"pg_wal/archive_status/000000010000000000000001.done": Skip, "pg_replslot/slot": Skip, "pg_notify/0000": Skip,
	} {
		if got := Classify(place); got != want {
			t.Errorf("%s: %d, not %d", place, got, want)
		}
	}
}

func TestRelationsAreToldFromTheirNames(t *testing.T) {
	t.Parallel()
	for place, want := range map[string]Relation{
		"base/5/16390": {Number: 16390}, "base/5/16390.12": {Number: 16390, Segment: 12}, "base/5/16390_vm.1": {Number: 16390, Fork: "vm", Segment: 1},
		"global/1262_fsm": {Number: 1262, Fork: "fsm"}, "pg_tblspc/16400/PG_15_202209061/5/16390_init": {Number: 16390, Fork: "init"},
	} {
		if got, ok := ParseRelation(place); !ok || got != want {
			t.Errorf("%s: %+v, %v", place, got, ok)
		}
	}
	for _, place := range []string{"16390", "base/5/016390", "base/5/16390.0", "base/5/16390.x", "base/5/16390_tmp", "base/5/t1_16390",
		"base/5/PG_VERSION", "base/16390", "pg_xact/0000", "base/5/4294967296", "", "pg_tblspc/16400/16390"} {
		if got, ok := ParseRelation(place); ok {
			t.Errorf("%q is a relation: %+v", place, got)
		}
	}
}

func TestUnloggedRelationsKeepTheirInitForkOnly(t *testing.T) {
	t.Parallel()
	set := NewUnloggedSet([]string{"100", "100_init", "100_fsm", "100.1", "101", "PG_VERSION"})
	for name, want := range map[string]bool{"100": true, "100_fsm": true, "100.1": true, "100_init": false, "101": false, "PG_VERSION": false} {
		if set.Skip(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func FuzzParseRelation(f *testing.F) {
	f.Add("base/5/16390_vm.1")
	f.Add("pg_tblspc/1/PG_15/5/t1_2")
	f.Fuzz(func(t *testing.T, place string) {
		Classify(place)
		if r, ok := ParseRelation(place); ok && r.Number == 0 {
			t.Errorf("%q has relation number 0", place)
		}
	})
}

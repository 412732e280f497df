package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// witness keeps a copy of each file that archive_command has acknowledged from now on, and counts the rows of table t that
// the server has acknowledged.
type witness struct {
	in        *installation
	directory string
	first     string // segment from which on it counts
	rows      int
}

func (in *installation) witnessed() *witness {
	in.t.Helper()
	ctx := in.t.Context()
	in.ownDirectory("acknowledged")
	w := &witness{in: in, directory: in.path("acknowledged")}
	in.archivesWith(fmt.Sprintf(`"%s/lifeboat-wal" push --socket "%s" --config "%s" %%p && cp %%p "%s/%%f.new" && mv "%s/%%f.new" "%s/%%f"`,
		in.bin, in.socket(), in.config, w.directory, w.directory, w.directory))
	in.server.Exec(ctx, "CREATE TABLE t (n int PRIMARY KEY)")
	in.eventually("the archiver has heard of it", func() bool {
		in.server.Exec(ctx, "SELECT pg_create_restore_point('heard')") // so that there is something to archive
		in.switchWAL()
		return len(w.acknowledged()) > 0
	})
	w.insert()
	w.first = in.server.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	return w
}

// fill writes as many segments as that, with a row in each.
func (w *witness) fill(segments int) {
	w.in.t.Helper()
	for range segments {
		w.insert()
		w.in.server.Exec(w.in.t.Context(), "SELECT pg_switch_wal()")
	}
	w.insert()
}

func (w *witness) insert() {
	w.in.t.Helper()
	w.in.server.Exec(w.in.t.Context(), "INSERT INTO t VALUES ($1)", w.rows)
	w.rows++
}

// acknowledged are the files of which there is a copy.
func (w *witness) acknowledged() map[string]bool {
	w.in.t.Helper()
	entries, err := os.ReadDir(w.directory)
	if err != nil {
		w.in.t.Fatal(err)
	}
	names := map[string]bool{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".new") {
			names[entry.Name()] = true
		}
	}
	return names
}

// holds proves that every segment since the beginning was acknowledged or waits in pg_wal, and that what was acknowledged is
// in the repository byte for byte.
func (w *witness) holds() {
	w.in.t.Helper()
	w.waits()
	ctx := w.in.t.Context()
	repository, err := w.in.stored.Open(ctx)
	if err != nil {
		w.in.t.Fatal(err)
	}
	cluster, err := repository.Cluster(ctx, "main")
	if err != nil {
		w.in.t.Fatal(err)
	}
	for file := range w.acknowledged() {
		name, err := wal.ParseFileName(file)
		if err != nil {
			w.in.t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(w.directory, file))
		if err != nil {
			w.in.t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := cluster.GetWAL(ctx, name, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
			w.in.t.Errorf("%s was acknowledged, and the repository has %d bytes: %v", file, got.Len(), err)
		}
	}
}

// waits proves that what was not acknowledged is marked in pg_wal as ready to be archived.
func (w *witness) waits() {
	w.in.t.Helper()
	current := w.in.server.Value(w.in.t.Context(), "SELECT pg_walfile_name(pg_current_wal_lsn())")
	entries, err := os.ReadDir(filepath.Join(w.in.server.DataDir, "pg_wal"))
	if err != nil {
		w.in.t.Fatal(err)
	}
	waiting := map[string]bool{}
	for _, entry := range entries {
		waiting[entry.Name()] = w.in.waits(entry.Name())
	}
	acknowledged := w.acknowledged()
	for name, ready := range waiting {
		if len(name) == 24 && name >= w.first && name < current && !ready && !acknowledged[name] {
			w.in.t.Errorf("%s was not acknowledged, and does not wait", name)
		}
	}
}

// restores recovers to the end of what the repository has, and wants every row that was acknowledged.
func (w *witness) restores() {
	w.in.t.Helper()
	ctx := w.in.t.Context()
	directory := filepath.Join(pgtest.TempDir(w.in.t), "restored")
	w.in.must("restore", "--target-dir", directory, "--archive-mode", "off")
	restored, err := pgtest.StartDir(w.in.t, w.in.install, directory, pgtest.Options{})
	if err != nil {
		w.in.t.Fatal(err)
	}
	w.in.eventually("recovery ends", func() bool { return restored.Value(ctx, "SELECT pg_is_in_recovery()::text") == "false" })
	if got := restored.Value(ctx, "SELECT count(*) || ' ' || max(n) FROM t"); got != fmt.Sprintf("%d %d", w.rows, w.rows-1) {
		w.in.t.Errorf("count and last row are %s, and %d rows were acknowledged", got, w.rows)
	}
}

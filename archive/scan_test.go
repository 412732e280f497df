package archive

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree makes a directory with empty files; a name with a slash at its end is a directory.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		path := filepath.Join(root, name)
		if name[len(name)-1] == '/' {
			makeDirectory(t, path)
			continue
		}
		makeDirectory(t, filepath.Dir(path))
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func makeDirectory(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func newScanner(t *testing.T, root string) *scanner {
	t.Helper()
	tablespaces, err := findTablespaces(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return &scanner{root: root, version: "PG_17_1", tablespaces: tablespaces, logger: slog.New(slog.DiscardHandler)}
}

// visited lists what a scan visits, directories with a slash at the end.
func visited(t *testing.T, s *scanner, before func(item)) []string {
	t.Helper()
	var list []string
	err := s.walk(context.Background(), func(it item) error {
		before(it)
		if it.directory {
			it.Path += "/"
		}
		list = append(list, it.Path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func nothing(item) {}

func TestScanKeepsToPostgreSQLsRules(t *testing.T) {
	t.Parallel()
	root := tree(t, "PG_VERSION", "base/1/1", "base/1/2", "base/1/2_init", "base/1/t3_4", "base/pgsql_tmp/x", "pg_tblspc/",
		"pg_replslot/slot/state", "global/pg_control", "global/1", "postmaster.pid", "odd/deep/file")
	elsewhere := tree(t, "000000010000000000000001", "archive_status/x", "summaries/y")
	symlink(t, elsewhere, filepath.Join(root, "pg_wal"))
	symlink(t, "/etc/passwd", filepath.Join(root, "link"))
	got := visited(t, newScanner(t, root), nothing)
	want := []string{
		"PG_VERSION", "base/", "base/1/", "base/1/1", "base/1/2_init", "global/", "global/1", "odd/", "odd/deep/",
		"odd/deep/file", "pg_replslot/", "pg_tblspc/", "pg_wal/", "pg_wal/archive_status/", "pg_wal/summaries/",
	}
	if !slices.Equal(got, want) {
		t.Errorf("visited %v, want %v", got, want)
	}
}

func TestScanFollowsTablespacesOnly(t *testing.T) {
	t.Parallel()
	root := tree(t, "pg_tblspc/5/PG_17_1/1/inplace", "inside/PG_17_1/1/10")
	outside := tree(t, "PG_17_1/1/11", "PG_16_1/1/12", "lost+found/")
	symlink(t, outside, filepath.Join(root, "pg_tblspc/100"))
	symlink(t, filepath.Join(root, "inside"), filepath.Join(root, "pg_tblspc/200"))
	s := newScanner(t, root)
	symlink(t, outside, filepath.Join(root, "pg_tblspc/400")) // made after the start
	got := visited(t, s, nothing)
	want := []string{
		"pg_tblspc/", "pg_tblspc/100/", "pg_tblspc/100/PG_17_1/", "pg_tblspc/100/PG_17_1/1/", "pg_tblspc/100/PG_17_1/1/11",
		"pg_tblspc/200/", "pg_tblspc/200/PG_17_1/", "pg_tblspc/200/PG_17_1/1/", "pg_tblspc/200/PG_17_1/1/10",
		"pg_tblspc/5/", "pg_tblspc/5/PG_17_1/", "pg_tblspc/5/PG_17_1/1/", "pg_tblspc/5/PG_17_1/1/inplace",
	}
	if !slices.Equal(got, want) {
		t.Errorf("visited %v, want %v", got, want)
	}
}

// A tablespace that is not mounted must not be taken for one that was dropped.
func TestMissingTablespaceIsAnError(t *testing.T) {
	t.Parallel()
	for missing, target := range map[string]string{
		"directory": filepath.Join(t.TempDir(), "gone"), "version's directory": t.TempDir(),
	} {
		root := tree(t, "pg_tblspc/")
		symlink(t, target, filepath.Join(root, "pg_tblspc/300"))
		tablespaces, err := findTablespaces(t.Context(), root)
		if err == nil {
			s := &scanner{root: root, version: "PG_17_1", tablespaces: tablespaces}
			err = s.walk(t.Context(), func(item) error { return nil })
		}
		var operator *OperatorError
		if !errors.As(err, &operator) {
			t.Errorf("%s is missing: %v", missing, err)
		}
	}
}

func TestDroppedTablespaceIsLeftOut(t *testing.T) {
	t.Parallel()
	root, outside := tree(t, "pg_tblspc/"), tree(t, "PG_17_1/1/11")
	link := filepath.Join(root, "pg_tblspc/300")
	symlink(t, outside, link)
	s := newScanner(t, root)
	got := visited(t, s, func(it item) {
		if it.Path == "pg_tblspc/300" {
			removeAll(t, filepath.Join(outside, "PG_17_1"))
			removeAll(t, link)
		}
	})
	if want := []string{"pg_tblspc/", "pg_tblspc/300/"}; !slices.Equal(got, want) {
		t.Errorf("visited %v, want %v", got, want)
	}
}

func TestRefusedPermissionHasAHint(t *testing.T) {
	t.Parallel()
	err := unreadable(&fs.PathError{Op: "open", Path: "base", Err: fs.ErrPermission})
	var operator *OperatorError
	if !errors.As(err, &operator) || operator.Hint == "" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error is %v", err)
	}
}

func TestScanPassesOverWhatVanishes(t *testing.T) {
	t.Parallel()
	root := tree(t, "base/1/1", "base/1/2", "base/2/1", "pg_tblspc/")
	got := visited(t, newScanner(t, root), func(it item) {
		if it.Path == "base/1/1" {
			removeAll(t, filepath.Join(root, "base/1/2"))
		}
		if it.Path == "base/2" {
			removeAll(t, filepath.Join(root, "base/2"))
		}
	})
	if want := []string{"base/", "base/1/", "base/1/1", "base/2/", "pg_tblspc/"}; !slices.Equal(got, want) {
		t.Errorf("visited %v, want %v", got, want)
	}
}

func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestScanOfNoDirectoryIsAnError(t *testing.T) {
	t.Parallel()
	s := &scanner{root: filepath.Join(t.TempDir(), "gone"), logger: slog.New(slog.DiscardHandler)}
	if err := s.walk(t.Context(), func(item) error { return nil }); err == nil {
		t.Error("no error")
	}
}

func TestBatchesKeepTheOrderAndTheLimits(t *testing.T) {
	t.Parallel()
	var units []unit
	b := batches{send: func(u unit) error {
		units = append(units, u)
		return nil
	}}
	sizes := []int64{1, 2, unitBytes, 3, unitBytes - 3, 4, 5 * unitBytes}
	for range unitItems + 1 {
		sizes = append(sizes, 0)
	}
	for _, size := range sizes {
		it := item{}
		it.Size = size
		if err := b.add(it); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.flush(); err != nil {
		t.Fatal(err)
	}
	var counts []int
	var got []int64
	for _, u := range units {
		counts = append(counts, len(u.items))
		for _, it := range u.items {
			got = append(got, it.Size)
		}
	}
	if want := []int{2, 1, 2, 1, 1, unitItems, 1}; !slices.Equal(counts, want) || !slices.Equal(got, sizes) {
		t.Errorf("units of %v, want %v", counts, want)
	}
}

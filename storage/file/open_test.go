//go:build linux

package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
	"lifeboat/storage/file"
)

const nobody = 65534

func TestOpenSaysWhatIsWrongWithTheRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, root, says string
		cause            error
		create           bool
	}{
		{"absent", filepath.Join(dir, "absent"), "no such file", fs.ErrNotExist, false},
		{"a file", plain, "not a directory", syscall.ENOTDIR, false},
		{"below a file", filepath.Join(plain, "x"), "not a directory", syscall.ENOTDIR, true},
		{"relative", "repository", "not an absolute path", nil, true},
		{"empty", "", "not an absolute path", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, openErr := file.Open(c.root, file.Options{})
			errs := []error{openErr}
			if c.create {
				_, createErr := file.Create(c.root, file.Options{})
				errs = append(errs, createErr)
			}
			for _, err := range errs {
				if err == nil || !strings.Contains(err.Error(), c.says) || c.cause != nil && !errors.Is(err, c.cause) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				if errors.Is(err, storage.ErrNotFound) {
					t.Errorf("%v passes for an absent object", err)
				}
			}
		})
	}
}

func TestOpenOfAnAbsentRootHasAHintAndMakesNothing(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "absent")
	_, err := file.Open(root, file.Options{})
	if storage.Hint(err) == "" {
		t.Error("no hint")
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestCreateMakesParentsAndIsHarmlessWhenRepeated(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "a", "b", "root")
	b := create(t, root)
	put(t, b, "x")
	wantMode(t, root, 0o700)
	again := create(t, root+"/./")
	if _, err := again.Stat(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	if again.Location() != "file://"+root {
		t.Errorf("location %s", again.Location())
	}
}

func TestPermissionsFollowTheRoot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ root, dir, file fs.FileMode }{
		{0o700, 0o700, 0o600},
		{0o755, 0o750, 0o640},
		{0o750, 0o750, 0o640},
		{0o711, 0o700, 0o600},
		{0o750 | fs.ModeSetgid, 0o750 | fs.ModeSetgid, 0o640},
	} {
		root := filepath.Join(t.TempDir(), "root")
		create(t, root)
		if err := os.Chmod(root, c.root); err != nil {
			t.Fatal(err)
		}
		b := create(t, root)
		put(t, b, "dir/x")
		wantMode(t, filepath.Join(root, "dir"), c.dir)
		wantMode(t, filepath.Join(root, ".tmp"), c.dir)
		wantMode(t, filepath.Join(root, "dir", "x"), c.file)
	}
}

// As root, the repository of another user stays that user's; for an ordinary user it is one's own.
func TestWhatIsCreatedBelongsToTheOwnerOfTheRoot(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	create(t, root)
	want := os.Geteuid()
	if want == 0 {
		want = nobody
		if err := os.Chown(root, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	b := create(t, root)
	put(t, b, "dir/sub/x")
	for _, name := range []string{"", ".tmp", "dir", "dir/sub", "dir/sub/x"} {
		st, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := int(st.Sys().(*syscall.Stat_t).Uid); got != want {
			t.Errorf("%q belongs to user id %d, want %d", name, got, want)
		}
	}
}

// asStranger runs f on a thread that has no access to what only its owner may use.
func asStranger(t *testing.T, root string, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		runtime.LockOSThread() // and never unlocked: the thread ends with the test
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
	} else {
		if err := os.Chmod(root, 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(root, 0o700)
	}
	f()
}

func TestRefusedPermissionIsNoAbsence(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	put(t, b, "dir/x")
	asStranger(t, root, func() {
		for op, err := range everyOperation(t, b, "dir/x") {
			if !errors.Is(err, fs.ErrPermission) || errors.Is(err, storage.ErrNotFound) || storage.Hint(err) == "" {
				t.Errorf("%s: %v, hint %q", op, err, storage.Hint(err))
			}
		}
		if _, err := file.Open(filepath.Join(root, "dir"), file.Options{}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("open: %v", err)
		}
	})
	if _, err := b.Stat(t.Context(), "dir/x"); err != nil {
		t.Error(err)
	}
}

// everyOperation tries all operations on a key and gives their errors.
func everyOperation(t *testing.T, b *file.Bucket, key string) map[string]error {
	t.Helper()
	errs := lookingOperations(t, b, key)
	errs["delete"] = b.Delete(t.Context(), key)
	return errs
}

// A repository that was removed, or whose disk was, says nothing about its objects.
func TestRemovedRootIsNoAbsence(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	put(t, b, "dir/x")
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	for op, err := range everyOperation(t, b, "dir/x") {
		if err == nil || errors.Is(err, storage.ErrNotFound) || storage.Transient(err) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the root came back: %v", err)
	}
}

func put(t *testing.T, b storage.Bucket, key string) {
	t.Helper()
	err := b.Put(t.Context(), key, strings.NewReader(key), storage.PutOptions{IfAbsent: true, Size: int64(len(key))})
	if err != nil {
		t.Fatal(err)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := st.Mode() &^ fs.ModeDir; got != want {
		t.Errorf("%s has mode %v, want %v", path, got, want)
	}
}

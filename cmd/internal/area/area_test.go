package area

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// scene is a data directory in a directory of its own.
func scene(t *testing.T) (parent, data string) {
	t.Helper()
	parent = t.TempDir()
	data = filepath.Join(parent, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return parent, data
}

func makeArea(t *testing.T, data string) *Area {
	t.Helper()
	a, err := Make(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Remove() }) // the test may have done so
	return a
}

func names(t *testing.T, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func TestOneProcessLivesInAnAreaAndLeavesNothing(t *testing.T) {
	t.Parallel()
	parent, data := scene(t)
	if Taken(data) || len(Find(data)) > 0 {
		t.Fatal("there is an area already")
	}
	a := makeArea(t, data)
	if filepath.Dir(a.Path()) != parent {
		t.Errorf("the area is %s, not beside the data directory", a.Path())
	}
	if _, err := Make(data); !errors.Is(err, ErrTaken) {
		t.Errorf("a second one: %v", err)
	}
	found := Find(data)
	if !Taken(data) || len(found) != 1 || found[0].Path() != a.Path() {
		t.Errorf("found %v", found)
	}
	if err := a.Remove(); err != nil {
		t.Error(err)
	}
	if Taken(data) || len(names(t, parent)) != 1 {
		t.Errorf("left behind: %v", names(t, parent))
	}
}

func TestWhatKilledProcessesHaveLeftIsRemoved(t *testing.T) {
	t.Parallel()
	parent, data := scene(t)
	other := filepath.Join(parent, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, directory := range []string{data, other} {
		killed := makeArea(t, directory)
		if err := os.WriteFile(killed.Hand(1), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := killed.Close(); err != nil { // the lock goes, all else stays
			t.Fatal(err)
		}
		if err := os.Chtimes(killed.Path(), time.Time{}, time.Now().Add(-time.Hour)); err != nil { // it is long ago
			t.Fatal(err)
		}
	}
	a := makeArea(t, data)
	if left := names(t, a.Path()); len(left) > 0 {
		t.Errorf("the area has %v", left)
	}
	if left := names(t, parent); len(left) != 3 {
		t.Errorf("beside the data directories: %v", left)
	}
}

// TestWhoOnlyLooksTakesNothing makes areas while others look at them, and while their neighbours come, tidy up and go.
func TestWhoOnlyLooksTakesNothing(t *testing.T) {
	t.Parallel()
	parent, data := scene(t)
	var others sync.WaitGroup
	stop := make(chan struct{})
	meanwhile := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	for _, name := range []string{"a", "b"} {
		neighbour := filepath.Join(parent, name)
		if err := os.Mkdir(neighbour, 0o700); err != nil {
			t.Fatal(err)
		}
		meanwhile(func() { Taken(data) })
		meanwhile(func() {
			if a, err := Make(neighbour); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if err := a.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
	for range 300 {
		a, err := Make(data)
		if err != nil {
			t.Error(err)
			break
		}
		if !Taken(data) {
			t.Error("it is not taken")
		}
		if err := a.Remove(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	others.Wait()
}

func TestAreasOfTheLivingStay(t *testing.T) {
	t.Parallel()
	parent, data := scene(t)
	other := filepath.Join(parent, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	first, second := makeArea(t, other), makeArea(t, data)
	if first.Path() == second.Path() {
		t.Error("two data directories share one area")
	}
	if !Taken(other) || !Taken(data) {
		t.Error("a living area was taken away")
	}
}

func TestAnotherPlaceServesWhereNothingCanBeMadeBesideTheDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		return // root can write anywhere
	}
	t.Setenv("TMPDIR", t.TempDir())
	parent, data := scene(t)
	if err := os.Chmod(parent, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(parent, 0o700) })
	if a := makeArea(t, data); filepath.Dir(a.Path()) != os.Getenv("TMPDIR") || !Taken(data) {
		t.Errorf("the area is %s", a.Path())
	}
}

func TestForeignDirectoriesAreNotTrusted(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"open to others": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o755)) },
		"a link": func(path string) error {
			return errors.Join(os.Mkdir(path+".real", 0o700), os.Symlink(path+".real", path))
		},
		"a file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, data := scene(t)
			paths, err := places(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(paths[0]); err != nil {
				t.Fatal(err)
			}
			if found := Find(data); len(found) > 0 {
				t.Errorf("found %s", found[0].Path())
			}
			if a := makeArea(t, data); a.Path() == paths[0] {
				t.Error("it was taken for an area")
			}
		})
	}
}

func TestSocketsOfDeepDirectoriesWork(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	a := makeArea(t, data)
	listener, err := net.Listen("unix", a.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	found := Find(data)
	if len(found) != 1 {
		t.Fatalf("found %v", found)
	}
	conn, err := net.Dial("unix", found[0].Socket())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestOnlyHandsAreHands(t *testing.T) {
	t.Parallel()
	_, data := scene(t)
	a := makeArea(t, data)
	for path, want := range map[string]bool{
		a.Hand(17): true, a.Path() + "/x": false, a.Path() + "/hook-x": false, a.Path() + "/a/hook-17": false,
		data + "/hook-17": false, a.Path() + "/../hook-17": false, a.Path() + "/hook-+17": false,
	} {
		if a.IsHand(path) != want {
			t.Errorf("%s: %t", path, !want)
		}
	}
}

func TestFilesOfTheDeadAreForgotten(t *testing.T) {
	t.Parallel()
	_, data := scene(t)
	a := makeArea(t, data)
	dead := exec.CommandContext(t.Context(), "true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{a.Hand(dead.Process.Pid), a.Hand(os.Getpid()), filepath.Join(a.Path(), "segment")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Forget(); err != nil {
		t.Fatal(err)
	}
	if left := names(t, a.Path()); len(left) != 2 {
		t.Errorf("the area has %v", left)
	}
}

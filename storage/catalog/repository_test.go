package catalog

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/file"
)

func isExists(err error) bool { return errors.Is(err, storage.ErrExists) }

func TestCreateIsHarmlessWhenRepeated(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		before := s.object(t, repositoryKey)
		if _, err := Create(t.Context(), s.bucket, sceneTime.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if after := s.object(t, repositoryKey); string(after) != string(before) {
			t.Errorf("repository document became %s", after)
		}
	})
}

func TestOpenTellsAbsentFromUnreachable(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		empty := must(file.Create(filepath.Join(t.TempDir(), "empty"), file.Options{}))(t)
		defer empty.Close()
		if _, err := Open(t.Context(), empty); !errors.Is(err, ErrNoRepository) {
			t.Errorf("empty place: %v, want ErrNoRepository", err)
		}
		s := form.scene(t)
		broken := fault.Wrap(s.bucket, fault.NewSet(fault.Rule{Op: fault.Get, Times: -1, Action: fault.Fail(errOutage)}))
		for what, open := range map[string]func() (*Repository, error){
			"open":   func() (*Repository, error) { return Open(t.Context(), broken) },
			"create": func() (*Repository, error) { return Create(t.Context(), broken, sceneTime) },
		} {
			if _, err := open(); !errors.Is(err, errOutage) || errors.Is(err, ErrNoRepository) {
				t.Errorf("%s during an outage: %v", what, err)
			}
		}
	})
}

func TestOpenFindsADamagedOrNewerRepository(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.overwrite(t, repositoryKey, frameDocument(kindRepository, 2, []byte(`{}`)))
		var version *VersionError
		if _, err := Open(t.Context(), s.bucket); !errors.As(err, &version) {
			t.Errorf("newer repository: %v", err)
		}
		s.overwrite(t, repositoryKey, []byte("{}\n"))
		if _, err := Create(t.Context(), s.bucket, sceneTime); !isDamaged(err) {
			t.Errorf("damaged repository: %v", err)
		}
	})
}

func TestRegisterGivesANameOnce(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		again, err := s.repo.Register(t.Context(), "main", sceneIdentity(), sceneTime.Add(time.Hour))
		if err != nil || again.Identity() != sceneIdentity() || again.Name() != "main" {
			t.Errorf("same identity again: %v, %v", again, err)
		}
		other := sceneIdentity()
		other.SystemIdentifier++
		larger := sceneIdentity()
		larger.WALSegmentSize = wal.DefaultSegmentSize
		for _, id := range []Identity{other, larger} {
			var foreign *ForeignError
			_, err := s.repo.Register(t.Context(), "main", id, sceneTime)
			if !errors.As(err, &foreign) || foreign.Have != sceneIdentity() || foreign.Offered != id {
				t.Errorf("identity %v: %v, want a *ForeignError", id, err)
			}
		}
	})
}

func TestRegisterOfTwoClustersAtOnceGivesTheNameToOne(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		var wins [8]bool
		var g errgroup.Group
		for i := range wins {
			id := Identity{SystemIdentifier: uint64(i + 1), WALSegmentSize: wal.DefaultSegmentSize}
			g.Go(func() error {
				_, err := s.repo.Register(t.Context(), "contested", id, sceneTime)
				var foreign *ForeignError
				wins[i] = err == nil
				if errors.As(err, &foreign) {
					return nil
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if n := len(slices.DeleteFunc(wins[:], func(won bool) bool { return !won })); n != 1 {
			t.Errorf("%d clusters have the name", n)
		}
	})
}

func TestRegisterRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for _, name := range []string{"", "Main", "a/b", "..", "-a", "_a", "a.b", "ä", strings.Repeat("a", 64)} {
			if _, err := s.repo.Register(t.Context(), name, sceneIdentity(), sceneTime); !errors.Is(err, ErrName) {
				t.Errorf("name %q: %v, want ErrName", name, err)
			}
		}
		for _, id := range []Identity{{}, {SystemIdentifier: 1}, {SystemIdentifier: 1, WALSegmentSize: 3 << 20}} {
			if _, err := s.repo.Register(t.Context(), "odd", id, sceneTime); err == nil {
				t.Errorf("identity %v was registered", id)
			}
		}
	})
}

func TestClusterTellsAbsentFromUnreachableAndSwapped(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		if _, err := s.repo.Cluster(t.Context(), "other"); !errors.Is(err, ErrNoCluster) {
			t.Errorf("unknown name: %v, want ErrNoCluster", err)
		}
		s.overwrite(t, clusterKey("other"), s.object(t, clusterKey("main")))
		if _, err := s.repo.Cluster(t.Context(), "other"); !isDamaged(err) {
			t.Errorf("document of another cluster: %v, want a *DamagedError", err)
		}
		broken := Repository{newStore(fault.Wrap(s.bucket,
			fault.NewSet(fault.Rule{Op: fault.Get, Times: -1, Action: fault.Fail(errOutage)})), Keys{}, false)}
		for what, err := range map[string]error{
			"cluster":  second(broken.Cluster(t.Context(), "main")),
			"register": second(broken.Register(t.Context(), "new", sceneIdentity(), sceneTime)),
		} {
			if !errors.Is(err, errOutage) || errors.Is(err, ErrNoCluster) {
				t.Errorf("%s during an outage: %v", what, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestClusterNamesAreSorted(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for _, name := range []string{"b", "a-b", "a"} {
			must(s.repo.Register(t.Context(), name, sceneIdentity(), sceneTime))(t)
		}
		s.put(t, fileOf(t, "00000002.history", []byte("1\t0/5000000\tno reason\n")))
		got := must(s.repo.ClusterNames(t.Context()))(t)
		if want := []string{"a", "a-b", "b", "main"}; !slices.Equal(got, want) {
			t.Errorf("names are %q, want %q", got, want)
		}
	})
}

func TestIDsSortByTimeAndDiffer(t *testing.T) {
	t.Parallel()
	first, second := NewID(sceneTime), NewID(sceneTime)
	later := NewID(sceneTime.Add(time.Second))
	if !strings.HasPrefix(first, "20261122T102103Z-") || !ValidID(first) || len(first) != 23 {
		t.Errorf("id is %q", first)
	}
	if first == second || later <= max(first, second) {
		t.Errorf("ids %q and %q, later %q", first, second, later)
	}
	label := NewLabel(sceneTime.In(time.FixedZone("", 7200)), "full")
	if !strings.HasPrefix(label, "20261122T102103Z-full-") || !ValidID(label) {
		t.Errorf("label is %q", label)
	}
}

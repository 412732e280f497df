package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

const dumpID = drillID + "-0001"

// putDump stores a dump with an archive and globals, in pieces of so many bytes.
func (c *Cluster) putDump(t *testing.T, id, content string, piece int64) error {
	t.Helper()
	w, err := c.StartDump(t.Context(), id)
	if err != nil {
		return err
	}
	w.pieceSize = piece
	return errors.Join(
		w.Store(t.Context(), DumpArchive, strings.NewReader(content)),
		w.Store(t.Context(), DumpGlobals, strings.NewReader("CREATE ROLE owner;")),
		w.Commit(t.Context(), json.RawMessage(`{"database": "shop"}`)))
}

func (c *Cluster) readDump(t *testing.T, id string, part DumpPart) (string, error) {
	t.Helper()
	r, err := c.OpenDump(t.Context(), id, part)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(r)
	return string(content), errors.Join(err, r.Close())
}

// randomText hardly compresses.
func randomText(n int) string {
	var b bytes.Buffer
	for sum := sha256.Sum256([]byte("x")); b.Len() < n; sum = sha256.Sum256(sum[:]) {
		b.Write(sum[:])
	}
	return b.String()[:n]
}

func TestDumpRoundTrip(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for name, c := range map[string]struct {
			content string
			piece   int64
		}{
			"empty": {"", 100}, "one piece": {"some text", 1 << 20}, "many pieces": {randomText(300_000), 10_000},
			"pieces of a byte": {"some text", 1}, "compressed": {strings.Repeat("x", 1<<20), 1000},
		} {
			s := form.scene(t)
			if err := s.cluster.putDump(t, dumpID, c.content, c.piece); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := s.cluster.readDump(t, dumpID, DumpArchive); err != nil || got != c.content {
				t.Errorf("%s: %d bytes came back of %d, %v", name, len(got), len(c.content), err)
			}
			if got, err := s.cluster.readDump(t, dumpID, DumpGlobals); err != nil || got != "CREATE ROLE owner;" {
				t.Errorf("%s: globals are %q, %v", name, got, err)
			}
			if got := must(s.cluster.Dump(t.Context(), dumpID))(t); string(got) != `{"database":"shop"}` {
				t.Errorf("%s: the document says %s", name, got)
			}
			if got := must(s.cluster.DumpIDs(t.Context()))(t); !slices.Equal(got, []string{dumpID}) {
				t.Errorf("%s: ids are %q", name, got)
			}
			checkClean(t, s)
		}
	})
}

func TestDumpIsNeverReplaced(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		if err := s.cluster.putDump(t, dumpID, "first", 100); err != nil {
			t.Fatal(err)
		}
		if err := s.cluster.putDump(t, dumpID, "second", 100); !isExists(err) {
			t.Errorf("other dump: %v, want storage.ErrExists", err)
		}
		if got, err := s.cluster.readDump(t, dumpID, DumpArchive); err != nil || got != "first" {
			t.Errorf("the dump is %q, %v", got, err)
		}
	})
}

func TestDumpCommitsOnceMore(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		w := must(s.cluster.StartDump(t.Context(), dumpID))(t)
		mustDo(t, w.Store(t.Context(), DumpArchive, strings.NewReader("x")),
			w.Commit(t.Context(), json.RawMessage(`{}`)), w.Commit(t.Context(), json.RawMessage(`{}`)))
		if err := w.Commit(t.Context(), json.RawMessage(`{"a":1}`)); !isExists(err) {
			t.Errorf("other body: %v", err)
		}
		if err := w.Store(t.Context(), DumpArchive, strings.NewReader("x")); err == nil {
			t.Error("a part is stored twice")
		}
		if _, err := s.cluster.OpenDump(t.Context(), dumpID, DumpGlobals); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("part that is not there: %v", err)
		}
	})
}

// brokenReader gives some bytes and then an error, as a program does that fails.
type brokenReader struct{ left int }

func (r *brokenReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, errOutage
	}
	n := min(r.left, len(b))
	copy(b, randomText(n))
	r.left -= n
	return n, nil
}

func TestDumpThatBreaksOffIsNone(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for _, size := range []int{0, 1, 100_000, 9 << 20} {
			s := form.scene(t)
			w := must(s.cluster.StartDump(t.Context(), dumpID))(t)
			w.pieceSize = 1 << 20
			if err := w.Store(t.Context(), DumpArchive, &brokenReader{left: size}); !errors.Is(err, errOutage) {
				t.Errorf("after %d bytes: %v", size, err)
			}
			wantNoDump(t, s)
		}
	})
}

func TestDumpWhoseUploadFailsIsNone(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		c := s.faulty(t, fault.Rule{Op: fault.Put, After: 2, Action: fault.Fail(errOutage)})
		w := must(c.StartDump(t.Context(), dumpID))(t)
		w.pieceSize = 1000
		if err := w.Store(t.Context(), DumpArchive, strings.NewReader(randomText(10<<20))); !errors.Is(err, errOutage) {
			t.Errorf("error is %v", err)
		}
		wantNoDump(t, s)
		report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
		if !slices.Equal(report.UnfinishedDumps, []string{"main/" + dumpID}) || len(report.Unknown)+len(report.Damaged) > 0 {
			t.Errorf("%+v", report)
		}
	})
}

func wantNoDump(t *testing.T, s *scene) {
	t.Helper()
	if got := must(s.cluster.DumpIDs(t.Context()))(t); len(got) != 0 {
		t.Errorf("ids are %q", got)
	}
	if _, err := s.cluster.OpenDump(t.Context(), dumpID, DumpArchive); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("dump: %v", err)
	}
}

func TestDamageOfADumpIsFound(t *testing.T) {
	t.Parallel()
	content := randomText(5000)
	inEachForm(t, func(t *testing.T, form form) {
		for name, harm := range map[string]func(s *scene, first, second string) error{
			"changed":   func(s *scene, first, _ string) error { flip(t, s, first, 700); return nil },
			"removed":   func(s *scene, first, _ string) error { return s.bucket.Delete(t.Context(), first) },
			"cut":       func(s *scene, first, _ string) error { s.overwrite(t, first, s.object(t, first)[:500]); return nil },
			"exchanged": func(s *scene, first, second string) error { s.overwrite(t, second, s.object(t, first)); return nil },
			"last one removed": func(s *scene, _, _ string) error {
				return s.bucket.Delete(t.Context(), s.cluster.pieceKey(dumpID, DumpArchive, 4))
			},
		} {
			s := form.scene(t)
			mustDo(t, s.cluster.putDump(t, dumpID, content, 1000))
			mustDo(t, harm(s, s.cluster.pieceKey(dumpID, DumpArchive, 0), s.cluster.pieceKey(dumpID, DumpArchive, 1)))
			if _, err := s.cluster.readDump(t, dumpID, DumpArchive); !isDamaged(err) {
				t.Errorf("%s: reading it: %v, want a *DamagedError", name, err)
			}
			if report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t); len(report.Damaged) != 1 {
				t.Errorf("%s: %+v", name, report)
			}
		}
	})
}

func TestSealedDumpTellsNothingWithoutItsIdentity(t *testing.T) {
	t.Parallel()
	s := form{sealed: true}.scene(t)
	mustDo(t, s.cluster.putDump(t, dumpID, "CREATE TABLE shopping", 10))
	agent := s.agent(t)
	if _, err := agent.cluster.Dump(t.Context(), dumpID); !isLocked(err) {
		t.Errorf("document: %v", err)
	}
	if _, err := agent.cluster.OpenDump(t.Context(), dumpID, DumpArchive); !isLocked(err) {
		t.Errorf("archive: %v", err)
	}
	for _, key := range s.keys(t) {
		if bytes.Contains(s.object(t, key), []byte("shop")) {
			t.Errorf("%s can be read", key)
		}
	}
	report := must(agent.repo.Scrub(t.Context(), ScrubOptions{}))(t)
	if len(report.Damaged)+len(report.Unknown) > 0 || len(report.Unproven) == 0 {
		t.Errorf("%+v", report)
	}
}

func TestDumpIDsTellTheirDrill(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		DumpID(drillID, 1): drillID, DumpID(drillID, 12345): drillID, drillID: "", "x-01": "", "-0001": "", "a-000b": "", "": "",
	} {
		if got := DrillOfDump(id); got != want {
			t.Errorf("%q is of drill %q, want %q", id, got, want)
		}
	}
}

func TestDumpsExpire(t *testing.T) {
	t.Parallel()
	id := func(day, suffix string) string { return DumpID("202611"+day+"T000000Z-"+suffix, 1) }
	for name, c := range map[string]struct {
		keep time.Duration
		want []string // what stays
	}{
		"as long as backups":    {0, []string{id("20", "cccccc"), id("21", "dddddd")}},
		"longer":                {30 * day, []string{id("10", "bbbbbb"), id("20", "cccccc"), id("21", "dddddd")}},
		"none but the last one": {time.Hour, []string{id("21", "dddddd")}},
	} {
		s := oldScene(t, form{})
		for _, drill := range []string{id("10", "bbbbbb"), id("20", "cccccc"), id("21", "dddddd")} {
			mustDo(t, s.cluster.putDump(t, drill, "x", 100))
		}
		policy := scenePolicy
		policy.KeepDumps = c.keep
		c.want = append(c.want, "20261122T000000Z-bbbbbb-0001") // of the scene itself
		if c.keep == time.Hour {
			c.want = c.want[1:]
		}
		plan := PlanExpiry(must(s.cluster.TakeStock(t.Context()))(t), policy, sceneTime)
		if _, err := s.cluster.Expire(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if got := must(s.cluster.DumpIDs(t.Context()))(t); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q stay, want %q", name, got, c.want)
		}
	}
}

func FuzzDumpDocument(f *testing.F) {
	line, err := encodeDocument(kindDump, dumpBody{
		named: named{ID: "d-0001", Body: json.RawMessage(`{}`)}, Parts: map[DumpPart][]fileSum{DumpArchive: {{Size: 1, SHA256: "00"}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	c := &Cluster{store: &store{}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		document, err := c.decodeDump("key", "d-0001", raw)
		if err == nil && document.ID != "d-0001" {
			t.Errorf("%q is the document of %q", raw, document.ID)
		}
	})
}

package drill_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/page"
	"lifeboat/internal/pgtest"
	"lifeboat/verify/instance"
)

// layered is SQL that makes something for every layer to look at.
const layered = `
CREATE TABLE ordered AS SELECT i AS id, md5(i::text) AS text FROM generate_series(1, 5000) i;
CREATE INDEX ordered_text ON ordered (text COLLATE "C");
CREATE TABLE plain AS SELECT i AS id, md5(i::text) AS text FROM generate_series(1, 5000) i;`

// layers are those of a name.
func layers(r *drill.Result, name string) (list []drill.Layer) {
	for _, l := range r.Layers {
		if l.Name == name {
			list = append(list, l)
		}
	}
	return list
}

// beforeRecovery runs something on the scratch directory once, when all is restored and nothing has started.
func beforeRecovery(o *drill.Options, do func(data string)) {
	done := false
	o.Progress = func(phase string, _, _ int64) {
		if phase != drill.PhaseReplay || done {
			return
		}
		done = true
		found, err := filepath.Glob(filepath.Join(o.WorkDirectory, "*", "data"))
		if err != nil || len(found) != 1 {
			panic("no scratch directory")
		}
		do(found[0])
	}
}

// editPage changes one page of a relation, and gives it the checksum that it then must have if right is true.
func editPage(t *testing.T, path string, block uint32, right bool, change func(p []byte)) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := content[int(block)*page.Size:][:page.Size]
	change(p)
	if right {
		binary.LittleEndian.PutUint16(p[8:], page.Checksum(p, block))
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLayersFindDefects harms what was restored, or what is expected of it, and wants the layer that says so.
func TestLayersFindDefects(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		// What is harmed stays so unless the WAL has its page whole, as it would if autovacuum came by.
		s := newScene(t, install, map[string]string{"autovacuum": "off"})
		s.server.Exec(t.Context(), layered)
		paths := map[string]string{}
		for _, name := range []string{"ordered", "ordered_text", "plain"} {
			paths[name] = s.server.Value(t.Context(), "SELECT pg_relation_filepath('"+name+"')")
		}
		s.server.Exec(t.Context(), "VACUUM") // so that the census sets no hints in pages, which would put them into the WAL
		s.server.Exec(t.Context(), "CHECKPOINT")
		s.quietStory()
		for _, d := range []struct {
			name  string
			seed  func(t *testing.T, o *drill.Options)
			want  drill.Verdict
			check string
			says  string
		}{
			{"an index that lacks a row", func(t *testing.T, o *drill.Options) {
				o.Examination.Amcheck = drill.AmcheckHeapAllIndexed
				beforeRecovery(o, func(data string) {
					editPage(t, filepath.Join(data, paths["ordered_text"]), 1, true, dropLastItem)
				})
			}, drill.Fail, drill.CheckRelations, "lacks matching index tuple"},
			{"an index out of order", func(t *testing.T, o *drill.Options) {
				beforeRecovery(o, func(data string) {
					editPage(t, filepath.Join(data, paths["ordered_text"]), 1, true, swapItems)
				})
			}, drill.Fail, drill.CheckRelations, "item order invariant violated"},
			{"a heap page that points to nowhere", func(t *testing.T, o *drill.Options) {
				beforeRecovery(o, func(data string) {
					editPage(t, filepath.Join(data, paths["plain"]), 3, true, breakTuple)
				})
			}, drill.Fail, drill.CheckRelations, "plain: block 3"},
			{"a flipped byte", func(t *testing.T, o *drill.Options) {
				o.Examination.Amcheck = drill.AmcheckOff
				beforeRecovery(o, func(data string) {
					editPage(t, filepath.Join(data, paths["ordered_text"]), 2, false, func(p []byte) { p[5000] ^= 1 })
				})
			}, drill.Fail, drill.CheckChecksums, "block 2 of base/"},
			{"assertions that do not hold", func(_ *testing.T, o *drill.Options) {
				five, o2 := "5", "5000"
				o.Examination.Assertions = []instance.Assertion{
					{Name: "few are ordered", Database: "postgres", SQL: "SELECT count(*) FROM ordered", Equals: &five},
					{Name: "all are ordered", Database: "postgres", SQL: "SELECT count(*) FROM ordered", Equals: &o2},
				}
			}, drill.Fail, drill.CheckAssertions, "few are ordered: 5000, not 5"},
		} {
			if install.Major != pgtest.Debian(t).Major && d.check != drill.CheckRelations {
				continue // one version is enough for these
			}
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				o := s.options(t)
				o.Examination.Amcheck = drill.AmcheckOn
				d.seed(t, &o)
				r := s.drill(t, o)
				if got := check(t, r, d.check); got.Result != d.want || !strings.Contains(got.Detail, d.says) {
					t.Errorf("check %q: %s: %s; want %s and %q", d.check, got.Result, got.Detail, d.want, d.says)
				}
				if r.Verdict != d.want {
					t.Errorf("verdict %s", r.Verdict)
				}
				if t.Failed() {
					tell(t, r)
				}
			})
		}
	})
}

// dropLastItem takes the last line pointer off a B-tree's leaf, whose first page is block 1.
func dropLastItem(p []byte) {
	lower := binary.LittleEndian.Uint16(p[12:])
	binary.LittleEndian.PutUint16(p[12:], lower-4)
}

// swapItems exchanges two line pointers of a leaf.
func swapItems(p []byte) {
	a, b := slices.Clone(p[24+4*5:24+4*6]), slices.Clone(p[24+4*9:24+4*10])
	copy(p[24+4*5:], b)
	copy(p[24+4*9:], a)
}

// breakTuple gives the first tuple of a heap's page a header that is longer than the tuple.
func breakTuple(p []byte) {
	offset := binary.LittleEndian.Uint32(p[24:]) & 0x7fff
	p[offset+22] = 0xF0 // t_hoff in HeapTupleHeaderData (htup_details.h)
}

// TestLayersAreMeasured drills a sound backup and wants every layer with its cost, in all reports.
func TestLayersAreMeasured(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.server.Exec(t.Context(), layered)
	s.quietStory()
	o := s.options(t)
	o.Examination.Amcheck = drill.AmcheckHeapAllIndexed
	all := "5000"
	o.Examination.Assertions = []instance.Assertion{{Name: "all are ordered", Database: "postgres", SQL: "SELECT count(*) FROM ordered", Equals: &all}}
	r := s.drill(t, o)
	if r.Verdict != drill.Pass {
		tell(t, r)
		t.Fatalf("verdict %s", r.Verdict)
	}
	for name, databases := range map[string]int{
		"rows": 1, "catalogues": 2, "collations": 2, "heaps and indexes": 2, "page checksums": 1, "all are ordered": 1,
	} {
		list := layers(r, name)
		if len(list) != databases {
			t.Errorf("%d layers %q: %+v", len(list), name, list)
		}
		for _, l := range list {
			t.Logf("%+v", l)
			if l.Seconds <= 0 || l.Objects <= 0 || l.Result != drill.Pass || l.Detail == "" {
				t.Errorf("%+v", l)
			}
		}
	}
	var html bytes.Buffer
	if err := drill.WriteHTML(&html, r, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"all are ordered", "page checksums", "heaps and indexes"} {
		if !strings.Contains(html.String(), want) {
			t.Errorf("the report does not have %q", want)
		}
	}
}

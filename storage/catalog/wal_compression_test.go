package catalog

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
)

// inEachCompression runs the test for each form of a repository and each compression.
func inEachCompression(t *testing.T, test func(t *testing.T, s *scene, with Compression)) {
	t.Helper()
	inEachForm(t, func(t *testing.T, form form) {
		for _, with := range []Compression{Zstd, S2} {
			t.Run(string(with), func(t *testing.T) {
				t.Parallel()
				s := form.scene(t)
				s.cluster = s.cluster.Compressing(with)
				test(t, s, with)
			})
		}
	})
}

func TestWALComesBackWhateverIsConfiguredNow(t *testing.T) {
	t.Parallel()
	inEachCompression(t, func(t *testing.T, s *scene, with Compression) {
		for _, f := range everyKind(t) {
			s.put(t, f)
			for _, now := range []Compression{"", Zstd, S2} {
				if got := s.cluster.Compressing(now).mustGet(t, f.Name); !bytes.Equal(got, contentOf(t, f)) {
					t.Errorf("%s came back changed", f.Name)
				}
			}
			if h := must(s.cluster.CheckWAL(t.Context(), f.Name))(t); h.Compression != with {
				t.Errorf("header of %s says %q", f.Name, h.Compression)
			}
		}
	})
}

func TestTheSameFileUnderAnotherCompressionIsNoConflict(t *testing.T) {
	t.Parallel()
	inEachCompression(t, func(t *testing.T, s *scene, with Compression) {
		now := map[Compression]Compression{Zstd: S2, S2: Zstd}[with]
		blind := s.repo.With(Keys{Recipients: s.repo.keys.Recipients})
		for _, f := range everyKind(t) {
			s.put(t, f)
			for who, cluster := range map[string]*Cluster{"with": s.cluster, "without": must(blind.Cluster(t.Context(), "main"))(t)} {
				stored, err := cluster.Compressing(now).PutWAL(t.Context(), f, sceneTime.Add(time.Hour))
				if stored || err != nil {
					t.Errorf("%s again, %s keys: %v, %v", f.Name, who, stored, err)
				}
			}
		}
		other := segment(t, segmentName, "another server")
		var conflict *ConflictError
		if _, err := s.cluster.Compressing(now).PutWAL(t.Context(), other, sceneTime); !errors.As(err, &conflict) {
			t.Errorf("other content under another compression: %v", err)
		}
	})
}

func TestTailOfPiecesInBothCompressionsIsAssembled(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		u := newUnfinished(t, tailName, 200_000)
		for i, with := range []Compression{S2, Zstd, S2} {
			s.cluster = s.cluster.Compressing(with)
			s.putTail(t, u.piece(t, uint32(i*10_000), uint32((i+1)*10_000)))
		}
		var got bytes.Buffer
		end, err := s.cluster.GetTail(t.Context(), u.name, &got)
		if err != nil || end != 30_000 || !bytes.Equal(got.Bytes(), u.upTo(end)) {
			t.Errorf("tail to %d of %d bytes, %v", end, got.Len(), err)
		}
	})
}

func TestEveryFlippedByteIsFoundInS2(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.cluster = s.cluster.Compressing(S2)
		for _, f := range everyKind(t)[1:3] {
			s.put(t, f)
			key := s.cluster.walKey(f.Name)
			object := s.object(t, key)
			for i := range object {
				flipped := bytes.Clone(object)
				flipped[i] ^= 1 << (i % 8)
				if _, err := s.cluster.decodeWAL(key, f.Name, bytes.NewReader(flipped), io.Discard); !isProblem(err) {
					t.Fatalf("%s: byte %d of %d flipped: %v", f.Name, i, len(object), err)
				}
			}
		}
	})
}

// A program that came before s2 must say that it is too old, not that the object is damaged.
func TestHeaderOfS2HasAVersionOfItsOwn(t *testing.T) {
	t.Parallel()
	header := func(version int, compression string) []byte {
		h := WALHeader{Name: wal.HistoryFile(2).String(), SystemIdentifier: sceneIdentity().SystemIdentifier}
		body := h.body()
		body.Compression = compression
		return skippableFrame(walHeaderMagic, must(encodeVersion(kindWAL, version, body))(t))
	}
	for name, c := range map[string]struct {
		header []byte
		says   string // no error where empty
	}{
		"zstd":                       {header(1, ""), ""},
		"s2":                         {header(2, "s2"), ""},
		"s2 in the version before":   {header(1, "s2"), "which never was"},
		"zstd in the version of s2":  {header(2, ""), "which never was"},
		"another in version of s2":   {header(2, "lz4"), "which never was"},
		"another":                    {header(1, "lz4"), "which never was"},
		"zstd by name":               {header(1, "zstd"), "which never was"},
		"version that is to come":    {header(3, "s2"), "version 3"},
		"version that never will be": {header(0, ""), "which never was"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newScene(t).cluster.readWALHeader("k", wal.HistoryFile(2), bytes.NewReader(c.header))
			if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, not %q", err, c.says)
			}
		})
	}
	var version *VersionError
	if err := decodeDocument("k", kindSealedWAL, must(encodeVersion(kindSealedWAL, 2, 0))(t), new(int)); !errors.As(err, &version) {
		t.Errorf("a note of version 2: %v", err)
	}
}

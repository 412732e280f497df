package catalog

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/fault"
	"lifeboat/storage/retry"
)

const segmentName = "00000001000000A300000042"

// everyKind is a file of each kind that PostgreSQL archives.
func everyKind(t *testing.T) []WALFile {
	t.Helper()
	partial := segment(t, segmentName+".partial", "")
	start := contentOf(t, partial)[:8192]
	partial.Size, partial.Open = int64(len(start)), opens(start)
	return []WALFile{
		segment(t, segmentName, ""),
		partial,
		fileOf(t, "0000000B.history", []byte("1\t0/5000000\tno recovery target specified\n")),
		fileOf(t, segmentName+".00000028.backup", []byte("START WAL LOCATION: A3/4200028\n")),
		fileOf(t, "0000000C.history", nil),
	}
}

func TestWALRoundTrip(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for _, f := range everyKind(t) {
			s.put(t, f)
			if got := s.cluster.mustGet(t, f.Name); !bytes.Equal(got, contentOf(t, f)) {
				t.Errorf("%s came back changed", f.Name)
			}
			h := must(s.cluster.WALHeader(t.Context(), f.Name))(t)
			want := WALHeader{
				Name: f.Name.String(), SystemIdentifier: sceneIdentity().SystemIdentifier, Size: f.Size,
				SHA256: sumOf(contentOf(t, f)).SHA256, ArchivedAt: sceneTime, Summary: f.Summary,
			}
			if h.Locked != nil || !reflect.DeepEqual(h.body(), want.body()) {
				t.Errorf("header of %s is %+v, want %+v", f.Name, h, want)
			}
		}
	})
}

// The tool is what a person would use on the day when no Lifeboat is at hand.
func TestWALObjectIsReadByZstd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, f := range everyKind(t) {
		s.put(t, f)
		cmd := exec.CommandContext(t.Context(), "zstd", "-dc")
		cmd.Stdin = bytes.NewReader(s.object(t, s.cluster.walKey(f.Name)))
		got, err := cmd.Output()
		if err != nil {
			t.Fatalf("zstd -dc < %s: %v", f.Name, err)
		}
		if !bytes.Equal(got, contentOf(t, f)) {
			t.Errorf("zstd decodes %s to other bytes", f.Name)
		}
	}
}

// counting counts requests by kind.
type counting struct {
	storage.Bucket
	puts, others atomic.Int32
}

func (b *counting) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	b.puts.Add(1)
	return b.Bucket.Put(ctx, key, body, opts)
}

func (b *counting) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	b.others.Add(1)
	return b.Bucket.Get(ctx, key, offset, length)
}

func (b *counting) Stat(ctx context.Context, key string) (storage.Info, error) {
	b.others.Add(1)
	return b.Bucket.Stat(ctx, key)
}

func TestPutWALOfAFreshSegmentIsOneRequest(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := &counting{Bucket: s.bucket}
	if _, err := s.through(b).PutWAL(t.Context(), segment(t, segmentName, ""), sceneTime); err != nil {
		t.Fatal(err)
	}
	if b.puts.Load() != 1 || b.others.Load() != 0 {
		t.Errorf("%d puts and %d other requests", b.puts.Load(), b.others.Load())
	}
}

func TestPutWALOfTheSameFileAgainIsFine(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for _, f := range everyKind(t) {
			s.put(t, f)
			before := s.object(t, s.cluster.walKey(f.Name))
			stored, err := s.cluster.PutWAL(t.Context(), f, sceneTime.Add(time.Hour))
			if err != nil || stored {
				t.Errorf("%s again: %v, %v", f.Name, stored, err)
			}
			if !bytes.Equal(before, s.object(t, s.cluster.walKey(f.Name))) {
				t.Errorf("object of %s was written anew", f.Name)
			}
		}
	})
}

func TestPutWALOfOtherContentIsAConflict(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, other := segment(t, segmentName, "one server"), segment(t, segmentName, "another server")
	s.put(t, first)
	for range 3 {
		_, err := s.cluster.PutWAL(t.Context(), other, sceneTime.Add(time.Hour))
		var conflict *ConflictError
		if !errors.As(err, &conflict) {
			t.Fatalf("error is %v, want a *ConflictError", err)
		}
		if conflict.Have != sumOf(contentOf(t, first)).SHA256 || conflict.Offered != sumOf(contentOf(t, other)).SHA256 {
			t.Errorf("conflict is %+v", conflict)
		}
	}
	if !bytes.Equal(s.cluster.mustGet(t, first.Name), contentOf(t, first)) {
		t.Error("the stored segment was overwritten")
	}
	findings := must(s.cluster.Findings(t.Context()))(t)
	if len(findings) != 1 || findings[0].Kind != FindingConflict || findings[0].Name != segmentName {
		t.Errorf("findings are %+v, want one about %s", findings, segmentName)
	}
}

func TestPutWALSaysAConflictAlsoWhereTheFindingCannotBeStored(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.put(t, segment(t, segmentName, "one server"))
		c := s.faulty(t, fault.Rule{Op: fault.Put, After: 1, Action: fault.Fail(errOutage)})
		_, err := c.PutWAL(t.Context(), segment(t, segmentName, "another server"), sceneTime)
		var conflict *ConflictError
		if !errors.As(err, &conflict) || !errors.Is(err, errOutage) {
			t.Errorf("error is %v, want the conflict and the outage", err)
		}
	})
}

func TestPutWALOverADamagedObjectIsAnError(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		f := segment(t, segmentName, "")
		s.put(t, f)
		key := s.cluster.walKey(f.Name)
		object := s.object(t, key)
		object[len(object)-50] ^= 1
		s.overwrite(t, key, object)
		if _, err := s.cluster.PutWAL(t.Context(), f, sceneTime); !isDamaged(err) {
			t.Errorf("error is %v, want a *DamagedError", err)
		}
		if !bytes.Equal(object, s.object(t, key)) {
			t.Error("the damaged object was overwritten")
		}
	})
}

func TestPutWALAfterALostResponse(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		f := segment(t, segmentName, "")
		c := s.faulty(t, fault.Rule{Op: fault.Put, Action: fault.LoseResponse(errOutage)})
		if _, err := c.PutWAL(t.Context(), f, sceneTime); !errors.Is(err, errOutage) {
			t.Errorf("lost response: %v, want the store's error", err)
		}
		if stored, err := c.PutWAL(t.Context(), f, sceneTime); stored || err != nil {
			t.Errorf("next attempt: %v, %v", stored, err)
		}
	})
}

func TestPutWALIsRetriedFromItsStart(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for name, action := range map[string]fault.Action{
			"lost response": fault.LoseResponse(storage.ErrUnavailable),
			"cut half way":  fault.Truncate(1000, storage.ErrUnavailable),
			"refused":       fault.Fail(storage.ErrUnavailable),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := form.scene(t)
				f := segment(t, segmentName, "")
				c := s.faulty(t, fault.Rule{Op: fault.Put, Action: action})
				c = s.through(retry.Wrap(c.bucket, retry.Options{
					Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
					Sleep: func(context.Context, time.Duration) error { return nil },
				}))
				if _, err := c.PutWAL(t.Context(), f, sceneTime); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(s.cluster.mustGet(t, f.Name), contentOf(t, f)) {
					t.Error("segment came back changed")
				}
			})
		}
	})
}

func TestPutWALOfManyAtOnceStoresOne(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		var stored, conflicts atomic.Int32
		var g errgroup.Group
		for i := range 16 {
			f := segment(t, segmentName, fmt.Sprint(i%2))
			g.Go(func() error {
				fresh, err := s.cluster.PutWAL(t.Context(), f, sceneTime)
				if fresh {
					stored.Add(1)
				}
				var conflict *ConflictError
				if errors.As(err, &conflict) {
					conflicts.Add(1)
					return nil
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if stored.Load() != 1 || conflicts.Load() != 8 {
			t.Errorf("%d stored and %d conflicts, want 1 and 8", stored.Load(), conflicts.Load())
		}
	})
}

func TestPutWALRefusesAFileThatChanges(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		content := segmentBytes("before")
		longer := append(bytes.Clone(content), 0)
		for damage, read := range map[string][]byte{"shorter": content[:4096], "empty": nil, "longer": longer} {
			s := form.scene(t)
			f := segment(t, segmentName, "")
			f.Open = opens(read)
			if _, err := s.cluster.PutWAL(t.Context(), f, sceneTime); !errors.Is(err, errChanged) {
				t.Errorf("%s: %v, want errChanged", damage, err)
			}
			if _, err := s.cluster.GetWAL(t.Context(), f.Name, io.Discard); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s: something was stored: %v", damage, err)
			}
		}
	})
}

func opens(content []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

func TestPutWALRefusesWhatCannotBelongToTheCluster(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		foreign, larger, bare := segment(t, segmentName, ""), segment(t, segmentName, ""), segment(t, segmentName, "")
		foreign.Summary.SystemIdentifier++
		larger.Summary.SegmentSize = wal.DefaultSegmentSize
		bare.Summary = nil
		short := segment(t, segmentName, "")
		short.Size--
		odd := segment(t, segmentName, "")
		odd.Name.Seg = 4096
		history := fileOf(t, "00000002.history", nil)
		history.Summary = foreign.Summary
		for what, f := range map[string]WALFile{
			"foreign": foreign, "larger segments": larger, "no summary": bare, "short": short, "odd number": odd,
			"history with summary": history,
		} {
			if stored, err := s.cluster.PutWAL(t.Context(), f, sceneTime); err == nil || stored {
				t.Errorf("%s was stored", what)
			}
			var refused *ForeignError
			if _, err := s.cluster.PutWAL(t.Context(), f, sceneTime); what == "foreign" && !errors.As(err, &refused) {
				t.Errorf("%s: %v, want a *ForeignError", what, err)
			}
		}
	})
}

func TestGetWALFindsEveryFlippedByte(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for _, f := range everyKind(t) {
			s.put(t, f)
			key := s.cluster.walKey(f.Name)
			object := s.object(t, key)
			step := 1
			if f.Size > 1<<16 {
				step = 17 // a whole segment takes too long for each of its bytes
			}
			for i := 0; i < len(object); i += step {
				flipped := bytes.Clone(object)
				flipped[i] ^= 1 << (i % 8)
				if _, err := s.cluster.decodeWAL(key, f.Name, bytes.NewReader(flipped), io.Discard); !isProblem(err) {
					t.Fatalf("%s: byte %d of %d flipped: %v", f.Name, i, len(object), err)
				}
			}
		}
	})
}

func TestGetWALFindsTruncatedAndExtendedObjects(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		f := fileOf(t, "00000002.history", []byte("1\t0/5000000\tno reason\n"))
		s.put(t, f)
		key := s.cluster.walKey(f.Name)
		object := s.object(t, key)
		damages := map[string][]byte{
			"zero byte behind": append(bytes.Clone(object), 0),
			"twice":            append(bytes.Clone(object), object...),
			"foreign trailer":  append(bytes.Clone(object), object[len(object)-walTrailerSize:]...),
		}
		for n := range object {
			damages[fmt.Sprintf("cut to %d bytes", n)] = object[:n]
		}
		for damage, content := range damages {
			s.overwrite(t, key, content)
			if _, err := s.cluster.GetWAL(t.Context(), f.Name, io.Discard); !isDamaged(err) {
				t.Errorf("%s: %v, want a *DamagedError", damage, err)
			}
		}
	})
}

func TestWALHeaderFindsEveryFlippedByteOfTheHeader(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := segment(t, segmentName, "")
	s.put(t, f)
	key := s.cluster.walKey(f.Name)
	object := s.object(t, key)
	header := must(encodeWALHeader(must(s.cluster.WALHeader(t.Context(), f.Name))(t)))(t)
	if !bytes.HasPrefix(object, header) {
		t.Fatal("header does not encode to the bytes that it was read from")
	}
	for i := range header {
		flipped := bytes.Clone(object)
		flipped[i] ^= 1 << (i % 8)
		s.overwrite(t, key, flipped)
		if _, err := s.cluster.WALHeader(t.Context(), f.Name); !isProblem(err) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	s.overwrite(t, key, object[:len(header)-1])
	if _, err := s.cluster.WALHeader(t.Context(), f.Name); !isDamaged(err) {
		t.Errorf("cut header: %v, want a *DamagedError", err)
	}
}

func TestGetWALRefusesSwappedObjects(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		f, other := segment(t, segmentName, ""), segment(t, "00000001000000A300000043", "")
		s.put(t, f)
		s.overwrite(t, s.cluster.walKey(other.Name), s.object(t, s.cluster.walKey(f.Name)))
		for call, err := range readEach(t.Context(), s.cluster, other.Name) {
			if !isDamaged(err) {
				t.Errorf("%s of another segment's object: %v, want a *DamagedError", call, err)
			}
		}
		stranger := *s.cluster
		stranger.identity.SystemIdentifier++
		for call, err := range readEach(t.Context(), &stranger, f.Name) {
			if !isDamaged(err) {
				t.Errorf("%s of a foreign cluster's object: %v, want a *DamagedError", call, err)
			}
		}
	})
}

// A long file behind a header that promises a short one must not reach the disk of who reads it.
func TestGetWALHoldsTheSizeThatTheHeaderPromises(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, size := range []int64{0, 100, 9999, 10001, 1 << 20} {
		f := fileOf(t, "00000002.history", make([]byte, 10000))
		made := must(s.cluster.encodeWAL(t.Context(), f, sceneTime))(t)
		h, object := made.header, must(io.ReadAll(made.parts.reader()))(t)
		content := object[len(must(encodeWALHeader(h))(t)) : len(object)-walTrailerSize]
		h.Size = size
		forged := append(must(encodeWALHeader(h))(t), content...)
		sum := sha256.Sum256(forged)
		forged = append(forged, skippableFrame(walTrailerMagic, sum[:])...)
		var out bytes.Buffer
		_, err := s.cluster.decodeWAL("k", f.Name, bytes.NewReader(forged), &out)
		if !isDamaged(err) || int64(out.Len()) > size && size < 10000 {
			t.Errorf("header says %d bytes: wrote %d, %v", size, out.Len(), err)
		}
	}
}

func TestOutageIsNeitherAbsenceNorDamage(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for name, action := range map[string]fault.Action{
			"refused":              fault.Fail(errOutage),
			"cut in the header":    fault.Truncate(20, io.ErrUnexpectedEOF),
			"cut before the start": fault.Truncate(0, io.ErrUnexpectedEOF),
		} {
			s := form.scene(t)
			f := segment(t, segmentName, "")
			s.put(t, f)
			c := s.faulty(t, fault.Rule{Op: fault.Get, Times: -1, Action: action})
			for call, err := range readEach(t.Context(), c, f.Name) {
				if err == nil || isProblem(err) || errors.Is(err, storage.ErrNotFound) {
					t.Errorf("%s, %s: %v, want the store's own error", name, call, err)
				}
			}
			if _, err := c.PutWAL(t.Context(), f, sceneTime); err == nil || isProblem(err) {
				t.Errorf("%s, PutWAL: %v, want the store's own error", name, err)
			}
		}
	})
}

func TestOutageInTheBodyIsNotDamage(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		f := segment(t, segmentName, "")
		s.put(t, f)
		size := int64(len(s.object(t, s.cluster.walKey(f.Name))))
		for _, at := range []int64{2000, size - 41, size - 40, size - 39, size - 1} {
			c := s.faulty(t, fault.Rule{Op: fault.Get, Action: fault.Truncate(at, errOutage)})
			if _, err := c.GetWAL(t.Context(), f.Name, io.Discard); !errors.Is(err, errOutage) || isProblem(err) {
				t.Errorf("cut at %d of %d: %v, want the store's own error", at, size, err)
			}
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errOutage }

func TestGetWALSaysWhenItCannotWrite(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		f := segment(t, segmentName, "")
		s.put(t, f)
		if _, err := s.cluster.GetWAL(t.Context(), f.Name, fullDisk{}); !errors.Is(err, errOutage) || isProblem(err) {
			t.Errorf("error is %v, want the destination's own", err)
		}
		if !bytes.Equal(s.cluster.mustGet(t, f.Name), contentOf(t, f)) {
			t.Error("the next read is not right")
		}
	})
}

func TestGetWALOfTheAbsentIsNotFound(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		for call, err := range readEach(t.Context(), s.cluster, segment(t, segmentName, "").Name) {
			if !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s: %v, want storage.ErrNotFound", call, err)
			}
		}
	})
}

func TestHasLaterWAL(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for there, want := range map[string]bool{
			"00000001000000A300000043":                 true,  // the next one
			"00000001000000A300000043.partial":         true,  // unfinished, but written after
			"00000001000000A400000000":                 true,  // in the next 4 GiB
			"00000001000000B000000000":                 true,  // a higher digit
			"0000000110000000000000FF":                 true,  // the highest digit
			"00000001000000A300000042":                 false, // itself
			"00000001000000A300000041":                 false, // the one before
			"00000001000000A2000000FF":                 false, // in the 4 GiB before
			"000000010000009F00000043":                 false, // a lower digit
			"00000002000000A300000043":                 false, // on another timeline
			"00000002.history":                         false,
			"00000001000000A300000043.00000028.backup": false, // no WAL
		} {
			s := form.scene(t)
			f := must(wal.ParseFileName(there))(t)
			s.overwrite(t, s.cluster.walKey(f), nil)
			for way, ask := range laterWays(s.cluster) {
				got, err := ask(t.Context(), must(wal.ParseFileName(segmentName))(t))
				if err != nil || got != want {
					t.Errorf("with %s, by a %s: %v, %v, want %v", there, way, got, err, want)
				}
			}
		}
	})
}

// laterWays are how later WAL is looked for: among few files, and among many.
func laterWays(c *Cluster) map[string]func(context.Context, wal.FileName) (bool, error) {
	return map[string]func(context.Context, wal.FileName) (bool, error){"listing": c.HasLaterWAL, "search": c.searchLater}
}

func TestHasLaterWALAmongManyFiles(t *testing.T) {
	t.Parallel()
	s := form{}.scene(t)
	put := func(n wal.SegmentNumber) {
		s.overwrite(t, s.cluster.walKey(wal.SegmentFile(1, n, s.cluster.identity.WALSegmentSize)), nil)
	}
	for n := range wal.SegmentNumber(laterFew + 5) {
		put(n)
	}
	name := wal.SegmentFile(1, laterFew+5, s.cluster.identity.WALSegmentSize)
	if later, err := s.cluster.HasLaterWAL(t.Context(), name); later || err != nil {
		t.Errorf("at the end: %v, %v", later, err)
	}
	put(laterFew + 6)
	if later, err := s.cluster.HasLaterWAL(t.Context(), name); !later || err != nil {
		t.Errorf("before the last one: %v, %v", later, err)
	}
}

func TestHasLaterWALDuringAnOutageIsAnError(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		name := must(wal.ParseFileName(segmentName))(t)
		for way, lists := range map[string][]int{"listing": {0, 1}, "search": {0, 1, 40, 100}} {
			for _, after := range lists {
				c := s.faulty(t, fault.Rule{Op: fault.List, After: after, Action: fault.Fail(errOutage)})
				if _, err := laterWays(c)[way](t.Context(), name); !errors.Is(err, errOutage) {
					t.Errorf("list %d of a %s fails: %v", after, way, err)
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for way, ask := range laterWays(s.cluster) {
			if _, err := ask(ctx, name); !errors.Is(err, context.Canceled) {
				t.Errorf("a cancelled %s: %v", way, err)
			}
		}
	})
}

// FuzzDecodeWAL holds that no object makes the reader panic, write more than a segment, or accept what is no object of
// the name.
func FuzzDecodeWAL(f *testing.F) {
	name := wal.HistoryFile(2)
	c := &Cluster{identity: sceneIdentity(), root: "clusters/main/1/", store: newStore(sink{}, Keys{}, false), codecs: newCodecs()}
	for _, text := range []string{"", "1\t0/5000000\tno reason\n"} {
		file := WALFile{Name: name, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader([]byte(text))), nil
		}}
		made, err := c.encodeWAL(context.Background(), file, sceneTime)
		if err != nil {
			f.Fatal(err)
		}
		object, err := io.ReadAll(made.parts.reader())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(object)
	}
	f.Add(skippableFrame(walHeaderMagic, nil))
	f.Fuzz(func(t *testing.T, object []byte) {
		var out bytes.Buffer
		h, err := c.decodeWAL("k", name, bytes.NewReader(object), &out)
		if out.Len() > maxSmallWAL {
			t.Errorf("wrote %d bytes", out.Len())
		}
		if err == nil && (h.Name != name.String() || sumOf(out.Bytes()).SHA256 != h.SHA256) {
			t.Errorf("accepted %q as %+v", out.Bytes(), h)
		}
		if err != nil && !isProblem(err) {
			t.Errorf("error is %v, want a problem of the object", err)
		}
	})
}

// weighing is a bucket that notes how many bytes are on their way at once. It keeps those that come until there are many.
type weighing struct {
	storage.Bucket
	mu        sync.Mutex
	now, most int64
	many      chan struct{} // closed when there have been so many
}

const manyBytes = 8 << 20

func (w *weighing) Put(ctx context.Context, key string, body io.Reader, opts storage.PutOptions) error {
	w.add(opts.Size)
	defer w.add(-opts.Size)
	select {
	case <-w.many:
	case <-time.After(time.Minute):
	}
	time.Sleep(time.Second) // more come meanwhile, if they may
	return w.Bucket.Put(ctx, key, body, opts)
}

func (w *weighing) add(size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += size
	if w.most < manyBytes && w.now >= manyBytes {
		close(w.many)
	}
	w.most = max(w.most, w.now)
}

func TestObjectsOnTheirWayAreBoundedInMemory(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		bucket := &weighing{Bucket: s.bucket, many: make(chan struct{})}
		cluster := s.through(bucket)
		noise := must(io.ReadAll(io.LimitReader(rand.Reader, int64(wal.MinSegmentSize))))(t)
		var group errgroup.Group
		for i := range 24 {
			f := segment(t, fmt.Sprintf("0000000100000000%08X", i+1), "")
			content := append(contentOf(t, f)[:8192:8192], noise[8192:]...)
			f.Open = opens(content)
			group.Go(func() error {
				_, err := cluster.PutWAL(t.Context(), f, sceneTime)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if slack := int64(1 << 20); bucket.most < manyBytes || bucket.most > sendingMemory+slack {
			t.Errorf("%d bytes were on their way at once, not from %d to %d", bucket.most, manyBytes, sendingMemory)
		}
	})
}

package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/storage"
)

// rangeCounter counts what is read through it, in ranges.
type rangeCounter struct {
	storage.Bucket
	reads, bytes atomic.Int64
}

func (b *rangeCounter) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	b.reads.Add(1)
	if length < 0 {
		return nil, errors.New("a read of the whole object")
	}
	b.bytes.Add(length)
	return b.Bucket.Get(ctx, key, offset, length)
}

// relation is a gigabyte of pages that are not all zero, each known by its number.
type relation struct{ page int64 }

func (r *relation) Read(p []byte) (int, error) {
	for at := 0; at+8192 <= len(p); at += 8192 {
		binary.LittleEndian.PutUint64(p[at:], uint64(r.page)*0x9E3779B97F4A7C15)
		clear(p[at+8 : at+8192])
		r.page++
	}
	return len(p) / 8192 * 8192, nil
}

func TestOnePageOfAGigabyteIsAFewSmallReads(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		const pages = 1 << 17
		s := form.scene(t)
		rec := backUpRelation(t, s.cluster, pages)
		bucket := &rangeCounter{Bucket: s.bucket}
		c := s.through(bucket)
		for _, page := range []int64{0, 1, 31, 32, pages / 2, pages - 1} {
			bucket.reads.Store(0)
			bucket.bytes.Store(0)
			ix := must(c.OpenIndex(t.Context(), rec))(t)
			got, want := make([]byte, 8192), make([]byte, 8192)
			must(ix.ReadAt(t.Context(), "base/1/16384", got, page*8192))(t)
			must((&relation{page: page}).Read(want))(t)
			if !bytes.Equal(got, want) {
				t.Errorf("page %d differs", page)
			}
			if reads, read := bucket.reads.Load(), bucket.bytes.Load(); reads > form.reads(4, 6) || read > form.reads(256<<10, 512<<10) {
				t.Errorf("page %d took %d reads of %d bytes", page, reads, read)
			}
		}
	})
}

func backUpRelation(t *testing.T, c *Cluster, pages int64) Record {
	t.Helper()
	w := must(c.StartBackup(t.Context(), StartedBackup{Label: sceneLabel, Type: "full"}))(t)
	t.Cleanup(w.Abort)
	stream := must(w.NewStream(t.Context()))(t)
	size := pages * 8192
	err := stream.AddFile(t.Context(), FileMeta{Path: "base/1/16384", Size: size}, io.LimitReader(&relation{}, size))
	if err := errors.Join(err, stream.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	ref, totals, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec := recordOf(c, sceneLabel, ref, totals)
	if err := w.Commit(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestIndexOfManyFilesInAnyOrder(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		const files = 30_000
		s := form.scene(t)
		w := must(s.cluster.StartBackup(t.Context(), StartedBackup{Label: sceneLabel, Type: "full"}))(t)
		defer w.Abort()
		stream := must(w.NewStream(t.Context()))(t)
		stream.index.memory = 64 << 10 // many runs
		order := rand.New(rand.NewPCG(5, 6)).Perm(files)
		for _, n := range order {
			if err := stream.AddFile(t.Context(), FileMeta{Path: fmt.Sprintf("base/%d", n)}, strings.NewReader("")); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		ref, totals, err := w.Finish(t.Context())
		if err != nil || totals.Files != files || totals.Blocks < 3 {
			t.Fatalf("Finish = %+v, %v", totals, err)
		}
		ix := must(s.cluster.OpenIndex(t.Context(), Record{Label: sceneLabel, Index: ref}))(t)
		var paths []string
		for e, err := range ix.Files(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, e.Path)
		}
		if len(paths) != files || !slices.IsSorted(paths) {
			t.Errorf("%d files, in order: %v", len(paths), slices.IsSorted(paths))
		}
		for _, n := range order[:50] {
			must(ix.File(t.Context(), fmt.Sprintf("base/%d", n)))(t)
		}
		for _, absent := range []string{"", "a", "base/", "base/100x", "z"} {
			if _, err := ix.File(t.Context(), absent); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("File(%q) = %v", absent, err)
			}
		}
	})
}

func TestMissingObjectOfABackupIsDamage(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		rec := sampleTree().backUp(t, s.cluster, sceneLabel, packSize, 1)
		ix := must(s.cluster.OpenIndex(t.Context(), rec))(t)
		for _, key := range s.keys(t) {
			if strings.Contains(key, "/packs/") || strings.HasSuffix(key, "/index") {
				if err := s.bucket.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
		}
		ix.cluster = s.through(s.bucket) // which remembers nothing of the objects
		_, openErr := ix.cluster.OpenIndex(t.Context(), rec)
		_, packErr := ix.ReadPack(t.Context(), 0, 0, 10)
		_, fileErr := ix.File(t.Context(), "PG_VERSION")
		for _, err := range []error{openErr, packErr, fileErr} {
			if !isDamaged(err) || errors.Is(err, storage.ErrNotFound) {
				t.Errorf("error is %v", err)
			}
		}
	})
}

func TestPathsThatLeadElsewhereAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256)
	for _, path := range []string{
		"", "/", "/etc/passwd", "..", "../x", "base/../../x", "base/..", ".", "./x", "base//x", "base/", "a\x00b", long, strings.Repeat("x/", 2100) + "x",
	} {
		if err := (FileEntry{FileMeta: FileMeta{Path: path}}).Validate(); err == nil {
			t.Errorf("%.40q is accepted", path)
		}
	}
	for _, path := range []string{"base/1/1259_fsm", "PG_VERSION", `odd\name`, "..x/..y", "latin\xe9", "pg_tblspc/16384/PG_15_202209061/5/1"} {
		if err := (FileEntry{FileMeta: FileMeta{Path: path}}).Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestEscapingPathsAreKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s, want := form.scene(t), tree{"../outside": []byte("x"), "/etc/passwd": []byte("y")}
		rec := want.backUp(t, s.cluster, sceneLabel, packSize, 1)
		checkFiles(t, must(s.cluster.OpenIndex(t.Context(), rec))(t), want)
	})
}

func TestFrameOfOtherBytesIsRefused(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		ix := must(s.cluster.OpenIndex(t.Context(), sampleTree().backUp(t, s.cluster, sceneLabel, packSize, 1)))(t)
		f := must(ix.File(t.Context(), "base/1/1259"))(t).Frames[0]
		r := must(ix.ReadPack(t.Context(), f.Pack, f.Offset, int64(f.Length)))(t)
		defer r.Close()
		sound := must(io.ReadAll(r))(t)
		for at := 0; at < len(sound); at += len(sound)/200 + 1 {
			changed := slices.Clone(sound)
			changed[at] ^= 1
			if _, err := ix.DecodeFrame(nil, changed, f); !isDamaged(err) {
				t.Fatalf("byte %d: %v", at, err)
			}
		}
	})
}

func TestReadersFindEveryFlippedByteOfTheIndex(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		rec := sampleTree().backUp(t, s.cluster, sceneLabel, 3000, 2)
		key := s.cluster.indexKey(sceneLabel)
		sound := s.object(t, key)
		for at := len(indexMagic); at < len(sound)-footerSize; at++ {
			changed := slices.Clone(sound)
			changed[at] ^= 8
			s.overwrite(t, key, changed)
			err := readIndex(t.Context(), s.through(s.bucket), rec)
			if wrongKey := form.sealed && isLocked(err); !isDamaged(err) && !wrongKey { // the same to a reader
				t.Errorf("byte %d: %v", at, err)
			}
		}
		s.overwrite(t, key, sound)
		if err := readIndex(t.Context(), s.through(s.bucket), rec); err != nil {
			t.Error(err)
		}
	})
}

// readIndex reads what a restore reads of an index.
func readIndex(ctx context.Context, c *Cluster, rec Record) error {
	ix, err := c.OpenIndex(ctx, rec)
	if err != nil {
		return err
	}
	for _, err := range ix.Files(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

func FuzzIndexBlock(f *testing.F) {
	head := append([]byte{1, 'x'}, appendEntryHead(nil, FileMeta{Size: 5, Mode: 0o600, ModTime: time.Unix(9, 0)}, entryFile)...)
	f.Add(appendFrame(head, Frame{}, Frame{Offset: 7, Length: 30}))
	f.Add(append([]byte{1, 'd'}, appendEntryHead(nil, FileMeta{}, entryDirectory)...))
	packs := []packRef{{size: 1 << 20}, {size: 1 << 20}}
	f.Fuzz(func(t *testing.T, plain []byte) {
		entries, err := decodeEntries(plain, packs)
		if err != nil {
			return
		}
		for _, e := range entries {
			if int64(len(e.Frames)) != frameCount(e.Size) || len(e.Frames)*minFrame > len(plain) {
				t.Errorf("%d frames of %d bytes out of %d", len(e.Frames), e.Size, len(plain))
			}
		}
	})
}

func FuzzIndexFooter(f *testing.F) {
	sound := footer{packTable: section{offset: 8, length: 9}, directory: section{offset: 17, length: 3}}
	f.Add(appendFooter(nil, sound), int64(20+footerSize))
	f.Fuzz(func(t *testing.T, raw []byte, size int64) {
		got, err := decodeFooter(raw, size)
		if err == nil && !bytes.Equal(appendFooter(nil, got), raw) {
			t.Errorf("footer %x reads as %+v", raw, got)
		}
	})
}

func FuzzIndexSections(f *testing.F) {
	f.Add(appendPackRef(nil, packRef{label: "l", sequence: 1, size: 5}), int64(8))
	f.Add(appendBlockRef(nil, blockRef{first: "base", length: 10}), int64(18))
	f.Fuzz(func(t *testing.T, plain []byte, end int64) {
		if packs, err := decodePackTable(plain); err == nil && !bytes.Equal(plainPackTable(packs), plain) && len(packs) == 0 && len(plain) > 0 {
			t.Errorf("pack table %x reads as nothing", plain)
		}
		if blocks, err := decodeDirectory(plain, end); err == nil && len(blocks) > 0 {
			last := blocks[len(blocks)-1]
			if last.offset+last.length != end {
				t.Errorf("blocks end at %d, not at %d", last.offset+last.length, end)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	id := sceneIdentity()
	c := &Cluster{store: newStore(sink{}, Keys{}, false), name: "main", identity: id, root: clusterRoot("main", id.SystemIdentifier)}
	body := []byte(`{"label":"l","type":"full","cluster":"main","system_identifier":"7123456789012345678","start_lsn":"0/28"}`)
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		rec, err := c.decodeRecord("l", frameDocument(kindRecord, documentVersion, body))
		if err == nil && (rec.Label != "l" || rec.Cluster != "main" || rec.Index.check() != nil) {
			t.Errorf("accepted as %+v", rec)
		}
	})
}

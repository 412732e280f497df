package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

func TestBackupReadsBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for seed := range uint64(12) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				s, want := form.scene(t), randomTree(seed)
				packSize := []int64{1, 50_000, FrameSize, packSize}[seed%4]
				want.backUp(t, s.cluster, sceneLabel, packSize, 1+int(seed)%3)
				rec := must(s.cluster.Record(t.Context(), sceneLabel))(t)
				ix := must(s.cluster.OpenIndex(t.Context(), rec))(t)
				checkFiles(t, ix, want)
				checkReadAt(t, ix, want)
				checkClean(t, s)
			})
		}
	})
}

// checkFiles makes sure that the index lists the tree, in order, and that every file reads back.
func checkFiles(t *testing.T, ix *Index, want tree) {
	t.Helper()
	paths := want.paths()
	for e, err := range ix.Files(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) == 0 || e.Path != paths[0] {
			t.Fatalf("index lists %q out of turn", e.Path)
		}
		paths = paths[1:]
		meta := want.meta(e.Path)
		if e.Mode != meta.Mode || !e.ModTime.Equal(meta.ModTime) || e.Size != meta.Size || e.Directory != (want[e.Path] == nil) {
			t.Errorf("entry %+v is not %+v", e.FileMeta, meta)
		}
		if got := contentOfEntry(t, ix, e); !bytes.Equal(got, want[e.Path]) {
			t.Errorf("content of %q differs", e.Path)
		}
	}
	if len(paths) > 0 {
		t.Errorf("index lacks %q", paths)
	}
}

// contentOfEntry reads a file frame by frame, as a restore does.
func contentOfEntry(t *testing.T, ix *Index, e FileEntry) []byte {
	t.Helper()
	var content, plain []byte
	for _, f := range e.Frames {
		r := must(ix.ReadPack(t.Context(), f.Pack, f.Offset, int64(f.Length)))(t)
		bytes := must(io.ReadAll(r))(t)
		plain = must(ix.DecodeFrame(plain, bytes, f))(t)
		content = append(content, plain...)
		r.Close()
	}
	return content
}

func checkReadAt(t *testing.T, ix *Index, want tree) {
	t.Helper()
	for path, content := range want {
		for _, off := range []int64{0, 100, FrameSize - 50, FrameSize, int64(len(content))} {
			got, wanted := make([]byte, 200), make([]byte, 200)
			n, err := ix.ReadAt(t.Context(), path, got, off)
			wantN, wantErr := bytes.NewReader(content).ReadAt(wanted, off)
			if n != wantN || !errors.Is(err, wantErr) || !bytes.Equal(got, wanted) {
				t.Errorf("ReadAt(%q, %d) = %d, %v, want %d, %v", path, off, n, err, wantN, wantErr)
			}
		}
	}
	if _, err := ix.ReadAt(t.Context(), "no such file", make([]byte, 1), 0); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("ReadAt of an absent file: %v", err)
	}
}

func TestPacksOfAStreamAreACompressedTar(t *testing.T) {
	t.Parallel()
	s, want := newScene(t), randomTree(99)
	want.backUp(t, s.cluster, sceneLabel, 100_000, 3)
	dir := t.TempDir()
	script := `set -eo pipefail; for s in "$1"/*; do cat "$s"/* | zstd -dc | tar -x -C "$2"; done`
	packs := s.path(s.cluster.backupPrefix(sceneLabel) + "packs")
	if out, err := exec.Command("bash", "-c", script, "bash", packs, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := 0
	for path, content := range want {
		info := must(os.Stat(filepath.Join(dir, path)))(t)
		if content == nil {
			found++
			continue
		}
		if got := must(os.ReadFile(filepath.Join(dir, path)))(t); !bytes.Equal(got, content) {
			t.Errorf("content of %q differs", path)
		}
		if info.Mode().Perm() != 0o600 || !info.ModTime().Equal(want.meta(path).ModTime) {
			t.Errorf("%q has mode %v and time %v", path, info.Mode(), info.ModTime())
		}
		found++
	}
	if extracted := countBelow(t, dir); extracted < found {
		t.Errorf("%d paths were unpacked, want at least %d", extracted, found)
	}
}

func countBelow(t *testing.T, dir string) int {
	t.Helper()
	n := -1 // the directory itself
	err := filepath.WalkDir(dir, func(string, fs.DirEntry, error) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFileMustHaveItsSize(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for name, content := range map[string]string{"short": "1234", "long": "123456"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := must(form.scene(t).cluster.StartBackup(t.Context(), StartedBackup{Label: sceneLabel, Type: "full"}))(t)
				defer w.Abort()
				s := must(w.NewStream(t.Context()))(t)
				if err := s.AddFile(t.Context(), FileMeta{Path: "f", Size: 5}, strings.NewReader(content)); err == nil {
					t.Error("accepted")
				}
				if err := s.AddFile(t.Context(), FileMeta{Path: "g", Size: 1}, strings.NewReader("1")); err == nil {
					t.Error("a broken stream goes on")
				}
				if err := s.Close(t.Context()); err == nil {
					t.Error("a broken stream is closed as if whole")
				}
				if _, _, err := w.Finish(t.Context()); err == nil {
					t.Error("a backup with a broken stream is finished")
				}
			})
		}
	})
}

func TestStreamsAreWrittenSideBySide(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s, want := form.scene(t), randomTree(8)
		w := must(s.cluster.StartBackup(t.Context(), StartedBackup{Label: sceneLabel, Type: "full"}))(t)
		defer w.Abort()
		w.packSize = 100_000
		paths := make(chan string)
		g, ctx := errgroup.WithContext(t.Context())
		for range 4 {
			g.Go(func() error {
				stream, err := w.NewStream(ctx)
				if err != nil {
					return err
				}
				for path := range paths {
					if err := want.addTo(ctx, stream, path); err != nil {
						return err
					}
				}
				return stream.Close(ctx)
			})
		}
		for _, path := range want.paths() {
			paths <- path
		}
		close(paths)
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		ref, totals, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rec := recordOf(s.cluster, sceneLabel, ref, totals)
		if err := w.Commit(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		checkFiles(t, must(s.cluster.OpenIndex(t.Context(), rec))(t), want)
		checkClean(t, s)
	})
}

func TestPathIsRefusedTwice(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		c := form.scene(t).cluster
		w := must(c.StartBackup(t.Context(), StartedBackup{Label: sceneLabel, Type: "full"}))(t)
		defer w.Abort()
		for range 2 {
			s := must(w.NewStream(t.Context()))(t)
			if err := errors.Join(s.AddDirectory(FileMeta{Path: "base"}), s.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := w.Finish(t.Context()); err == nil || !strings.Contains(err.Error(), `"base"`) {
			t.Errorf("Finish = %v", err)
		}
	})
}

func TestOneOfManyWritersGetsALabel(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		c := form.scene(t).cluster
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				w, err := c.StartBackup(t.Context(), StartedBackup{Label: sceneLabel, Type: "full", Host: fmt.Sprint(i)})
				if errs[i] = err; err == nil {
					w.Abort()
				}
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, storage.ErrExists) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d writers have the label", won)
		}
	})
}

func TestCommitWantsWhatFinishReturned(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		w := randomTree(1).write(t, s.cluster, sceneLabel, packSize, 1)
		if err := w.Commit(t.Context(), recordOf(s.cluster, sceneLabel, IndexRef{}, Totals{})); err == nil {
			t.Error("committed before Finish")
		}
		ref, totals, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*Record){
			"label":      func(r *Record) { r.Label = "another" },
			"type":       func(r *Record) { r.Type = "incr" },
			"cluster":    func(r *Record) { r.Cluster = "another" },
			"system":     func(r *Record) { r.SystemIdentifier++ },
			"index":      func(r *Record) { r.Index.Size++ },
			"totals":     func(r *Record) { r.Files++ },
			"frame size": func(r *Record) { r.FrameSize = 0 },
			"timeline":   func(r *Record) { r.Timeline = 0 },
			"stop":       func(r *Record) { r.StopLSN = r.StartLSN - 1 },
		} {
			rec := recordOf(s.cluster, sceneLabel, ref, totals)
			change(&rec)
			if err := w.Commit(t.Context(), rec); err == nil {
				t.Errorf("committed with another %s", name)
			}
		}
		if _, err := s.cluster.Record(t.Context(), sceneLabel); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a refused record is there: %v", err)
		}
	})
}

func TestCommitOfUnknownOutcomeCanBeRepeated(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		c := s.faulty(t, fault.Rule{Op: fault.Put, Key: s.cluster.recordKey(sceneLabel), Action: fault.LoseResponse(errOutage)})
		w := sampleTree().write(t, c, sceneLabel, packSize, 1)
		ref, totals, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rec := recordOf(c, sceneLabel, ref, totals)
		if err := w.Commit(t.Context(), rec); !errors.Is(err, errOutage) {
			t.Errorf("first Commit = %v", err)
		}
		if err := w.Commit(t.Context(), rec); err != nil {
			t.Errorf("second Commit = %v", err)
		}
		checkClean(t, s)
	})
}

func TestDeadWriterLeavesNoBackup(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		w := randomTree(2).write(t, s.cluster, sceneLabel, 10_000, 2)
		w.Abort()
		list := must(s.cluster.backups(t.Context()))(t)
		if len(list.records) != 0 || len(list.unfinished) != 1 || list.unfinished[0] != sceneLabel {
			t.Fatalf("listed as %+v", list)
		}
		if report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t); len(report.Unfinished) != 1 || len(report.Damaged) != 0 {
			t.Errorf("scrubbed as %+v", report)
		}
		if err := s.cluster.RemoveUnfinished(t.Context(), sceneLabel); err != nil {
			t.Fatal(err)
		}
		for info, err := range s.bucket.List(t.Context(), s.cluster.backupsPrefix()) {
			t.Errorf("left: %v, %v", info.Key, err)
		}
	})
}

func TestBackupIsNotRemovedAsUnfinished(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		randomTree(3).backUp(t, s.cluster, sceneLabel, packSize, 1)
		if err := s.cluster.RemoveUnfinished(t.Context(), sceneLabel); !errors.Is(err, ErrCommitted) {
			t.Errorf("RemoveUnfinished = %v", err)
		}
		checkClean(t, s)
	})
}

func TestLiveWriterTakenForDeadCannotCommit(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		w := randomTree(4).write(t, s.cluster, sceneLabel, packSize, 1)
		ref, totals, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.cluster.RemoveUnfinished(t.Context(), sceneLabel); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), recordOf(s.cluster, sceneLabel, ref, totals)); err == nil {
			t.Error("committed without its packs")
		}
		if _, err := s.cluster.Record(t.Context(), sceneLabel); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("record is there: %v", err)
		}
	})
}

// TestRemovalThatMeetsACommitTakesNothing lets the record appear between the removal's first look for it and its
// deletion of the started document.
func TestRemovalThatMeetsACommitTakesNothing(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		w := randomTree(5).write(t, s.cluster, sceneLabel, packSize, 1)
		ref, totals, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		commit := fault.Crash(func() {
			if err := w.Commit(t.Context(), recordOf(s.cluster, sceneLabel, ref, totals)); err != nil {
				t.Error(err)
			}
		})
		remover := s.faulty(t, fault.Rule{Op: fault.Delete, Key: s.cluster.startedKey(sceneLabel), Action: commit})
		if err := remover.RemoveUnfinished(t.Context(), sceneLabel); !errors.Is(err, ErrCommitted) {
			t.Errorf("RemoveUnfinished = %v", err)
		}
		checkClean(t, s)
	})
}

func TestFailingPutFailsTheBackup(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		for name, key := range map[string]string{
			"first pack": "packs/00/000001", "later pack": "packs/00/000003", "index": "index",
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := form.scene(t)
				c := s.faulty(t, fault.Rule{Op: fault.Put, Key: s.cluster.backupPrefix(sceneLabel) + key, Action: fault.Fail(errOutage)})
				err := backUpOnce(t.Context(), c, randomTree(6))
				if !errors.Is(err, errOutage) {
					t.Errorf("error is %v", err)
				}
				if _, err := s.cluster.Record(t.Context(), sceneLabel); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("record is there: %v", err)
				}
			})
		}
	})
}

// backUpOnce goes on like a program does: the first error ends it.
func backUpOnce(ctx context.Context, c *Cluster, content tree) error {
	w, err := c.StartBackup(ctx, StartedBackup{Label: sceneLabel, Type: "full"})
	if err != nil {
		return err
	}
	defer w.Abort()
	w.packSize = 20_000
	s, err := w.NewStream(ctx)
	if err != nil {
		return err
	}
	for _, path := range content.paths() {
		if err := content.addTo(ctx, s, path); err != nil {
			return err
		}
	}
	if err := s.Close(ctx); err != nil {
		return err
	}
	ref, totals, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	return w.Commit(ctx, recordOf(c, sceneLabel, ref, totals))
}

func TestCancelledBackupStopsAtOnce(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		ctx, cancel := context.WithCancel(t.Context())
		c := s.faulty(t, fault.Rule{Op: fault.Put, Key: s.cluster.backupPrefix(sceneLabel) + "packs/00/000002", Action: fault.Crash(cancel)})
		if err := backUpOnce(ctx, c, randomTree(7)); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		if _, err := s.cluster.Record(t.Context(), sceneLabel); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("record is there: %v", err)
		}
	})
}

func checkClean(t *testing.T, s *scene) {
	t.Helper()
	report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
	if len(report.Damaged)+len(report.Unknown)+len(report.Unfinished) > 0 || report.Objects == 0 {
		t.Errorf("scrubbed as %+v", report)
	}
}

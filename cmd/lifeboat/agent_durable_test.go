package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lifeboat/archive"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// pushesOf counts how often a file has to be stored.
type pushesOf struct {
	t        *testing.T
	durables *durables
	count    int
	err      error
}

func (p *pushesOf) push(path, content string) error {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	_, err := p.durables.push(p.t.Context(), path, func() (archive.PushResult, error) {
		p.count++
		sum := sha256.Sum256([]byte(content))
		return archive.PushResult{SHA256: sum[:], Stored: true}, p.err
	})
	return err
}

func (p *pushesOf) wants(count int, what string) {
	p.t.Helper()
	if p.count != count {
		p.t.Errorf("%s: stored %d times, want %d", what, p.count, count)
	}
}

func TestFileIsKnownAsDurableByItsContentAlone(t *testing.T) {
	t.Parallel()
	one, other := filepath.Join(t.TempDir(), "000000010000000000000001"), filepath.Join(t.TempDir(), "000000010000000000000001")
	p := &pushesOf{t: t, durables: newDurables(), err: errors.New("the store is away")}
	if p.push(one, "content") == nil {
		t.Error("a push that failed counts")
	}
	p.err = nil
	if err := p.push(one, "content"); err != nil {
		t.Error(err)
	}
	p.wants(2, "after a failure")
	if err := errors.Join(p.push(other, "content"), p.push(one, "content")); err != nil {
		t.Error(err)
	}
	p.wants(2, "the same content from two places")
	if err := p.push(other, "other content"); err != nil {
		t.Error(err)
	}
	p.wants(3, "another content of the name")
}

func TestOldestFilesAreForgotten(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	p := &pushesOf{t: t, durables: newDurables()}
	for n := range maxRemembered + 1 {
		if err := p.push(filepath.Join(directory, fmt.Sprintf("%024X", n)), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.durables.files) != maxRemembered || len(p.durables.order) != maxRemembered {
		t.Errorf("%d files are remembered", len(p.durables.files))
	}
	if err := p.push(filepath.Join(directory, fmt.Sprintf("%024X", 0)), "x"); err != nil {
		t.Fatal(err)
	}
	p.wants(maxRemembered+2, "the oldest again")
}

func TestOnlyWhatTheRepositoryLacksIsLost(t *testing.T) {
	t.Parallel()
	run := func(tli wal.TimelineID, from, to, tail wal.LSN) catalog.WALRun {
		return catalog.WALRun{Timeline: tli, From: from, To: to, Tail: tail}
	}
	for name, tc := range map[string]struct {
		runs []catalog.WALRun
		want [][2]wal.LSN
	}{
		"nothing is there":      {nil, [][2]wal.LSN{{100, 500}}},
		"all is there":          {[]catalog.WALRun{run(1, 0, 600, 0)}, nil},
		"the begin is there":    {[]catalog.WALRun{run(1, 0, 200, 0)}, [][2]wal.LSN{{200, 500}}},
		"the end is there":      {[]catalog.WALRun{run(1, 400, 600, 0)}, [][2]wal.LSN{{100, 400}}},
		"the middle is there":   {[]catalog.WALRun{run(1, 200, 300, 0)}, [][2]wal.LSN{{100, 200}, {300, 500}}},
		"a tail is there":       {[]catalog.WALRun{run(1, 0, 200, 150)}, [][2]wal.LSN{{150, 500}}},
		"on another timeline":   {[]catalog.WALRun{run(2, 0, 600, 0)}, [][2]wal.LSN{{100, 500}}},
		"two runs with a hole":  {[]catalog.WALRun{run(1, 0, 200, 0), run(1, 300, 600, 0)}, [][2]wal.LSN{{200, 300}}},
		"before and behind all": {[]catalog.WALRun{run(1, 0, 100, 0), run(1, 500, 600, 0)}, [][2]wal.LSN{{100, 500}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [][2]wal.LSN
			for _, gap := range lacking(tc.runs, catalog.LostWAL{Timeline: 1, From: 100, To: 500, Why: "why"}) {
				if gap.Timeline != 1 || gap.Why != "why" {
					t.Errorf("the gap is %+v", gap)
				}
				got = append(got, [2]wal.LSN{gap.From, gap.To})
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("lost: %v, want %v", got, tc.want)
			}
		})
	}
}

package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/wal"
)

const megabyte wal.SegmentSize = 1 << 20

var errAway = errors.New("the repository is away")

// vault is a Sink in memory that is as strict as a repository: nothing it holds ever changes.
type vault struct {
	size wal.SegmentSize

	mu        sync.Mutex
	away      bool
	refusals  int  // of histories, still to come
	longer    bool // it has more of timeline 1 than anybody receives, in one piece
	segments  map[string][]byte
	tails     map[string][]byte
	histories map[wal.TimelineID][]byte
	lost      []gap
	wrong     []error // what a correct receiver never does
	shipped   map[string]int
	moved     func(name wal.FileName, end wal.LSN) // unless nil
}

func newVault(size wal.SegmentSize) *vault {
	return &vault{
		size: size, segments: map[string][]byte{}, tails: map[string][]byte{},
		histories: map[wal.TimelineID][]byte{}, shipped: map[string]int{},
	}
}

func (v *vault) setAway(away bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.away = away
}

func (v *vault) blame(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	v.wrong = append(v.wrong, err)
	return err
}

func (v *vault) begin(ctx context.Context, tli wal.TimelineID) error {
	if v.away || ctx.Err() != nil {
		return errAway
	}
	if tli > 1 && v.histories[tli] == nil {
		return v.blame("WAL of timeline %s came before its history", tli)
	}
	return nil
}

func (v *vault) Segment(ctx context.Context, path string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	name, err := wal.ParseFileName(filepath.Base(path))
	if err != nil {
		return v.blame("segment: %w", err)
	}
	if err := v.begin(ctx, name.Timeline); err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return v.blame("segment: %w", err)
	}
	if _, err := wal.ScanSegment(bytes.NewReader(content), int64(len(content)), name, wal.ScanOptions{}); err != nil {
		return v.blame("segment: %w", err)
	}
	if have := v.segments[name.String()]; have != nil && !bytes.Equal(have, content) {
		return v.blame("segment %s came with another content", name)
	}
	if tail := v.tails[name.String()]; !bytes.HasPrefix(content, tail) {
		return v.blame("segment %s does not start like its tail", name)
	}
	v.segments[name.String()] = content
	v.shipped[name.String()]++
	v.tell(name, uint32(len(content)))
	return nil
}

func (v *vault) tell(name wal.FileName, end uint32) {
	if v.moved != nil {
		v.moved(name, name.Start(v.size)+wal.LSN(end))
	}
}

func (v *vault) History(ctx context.Context, tli wal.TimelineID, content []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, 1); err != nil {
		return err
	}
	if v.refusals--; v.refusals >= 0 {
		return errAway
	}
	if _, err := wal.ParseHistory(tli, content); err != nil {
		return v.blame("history: %w", err)
	}
	if have := v.histories[tli]; have != nil && !bytes.Equal(have, content) {
		return v.blame("the history of timeline %s came with another content", tli)
	}
	v.histories[tli] = content
	return nil
}

func (v *vault) Tail(ctx context.Context, name wal.FileName, from uint32, data []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, name.Timeline); err != nil {
		return err
	}
	have := v.tails[name.String()]
	if int(from) != len(have) || len(data) == 0 || name.Kind != wal.Segment {
		return v.blame("tail of %s came with %d bytes at %d, the repository has %d", name, len(data), from, len(have))
	}
	v.tails[name.String()] = append(have, data...)
	v.tell(name, from+uint32(len(data)))
	return nil
}

// End implements Sink.
func (v *vault) End(_ context.Context, history wal.TimelineHistory) (wal.LSN, error) {
	path := history.Path()
	for i := len(path) - 1; i >= 0; i-- {
		end := v.end(path[i])
		if _, to, _ := history.Span(path[i]); to != 0 {
			end = min(end, to)
		}
		if end != 0 {
			return end, nil
		}
	}
	return 0, nil
}

func (v *vault) TailEnd(ctx context.Context, name wal.FileName) (uint32, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away {
		return 0, errAway
	}
	if v.longer && name.Timeline == 1 {
		return 0, ErrLonger
	}
	return uint32(len(v.tails[name.String()])), nil
}

func (v *vault) Lost(ctx context.Context, tli wal.TimelineID, from, to wal.LSN, why string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, 1); err != nil {
		return err
	}
	v.lost = append(v.lost, gap{timeline: tli, from: from, to: to, why: why})
	return nil
}

// end is up to where the vault has WAL of a timeline without a hole, from its first segment on; gaps that were told are no
// holes.
func (v *vault) end(tli wal.TimelineID) wal.LSN {
	v.mu.Lock()
	defer v.mu.Unlock()
	var end wal.LSN
	for _, name := range v.names(tli) {
		parsed, _ := wal.ParseFileName(name)
		start := parsed.Start(v.size)
		if end != 0 && start != end && !slices.ContainsFunc(v.lost, func(g gap) bool { return g.from <= end && g.to == start }) {
			return end
		}
		end = start + wal.LSN(len(v.content(name)))
	}
	return end
}

// losses are the gaps that were told.
func (v *vault) losses() []gap {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.lost)
}

// names lists the segments of a timeline, in order. The lock is held.
func (v *vault) names(tli wal.TimelineID) []string {
	var names []string
	for _, files := range []map[string][]byte{v.segments, v.tails} {
		for name := range files {
			if name[:8] == tli.Hex() && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// content is what the vault has of a segment. The lock is held.
func (v *vault) content(name string) []byte {
	if whole := v.segments[name]; whole != nil {
		return whole
	}
	return v.tails[name]
}

// innocent proves that the vault was never asked for anything wrong.
func (v *vault) innocent(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, err := range v.wrong {
		t.Error(err)
	}
}

// check proves that the vault was never asked for anything wrong, and that what it has of a timeline is what the server
// has in pg_wal.
func (v *vault) check(t *testing.T, dataDir string, tli wal.TimelineID) {
	t.Helper()
	v.innocent(t)
	v.mu.Lock()
	defer v.mu.Unlock()
	names := v.names(tli)
	if len(names) == 0 {
		t.Errorf("the vault has nothing of timeline %s", tli)
	}
	for _, name := range names {
		want, err := os.ReadFile(filepath.Join(dataDir, "pg_wal", name))
		if err != nil {
			t.Error(err)
		} else if got := v.content(name); !bytes.HasPrefix(want, got) {
			t.Errorf("%s differs from the server's own", name)
		}
	}
}

// commits lists the transactions whose commit the vault holds on the way to a timeline.
func (v *vault) commits(t *testing.T, history wal.TimelineHistory) map[wal.TransactionID]bool {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	first, last := v.span(history)
	reader := wal.NewReader(wal.ChainSegments(v.size, func(segno wal.SegmentNumber) (io.ReaderAt, error) {
		for _, tli := range history.SegmentTimelines(segno, v.size) {
			if content := v.content(wal.SegmentName(tli, segno, v.size)); content != nil {
				return bytes.NewReader(append(slices.Clone(content), make([]byte, int(v.size)-len(content))...)), nil
			}
		}
		return nil, io.EOF
	}), v.size)
	commits := map[wal.TransactionID]bool{}
	err := reader.FindFrom(wal.Start(first, v.size))
	for err == nil {
		var record *wal.Record
		if record, err = reader.Next(); err == nil {
			if end, ok := record.XactEnd(); ok && end.Kind.Committed() {
				commits[end.XID] = true
			}
		}
	}
	t.Logf("%d commits in the segments %d to %d, reading ended with %v", len(commits), first, last, err)
	return commits
}

func (v *vault) span(history wal.TimelineHistory) (first, last wal.SegmentNumber) {
	for _, tli := range history.Path() {
		for _, name := range v.names(tli) {
			parsed, _ := wal.ParseFileName(name)
			segno := parsed.SegmentNumber(v.size)
			if first == 0 || segno < first {
				first = segno
			}
			last = max(last, segno)
		}
	}
	return first, last
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

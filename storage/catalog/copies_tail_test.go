package catalog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

const secondSegment = "000000010000000000000002"

// TestATailBegunInOneCopyAndContinuedInAnotherIsOne has the nearest copy go away between two pieces, and come back.
func TestATailBegunInOneCopyAndContinuedInAnotherIsOne(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	for _, p := range []place{near, far} {
		p.put(t, segment(t, firstSegment, ""))
	}
	u := newUnfinished(t, secondSegment, 3*wal.PageSize)
	const half, end = wal.PageSize, 2 * wal.PageSize
	mustDo(t, both.PutTail(t.Context(), u.piece(t, 0, half), sceneTime))
	near.fall()
	mustDo(t, both.PutTail(t.Context(), u.piece(t, half, end), sceneTime))
	if _, err := both.GetSegment(t.Context(), u.name, io.Discard); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("with one copy away the tail's end is taken for known: %v", err)
	}
	near.rise()
	both = joined(t, near, far)
	var got bytes.Buffer
	want := append(slices.Clone(u.content[:end]), make([]byte, int(wal.MinSegmentSize)-end)...)
	if _, err := both.GetSegment(t.Context(), u.name, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	inv := must(both.Inventory(t.Context()))(t)
	if len(inv.Runs) != 1 || inv.Runs[0].Tail != u.name.Start(wal.MinSegmentSize)+end || inv.Runs[0].LastRecord == 0 || inv.Holds(u.name) {
		t.Errorf("runs: %+v", inv.Runs)
	}
	if h, err := both.SegmentHeader(t.Context(), u.name); err != nil || h.Summary == nil {
		t.Errorf("header: %v", err)
	}
	if pieces := must(near.cluster.Tail(t.Context(), u.name))(t); len(pieces) != 1 {
		t.Errorf("the near copy has %v", pieces)
	}
}

func TestAWholeSegmentOfAnyCopyComesBeforeATail(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	u := newUnfinished(t, secondSegment, 3*wal.PageSize)
	mustDo(t, near.cluster.PutTail(t.Context(), u.piece(t, 0, wal.PageSize), sceneTime))
	for _, p := range []place{near, far} {
		p.put(t, segment(t, firstSegment, ""))
	}
	whole := segment(t, secondSegment, "")
	far.put(t, whole)
	var got bytes.Buffer
	if _, err := both.GetSegment(t.Context(), u.name, &got); err != nil || !bytes.Equal(got.Bytes(), contentOf(t, whole)) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	inv := must(both.Inventory(t.Context()))(t)
	if len(inv.Runs) != 1 || inv.Runs[0].Tail != 0 || !inv.Holds(u.name) {
		t.Errorf("runs: %+v", inv.Runs)
	}
	mustDo(t, both.DropTail(t.Context(), u.name))
	if pieces := must(near.cluster.Tail(t.Context(), u.name))(t); len(pieces) != 1 {
		t.Error("the near copy's tail was dropped, though only the far one has the segment")
	}
	near.put(t, whole)
	mustDo(t, both.DropTail(t.Context(), u.name))
	if pieces := must(near.cluster.Tail(t.Context(), u.name))(t); len(pieces) != 0 {
		t.Errorf("the tail of a whole segment stays: %v", pieces)
	}
}

func TestATailBehindWhichAnotherCopyHasWALIsAHole(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	u := newUnfinished(t, secondSegment, 3*wal.PageSize)
	near.put(t, segment(t, firstSegment, ""))
	mustDo(t, near.cluster.PutTail(t.Context(), u.piece(t, 0, wal.PageSize), sceneTime))
	far.put(t, segment(t, "000000010000000000000003", ""))
	inv := must(both.Inventory(t.Context()))(t)
	if gaps := inv.Gaps(); len(gaps) != 1 || gaps[0].show() != "1: 2-3" {
		t.Errorf("gaps: %+v", gaps)
	}
	if _, err := both.GetSegment(t.Context(), u.name, io.Discard); !errors.Is(err, ErrUnfinished) {
		t.Errorf("the tail is served as the end: %v", err)
	}
}

func TestAPieceThatOneCopyRefusesIsNotStoredInAnother(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	ours, theirs := newUnfinished(t, firstSegment, 2*wal.PageSize), newUnfinished(t, firstSegment, 3*wal.PageSize)
	mustDo(t, near.cluster.PutTail(t.Context(), theirs.piece(t, 0, 3*wal.PageSize), sceneTime))
	var conflict *ConflictError
	if err := both.PutTail(t.Context(), ours.piece(t, 0, 3*wal.PageSize), sceneTime); !errors.As(err, &conflict) {
		t.Errorf("the error is %v", err)
	}
	if pieces := must(far.cluster.Tail(t.Context(), ours.name))(t); len(pieces) != 0 {
		t.Errorf("the far copy has %v", pieces)
	}
}

func TestALeaseIsGivenByTheNearestCopyThatIsThere(t *testing.T) {
	t.Parallel()
	near, far, both := twoCopies(t)
	request := LeaseRequest{What: "work", Holder: "one", TTL: time.Minute, Clock: time.Now}
	lease := must(both.Acquire(t.Context(), request))(t)
	if _, err := joined(t, near, far).Acquire(t.Context(), request); !errors.Is(err, ErrLeaseHeld) {
		t.Errorf("a second one has it, too: %v", err)
	}
	near.fall()
	other := request
	other.What = "other"
	second := must(both.Acquire(t.Context(), other))(t)
	if err := second.Hold(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	near.rise()
	mustDo(t, lease.Renew(t.Context()), lease.Release(t.Context()))
}

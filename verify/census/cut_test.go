package census

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"lifeboat/internal/wal"
)

// at is a commit record of 50 bytes.
func at(start wal.LSN, xid wal.TransactionID) commit {
	return commit{start: start, end: start + 50, xid: xid}
}

func TestFindCut(t *testing.T) {
	t.Parallel()
	s := Snapshot{XMin: 10, XMax: 15, InProgress: []uint64{10, 13}}
	for _, c := range []struct {
		name     string
		commits  []commit
		from, to wal.LSN
	}{
		{"no commits at all", nil, 1000, 9000},
		{"only visible ones", []commit{at(1100, 11), at(1200, 9), at(1300, 14)}, 1350, 9000},
		{"only invisible ones", []commit{at(1100, 13), at(1200, 15)}, 1000, 1100},
		{"visible, then invisible", []commit{at(1100, 12), at(1200, 11), at(1300, 10), at(1400, 17)}, 1250, 1300},
		{"an invisible one right at the start", []commit{at(1000, 13)}, 1000, 1000},
	} {
		cut, err := findCut(s, c.commits, 1000, 9000)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if cut.From != c.from || cut.To != c.to || cut.LSN != c.to {
			t.Errorf("%s: %+v, not %s to %s", c.name, cut, c.from, c.to)
		}
	}
}

func TestFindCutNamesWhatIsMixed(t *testing.T) {
	t.Parallel()
	s := Snapshot{XMin: 10, XMax: 15, InProgress: []uint64{13}}
	_, err := findCut(s, []commit{at(1100, 12), at(1200, 13), at(1300, 16), at(1400, 14)}, 1000, 9000)
	var mixed *mixedError
	if !errors.As(err, &mixed) {
		t.Fatalf("no mixed order found: %v", err)
	}
	if mixed.hidden.xid != 13 || mixed.seen.xid != 14 {
		t.Errorf("named %d and %d", mixed.hidden.xid, mixed.seen.xid)
	}
}

// life is one transaction of a simulated server: its commit record enters the WAL first and it becomes visible some
// time later, so that the two orders differ.
type life struct {
	xid               uint64
	logged, published int // moments; 0: not yet
}

// simulate runs transactions up to a moment at which a snapshot is taken, and a few more after it.
func simulate(r *rand.Rand) (s Snapshot, lives []life) {
	const firstXID = 1<<33 - 20 // the low 32 bits wrap on the way
	moment, snapshotAt := 1, 40+r.IntN(40)
	for ; moment < snapshotAt+20; moment++ {
		if moment == snapshotAt {
			s = snapshotOf(lives, firstXID)
			continue
		}
		i := r.IntN(len(lives) + 1)
		switch {
		case i == len(lives):
			lives = append(lives, life{xid: firstXID + uint64(len(lives))})
		case lives[i].logged == 0:
			lives[i].logged = moment
		case lives[i].published == 0:
			lives[i].published = moment
		}
	}
	return s, lives
}

// snapshotOf is what GetSnapshotData would say of the transactions.
func snapshotOf(lives []life, firstXID uint64) Snapshot {
	s := Snapshot{XMin: firstXID, XMax: firstXID}
	for _, l := range lives {
		if l.published != 0 {
			s.XMax = l.xid + 1
		}
	}
	for _, l := range lives {
		if l.published == 0 && l.xid < s.XMax {
			s.InProgress = append(s.InProgress, l.xid)
		}
	}
	s.XMin = s.XMax
	if len(s.InProgress) > 0 {
		s.XMin = s.InProgress[0]
	}
	return s
}

func logOf(lives []life) []commit {
	var commits []commit
	for _, l := range lives {
		if l.logged != 0 {
			commits = append(commits, commit{start: wal.LSN(l.logged * 8), end: wal.LSN(l.logged*8 + 8), xid: wal.TransactionID(l.xid)})
		}
	}
	slices.SortFunc(commits, func(a, b commit) int { return int(a.start) - int(b.start) })
	return commits
}

// replayed says whether recovery that stops before the record at target shows exactly what the snapshot sees.
func replayed(s Snapshot, lives []life, target wal.LSN) bool {
	for _, l := range lives {
		committed := l.logged != 0 && wal.LSN(l.logged*8) < target
		if committed != (s.Sees(l.xid) && l.logged != 0) {
			return false
		}
	}
	return true
}

func TestFindCutAgainstSimulatedServers(t *testing.T) {
	t.Parallel()
	const end = wal.LSN(8 * 200)
	found, missing := 0, 0
	for seed := range uint64(5000) {
		s, lives := simulate(rand.New(rand.NewPCG(seed, 1)))
		cut, err := findCut(s, logOf(lives), 8, end)
		for target := wal.LSN(8); target <= end; target += 8 {
			right := replayed(s, lives, target)
			claimed := err == nil && target >= cut.From && target <= cut.To
			if claimed && !right {
				t.Fatalf("seed %d: %s lies in the cut %+v of %v, but replay to it shows something else", seed, target, cut, s)
			}
			if err != nil && right {
				t.Fatalf("seed %d: no cut (%v), but replay to %s shows %v", seed, err, target, s)
			}
		}
		if err == nil {
			found++
		} else {
			missing++
		}
	}
	if found < 100 || missing < 100 {
		t.Fatalf("the simulation is one-sided: %d with a cut, %d without", found, missing)
	}
}

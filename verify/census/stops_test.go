package census

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lifeboat/internal/wal"
)

func TestStopsAreAsFewAsPossible(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var c Census
		var cuts []*Cut
		for range 1 + r.IntN(6) {
			from := wal.LSN(1 + r.IntN(20))
			cut := &Cut{From: from, To: from + wal.LSN(r.IntN(10))}
			cuts = append(cuts, cut)
			c.Databases = append(c.Databases, Database{Cut: cut})
		}
		chooseStops(cuts)
		for _, cut := range cuts {
			if cut.LSN < cut.From || cut.LSN > cut.To {
				t.Fatalf("seed %d: %+v does not lie in itself", seed, *cut)
			}
		}
		if got, want := len(c.Stops()), fewest(cuts); got != want {
			t.Fatalf("seed %d: %d stops, %d are enough", seed, got, want)
		}
	}
}

// fewest is the size of the largest set of cuts that are pairwise apart, which is how many stops are needed
// (intervals are perfect graphs). It tries every set.
func fewest(cuts []*Cut) int {
	best := 0
	for set := range 1 << len(cuts) {
		var chosen []*Cut
		for i, cut := range cuts {
			if set&(1<<i) != 0 {
				chosen = append(chosen, cut)
			}
		}
		if apart(chosen) {
			best = max(best, len(chosen))
		}
	}
	return best
}

func apart(cuts []*Cut) bool {
	for i, a := range cuts {
		for _, b := range cuts[:i] {
			if a.From <= b.To && b.From <= a.To {
				return false
			}
		}
	}
	return true
}

func TestEveryDatabaseIsComparedOnce(t *testing.T) {
	t.Parallel()
	c := Census{RestorePoint: RestorePoint{LSN: 70}, Databases: []Database{
		{Name: "a", Cut: &Cut{LSN: 40}}, {Name: "b"}, {Name: "c", Cut: &Cut{LSN: 60}}, {Name: "d", Cut: &Cut{LSN: 40}},
	}}
	if got := c.Stops(); !slices.Equal(got, []wal.LSN{40, 60}) {
		t.Fatalf("stops %v", got)
	}
	if got := names(c.At(40)); !slices.Equal(got, []string{"a", "d"}) {
		t.Errorf("at the first stop %v", got)
	}
	if got := names(c.At(60)); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("at the last stop %v", got)
	}
}

func TestWithoutAnyCutTheRestorePointIsTheStop(t *testing.T) {
	t.Parallel()
	c := Census{RestorePoint: RestorePoint{LSN: 70}, Databases: []Database{{Name: "a"}}}
	if got := c.Stops(); !slices.Equal(got, []wal.LSN{70}) {
		t.Fatalf("stops %v", got)
	}
	if got := names(c.At(70)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("there %v", got)
	}
}

func names(databases []Database) []string {
	var list []string
	for _, d := range databases {
		list = append(list, d.Name)
	}
	return list
}

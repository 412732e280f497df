package drill

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestANoteThatWasCutOffLeavesTheOneBefore cuts the lock file at each of its bytes, as an end of the drill or of the machine may.
func TestANoteThatWasCutOffLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	b := notebook{now: time.Now}
	if err := b.open(file, &Result{ID: "20261122T000000Z-aaaaaa", Cluster: "main"}, 7); err != nil {
		t.Fatal(err)
	}
	phases := []string{""}
	ends := []int64{b.end}
	for _, phase := range []string{PhaseFetch, PhaseReplay, PhaseCleanup} {
		if err := b.enter(phase); err != nil {
			t.Fatal(err)
		}
		phases, ends = append(phases, phase), append(ends, b.end)
	}
	for size := b.end; size >= 0; size-- {
		if err := file.Truncate(size); err != nil {
			t.Fatal(err)
		}
		for len(ends) > 0 && ends[len(ends)-1] > size {
			phases, ends = phases[:len(phases)-1], ends[:len(ends)-1]
		}
		n := readNote(file)
		if len(ends) == 0 {
			if n != nil {
				t.Fatalf("of %d bytes it reads %+v", size, n)
			}
			continue
		}
		if n == nil || n.Phase != phases[len(phases)-1] || n.Result.Cluster != "main" || n.SystemIdentifier != 7 {
			t.Fatalf("of %d bytes it reads %+v", size, n)
		}
	}
}

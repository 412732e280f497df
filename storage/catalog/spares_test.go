package catalog

import "testing"

func TestSparesKeepNoMoreThanTheyMay(t *testing.T) {
	t.Parallel()
	s := newWeighedSpares(10, func(n int) int { return n })
	for _, n := range []int{6, 5, 4, 1} {
		s.put(n)
	}
	for _, want := range []int{4, 6} {
		if got, ok := s.take(); got != want || !ok {
			t.Errorf("%d, %v, not %d", got, ok, want)
		}
	}
	if got, ok := s.take(); ok {
		t.Errorf("%d was kept", got)
	}
	s.put(10)
	if got, ok := s.take(); got != 10 || !ok {
		t.Errorf("%d, %v: the room of what was taken is lost", got, ok)
	}
}

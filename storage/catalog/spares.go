package catalog

import "sync"

// spares keeps things for their next use, as many as weigh no more than most together. Unlike a sync.Pool it keeps them over
// a garbage collection, so that these can be frequent. It is safe for concurrent use.
type spares[T any] struct {
	most   int
	weigh  func(T) int
	mu     sync.Mutex
	list   []T
	weight int
}

// newSpares keeps up to n of something.
func newSpares[T any](n int) *spares[T] { return newWeighedSpares(n, func(T) int { return 1 }) }

// newWeighedSpares keeps what weighs up to most together.
func newWeighedSpares[T any](most int, weigh func(T) int) *spares[T] {
	return &spares[T]{most: most, weigh: weigh}
}

// take gives the one that was put last, if there is any.
func (s *spares[T]) take() (one T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.list) - 1
	if last < 0 {
		return one, false
	}
	one, s.list[last] = s.list[last], one
	s.list = s.list[:last]
	s.weight -= s.weigh(one)
	return one, true
}

// put keeps one where there is room, and lets go of it otherwise.
func (s *spares[T]) put(one T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if weight := s.weigh(one); s.weight+weight <= s.most {
		s.list, s.weight = append(s.list, one), s.weight+weight
	}
}

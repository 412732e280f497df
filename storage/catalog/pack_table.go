package catalog

import (
	"fmt"
	"sync"
)

// packTable numbers the packs of a backup that is being written. It is safe for concurrent use.
type packTable struct {
	mu   sync.Mutex
	refs []packRef
}

// reserve gives the pack the next ordinal.
func (t *packTable) reserve(ref packRef) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refs = append(t.refs, ref)
	return uint32(len(t.refs) - 1)
}

// complete notes what the pack became when it was durable.
func (t *packTable) complete(ordinal uint32, s stored) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refs[ordinal].size, t.refs[ordinal].sum = s.size, s.sum
}

// finished returns all packs, once every one of them is durable.
func (t *packTable) finished() ([]packRef, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ref := range t.refs {
		if ref.size == 0 {
			return nil, fmt.Errorf("pack %s is not durable", ref.name())
		}
	}
	return t.refs, nil
}

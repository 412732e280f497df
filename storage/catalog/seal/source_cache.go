package seal

import (
	"container/list"
	"context"
	"sync"
)

// maxObjects bounds how many objects a Source remembers.
const maxObjects = 64

// cache remembers the objects that were used last. The zero value is empty and ready.
type cache struct {
	mu      sync.Mutex
	entries map[string]*list.Element // of order
	order   list.List                // of *entry, the one that was used last in front
}

// entry is the place of one object, which may not be known yet.
type entry struct {
	key   string
	turn  chan struct{} // holds a token while somebody looks at known or learns it
	known *object
}

// entry returns the place for key, and makes it the one that was used last.
func (c *cache) entry(key string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[key]; ok {
		c.order.MoveToFront(element)
		return element.Value.(*entry)
	}
	if c.entries == nil {
		c.entries = make(map[string]*list.Element)
	}
	e := &entry{key: key, turn: make(chan struct{}, 1)}
	c.entries[key] = c.order.PushFront(e)
	if c.order.Len() > maxObjects {
		oldest := c.order.Remove(c.order.Back()).(*entry)
		delete(c.entries, oldest.key)
	}
	return e
}

// drop gives up the place e, unless the object has another one by now.
func (c *cache) drop(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[e.key]; ok && element.Value == e {
		c.order.Remove(element)
		delete(c.entries, e.key)
	}
}

// object returns what is known, or learns it. Of several callers at once one learns, and the others wait for it, or for
// the end of their own ctx; when it fails, the next one tries.
func (e *entry) object(ctx context.Context, learn func() (*object, error)) (*object, error) {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.turn }()
	if e.known != nil {
		return e.known, nil
	}
	o, err := learn()
	if err != nil {
		return nil, err
	}
	e.known = o
	return o, nil
}

package faultproxy

import (
	"net"
	"net/http"
	"sync"
)

// connections are those from clients. They have a lock of their own, as a server that is being closed waits for who
// notes a new one.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

// note keeps count of who is connected.
func (c *connections) note(connection net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if c.open == nil {
			c.open = map[net.Conn]bool{}
		}
		c.open[connection] = true
	case http.StateClosed, http.StateHijacked:
		delete(c.open, connection)
	}
}

// lingerNot makes the close of each a reset.
func (c *connections) lingerNot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for connection := range c.open {
		lingerNot(connection)
	}
}

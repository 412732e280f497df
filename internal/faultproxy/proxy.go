package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy passes requests on to a server, but for what its script says.
type Proxy struct {
	target   *url.URL
	script   atomic.Pointer[Script]
	port     *port
	upstream *http.Transport
	requests atomic.Int64
	ended    context.Context // ends with the proxy, and with it everything that hangs
	end      context.CancelFunc
	running  sync.WaitGroup
	clients  connections

	mu       sync.Mutex // guards what follows
	server   *http.Server
	listener net.Listener // of the server
	back     *time.Timer  // of the present absence
	closed   bool
}

// Start starts a proxy before the server at target, an http URL without a path, and stops it when the test ends. A nil
// script makes no trouble.
func Start(t testing.TB, target string, script *Script) *Proxy {
	t.Helper()
	p, err := start(target, script)
	if err != nil {
		t.Fatalf("start fault proxy: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

func start(target string, script *Script) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" || u.Host == "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("target %q is not an http URL without a path", target)
	}
	upstream := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	p := &Proxy{target: u, upstream: upstream}
	p.Follow(script)
	p.ended, p.end = context.WithCancel(context.Background())
	if p.port, err = reservePort(); err != nil {
		return nil, err
	}
	if err := p.serve(); err != nil {
		p.port.release()
		return nil, err
	}
	return p, nil
}

// URL is where clients find the proxy; it stays the same while the proxy is gone.
func (p *Proxy) URL() string { return "http://" + p.port.address() }

// Follow puts another script in place of the one before, for the requests to come; nil makes no trouble.
func (p *Proxy) Follow(script *Script) {
	if script == nil {
		script = NewScript()
	}
	p.script.Store(script)
}

// Requests is how many requests have come in.
func (p *Proxy) Requests() int64 { return p.requests.Load() }

// Leave makes the endpoint vanish for d: all its connections are cut, and new ones refused. It returns at once. A
// proxy that is gone already comes back d from now.
func (p *Proxy) Leave(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.stopServing()
	if p.back != nil {
		p.back.Stop()
	}
	p.back = time.AfterFunc(d, p.Return)
}

// Return ends an absence before its time. Where there is none, it does nothing.
func (p *Proxy) Return() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.server != nil {
		return
	}
	if p.back != nil {
		p.back.Stop()
	}
	if err := p.serve(); err != nil {
		p.back = time.AfterFunc(10*time.Millisecond, p.Return) // the port is ours: something passing
	}
}

// Close ends the proxy and everything that hangs in it. A second call does nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	if p.back != nil {
		p.back.Stop()
	}
	p.end()
	p.stopServing()
	p.mu.Unlock()
	p.running.Wait()
	p.upstream.CloseIdleConnections()
	p.port.release()
}

// serve begins to listen. The caller holds the lock, or is the only one who knows the proxy.
func (p *Proxy) serve() error {
	listener, err := p.port.listen()
	if err != nil {
		return fmt.Errorf("listen on %s: %w", p.port.address(), err)
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(p.handle),
		ConnState: p.clients.note,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	p.server, p.listener = server, listener
	p.running.Go(func() { _ = server.Serve(listener) }) // ends with ErrServerClosed
	return nil
}

// stopServing resets all connections, as when the machine goes away. The caller holds the lock.
func (p *Proxy) stopServing() {
	if p.server == nil {
		return
	}
	p.clients.lingerNot()
	_ = p.listener.Close() // a server that has not begun to serve does not know it yet
	_ = p.server.Close()   // it listens no more, whatever it says
	p.server, p.listener = nil, nil
}

// handle serves one request.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.running.Done()
	p.requests.Add(1)
	x := &exchange{proxy: p, w: w, r: r, rules: p.script.Load().due(r)}
	x.run()
}

// enter counts a request as running, unless the proxy has ended.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Add(1)
	return true
}

// errCut ends a body that breaks off.
var errCut = errors.New("cut by the script")

// pause waits, unless the exchange ends before.
func (x *exchange) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
	case <-x.proxy.ended.Done():
	}
}

// hang waits until the client goes away or the proxy ends.
func (x *exchange) hang() {
	select {
	case <-x.r.Context().Done():
	case <-x.proxy.ended.Done():
	}
}

// swallow reads the rest of what the client sends, without which its going away would not be noticed.
func (x *exchange) swallow() {
	_, _ = io.Copy(io.Discard, x.r.Body) // whatever it ends with
}

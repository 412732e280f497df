package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pages are what the agent shows over HTTP. Nothing there changes anything.
type pages struct {
	listener net.Listener // nil: agent.listen is empty
	handler  http.Handler
}

// pagesPatience bounds what one request may take, and how long the last ones are waited for.
const pagesPatience = 10 * time.Second

func (g *agent) listen() (*pages, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry(g), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", g.showHealth)
	p := &pages{handler: mux}
	if g.settings.Agent.Listen == "" {
		return p, nil
	}
	var err error
	if p.listener, err = net.Listen("tcp", g.settings.Agent.Listen); err != nil {
		return nil, fmt.Errorf("agent.listen: %w", err)
	}
	return p, nil
}

func (p *pages) address() string {
	if p.listener == nil {
		return ""
	}
	return p.listener.Addr().String()
}

// serve answers until ctx ends.
func (p *pages) serve(ctx context.Context) error {
	if p.listener == nil {
		return nil
	}
	server := &http.Server{Handler: p.handler, ReadTimeout: pagesPatience, WriteTimeout: 2 * pagesPatience, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), pagesPatience)
		defer cancel()
		_ = server.Shutdown(last) // who still asks is cut off when the process ends
	})
	defer stop()
	if err := server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// showHealth answers 200 while the main loop goes round, and says of each cluster what it waits for.
func (g *agent) showHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	state := "ok"
	if !g.alive() {
		w.WriteHeader(http.StatusServiceUnavailable)
		state = "stuck"
	}
	lines := []string{}
	for name, t := range g.tendedNow() {
		lines = append(lines, "cluster "+name+": "+t.health())
	}
	slices.Sort(lines)
	_, _ = fmt.Fprintf(w, "%s\n%s\n", state, strings.Join(lines, "\n")) // who asked may have gone away
}

func (t *tended) health() string {
	server := t.watch.now()
	switch {
	case t.shop.Load() == nil:
		return "waits for its repository or its server; hooks work by themselves"
	case !server.answers:
		return "its server does not answer"
	case server.standby:
		return "waits: its server is a standby"
	}
	return "serves"
}

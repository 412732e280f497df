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
)

// pages are what a daemon shows over HTTP. Nothing there changes anything.
type pages struct {
	listener net.Listener // nil: no address is configured
	handler  http.Handler
}

// pagesPatience bounds what one request may take, and how long the last ones are waited for.
const pagesPatience = 10 * time.Second

// listenPages listens at the address that the configuration has under a key; an empty one shows nothing.
func listenPages(key, address string, handler http.Handler) (*pages, error) {
	p := &pages{handler: handler}
	if address == "" {
		return p, nil
	}
	var err error
	if p.listener, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
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

// showHealth answers 200 while the main loop goes round, and says in a line of each cluster how it is.
func (d *daemon) showHealth(w http.ResponseWriter, lines []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	state := "ok"
	if !d.alive() {
		w.WriteHeader(http.StatusServiceUnavailable)
		state = "stuck"
	}
	slices.Sort(lines)
	_, _ = fmt.Fprintf(w, "%s\n%s\n", state, strings.Join(lines, "\n")) // who asked may have gone away
}

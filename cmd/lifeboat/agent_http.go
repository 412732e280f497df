package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func (g *agent) listen() (*pages, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry(g), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { g.showHealth(w, g.health()) })
	return listenPages("agent.listen", g.settings.Agent.Listen, mux)
}

// health is a line on each cluster, and what it waits for.
func (g *agent) health() []string {
	lines := []string{}
	for name, t := range g.tendedNow() {
		lines = append(lines, "cluster "+name+": "+t.health())
	}
	return lines
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

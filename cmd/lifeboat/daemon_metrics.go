package main

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// reloadMetrics say how the configuration was last read anew.
type reloadMetrics struct{ good, at prometheus.Gauge }

func newReloadMetrics() *reloadMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "lifeboat_" + name, Help: help})
	}
	m := &reloadMetrics{
		good: gauge("config_reload_successful", "0 where the last reload of the configuration was refused."),
		at:   gauge("config_reload_timestamp_seconds", "When the configuration was last asked to be read anew."),
	}
	m.good.Set(1)
	return m
}

func (m *reloadMetrics) note(good bool, now time.Time) {
	m.good.Set(oneIf(good))
	m.at.Set(float64(now.Unix()))
}

// registry holds what every daemon shows of itself, and the collectors of its own.
func (d *daemon) registry(own ...prometheus.Collector) *prometheus.Registry {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lifeboat_build_info", Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version(), "goversion": runtime.Version()},
	})
	build.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(build, d.reloaded.good, d.reloaded.at, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(own...)
	return r
}

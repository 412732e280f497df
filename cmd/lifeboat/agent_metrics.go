package main

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeboat/archive"
	"lifeboat/archive/stream"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// agentMetrics counts what the agent does. No value holds more than names from the configuration.
type agentMetrics struct {
	files, bytes, failures, errors, jobs *prometheus.CounterVec
	segments, tailBytes, refilled        *prometheus.CounterVec
	running, seconds                     *prometheus.GaugeVec
	delays                               *prometheus.SummaryVec
	expiredObjects, expiredBytes         *prometheus.CounterVec
	storedBytes, refusedObjects          *prometheus.GaugeVec
}

// delayWindow is the time whose heartbeats the percentiles are of.
const delayWindow = time.Hour

func newAgentMetrics() *agentMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lifeboat_" + name, Help: help}, append([]string{"cluster"}, labels...))
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Name: "lifeboat_" + name, Help: help}
	}
	m := &agentMetrics{
		files:          counter("wal_pushed_files_total", "WAL files made durable."),
		bytes:          counter("wal_pushed_bytes_total", "Size of the WAL files that were stored, uncompressed."),
		failures:       counter("wal_push_failures_total", "WAL files that could not be made durable; each is tried again."),
		segments:       counter("wal_streamed_files_total", "Whole segments and histories that came by streaming."),
		tailBytes:      counter("wal_streamed_tail_bytes_total", "Bytes of unfinished segments that came by streaming."),
		refilled:       counter("wal_filled_files_total", "WAL segments that were missing in the repository and were still in pg_wal."),
		errors:         counter("errors_total", "Errors by kind.", "kind"),
		jobs:           counter("job_runs_total", "Scheduled jobs that ended.", "job", "result"),
		running:        prometheus.NewGaugeVec(gauge("job_running", "1 while the job runs."), []string{"cluster", "job"}),
		seconds:        prometheus.NewGaugeVec(gauge("job_duration_seconds", "How long the job's last run took."), []string{"cluster", "job"}),
		expiredObjects: counter("expired_objects_total", "Objects that expiry deleted.", "repository", "class"),
		expiredBytes:   counter("expired_bytes_total", "Size of the objects that expiry deleted.", "repository", "class"),
		storedBytes: prometheus.NewGaugeVec(gauge("repository_stored_bytes", "Size of what was stored after the last expiry."),
			[]string{"cluster", "repository", "class"}),
		refusedObjects: prometheus.NewGaugeVec(gauge("expiry_refused_objects", "Objects that the last expiry was not allowed to delete."),
			[]string{"cluster", "repository"}),
	}
	m.delays = prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name: "lifeboat_heartbeat_delay_seconds", Help: "Time from a commit to its WAL being in the repository, by small commits of the agent's own.",
		Objectives: map[float64]float64{0.5: 0.02, 0.9: 0.01, 0.99: 0.001}, MaxAge: delayWindow,
	}, []string{"cluster"})
	return m
}

func (m *agentMetrics) registry(g *agent) *prometheus.Registry {
	return g.registry(m.files, m.bytes, m.failures, m.errors, m.jobs, m.segments, m.tailBytes, m.refilled, m.running, m.seconds, m.delays,
		m.expiredObjects, m.expiredBytes, m.storedBytes, m.refusedObjects, &gaugesOf{agent: g})
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// counts are what is counted of one cluster.
type counts struct {
	*agentMetrics
	name string
}

// cluster makes the counts of a cluster start at zero, so that the first event shows as an increase.
func (m *agentMetrics) cluster(name string) *counts {
	for _, vec := range []*prometheus.CounterVec{m.files, m.bytes, m.failures, m.refilled} {
		vec.WithLabelValues(name)
	}
	return &counts{agentMetrics: m, name: name}
}

func (c *counts) pushed(result archive.PushResult, err error) {
	if err != nil {
		c.failures.WithLabelValues(c.name).Inc()
		c.failed(err)
		return
	}
	c.files.WithLabelValues(c.name).Inc()
	if result.Stored {
		c.bytes.WithLabelValues(c.name).Add(float64(result.Bytes))
	}
}

func (c *counts) streamed(result archive.PushResult, err error) {
	if err != nil {
		c.failed(err)
		return
	}
	c.segments.WithLabelValues(c.name).Inc()
	if result.Stored {
		c.bytes.WithLabelValues(c.name).Add(float64(result.Bytes))
	}
}

func (c *counts) streamedTail(bytes int) { c.tailBytes.WithLabelValues(c.name).Add(float64(bytes)) }

func (c *counts) filled(files int) { c.refilled.WithLabelValues(c.name).Add(float64(files)) }

func (c *counts) failed(err error) { c.errors.WithLabelValues(c.name, kindOf(err)).Inc() }

func (c *counts) jobBegins(job string) { c.running.WithLabelValues(c.name, job).Set(1) }

func (c *counts) jobEnded(job string, err error, took time.Duration) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	c.running.WithLabelValues(c.name, job).Set(0)
	c.jobs.WithLabelValues(c.name, job, result).Inc()
	c.seconds.WithLabelValues(c.name, job).Set(took.Seconds())
}

func (c *counts) readBack(delay time.Duration) {
	c.delays.WithLabelValues(c.name).Observe(delay.Seconds())
}

// kindOf puts an error into one of a few kinds, since its words may hold anything.
func kindOf(err error) string {
	var (
		conflict *catalog.ConflictError
		foreign  *catalog.ForeignError
		damaged  *catalog.DamagedError
		corrupt  *wal.CorruptError
		name     *archive.BadNameError
	)
	switch {
	case errors.As(err, &conflict):
		return "conflict"
	case errors.As(err, &foreign):
		return "foreign"
	case errors.As(err, &damaged):
		return "damaged"
	case errors.As(err, &corrupt):
		return "corrupt"
	case errors.As(err, &name):
		return "name"
	case errors.Is(err, catalog.ErrNoCluster), errors.Is(err, catalog.ErrNoRepository):
		return "unknown_cluster"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "interrupted"
	}
	return "other"
}

// gaugesOf are measured when they are asked for.
type gaugesOf struct{ agent *agent }

func findingsDesc() *prometheus.Desc {
	return prometheus.NewDesc("lifeboat_repository_findings", "Findings in the repository by kind: conflict, gap.", []string{"cluster", "kind"}, nil)
}

func described(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("lifeboat_"+name, help, []string{"cluster"}, nil)
}

// measure is one gauge of a cluster. Ages of what never was are infinite, so that alarms go off; ok is false where there is
// nothing to measure.
type measure struct {
	desc  *prometheus.Desc
	value func(m moment) (value float64, ok bool)
}

// moment is what is known of a cluster at one time.
type moment struct {
	now    time.Time
	server serverState
	seen   sight
	shop   *shop
	files  int       // that wait to be archived
	oldest time.Time // of them
	pushed time.Time // the last one, by this agent

	beats      bool // heartbeats are to be written
	unread     bool // one is not in the repository yet
	unreadFrom time.Time

	streams bool // WAL is to be received
	flow    stream.Status
}

// lag is how many bytes a position of the stream is behind the end of the server's WAL.
func (m moment) lag(at stream.Position) (float64, bool) {
	if at.LSN == 0 {
		return math.Inf(1), m.streams
	}
	return max(0, float64(max(m.server.end, m.flow.ServerEnd))-float64(at.LSN)), m.streams
}

func (m moment) since(t time.Time) (float64, bool) {
	if t.IsZero() {
		return math.Inf(1), true
	}
	return m.now.Sub(t).Seconds(), true
}

func measures() []measure {
	return []measure{
		{described("agent_ready", "1 where hooks go through the agent, 0 where they work by themselves."),
			func(m moment) (float64, bool) { return oneIf(m.shop != nil), true }},
		{described("server_up", "1 where the server answers."), func(m moment) (float64, bool) { return oneIf(m.server.answers), true }},
		{described("server_standby", "1 where the server is a standby, so that the agent waits."),
			func(m moment) (float64, bool) { return oneIf(m.server.standby), m.server.answers }},
		{described("wal_last_archived_age_seconds", "Time since a WAL file was last archived, by the agent or a hook; infinite where none was."),
			func(m moment) (float64, bool) { return m.since(later(m.pushed, m.server.lastArchived)) }},
		{described("wal_ready_files", "WAL files that wait to be archived."),
			func(m moment) (float64, bool) { return float64(m.files), m.shop != nil }},
		{described("wal_ready_oldest_age_seconds", "How long the oldest of them has waited; 0 where none waits."),
			func(m moment) (float64, bool) {
				if m.oldest.IsZero() {
					return 0, m.shop != nil
				}
				return m.since(m.oldest)
			}},
		{described("wal_gaps", "Stretches of WAL that are missing in the repository."),
			func(m moment) (float64, bool) { return float64(m.seen.gaps), !m.seen.at.IsZero() }},
		{described("repository_problems", "Objects of the repository that could not be understood."),
			func(m moment) (float64, bool) { return float64(m.seen.problems), !m.seen.at.IsZero() }},
		{described("wal_open_gaps", "Those of them that no backup was made behind: nothing after them can be reached."),
			func(m moment) (float64, bool) { return float64(m.seen.openGaps), !m.seen.at.IsZero() }},
		{described("split_brain_files", "WAL files of which a second server had other content: two primaries on one timeline."),
			func(m moment) (float64, bool) {
				return float64(m.seen.findings[catalog.FindingConflict]), !m.seen.at.IsZero()
			}},
		{described("repository_seen_age_seconds", "Time since the agent last looked into the repository."),
			func(m moment) (float64, bool) { return m.since(m.seen.at) }},
		{described("wal_stream_connected", "1 while WAL is received by streaming."),
			func(m moment) (float64, bool) { return oneIf(m.flow.Connected), m.streams }},
		{described("wal_received_lag_bytes", "WAL of the server that streaming has not received; infinite where nothing is known."),
			func(m moment) (float64, bool) { return m.lag(m.flow.Received) }},
		{described("wal_durable_lag_bytes", "WAL of the server that streaming has not brought into the repository; infinite where nothing is known."),
			func(m moment) (float64, bool) { return m.lag(m.flow.RepositoryDurable) }},
		{described("wal_received_lsn", "How far WAL was received by streaming, as a number of bytes."),
			func(m moment) (float64, bool) { return float64(m.flow.Received.LSN), m.flow.Received.LSN != 0 }},
		{described("wal_durable_lsn", "How far WAL that came by streaming is in the repository, as a number of bytes."),
			func(m moment) (float64, bool) {
				return float64(m.flow.RepositoryDurable.LSN), m.flow.RepositoryDurable.LSN != 0
			}},
		{described("wal_spool_bytes", "Size of the spool."),
			func(m moment) (float64, bool) { return float64(m.flow.SpoolBytes), m.streams }},
		{described("heartbeat_unread_age_seconds", "Age of the oldest commit that is not in the repository yet, and would be lost with the server now; 0 where there is none."),
			func(m moment) (float64, bool) {
				if !m.unread {
					return 0, m.beats
				}
				return m.since(m.unreadFrom)
			}},
		{described("last_backup_age_seconds", "Time since the newest backup was begun; infinite where none is known."),
			func(m moment) (float64, bool) { return m.since(m.seen.lastBackup) }},
		{described("last_census_age_seconds", "Time since the newest census; infinite where none is known."),
			func(m moment) (float64, bool) { return m.since(m.seen.lastCensus) }},
		{described("last_passed_drill_age_seconds", "Time since the last drill that passed; infinite where none is known."),
			func(m moment) (float64, bool) { return m.since(m.seen.lastPassedDrill) }},
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Describe implements prometheus.Collector.
func (*gaugesOf) Describe(out chan<- *prometheus.Desc) {
	for _, m := range measures() {
		out <- m.desc
	}
	out <- findingsDesc()
}

// Collect implements prometheus.Collector.
func (c *gaugesOf) Collect(out chan<- prometheus.Metric) {
	for name, t := range c.agent.tendedNow() {
		now := t.moment()
		for _, m := range measures() {
			if value, ok := m.value(now); ok {
				out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, value, name)
			}
		}
		for kind, n := range now.seen.findings {
			out <- prometheus.MustNewConstMetric(findingsDesc(), prometheus.GaugeValue, float64(n), name, kind)
		}
	}
}

func (t *tended) moment() moment {
	m := moment{now: t.app.now(), server: t.watch.now(), seen: t.view.now(), shop: t.shop.Load(), streams: t.config.WAL.Stream}
	if m.shop != nil {
		m.files, m.oldest = m.shop.shipper.Waiting()
		m.pushed = m.shop.shipper.Stats().LastSuccess
	}
	m.beats = t.config.Heartbeat.Interval > 0
	m.unreadFrom, m.unread = t.pulse.oldest()
	if flow := t.flow.Load(); flow != nil {
		m.flow = flow.Status()
	}
	return m
}

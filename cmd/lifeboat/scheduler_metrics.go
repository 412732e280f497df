package main

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeboat/cmd/internal/config"
	"lifeboat/drill"
)

// schedulerMetrics counts what the scheduler does. No value holds more than names from the configuration.
type schedulerMetrics struct {
	errors, runs     *prometheus.CounterVec
	allowed, inForce *prometheus.GaugeVec
}

func newSchedulerMetrics() *schedulerMetrics {
	return &schedulerMetrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lifeboat_errors_total", Help: "Errors by kind."}, []string{"cluster", "kind"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lifeboat_drill_runs_total", Help: "Drills of this scheduler that ended, by verdict and by how."},
			[]string{"cluster", "drill", "verdict", "ending"}),
		allowed: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "lifeboat_drill_limit",
			Help: "What drills may take: parallel, nice, cpu (cores, each), memory (bytes, each), disk (bytes, all). Limits that are not set are not shown."},
			[]string{"limit"}),
		inForce: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "lifeboat_drill_limit_in_force",
			Help: "0 where a limit was asked for that this machine does not allow."}, []string{"limit"}),
	}
}

func (m *schedulerMetrics) registry(s *scheduler) *prometheus.Registry {
	return s.registry(m.errors, m.runs, m.allowed, m.inForce, &drillGauges{scheduler: s}, s.herald)
}

func (m *schedulerMetrics) failed(cluster string, err error) {
	m.errors.WithLabelValues(cluster, kindOf(err)).Inc()
}

func (m *schedulerMetrics) ended(cluster, name string, r *drill.Result) {
	m.runs.WithLabelValues(cluster, name, string(r.Verdict), r.Ending.How).Inc()
}

// limits shows what drills are held to, grouped being what only control groups can do.
func (m *schedulerMetrics) limits(settings *config.Config, grouped bool) {
	s := settings.Scheduler
	show := func(limit string, value float64, inForce bool) {
		if value > 0 {
			m.allowed.WithLabelValues(limit).Set(value)
			m.inForce.WithLabelValues(limit).Set(oneIf(inForce))
		}
	}
	show("parallel", float64(s.Parallel), true)
	show("nice", float64(s.Nice), true)
	show("disk", float64(s.DiskLimit), true)
	show("cpu", float64(s.CPULimit)/100, grouped)
	show("memory", float64(s.MemoryLimit), grouped)
}

// drillGauges are measured when they are asked for.
type drillGauges struct{ scheduler *scheduler }

// drillMeasure is one gauge of a drill, which may have values for several labels. Ages of what never was are infinite, so that
// alarms go off.
type drillMeasure struct {
	desc   *prometheus.Desc
	values func(now time.Time, d drillView) map[string]float64
}

// of is the values of a gauge that has none but the labels of its drill.
func of(value float64, ok bool) map[string]float64 {
	if !ok {
		return nil
	}
	return map[string]float64{"": value}
}

func secondsSince(now, then time.Time) float64 {
	if then.IsZero() {
		return math.Inf(1)
	}
	return now.Sub(then).Seconds()
}

func drillMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lifeboat_drill_"+name, help, append([]string{"cluster", "drill"}, labels...), nil)
}

// last is a gauge of a drill's last result; without one it is not shown.
func last(value func(r *drill.Result) float64) func(time.Time, drillView) map[string]float64 {
	return func(_ time.Time, d drillView) map[string]float64 {
		if d.Last == nil {
			return nil
		}
		return of(value(d.Last), true)
	}
}

func drillMeasures() []drillMeasure {
	return []drillMeasure{
		{drillMetric("last_verdict", "1 for the verdict of the last run, 0 for the others; unproven where it has never run.", "verdict"), verdictValues},
		{drillMetric("last_passed_age_seconds", "Time since the last run that passed began; infinite where none is known."),
			func(now time.Time, d drillView) map[string]float64 { return of(secondsSince(now, d.Passed), true) }},
		{drillMetric("last_run_age_seconds", "Time since the last run began; infinite where none is known."),
			func(now time.Time, d drillView) map[string]float64 {
				if d.Last == nil {
					return of(math.Inf(1), true)
				}
				return of(secondsSince(now, d.Last.Started), true)
			}},
		{drillMetric("next_run_seconds", "Time until the drill's schedule comes next; not shown for one that runs by hand."),
			func(now time.Time, d drillView) map[string]float64 {
				return of(d.Next.Sub(now).Seconds(), !d.Next.IsZero())
			}},
		{drillMetric("overdue_seconds", "How long the drill ought to have begun; 0 where it is not due."),
			func(now time.Time, d drillView) map[string]float64 {
				if d.Overdue.IsZero() {
					return of(0, true)
				}
				return of(secondsSince(now, d.Overdue), true)
			}},
		{drillMetric("running", "1 while the drill runs on this machine."),
			func(_ time.Time, d drillView) map[string]float64 { return of(oneIf(!d.Running.IsZero()), true) }},
		{drillMetric("deadline_seconds", "How long the drill may take."),
			func(_ time.Time, d drillView) map[string]float64 { return of(d.Deadline.Seconds(), true) }},
		{drillMetric("duration_seconds", "How long the last run took."), last(func(r *drill.Result) float64 { return r.Finished.Sub(r.Started).Seconds() })},
		{drillMetric("phase_seconds", "How long each phase of the last run took.", "phase"), phaseValues},
		{drillMetric("rto_seconds", "How long the last run took to its target; infinite where that was not reached."), last(rtoOf)},
		{drillMetric("rto_target_seconds", "How long the restore of a terabyte may take."),
			last(func(r *drill.Result) float64 { return r.Policy.RestorePerTerabyte.Seconds() })},
		{drillMetric("rpo_seconds", "How much would have been lost when the last run began, at most."), last(func(r *drill.Result) float64 { return r.RPOSeconds })},
		{drillMetric("rpo_target_seconds", "How much may be lost."), last(func(r *drill.Result) float64 { return r.Policy.RPO.Seconds() })},
		{drillMetric("target_used_percent", "How much of each documented target the last run used.", "target"), targetValues},
		{drillMetric("rows_compared", "Rows of the last run that were compared with a census, exactly or within a tolerance.", "comparison"), rowValues},
	}
}

func rtoOf(r *drill.Result) float64 {
	if r.RTOSeconds <= 0 {
		return math.Inf(1)
	}
	return r.RTOSeconds
}

func verdictValues(_ time.Time, d drillView) map[string]float64 {
	verdict := drill.Unproven
	if d.Last != nil {
		verdict = d.Last.Verdict
	}
	values := map[string]float64{}
	for _, v := range []drill.Verdict{drill.Pass, drill.Warn, drill.Fail, drill.Unproven} {
		values[string(v)] = oneIf(v == verdict)
	}
	return values
}

func phaseValues(_ time.Time, d drillView) map[string]float64 {
	values := map[string]float64{}
	if d.Last != nil {
		for _, p := range d.Last.Phases {
			values[p.Name] = p.Seconds
		}
	}
	return values
}

func targetValues(_ time.Time, d drillView) map[string]float64 {
	values := map[string]float64{}
	if d.Last != nil {
		for _, m := range d.Last.Targets {
			values[m.Name] = m.UsedPercent
		}
	}
	return values
}

// rowValues are the rows of tables that were compared; those that are not proven do not count.
func rowValues(_ time.Time, d drillView) map[string]float64 {
	if d.Last == nil {
		return nil
	}
	values := map[string]float64{"exact": 0, "tolerant": 0}
	for _, t := range d.Last.Rows.Tables {
		if _, compared := values[d.Last.Rows.Comparison]; compared && t.Result != drill.Unproven && t.Result != drill.NotRun {
			values[d.Last.Rows.Comparison] += float64(t.Actual)
		}
	}
	return values
}

// clusterMeasure is one gauge of a cluster; ok is false where there is nothing to measure.
type clusterMeasure struct {
	desc  *prometheus.Desc
	value func(now time.Time, c clusterView) (value float64, ok bool)
}

func clusterMeasures() []clusterMeasure {
	return []clusterMeasure{
		{described("repository_seen_age_seconds", "Time since the scheduler last looked into the repository; infinite where it never could."),
			func(now time.Time, c clusterView) (float64, bool) { return secondsSince(now, c.Seen), true }},
		{described("last_passed_drill_age_seconds", "Time since the last drill that passed; infinite where none is known."),
			func(now time.Time, c clusterView) (float64, bool) {
				return secondsSince(now, lastPassed(c.Results)), true
			}},
		{described("last_backup_age_seconds", "Time since the newest backup was begun; infinite where none is known."),
			func(now time.Time, c clusterView) (float64, bool) {
				if c.Inventory == nil {
					return math.Inf(1), true
				}
				return secondsSince(now, newestBackup(c.Inventory)), true
			}},
		{described("drill_evidence_unreadable", "Drills whose evidence cannot be read."),
			func(_ time.Time, c clusterView) (float64, bool) { return float64(len(c.Unread)), !c.Seen.IsZero() }},
		{described("wal_open_gaps", "Stretches of WAL that are missing and that no backup was made behind: nothing after them can be reached."),
			func(_ time.Time, c clusterView) (float64, bool) {
				seen := sight{}
				if c.Inventory != nil {
					seen.countTroubles(c.Inventory)
				}
				return float64(seen.openGaps), c.Inventory != nil
			}},
	}
}

// Describe implements prometheus.Collector.
func (*drillGauges) Describe(out chan<- *prometheus.Desc) {
	for _, m := range drillMeasures() {
		out <- m.desc
	}
	for _, m := range clusterMeasures() {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (g *drillGauges) Collect(out chan<- prometheus.Metric) {
	v := g.scheduler.view()
	for _, c := range v.Clusters {
		for _, m := range clusterMeasures() {
			if value, ok := m.value(v.Now, c); ok {
				out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, value, c.Name)
			}
		}
		for _, d := range c.Drills {
			collectDrill(out, v.Now, c.Name, d)
		}
	}
}

func collectDrill(out chan<- prometheus.Metric, now time.Time, cluster string, d drillView) {
	for _, m := range drillMeasures() {
		for label, value := range m.values(now, d) {
			labels := []string{cluster, d.Name}
			if label != "" {
				labels = append(labels, label)
			}
			out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, value, labels...)
		}
	}
}

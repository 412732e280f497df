package restore

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// String is the plan for people: one aligned line for each part.
func (p Plan) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range p.rows() {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", row[0], row[1]) // a strings.Builder takes everything
	}
	_ = w.Flush()
	return b.String()
}

func (p Plan) rows() [][2]string {
	rows := [][2]string{
		{"cluster", fmt.Sprintf("%s (system identifier %d)", p.Cluster, p.SystemIdentifier)},
		{"directory", p.Directory},
		{"backup", fmt.Sprintf("%s, PostgreSQL %d", p.Backup.Label, p.Backup.PostgresVersion/10000)},
		{"", fmt.Sprintf("%s to %s", FormatTime(p.Backup.StartTime), FormatTime(p.Backup.StopTime))},
		{"", fmt.Sprintf("%s to %s on timeline %d", p.Backup.StartLSN, p.Backup.StopLSN, p.Backup.Timeline)},
		{"target", p.Target.describe()},
	}
	if p.Target.Why != "" {
		rows = append(rows, [2]string{"", p.Target.Why})
	}
	rows = append(rows,
		[2]string{"stops at", p.Target.describeStop()},
		[2]string{"timelines", p.describePath()},
		[2]string{"WAL", fmt.Sprintf("%d segments, %s to %s", p.WAL.Segments, p.WAL.First, p.WAL.Last)},
		[2]string{"reads", formatBytes(p.BytesToRead) + " and " + formatBytes(p.WAL.Bytes) + " of WAL, as it is before compression"},
		[2]string{"writes", formatBytes(p.BytesToWrite)},
	)
	for _, s := range p.Tablespaces {
		rows = append(rows, [2]string{"tablespace", fmt.Sprintf("%s (%d): %s, was %s", s.Name, s.OID, s.Target, s.Location)})
	}
	for _, s := range p.Settings {
		rows = append(rows, [2]string{"setting", strings.TrimSuffix(renderSettings([]Setting{s}), "\n")})
	}
	for _, note := range p.Notes {
		rows = append(rows, [2]string{"note", note})
	}
	return rows
}

func (t PlannedTarget) describe() string {
	s := strings.TrimSpace(string(t.Kind) + " " + t.Value)
	if t.Exclusive {
		s += ", exclusive"
	}
	if t.Setting != "" {
		s += fmt.Sprintf(" (%s = %s)", t.Setting, t.SettingValue)
	}
	return s
}

func (t PlannedTarget) describeStop() string {
	if t.StopTime.IsZero() {
		return t.StopLSN.String()
	}
	return fmt.Sprintf("%s (%s)", t.StopLSN, t.StopTime.UTC().Format(time.RFC3339Nano))
}

func (p Plan) describePath() string {
	var names []string
	for _, tli := range p.TimelinePath {
		names = append(names, tli.String())
	}
	return strings.Join(names, " then ")
}

// formatBytes writes a size with a binary unit.
func formatBytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

const monitoring = "../../docs/monitoring"

// exported are the names of all metrics that the daemons show.
func exported(t *testing.T) []string {
	t.Helper()
	d := &daemon{reloaded: newReloadMetrics()}
	g := &agent{daemon: d, metrics: newAgentMetrics()}
	s := &scheduler{daemon: d, metrics: newSchedulerMetrics(), herald: &herald{}}
	var names []string
	for _, registry := range []*prometheus.Registry{g.metrics.registry(g), s.metrics.registry(s)} {
		descriptions := make(chan *prometheus.Desc)
		go func() { registry.Describe(descriptions); close(descriptions) }()
		for description := range descriptions {
			names = append(names, regexp.MustCompile(`fqName: "([^"]*)"`).FindStringSubmatch(description.String())[1])
		}
	}
	return names
}

func monitoringFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(monitoring, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Whoever renames a metric is told here that an alarm would never go off again.
func TestRulesAndPanelsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	names := exported(t)
	if !slices.Contains(names, "lifeboat_agent_ready") {
		t.Fatalf("the agent shows %q", names)
	}
	for _, file := range []string{"alerts.yml", "alerts_test.yml", "grafana.json"} {
		used := regexp.MustCompile(`\blifeboat_[a-z0-9_]+`).FindAllString(monitoringFile(t, file), -1)
		if len(used) < 10 {
			t.Errorf("%s names %d metrics", file, len(used))
		}
		for _, name := range used {
			if !slices.Contains(names, name) {
				t.Errorf("%s names %s, which nobody shows", file, name)
			}
		}
	}
}

func promtool(t *testing.T) string {
	t.Helper()
	program := os.Getenv("LIFEBOAT_TEST_PROMTOOL")
	if program == "" {
		t.Fatal("LIFEBOAT_TEST_PROMTOOL names no promtool: run the tests by 'make test' or .ci/gotest, which find one")
	}
	return program
}

func TestAlertRulesHold(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool(t), args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestEveryAlertRuleHasATestAndWords(t *testing.T) {
	t.Parallel()
	tests := monitoringFile(t, "alerts_test.yml")
	rules := strings.Split(monitoringFile(t, "alerts.yml"), "  - alert: ")[1:]
	for _, rule := range rules {
		name, _, _ := strings.Cut(rule, "\n")
		if !strings.Contains(tests, name) {
			t.Errorf("no test has %s", name)
		}
		for _, part := range []string{"expr:", "severity:", "summary:"} {
			if !strings.Contains(rule, part) {
				t.Errorf("%s has no %s", name, part)
			}
		}
	}
}

// panel is as much of one as is looked at here.
type panel struct {
	ID         int    `json:"id"`
	Type       string `json:"type"`
	Title      string `json:"title"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos struct{ X, Y, W, H int } `json:"gridPos"`
	Targets []struct {
		Expr  string `json:"expr"`
		RefID string `json:"refId"`
	} `json:"targets"`
}

func TestGrafanaDashboardIsWhole(t *testing.T) {
	t.Parallel()
	var board struct {
		UID           string  `json:"uid"`
		Title         string  `json:"title"`
		SchemaVersion int     `json:"schemaVersion"`
		Panels        []panel `json:"panels"`
	}
	if err := json.Unmarshal([]byte(monitoringFile(t, "grafana.json")), &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || board.Title == "" || board.SchemaVersion < 39 || len(board.Panels) < 10 {
		t.Errorf("%s: %d panels, schema %d", board.Title, len(board.Panels), board.SchemaVersion)
	}
	seen := map[int]bool{}
	for _, p := range board.Panels {
		if seen[p.ID] || p.Title == "" || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %q, lies at %+v", p.ID, p.Title, p.GridPos)
		}
		seen[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q asks nobody for nothing", p.Title)
		}
		for _, q := range p.Targets {
			if !strings.Contains(q.Expr, "lifeboat_") || q.RefID == "" {
				t.Errorf("panel %q asks for %q", p.Title, q.Expr)
			}
		}
	}
	for _, a := range board.Panels {
		for _, b := range board.Panels {
			if a.ID < b.ID && overlap(a, b) {
				t.Errorf("panels %q and %q lie on one another", a.Title, b.Title)
			}
		}
	}
}

// Grafana puts its own words into queries; what is left is to be PromQL.
func TestGrafanaQueriesAreUnderstood(t *testing.T) {
	t.Parallel()
	var board struct {
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal([]byte(monitoringFile(t, "grafana.json")), &board); err != nil {
		t.Fatal(err)
	}
	rules := "groups: [{name: panels, rules: ["
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			rules += fmt.Sprintf("{record: 'panel%d:%s', expr: %q},\n", p.ID, q.RefID, strings.NewReplacer("$__rate_interval", "5m", "$cluster", "main").Replace(q.Expr))
		}
	}
	path := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(path, []byte(rules+"]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool(t), "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func overlap(a, b panel) bool {
	return a.GridPos.X < b.GridPos.X+b.GridPos.W && b.GridPos.X < a.GridPos.X+a.GridPos.W &&
		a.GridPos.Y < b.GridPos.Y+b.GridPos.H && b.GridPos.Y < a.GridPos.Y+a.GridPos.H
}

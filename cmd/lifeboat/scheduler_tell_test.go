package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/dashboard"
	"lifeboat/drill"
)

// seenAt is a page of one cluster that was last seen so long ago, after a change.
func seenAt(now time.Time, age time.Duration, change func(*dashboard.Cluster)) *dashboard.Page {
	run := dashboard.Run{Drill: "nightly", Verdict: drill.Pass, Started: now.Add(-time.Hour)}
	c := dashboard.Cluster{
		Name: "main", Seen: now.Add(-age),
		Windows: []dashboard.Window{{Timeline: 1, From: now.Add(-time.Hour), To: now}},
		Backups: []dashboard.Backup{{Finished: now.Add(-time.Hour)}},
		Drills:  []dashboard.Drill{{Name: "nightly", Schedule: "0 4 * * *", Last: &run}, {Name: "quarterly", Schedule: "0 6 1 1 *"}},
		Runs:    []dashboard.Run{run},
	}
	change(&c)
	return &dashboard.Page{Now: now, StaleAfter: 15 * time.Minute, Clusters: []dashboard.Cluster{c}}
}

func TestConditionsSayWhatIsKnown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		age, running time.Duration
		change       func(*dashboard.Cluster)
		want         string // those that are not pass, and how many there are
	}{
		"all is well":                        {0, time.Hour, func(*dashboard.Cluster) {}, "6:"}, // no word of quarterly, which had no reason to run yet
		"just started":                       {-1, time.Minute, func(c *dashboard.Cluster) { c.Seen = time.Time{} }, "0:"},
		"never seen":                         {-1, time.Hour, func(c *dashboard.Cluster) { c.Seen = time.Time{} }, "1: view of the repository=unproven"},
		"not seen for long":                  {time.Hour, 2 * time.Hour, func(c *dashboard.Cluster) { c.Backups = nil }, "1: view of the repository=unproven"},
		"not seen while restarted":           {time.Hour, time.Minute, func(*dashboard.Cluster) {}, "0:"},
		"a gap":                              {0, time.Hour, func(c *dashboard.Cluster) { c.Gaps = []dashboard.Gap{{FromLSN: "0/1"}} }, "6: gaps=fail#0/1"},
		"another drill overdue":              {0, time.Hour, func(c *dashboard.Cluster) { c.Drills[1].Due = now.Add(-2 * time.Hour) }, "7: drill quarterly=unproven#overdue "},
		"about to begin, for the first time": {0, time.Hour, func(c *dashboard.Cluster) { c.Drills[1].Due = now }, "6:"},
		"missed before the start":            {0, time.Minute, func(c *dashboard.Cluster) { c.Drills[0].Due = now.Add(-2 * time.Hour) }, "5:"},
		"failed and overdue": {0, time.Hour, func(c *dashboard.Cluster) {
			c.Drills[0].Last.Verdict, c.Drills[0].Due = drill.Fail, now.Add(-2*time.Hour)
		}, "6: drill nightly=fail# overdue"},
	}
	for name, c := range cases {
		list := conditions(seenAt(now, c.age, c.change), now.Add(-c.running))
		got := fmt.Sprintf("%d:", len(list))
		for _, condition := range list {
			if condition.State != "pass" {
				got += fmt.Sprintf(" %s=%s", condition.Subject, condition.State)
				if condition.Mark != "" {
					got += "#" + condition.Mark
				}
			}
			if (condition.Detail == "") != (condition.State == "pass") {
				t.Errorf("%s: %+v", name, condition)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheSchedulerTellsByItsConfiguration(t *testing.T) {
	t.Parallel()
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		bodies = append(bodies, r.Header.Get("X-Lifeboat-Signature"))
	}))
	defer server.Close()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Parse("x", fmt.Appendf(nil, "repository: {url: 'file:///r'}\nclusters: {main: }\nstate_directory: %s\nscheduler:\n  notify: {webhook: {url: '%s', secret_file: %s}}\n", dir, server.URL, secret))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	a := &app{now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}
	h := a.newHerald(settings)
	h.round(t.Context(), settings, seenAt(now, 0, func(*dashboard.Cluster) {}))
	h.round(t.Context(), settings, seenAt(now, 0, func(c *dashboard.Cluster) { c.Backups = nil }))
	h = a.newHerald(settings) // a restart
	h.round(t.Context(), settings, seenAt(now, 0, func(c *dashboard.Cluster) { c.Backups = nil }))
	if len(bodies) != 1 || !strings.HasPrefix(bodies[0], "sha256=") {
		t.Errorf("messages: %q", bodies)
	}
}

func TestCheckSaysWhenNotificationsCannotBeSigned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	private, public, absent := filepath.Join(dir, "private"), filepath.Join(dir, "public"), filepath.Join(dir, "absent")
	for path, mode := range map[string]os.FileMode{private: 0o600, public: 0o644} {
		if err := os.WriteFile(path, []byte("s"), mode); err != nil {
			t.Fatal(err)
		}
	}
	text := func(path string) config.Text { return config.Text{Value: path} }
	cases := map[string]struct {
		notify config.Notify
		want   []string
	}{
		"none":             {config.Notify{}, nil},
		"no secret":        {config.Notify{Webhook: &config.Webhook{}}, []string{"pass"}},
		"private secret":   {config.Notify{Webhook: &config.Webhook{SecretFile: text(private)}}, []string{"pass"}},
		"public authority": {config.Notify{Webhook: &config.Webhook{CAFile: text(public)}}, []string{"pass"}},
		"public secret":    {config.Notify{Webhook: &config.Webhook{SecretFile: text(public)}}, []string{"warn"}},
		"no secret there":  {config.Notify{Webhook: &config.Webhook{SecretFile: text(absent)}}, []string{"fail"}},
		"no password":      {config.Notify{Email: &config.Email{PasswordFile: text(absent), CAFile: text(absent)}}, []string{"fail", "fail"}},
	}
	for name, c := range cases {
		k := &checker{scene: &scene{settings: &config.Config{Scheduler: config.Scheduler{Notify: c.notify}}}}
		k.checkNotifications()
		var got []string
		for _, f := range k.findings {
			got = append(got, f.Result)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

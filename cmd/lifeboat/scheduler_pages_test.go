package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"lifeboat/drill"
)

// hook is a web server that notes what it is told.
type hook struct {
	mu     sync.Mutex
	bodies []string
}

func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what is broken off is not JSON
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
}

func (h *hook) told() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.bodies, "\n")
}

// ask is the answer to a request for another host than the address.
func (s *station) ask(method, path, host string) (int, string) {
	s.in.t.Helper()
	address := listens.FindStringSubmatch(s.log.String())
	if address == nil {
		s.in.t.Fatal("the scheduler does not say where it listens")
	}
	request, err := http.NewRequestWithContext(s.in.t.Context(), method, "http://"+address[1]+path, nil)
	if err != nil {
		s.in.t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.in.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.in.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestTheSchedulerShowsAndTellsWhatItsDrillsFound(t *testing.T) {
	t.Parallel()
	h := &hook{}
	server := httptest.NewServer(h)
	defer server.Close()
	notify := fmt.Sprintf(`, notify: {webhook: {url: %q}}`, server.URL)
	in := newDrillYard(t, scheduled("nightly")+fmt.Sprintf(`, weekly: {schedule: %q, to: "2001-01-01T00:00:00Z"}`, once), notify)
	in.must("scheduler", "--test-notifications")
	if !strings.Contains(h.told(), "This is a test") {
		t.Errorf("the test message: %q", h.told())
	}
	s := in.startScheduler()
	s.ended(2)
	verdicts := map[string]*drill.Result{}
	for _, r := range in.evidence() {
		verdicts[r.Drill] = r
	}
	in.eventually("the drill that could not reach its target is told of", func() bool { return strings.Contains(h.told(), `"subject":"drill weekly"`) })
	if strings.Contains(h.told(), `"subject":"drill nightly"`) {
		t.Errorf("the good drill is told of, too: %s", h.told())
	}
	var message struct{ Text string }
	told := h.told()
	if err := json.Unmarshal([]byte(told[strings.LastIndex(told, "\n")+1:]), &message); err != nil || !strings.Contains(message.Text, "cluster main") {
		t.Errorf("%v: %s", err, told)
	}
	for path, says := range map[string]string{
		"/":                                      "1 cluster: 0 pass",
		"/clusters/main":                         `href="/drills/main/` + verdicts["nightly"].ID,
		"/drills/main/" + verdicts["nightly"].ID: "This backup comes back.",
		"/drills/main/" + verdicts["weekly"].ID:  "Restore drill: were the backups",
		"/metrics":                               `lifeboat_notifications_waiting{channel="webhook"} 0`,
	} {
		// A message counts as delivered when its answer has come, and a drill's evidence is read when the log has told its end.
		in.eventually(fmt.Sprintf("%s shows %q", path, says), func() bool {
			code, body := s.ask(http.MethodGet, path, "")
			return code == http.StatusOK && strings.Contains(body, says)
		})
	}
	for _, c := range []struct {
		method, path, host string
		code               int
	}{
		{"GET", "/clusters/other", "", 404}, {"GET", "/drills/main/absent", "", 404}, {"GET", "/drills/main/%2e%2e%2fx", "", 404},
		{"POST", "/", "", 405}, {"PUT", "/metrics", "", 405}, {"GET", "/", "attacker.example", 421}, {"GET", "/metrics", "attacker.example", 421},
	} {
		if code, body := s.ask(c.method, c.path, c.host); code != c.code {
			t.Errorf("%s %s of %q: %d, want %d: %s", c.method, c.path, c.host, code, c.code, body)
		}
	}
	_, body := s.ask(http.MethodGet, "/clusters/main", "")
	if found := regexp.MustCompile(`(?i)timeline 1 can be reached from 20\d\d-`).FindString(body); found == "" {
		t.Errorf("the page shows no window:\n%s", body)
	}
}

package dashboard_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"lifeboat/cmd/internal/dashboard"
)

// serve shows a page on loopback and returns its URL.
func serve(t *testing.T, p *dashboard.Page) string {
	t.Helper()
	s, err := dashboard.NewServer(fixed{p}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Routes(mux)
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = dashboard.Guard(server.Listener.Addr(), mux)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func ask(t *testing.T, method, url, host string) (code int, header http.Header, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(raw)
}

func TestRequestsAreAnsweredOrRefused(t *testing.T) {
	t.Parallel()
	url := serve(t, pageOf(sound("main"), failing()))
	id := failing().Runs[13].ID
	cases := map[string]struct {
		method, path, host string
		code               int
		says               string
	}{
		"overview":             {"GET", "/", "", 200, "billing"},
		"overview's head":      {"HEAD", "/", "", 200, ""},
		"cluster":              {"GET", "/clusters/main", "", 200, "7412001122334455667"},
		"report":               {"GET", "/drills/billing/" + id, "", 200, "Restore drill: were the backups"},
		"no such page":         {"GET", "/admin", "", 404, "no such page"},
		"no such cluster":      {"GET", "/clusters/nobody", "", 404, "No cluster is called &#34;nobody&#34;"},
		"script for a cluster": {"GET", "/clusters/%3Cscript%3E", "", 404, "&lt;script&gt;"},
		"no such drill":        {"GET", "/drills/main/nothing", "", 404, "no evidence of a drill"},
		"drill of no cluster":  {"GET", "/drills/nobody/x", "", 404, "No cluster is called"},
		"another cluster's":    {"GET", "/drills/main/../billing/" + id + "x", "", 404, ""},
		"post":                 {"POST", "/", "", 405, "nothing can be changed"},
		"delete a cluster":     {"DELETE", "/clusters/main", "", 405, "nothing can be changed"},
		"localhost":            {"GET", "/", "localhost:9871", 200, "billing"},
		"localhost, no port":   {"GET", "/", "LOCALHOST", 200, "billing"},
		"loopback of IPv6":     {"GET", "/", "[::1]:9871", 200, "billing"},
		"another loopback":     {"GET", "/", "127.8.8.8", 200, "billing"},
		"a stranger's name":    {"GET", "/", "rebound.example:9871", 421, "localhost only"},
		"localhost as prefix":  {"GET", "/", "localhost.example", 421, "localhost only"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, header, body := ask(t, c.method, url+c.path, c.host)
			if code != c.code || !strings.Contains(body, c.says) {
				t.Errorf("%d, want %d with %q:\n%s", code, c.code, c.says, body)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'",
			} {
				if !strings.Contains(header.Get(name), want) {
					t.Errorf("header %s is %q", name, header.Get(name))
				}
			}
			if strings.Contains(header.Get("Content-Security-Policy"), "script-src") {
				t.Error("scripts are allowed")
			}
		})
	}
}

func TestWhoListensOpenlyAnswersToAnyName(t *testing.T) {
	t.Parallel()
	guarded := dashboard.Guard(&net.TCPAddr{IP: net.IPv4zero, Port: 9871}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	answer := httptest.NewRecorder()
	guarded.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://backups.example/", nil))
	if answer.Code != http.StatusNoContent {
		t.Errorf("%d", answer.Code)
	}
}

func TestPagesNeedNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	url := serve(t, pageOf(sound("main"), failing(), stale(), unknown()))
	foreign := regexp.MustCompile(`(?i)<script|<iframe|<form|@import|url\(|(src|href)="(https?:)?//|style="`)
	for _, path := range []string{"/", "/clusters/main", "/clusters/billing", "/clusters/reporting", "/clusters/new", "/nothing"} {
		_, _, body := ask(t, http.MethodGet, url+path, "")
		if found := foreign.FindString(body); found != "" {
			t.Errorf("%s has %s", path, found)
		}
	}
}

func TestHostileNamesAreWords(t *testing.T) {
	t.Parallel()
	c := failing()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	c.SystemIdentifier, c.Trouble = evil, evil
	c.Problems, c.Gaps[0].Why, c.Backups[13].Label, c.Runs[13].Why = []string{evil}, evil, evil, []string{evil}
	c.Runs[13].Restore.Actual, c.Drills[0].To, c.Runs[13].Target = evil, evil, evil
	c.Seen = ago(days)
	url := serve(t, pageOf(c))
	for _, path := range []string{"/", "/clusters/billing"} {
		_, _, body := ask(t, http.MethodGet, url+path, "")
		if strings.Contains(body, "<script") || strings.Contains(body, "<img") {
			t.Errorf("%s lets markup through", path)
		}
	}
}

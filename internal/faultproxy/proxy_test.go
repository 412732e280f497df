package faultproxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/faultproxy"
)

const text = "0123456789"

// seen is a request as the server got it.
type seen struct {
	method, uri, host string
	header            http.Header
	length            int64
	body              []byte
	err               error // of reading the body
}

// server answers every request with text and remembers it.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
	kind     string // of its answers
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{kind: "application/octet-stream"}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, seen{r.Method, r.RequestURI, r.Host, r.Header, r.ContentLength, body, err})
		s.mu.Unlock()
		w.Header().Set("Content-Type", s.kind)
		w.Header().Set("X-Own", "yes")
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) all() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.requests...)
}

// scene is a proxy before a server, under rules that must all fire.
func scene(t *testing.T, rules ...faultproxy.Rule) (*server, *faultproxy.Proxy) {
	t.Helper()
	s := newServer(t)
	script := faultproxy.NewScript(rules...)
	p := faultproxy.Start(t, s.URL, script)
	t.Cleanup(func() {
		if err := script.AllFired(); err != nil {
			t.Error(err)
		}
	})
	return s, p
}

func does(a faultproxy.Action) faultproxy.Rule { return faultproxy.Rule{Action: a} }

// ask sends a request on a connection of its own, so that no client of the package retries by itself.
func ask(ctx context.Context, method, url, body string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

func TestPassesRequestsOnAsTheyCame(t *testing.T) {
	t.Parallel()
	s, p := scene(t)
	const uri = "/bucket/a%2Fb//c%20d?x-id=Put%2FObject&empty&z=1"
	body := bytes.Repeat([]byte(text), 1<<18)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL()+uri, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "store.example:9000"
	request.Header = http.Header{
		"Authorization": {"AWS4-HMAC-SHA256 Credential=x"}, "X-Amz-Meta-Nonce": {"n"}, "Accept-Encoding": {"identity"},
		"Expect": {"100-continue"}, "User-Agent": {"ours"},
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || string(answer) != text || response.Header.Get("X-Own") != "yes" {
		t.Errorf("answer %q, %v, %v", answer, err, response.Header)
	}
	got := s.all()[0]
	if got.method != http.MethodPut || got.uri != uri || got.host != "store.example:9000" || got.length != int64(len(body)) {
		t.Errorf("server got %s %s for %s with %d bytes", got.method, got.uri, got.host, got.length)
	}
	if sha256.Sum256(got.body) != sha256.Sum256(body) {
		t.Error("server got another body")
	}
	for key, values := range request.Header {
		if got.header.Get(key) != values[0] {
			t.Errorf("server got %s: %q", key, got.header[key])
		}
	}
	for key := range got.header {
		if _, ok := request.Header[key]; !ok && key != "Content-Length" && key != "Connection" {
			t.Errorf("server got the proxy's own %s: %q", key, got.header[key])
		}
	}
}

func TestPassesOnBodiesOfUnknownLengthAndHeads(t *testing.T) {
	t.Parallel()
	s, p := scene(t)
	response, err := http.Post(p.URL(), "text/plain", io.MultiReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got := s.all()[0]; got.length != -1 || string(got.body) != text {
		t.Errorf("server got %d bytes announced, %q", got.length, got.body)
	}
	response, err = http.Head(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ContentLength != int64(len(text)) {
		t.Errorf("head says %d bytes", response.ContentLength)
	}
}

func TestRulesCountTheirMatches(t *testing.T) {
	t.Parallel()
	rule := faultproxy.Rule{
		Method: http.MethodGet, URI: `^/a\?list`, After: 1, Times: 2, Action: faultproxy.Unavailable(),
	}
	_, p := scene(t, rule)
	var got []int
	for _, r := range []struct{ method, uri string }{
		{"GET", "/a?list=1"}, {"PUT", "/a?list=1"}, {"GET", "/b"}, {"GET", "/a?list=1"}, {"GET", "/a?list=2"}, {"GET", "/a?list=1"},
	} {
		status, _, err := ask(t.Context(), r.method, p.URL()+r.uri, "")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, status)
	}
	for i, want := range []int{200, 200, 200, 503, 503, 200} {
		if got[i] != want {
			t.Fatalf("answers were %v", got)
		}
	}
	if p.Requests() != 6 {
		t.Errorf("%d requests counted", p.Requests())
	}
}

func TestAnswersInTheServersPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action faultproxy.Action
		status int
		body   string
	}{
		"503":            {faultproxy.Unavailable(), 503, "no healthy upstream"},
		"429":            {faultproxy.TooManyRequests(), 429, "rateLimitExceeded"},
		"SlowDown":       {faultproxy.SlowDown(), 503, "<Code>SlowDown</Code>"},
		"500":            {faultproxy.InternalError(), 500, "<Code>InternalError</Code>"},
		"error in 200":   {faultproxy.ErrorInOK(), 200, "<Error><Code>InternalError</Code>"},
		"page with 200":  {faultproxy.LoginPage(), 200, "<html>"},
		"page with 404":  {faultproxy.LostPage(), 404, "<html>"},
		"any other":      {faultproxy.Answer(418, "text/plain", "short and stout"), 418, "short and stout"},
		"nothing at all": {faultproxy.Answer(200, "text/plain", ""), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := scene(t, does(c.action))
			status, body, err := ask(t.Context(), http.MethodPut, p.URL(), strings.Repeat(text, 1<<17))
			if err != nil || status != c.status || !strings.Contains(body, c.body) {
				t.Errorf("got %d %q, %v", status, body, err)
			}
			if n := len(s.all()); n != 0 {
				t.Errorf("the server got %d requests", n)
			}
			if _, body, err := ask(t.Context(), http.MethodGet, p.URL(), ""); body != text || err != nil {
				t.Errorf("the next answer is %q, %v", body, err)
			}
		})
	}
}

func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action faultproxy.Action
		err    error
		done   int // requests that the server has served whole
	}{
		"reset":       {faultproxy.Reset(), syscall.ECONNRESET, 0},
		"close":       {faultproxy.Close(), io.EOF, 0},
		"lost answer": {faultproxy.LoseAnswer(), syscall.ECONNRESET, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := scene(t, does(c.action))
			if _, _, err := ask(t.Context(), http.MethodPut, p.URL(), text); !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
			if got := len(s.all()); got != c.done {
				t.Errorf("the server got %d requests, want %d", got, c.done)
			}
		})
	}
}

// patience is how long a client still waits when a stall has begun.
const patience = 100 * time.Millisecond

func TestStallsEndWithTheClientsPatience(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action faultproxy.Action
		done   int
		body   string
	}{
		"before":      {faultproxy.Stall(), 0, ""},
		"after":       {faultproxy.StallLost(), 1, ""},
		"in the body": {faultproxy.StallAnswer(4), 1, text[:4]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			script := faultproxy.NewScript(does(c.action))
			p := faultproxy.Start(t, s.URL, script)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var answer tally
			failed := make(chan error, 1)
			go func() { failed <- askInto(ctx, p.URL(), &answer) }()
			for script.AllFired() != nil || answer.String() != c.body {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(patience)
			cancel()
			if err := <-failed; !errors.Is(err, context.Canceled) || answer.String() != c.body {
				t.Errorf("got %q, %v", answer.String(), err)
			}
			if got := len(s.all()); got != c.done {
				t.Errorf("the server got %d requests, want %d", got, c.done)
			}
		})
	}
}

// tally keeps what has come so far.
type tally struct {
	mu  sync.Mutex
	got bytes.Buffer
}

func (a *tally) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.got.Write(p)
}

func (a *tally) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.got.String()
}

// askInto is ask for an answer that is looked at while it comes.
func askInto(ctx context.Context, url string, answer io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(text))
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(answer, response.Body)
	return err
}

func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	_, p := scene(t, does(faultproxy.Stall()))
	failed := make(chan error, 1)
	go func() {
		_, _, err := ask(t.Context(), http.MethodGet, p.URL(), "")
		failed <- err
	}()
	for p.Requests() == 0 {
		time.Sleep(time.Millisecond)
	}
	p.Close()
	if err := <-failed; err == nil {
		t.Error("got an answer")
	}
	p.Close()
	p.Return()
	p.Leave(0)
	if _, _, err := ask(t.Context(), http.MethodGet, p.URL(), ""); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action       faultproxy.Action
		sent, answer string
		err          error
	}{
		"cut answer":          {faultproxy.CutAnswer(4), text, text[:4], io.ErrUnexpectedEOF},
		"cut answer at once":  {faultproxy.CutAnswer(0), text, "", io.ErrUnexpectedEOF},
		"first byte flipped":  {faultproxy.FlipAnswer(0), text, "\xcf" + text[1:], nil},
		"last byte flipped":   {faultproxy.FlipAnswer(9), text, text[:9] + "\xc6", nil},
		"upload's byte":       {faultproxy.FlipUpload(0), "\xcf" + text[1:], text, nil},
		"slow answer":         {faultproxy.SlowAnswer(1000, 5), text, text, nil},
		"slow answer, whole":  {faultproxy.SlowAnswer(1000, -1), text, text, nil},
		"slow upload":         {faultproxy.SlowUpload(1000, -1), text, text, nil},
		"late, but unharmed":  {faultproxy.Delay(time.Millisecond), text, text, nil},
		"one byte per moment": {faultproxy.SlowAnswer(1, 1), text, text, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := scene(t, does(c.action))
			_, body, err := ask(t.Context(), http.MethodPut, p.URL(), text)
			if body != c.answer || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v", body, err)
			}
			if got := string(s.all()[0].body); got != c.sent {
				t.Errorf("the server got %q", got)
			}
		})
	}
}

func TestCutUploadReachesTheServerInPart(t *testing.T) {
	t.Parallel()
	s, p := scene(t, does(faultproxy.CutUpload(1<<20)))
	if _, _, err := ask(t.Context(), http.MethodPut, p.URL(), strings.Repeat(text, 1<<18)); err == nil {
		t.Error("got an answer")
	}
	for len(s.all()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if got := s.all()[0]; got.err == nil || len(got.body) == 0 || len(got.body) > 1<<20 {
		t.Errorf("the server got %d bytes, %v", len(got.body), got.err)
	}
}

// A rule on bytes behind the end has no effect, and says so.
func TestShortBodiesStayWhole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	size := int64(len(text))
	script := faultproxy.NewScript(
		faultproxy.Rule{Times: -1, Action: faultproxy.CutAnswer(size)}, faultproxy.Rule{Times: -1, Action: faultproxy.CutUpload(size)},
		faultproxy.Rule{Times: -1, Action: faultproxy.StallAnswer(size)}, faultproxy.Rule{Times: -1, Action: faultproxy.FlipAnswer(size)})
	p := faultproxy.Start(t, s.URL, script)
	if _, body, err := ask(t.Context(), http.MethodPut, p.URL(), text); body != text || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	err := script.AllFired()
	for _, want := range []string{"cut answer", "cut upload", "stall answer", "flip answer"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
	if len(script.Fired()) != 0 {
		t.Errorf("fired %v", script.Fired())
	}
}

func TestFlipsLeaveTextAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.kind = "application/xml"
	script := faultproxy.NewScript(does(faultproxy.FlipAnswer(0)))
	p := faultproxy.Start(t, s.URL, script)
	if _, body, err := ask(t.Context(), http.MethodGet, p.URL(), ""); body != text || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestTheEndpointLeavesAndReturns(t *testing.T) {
	t.Parallel()
	_, p := scene(t)
	if _, _, err := ask(t.Context(), http.MethodGet, p.URL(), ""); err != nil {
		t.Fatal(err)
	}
	p.Leave(time.Hour)
	for range 3 {
		if _, _, err := ask(t.Context(), http.MethodGet, p.URL(), ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("while away: %v", err)
		}
	}
	p.Return()
	p.Return()
	if _, body, err := ask(t.Context(), http.MethodGet, p.URL(), ""); body != text || err != nil {
		t.Errorf("back again: %q, %v", body, err)
	}
}

func TestLeavingCutsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	script := faultproxy.NewScript(
		does(faultproxy.StallAnswer(4)), faultproxy.Rule{After: 1, Action: faultproxy.Leave(50 * time.Millisecond)})
	p := faultproxy.Start(t, newServer(t).URL, script)
	cut := make(chan error, 1)
	go func() {
		_, _, err := ask(t.Context(), http.MethodGet, p.URL(), "")
		cut <- err
	}()
	for len(script.Fired()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, _, err := ask(t.Context(), http.MethodGet, p.URL(), ""); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the request that made it leave: %v", err)
	}
	if err := <-cut; err == nil {
		t.Error("the one under way got its answer")
	}
	for {
		_, body, err := ask(t.Context(), http.MethodGet, p.URL(), "")
		if err == nil && body == text {
			return
		}
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("while away: %q, %v", body, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Clients that never cease to come must not keep the proxy from leaving, nor from coming back.
func TestLeavesAndReturnsUnderLoad(t *testing.T) {
	t.Parallel()
	_, p := scene(t)
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _, _ = ask(t.Context(), http.MethodGet, p.URL(), "") // most of them fail
				}
			}
		})
	}
	for range 300 {
		p.Leave(time.Millisecond)
		time.Sleep(time.Millisecond)
	}
	close(done)
	clients.Wait()
	p.Return()
	if _, body, err := ask(t.Context(), http.MethodGet, p.URL(), ""); body != text || err != nil {
		t.Errorf("back again: %q, %v", body, err)
	}
}

func TestCalmEndsTheTrouble(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	script := faultproxy.NewScript(faultproxy.Rule{Times: -1, Action: faultproxy.Reset()})
	p := faultproxy.Start(t, s.URL, script)
	if _, _, err := ask(t.Context(), http.MethodGet, p.URL(), ""); err == nil {
		t.Error("got an answer")
	}
	script.Calm()
	if _, body, err := ask(t.Context(), http.MethodGet, p.URL(), ""); body != text || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	if got := script.Fired(); got["reset"] != 1 || len(got) != 1 {
		t.Errorf("fired %v", got)
	}
}

func TestFollowsAnotherScript(t *testing.T) {
	t.Parallel()
	p := faultproxy.Start(t, newServer(t).URL, faultproxy.NewScript(does(faultproxy.Unavailable())))
	for _, c := range []struct {
		script *faultproxy.Script
		status int
	}{
		{faultproxy.NewScript(does(faultproxy.TooManyRequests())), 429}, {nil, 200},
	} {
		p.Follow(c.script)
		if status, _, err := ask(t.Context(), http.MethodGet, p.URL(), ""); status != c.status || err != nil {
			t.Errorf("got %d, %v, want %d", status, err, c.status)
		}
	}
	script := faultproxy.NewScript(does(faultproxy.Reset()))
	p.Follow(script)
	if _, _, err := ask(t.Context(), http.MethodGet, p.URL(), ""); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	if err := script.AllFired(); err != nil {
		t.Error(err)
	}
}

func TestRandomScriptsDependOnTheSeedAlone(t *testing.T) {
	t.Parallel()
	different := map[string]bool{}
	for seed := range uint64(200) {
		script := faultproxy.Random(seed).String()
		if again := faultproxy.Random(seed).String(); script != again {
			t.Fatalf("seed %d gives\n%s\nand\n%s", seed, script, again)
		}
		different[script] = true
		if stalls := strings.Count(script, ": stall"); stalls > 2 {
			t.Errorf("seed %d stalls %d times", seed, stalls)
		}
	}
	if len(different) != 200 {
		t.Errorf("%d different scripts", len(different))
	}
}

// Every action that there is must come up, or the schedules prove less than they seem to.
func TestRandomScriptsUseEveryAction(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for seed := range uint64(1000) {
		all.WriteString(faultproxy.Random(seed).String() + "\n")
	}
	for _, name := range []string{
		"reset", "close", "lose answer", "503", "429", "SlowDown", "500", "error in 200", "page with 200", "page with 404", "delay",
		"leave", "cut answer", "cut upload", "slow answer", "slow upload", "flip answer", "stall", "stall, done", "stall answer",
	} {
		if !strings.Contains(all.String(), ": "+name) {
			t.Errorf("%s never comes up", name)
		}
	}
}

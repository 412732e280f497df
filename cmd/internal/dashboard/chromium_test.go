package dashboard_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// patience bounds what a page may take in the browser, which may take a minute to start on a busy machine.
const patience = 5 * time.Minute

// browser is a Chromium without a window that is driven over a pipe, by the DevTools protocol
// (https://chromedevtools.github.io/devtools-protocol/): one JSON message after another, each ended by a zero byte.
type browser struct {
	t      *testing.T
	to     io.Writer
	mu     sync.Mutex
	number int
	waits  map[int]chan answer
	tabs   map[string]*tab // by session
}

type answer struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
	Session string `json:"sessionId"`
}

// startBrowser starts the browser that LIFEBOAT_TEST_BROWSER names, with an empty profile. It knows no host but this one.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program := os.Getenv("LIFEBOAT_TEST_BROWSER")
	if program == "" {
		t.Fatal("LIFEBOAT_TEST_BROWSER names no browser: run the tests by 'make test' or .ci/gotest, which find one")
	}
	profile, err := os.MkdirTemp("", "browser") // not t.TempDir: the browser's children may still write when it has ended
	if err != nil {
		t.Fatal(err)
	}
	asks, to := pipe(t)
	from, answers := pipe(t)
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile, "TZ=UTC", "LC_ALL=C.UTF-8")
	cmd.ExtraFiles = []*os.File{asks, answers} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = asks.Close(), answers.Close() // the browser has its own
	b := &browser{t: t, to: to, waits: map[int]chan answer{}, tabs: map[string]*tab{}}
	done := make(chan struct{})
	go func() { defer close(done); b.listen(from) }()
	t.Cleanup(func() {
		_ = to.Close() // it ends when its pipe does
		killer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		killer.Stop()
		<-done
		_ = os.RemoveAll(profile)
	})
	return b
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// listen hands out answers and events until the browser is gone.
func (b *browser) listen(from io.ReadCloser) {
	defer from.Close()
	messages := bufio.NewReader(from)
	for {
		raw, err := messages.ReadBytes(0)
		if err != nil {
			break
		}
		var a answer
		if json.Unmarshal(raw[:len(raw)-1], &a) == nil {
			b.dispatch(a)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, wait := range b.waits {
		close(wait)
		delete(b.waits, id)
	}
}

func (b *browser) dispatch(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.waits[a.ID]; wait != nil {
		delete(b.waits, a.ID)
		wait <- a
	} else if tab := b.tabs[a.Session]; tab != nil {
		tab.event(a)
	}
}

// call runs one method and decodes its result, which may be nil.
func (b *browser) call(session, method string, params, result any) {
	b.t.Helper()
	if err := b.try(session, method, params, result); err != nil {
		b.t.Fatalf("browser: %s: %v", method, err)
	}
}

func (b *browser) try(session, method string, params, result any) error {
	wait := make(chan answer, 1)
	b.mu.Lock()
	b.number++
	message := map[string]any{"id": b.number, "method": method, "params": params}
	if session != "" {
		message["sessionId"] = session
	}
	b.waits[b.number] = wait
	raw, err := json.Marshal(message)
	if err == nil {
		_, err = b.to.Write(append(raw, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case a, ok := <-wait:
		switch {
		case !ok:
			return errors.New("the browser is gone")
		case a.Error != nil:
			return errors.New(a.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-time.After(patience):
		return errors.New("no answer")
	}
}

// look is how a page is looked at.
type look struct {
	width, height int
	dark          bool
}

// tab is a page in the browser with all that it complained of and asked for.
type tab struct {
	b       *browser
	target  string
	session string

	mu         sync.Mutex
	complaints []string // console messages, refused by a policy, exceptions
	asked      []string // URLs
}

// open loads a page in a tab of its own and waits until it is complete.
func (b *browser) open(url string, l look) *tab {
	b.t.Helper()
	var target struct {
		ID string `json:"targetId"`
	}
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		Session string `json:"sessionId"`
	}
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &attached)
	t := &tab{b: b, target: target.ID, session: attached.Session}
	b.mu.Lock()
	b.tabs[t.session] = t
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Audits"} {
		b.call(t.session, domain+".enable", map[string]any{}, nil)
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.call(t.session, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.call(t.session, "Emulation.setDeviceMetricsOverride", map[string]any{"width": l.width, "height": l.height, "deviceScaleFactor": 1, "mobile": false}, nil)
	t.navigate(url)
	return t
}

// close ends the tab with its process.
func (t *tab) close() {
	t.b.t.Helper()
	t.b.call("", "Target.closeTarget", map[string]any{"targetId": t.target}, nil)
}

func (t *tab) navigate(url string) {
	t.b.t.Helper()
	t.b.call(t.session, "Page.navigate", map[string]any{"url": url}, nil)
	t.wait(url)
}

// wait waits until the tab shows a page, complete. The browser also tells when it has loaded one, but not of which tab's pages
// that was: the empty page before this one may be late.
func (t *tab) wait(url string) {
	t.b.t.Helper()
	t.b.eventually("the page "+url+" is not loaded", func() bool {
		var result struct {
			Result struct {
				Value bool `json:"value"`
			} `json:"result"`
		}
		expression := "location.href == " + quote(url) + " && document.readyState == 'complete'"
		// Between two pages there is none to ask.
		err := t.b.try(t.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &result)
		return err == nil && result.Result.Value
	})
}

// eventually waits until something has come about, or tells the fault.
func (b *browser) eventually(fault string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatal(fault)
		}
	}
}

// event notes what the browser says about the page.
func (t *tab) event(a answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch a.Method {
	case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Audits.issueAdded", "Network.loadingFailed":
		t.complaints = append(t.complaints, a.Method+": "+string(a.Params))
	case "Network.requestWillBeSent":
		var sent struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		_ = json.Unmarshal(a.Params, &sent) // a URL that cannot be read is an empty one, which no test expects
		t.asked = append(t.asked, sent.Request.URL)
	}
}

// eval runs an expression in the page and decodes its value.
func (t *tab) eval(expression string, value any) {
	t.b.t.Helper()
	var result struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Thrown json.RawMessage `json:"exceptionDetails"`
	}
	t.b.call(t.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "userGesture": true}, &result)
	if result.Thrown != nil {
		t.b.t.Fatalf("browser: %s: %s", expression, result.Thrown)
	}
	if err := json.Unmarshal(result.Result.Value, value); err != nil {
		t.b.t.Fatalf("browser: %s: %v", expression, err)
	}
}

// screenshot is the whole page as PNG.
func (t *tab) screenshot() []byte {
	t.b.t.Helper()
	var shot struct {
		Data string `json:"data"`
	}
	t.b.call(t.session, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		t.b.t.Fatal(fmt.Errorf("browser: screenshot: %w", err))
	}
	return png
}

func (t *tab) noted() (complaints, asked []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.complaints, t.asked
}

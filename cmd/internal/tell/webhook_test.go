package tell_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/cmd/internal/tell"
)

const secret = "correct horse battery staple"

func secretFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWebhookPostsSignedJSON(t *testing.T) {
	t.Parallel()
	var body []byte
	var header http.Header
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		header = r.Header
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	hook := &tell.Webhook{URL: server.URL + "/hook", SecretFile: secretFile(t), Roots: roots}
	if err := hook.Send(t.Context(), tell.TestMessage(time.Unix(1e9, 0))); err != nil {
		t.Fatal(err)
	}
	code := hmac.New(sha256.New, []byte(secret))
	code.Write(body)
	if got, want := header.Get(tell.SignatureHeader), "sha256="+hex.EncodeToString(code.Sum(nil)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	var m tell.Message
	if err := json.Unmarshal(body, &m); err != nil || len(m.Changes) != 1 || m.ID == "" || !strings.Contains(m.Text, "This is a test") {
		t.Errorf("%v: %s", err, body)
	}
	if err := (&tell.Webhook{URL: server.URL}).Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
}

func TestOnlyAnAnswerThatSaysSoCountsAsDelivered(t *testing.T) {
	t.Parallel()
	elsewhere := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere <- "redirected" }))
	defer other.Close()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/well":
		case "/wrong":
			w.WriteHeader(http.StatusInternalServerError)
		case "/refused":
			w.WriteHeader(http.StatusForbidden)
		case "/elsewhere":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/slow":
			<-release
		case "/broken":
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	defer close(release)
	for path, says := range map[string]string{
		"/well": "", "/wrong": "500", "/refused": "403", "/elsewhere": "307", "/slow": "deadline", "/broken": "EOF",
	} {
		patience := time.Minute
		if path == "/slow" {
			patience = time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := (&tell.Webhook{URL: server.URL + path + "?token=hidden", SecretFile: secretFile(t)}).Send(ctx, tell.TestMessage(time.Unix(1e9, 0)))
		cancel()
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), secret)) {
			t.Errorf("%s tells a secret: %v", path, err)
		}
	}
	if len(elsewhere) > 0 {
		t.Error("the message went where the configuration does not send it")
	}
}

func TestWebhookThatFailsAndThenIsWell(t *testing.T) {
	t.Parallel()
	var asked, delivered int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked++
		if asked < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		delivered++
	}))
	defer server.Close()
	s, hook := newScene(t), &tell.Webhook{URL: server.URL + "?token=hidden", SecretFile: secretFile(t)}
	for range 10 {
		s.after(t, time.Minute, "a/x=fail", hook)
	}
	if asked != 3 || delivered != 1 {
		t.Errorf("asked %d times, delivered %d times", asked, delivered)
	}
	if log := s.log.String(); !strings.Contains(log, "502") || strings.Contains(log, "hidden") || strings.Contains(log, secret) {
		t.Errorf("log: %s", log)
	}
}

func TestASecretThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, filepath.Join(t.TempDir(), "absent")} {
		err := (&tell.Webhook{URL: server.URL, SecretFile: path}).Send(t.Context(), tell.TestMessage(time.Unix(1e9, 0)))
		if err == nil || asked {
			t.Errorf("%s: sent unsigned, %v", path, err)
		}
	}
}

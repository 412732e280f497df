package gcs_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/gcs"
)

const variable = "GOOGLE_APPLICATION_CREDENTIALS"

// secure puts TLS before a store that asks for the token that authority gives. The tests set the environment, so they
// run one after the other.
func secure(t *testing.T, token func() string) gcs.Options {
	t.Helper()
	s := &store{}
	plain := s.serve(t)
	s.fault = func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		wrong := r.Header.Get("Authorization") != "Bearer "+token()
		if wrong {
			refuse(w, http.StatusUnauthorized, "authError", "Invalid Credentials")
		}
		return wrong
	}
	server := httptest.NewTLSServer(forward(t, plain.Endpoint))
	t.Cleanup(server.Close)
	o := options(t, objectstore.GCSServer{Endpoint: server.URL, Bucket: "bucket"})
	o.Retry.TotalTimeout = 30 * time.Millisecond
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(o.CAFile, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// forward passes requests on to a server without TLS.
func forward(t *testing.T, endpoint string) http.Handler {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(target)
}

// account writes the key file of a service account whose tokens come from a server, and points the environment at it.
func account(t *testing.T, tokens http.HandlerFunc) {
	t.Helper()
	server := httptest.NewServer(tokens)
	t.Cleanup(server.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "backup@project", "private_key_id": "1", "token_uri": server.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	if err != nil {
		t.Fatal(err)
	}
	credentials(t, string(text))
}

func credentials(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(variable, path)
	return path
}

func grant(w http.ResponseWriter, token string, seconds int) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": %d}`, token, seconds)
}

// Tokens expire and are renewed while the bucket is open.
func TestTokensAreRenewed(t *testing.T) {
	var issued atomic.Int64
	token := func() string { return fmt.Sprintf("token-%d", issued.Load()) }
	account(t, func(w http.ResponseWriter, _ *http.Request) {
		issued.Add(1)
		grant(w, token(), 1) // expires at once, as clients renew ahead of time
	})
	b := open(t, secure(t, token))
	put(t, b, "a", "x")
	put(t, b, "b", "x")
	if issued.Load() < 2 {
		t.Fatalf("%d tokens were issued", issued.Load())
	}
}

func TestTroubleWithTokens(t *testing.T) {
	for _, c := range []struct {
		name, says, hint string
		transient        bool
		answer           http.HandlerFunc
	}{
		{"revoked", "no access token could be had", "make a new one", false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}`)
		}},
		{"clock", "no access token could be had", "clock of this machine", false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes). Check your iat and exp values in the JWT claim."}`)
		}},
		{"overload", "no access token could be had", "", true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{"cut", "no access token could be had", "", true, func(w http.ResponseWriter, _ *http.Request) { cut(w) }},
		{"not accepted", "the credentials are not accepted", "renew the key", false, func(w http.ResponseWriter, _ *http.Request) { grant(w, "wrong", 3600) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			account(t, c.answer)
			o := secure(t, func() string { return "right" })
			_, err := open(t, o).Stat(t.Context(), "a")
			expect(t, "stat", err, c.says, c.hint, c.transient)
		})
	}
}

func TestCertificates(t *testing.T) {
	account(t, func(w http.ResponseWriter, _ *http.Request) { grant(w, "right", 3600) })
	o := secure(t, func() string { return "right" })
	put(t, open(t, o), "a", "x")
	o.CAFile = ""
	_, err := open(t, o).Stat(t.Context(), "a")
	expect(t, "stat", err, "unknown authority", "ca_file", false)
	plain := (&store{}).serve(t)
	o.Endpoint = strings.Replace(plain.Endpoint, "http://", "https://", 1)
	_, err = open(t, o).Stat(t.Context(), "a")
	expect(t, "stat", err, "speaks http, not https", "emulator", false)
}

// A file that cannot be used is named; what is in it is not.
func TestTroubleWithCredentialFiles(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"SECRET", "it is not JSON"},
		{`{"type": "service_account", "private_key": "SECRET`, "it is not JSON"},
		{`{"type": "SECRET"}`, "none of the kinds"},
		{`{"private_key": "SECRET"}`, "none of the kinds"},
	} {
		path := credentials(t, c.text)
		_, err := gcs.Open(t.Context(), gcs.Options{Bucket: "bucket", Now: time.Now})
		var detail *storage.Error
		if !errors.As(err, &detail) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) ||
			!strings.Contains(detail.Hint, variable) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v (hint %q)", c.text, err, storage.Hint(err))
		}
	}
	t.Setenv(variable, "/no/such/file")
	_, err := gcs.Open(t.Context(), gcs.Options{Bucket: "bucket", Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("missing file: %v", err)
	}
}

// The variable that leads the Google libraries to an emulator is no way to where credentials go.
func TestEmulatorVariableIsNotObeyed(t *testing.T) {
	called := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the emulator was asked") }))
	t.Cleanup(called.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", called.URL)
	b := open(t, options(t, (&store{}).serve(t)))
	put(t, b, "a", "x")
}

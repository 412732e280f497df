package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/retry"
	"lifeboat/storage/s3"
)

const (
	accessKey = "AKIDTESTER"
	secretKey = "the-secret-canary"
)

// impatient does nothing twice.
var impatient = retry.Options{MinDelay: time.Millisecond, TotalTimeout: time.Nanosecond}

// scripted opens a bucket on a server that is nothing but a handler.
func scripted(t *testing.T, handler http.HandlerFunc, change func(*s3.Options)) *s3.Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o := s3.Options{
		Bucket: "bucket", Endpoint: server.URL, Region: "eu-west-1", PathStyle: true, Now: time.Now, Retry: impatient,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	}
	if change != nil {
		change(&o)
	}
	return open(t, o)
}

// refuse is the handler of a store that gives one answer to everything.
func refuse(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, errorXML(code, message))
	}
}

func errorXML(code, message string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>`,
		code, message)
}

func page(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("ETag", `"a-page-can-have-one"`)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>")
	}
}

// operations tries everything on a bucket.
func operations(t *testing.T, b storage.Bucket) map[string]error {
	t.Helper()
	errs := map[string]error{"delete": b.Delete(t.Context(), "dir/x")}
	errs["put"] = b.Put(t.Context(), "dir/x", again(t, 10), storage.PutOptions{IfAbsent: true, Size: 10})
	errs["put in parts"] = b.Put(t.Context(), "dir/x", again(t, 17*mebibyte), storage.PutOptions{Size: 17 * mebibyte})
	_, errs["get"] = read(t, b, "dir/x", 0, -1)
	_, errs["get range"] = read(t, b, "dir/x", 3, 4)
	_, errs["stat"] = b.Stat(t.Context(), "dir/x")
	for _, err := range b.List(t.Context(), "dir/") {
		errs["list"] = err
	}
	return errs
}

// largeNoise is more than is sent as a whole.
var largeNoise = sync.OnceValues(func() ([]byte, error) { return io.ReadAll(noise(1, 17*mebibyte)) })

// again is noise that can be read twice, for who repeats a put.
func again(t *testing.T, size int64) io.ReadSeeker {
	t.Helper()
	content, err := largeNoise()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(content[:size])
}

// between is a proxy before a real server, with a say in what happens to each request. What meddle returns is whether
// the request has been dealt with.
type between struct {
	*httputil.ReverseProxy
	mu     sync.Mutex
	meddle func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool
	seen   []string // method and query
}

func meddling(t *testing.T, meddle func(http.ResponseWriter, *http.Request, http.Handler) bool) (*between, s3.Options, objectstore.Server) {
	t.Helper()
	server := objectstore.S3(t)
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &between{meddle: meddle, ReverseProxy: &httputil.ReverseProxy{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which is signed
	}}}
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	o := options(server)
	o.Endpoint = front.URL
	return p, o, server
}

func (p *between) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.URL.RawQuery)
	p.mu.Unlock()
	if !p.meddle(w, r, p.ReverseProxy) {
		p.ReverseProxy.ServeHTTP(w, r)
	}
}

// loseAnswer lets the server do what it was asked for, and cuts the connection.
func loseAnswer(r *http.Request, forward http.Handler) {
	forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// loseRequest cuts the connection before the server hears of anything.
func loseRequest(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	panic(http.ErrAbortHandler)
}

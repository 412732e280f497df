package gcs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/faultproxy"
	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/gcs"
)

// operations are one of each kind, with the body of a get read.
func operations(b storage.Bucket) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"put": func(ctx context.Context) error {
			return b.Put(ctx, "a", strings.NewReader("x"), storage.PutOptions{IfAbsent: true, Size: 1})
		},
		"put large": func(ctx context.Context) error {
			return b.Put(ctx, "a", stream(make([]byte, 9*mebibyte)), storage.PutOptions{IfAbsent: true, Size: -1})
		},
		"get": func(ctx context.Context) error {
			body, err := b.Get(ctx, "a", 0, -1)
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.ReadAll(body)
			return err
		},
		"get range": func(ctx context.Context) error {
			body, err := b.Get(ctx, "a", 1, 2)
			if err == nil {
				err = body.Close()
			}
			return err
		},
		"stat":   func(ctx context.Context) error { _, err := b.Stat(ctx, "a"); return err },
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "a") },
		"list": func(ctx context.Context) error {
			for _, err := range b.List(ctx, "") {
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func says(reason, text string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, reason, text) }
}

func page(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, "<!DOCTYPE html>\n<html><title>Please log in</title></html>")
	}
}

func TestTroubleIsExplained(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		handler   http.HandlerFunc
		says      string
		hint      string
		transient bool
		only      string // operation, or all
	}{
		{"missing bucket", says("notFound", "The specified bucket does not exist.", 404), "there is no bucket bucket", "gcloud storage buckets create", false, ""},
		{"bare 404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "there is no bucket bucket", "look at the name", false, ""},
		{"another object is missing", says("notFound", "No such object: bucket/b", 404), "there is no bucket", "", false, ""},
		{"page with 200", page(200), "perhaps a proxy", "look at endpoint", false, ""},
		{"page with 404", page(404), "perhaps a proxy", "look at endpoint", false, ""},
		{"page with 403", page(403), "perhaps a proxy", "look at endpoint", false, ""},
		{"page with 412", page(412), "perhaps a proxy", "look at endpoint", false, ""},
		{"page with 503", page(503), "status 503", "", true, ""},
		{"redirection", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/login", http.StatusFound)
		}, "which leads elsewhere", "look at endpoint", false, ""},
		{"401", says("authError", "Invalid Credentials", 401), "the credentials are not accepted", "renew the key", false, ""},
		{"403 put", says("forbidden", "x@y does not have storage.objects.create access to the object.", 403), "no permission storage.objects.create", "roles/storage.objectUser", false, "put"},
		{"403 replace", says("forbidden", "x@y does not have storage.objects.delete access to the object.", 403), "no permission storage.objects.delete", "to replace an object", false, "put"},
		{"403 get", says("forbidden", "Forbidden", 403), "no permission storage.objects.get", "role with storage.objects.get on gs://bucket", false, "get"},
		{"403 stat", says("forbidden", "Forbidden", 403), "no permission storage.objects.get", "", false, "stat"},
		{"403 list", says("forbidden", "Forbidden", 403), "no permission storage.objects.list", "", false, "list"},
		{"403 delete", says("forbidden", "Forbidden", 403), "no permission storage.objects.delete", "", false, "delete"},
		{"retention", says("retentionPolicyNotMet", "Object 'a' is subject to bucket's retention policy", 403), "under retention", "wait until", false, "delete"},
		{"hold", says("objectUnderActiveHold", "Object 'a' is under active Temporary hold", 403), "under a hold", "release the hold", false, "delete"},
		{"billing", says("accountDisabled", "The billing account is disabled", 403), "account of the project is disabled", "billing", false, ""},
		{"encryption key", says("forbidden", "Permission 'cloudkms.cryptoKeyVersions.useToEncrypt' denied", 403), "encryption key cannot be used", "cryptoKeyEncrypterDecrypter", false, "put"},
		{"rate", says("rateLimitExceeded", "slow down", 429), "status 429", "", true, ""},
		{"rate as 403", says("userRateLimitExceeded", "slow down", 403), "slow down", "", true, ""},
		{"request timeout", says("", "timed out", 408), "status 408", "", true, ""},
		{"server error", says("internalError", "oops", 500), "status 500", "", true, ""},
		{"overload", says("backendError", "Service Unavailable", 503), "status 503", "", true, ""},
		{"damaged on the way", says("invalid", `Provided CRC32C "a" doesn't match calculated CRC32C "b".`, 400), "damaged on their way", "", true, "put"},
		{"https asked", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
		}, "speaks https, not http", "https://", false, ""},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") }, "not JSON", "look at endpoint", false, "stat"},
		{"no object", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") }, "something that is no object", "look at endpoint", false, "get"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) { cut(w) }, "", "", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.handler)
			t.Cleanup(server.Close)
			o := options(t, objectstore.GCSServer{Endpoint: server.URL, Bucket: "bucket"})
			o.Retry.TotalTimeout = 30 * time.Millisecond
			for op, do := range operations(open(t, o)) {
				if c.only == "" || c.only == op {
					expect(t, op, do(t.Context()), c.says, c.hint, c.transient)
				}
			}
		})
	}
}

// expect tests an error that is no answer.
func expect(t *testing.T, op string, err error, says, hint string, transient bool) {
	t.Helper()
	var detail *storage.Error
	switch {
	case err == nil:
		t.Errorf("%s succeeds", op)
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrExists):
		t.Errorf("%s: %v, which is an answer", op, err)
	case !errors.As(err, &detail) || detail.Op != strings.Fields(op)[0]:
		t.Errorf("%s: the error does not tell the operation: %v", op, err)
	case !strings.Contains(err.Error(), says), !strings.Contains(storage.Hint(err), hint), storage.Transient(err) != transient:
		t.Errorf("%s: %v (hint %q, passing: %t)", op, err, storage.Hint(err), storage.Transient(err))
	case strings.Contains(err.Error(), "/storage/v1"), strings.Contains(err.Error(), "\n"):
		t.Errorf("%s: the sentence holds requests or lines: %q", op, err)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.Start(t, "http://127.0.0.1:1", nil)
	proxy.Leave(time.Hour) // and nobody else is given its port
	o := options(t, objectstore.GCSServer{Endpoint: proxy.URL(), Bucket: "bucket"})
	o.Retry.TotalTimeout = 30 * time.Millisecond
	for op, do := range operations(open(t, o)) {
		expect(t, op, do(t.Context()), "connection refused", "", true)
	}
}

// The real server's answers to a missing bucket say little: no operation may take it for a missing object.
func TestMissingBucketOnServer(t *testing.T) {
	t.Parallel()
	s := objectstore.GCS(t)
	s.Bucket = "another"
	o := options(t, s)
	o.Retry.TotalTimeout = 30 * time.Millisecond
	for op, do := range operations(open(t, o)) {
		expect(t, op, do(t.Context()), "there is no bucket another", "gcloud", false)
	}
}

// A proxy that hides one path with a page must not make the object absent, which a listing shows.
func TestHiddenObjectIsNotAbsent(t *testing.T) {
	t.Parallel()
	s := &store{}
	b := open(t, options(t, s.serve(t)))
	put(t, b, "a", "x")
	s.fault = func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		hidden := strings.HasSuffix(r.URL.Path, "/o/a")
		if hidden {
			w.WriteHeader(http.StatusNotFound)
		}
		return hidden
	}
	for _, op := range []string{"get", "stat", "delete"} {
		expect(t, op, operations(b)[op](t.Context()), "is listed and cannot be found", "", true)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]gcs.Options{
		"is not the name of a bucket": {Bucket: "a/b"},
		"prefix":                      {Bucket: "a", Prefix: "/b/"},
		"not of the form http":        {Bucket: "a", Endpoint: "localhost:4443"},
		"has a path":                  {Bucket: "a", Endpoint: "http://localhost/gcs"},
		"read certificates":           {Bucket: "a", Endpoint: "http://localhost", CAFile: "/no/such/file"},
	} {
		o.Now = time.Now
		_, err := gcs.Open(t.Context(), o)
		var detail *storage.Error
		if !errors.As(err, &detail) || detail.Op != "open" || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	_, err := gcs.Open(t.Context(), gcs.Options{Bucket: "a", Endpoint: "http://user:secret@localhost", Now: time.Now})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the password of an endpoint: %v", err)
	}
}

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/faultproxy"
	"lifeboat/storage"
	"lifeboat/storage/retry"
	"lifeboat/storage/s3"
)

// failure is what an operation must fail with.
type failure struct {
	text, hint string
	transient  bool
	is         error
}

func (f failure) check(t *testing.T, op string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s succeeds", op)
		return
	}
	if !strings.Contains(err.Error(), f.text) {
		t.Errorf("%s: %v\nwant: %s", op, err, f.text)
	}
	if !strings.Contains(storage.Hint(err), f.hint) {
		t.Errorf("%s: hint %q\nwant: %s", op, storage.Hint(err), f.hint)
	}
	if storage.Transient(err) != f.transient {
		t.Errorf("%s: transient is %t: %v", op, !f.transient, err)
	}
	if f.is != nil && !errors.Is(err, f.is) {
		t.Errorf("%s: %v is not %v", op, err, f.is)
	}
	for _, never := range []error{storage.ErrNotFound, storage.ErrExists, storage.ErrRange} {
		if errors.Is(err, never) {
			t.Errorf("%s: %v reads as %v", op, err, never)
		}
	}
	if strings.Contains(err.Error()+storage.Hint(err), secretKey) {
		t.Errorf("%s: the secret is in %v", op, err)
	}
}

func TestRefusalsAreToldInPlainWords(t *testing.T) {
	t.Parallel()
	denied := fs.ErrPermission
	for _, c := range []struct {
		status        int
		code, message string
		want          failure
	}{
		{404, "NoSuchBucket", "The specified bucket does not exist", failure{text: "there is no bucket bucket", hint: "create the bucket"}},
		{403, "AccessDenied", "Access Denied", failure{text: "permission denied for s3:", hint: "allow the credentials s3:", is: denied}},
		{403, "InvalidAccessKeyId", "no", failure{text: "does not know the access key", hint: "endpoint", is: denied}},
		{403, "SignatureDoesNotMatch", "no", failure{text: "the secret key does not belong to the access key", hint: "proxy", is: denied}},
		{400, "ExpiredToken", "no", failure{text: "credentials have expired", hint: "renew", is: denied}},
		{301, "PermanentRedirect", "no", failure{text: "not in the region eu-west-1", hint: "set region"}},
		{403, "RequestTimeTooSkewed", "no", failure{text: "the clock of this machine", hint: "NTP", is: denied}},
		{403, "AccessDenied", "Access Denied because object protected by object lock.", failure{text: "under retention", hint: "wait", is: denied}},
		{503, "SlowDown", "Please reduce your request rate.", failure{text: "SlowDown (Please reduce your request rate)", transient: true}},
		{500, "InternalError", "We encountered an internal error.", failure{text: "InternalError", transient: true}},
		{400, "RequestTimeout", "idle", failure{text: "RequestTimeout", transient: true}},
		{409, "OperationAborted", "conflict", failure{text: "OperationAborted", transient: true}},
		{429, "TooManyRequests", "", failure{text: "TooManyRequests", transient: true}},
		{501, "NotImplemented", "A header you provided", failure{text: "lacks what is asked", hint: "If-None-Match"}},
		{403, "InvalidObjectState", "archived", failure{text: "must be restored"}},
		{507, "XMinioStorageFull", "full", failure{text: "full", hint: "more space"}},
		{400, "KMS.DisabledException", "the key is disabled", failure{text: "disabled", hint: "kms:GenerateDataKey", is: denied}},
		{400, "SomethingNew", "never heard of", failure{text: "the store answers SomethingNew (never heard of)"}},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			b := scripted(t, refuse(c.status, c.code, c.message), nil)
			for op, err := range operations(t, b) {
				if op != "stat" || c.status < 500 || c.code == "NotImplemented" {
					c.want.check(t, op, err)
				}
			}
		})
	}
}

func TestPermissionsAreNamed(t *testing.T) {
	t.Parallel()
	b := scripted(t, refuse(403, "AccessDenied", "Access Denied"), func(o *s3.Options) { o.Prefix = "pre/fix" })
	for op, want := range map[string]string{
		"put": "s3:PutObject on arn:aws:s3:::bucket/pre/fix/*", "put in parts": "s3:PutObject on arn:aws:s3:::bucket/pre/fix/*",
		"get": "s3:GetObject on arn:aws:s3:::bucket/pre/fix/*, and s3:ListBucket", "stat": "s3:GetObject", "get range": "s3:GetObject",
		"delete": "s3:DeleteObject on arn:aws:s3:::bucket/pre/fix/*", "list": "s3:ListBucket on arn:aws:s3:::bucket",
	} {
		failure{text: "permission denied", hint: want, is: fs.ErrPermission}.check(t, op, operations(t, b)[op])
	}
	_, err := b.AbortStale(t.Context(), "", time.Hour)
	failure{text: "permission denied", hint: "s3:ListBucketMultipartUploads"}.check(t, "abort", err)
}

func TestWebPagesAreNoAnswers(t *testing.T) {
	t.Parallel()
	for status, transient := range map[int]bool{200: false, 206: false, 204: false, 302: false, 403: false, 404: false, 412: false, 502: true, 503: true} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			b := scripted(t, page(status), nil)
			for op, err := range operations(t, b) {
				failure{text: "with status", transient: transient}.check(t, op, err)
			}
		})
	}
}

// Answers that say nothing at all, from something that is no S3 store.
func TestEmptyAnswersAreNoAnswers(t *testing.T) {
	t.Parallel()
	for status, transient := range map[int]bool{200: false, 404: false, 403: false, 400: false, 500: true} {
		b := scripted(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, nil)
		for op, err := range operations(t, b) {
			if op == "delete" && status == 200 {
				continue // what it should be
			}
			failure{text: "status", transient: transient}.check(t, op, err)
		}
	}
}

func TestSuccessThatHoldsAnErrorIsAnError(t *testing.T) {
	t.Parallel()
	b := scripted(t, refuse(200, "InternalError", "We encountered an internal error."), nil)
	for op, err := range operations(t, b) {
		if op != "delete" && op != "stat" { // an answer to HEAD holds nothing
			failure{text: "InternalError", transient: true}.check(t, op, err)
		}
	}
}

func TestRightRegionIsNamed(t *testing.T) {
	t.Parallel()
	inHeader := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", "ap-south-1")
		refuse(301, "PermanentRedirect", "use another endpoint")(w, r)
	}
	inDocument := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message><Region>ap-south-1</Region></Error>")
	}
	for _, handler := range []http.HandlerFunc{inHeader, inDocument} {
		for op, err := range operations(t, scripted(t, handler, nil)) {
			failure{text: "the bucket is in the region ap-south-1, not in eu-west-1", hint: "region: ap-south-1"}.check(t, op, err)
		}
	}
}

func TestClockThatIsOffIsToldWithBothClocks(t *testing.T) {
	t.Parallel()
	b := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Mon, 15 Jan 2024 12:00:00 GMT")
		refuse(403, "RequestTimeTooSkewed", "The difference is too large.")(w, r)
	}, func(o *s3.Options) {
		o.Now = func() time.Time { return time.Date(2024, 1, 15, 12, 20, 0, 0, time.UTC) }
	})
	for range 2 {
		for op, err := range operations(t, b) {
			failure{text: "off by 20m0s: it says 2024-01-15T12:20:00Z, and the store's 2024-01-15T12:00:00Z", hint: "set the clock"}.check(t, op, err)
		}
	}
}

func TestHTTPAgainstHTTPS(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(page(200))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(page(200))
	t.Cleanup(plain.Close)
	for _, c := range []struct {
		endpoint string
		want     failure
	}{
		{strings.Replace(secure.URL, "https:", "http:", 1), failure{text: "the endpoint is http and the store speaks https", hint: "https://"}},
		{strings.Replace(plain.URL, "http:", "https:", 1), failure{text: "the endpoint is https and the store speaks plain http", hint: "http://"}},
		{secure.URL, failure{text: "an authority that is not trusted here", hint: "ca_file"}},
	} {
		b := scripted(t, nil, func(o *s3.Options) { o.Endpoint = c.endpoint })
		// A server may cut the connection before its answer is read, which is passing.
		patient := retry.Wrap(b, retry.Options{Now: time.Now, MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, TotalTimeout: time.Minute})
		for op, err := range operations(t, hastyDelete{patient, b}) {
			if op != "delete" { // which Go's servers do not know for HTTP when they wait for TLS
				c.want.check(t, op, err)
			}
		}
	}
}

// hastyDelete is a bucket whose deletes are for another one.
type hastyDelete struct {
	storage.Bucket
	deletes storage.Bucket
}

func (b hastyDelete) Delete(ctx context.Context, key string) error { return b.deletes.Delete(ctx, key) }

func TestCAFileIsTrusted(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(refuse(404, "NoSuchKey", ""))
	t.Cleanup(secure.Close)
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pemOf(secure.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	b := scripted(t, nil, func(o *s3.Options) { o.Endpoint, o.CAFile = secure.URL, path })
	if _, err := read(t, b, "x", 0, -1); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestPlacesThatAreNotThere(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.Start(t, "http://127.0.0.1:1", nil)
	proxy.Leave(time.Hour) // and nobody else is given its port
	gone := proxy.URL()
	for endpoint, want := range map[string]failure{
		gone:                            {text: "connection refused", transient: true},
		"http://no-such-host.invalid:1": {text: "the host no-such-host.invalid is not known", hint: "endpoint"},
	} {
		b := scripted(t, nil, func(o *s3.Options) { o.Endpoint = endpoint })
		for op, err := range operations(t, b) {
			if op == "put" && want.transient {
				failure{text: "gave up after 1 attempts", transient: true}.check(t, op, err)
				continue
			}
			want.check(t, op, err)
		}
	}
}

func TestConnectionThatBreaksIsPassing(t *testing.T) {
	t.Parallel()
	b := scripted(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil)
	for op, err := range operations(t, b) {
		failure{transient: true}.check(t, op, err)
	}
}

func TestAbsenceNeedsTheStoresWord(t *testing.T) {
	t.Parallel()
	b := scripted(t, refuse(404, "NoSuchKey", "The specified key does not exist."), nil)
	errs := operations(t, b)
	for _, op := range []string{"get", "get range", "stat"} {
		if !errors.Is(errs[op], storage.ErrNotFound) {
			t.Errorf("%s: %v", op, errs[op])
		}
	}
	if errs["delete"] != nil {
		t.Errorf("delete: %v", errs["delete"])
	}
}

// A bucket whose store's HEAD is answered by a proxy, and whose store still has the object.
func TestHeadThatContradictsTheObjectIsPassing(t *testing.T) {
	t.Parallel()
	b := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Content-Range", "bytes 0-0/10")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "x")
	}, nil)
	_, err := b.Stat(t.Context(), "dir/x")
	failure{text: "refuses the head", transient: true}.check(t, "stat", err)
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]s3.Options{
		"is no name of a bucket":                  {Bucket: "a/b"},
		`"" is no name`:                           {},
		"listings have no order":                  {Bucket: "fast--usw2-az1--x-s3"},
		`prefix "/a"`:                             {Bucket: "b", Prefix: "/a"},
		`prefix "a/"`:                             {Bucket: "b", Prefix: "a/"},
		"at most 123 bytes":                       {Bucket: "b", Prefix: strings.Repeat("p", 124)},
		"must start with http":                    {Bucket: "b", Endpoint: "ftp://host"},
		"neither a user":                          {Bucket: "b", Endpoint: "https://me:" + secretKey + "@host"},
		"the endpoint is no URL":                  {Bucket: "b", Endpoint: "http://ho st:" + secretKey},
		"holds no certificate":                    {Bucket: "b", Region: "r", CAFile: empty},
		"ca_file: open /nowhere: no such file or": {Bucket: "b", Region: "r", CAFile: "/nowhere"},
	} {
		o.Now = time.Now
		_, err := s3.Open(t.Context(), o)
		failure{text: want}.check(t, "open", err)
	}
	if _, err := s3.Open(t.Context(), s3.Options{Bucket: "b", Region: "r"}); err == nil {
		t.Error("opened without a clock")
	}
}

func TestLogsAndErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := scripted(t, refuse(503, "SlowDown", "x"), func(o *s3.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Retry.TotalTimeout = time.Second
	})
	for _, err := range operations(t, b) {
		fmt.Fprintf(&log, "%v %+v %s\n", err, err, storage.Hint(err))
	}
	if !strings.Contains(log.String(), "retry storage operation") {
		t.Error("nothing was repeated")
	}
	if strings.Contains(log.String(), secretKey) || strings.Contains(log.String(), "Signature=") {
		t.Errorf("the log holds a secret:\n%s", &log)
	}
}

func TestStallEndsWithTheContext(t *testing.T) {
	t.Parallel()
	b := scripted(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Stat(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

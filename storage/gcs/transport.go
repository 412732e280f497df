package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"lifeboat/storage"
)

// taskKey is the key of a context's value that says what its requests are part of: an *upload or a *download.
type taskKey struct{}

// transport stands between the Google libraries and the network: it repeats the parts of an upload, keeps reads from
// being repeated, and refuses answers that cannot be the store's.
type transport struct {
	next http.RoundTripper // authenticates, and sends through a sender
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	switch task := req.Context().Value(taskKey{}).(type) {
	case *upload:
		return task.send(req, t.once)
	case *download:
		return task.send(req, t.once)
	}
	return t.once(req)
}

// once sends a request, tells of progress as its body goes out, and looks at the answer.
func (t *transport) once(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		told := req.Clone(req.Context())
		told.Body = &toldBody{req.Body, req.Context()}
		req = told
	}
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, blame(req.Context(), err)
	}
	if what := foreign(req, res); what != "" {
		_ = res.Body.Close() // of no use
		return nil, &foreignError{fmt.Sprintf("answered status %d with %s", res.StatusCode, what)}
	}
	return res, nil
}

// CloseIdleConnections passes on what http.Client.CloseIdleConnections asks for.
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// blame tells the trouble with credentials, which have errors of many types, from that of sending.
func blame(ctx context.Context, err error) error {
	var send *sendError
	if ctx.Err() != nil || errors.As(err, &send) {
		return err
	}
	return &credentialsError{cause: err}
}

// sender marks the errors of the network, of TLS and of HTTP.
type sender struct{ base *http.Transport }

func (s *sender) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := s.base.RoundTrip(req)
	if err != nil {
		return nil, &sendError{err}
	}
	return res, nil
}

func (s *sender) CloseIdleConnections() { s.base.CloseIdleConnections() }

// foreign says what is wrong with a successful answer that the store cannot have given, as a login page of a proxy.
func foreign(req *http.Request, res *http.Response) string {
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return ""
	}
	media := req.Method == http.MethodGet && req.URL.Query().Get("alt") == "media"
	switch {
	case media && res.Header.Get("X-Goog-Generation") == "":
		return "something that is no object"
	case !media && strings.HasPrefix(res.Header.Get("Content-Type"), "text/html"):
		return "an HTML page"
	}
	return ""
}

// toldBody tells of progress as a body is sent.
type toldBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *toldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		storage.Progress(b.ctx)
	}
	return n, err
}

// download is one attempt at reading an object. The Google library would open a body that broke again and again,
// without a pause; here the first error is the last.
type download struct {
	opened bool
	err    error // of the body
}

var errBroken = errors.New("the body was not read to its end")

func (d *download) send(req *http.Request, once func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	if d.opened {
		if d.err == nil {
			return nil, errBroken
		}
		return nil, d.err
	}
	d.opened = true
	stored := req.Clone(req.Context())
	stored.Header.Set("Accept-Encoding", "gzip") // what is stored compressed comes as it is, and ranges are of that
	res, err := once(stored)
	if err == nil {
		res.Body = &downloadBody{res.Body, d}
	}
	return res, err
}

// downloadBody remembers what a body broke with.
type downloadBody struct {
	io.ReadCloser
	download *download
}

func (b *downloadBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.download.err = &sendError{err}
	}
	return n, err
}

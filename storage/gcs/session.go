package gcs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/api/googleapi"

	"lifeboat/storage"
	"lifeboat/storage/retry"
)

const (
	answerLimit    = 1 << 20 // bytes of an answer to a part
	abandonTimeout = 3 * time.Second

	// The store says that it wants more by this header: "Range" is then what it has, see
	// https://cloud.google.com/storage/docs/performing-resumable-uploads.
	overrideHeader   = "X-Http-Status-Code-Override"
	resumeIncomplete = "308"
)

// upload is one resumable upload. Each of its requests is repeated here, with the patience of the bucket: to begin a
// session and to send a chunk of it are harmless when repeated, as the store passes over the bytes that it has.
type upload struct {
	bucket *Bucket
	key    string
	put    context.Context        // of the whole Put, whose caller is told of all progress
	begun  atomic.Pointer[string] // the URI of the session, once there is one; it is a secret
}

func (u *upload) send(req *http.Request, once func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	var answer *http.Response
	sent := int64(0) // bytes of this chunk that the store is known to have
	err := u.bucket.patiently(req.Context(), u.put, u.key, func(ctx context.Context) (err error) {
		answer, err = u.deliver(ctx, req, &sent, once) //nolint:bodyclose // its body is in memory
		return u.bucket.failed("put", u.key, err)
	})
	if err != nil {
		return nil, err
	}
	switch session := answer.Header.Get("Location"); {
	case u.begun.Load() == nil && session != "":
		u.begun.Store(&session)
	case u.begun.Load() != nil && (answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusGone):
		return nil, errForgotten
	}
	return answer, nil
}

// errForgotten says that a session has come to an end that we know nothing of: its object is there, or never will be.
var errForgotten = fmt.Errorf("the store has forgotten the upload: %w", storage.ErrUnavailable)

// deliver sends what is left of a chunk until the store has all of it, or the upload is over.
func (u *upload) deliver(ctx context.Context, req *http.Request, sent *int64, once func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	for {
		part, err := rest(ctx, req, *sent)
		if err != nil {
			return nil, err
		}
		answer, err := whole(part, once)
		if err != nil || !incomplete(answer) {
			return answer, err
		}
		had := *sent
		if *sent, err = persisted(req, answer, had); err != nil {
			return nil, err
		}
		switch {
		case *sent == req.ContentLength && !final(req):
			return answer, nil
		case *sent == req.ContentLength || *sent == had:
			return nil, fmt.Errorf("the store does not go on with the upload: %w", storage.ErrUnavailable)
		}
	}
}

// final reports whether a chunk is the last one.
func final(req *http.Request) bool {
	c, err := parseContentRange(req.Header.Get("Content-Range"))
	return err == nil && c.total != "*"
}

// patiently repeats an attempt to send something held in memory. Who waits for the whole put is told of its progress.
func (b *Bucket) patiently(ctx, put context.Context, key string, attempt func(context.Context) error) error {
	return retry.Do(ctx, b.opts.Retry, b.Location(), "put", key, func(once context.Context) error {
		return attempt(storage.WithProgress(once, func() {
			storage.Progress(once)
			storage.Progress(put)
		}))
	})
}

// rest is the request for what is left of a chunk.
func rest(ctx context.Context, req *http.Request, sent int64) (*http.Request, error) {
	part := req.Clone(ctx)
	if req.GetBody == nil {
		return part, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("read the chunk again: %w", err)
	}
	part.Body = body
	if sent == 0 {
		return part, nil
	}
	if _, err := io.CopyN(io.Discard, body, sent); err != nil {
		return nil, fmt.Errorf("read the chunk again: %w", err)
	}
	c, err := parseContentRange(req.Header.Get("Content-Range"))
	if err != nil {
		return nil, err
	}
	c.first += sent
	part.ContentLength -= sent
	part.Header.Set("Content-Range", c.String())
	part.GetBody = nil
	return part, nil
}

// whole sends a part and reads all of the answer, so that the attempt is over when it returns. Statuses that mean to
// try again are errors.
func whole(part *http.Request, once func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	res, err := once(part)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return nil, &sendError{err}
	}
	if passing(res.StatusCode) {
		return nil, googleapi.CheckResponseWithBody(res, text)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}

func incomplete(res *http.Response) bool {
	return res.StatusCode == http.StatusOK && res.Header.Get(overrideHeader) == resumeIncomplete
}

// persisted is how many bytes of the chunk the store says to have. It may keep less than was sent, though never less
// than it said before.
func persisted(req *http.Request, res *http.Response, sent int64) (int64, error) {
	c, err := parseContentRange(req.Header.Get("Content-Range"))
	if err != nil {
		return 0, err
	}
	end, err := parseHave(res.Header.Get("Range"))
	if err != nil {
		return 0, &foreignError{err.Error()}
	}
	if end < c.first+sent || end > c.first+req.ContentLength {
		return 0, fmt.Errorf("the store says to have %d bytes of an upload that has sent bytes %d to %d", end, c.first, c.first+req.ContentLength)
	}
	return end - c.first, nil
}

// abandon tells the store that a session is over, so that nothing of it can appear later. It is a courtesy: a session
// that nobody ends expires after a week.
func (u *upload) abandon() {
	session := u.begun.Load()
	if session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.put), abandonTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, *session, http.NoBody)
	if err != nil {
		return
	}
	if res, err := u.bucket.http.Do(req); err == nil {
		_ = res.Body.Close() // its status is 499 when all is well
	}
}

// contentRange is the header of that name of a chunk: the first byte, the last one, which is left out of an empty
// chunk, and the total, which is "*" until the end is known.
type contentRange struct {
	first, last int64
	total       string
}

var errContentRange = errors.New("malformed Content-Range")

func parseContentRange(header string) (contentRange, error) {
	text, ok := strings.CutPrefix(header, "bytes ")
	span, total, slash := strings.Cut(text, "/")
	if !ok || !slash {
		return contentRange{}, errContentRange
	}
	if span == "*" {
		at, err := strconv.ParseInt(total, 10, 64)
		if err != nil || at < 0 {
			return contentRange{}, errContentRange
		}
		return contentRange{first: at, last: at - 1, total: total}, nil
	}
	from, to, dash := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	if !dash || err1 != nil || err2 != nil || first < 0 || last < first {
		return contentRange{}, errContentRange
	}
	return contentRange{first, last, total}, nil
}

func (c contentRange) String() string {
	if c.first > c.last {
		return "bytes */" + c.total
	}
	return fmt.Sprintf("bytes %d-%d/%s", c.first, c.last, c.total)
}

// parseHave reads how many bytes an upload has from the Range header of the answer, "bytes=0-41"; none is zero.
func parseHave(header string) (int64, error) {
	if header == "" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(header, "bytes=0-")
	last, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || last < 0 || last == 1<<63-1 {
		return 0, fmt.Errorf("malformed range %q of an upload", header)
	}
	return last + 1, nil
}

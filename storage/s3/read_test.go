package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/retry"
	"lifeboat/storage/s3"
)

// object answers every GET in the same way.
func object(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"x"`)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnswersToRangesAreHeldAgainstTheQuestion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    failure
	}{
		"range ignored":      {object(200, "0123456789"), failure{text: "the store ignores the range", hint: "serves them"}},
		"another range":      {object(206, "01234", "Content-Range", "bytes 0-4/10"), failure{text: `answers with the range "bytes 0-4/10" to bytes=2-6`}},
		"longer range":       {object(206, "234567", "Content-Range", "bytes 2-7/10"), failure{text: "answers with the range"}},
		"shorter range":      {object(206, "234", "Content-Range", "bytes 2-4/10"), failure{text: "answers with the range"}},
		"garbled range":      {object(206, "23456", "Content-Range", "bytes 2-six/10"), failure{text: "answers with the range"}},
		"range past the end": {object(206, "23456", "Content-Range", "bytes 2-6/5"), failure{text: "answers with the range"}},
		"size unknown":       {object(206, "23456", "Content-Range", "bytes 2-6/*"), failure{text: "answers with the range"}},
		"short body":         {object(206, "234", "Content-Range", "bytes 2-6/10", "Content-Length", "5"), failure{text: "unexpected EOF", transient: true, is: io.ErrUnexpectedEOF}},
		"other length":       {object(206, "234", "Content-Range", "bytes 2-6/10", "Content-Length", "3"), failure{text: "answers with the range"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, scripted(t, c.handler, nil), "x", 2, 5)
			c.want.check(t, "get", err)
		})
	}
}

func TestShortBodyIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	b := scripted(t, object(200, "0123", "Content-Length", "10"), nil)
	text, err := read(t, b, "x", 0, -1)
	if text != "0123" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestStalledBodyIsResumed(t *testing.T) {
	t.Parallel()
	const size = 3 * mebibyte
	stalled := false
	_, o, server := meddling(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodGet || stalled {
			return false
		}
		stalled = true
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.Copy(w, noise(1, 1000))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	if err := open(t, options(server)).Put(t.Context(), "x", noise(1, size), storage.PutOptions{Size: size}); err != nil {
		t.Fatal(err)
	}
	b := retry.Wrap(open(t, o), retry.Options{Now: time.Now, AttemptTimeout: 500 * time.Millisecond, MinDelay: time.Millisecond})
	text, err := read(t, b, "x", 0, -1)
	want, _ := io.ReadAll(noise(1, size))
	if text != string(want) || err != nil || !stalled {
		t.Errorf("read %d bytes, %v", len(text), err)
	}
}

// flipped changes one byte of what passes through it.
type flipped struct{ http.ResponseWriter }

func (f flipped) Write(p []byte) (int, error) {
	p = slices.Clone(p)
	p[len(p)/2] ^= 1
	return f.ResponseWriter.Write(p)
}

func TestFlippedByteIsFoundByTheChecksum(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1000, 20 * mebibyte} {
		_, o, server := meddling(t, func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			if r.Method != http.MethodGet {
				return false
			}
			forward.ServeHTTP(flipped{w}, r)
			return true
		})
		if err := open(t, options(server)).Put(t.Context(), "x", noise(1, size), storage.PutOptions{Size: -1}); err != nil {
			t.Fatal(err)
		}
		patient := retry.Wrap(open(t, o), retry.Options{Now: time.Now})
		_, err := read(t, patient, "x", 0, -1)
		failure{text: "do not match the object's checksum", hint: "verify"}.check(t, "get", err)
		if !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("%v is not told apart from an outage", err)
		}
	}
}

func TestFlippedByteIsRefusedByTheStore(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1000, 20 * mebibyte} {
		_, o, server := meddling(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.Method == http.MethodPut {
				r.Body = io.NopCloser(&flippedReader{Reader: r.Body})
			}
			return false
		})
		o.Retry = impatient
		b := open(t, o)
		err := b.Put(t.Context(), "x", noise(1, size), storage.PutOptions{Size: size})
		failure{text: "gave up", transient: true}.check(t, "put", err)
		wantNothing(t, b, server)
	}
}

// flippedReader changes the first byte that passes.
type flippedReader struct {
	io.Reader
	done bool
}

func (f *flippedReader) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}

// listPage is a page of a listing in S3's form.
func listPage(truncated bool, token string, names ...string) string {
	var contents strings.Builder
	for _, name := range names {
		fmt.Fprintf(&contents, "<Contents><Key>%s</Key><LastModified>2024-01-15T00:00:00.000Z</LastModified><Size>1</Size></Contents>", name)
	}
	return fmt.Sprintf(`<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><EncodingType>url</EncodingType><IsTruncated>%t</IsTruncated>`+
		`<NextContinuationToken>%s</NextContinuationToken>%s</ListBucketResult>`, truncated, token, &contents)
}

func TestListingsThatProveNothing(t *testing.T) {
	t.Parallel()
	whole := listPage(false, "", "a", "b", "c")
	for name, c := range map[string]struct {
		body string
		want failure
	}{
		"out of order":     {listPage(false, "", "a", "c", "b"), failure{text: "lists objects out of order", hint: "general purpose"}},
		"twice":            {listPage(false, "", "a", "b", "b"), failure{text: "lists objects out of order"}},
		"no token":         {listPage(true, "", "a"), failure{text: "does not come to an end"}},
		"same page again":  {listPage(true, "next", "a"), failure{text: "lists objects out of order"}},
		"same empty page":  {listPage(true, "next"), failure{text: "does not come to an end"}},
		"cut off":          {whole[:len(whole)-len("</Contents></ListBucketResult>")], failure{text: "the answer is cut off", transient: true}},
		"cut at a tag":     {strings.TrimSuffix(whole, "</ListBucketResult>"), failure{text: "the answer is cut off", transient: true}},
		"no end told":      {strings.Replace(whole, "<IsTruncated>false</IsTruncated>", "", 1), failure{text: "does not come to an end"}},
		"nothing":          {"", failure{text: "none of S3"}},
		"another document": {"<?xml version=\"1.0\"?><html><body/></html>", failure{text: "web page"}},
		"an error":         {errorXML("SlowDown", "slow"), failure{text: "SlowDown", transient: true}},
		"bad encoding":     {listPage(false, "", "a%zz"), failure{text: "cannot be decoded"}},
		"no size":          {strings.ReplaceAll(whole, "<Size>1</Size>", ""), failure{text: "does not tell the size"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := scripted(t, object(200, c.body, "Content-Type", "application/xml"), nil)
			var last error
			for _, err := range b.List(t.Context(), "") {
				last = err
			}
			c.want.check(t, "list", last)
		})
	}
}

func TestNamesThatAreNoKeysAreLeftOut(t *testing.T) {
	t.Parallel()
	body := listPage(false, "", "p/", "p/.hidden", "p/a%2Fb", "p/c+d", "p/dir/", "p/z")
	b := scripted(t, object(200, body), func(o *s3.Options) { o.Prefix = "p" })
	var got []string
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, []string{"a/b", "z"}) {
		t.Errorf("listed %q", got)
	}
}

// Other tools store a report as what it is, when they copy a repository.
func TestObjectThatIsAPage(t *testing.T) {
	t.Parallel()
	b := scripted(t, object(200, "<html></html>", "Content-Type", "text/html", "X-Amz-Request-Id", "1"), nil)
	if text, err := read(t, b, "report.html", 0, -1); text != "<html></html>" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestObjectUnderRetention(t *testing.T) {
	t.Parallel()
	b := scripted(t, refuse(403, "AccessDenied", "Access Denied because object protected by object lock."), nil)
	failure{text: "under retention", hint: "wait"}.check(t, "delete", b.Delete(t.Context(), "x"))
}

func TestStoresThatTakeEverythingAreFound(t *testing.T) {
	t.Parallel()
	b := open(t, options(objectstore.S3(t)))
	put(t, b, "lifeboat.json", "document")
	if err := storage.ProveConditional(t.Context(), b, "lifeboat.json"); err != nil {
		t.Errorf("a real store: %v", err)
	}
	if err := storage.ProveConditional(t.Context(), b, "absent"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for name, wholeAnswer := range map[string]int{"": 200, " of large objects": 412} {
		b := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case publishes(r) && r.Method == http.MethodPut && wholeAnswer == 412:
				refuse(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")(w, r)
			case r.URL.RawQuery == "uploads=":
				_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
			case r.Method == http.MethodPost:
				_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
			default:
				object(200, "document")(w, r)
			}
		}, nil)
		err := storage.ProveConditional(t.Context(), b, "lifeboat.json")
		failure{text: "does not keep the condition of a conditional put" + name, hint: "If-None-Match", is: storage.ErrUnconditional}.check(t, "prove", err)
	}
}

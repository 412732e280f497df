package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"lifeboat/storage"
)

const (
	maxRefusal  = 64 << 10 // bytes read of an answer that refuses
	maxDocument = 32 << 20 // bytes of an answer in XML; a page of a listing has some hundred thousand
)

// refusal is an answer other than the one that the operation is to have, as an error.
type refusal struct {
	status  int
	code    string // of S3's document, or empty where there was none
	message string
	region  string // where the bucket is, if the answer tells
	page    bool   // HTML, which no S3 store sends
	text    string // the beginning of a body that is neither S3's document nor HTML
	date    time.Time
	signer  signer
}

// signer tells which credentials a request was signed with. It never gets into a text.
type signer struct{ accessKey, token string }

// errorDocument is S3's answer in case of an error.
type errorDocument struct {
	XMLName xml.Name `xml:"Error"`
	Code    string   `xml:"Code"`
	Message string   `xml:"Message"`
	Region  string   `xml:"Region"`
}

// inspectAnswers looks at each answer before the SDK does, which takes any XML or none for what it waits for.
func inspectAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("InspectAnswers", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if err != nil {
			return out, metadata, err
		}
		response, ok := out.RawResponse.(*smithyhttp.Response)
		if !ok {
			return out, metadata, fmt.Errorf("an answer of the type %T", out.RawResponse)
		}
		if err := judge(awsmiddleware.GetOperationName(ctx), response.Response); err != nil {
			return out, metadata, errors.Join(err, response.Body.Close())
		}
		return out, metadata, nil
	}), middleware.After)
}

// judge gives nil for an answer that is one of S3 and means success.
func judge(operation string, r *http.Response) error {
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return refused(r)
	}
	if root, ok := documents[operation]; ok {
		return judgeDocument(r, root)
	}
	tagged := r.Header.Get("ETag") != ""
	if isPage(r) || !tagged && operation != "DeleteObject" && operation != "AbortMultipartUpload" {
		return refused(r)
	}
	return nil
}

// documents are the answers in XML, by their root element.
var documents = map[string]string{
	"CreateMultipartUpload":   "InitiateMultipartUploadResult",
	"CompleteMultipartUpload": "CompleteMultipartUploadResult",
	"ListObjectsV2":           "ListBucketResult",
	"ListMultipartUploads":    "ListMultipartUploadsResult",
}

// judgeDocument reads an answer in XML to its end: S3 sends "200 OK" before it knows how the operation ends.
func judgeDocument(r *http.Response, root string) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDocument))
	if err != nil {
		return err
	}
	r.Body = readAgain{bytes.NewReader(body), r.Body}
	got, err := rootElement(body)
	switch {
	case got != root:
		return refused(r)
	case err != nil:
		return fmt.Errorf("the answer is cut off: %w", storage.ErrUnavailable)
	}
	return nil
}

// readAgain is a body that was read already.
type readAgain struct {
	io.Reader
	io.Closer
}

// rootElement names the first element of a document, and says whether all of it is well-formed.
func rootElement(document []byte) (name string, err error) {
	decoder := xml.NewDecoder(bytes.NewReader(document))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return name, nil
		}
		if err != nil {
			return name, err
		}
		if start, ok := token.(xml.StartElement); ok && name == "" {
			name = start.Name.Local
		}
	}
}

// refused makes an error of an answer, whatever it is.
func refused(r *http.Response) *refusal {
	a := &refusal{status: r.StatusCode, region: r.Header.Get("X-Amz-Bucket-Region"), page: isPage(r), signer: signerOf(r.Request)}
	if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		a.date = date
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxRefusal)) // what is cut off is not S3's document
	var document errorDocument
	if err := xml.Unmarshal(body, &document); err == nil && document.Code != "" {
		a.code, a.message, a.page = document.Code, legible(document.Message), false
		if document.Region != "" {
			a.region = document.Region
		}
		return a
	}
	if start := strings.ToLower(string(body[:min(len(body), 512)])); strings.Contains(start, "<html") {
		a.page = true
	}
	a.text = legible(string(body))
	return a
}

// isPage tells a web page from an object that other tools stored as one.
func isPage(r *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // one that is no media type is no page's
	return kind == "text/html" && r.Header.Get("X-Amz-Request-Id") == ""
}

// signerOf takes the credentials from the headers of a signed request.
func signerOf(r *http.Request) signer {
	if r == nil {
		return signer{}
	}
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	accessKey, _, _ := strings.Cut(scope, "/")
	return signer{accessKey, r.Header.Get("X-Amz-Security-Token")}
}

// legible shortens a text of the store to one line.
func legible(text string) string {
	const most = 200
	line := strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}

// Error is the answer in short; explain makes sentences of it.
func (a *refusal) Error() string {
	switch {
	case a.code != "" && a.message != "":
		return fmt.Sprintf("the store answers %s (%s)", a.code, strings.TrimSuffix(a.message, "."))
	case a.code != "":
		return "the store answers " + a.code
	case a.page:
		return fmt.Sprintf("a web page with status %d came in place of the store's answer", a.status)
	}
	return fmt.Sprintf("an answer with status %d came that is none of S3", a.status)
}

package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"

	"lifeboat/storage"
)

// errNoUpload says that the store does not know the parts of an object any more.
var errNoUpload = errors.New("no such upload")

var errDirectoryBucket = &trouble{
	text: "directory buckets (S3 Express) cannot hold a repository: their listings have no order",
	hint: "use a general purpose bucket",
}

// trouble is an error in plain words. What caused it can be found with errors.Is and errors.As, and is not shown.
type trouble struct {
	text, hint string
	cause      error
}

func (t *trouble) Error() string { return t.text }
func (t *trouble) Unwrap() error { return t.cause }

func hint(err error) string {
	var t *trouble
	if errors.As(err, &t) {
		return t.hint
	}
	return ""
}

// explain says in plain words what an error of the SDK means. The end of ctx goes before everything else.
func (b *Bucket) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	var known *trouble
	if errors.As(err, &known) || isAnswer(err) {
		return err
	}
	var answer *refusal
	if errors.As(err, &answer) {
		return b.explainAnswer(ctx, answer, permission(err))
	}
	var login *credentialsError
	if errors.As(err, &login) {
		return explainCredentials(login)
	}
	return b.explainTransport(err)
}

// isAnswer reports whether err is one that callers decide by.
func isAnswer(err error) bool {
	for _, answer := range []error{
		storage.ErrNotFound, storage.ErrExists, storage.ErrKey, storage.ErrRange, storage.ErrSize, storage.ErrUnavailable,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

func explainCredentials(err *credentialsError) error {
	if err.passing {
		return &trouble{text: "the credentials cannot be renewed now", cause: storage.ErrUnavailable}
	}
	return &trouble{
		text: "no credentials for the store are found",
		hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws (AWS_PROFILE), or give the machine a role;" +
			" mind that this program may run as another user than yours",
	}
}

// permission names what an operation of the SDK must be allowed.
func permission(err error) string {
	var operation *smithy.OperationError
	if !errors.As(err, &operation) {
		return ""
	}
	switch name := operation.Operation(); name {
	case "HeadObject", "GetObject":
		return "s3:GetObject"
	case "ListObjectsV2":
		return "s3:ListBucket"
	case "ListMultipartUploads":
		return "s3:ListBucketMultipartUploads"
	case "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload":
		return "s3:PutObject"
	default:
		return "s3:" + name
	}
}

// explainTransport is about requests that got no answer.
func (b *Bucket) explainTransport(err error) error {
	if t := b.explainTLS(err); t != nil {
		return t
	}
	var name *net.DNSError
	if errors.As(err, &name) && name.IsNotFound {
		return &trouble{
			text: fmt.Sprintf("the host %s is not known", name.Name), cause: name,
			hint: "look at endpoint and region in the configuration, and at the name service; stores that know no bucket in" +
				" the host's name need path_style: true",
		}
	}
	var passing *net.OpError
	switch {
	case errors.As(err, &passing):
		return &trouble{text: fmt.Sprintf("no connection with the store: %v", passing), cause: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.Is(err, io.EOF):
		return &trouble{text: "the connection ended before the answer", cause: errors.Join(err, storage.ErrUnavailable)}
	}
	return unwrapSDK(err)
}

// unwrapSDK takes off what the SDK and net/http put around errors, which names operation and place again.
func unwrapSDK(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return fmt.Errorf("no answer came: %w", request.Err)
	}
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		return operation.Unwrap()
	}
	return err
}

func (b *Bucket) explainTLS(err error) error {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &authority):
		return &trouble{
			text: "the store's certificate is signed by an authority that is not trusted here", cause: err,
			hint: "set ca_file to the authority's certificate, or add that to the system's",
		}
	case errors.As(err, &host):
		return &trouble{
			text: "the store's certificate is for another host: " + host.Error(), cause: err,
			hint: "look at endpoint in the configuration; a bucket's name with dots needs path_style: true",
		}
	case errors.As(err, &invalid):
		return &trouble{
			text: "the store's certificate is not valid: " + invalid.Error(), cause: err,
			hint: "look at the clock of this machine, and at the store's certificate",
		}
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return &trouble{text: "the endpoint is https and the store speaks plain http", hint: "write http:// in endpoint"}
	case strings.Contains(text, `malformed HTTP response "\x15\x03`):
		return needsHTTPS()
	}
	return nil
}

func needsHTTPS() error {
	return &trouble{text: "the endpoint is http and the store speaks https", hint: "write https:// in endpoint"}
}

// denied is an error that a permission is missing for.
func denied(text, hint string) error {
	return &trouble{text: text, hint: hint, cause: fs.ErrPermission}
}

package gcs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"

	"lifeboat/storage"
)

const (
	credentialsVariable = "GOOGLE_APPLICATION_CREDENTIALS"
	messageLimit        = 300 // bytes of a message of the store that are passed on
)

// sendError is an error of sending a request or of reading its answer: of the network, of TLS or of HTTP.
type sendError struct{ err error }

func (e *sendError) Error() string { return e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// credentialsError is an error of finding credentials, or of having a token made of them. Its text leaves out what the
// libraries say beyond the first line, which may be the whole answer of a server.
type credentialsError struct {
	cause error
	file  string // the file they come from, where that has just been read
}

func (e *credentialsError) Error() string {
	switch {
	case strings.Contains(e.cause.Error(), "could not find default credentials"):
		return "no credentials of Google Cloud were found"
	case e.file != "":
		return fmt.Sprintf("the credentials in the file %s cannot be used: %s", e.file, fileTrouble(e.file))
	default:
		return "no access token could be had: " + brief(e.cause.Error())
	}
}

// Unwrap lets the cause say whether it is passing, and nothing else.
func (e *credentialsError) Unwrap() error { return e.cause }

// fileTrouble says what is wrong with a file, and nothing of what is in it.
func fileTrouble(path string) string {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read it"
	case err != nil:
		return "it cannot be read"
	case !json.Valid(text):
		return "it is not JSON"
	}
	return "it is none of the kinds that the Google libraries know, or not whole"
}

// foreignError says that an answer cannot be the store's.
type foreignError struct{ what string }

func (e *foreignError) Error() string {
	return e.what + ": that is not Google Cloud Storage, but perhaps a proxy"
}

// brief is the first line of a message, and no more of it than anybody reads.
func brief(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > messageLimit {
		text = strings.ToValidUTF8(text[:messageLimit], "") + "..."
	}
	return text
}

// failed says which operation failed, why, and what can be done about it; nil stays nil, and what has been said is not
// said again.
func (b *Bucket) failed(op, key string, err error) error {
	var body *bodyError
	if errors.As(err, &body) {
		return &storage.Error{Op: op, Key: key, Location: b.Location(), Err: body}
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // its URL may be that of an upload's session, which is a secret
	}
	var said *storage.Error
	if err == nil || errors.As(err, &said) {
		return err
	}
	why := b.explain(op, err)
	return &storage.Error{Op: op, Key: key, Location: b.Location(), Err: why.err, Hint: why.hint}
}

// reason is an error in a sentence, and what can be done about it.
type reason struct {
	err  error
	hint string
}

// explain turns an error of the libraries into its reason.
func (b *Bucket) explain(op string, err error) reason {
	var credentials *credentialsError
	var foreign *foreignError
	var send *sendError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &credentials):
		return explainCredentials(credentials)
	case errors.As(err, &foreign):
		return reason{foreign, hintProxy}
	case errors.As(err, &send):
		return explainSend(send.err)
	case errors.As(err, &syntax):
		foreign = &foreignError{"answered with something that is not JSON"}
		return reason{foreign, hintProxy}
	}
	if answer, ok := answerIn(err); ok {
		return b.explainAnswer(op, answer)
	}
	return reason{err, ""}
}

func explainCredentials(e *credentialsError) reason {
	text := e.cause.Error()
	switch {
	case storage.Transient(e.cause) || passingText(text):
		return reason{fmt.Errorf("%w: %w", e, storage.ErrUnavailable), ""}
	case strings.Contains(e.Error(), "no credentials"):
		return reason{e, "set " + credentialsVariable + " to the path of a service account's key file or of a workload identity " +
			"federation's configuration, run `gcloud auth application-default login`, or give the machine a service account"}
	case strings.Contains(text, "iat and exp"), strings.Contains(text, "short-lived token"):
		return reason{e, "the clock of this machine is probably off: compare it with the time, and start a time service"}
	case e.file != "":
		return reason{e, "let " + credentialsVariable + " name the JSON file as it was made by Google Cloud, readable by this user"}
	case strings.Contains(text, "invalid_grant"):
		return reason{e, "the key or login was revoked or has expired: make a new one"}
	}
	return reason{e, "look whether the service account and its key still exist and are enabled"}
}

// passingText finds the errors of token servers that have no type to tell them by.
func passingText(text string) bool {
	for _, passing := range []string{": 500", ": 502", ": 503", ": 504", ": 429", "connection refused", "connection reset", "EOF"} {
		if strings.Contains(text, passing) {
			return true
		}
	}
	return false
}

func explainSend(err error) reason {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return reason{err, ""}
	}
	if hint, ok := certificateHint(err); ok {
		return reason{err, hint}
	}
	var name *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return reason{fmt.Errorf("there is no host %s: %w", name.Name, err), "look at endpoint and at the name service of this machine"}
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return reason{errors.New("the endpoint speaks http, not https"), "let endpoint start with http://, if that is an emulator"}
	case strings.Contains(err.Error(), `malformed HTTP response "\x15`):
		return reason{errHTTPS, hintHTTPS}
	case storage.Transient(err):
		return reason{err, ""}
	}
	return reason{fmt.Errorf("%w: %w", err, storage.ErrUnavailable), ""} // cut in one of HTTP's many ways
}

var errHTTPS = errors.New("the endpoint speaks https, not http")

const (
	hintHTTPS = "let endpoint start with https://"
	hintProxy = "look at endpoint and at the proxy settings (HTTPS_PROXY, NO_PROXY)"
)

func certificateHint(err error) (string, bool) {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &authority):
		return "name the file with the certificate of the authority that signed the server's as ca_file", true
	case errors.As(err, &host):
		return "let endpoint have a name that the server's certificate is for", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate has expired, or the clock of this machine is off", true
	case errors.As(err, &invalid), errors.As(err, &verification):
		return "the server's certificate is not valid", true
	}
	return "", false
}

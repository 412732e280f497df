package gcs

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/api/googleapi"

	"lifeboat/storage"
)

// permissions that the operations need, as roles of IAM grant them.
var permissions = map[string]string{
	"put": "storage.objects.create", "get": "storage.objects.get", "stat": "storage.objects.get",
	"list": "storage.objects.list", "delete": "storage.objects.delete",
}

// permissionName finds the permission that the store itself says is missing.
var permissionName = regexp.MustCompile(`\bstorage\.[a-z]+\.[a-zA-Z]+\b`)

// passing reports whether a status means to try again, see
// https://cloud.google.com/storage/docs/retry-strategy.
func passing(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// explainAnswer explains an answer of the store that is not a success, see
// https://cloud.google.com/storage/docs/json_api/v1/status-codes.
func (b *Bucket) explainAnswer(op string, e *googleapi.Error) reason {
	text := message(e)
	switch {
	case passing(e.Code):
		return reason{fmt.Errorf("status %d, %s: %w", e.Code, text, storage.ErrUnavailable), ""}
	case isPage(e):
		return reason{&foreignError{fmt.Sprintf("answered status %d with an HTML page", e.Code)}, hintProxy}
	case e.Code == http.StatusUnauthorized:
		return reason{fmt.Errorf("the credentials are not accepted, or have expired: %s", text), "renew the key or the login, and look at the clock of this machine"}
	case e.Code == http.StatusForbidden:
		return b.explainForbidden(op, e, text)
	case e.Code == http.StatusNotFound:
		return b.noBucket()
	case e.Code == http.StatusBadRequest:
		return explainBad(text)
	case e.Code == http.StatusPreconditionFailed:
		return reason{fmt.Errorf("refused by a constraint of the organization or a precondition: %s", text), "ask who administers the organization's policies"}
	case e.Code >= 300 && e.Code < 400:
		return reason{&foreignError{fmt.Sprintf("answered status %d, which leads elsewhere", e.Code)}, hintProxy}
	}
	return reason{fmt.Errorf("status %d: %s", e.Code, text), ""}
}

func (b *Bucket) explainForbidden(op string, e *googleapi.Error, text string) reason {
	switch {
	case hasReason(e, "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"):
		return reason{fmt.Errorf("%s: %w", text, storage.ErrUnavailable), ""}
	case hasReason(e, "retentionPolicyNotMet"), strings.Contains(text, "retention"):
		return reason{fmt.Errorf("the object is under retention and may be neither removed nor replaced yet: %s: %w", text, fs.ErrPermission),
			"wait until the retention is over"}
	case hasReason(e, "objectUnderActiveHold"), strings.Contains(text, " hold "):
		return reason{fmt.Errorf("the object is under a hold and may be neither removed nor replaced: %s: %w", text, fs.ErrPermission),
			"release the hold, if it is not meant to be"}
	case strings.Contains(text, "cloudkms"):
		return reason{fmt.Errorf("the encryption key cannot be used: %s: %w", text, fs.ErrPermission), hintKMS}
	case hasReason(e, "accountDisabled", "userProjectAccountProblem"), strings.Contains(text, "billing"):
		return reason{fmt.Errorf("the account of the project is disabled: %s: %w", text, fs.ErrPermission), "look at the project's billing"}
	}
	needed := permissionName.FindString(text)
	if needed == "" {
		needed = permissions[op]
	}
	return reason{fmt.Errorf("no permission %s: %s: %w", needed, text, fs.ErrPermission), b.hintPermission(op, needed)}
}

const hintKMS = "give the project's Cloud Storage service agent the role roles/cloudkms.cryptoKeyEncrypterDecrypter on the key, " +
	"which must be enabled and in the bucket's location"

func (b *Bucket) hintPermission(op, needed string) string {
	if op == "put" && needed == "storage.objects.delete" {
		return fmt.Sprintf("to replace an object takes the permission %s on gs://%s, too", needed, b.opts.Bucket)
	}
	return fmt.Sprintf("grant the credentials' account a role with %s on gs://%s, such as roles/storage.objectUser", needed, b.opts.Bucket)
}

func (b *Bucket) noBucket() reason {
	return reason{fmt.Errorf("there is no bucket %s", b.opts.Bucket),
		fmt.Sprintf("look at the name, or make it: gcloud storage buckets create gs://%s", b.opts.Bucket)}
}

func explainBad(text string) reason {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, "https"):
		return reason{errHTTPS, hintHTTPS}
	case strings.Contains(lower, "crc32c"):
		return reason{fmt.Errorf("the bytes were damaged on their way: %s: %w", text, storage.ErrUnavailable), ""}
	case strings.Contains(lower, "kms"), strings.Contains(lower, "cryptokey"):
		return reason{fmt.Errorf("the encryption key cannot be used: %s", text), hintKMS}
	}
	return reason{fmt.Errorf("the store takes the request for wrong: %s", text), ""}
}

// answerIn finds the store's answer in an error. The libraries leave those to reads as they came.
func answerIn(err error) (*googleapi.Error, bool) {
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		return nil, false
	}
	if answer.Message == "" && answer.Body != "" {
		response := &http.Response{StatusCode: answer.Code, Header: answer.Header}
		errors.As(googleapi.CheckResponseWithBody(response, []byte(answer.Body)), &answer)
	}
	return answer, true
}

func hasCode(err error, code int) bool {
	answer, ok := answerIn(err)
	return ok && answer.Code == code
}

// message is what the store says, in a line.
func message(e *googleapi.Error) string {
	switch {
	case e.Message != "":
		return brief(e.Message)
	case e.Body != "" && !isPage(e):
		return brief(e.Body)
	}
	return http.StatusText(e.Code)
}

// isPage reports whether an answer is for people to look at.
func isPage(e *googleapi.Error) bool {
	body := strings.ToLower(strings.TrimSpace(e.Body))
	return strings.HasPrefix(body, "<!doctype html") || strings.HasPrefix(body, "<html")
}

func hasReason(e *googleapi.Error, reasons ...string) bool {
	return slices.ContainsFunc(e.Errors, func(item googleapi.ErrorItem) bool { return slices.Contains(reasons, item.Reason) })
}

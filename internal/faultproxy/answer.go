package faultproxy

import (
	"fmt"
	"net/http"
)

const (
	plainText = "text/plain; charset=utf-8"
	htmlText  = "text/html; charset=utf-8"
	xmlText   = "application/xml"
)

// page is what gateways show to people.
const page = "<!DOCTYPE html>\n<html><head><title>%[1]s</title></head><body><h1>%[1]s</h1></body></html>\n"

// Unavailable answers 503 without a word that a store would say, as a load balancer does.
func Unavailable() Action {
	return answering("503", http.StatusServiceUnavailable, plainText, "no healthy upstream\n", nil)
}

// TooManyRequests answers 429, and says when to come back.
func TooManyRequests() Action {
	const body = `{"error":{"code":429,"message":"The rate of change requests is too high.","errors":[{"reason":"rateLimitExceeded"}]}}`
	return answering("429", http.StatusTooManyRequests, "application/json", body, http.Header{"Retry-After": {"1"}})
}

// SlowDown answers as S3 does when it throttles:
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func SlowDown() Action {
	return answering("SlowDown", http.StatusServiceUnavailable, xmlText, xmlError("SlowDown", "Please reduce your request rate."), nil)
}

// InternalError answers 500 as S3 does.
func InternalError() Action {
	return answering("500", http.StatusInternalServerError, xmlText, xmlError("InternalError", "We encountered an internal error."), nil)
}

// ErrorInOK answers 200 with an error in the body, as S3 does where it began to answer before it knew.
func ErrorInOK() Action {
	return answering("error in 200", http.StatusOK, xmlText, xmlError("InternalError", "We encountered an internal error."), nil)
}

// LoginPage answers 200 with a page for people, as the gateways of hotels and companies do.
func LoginPage() Action {
	return answering("page with 200", http.StatusOK, htmlText, fmt.Sprintf(page, "Please log in"), nil)
}

// LostPage answers 404 with a page for people: a gateway that does not know the store, which is no word about an object.
func LostPage() Action {
	return answering("page with 404", http.StatusNotFound, htmlText, fmt.Sprintf(page, "Not found"), nil)
}

func xmlError(code, message string) string {
	return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>"+
		"<RequestId>0</RequestId><HostId>0</HostId></Error>", code, message)
}

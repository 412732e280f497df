package faultproxy

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// Action is what a rule does to a request or its answer. The zero Action does nothing and never fires.
type Action struct {
	name string
	with string // what the action was given, for its rule's text
	// before comes before the server is asked, and reports whether it has ended the exchange.
	before func(x *exchange) bool
	// upload replaces the body of the request on its way to the server. It calls fire when the effect is felt.
	upload func(x *exchange, body io.Reader, fire func()) io.Reader
	// after comes once the server has answered, and reports whether it has ended the exchange.
	after func(x *exchange, answer *http.Response) bool
	// answer replaces the body of the answer on its way to the client. It calls fire when the effect is felt.
	answer func(x *exchange, answer *http.Response, body io.Reader, fire func()) io.Reader
}

// Delay lets the request wait before it goes to the server.
func Delay(d time.Duration) Action {
	return Action{name: "delay", with: d.String(), before: func(x *exchange) bool {
		x.pause(d)
		return false
	}}
}

// Reset resets the connection before the server hears of the request.
func Reset() Action {
	return Action{name: "reset", before: func(x *exchange) bool {
		x.sever(true)
		return true
	}}
}

// Close ends the connection before the server hears of the request, as a server does that shuts down.
func Close() Action {
	return Action{name: "close", before: func(x *exchange) bool {
		x.swallow()
		x.sever(false)
		return true
	}}
}

// LoseAnswer lets the server do what it was asked to, and resets the connection in place of its answer: the client
// cannot know.
func LoseAnswer() Action {
	return Action{name: "lose answer", after: func(x *exchange, answer *http.Response) bool {
		_, _ = io.Copy(io.Discard, answer.Body) // it is lost
		x.sever(true)
		return true
	}}
}

// Stall takes the request and never answers.
func Stall() Action {
	return Action{name: "stall", before: func(x *exchange) bool {
		x.swallow()
		x.hang()
		x.sever(true)
		return true
	}}
}

// StallLost is Stall, but that the server has done what it was asked to.
func StallLost() Action {
	return Action{name: "stall, done", after: func(x *exchange, answer *http.Response) bool {
		_, _ = io.Copy(io.Discard, answer.Body) // it is lost
		x.hang()
		x.sever(true)
		return true
	}}
}

// Leave makes the endpoint vanish for d, this request included; see Proxy.Leave. When the client learns of it nobody
// listens any more.
func Leave(d time.Duration) Action {
	return Action{name: "leave", with: d.String(), before: func(x *exchange) bool {
		x.proxy.Leave(d)
		x.sever(true)
		return true
	}}
}

// Answer answers in the server's place, which hears nothing of the request.
func Answer(status int, contentType, body string) Action {
	return answering("answer "+strconv.Itoa(status), status, contentType, body, nil)
}

func answering(name string, status int, contentType, body string, header http.Header) Action {
	return Action{name: name, before: func(x *exchange) bool {
		x.swallow()
		x.reply(status, contentType, body, header)
		return true
	}}
}

// reply writes an answer of the proxy's own.
func (x *exchange) reply(status int, contentType, body string, header http.Header) {
	for key, values := range header {
		x.w.Header()[key] = values
	}
	x.w.Header().Set("Content-Type", contentType)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = io.WriteString(x.w, body) // a client that is gone misses it
	}
}

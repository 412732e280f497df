package faultproxy

import (
	"io"
	"maps"
	"net"
	"net/http"
)

// chunk is how many bytes of a body are passed on at a time.
const chunk = 32 << 10

// exchange is one request on its way to the server, and the answer on its way back.
type exchange struct {
	proxy *Proxy
	w     http.ResponseWriter
	r     *http.Request
	rules []*state
}

// run lets the rules that are due have their way at each step.
func (x *exchange) run() {
	if x.before() {
		return
	}
	answer, err := x.proxy.upstream.RoundTrip(x.outgoing())
	if err != nil {
		x.sever(true)
		return
	}
	defer answer.Body.Close()
	if x.after(answer) {
		return
	}
	x.pass(answer)
}

// before reports whether a rule has answered the request, or has ended its connection.
func (x *exchange) before() bool {
	for _, r := range x.rules {
		if r.Action.before == nil {
			continue
		}
		r.fire()
		if r.Action.before(x) {
			return true
		}
	}
	return false
}

// after is before, once the server has done what it was asked to.
func (x *exchange) after(answer *http.Response) bool {
	for _, r := range x.rules {
		if r.Action.after == nil {
			continue
		}
		r.fire()
		if r.Action.after(x, answer) {
			return true
		}
	}
	return false
}

// outgoing is the request as the server gets it: as it came, but for the connection that it travels on.
func (x *exchange) outgoing() *http.Request {
	out := x.r.Clone(x.r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = x.proxy.target.Scheme, x.proxy.target.Host
	out.Host = x.r.Host
	out.Close = false
	out.Header.Del("Connection")
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // or the transport would name itself
	}
	out.Body = x.upload()
	if x.r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return out
}

// upload is the request's body as the rules leave it.
func (x *exchange) upload() io.ReadCloser {
	var body io.Reader = x.r.Body
	for _, r := range x.rules {
		if r.Action.upload != nil {
			body = r.Action.upload(x, body, r.fire)
		}
	}
	return io.NopCloser(body)
}

// pass sends the answer on to the client. One that breaks off, by a rule or of itself, ends the connection.
func (x *exchange) pass(answer *http.Response) {
	maps.Copy(x.w.Header(), answer.Header)
	x.w.Header().Del("Connection")
	if answer.ContentLength < 0 {
		x.w.Header().Del("Content-Length")
	}
	x.w.WriteHeader(answer.StatusCode)
	var body io.Reader = answer.Body
	for _, r := range x.rules {
		if r.Action.answer != nil {
			body = r.Action.answer(x, answer, body, r.fire)
		}
	}
	if err := x.send(body); err != nil {
		x.sever(false)
	}
}

// send writes body to the client as it comes.
func (x *exchange) send(body io.Reader) error {
	control := http.NewResponseController(x.w)
	buffer := make([]byte, chunk)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, failed := x.w.Write(buffer[:n]); failed != nil {
				return failed
			}
			if failed := control.Flush(); failed != nil {
				return failed
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sever ends the connection to the client without a further byte: by a reset, or as if all had been said.
func (x *exchange) sever(reset bool) {
	connection, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the connection is gone already, or goes now
	}
	if reset {
		lingerNot(connection)
	}
	_ = connection.Close() // that is the point
}

// lingerNot makes the close of a connection a reset.
func lingerNot(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the end is only more polite
	}
}

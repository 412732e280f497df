package faultproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// CutAnswer ends the connection after n bytes of the answer's body. An answer that is no longer stays whole.
func CutAnswer(n int64) Action {
	return Action{
		name: "cut answer", with: at(n),
		answer: func(_ *exchange, _ *http.Response, body io.Reader, fire func()) io.Reader {
			return &endingReader{body: body, left: n, fire: fire, end: func() {}}
		},
	}
}

// CutUpload resets both connections after n bytes of the request's body, so that the server has a part of it.
func CutUpload(n int64) Action {
	return Action{
		name: "cut upload", with: at(n),
		upload: func(_ *exchange, body io.Reader, fire func()) io.Reader {
			return &endingReader{body: body, left: n, fire: fire, end: func() {}}
		},
	}
}

// StallAnswer sends nothing more after n bytes of the answer's body, until the client goes away.
func StallAnswer(n int64) Action {
	return Action{
		name: "stall answer", with: at(n),
		answer: func(x *exchange, _ *http.Response, body io.Reader, fire func()) io.Reader {
			return &endingReader{body: body, left: n, fire: fire, end: x.hang}
		},
	}
}

func at(n int64) string { return fmt.Sprintf("at %d", n) }

// endingReader breaks off after some bytes.
type endingReader struct {
	body io.Reader
	left int64
	fire func()
	end  func() // comes before the end
}

func (r *endingReader) Read(p []byte) (int, error) {
	if r.left > 0 {
		n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
		r.left -= int64(n)
		return n, err
	}
	var one [1]byte
	if _, err := io.ReadFull(r.body, one[:]); err != nil {
		return 0, err // there was no more of it
	}
	r.fire()
	r.end()
	return 0, errCut
}

// SlowAnswer lets the first bytes of the answer's body trickle at so many bytes a second; a count below zero means all.
func SlowAnswer(bytesPerSecond, first int64) Action {
	return Action{
		name: "slow answer", with: fmt.Sprintf("%d bytes at %d a second", first, bytesPerSecond),
		answer: func(x *exchange, _ *http.Response, body io.Reader, fire func()) io.Reader {
			return newSlowReader(x, body, bytesPerSecond, first, fire)
		},
	}
}

// SlowUpload is SlowAnswer for the body of the request.
func SlowUpload(bytesPerSecond, first int64) Action {
	return Action{
		name: "slow upload", with: fmt.Sprintf("%d bytes at %d a second", first, bytesPerSecond),
		upload: func(x *exchange, body io.Reader, fire func()) io.Reader {
			return newSlowReader(x, body, bytesPerSecond, first, fire)
		},
	}
}

// slowReader pauses after every slice.
type slowReader struct {
	exchange *exchange
	body     io.Reader
	slice    int64         // bytes at a time
	pause    time.Duration // after each
	left     int64         // bytes that are slow; below zero: all
	fire     func()
	fired    bool
}

func newSlowReader(x *exchange, body io.Reader, rate, first int64, fire func()) *slowReader {
	slice := max(rate/20, 1)
	pause := time.Duration(float64(slice) / float64(rate) * float64(time.Second))
	return &slowReader{exchange: x, body: body, slice: slice, pause: pause, left: first, fire: fire}
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return r.body.Read(p)
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.slice)])
	if n == 0 {
		return n, err
	}
	if !r.fired {
		r.fired = true
		r.fire()
	}
	if r.left > 0 {
		r.left = max(r.left-int64(n), 0)
	}
	r.exchange.pause(r.pause)
	return n, err
}

// FlipAnswer inverts all bits of the byte at offset n in the body of an answer that carries an object. Answers in XML
// or JSON pass, for nothing but the connection's own encryption protects those.
func FlipAnswer(n int64) Action {
	return Action{
		name: FlippedAnswer, with: at(n),
		answer: func(_ *exchange, answer *http.Response, body io.Reader, fire func()) io.Reader {
			if !carriesObject(answer) {
				return body
			}
			return &flipReader{body: body, at: n, fire: fire}
		},
	}
}

// FlippedAnswer is the name that FlipAnswer has in Script.Fired.
const FlippedAnswer = "flip answer"

func carriesObject(answer *http.Response) bool {
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent {
		return false
	}
	kind := answer.Header.Get("Content-Type")
	for _, text := range []string{"xml", "json", "html"} {
		if strings.Contains(kind, text) {
			return false
		}
	}
	return true
}

// FlipUpload inverts all bits of the byte at offset n in the body of a request.
func FlipUpload(n int64) Action {
	return Action{
		name: "flip upload", with: at(n),
		upload: func(_ *exchange, body io.Reader, fire func()) io.Reader {
			return &flipReader{body: body, at: n, fire: fire}
		},
	}
}

// flipReader changes the byte at offset at.
type flipReader struct {
	body io.Reader
	at   int64 // bytes left until the one to change
	fire func()
}

func (r *flipReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if 0 <= r.at && r.at < int64(n) {
		p[r.at] ^= 0xff
		r.fire()
	}
	r.at -= int64(n)
	return n, err
}

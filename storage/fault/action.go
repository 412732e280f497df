package fault

import (
	"context"
	"io"
	"time"
)

// Action is what a rule does to an operation. The zero Action does nothing and never fires.
type Action struct {
	name string
	// before comes in place of the operation where it gives an error.
	before func(ctx context.Context) error
	// after comes once the operation succeeded, and its error is the result instead.
	after func() error
	// body replaces what is read: the body of a Put on its way in, that of a Get on its way out. It calls fire when
	// the effect is felt.
	body func(ctx context.Context, body io.Reader, fire func()) io.Reader
	// entries is how many entries a List yields before it ends with listErr, or as if complete where that is nil.
	cutList bool
	entries int64
	listErr error
}

// Fail makes the operation fail with err, and nothing is done.
func Fail(err error) Action {
	return Action{name: "fail", before: func(context.Context) error { return err }}
}

// Delay makes the operation start later.
func Delay(d time.Duration) Action {
	return Action{name: "delay", before: func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}
}

// Stall lets the operation hang until its context ends, and fails with the cause.
func Stall() Action {
	return Action{name: "stall", before: func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
}

// LoseResponse performs the operation, and fails with err if that succeeded: the caller cannot know.
func LoseResponse(err error) Action {
	return Action{name: "lose response", after: func() error { return err }}
}

// Crash calls f before the operation. The function ends the process, or whatever stands for it in the test; if it
// returns, the operation goes on.
func Crash(f func()) Action {
	return Action{name: "crash", before: func(context.Context) error {
		f()
		return nil
	}}
}

// CrashAfter calls f after the operation has succeeded, before its caller knows.
func CrashAfter(f func()) Action {
	return Action{name: "crash after", after: func() error {
		f()
		return nil
	}}
}

// Truncate ends the body after n bytes, and the entries of a List after n of them: with err, or, where that is nil, as
// if it were complete.
func Truncate(n int64, err error) Action {
	return Action{
		name: "truncate", cutList: true, entries: n, listErr: err,
		body: func(_ context.Context, body io.Reader, fire func()) io.Reader {
			end := err
			if end == nil {
				end = io.EOF
			}
			return &effectReader{body: body, at: n, end: func() error { return end }, fire: fire}
		},
	}
}

// StallBody lets the body hang after n bytes until the context ends.
func StallBody(n int64) Action {
	return Action{name: "stall body", body: func(ctx context.Context, body io.Reader, fire func()) io.Reader {
		hang := func() error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return &effectReader{body: body, at: n, end: hang, fire: fire}
	}}
}

// FlipByte inverts all bits of the body's byte at offset n.
func FlipByte(n int64) Action {
	return Action{name: "flip byte", body: func(_ context.Context, body io.Reader, fire func()) io.Reader {
		return &flipReader{body: body, at: n, fire: fire}
	}}
}

// effectReader passes on the bytes up to offset at, and ends there.
type effectReader struct {
	body  io.Reader
	at    int64 // bytes left until the effect
	end   func() error
	fire  func()
	fired bool
}

func (r *effectReader) Read(p []byte) (int, error) {
	if r.at > 0 {
		n, err := r.body.Read(p[:min(int64(len(p)), r.at)])
		r.at -= int64(n)
		return n, err
	}
	if !r.fired {
		r.fired = true
		r.fire()
	}
	return 0, r.end()
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

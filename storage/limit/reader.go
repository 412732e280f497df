package limit

import (
	"context"
	"io"
)

// reader lets a body through in slices.
type reader struct {
	ctx    context.Context
	body   io.Reader
	gauge  *gauge
	waited error // why waiting failed
}

// reader slows a body.
func (g *gauge) reader(ctx context.Context, body io.Reader) io.Reader {
	if g == nil {
		return body
	}
	slow := &reader{ctx: ctx, body: body, gauge: g}
	if seeker, ok := body.(io.Seeker); ok {
		return &seekableReader{reader: slow, Seeker: seeker}
	}
	return slow
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p[:min(len(p), r.gauge.slice)])
	if n == 0 {
		return n, err
	}
	if r.waited = r.gauge.wait(r.ctx, n); r.waited != nil {
		return 0, r.waited
	}
	return n, err
}

// seekableReader can be rewound by who repeats a Put.
type seekableReader struct {
	*reader
	io.Seeker
}

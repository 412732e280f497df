package stream

import (
	"context"
	"fmt"
)

// Drain ships what the spool holds, without any server, as after the loss of one. It returns nil when the repository has
// it all, and an error when ctx ended before or something could not be shipped. It is called once, in place of Run.
func (r *Receiver) Drain(ctx context.Context) error {
	defer r.spool.close()
	r.shipper.wind()
	if err := r.shipper.run(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if left := r.spool.waiting().count(); left > 0 {
		return fmt.Errorf("%d files of the spool %s could not be shipped: %s", left, r.o.Spool, r.Status().LastError)
	}
	return nil
}

// count is how many things are to be shipped.
func (w waiting) count() int {
	n := len(w.gaps) + len(w.histories) + len(w.closed)
	if w.current != nil {
		n++
	}
	return n
}

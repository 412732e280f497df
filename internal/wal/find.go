package wal

import "errors"

// FindFrom makes the first record that starts at lsn or after it the next one, for a place that need not be
// the start of a record (XLogFindNextRecord in xlogreader.c). Errors are those of Next.
func (r *Reader) FindFrom(lsn LSN) error {
	r.ReadFrom(lsn - lsn%PageSize)
	if err := r.skipContinuation(); err != nil {
		return err
	}
	for r.next < lsn {
		next, last := r.next, r.last
		if err := r.advance(); err != nil {
			return err
		}
		if r.record.LSN >= lsn {
			r.next, r.last = next, last
			return nil
		}
	}
	return nil
}

// skipContinuation moves next, the start of a page, behind the record that started on an earlier one.
func (r *Reader) skipContinuation() error {
	if err := r.pages.load(r.next); err != nil {
		return err
	}
	if r.pages.header.Flags&FlagContinuation == 0 {
		return nil
	}
	remaining := r.pages.header.Remaining
	for {
		rest, err := r.loadContinuation(r.next, r.next, remaining)
		if errors.Is(err, errOverwritten) {
			return nil
		}
		if err != nil {
			return err
		}
		remaining -= uint32(len(rest))
		if remaining == 0 {
			r.next += LSN(r.pages.header.Size()) + LSN(align8(uint64(len(rest))))
			return nil
		}
		r.next += PageSize
	}
}

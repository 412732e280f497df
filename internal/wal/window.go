package wal

// pageWindow holds the page that a Reader looks at, and what all pages of one cluster must agree on.
type pageWindow struct {
	source PageSource
	size   SegmentSize
	page   [PageSize]byte
	header PageHeader
	loaded bool // page holds what header says

	version  Version
	system   uint64
	latest   LSN // the furthest page seen, and its timeline
	timeline TimelineID
}

// forget drops what earlier pages said, for a fresh start elsewhere.
func (w *pageWindow) forget() { w.loaded, w.latest, w.timeline = false, 0, 0 }

// stale makes the next load read the page again.
func (w *pageWindow) stale() { w.loaded = false }

// load makes the page at lsn the current one and checks its header against its place and the pages before it
// (XLogReaderValidatePageHeader).
func (w *pageWindow) load(lsn LSN) error {
	if w.loaded && w.header.Address == lsn {
		return nil
	}
	w.loaded = false
	if err := w.source.ReadPage(lsn, w.page[:]); err != nil {
		return err
	}
	if reason := w.header.parse(w.page[:]); reason != "" {
		return corruptf(lsn, "%s", reason)
	}
	if err := w.check(lsn); err != nil {
		return err
	}
	w.loaded = true
	return nil
}

func (w *pageWindow) check(lsn LSN) error {
	h := &w.header
	switch {
	case h.Address != lsn:
		return corruptf(lsn, "page says that its place is %s", h.Address)
	case w.version != 0 && h.Version != w.version:
		return corruptf(lsn, "page is of version %d, those before are of version %d", h.Version, w.version)
	case lsn%LSN(w.size) == 0 && !h.Long():
		return corruptf(lsn, "first page of the segment has no long header")
	case h.Long() && h.SegmentSize != w.size:
		return corruptf(lsn, "page says that segments have %d bytes, not %d", h.SegmentSize, w.size)
	case h.Long() && w.system != 0 && h.SystemIdentifier != w.system:
		return corruptf(lsn, "page is of cluster %d, those before are of %d", h.SystemIdentifier, w.system)
	case lsn > w.latest && h.Timeline < w.timeline:
		return corruptf(lsn, "page is of timeline %d, one before it of %d", h.Timeline, w.timeline)
	}
	w.version = h.Version
	if h.Long() {
		w.system = h.SystemIdentifier
	}
	if lsn > w.latest {
		w.latest, w.timeline = lsn, h.Timeline
	}
	return nil
}

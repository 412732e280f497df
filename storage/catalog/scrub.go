package catalog

import "context"

// ScrubOptions say what to read.
type ScrubOptions struct {
	Cluster  string              // name; empty for all
	Backup   string              // label; empty for all objects of the cluster
	Parallel int                 // objects read at the same time; below one means two
	Progress func(ScrubProgress) // called from one goroutine at a time; may be nil
}

// ScrubProgress counts what was read up to now.
type ScrubProgress struct {
	Objects, ObjectsTotal int64
	Bytes, BytesTotal     int64
}

// ScrubReport is the result of reading every byte of every object.
type ScrubReport struct {
	Objects    int64    `json:"objects"`
	Bytes      int64    `json:"bytes"`
	Damaged    []Damage `json:"damaged"`
	Unknown    []string `json:"unknown"`    // keys that the format does not know
	Unfinished []string `json:"unfinished"` // labels that were started and have no record
}

// Damage is an object whose bytes are not what was stored, or that is missing though another one stands for it.
type Damage struct {
	Key    string `json:"key"`
	Kind   string `json:"kind"` // "document", "wal", "pack", "index", "evidence", "missing"
	Detail string `json:"detail"`
}

// Scrub reads and checks every byte of every object. An object that could not be read is an error, never a pass.
func (r *Repository) Scrub(ctx context.Context, opts ScrubOptions) (ScrubReport, error) {
	return ScrubReport{}, errUnwritten
}

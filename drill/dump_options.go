package drill

// DumpOptions say which databases a drill dumps into the repository.
type DumpOptions struct {
	All       bool     // all that take connections, but for templates
	Databases []string // by name
}

func (o DumpOptions) wanted() bool { return o.All || len(o.Databases) > 0 }

// DumpedDatabase is one database that the drill was to dump.
type DumpedDatabase struct {
	ID             string  `json:"id"` // of the dump; empty: there is none
	Database       string  `json:"database"`
	Bytes          int64   `json:"bytes"`        // of pg_dump's archive
	StoredBytes    int64   `json:"stored_bytes"` // in the repository
	SHA256         string  `json:"sha256"`       // of pg_dump's archive
	Tables         int     `json:"tables"`       // whose rows are in it
	Rows           int64   `json:"rows"`
	DumpSeconds    float64 `json:"dump_seconds"`
	RestoreSeconds float64 `json:"restore_seconds"`
	Result         Verdict `json:"result"` // of restoring it
	Why            string  `json:"why"`
}

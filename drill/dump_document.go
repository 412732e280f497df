package drill

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// Dump is the document about a logical dump in the repository. The names of its JSON are fixed.
type Dump struct {
	ID           string           `json:"-"`
	Drill        string           `json:"drill"` // its id
	Database     string           `json:"database"`
	PostgreSQL   string           `json:"postgres_version"`
	PgDump       string           `json:"pg_dump_version"`
	TargetLSN    wal.LSN          `json:"target_lsn"`  // the dump is of this moment
	TargetTime   time.Time        `json:"target_time"` // of the last transaction in it
	Encoding     string           `json:"encoding"`
	Collate      string           `json:"collate"`
	CType        string           `json:"ctype"`
	Archive      DumpContent      `json:"archive"`
	Globals      DumpContent      `json:"globals"`
	LargeObjects int64            `json:"large_objects"`
	Tables       []DumpTableCount `json:"tables"` // whose rows are in it
}

// DumpContent is what a part of a dump must be.
type DumpContent struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// DumpTableCount is a table with its rows.
type DumpTableCount struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
}

func (t DumpTableCount) String() string { return t.Schema + "." + t.Name }

// Rows is the number of rows in all tables.
func (u *Dump) Rows() int64 {
	var rows int64
	for _, t := range u.Tables {
		rows += t.Rows
	}
	return rows
}

// Open reads a part of the dump. io.EOF comes only where it was what the document says.
func (u *Dump) Open(ctx context.Context, c *catalog.Cluster, part catalog.DumpPart) (io.ReadCloser, error) {
	want := u.Archive
	if part == catalog.DumpGlobals {
		want = u.Globals
	}
	in, err := c.OpenDump(ctx, u.ID, part)
	if err != nil {
		return nil, err
	}
	return &provenDump{ReadCloser: in, counted: newCounted(nil), id: u.ID, want: want}, nil
}

// provenDump compares what was read with what it must be.
type provenDump struct {
	io.ReadCloser
	counted *counted
	id      string
	want    DumpContent
}

func (p *provenDump) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.counted.note(b[:n])
	if errors.Is(err, io.EOF) && p.counted.content() != p.want {
		return n, &catalog.DamagedError{Key: "dump " + p.id, Detail: "is not what its document stands for"}
	}
	return n, err
}

// counted sums up what is read through it.
type counted struct {
	in   io.Reader
	size int64
	sum  hash.Hash
}

func newCounted(in io.Reader) *counted { return &counted{in: in, sum: sha256.New()} }

func (c *counted) note(b []byte) {
	c.size += int64(len(b))
	c.sum.Write(b)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.note(b[:n])
	return n, err
}

func (c *counted) content() DumpContent {
	return DumpContent{Size: c.size, SHA256: hex.EncodeToString(c.sum.Sum(nil))}
}

// LoadDump reads the document about a dump. The error is storage.ErrNotFound where there is no such dump.
func LoadDump(ctx context.Context, c *catalog.Cluster, id string) (*Dump, error) {
	raw, err := c.Dump(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("dump %s: %w", id, err)
	}
	u := Dump{ID: id}
	if err := json.Unmarshal(raw, &u); err != nil {
		return nil, fmt.Errorf("dump %s: %w", id, err)
	}
	return &u, nil
}

// ListDumps reads the documents of all dumps, oldest first. Those that cannot be read are returned as problems, never left
// out in silence.
func ListDumps(ctx context.Context, c *catalog.Cluster) (dumps []*Dump, problems []error, err error) {
	ids, err := c.DumpIDs(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list dumps: %w", err)
	}
	for _, id := range ids {
		u, err := LoadDump(ctx, c, id)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		dumps = append(dumps, u)
	}
	return dumps, problems, nil
}

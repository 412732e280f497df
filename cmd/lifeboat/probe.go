package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

// probe tries every verb of a store on a small object of its own.
type probe struct {
	bucket *place
	now    func() time.Time
	key    string
	body   []byte

	ahead time.Duration // how far the store's clock is ahead of this machine's, after stat
}

// verb is one thing that a store must be able to do, or had better be.
type verb struct {
	name     string
	optional bool
	try      func(*probe, context.Context) error
}

// verbs are tried in this order: each of them works with what those before have left.
func verbs() []verb {
	return []verb{
		{name: "list", try: (*probe).list},
		{name: "absent object", try: (*probe).absent},
		{name: "put", try: (*probe).put},
		{name: "get", try: (*probe).get},
		{name: "stat", try: (*probe).stat},
		{name: "conditional create", try: (*probe).conditional},
		{name: "delete", optional: true, try: (*probe).delete},
	}
}

func newProbe(bucket *place, name string, now func() time.Time) *probe {
	return &probe{bucket: bucket, now: now, key: catalog.ProbePrefix + name, body: []byte("Lifeboat was here to see whether it can.\n")}
}

func (p *probe) list(ctx context.Context) error {
	for _, err := range p.bucket.List(ctx, catalog.ProbePrefix) {
		return err
	}
	return nil
}

// absent wants a clean absence: a store that answers otherwise makes a restore stop at the end of the WAL.
func (p *probe) absent(ctx context.Context) error {
	body, err := p.bucket.Get(ctx, p.key+".absent", 0, -1)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return errors.Join(fmt.Errorf("the store gives an object that nobody has put there: %s.absent", p.key), body.Close())
}

func (p *probe) put(ctx context.Context) error {
	return p.bucket.Put(ctx, p.key, bytes.NewReader(p.body), storage.PutOptions{Size: int64(len(p.body))})
}

func (p *probe) get(ctx context.Context) error {
	body, err := p.bucket.Get(ctx, p.key, 1, int64(len(p.body))-1)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err == nil && !bytes.Equal(got, p.body[1:]) {
		err = errors.New("the store gives other bytes than it was given")
	}
	return err
}

func (p *probe) stat(ctx context.Context) error {
	info, err := p.bucket.Stat(ctx, p.key)
	if err != nil {
		return err
	}
	if info.Size != int64(len(p.body)) {
		return fmt.Errorf("the store says that an object of %d bytes has %d", len(p.body), info.Size)
	}
	p.ahead = info.ModTime.Sub(p.now())
	return nil
}

func (p *probe) conditional(ctx context.Context) error {
	return p.bucket.proveConditional(ctx, p.key)
}

func (p *probe) delete(ctx context.Context) error { return p.bucket.Delete(ctx, p.key) }

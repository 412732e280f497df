// Package gcs keeps objects in a bucket of Google Cloud Storage, through its JSON API over HTTP.
//
// The object "a/b" of the repository at gs://bucket/prefix is the object "prefix/a/b" of that bucket. Conditional puts
// use the precondition that there is no live generation (ifGenerationMatch=0), see
// https://cloud.google.com/storage/docs/request-preconditions. Listings and reads after writes are strongly consistent
// there, so what is found absent is absent.
package gcs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	gcstorage "cloud.google.com/go/storage"

	"lifeboat/storage"
	"lifeboat/storage/retry"
)

// Options say where the objects are and how they are stored.
type Options struct {
	// Bucket is the name of the bucket, and Prefix what all names of objects in it start with, without slashes at its
	// ends; empty means the whole bucket.
	Bucket, Prefix string
	// Endpoint is the URL of another server with the same API, or empty for Google's. With http:// nothing is
	// authenticated, which is for emulators: a credential never travels in the clear.
	Endpoint string
	// CAFile names a PEM file with certificates to trust beside the system's.
	CAFile string
	// StorageClass and KMSKeyName are given to every object; empty means the bucket's defaults. A key's name has the form
	// projects/P/locations/L/keyRings/R/cryptoKeys/K.
	StorageClass, KMSKeyName string
	// EmulateConditional looks for the object before a conditional put, for stores that ignore preconditions. Two writers
	// at the same moment may both succeed there.
	EmulateConditional bool
	// Retry bounds the patience with objects and parts of them that are held in memory while they are sent. Its Now and
	// Log may be left out.
	Retry retry.Options
	// Now is the clock and must be given.
	Now func() time.Time
	// Log gets warnings about repeated requests; nil discards them.
	Log *slog.Logger
}

// Bucket is a storage.Bucket in Google Cloud Storage, safe for concurrent use. A put holds no more than two chunks of
// chunkSize bytes in memory.
type Bucket struct {
	opts    Options
	client  *gcstorage.Client
	http    *http.Client
	handle  *gcstorage.BucketHandle
	buffers buffers
}

var _ storage.Bucket = (*Bucket)(nil)

// Open finds the credentials and prepares a client; it asks the store nothing. Credentials are those of the Google
// libraries' own chain: the file that GOOGLE_APPLICATION_CREDENTIALS names (service account or workload identity
// federation), gcloud's application default ones, or the metadata server's. They are renewed as they expire.
//
// The bucket outlives ctx.
func Open(ctx context.Context, o Options) (*Bucket, error) {
	b := &Bucket{opts: o.withDefaults()}
	if err := b.connect(context.WithoutCancel(ctx)); err != nil {
		return nil, b.failed("open", "", err)
	}
	return b, nil
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retry.Now == nil {
		o.Retry.Now = o.Now
	}
	if o.Retry.Log == nil {
		o.Retry.Log = o.Log
	}
	return o
}

func (b *Bucket) connect(ctx context.Context) error {
	if err := b.opts.validate(); err != nil {
		return err
	}
	var err error
	if b.http, err = newHTTPClient(ctx, b.opts); err != nil {
		return err
	}
	if b.client, err = newClient(ctx, b.opts, b.http); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	// Only what is told here repeats: the chunks of an upload, and those by the transport.
	never := []gcstorage.RetryOption{gcstorage.WithPolicy(gcstorage.RetryAlways), gcstorage.WithErrorFunc(func(error) bool { return false })}
	b.handle = b.client.Bucket(b.opts.Bucket).Retryer(never...)
	return nil
}

func (o Options) validate() error {
	switch {
	case o.Bucket == "" || strings.Contains(o.Bucket, "/"):
		return fmt.Errorf("%q is not the name of a bucket", o.Bucket)
	case o.Prefix != "" && !storage.ValidKey(o.Prefix):
		return fmt.Errorf("prefix %q is not made of names joined by single slashes: %w", o.Prefix, storage.ErrKey)
	}
	return nil
}

// Close lets go of idle connections. The bucket must not be in use and cannot be used afterwards.
func (b *Bucket) Close() error {
	b.http.CloseIdleConnections()
	return b.client.Close()
}

// Location is the place as a URL that gsutil and gcloud understand.
func (b *Bucket) Location() string {
	if b.opts.Prefix == "" {
		return "gs://" + b.opts.Bucket
	}
	return "gs://" + b.opts.Bucket + "/" + b.opts.Prefix
}

// name is the name of the object that stands for a key, or what all those start with that stand for keys with a prefix.
func (b *Bucket) name(key string) string {
	if b.opts.Prefix == "" {
		return key
	}
	return b.opts.Prefix + "/" + key
}

func (b *Bucket) object(key string) *gcstorage.ObjectHandle { return b.handle.Object(b.name(key)) }

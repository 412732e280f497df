// Package s3 keeps objects in a bucket of Amazon S3 or of any store that speaks its protocol.
//
// What the driver asks of the store: PutObject and CompleteMultipartUpload with If-None-Match (or the operator's word
// that it may be emulated), ranged GetObject, HeadObject, ListObjectsV2 in bytewise order, DeleteObject, and multipart
// uploads. storage.ProveConditional tells whether a store keeps the first.
package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"lifeboat/storage"
	"lifeboat/storage/retry"
)

// maxPrefix leaves room for the longest key below the prefix: S3 allows 1024 bytes in all.
const maxPrefix = 1024 - storage.MaxKeyLength - 1

// Options say where the bucket is and how objects are stored in it.
type Options struct {
	// Bucket is the name of the bucket. Directory buckets (S3 Express) are refused, as their listings have no order.
	Bucket string
	// Prefix goes before every key, with a slash between. It has none at its ends, and may be empty.
	Prefix string
	// Endpoint is the URL of another store than Amazon's, http or https. Region is where the bucket is. Where they
	// are empty the SDK's own chain says it: environment, then profile.
	Endpoint, Region string
	// PathStyle puts the bucket's name into the path of the URL instead of the host's name.
	PathStyle bool
	// CAFile is a file of PEM certificates, which are trusted besides the system's.
	CAFile string
	// StorageClass, ServerSideEncryption ("AES256", "aws:kms") and KMSKeyID are sent with each new object, as they are,
	// unless they are empty.
	StorageClass, ServerSideEncryption, KMSKeyID string
	// EmulateConditional is the operator's word that nobody else writes at the same time, for a store that ignores
	// If-None-Match: a conditional Put then looks first, and writes without the condition.
	EmulateConditional bool
	// Credentials, where not nil, are used in place of the SDK's own chain: environment, profile, process, web identity,
	// role of the container or instance.
	Credentials aws.CredentialsProvider
	// Retry is the patience with each part of an object, and with a small object as a whole. Now and Log in it are set
	// from those below where they are nil.
	Retry retry.Options
	// Now is the clock and must be given.
	Now func() time.Time
	// Log gets warnings; nil discards them.
	Log *slog.Logger
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

func (o Options) validate() error {
	switch {
	case o.Now == nil:
		return errors.New("no clock is given")
	case o.Bucket == "" || strings.ContainsAny(o.Bucket, "/ \t\r\n?#@"):
		return fmt.Errorf("%q is no name of a bucket", o.Bucket)
	case strings.HasSuffix(o.Bucket, "--x-s3"):
		return errDirectoryBucket
	case o.Prefix != "" && (!storage.ValidKey(o.Prefix) || len(o.Prefix) > maxPrefix):
		return fmt.Errorf("prefix %q: it must be made of A-Z a-z 0-9 . _ - and single slashes inside, in at most %d bytes",
			o.Prefix, maxPrefix)
	case o.Endpoint != "":
		return validEndpoint(o.Endpoint)
	}
	return nil
}

// validEndpoint does not repeat what it refuses, as there may be a password in it.
func validEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return errors.New("the endpoint is no URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the endpoint must hold neither a user, nor a query, nor a fragment")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("the endpoint must start with http:// or https:// and a host's name")
	}
	return nil
}

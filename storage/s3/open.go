package s3

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"golang.org/x/sync/semaphore"

	"lifeboat/storage"
)

// usualRegion is what stores other than Amazon's expect in signatures unless they are told otherwise.
const usualRegion = "us-east-1"

// Bucket is a storage.Bucket in a bucket of S3. It needs no closing.
//
// It repeats parts of objects, and small objects whose fate is unknown; for everything else it is to be wrapped by
// retry.Wrap.
type Bucket struct {
	opts     Options
	location string
	prefix   string // of every key in the store: empty, or with a slash at its end
	client   *awss3.Client
	login    *login
	plain    bool // no checksums of the newer kind: the SDK's request_checksum_calculation is when_required
	endpoint string
	buffers  sync.Pool // of minPart bytes
	spare    *semaphore.Weighted
}

var _ storage.Bucket = (*Bucket)(nil)

// Open reads the SDK's configuration and makes a Bucket. It does not ask the store anything.
func Open(ctx context.Context, o Options) (*Bucket, error) {
	b := &Bucket{opts: o.withDefaults(), location: "s3://" + o.Bucket, spare: semaphore.NewWeighted(spareMemory)}
	if o.Prefix != "" {
		b.location += "/" + o.Prefix
		b.prefix = o.Prefix + "/"
	}
	if err := b.open(ctx); err != nil {
		return nil, b.failed(ctx, "open", "", err)
	}
	return b, nil
}

func (b *Bucket) open(ctx context.Context) error {
	if err := b.opts.validate(); err != nil {
		return err
	}
	client, err := httpClient(b.opts.CAFile)
	if err != nil {
		return err
	}
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(client), config.WithLogger(logging.Nop{})}
	if b.opts.Region != "" {
		load = append(load, config.WithRegion(b.opts.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return &trouble{
			text: "the configuration of the AWS SDK cannot be read", cause: err,
			hint: "look at the AWS_ variables of the environment, and at the files ~/.aws/config and ~/.aws/credentials",
		}
	}
	if err := b.region(&cfg); err != nil {
		return err
	}
	b.login = newLogin(b.opts.Credentials, b.opts.Now, load)
	b.plain = cfg.RequestChecksumCalculation == aws.RequestChecksumCalculationWhenRequired
	b.client = awss3.NewFromConfig(cfg, b.configure)
	if base := b.client.Options().BaseEndpoint; base != nil {
		b.endpoint = *base
	}
	return nil
}

// region makes sure that there is one.
func (b *Bucket) region(cfg *aws.Config) error {
	switch {
	case cfg.Region != "":
		return nil
	case b.opts.Endpoint != "" || cfg.BaseEndpoint != nil:
		cfg.Region = usualRegion
		return nil
	}
	return &trouble{
		text: "the region of the bucket is not known",
		hint: "set region in the configuration of the repository, or AWS_REGION",
	}
}

func (b *Bucket) configure(o *awss3.Options) {
	if b.opts.Endpoint != "" {
		o.BaseEndpoint = aws.String(b.opts.Endpoint)
	}
	o.UsePathStyle = o.UsePathStyle || b.opts.PathStyle
	o.Credentials = b.login.cache
	o.Retryer = aws.NopRetryer{}        // the retry package repeats
	o.DisableClockSkewCorrection = true // a clock that is off is told to the operator
	o.DisableLogOutputChecksumValidationSkipped = true
	o.APIOptions = append(o.APIOptions, inspectAnswers)
}

// Location is "s3://bucket/prefix".
func (b *Bucket) Location() string { return b.location }

// full is the name of an object in the store.
func (b *Bucket) full(key string) *string { return aws.String(b.prefix + key) }

// name is the bucket's name, as the SDK wants it.
func (b *Bucket) name() *string { return &b.opts.Bucket }

// failed wraps an error of an operation with its place and a hint; nil stays nil.
func (b *Bucket) failed(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	err = b.explain(ctx, err)
	return &storage.Error{Op: op, Key: key, Location: b.location, Err: err, Hint: hint(err)}
}

// checked gives ErrKey for a key that no object can have.
func checked(key string) error {
	if !storage.ValidKey(key) {
		return fmt.Errorf("%q: %w", key, storage.ErrKey)
	}
	return nil
}

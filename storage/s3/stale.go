package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lifeboat/storage"
)

// AbortStale removes the parts of objects that were never completed, below a prefix of keys as List takes it, whose upload
// began longer than age ago by the store's clock, and tells how many uploads those were. A day is an age that leaves
// alone what is still on its way. Parts cost money and cannot be seen in listings.
func (b *Bucket) AbortStale(ctx context.Context, prefix string, age time.Duration) (aborted int, err error) {
	if !storage.ValidPrefix(prefix) {
		return 0, b.failed(ctx, "abort", prefix, fmt.Errorf("%q: %w", prefix, storage.ErrKey))
	}
	aborted, err = b.abortStale(ctx, prefix, b.opts.Now().Add(-age))
	return aborted, b.failed(ctx, "abort", prefix, err)
}

func (b *Bucket) abortStale(ctx context.Context, prefix string, before time.Time) (aborted int, err error) {
	in := &awss3.ListMultipartUploadsInput{Bucket: b.name(), Prefix: b.full(prefix), EncodingType: types.EncodingTypeUrl}
	for {
		out, err := b.client.ListMultipartUploads(ctx, in)
		if err != nil {
			return aborted, err
		}
		n, err := b.abortUploads(ctx, *in.Prefix, out, before)
		aborted += n
		if err != nil || !aws.ToBool(out.IsTruncated) {
			return aborted, err
		}
		marker, err := decoded(aws.ToString(out.NextKeyMarker), out.EncodingType)
		switch {
		case err != nil:
			return aborted, err
		case marker == aws.ToString(in.KeyMarker) && aws.ToString(out.NextUploadIdMarker) == aws.ToString(in.UploadIdMarker):
			return aborted, errPages
		}
		in.KeyMarker, in.UploadIdMarker = &marker, out.NextUploadIdMarker
	}
}

// abortUploads removes those of one page that are old enough.
func (b *Bucket) abortUploads(
	ctx context.Context, prefix string, page *awss3.ListMultipartUploadsOutput, before time.Time,
) (aborted int, err error) {
	for _, upload := range page.Uploads {
		name, err := decoded(aws.ToString(upload.Key), page.EncodingType)
		switch {
		case err != nil:
			return aborted, err
		case upload.Initiated == nil || upload.UploadId == nil:
			return aborted, errors.New("the store does not tell when uploads began")
		case !strings.HasPrefix(name, prefix) || !upload.Initiated.Before(before):
			continue
		}
		if err := b.abort(ctx, &name, upload.UploadId); err != nil {
			return aborted, err
		}
		aborted++
	}
	return aborted, nil
}

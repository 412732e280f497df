package s3

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"lifeboat/storage"
)

// explainAnswer makes a sentence of an answer of the store that is none of success.
func (b *Bucket) explainAnswer(ctx context.Context, a *refusal, permission string) error {
	for _, explain := range []func() error{
		func() error { return verdict(a) },
		func() error { return b.aboutPlace(a) },
		func() error { return b.aboutLogin(ctx, a) },
		func() error { return b.aboutPermission(a, permission) },
		func() error { return b.aboutRequest(a) },
		func() error { return passing(a) },
		func() error { return b.aboutStranger(a) },
	} {
		if err := explain(); err != nil {
			return err
		}
	}
	return a
}

// verdict knows the answers that callers decide by.
func verdict(a *refusal) error {
	switch a.code {
	case "NoSuchKey":
		return &trouble{text: storage.ErrNotFound.Error(), cause: storage.ErrNotFound}
	case "PreconditionFailed":
		return &trouble{text: storage.ErrExists.Error(), cause: storage.ErrExists}
	case "InvalidRange":
		return &trouble{text: storage.ErrRange.Error(), cause: storage.ErrRange}
	case "ExistingObjectIsDirectory", "ObjectParentIsFile": // stores on a file system
		return fmt.Errorf("%w: %w", a, storage.ErrKey)
	}
	return nil
}

// passing knows the answers that may be others the next time.
func passing(a *refusal) error {
	switch a.code {
	case "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests",
		"RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict",
		"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return fmt.Errorf("%w: %w", a, storage.ErrUnavailable)
	}
	switch {
	case a.status == http.StatusNotImplemented:
		return nil
	case a.status >= 500, a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout:
		return fmt.Errorf("%w: %w", a, storage.ErrUnavailable)
	}
	return nil
}

// aboutPlace is about the wrong bucket, region or endpoint.
func (b *Bucket) aboutPlace(a *refusal) error {
	switch a.code {
	case "NoSuchBucket":
		return &trouble{
			text: fmt.Sprintf("there is no bucket %s", b.opts.Bucket),
			hint: "look at the url of the repository, or create the bucket: Lifeboat does not",
		}
	case "PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return b.elsewhere(a)
	}
	if a.status >= 300 && a.status < 400 && a.region != "" {
		return b.elsewhere(a)
	}
	return nil
}

func (b *Bucket) elsewhere(a *refusal) error {
	asked := b.client.Options().Region
	switch a.region {
	case "":
		return &trouble{
			text: fmt.Sprintf("the bucket is not in the region %s or at this endpoint: %v", asked, a),
			hint: "set region in the configuration to the one that the bucket is in",
		}
	case asked:
		return &trouble{
			text: fmt.Sprintf("the bucket is to be reached at another endpoint of the region %s", asked),
			hint: "leave endpoint out of the configuration, or set it to that of the bucket's region",
		}
	}
	return &trouble{
		text: fmt.Sprintf("the bucket is in the region %s, not in %s", a.region, asked),
		hint: fmt.Sprintf("set region: %s in the configuration of the repository", a.region),
	}
}

// aboutLogin is about credentials that are wrong, or right no more.
func (b *Bucket) aboutLogin(ctx context.Context, a *refusal) error {
	switch a.code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken":
		return b.stale(ctx, a, "the credentials have expired, and no newer ones are found",
			"renew them where they come from: Lifeboat reads them again by itself")
	case "InvalidAccessKeyId", "InvalidAccessKeyID":
		return b.stale(ctx, a, "the store does not know the access key",
			"look at the credentials, and whether they belong to this store (endpoint)")
	case "SignatureDoesNotMatch":
		return b.stale(ctx, a, "the secret key does not belong to the access key",
			"look at AWS_SECRET_ACCESS_KEY or the credentials file; a proxy that changes the request causes this, too")
	case "RequestTimeTooSkewed", "RequestExpired":
		return b.skewed(a)
	}
	return nil
}

// stale is passing when there are other credentials now.
func (b *Bucket) stale(ctx context.Context, a *refusal, text, hint string) error {
	if b.login.renewed(ctx, a.signer.accessKey, a.signer.token) {
		return &trouble{text: "the credentials have changed", cause: storage.ErrUnavailable}
	}
	return denied(text, hint)
}

func (b *Bucket) skewed(a *refusal) error {
	here := b.opts.Now().UTC()
	text := fmt.Sprintf("the clock of this machine, %s, differs from the store's", here.Format(time.RFC3339))
	if !a.date.IsZero() {
		off := here.Sub(a.date).Round(time.Second)
		text = fmt.Sprintf("the clock of this machine is off by %s: it says %s, and the store's %s",
			off, here.Format(time.RFC3339), a.date.UTC().Format(time.RFC3339))
	}
	return denied(text, "set the clock, and keep it right with NTP")
}

// aboutPermission is about what the credentials may not do.
func (b *Bucket) aboutPermission(a *refusal, permission string) error {
	guarded := strings.Contains(strings.ToLower(a.message), "object lock") || strings.Contains(strings.ToLower(a.message), "retention")
	switch {
	case guarded && (a.code == "AccessDenied" || a.code == "InvalidRequest") || a.code == "ObjectLocked":
		return denied("the object is under retention and may not be deleted or replaced yet",
			"wait until the retention (Object Lock) ends")
	case a.code == "AccountProblem" || a.code == "AllAccessDisabled" || a.code == "NotSignedUp":
		return denied(a.Error(), "look at the state of the account with the store's provider")
	case strings.HasPrefix(a.code, "KMS.") || strings.Contains(a.message, "kms:"):
		return denied(a.Error(), "allow the credentials kms:GenerateDataKey and kms:Decrypt on the key, and look whether it is enabled")
	case a.code == "AccessDenied", a.code == "Forbidden", a.code == "AllAccessDenied":
		return denied(fmt.Sprintf("permission denied for %s: %v", permission, a), b.allow(permission))
	}
	return nil
}

func (b *Bucket) allow(permission string) string {
	of := "arn:aws:s3:::" + b.opts.Bucket + "/" + b.prefix + "*"
	switch permission {
	case "s3:GetObject":
		return "allow the credentials s3:GetObject on " + of + ", and s3:ListBucket on the bucket, without which S3 says this of" +
			" absent objects, too"
	case "s3:ListBucket", "s3:ListBucketMultipartUploads":
		return "allow the credentials " + permission + " on arn:aws:s3:::" + b.opts.Bucket
	}
	return "allow the credentials " + permission + " on " + of
}

// aboutRequest is about what the store cannot do.
func (b *Bucket) aboutRequest(a *refusal) error {
	switch a.code {
	case "NoSuchUpload":
		return &trouble{
			text: "the parts stored so far have been removed by somebody else", cause: errNoUpload,
			hint: "let lifecycle rules remove incomplete uploads no earlier than after a week",
		}
	case "NotImplemented":
		return &trouble{
			text: fmt.Sprintf("the store lacks what is asked of it: %v", a),
			hint: "where it lacks If-None-Match, or newer checksums (AWS_REQUEST_CHECKSUM_CALCULATION=when_required), see the" +
				" documentation of the repository's settings",
		}
	case "InvalidObjectState":
		return &trouble{text: "the object is archived and must be restored before it can be read", hint: "restore it with the store's tools"}
	case "InvalidStorageClass":
		return &trouble{text: fmt.Sprintf("the store has no storage class %q", b.opts.StorageClass), hint: "look at storage_class in the configuration"}
	case "QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "NoSpaceLeftOnDevice":
		return &trouble{text: a.Error(), hint: "the store is full: give it more space, or expire old backups"}
	}
	return nil
}

// aboutStranger is about answers of something that is no S3 store.
func (b *Bucket) aboutStranger(a *refusal) error {
	switch {
	case a.code != "":
		return nil
	case strings.HasPrefix(b.endpoint, "http://") && a.status == http.StatusBadRequest && strings.Contains(strings.ToUpper(a.text), "HTTPS"):
		return needsHTTPS()
	}
	return &trouble{
		text: a.Error(),
		hint: "look whether endpoint is that of an S3 store, and whether a proxy (HTTPS_PROXY) or a login page is in between",
	}
}

package main

import (
	"context"
	"fmt"
	"os"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage"
	"lifeboat/storage/file"
	"lifeboat/storage/gcs"
	"lifeboat/storage/limit"
	"lifeboat/storage/retry"
	"lifeboat/storage/s3"
)

// place is the storage of a repository: as everything uses it, and the bare driver for what only that can do.
type place struct {
	storage.Bucket // the driver, within the limits, with the command's patience
	driver         storage.Bucket
	patience       retry.Options
}

// bucket opens the storage that the settings name.
func (a *app) bucket(ctx context.Context, settings *config.Config, u use) (*place, error) {
	driver, err := a.driver(ctx, settings, u)
	if err != nil {
		return nil, err
	}
	p := &place{Bucket: driver, driver: driver, patience: a.retryOptions(u)}
	if limits := settings.Repository.Limits; limits != (config.Limits{}) {
		p.Bucket = limit.Wrap(driver, limit.Options{
			Upload: int64(limits.Upload), Download: int64(limits.Download), Requests: float64(limits.Requests),
		})
	}
	p.Bucket = retry.Wrap(p.Bucket, p.patience)
	return p, nil
}

// proveConditional asks the store whether it creates objects only where there is none, by the object at key.
func (p *place) proveConditional(ctx context.Context, key string) error {
	return retry.Do(ctx, p.patience, p.Location(), "prove", key, func(ctx context.Context) error {
		return storage.ProveConditional(ctx, p.driver, key)
	})
}

func (a *app) driver(ctx context.Context, settings *config.Config, u use) (storage.Bucket, error) {
	switch place := settings.Repository.Place(); place.Scheme {
	case config.SchemeS3:
		return a.openS3(ctx, &settings.Repository, u)
	case config.SchemeGCS:
		return a.openGCS(ctx, &settings.Repository, u)
	default:
		return file.Open(place.Directory, file.Options{Now: a.now, Log: a.log})
	}
}

func (a *app) openS3(ctx context.Context, r *config.Repository, u use) (*s3.Bucket, error) {
	place, o := r.Place(), r.S3
	credentials, err := s3Credentials(ctx, o)
	if err != nil {
		return nil, err
	}
	return s3.Open(ctx, s3.Options{
		Bucket: place.Bucket, Prefix: place.Prefix, Endpoint: o.Endpoint.Value, Region: o.Region.Value, PathStyle: o.PathStyle,
		CAFile: o.CAFile.Value, StorageClass: o.StorageClass.Value, ServerSideEncryption: o.ServerSideEncryption.Value,
		KMSKeyID: o.KMSKeyID.Value, EmulateConditional: o.ConditionalCreate == config.Emulated, Credentials: credentials,
		Retry: a.retryOptions(u), Now: a.now, Log: a.log,
	})
}

// googleCredentials is the variable by which Google's libraries find a credentials file.
const googleCredentials = "GOOGLE_APPLICATION_CREDENTIALS"

func (a *app) openGCS(ctx context.Context, r *config.Repository, u use) (*gcs.Bucket, error) {
	place, o := r.Place(), r.GCS
	if o.CredentialsFile.Value != "" {
		// The file says itself of which kind it is, and only the library's own search reads every kind.
		if err := os.Setenv(googleCredentials, o.CredentialsFile.Value); err != nil {
			return nil, fmt.Errorf("name the credentials file: %w", err)
		}
	}
	return gcs.Open(ctx, gcs.Options{
		Bucket: place.Bucket, Prefix: place.Prefix, Endpoint: o.Endpoint.Value, CAFile: o.CAFile.Value,
		StorageClass: o.StorageClass.Value, KMSKeyName: o.KMSKeyName.Value, EmulateConditional: o.ConditionalCreate == config.Emulated,
		Retry: a.retryOptions(u), Now: a.now, Log: a.log,
	})
}

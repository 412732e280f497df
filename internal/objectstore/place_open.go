package objectstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"lifeboat/internal/pgtest"
	"lifeboat/storage"
	"lifeboat/storage/file"
	"lifeboat/storage/gcs"
	"lifeboat/storage/retry"
	"lifeboat/storage/s3"
)

// prefix is where in its bucket a repository lies.
const prefix = "backups/production"

// patience is long enough for a machine with much else to do.
func patience() retry.Options {
	return retry.Options{AttemptTimeout: time.Minute, TotalTimeout: 2 * time.Minute, Now: time.Now}
}

// prepare makes an empty place without keys.
func prepare(t testing.TB, store string) (about, error) {
	a := about{Store: store}
	switch store {
	case InS3:
		server, err := sharedS3()
		if err != nil {
			return a, err
		}
		bucket, err := server.newBucket(t)
		a.Endpoint, a.Region, a.AccessKey, a.SecretKey, a.Bucket = server.Endpoint, server.Region, server.AccessKey, server.SecretKey, bucket
		a.URL = "s3://" + bucket + "/" + prefix
		return a, err
	case InGCS:
		server, err := sharedGCS()
		if err != nil {
			return a, err
		}
		server.Bucket = bucketName()
		a.Endpoint, a.Bucket, a.URL = server.Endpoint, server.Bucket, "gs://"+server.Bucket+"/"+prefix
		return a, server.makeBucket(t.Context())
	default:
		a.Root = filepath.Join(pgtest.TempDir(t), "repository")
		a.URL = "file://" + a.Root
		if err := os.Mkdir(a.Root, 0o700); err != nil {
			return a, err
		}
		return a, giveAway(a.Root)
	}
}

func (a about) open(ctx context.Context) (*Place, error) {
	p := &Place{about: a}
	driver, err := a.driver(ctx)
	if err != nil {
		return nil, err
	}
	p.Bucket = retry.Wrap(driver, patience())
	if a.Keys != nil {
		p.Keys, err = a.Keys.read()
	}
	return p, err
}

func (a about) driver(ctx context.Context) (storage.Bucket, error) {
	switch a.Store {
	case InS3:
		return s3.Open(ctx, s3.Options{
			Bucket: a.Bucket, Prefix: prefix, Endpoint: a.Endpoint, Region: a.Region, PathStyle: true,
			Credentials: credentials.NewStaticCredentialsProvider(a.AccessKey, a.SecretKey, ""),
			Retry:       patience(), Now: time.Now,
		})
	case InGCS:
		return gcs.Open(ctx, gcs.Options{Bucket: a.Bucket, Prefix: prefix, Endpoint: a.Endpoint, Retry: patience(), Now: time.Now})
	default:
		return file.Open(a.Root, file.Options{})
	}
}

// YAML are the lines below "repository:" of a configuration that say where the place is.
func (p *Place) YAML(t testing.TB) string {
	t.Helper()
	a := p.about
	text := fmt.Sprintf("  url: %q\n", a.URL)
	switch a.Store {
	case InS3:
		path := filepath.Join(filepath.Dir(p.File), "credentials")
		login := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", a.AccessKey, a.SecretKey)
		if err := writePrivate(path, []byte(login)); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("  s3: {endpoint: %q, region: %q, path_style: true, credentials_file: %q}\n", a.Endpoint, a.Region, path)
	case InGCS:
		text += fmt.Sprintf("  gcs: {endpoint: %q}\n", a.Endpoint)
	}
	return text
}

// WriterYAML are the lines for the keys of a machine that makes backups, ReaderYAML with the identity besides.
func (p *Place) WriterYAML() string { return p.about.Keys.yaml("") }
func (p *Place) ReaderYAML() string {
	if !p.Sealed() {
		return ""
	}
	return p.about.Keys.yaml(fmt.Sprintf(", identity_file: %q", p.about.Keys.Identity))
}

// writePrivate makes a file of PostgreSQL's user that nobody else may read.
func writePrivate(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return giveAway(path)
}

func giveAway(path string) error {
	if user := pgtest.UnprivilegedUser(); user != nil {
		return os.Chown(path, int(user.Uid), int(user.Gid))
	}
	return nil
}

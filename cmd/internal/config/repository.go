package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"lifeboat/storage"
)

// Repository says where backups live, and with which keys.
type Repository struct {
	Name       Text        `yaml:"name"` // where there are several
	URL        Text        `yaml:"url"`
	S3         *S3         `yaml:"s3"`
	GCS        *GCS        `yaml:"gcs"`
	Encryption *Encryption `yaml:"encryption"`
	Signing    *Signing    `yaml:"signing"`
	Limits     Limits      `yaml:"limits"`

	place Place // what the URL says, once it is validated
}

// S3 holds the settings of s3:// repositories. What is left out is the SDK's own affair: environment, shared files,
// instance role.
type S3 struct {
	Endpoint             Text        `yaml:"endpoint"` // a URL, of another store than Amazon's
	Region               Text        `yaml:"region"`
	PathStyle            bool        `yaml:"path_style"`
	CAFile               Text        `yaml:"ca_file"`
	CredentialsFile      Text        `yaml:"credentials_file"` // in the form of ~/.aws/credentials
	Profile              Text        `yaml:"profile"`
	StorageClass         Text        `yaml:"storage_class"`
	ServerSideEncryption Text        `yaml:"server_side_encryption"` // AES256, aws:kms or aws:kms:dsse
	KMSKeyID             Text        `yaml:"kms_key_id"`
	ConditionalCreate    Conditional `yaml:"conditional_create"`
}

// GCS holds the settings of gs:// repositories. What is left out is taken from the application default credentials.
type GCS struct {
	Endpoint          Text        `yaml:"endpoint"`
	CAFile            Text        `yaml:"ca_file"`
	CredentialsFile   Text        `yaml:"credentials_file"` // of a service account or of workload identity
	StorageClass      Text        `yaml:"storage_class"`
	KMSKeyName        Text        `yaml:"kms_key_name"`
	ConditionalCreate Conditional `yaml:"conditional_create"`
}

// Limits bound what the commands ask of the store; zero means no limit.
type Limits struct {
	Upload   Rate      `yaml:"upload"`
	Download Rate      `yaml:"download"`
	Requests Frequency `yaml:"requests"`
}

// The schemes of repository URLs.
const (
	SchemeFile = "file"
	SchemeS3   = "s3"
	SchemeGCS  = "gs"
)

// Place is where a repository lies: a directory, or a prefix in a bucket.
type Place struct {
	Scheme    string
	Directory string // of file://, absolute and clean
	Bucket    string
	Prefix    string // without slashes at its ends; empty for the whole bucket
}

// Place returns what the URL says.
func (r *Repository) Place() Place { return r.place }

// mistake is an Error that stands where a value does.
func mistake(where Text, format string, args ...any) error {
	return &Error{At: where.At, Message: fmt.Sprintf(format, args...)}
}

func (r *Repository) validate() (err error) {
	if r.place, err = parsePlace(r.URL); err != nil {
		return err
	}
	for _, check := range []func() error{r.fillSections, r.checkS3, r.checkGCS, r.checkEncryption, r.checkSigning} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func parsePlace(where Text) (Place, error) {
	if where.Value == "" {
		return Place{}, &Error{Message: "repository.url is missing: name one such as file:///var/lib/lifeboat/repository, s3://bucket/prefix or gs://bucket/prefix"}
	}
	u, err := url.Parse(where.Value)
	if err != nil || strings.ContainsAny(where.Value, "?#") {
		return Place{}, mistake(where, "repository.url is not a URL such as s3://bucket/prefix")
	}
	if u.User != nil {
		return Place{}, mistake(where, "repository.url holds a user or a password: remove it, credentials have files of their own")
	}
	switch u.Scheme {
	case SchemeFile:
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return Place{}, mistake(where, "repository.url: %q names no absolute path: write three slashes, file:///an/absolute/path", where.Value)
		}
		return Place{Scheme: SchemeFile, Directory: filepath.Clean(u.Path)}, nil
	case SchemeS3, SchemeGCS:
		return parseBucket(where, u)
	}
	return Place{}, mistake(where, "repository.url: %q does not begin with file://, s3:// or gs://: write file:///an/absolute/path, s3://bucket/prefix or gs://bucket/prefix", where.Value)
}

// The rules for the names of buckets
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html,
// https://cloud.google.com/storage/docs/buckets#naming).
var (
	s3BucketName  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	gcsBucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)
	addressLike   = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
)

// maxPrefix leaves room for the longest key below the prefix: stores allow 1024 bytes in all.
const maxPrefix = 1024 - storage.MaxKeyLength - 1

func parseBucket(where Text, u *url.URL) (Place, error) {
	name, rule := s3BucketName, "3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit at both ends"
	if u.Scheme == SchemeGCS {
		name, rule = gcsBucketName, "3 to 63 lower-case letters, digits, dots, hyphens and underscores, a letter or digit at both ends"
	}
	switch {
	case u.Port() != "":
		return Place{}, mistake(where, "repository.url: %q names a port: the address of a store of your own belongs into 'endpoint', the URL has the bucket only", where.Value)
	case !name.MatchString(u.Host) || strings.Contains(u.Host, "..") || addressLike.MatchString(u.Host):
		return Place{}, mistake(where, "repository.url: %q is not the name of a bucket: that has %s", u.Host, rule)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" && !storage.ValidKey(prefix) {
		return Place{}, mistake(where, "repository.url: %q is not a prefix for objects: use letters, digits, '.', '_', '-' and single slashes, and no part that begins with a dot", prefix)
	}
	if len(prefix) > maxPrefix {
		return Place{}, mistake(where, "repository.url: the prefix has %d characters, and %d are the most", len(prefix), maxPrefix)
	}
	return Place{Scheme: u.Scheme, Bucket: u.Host, Prefix: prefix}, nil
}

// fillSections makes sections that were left out empty ones. Those of another kind of store than the URL's are checked and
// rest, so that changing the URL alone moves a configuration from one store to another.
func (r *Repository) fillSections() error {
	if r.S3 == nil {
		r.S3 = &S3{}
	}
	if r.GCS == nil {
		r.GCS = &GCS{}
	}
	return nil
}

func (r *Repository) checkS3() error {
	s := r.S3
	if err := checkEndpoint("repository.s3.endpoint", s.Endpoint, r.place); err != nil {
		return err
	}
	if err := checkFiles(file{"repository.s3.ca_file", s.CAFile}, file{"repository.s3.credentials_file", s.CredentialsFile}); err != nil {
		return err
	}
	switch s.ServerSideEncryption.Value {
	case "", "AES256", "aws:kms", "aws:kms:dsse":
	default:
		return mistake(s.ServerSideEncryption, "repository.s3.server_side_encryption is AES256, aws:kms or aws:kms:dsse, not %q", s.ServerSideEncryption.Value)
	}
	if s.KMSKeyID.Value != "" && !strings.HasPrefix(s.ServerSideEncryption.Value, "aws:kms") {
		return mistake(s.KMSKeyID, "repository.s3.kms_key_id is used with server_side_encryption: aws:kms only, so set that too")
	}
	return nil
}

func (r *Repository) checkGCS() error {
	g := r.GCS
	if err := checkEndpoint("repository.gcs.endpoint", g.Endpoint, r.place); err != nil {
		return err
	}
	return checkFiles(file{"repository.gcs.ca_file", g.CAFile}, file{"repository.gcs.credentials_file", g.CredentialsFile})
}

func checkEndpoint(what string, where Text, place Place) error {
	if where.Value == "" {
		return nil
	}
	u, err := url.Parse(where.Value)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return mistake(where, "%s: %q is not a URL that begins with https:// or http://", what, withoutUser(where.Value))
	case u.User != nil:
		return mistake(where, "%s holds a user or a password: remove it, credentials have files of their own", what)
	case u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" && strings.Trim(u.Path, "/") == place.Bucket:
		return mistake(where, "%s is the address of the store alone, without the bucket: https://%s", what, u.Host)
	}
	return nil
}

// withoutUser keeps what may be a password out of messages.
func withoutUser(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

// file is a setting that names a file.
type file struct {
	what string
	path Text
}

func checkFiles(files ...file) error {
	for _, f := range files {
		if f.path.Value != "" && !filepath.IsAbs(f.path.Value) {
			return mistake(f.path, "%s: %q is not an absolute path", f.what, f.path.Value)
		}
	}
	return nil
}

package config

import (
	"errors"
	"strings"
	"testing"

	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/catalog/sign"
)

const clusters = "\nclusters: {main: {}}\n"

func parseRepository(t *testing.T, text string) *Repository {
	t.Helper()
	c, err := Parse("f.yaml", []byte("repository: "+text+clusters))
	if err != nil {
		t.Fatal(err)
	}
	return &c.Repository
}

// recipient makes a public key.
func recipient(t *testing.T, postQuantum bool) string {
	t.Helper()
	_, public, err := seal.Generate(postQuantum)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// publicKey makes a minisign key and returns the line of its public half.
func publicKey(t *testing.T) string {
	t.Helper()
	_, file, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	return lines[len(lines)-1]
}

func TestTheURLSaysWhereTheRepositoryIs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Place{
		"file:///var/lib//x/": {Scheme: SchemeFile, Directory: "/var/lib/x"},
		"s3://bucket":         {Scheme: SchemeS3, Bucket: "bucket"},
		"s3://my.bucket/a/b/": {Scheme: SchemeS3, Bucket: "my.bucket", Prefix: "a/b"},
		"gs://my_bucket/a":    {Scheme: SchemeGCS, Bucket: "my_bucket", Prefix: "a"},
	} {
		if got := parseRepository(t, "{url: '"+text+"'}").Place(); got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestEverySettingOfAStoreIsRead(t *testing.T) {
	t.Parallel()
	r := parseRepository(t, `
  url: s3://bucket/p
  s3: {endpoint: "https://minio.example:9000", region: eu-west-1, path_style: true, ca_file: /ca.pem, credentials_file: /c, profile: p,
       storage_class: STANDARD_IA, server_side_encryption: "aws:kms", kms_key_id: k, conditional_create: emulated}
  encryption: {recipients: [`+recipient(t, false)+", "+recipient(t, false)+`], identity_file: /identity.txt}
  signing: {key_file: /signing, public_keys: [`+publicKey(t)+`]}
  limits: {upload: 50MB/s, download: 1.5GiB/s, requests: 100/s}`)
	if r.S3.ConditionalCreate != Emulated || r.S3.Endpoint.Value != "https://minio.example:9000" || r.S3.KMSKeyID.Value != "k" {
		t.Errorf("s3: %+v", r.S3)
	}
	if len(r.Recipients().Strings()) != 2 || r.IdentityFile() != "/identity.txt" || r.SigningKeyFile() != "/signing" || len(r.Trusted()) != 1 {
		t.Errorf("keys: %+v, %+v", r.Encryption, r.Signing)
	}
	if r.Limits != (Limits{Upload: 50e6, Download: 3 << 29, Requests: 100}) {
		t.Errorf("limits: %+v", r.Limits)
	}
	g := parseRepository(t, "{url: 'gs://bucket', gcs: {endpoint: 'http://127.0.0.1:4443', kms_key_name: k, conditional_create: required}}")
	if g.GCS.KMSKeyName.Value != "k" || g.GCS.ConditionalCreate != Required || g.Recipients() != nil || g.Trusted() != nil {
		t.Errorf("gcs: %+v", g.GCS)
	}
}

func TestAMistakeAboutTheRepositoryIsOneSentenceWithItsPlace(t *testing.T) {
	t.Parallel()
	good := recipient(t, false)
	typo := good[:20] + flipped(good[20]) + good[21:]
	for name, tc := range map[string]struct{ text, want string }{
		"no URL":                       {"{s3: {region: x}}", "repository.url is missing"},
		"another scheme":               {"{url: 'https://bucket'}", "does not begin with file://, s3:// or gs://"},
		"password in the URL":          {"{url: 's3://key:hunter2@bucket/p'}", "f.yaml:1:19: repository.url holds a user or a password"},
		"query in the URL":             {"{url: 's3://bucket/p?region=x'}", "is not a URL such as"},
		"port in the URL":              {"{url: 's3://localhost:9000/bucket'}", "belongs into 'endpoint'"},
		"upper case in a bucket":       {"{url: 's3://Bucket/p'}", `"Bucket" is not the name of a bucket: that has 3 to 63`},
		"underscore in a bucket of S3": {"{url: 's3://my_bucket/p'}", "is not the name of a bucket"},
		"address as a bucket":          {"{url: 's3://10.0.0.1/p'}", "is not the name of a bucket"},
		"no bucket":                    {"{url: 's3:///p'}", "is not the name of a bucket"},
		"hidden part in the prefix":    {"{url: 'gs://bucket/a/../b'}", "is not a prefix"},
		"space in the prefix":          {"{url: 'gs://bucket/my backups'}", "is not a prefix"},
		"long prefix":                  {"{url: 's3://bucket/" + strings.Repeat("p", 200) + "'}", "the prefix has 200 characters"},
		"endpoint without scheme":      {"{url: 's3://bucket', s3: {endpoint: 'minio:9000'}}", `"minio:9000" is not a URL that begins with https:// or http://`},
		"endpoint with a password":     {"{url: 's3://bucket', s3: {endpoint: 'https://a:hunter2@minio'}}", "endpoint holds a user or a password"},
		"endpoint with the bucket":     {"{url: 's3://bucket', s3: {endpoint: 'https://minio/bucket'}}", "without the bucket: https://minio"},
		"relative CA file":             {"{url: 's3://bucket', s3: {ca_file: ca.pem}}", "f.yaml:1:48: repository.s3.ca_file: \"ca.pem\" is not an absolute path"},
		"odd encryption of S3":         {"{url: 's3://bucket', s3: {server_side_encryption: yes please}}", "is AES256, aws:kms or aws:kms:dsse"},
		"KMS key without KMS":          {"{url: 's3://bucket', s3: {kms_key_id: k}}", "set that too"},
		"odd conditional create":       {"{url: 's3://bucket', s3: {conditional_create: no}}", "required or emulated, not \"no\""},
		"unknown setting of a store":   {"{url: 's3://bucket', s3: {regoin: x}}", `unknown field "regoin"`},
		"recipient with a typo":        {"{url: 'file:///r', encryption: {recipients: [" + good + ", " + typo + "]}}", "number 2 of 2 (" + typo[:12] + "…): its checksum does not hold"},
		"identity as a recipient":      {"{url: 'file:///r', encryption: {recipients: [AGE-SECRET-KEY-1QQ]}}", "number 1 of 1: this is an identity, which is a secret"},
		"recipient twice":              {"{url: 'file:///r', encryption: {recipients: [" + good + ", " + good + "]}}", "is named twice"},
		"mixed with post-quantum":      {"{url: 'file:///r', encryption: {recipients: [" + good + ", " + recipient(t, true) + "]}}", "cannot be mixed"},
		"no recipients":                {"{url: 'file:///r', encryption: {recipients: []}}", "names no recipients"},
		"relative identity file":       {"{url: 'file:///r', encryption: {identity_file: i}}", "is not an absolute path"},
		"signing without keys":         {"{url: 'file:///r', signing: {}}", "neither a key_file to sign with nor public_keys"},
		"public key with a typo":       {"{url: 'file:///r', signing: {public_keys: [RWQnope]}}", "public_keys: number 1 of 1: "},
		"limit without unit":           {"{url: 'file:///r', limits: {upload: 50}}", `"50" is not a rate`},
		"limit in bits":                {"{url: 'file:///r', limits: {upload: 50Mb/s}}", "is not a rate"},
		"limit of nothing":             {"{url: 'file:///r', limits: {requests: 0/s}}", "is not a number of requests per second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f.yaml", []byte("repository: "+tc.text+clusters))
			var located *Error
			if !errors.As(err, &located) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("says %v, not %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "AGE-SECRET") || strings.Contains(err.Error(), "\n") {
				t.Errorf("a secret, or more than a sentence: %v", err)
			}
		})
	}
}

// flipped is another character of the alphabet of recipients.
func flipped(c byte) string {
	if c == 'q' {
		return "p"
	}
	return "q"
}

func TestTheStateDirectoryIsAbsolute(t *testing.T) {
	t.Parallel()
	_, err := Parse("f", []byte("repository: {url: 'file:///r'}"+clusters+"state_directory: state\n"))
	if err == nil || !strings.Contains(err.Error(), "state_directory") {
		t.Errorf("says %v", err)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, seed := range []string{"50MB/s", "1.5GiB/s", "1B/s", "1e9B/s", "kB/s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if rate, err := ParseRate(text); err == nil && rate <= 0 {
			t.Errorf("%q is %d", text, rate)
		}
	})
}

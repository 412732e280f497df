package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/cmd/internal/config"
	"lifeboat/restore"
)

func parsed(t *testing.T, text string) *scene {
	t.Helper()
	settings, err := config.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return &scene{settings: settings, name: "main"}
}

// accessed is how a hook comes by each of the repositories.
func (s *scene) accessed(from credentialSource, identity string) []hookAccess {
	var list []hookAccess
	for _, view := range s.settings.Each() {
		list = append(list, hookAccess{repository: &view.Repository, from: from, identity: identity})
	}
	return list
}

func TestTheHooksConfigurationNamesAllRepositories(t *testing.T) {
	t.Parallel()
	s := parsed(t, "repositories:\n- {name: near, url: 'file:///r', limits: {download: 1MB/s}}\n- {name: far, url: 's3://bucket', s3: {region: r}}\nclusters: {main: {}}\n")
	read := parsed(t, string(hookConfig(s.name, s.accessed(credentialSource{file: "/c"}, "/identity"))))
	if len(read.settings.Repositories) != 2 {
		t.Fatalf("reads back as %+v", read.settings.Repositories)
	}
	near, far := read.settings.Repositories[0], read.settings.Repositories[1]
	if near.Name.Value != "near" || near.Place().Directory != "/r" || near.Limits.Download != 1e6 || near.IdentityFile() != "/identity" {
		t.Errorf("near reads back as %+v", near)
	}
	if far.Name.Value != "far" || far.Place().Bucket != "bucket" || far.S3.CredentialsFile.Value != "/c" || far.S3.Region.Value != "r" {
		t.Errorf("far reads back as %+v", far)
	}
}

func TestTheHooksConfigurationHoldsAllThatAFetchNeedsAndNoSecret(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv(awsSecret, "hunter2")
	s := parsed(t, `repository:
  url: s3://bucket/p
  s3: {endpoint: "https://minio.example", path_style: true, ca_file: "/it's here/ca.pem"}
  limits: {upload: 1MB/s, download: 20MB/s, requests: 5/s}
clusters: {main: {connection: password=hunter2}}
`)
	text := string(hookConfig(s.name, s.accessed(credentialSource{file: "/c", profile: "p"}, "/identity.txt")))
	r := &parsed(t, text).settings.Repository
	if r.Place() != s.settings.Repository.Place() || r.S3.Region.Value != "eu-west-1" || r.S3.Endpoint.Value != "https://minio.example" ||
		!r.S3.PathStyle || r.S3.CAFile.Value != "/it's here/ca.pem" || r.S3.CredentialsFile.Value != "/c" || r.S3.Profile.Value != "p" {
		t.Errorf("reads back as %+v", r.S3)
	}
	if r.IdentityFile() != "/identity.txt" || r.Limits != (config.Limits{Download: 20e6, Requests: 5}) {
		t.Errorf("reads back as %q, %+v", r.IdentityFile(), r.Limits)
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("holds a secret:\n%s", text)
	}
}

func TestTheHooksConfigurationOfOtherStores(t *testing.T) {
	s := parsed(t, "repository: {url: 'gs://bucket', gcs: {endpoint: 'http://127.0.0.1:1'}}\nclusters: {main: {}}\n")
	r := &parsed(t, string(hookConfig(s.name, s.accessed(credentialSource{file: "/adc.json"}, "")))).settings.Repository
	if r.GCS.CredentialsFile.Value != "/adc.json" || r.GCS.Endpoint.Value != "http://127.0.0.1:1" || r.Encryption != nil {
		t.Errorf("reads back as %+v", r)
	}
	s = parsed(t, "repository: {url: 'file:///r'}\nclusters: {main: {}}\n")
	if text := string(hookConfig(s.name, s.accessed(credentialSource{}, ""))); text != "repository:\n  url: 'file:///r'\nclusters:\n  main: {}\n" {
		t.Errorf("files: %s", text)
	}
}

func TestCredentialsAreFoundWhereTheSDKFindsThem(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{awsKeyID, awsSecret, awsProfile, awsCredentialFile, googleCredentials} {
		t.Setenv(name, "")
	}
	if from := findS3Credentials(&config.S3{}); from != (credentialSource{}) {
		t.Errorf("nothing is there, and found is %+v", from)
	}
	file := filepath.Join(home, ".aws/credentials")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if from := findS3Credentials(&config.S3{}); from != (credentialSource{file: file}) {
		t.Errorf("the file at home: %+v", from)
	}
	t.Setenv(awsKeyID, "key")
	t.Setenv(awsSecret, "secret")
	if from := findS3Credentials(&config.S3{}); from != (credentialSource{secret: true}) {
		t.Errorf("the environment goes first: %+v", from)
	}
	if from := findS3Credentials(&config.S3{CredentialsFile: config.Text{Value: "/c"}}); from != (credentialSource{file: "/c"}) {
		t.Errorf("the configuration goes before all: %+v", from)
	}
}

func TestFilesThatPostgreSQLsUserCannotReadAreToldBefore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkHookFiles([][2]string{{"identity file", file}, {"credentials file", ""}}, nil); err != nil {
		t.Errorf("one's own file: %v", err)
	}
	err := checkHookFiles([][2]string{{"identity file", file}}, &restore.Owner{UID: 54321, GID: 54321})
	if err == nil || !strings.Contains(err.Error(), "the identity file "+file+" cannot be read by 54321") || !strings.Contains(hintOf(err), "install -o 54321") {
		t.Errorf("another user's file: %v", err)
	}
	if err := checkHookFiles([][2]string{{"identity file", file + ".none"}}, nil); err == nil {
		t.Error("no file is no mistake")
	}
}

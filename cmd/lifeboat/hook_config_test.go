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

func TestTheHooksConfigurationHoldsAllThatAFetchNeedsAndNoSecret(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv(awsSecret, "hunter2")
	s := parsed(t, `repository:
  url: s3://bucket/p
  s3: {endpoint: "https://minio.example", path_style: true, ca_file: "/it's here/ca.pem"}
  limits: {upload: 1MB/s, download: 20MB/s, requests: 5/s}
clusters: {main: {connection: password=hunter2}}
`)
	text := string(hookConfig(s, credentialSource{file: "/c", profile: "p"}, "/identity.txt"))
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
	r := &parsed(t, string(hookConfig(s, credentialSource{file: "/adc.json"}, ""))).settings.Repository
	if r.GCS.CredentialsFile.Value != "/adc.json" || r.GCS.Endpoint.Value != "http://127.0.0.1:1" || r.Encryption != nil {
		t.Errorf("reads back as %+v", r)
	}
	s = parsed(t, "repository: {url: 'file:///r'}\nclusters: {main: {}}\n")
	if text := string(hookConfig(s, credentialSource{}, "")); text != "repository:\n  url: 'file:///r'\nclusters:\n  main: {}\n" {
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

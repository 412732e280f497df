package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/s3"
)

// profile makes a home directory with the SDK's files, and points the SDK to it alone.
func profile(t *testing.T, config string) (credentials string) {
	t.Helper()
	dir := t.TempDir()
	credentials = filepath.Join(dir, "credentials")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": filepath.Join(dir, "config"), "AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	write(t, filepath.Join(dir, "config"), "[default]\n"+config)
	return credentials
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func keys(accessKey string) string {
	return fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", accessKey, secretKey)
}

// onlyFor is a store that knows one access key at a time.
func onlyFor(known *atomic.Value, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential="+known.Load().(string)+"/") {
			refuse(403, code, "not you")(w, r)
			return
		}
		object(200, "text")(w, r)
	}
}

func withChain(o *s3.Options) { o.Credentials = nil }

func TestCredentialsFileThatChanges(t *testing.T) {
	file := profile(t, "")
	write(t, file, keys("FIRST"))
	var known atomic.Value
	known.Store("FIRST")
	b := scripted(t, onlyFor(&known, "InvalidAccessKeyId"), withChain)
	if text, err := read(t, b, "x", 0, -1); text != "text" || err != nil {
		t.Fatalf("read %q, %v", text, err)
	}
	known.Store("SECOND")
	_, err := read(t, b, "x", 0, -1)
	failure{text: "does not know the access key"}.check(t, "get", err)
	write(t, file, keys("SECOND"))
	_, err = read(t, b, "x", 0, -1)
	failure{text: "the credentials have changed", transient: true}.check(t, "get", err)
	if text, err := read(t, b, "x", 0, -1); text != "text" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestCredentialsFileIsReadAgain(t *testing.T) {
	file := profile(t, "")
	write(t, file, keys("FIRST"))
	var known atomic.Value
	known.Store("FIRST")
	past := func(o *s3.Options) {
		withChain(o)
		o.Now = func() time.Time { return time.Now().Add(-time.Hour) } // so that what is read has expired at once
	}
	b := scripted(t, onlyFor(&known, "InvalidAccessKeyId"), past)
	for _, name := range []string{"FIRST", "SECOND", "THIRD"} {
		write(t, file, keys(name))
		known.Store(name)
		if text, err := read(t, b, "x", 0, -1); text != "text" || err != nil {
			t.Errorf("read %q, %v", text, err)
		}
	}
}

func TestCredentialProcessThatExpires(t *testing.T) {
	dir := t.TempDir()
	script, output := filepath.Join(dir, "process"), filepath.Join(dir, "output")
	profile(t, "credential_process = /bin/sh "+script+"\n")
	write(t, script, "cat "+output)
	tell := func(accessKey string, ends time.Duration) {
		write(t, output, fmt.Sprintf(`{"Version": 1, "AccessKeyId": %q, "SecretAccessKey": %q, "SessionToken": "t", "Expiration": %q}`,
			accessKey, secretKey, time.Now().Add(ends).UTC().Format(time.RFC3339)))
	}
	var known atomic.Value
	known.Store("FIRST")
	b := scripted(t, onlyFor(&known, "ExpiredToken"), withChain)
	tell("FIRST", time.Hour)
	if _, err := read(t, b, "x", 0, -1); err != nil {
		t.Fatal(err)
	}
	known.Store("SECOND") // the store says that the first have expired, before their time
	tell("SECOND", time.Hour)
	_, err := read(t, b, "x", 0, -1)
	failure{text: "the credentials have changed", transient: true}.check(t, "get", err)
	if _, err := read(t, b, "x", 0, -1); err != nil {
		t.Error(err)
	}
	known.Store("THIRD")
	_, err = read(t, b, "x", 0, -1)
	failure{text: "the credentials have expired, and no newer ones are found", hint: "renew"}.check(t, "get", err)
	write(t, output, `{"Version": 1, "SecretAccessKey": "`+secretKey+`", and no JSON`)
	_, err = read(t, b, "x", 0, -1)
	failure{}.check(t, "get", err)
}

func TestNoCredentials(t *testing.T) {
	profile(t, "")
	b := scripted(t, object(200, "text"), withChain)
	for op, err := range operations(t, b) {
		failure{text: "no credentials for the store are found", hint: "AWS_ACCESS_KEY_ID"}.check(t, op, err)
	}
	if _, err := b.Stat(t.Context(), "x"); storage.Transient(err) {
		t.Error("it would be tried again and again")
	}
}

func TestRegionAndEndpointComeFromTheChain(t *testing.T) {
	profile(t, "")
	if _, err := s3.Open(t.Context(), s3.Options{Bucket: "b", Now: time.Now}); err == nil || !strings.Contains(err.Error(), "region of the bucket is not known") {
		t.Errorf("got %v", err)
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	if _, err := s3.Open(t.Context(), s3.Options{Bucket: "b", Now: time.Now}); err != nil {
		t.Error(err)
	}
}

func TestOldStoresGetOldChecksums(t *testing.T) {
	profile(t, "request_checksum_calculation = when_required\n")
	var seen atomic.Int32
	b := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Amz-Checksum") || strings.HasPrefix(name, "X-Amz-Sdk-Checksum") || name == "X-Amz-Trailer" {
				t.Errorf("%s %s has %s", r.Method, r.URL.RawQuery, name)
			}
		}
		switch {
		case r.URL.RawQuery == "uploads=":
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
		default:
			if r.Header.Get("Content-Md5") != "" {
				seen.Add(1)
			}
			object(200, "")(w, r)
		}
	}, nil)
	for _, size := range []int64{10, 20 * mebibyte} {
		if err := b.Put(t.Context(), "x", noise(1, size), storage.PutOptions{Size: size}); err != nil {
			t.Error(err)
		}
	}
	if seen.Load() != 4 {
		t.Errorf("%d requests with Content-MD5", seen.Load())
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"lifeboat/cmd/internal/config"
)

// Variables by which Amazon's SDK finds credentials.
const (
	awsKeyID          = "AWS_ACCESS_KEY_ID"
	awsSecret         = "AWS_SECRET_ACCESS_KEY"
	awsProfile        = "AWS_PROFILE"
	awsCredentialFile = "AWS_SHARED_CREDENTIALS_FILE"
)

const defaultProfile = "default"

// s3Credentials takes the credentials from the file or the profile of the settings; nil leaves them to the SDK's own
// chain: environment, shared files, web identity, container and instance role.
func s3Credentials(ctx context.Context, o *config.S3) (aws.CredentialsProvider, error) {
	if o.CredentialsFile.Value == "" && o.Profile.Value == "" {
		return nil, nil
	}
	profile := firstOf(o.Profile.Value, defaultProfile)
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithSharedConfigProfile(profile)}
	if path := o.CredentialsFile.Value; path != "" {
		if _, err := os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("repository.s3.credentials_file: %w", err)
		}
		options = append(options, awsconfig.WithSharedCredentialsFiles([]string{path}), awsconfig.WithSharedConfigFiles(nil))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("repository.s3: no profile %q in %s", profile, firstOf(o.CredentialsFile.Value, "the SDK's shared files"))
	}
	return loaded.Credentials, nil
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// credentialSource is where the credentials of the store come from, as far as it can be said without asking anybody.
type credentialSource struct {
	file    string // absolute; empty: not a file
	profile string // in it, of S3
	secret  bool   // in this process's environment, which PostgreSQL does not share
}

// findCredentials says where this process finds the credentials of the store.
func findCredentials(r *config.Repository) credentialSource {
	switch r.Place().Scheme {
	case config.SchemeS3:
		return findS3Credentials(r.S3)
	case config.SchemeGCS:
		return credentialSource{file: firstFile(r.GCS.CredentialsFile.Value, os.Getenv(googleCredentials), inHome(".config/gcloud/application_default_credentials.json"))}
	}
	return credentialSource{}
}

func findS3Credentials(o *config.S3) credentialSource {
	profile := firstOf(o.Profile.Value, os.Getenv(awsProfile))
	if o.CredentialsFile.Value != "" {
		return credentialSource{file: o.CredentialsFile.Value, profile: profile}
	}
	if profile == "" && os.Getenv(awsKeyID) != "" && os.Getenv(awsSecret) != "" {
		return credentialSource{secret: true}
	}
	return credentialSource{file: firstFile(os.Getenv(awsCredentialFile), inHome(".aws/credentials")), profile: profile}
}

// firstFile is the first of the paths that is named and, where nobody named it, there; made absolute.
func firstFile(paths ...string) string {
	for _, path := range paths {
		absolute, err := filepath.Abs(path)
		if path == "" || err != nil {
			continue
		}
		if _, err := os.Stat(absolute); err == nil {
			return absolute
		}
	}
	return ""
}

func inHome(path string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, path)
}

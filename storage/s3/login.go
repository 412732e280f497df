package s3

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// reread is after how long credentials that name no end are read again, so that a file that was changed is noticed.
const reread = 5 * time.Minute

// login brings the credentials of requests. They are kept until they expire, or until the store refuses them.
type login struct {
	cache *aws.CredentialsCache
	chain *chain
}

func newLogin(given aws.CredentialsProvider, now func() time.Time, load []func(*config.LoadOptions) error) *login {
	c := &chain{given: given, now: now, load: load}
	return &login{cache: aws.NewCredentialsCache(c), chain: c}
}

// renewed reports whether there are other credentials now than those which a request was refused with.
func (l *login) renewed(ctx context.Context, accessKey, token string) bool {
	if l.differs(ctx, accessKey, token) {
		return true
	}
	l.chain.forget()
	l.cache.Invalidate()
	return l.differs(ctx, accessKey, token)
}

func (l *login) differs(ctx context.Context, accessKey, token string) bool {
	now, err := l.cache.Retrieve(ctx)
	return err == nil && (now.AccessKeyID != accessKey || now.SessionToken != token)
}

// chain is the SDK's chain of providers, which by itself reads files once and for all.
type chain struct {
	given aws.CredentialsProvider
	now   func() time.Time
	load  []func(*config.LoadOptions) error

	mu      sync.Mutex
	current aws.CredentialsProvider // nil: to be found anew
	proven  bool                    // it has brought credentials before
}

// Retrieve brings credentials; its error is a *credentialsError.
func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	credentials, err := c.retrieve(ctx)
	if err != nil {
		c.current = nil
		return aws.Credentials{}, &credentialsError{cause: err, passing: c.proven}
	}
	c.proven = true
	if !credentials.CanExpire {
		c.current = nil
		credentials.CanExpire, credentials.Expires = true, c.now().Add(reread)
	}
	return credentials, nil
}

func (c *chain) retrieve(ctx context.Context) (aws.Credentials, error) {
	if c.given != nil {
		return c.given.Retrieve(ctx)
	}
	if c.current == nil {
		cfg, err := config.LoadDefaultConfig(ctx, c.load...)
		if err != nil {
			return aws.Credentials{}, err
		}
		c.current = cfg.Credentials
	}
	return c.current.Retrieve(ctx)
}

// forget makes the next Retrieve read everything again.
func (c *chain) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	if kept, ok := c.given.(*aws.CredentialsCache); ok {
		kept.Invalidate()
	}
}

// credentialsError says that there are no credentials. What the providers say is not in its text, as some of them
// quote what a program printed that should have printed credentials.
type credentialsError struct {
	cause   error
	passing bool // there were credentials before
}

func (e *credentialsError) Error() string { return "no credentials" }

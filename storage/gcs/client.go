package gcs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	gcstorage "cloud.google.com/go/storage"
	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"
)

const (
	googleEndpoint = "https://storage.googleapis.com"
	apiPath        = "/storage/v1/"

	dialTimeout     = 15 * time.Second
	keepAlive       = 30 * time.Second
	tlsTimeout      = 15 * time.Second
	idleTimeout     = 90 * time.Second
	continueTimeout = time.Second
	idleConnections = 64
	buffer          = 256 << 10 // bytes of a connection, each way
)

// newClient makes a client that neither authenticates nor chooses a server by itself: the HTTP client does the first,
// and the endpoint is always given, so that STORAGE_EMULATOR_HOST cannot lead credentials astray.
func newClient(ctx context.Context, o Options, hc *http.Client) (*gcstorage.Client, error) {
	endpoint, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	return gcstorage.NewClient(ctx, gcstorage.WithJSONReads(), gcstorage.WithDisabledClientMetrics(),
		option.WithHTTPClient(hc), option.WithoutAuthentication(), option.WithEndpoint(endpoint.JoinPath(apiPath).String()))
}

func newHTTPClient(ctx context.Context, o Options) (*http.Client, error) {
	endpoint, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	base, err := newTransport(o.CAFile)
	if err != nil {
		return nil, err
	}
	t := &transport{next: &sender{base}}
	if endpoint.Scheme == "https" {
		scope := option.WithScopes(gcstorage.ScopeFullControl)
		if t.next, err = htransport.NewTransport(ctx, t.next, scope); err != nil {
			return nil, &credentialsError{cause: err, file: os.Getenv(credentialsVariable)}
		}
	}
	return &http.Client{Transport: t, CheckRedirect: refuseRedirect}, nil
}

// refuseRedirect keeps credentials from following a redirection: the API has none.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// endpoint is the server's URL without a path.
func (o Options) endpoint() (*url.URL, error) {
	text := o.Endpoint
	if text == "" {
		text = googleEndpoint
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the endpoint is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q is not of the form http://host:port or https://host", u.Redacted())
	case strings.Trim(u.Path, "/") != "" && strings.Trim(u.Path, "/") != strings.Trim(apiPath, "/"):
		return nil, fmt.Errorf("endpoint %q has a path: the server must answer at %s itself", u.Redacted(), apiPath)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// newTransport speaks HTTP/1.1 only: each request has a connection of its own, so that a stalled one holds up no other,
// and many together are faster than one that is shared.
func newTransport(caFile string) (*http.Transport, error) {
	roots, err := roots(caFile)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		Protocols:             protocols,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   tlsTimeout,
		ExpectContinueTimeout: continueTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConns:          idleConnections,
		MaxIdleConnsPerHost:   idleConnections,
		ReadBufferSize:        buffer,
		WriteBufferSize:       buffer,
		DisableCompression:    true, // what is stored is what is read
	}, nil
}

// roots are the system's certificates and those of the file; nil means the system's.
func roots(caFile string) (*x509.CertPool, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", caFile)
	}
	return pool, nil
}

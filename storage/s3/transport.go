package s3

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	dialTimeout = 10 * time.Second
	// headerTimeout is how long the store may think after it has got a request. Putting the parts of a large object
	// together takes some stores minutes.
	headerTimeout = 3 * time.Minute
	idleTimeout   = 60 * time.Second
	connections   = 128 // kept open when idle
	socketBuffer  = 64 << 10
)

// httpClient makes the client of one bucket: connections are kept and shared, as many are in flight as are asked for.
// Redirects are not followed.
func httpClient(caFile string) (*awshttp.BuildableClient, error) {
	var roots *x509.CertPool
	if caFile != "" {
		var err error
		if roots, err = readRoots(caFile); err != nil {
			return nil, err
		}
	}
	dial := func(d *net.Dialer) { d.Timeout = dialTimeout }
	return awshttp.NewBuildableClient().WithDialerOptions(dial).WithTransportOptions(func(t *http.Transport) {
		t.TLSHandshakeTimeout = dialTimeout
		t.ResponseHeaderTimeout = headerTimeout
		t.IdleConnTimeout = idleTimeout
		t.MaxIdleConns = connections
		t.MaxIdleConnsPerHost = connections
		t.WriteBufferSize = socketBuffer
		t.ReadBufferSize = socketBuffer
		t.DisableCompression = true // objects are read as they lie there
		t.ForceAttemptHTTP2 = false // one connection for all would be slower
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}), nil
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, &trouble{
			text: "ca_file " + path + " holds no certificate",
			hint: "it must be in the PEM format, with BEGIN CERTIFICATE lines",
		}
	}
	return roots, nil
}

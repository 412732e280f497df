package objectstore

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// GCSServer is a server of its own with the API of Google Cloud Storage and one empty bucket. It asks for no credentials.
type GCSServer struct {
	Endpoint string
	Bucket   string
}

// GCS starts a fake-gcs-server that keeps its objects in memory. Unlike Google's it knows no permissions, retention or
// encryption keys, does not look at the checksum that comes with the last chunk of an upload, and takes a chunk that is
// sent twice for two.
func GCS(t *testing.T) GCSServer {
	t.Helper()
	var err error
	for range 3 { // another process may take the port that was free
		var s GCSServer
		if s, err = startGCS(t); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return GCSServer{}
}

func startGCS(t *testing.T) (GCSServer, error) {
	t.Helper()
	address := loopback(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	s := GCSServer{Endpoint: "http://" + address, Bucket: "bucket"}
	cmd := exec.Command(binary(t, "fake-gcs-server"), "-backend", "memory", "-scheme", "http", "-host", host, "-port", port, "-log-level", "error")
	if err := start(t, cmd, s.Endpoint+"/_internal/healthcheck"); err != nil {
		return s, err
	}
	return s, s.makeBucket(t.Context())
}

func (s GCSServer) makeBucket(ctx context.Context) error {
	body := strings.NewReader(fmt.Sprintf(`{"name": %q}`, s.Bucket))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint+"/storage/v1/b?project=test", body)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("make bucket: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("make bucket: %s", res.Status)
	}
	return nil
}

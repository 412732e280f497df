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
	s := forTest(t, launchGCS)
	if err := s.makeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// launchGCS starts a server, which has no bucket yet, and keeps its log in a directory.
func launchGCS(dir string) (GCSServer, *process, error) {
	s := GCSServer{Bucket: "bucket"}
	path, err := program("fake-gcs-server")
	if err != nil {
		return s, nil, err
	}
	address, err := loopback()
	if err != nil {
		return s, nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return s, nil, err
	}
	s.Endpoint = "http://" + address
	cmd := exec.Command(path, "-backend", "memory", "-scheme", "http", "-host", host, "-port", port, "-log-level", "error")
	p, err := launch(cmd, s.Endpoint+"/_internal/healthcheck", dir)
	return s, p, err
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

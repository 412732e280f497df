package storm

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"lifeboat/internal/faultproxy"
	"lifeboat/internal/objectstore"
	"lifeboat/storage"
	"lifeboat/storage/gcs"
	"lifeboat/storage/retry"
	"lifeboat/storage/s3"
)

// reach opens a part of a store by way of an endpoint.
type reach func(t *testing.T, endpoint, prefix string, opts retry.Options) storage.Bucket

func reachS3(server objectstore.Server) reach {
	return func(t *testing.T, endpoint, prefix string, opts retry.Options) storage.Bucket {
		t.Helper()
		b, err := s3.Open(t.Context(), s3.Options{
			Bucket: server.Bucket, Prefix: prefix, Endpoint: endpoint, Region: server.Region, PathStyle: true,
			Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
			Retry:       opts, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func reachGCS(server objectstore.GCSServer) reach {
	return func(t *testing.T, endpoint, prefix string, opts retry.Options) storage.Bucket {
		t.Helper()
		b, err := gcs.Open(t.Context(), gcs.Options{
			Bucket: server.Bucket, Prefix: prefix, Endpoint: endpoint, Retry: opts, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func TestS3InStorms(t *testing.T) {
	t.Parallel()
	server := objectstore.S3(t)
	sail(t, serverPlace(server.Endpoint, reachS3(server)))
}

func TestGCSInStorms(t *testing.T) {
	t.Parallel()
	server := objectstore.GCS(t)
	sail(t, serverPlace(server.Endpoint, reachGCS(server)))
}

func TestS3InOutages(t *testing.T) {
	t.Parallel()
	server := objectstore.S3(t)
	outages(t, serverCoast(server.Endpoint, reachS3(server)))
}

func TestGCSInOutages(t *testing.T) {
	t.Parallel()
	server := objectstore.GCS(t)
	outages(t, serverCoast(server.Endpoint, reachGCS(server)))
}

func TestS3UploadsChangedOnTheWay(t *testing.T) {
	t.Parallel()
	server := objectstore.S3(t)
	changedUploads(t, server.Endpoint, reachS3(server))
}

func TestGCSUploadsChangedOnTheWay(t *testing.T) {
	t.Parallel()
	server := objectstore.GCS(t)
	changedUploads(t, server.Endpoint, reachGCS(server))
}

// changedUploads flips a byte of an upload. Whether that is refused, or sent again, nothing is acknowledged that does
// not read back.
func changedUploads(t *testing.T, endpoint string, open reach) {
	for _, offset := range []int64{0, 1, 200, 1000, 3000, 8000, 30000} {
		t.Run(fmt.Sprint(offset), func(t *testing.T) {
			t.Parallel()
			script := faultproxy.NewScript(faultproxy.Rule{URI: "wal", Action: faultproxy.FlipUpload(offset)})
			proxy := faultproxy.Start(t, endpoint, script)
			prefix := fmt.Sprintf("changed-%d", offset)
			var j journal
			opts := outagePatience(calmly, longer, &j)
			calm := coast{rough: func(retry.Options) storage.Bucket { return retry.Wrap(open(t, endpoint, prefix, opts), opts) }}
			clean, _ := settle(t, calm.rough(opts))
			rough := openCluster(t, retry.Wrap(open(t, proxy.URL(), prefix, opts), opts))
			file, content := segment(uint64(offset), 2)
			_, err := rough.PutWAL(t.Context(), file, stormTime)
			if err == nil {
				wantFile(t, clean, cargo{file, content})
			}
			if missed := script.AllFired(); missed != nil {
				t.Error(missed)
			}
			t.Logf("changed at %d: %v", offset, err)
		})
	}
}

// serverPlace gives every schedule a prefix of the store, and a proxy before it.
func serverPlace(endpoint string, open reach) func(t *testing.T, seed uint64) place {
	return func(t *testing.T, seed uint64) place {
		t.Helper()
		script := faultproxy.Random(seed)
		proxy := faultproxy.Start(t, endpoint, script)
		prefix := fmt.Sprintf("schedule-%d", seed)
		return place{
			clean:  retry.Wrap(open(t, endpoint, prefix, retry.Options{}), retry.Options{Now: time.Now}),
			rough:  open(t, proxy.URL(), prefix, patience(seed)),
			script: script,
			fired:  script.Fired,
			flips:  func() bool { return script.Fired()[faultproxy.FlippedAnswer] > 0 },
		}
	}
}

// serverCoast gives every test a prefix of the store, and a proxy that can leave.
func serverCoast(endpoint string, open reach) func(t *testing.T) coast {
	var coasts atomic.Int64
	return func(t *testing.T) coast {
		t.Helper()
		proxy := faultproxy.Start(t, endpoint, nil)
		prefix := fmt.Sprintf("outage-%d", coasts.Add(1))
		return coast{
			clean: open(t, endpoint, prefix, retry.Options{}), streams: true,
			hang: func() { proxy.Follow(faultproxy.NewScript(faultproxy.Rule{Times: -1, Action: faultproxy.Stall()})) },
			leave: func(d time.Duration) {
				proxy.Follow(nil)
				proxy.Leave(d)
			},
			rough: func(opts retry.Options) storage.Bucket { return retry.Wrap(open(t, proxy.URL(), prefix, opts), opts) },
		}
	}
}

package objectstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

var someTime = time.Date(2026, 11, 22, 10, 21, 3, 0, time.UTC)

func TestEveryKindOfPlaceIsReopenedCopiedAndHarmed(t *testing.T) {
	t.Parallel()
	for _, store := range []string{InFiles, InS3, InGCS} {
		for _, sealed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sealed %v", store, sealed), func(t *testing.T) {
				t.Parallel()
				p := placeIn(t, store, sealed)
				identity := catalog.Identity{SystemIdentifier: 7, WALSegmentSize: 16 << 20}
				if _, err := p.Create(t, someTime).Register(t.Context(), "main", identity, someTime); err != nil {
					t.Fatal(err)
				}
				p.checkReopened(t, sealed)
				p.checkCopy(t)
			})
		}
	}
}

func (p *Place) checkReopened(t *testing.T, sealed bool) {
	t.Helper()
	again, err := Reopen(t.Context(), p.File)
	if err != nil {
		t.Fatal(err)
	}
	repository, err := again.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if names, err := repository.ClusterNames(t.Context()); err != nil || !slices.Equal(names, []string{"main"}) {
		t.Errorf("clusters %v, %v", names, err)
	}
	if repository.Sealed() != sealed || again.Sealed() != sealed || (again.Keys.Identities != nil) != sealed || again.WriterKeys().Identities != nil {
		t.Errorf("sealed %v, keys %+v", repository.Sealed(), again.Keys)
	}
}

// checkCopy harms a copy, and nothing else.
func (p *Place) checkCopy(t *testing.T) {
	t.Helper()
	const key = "clusters/main/cluster.json"
	c := p.Copy(t)
	if had, has := p.Objects(t, ""), c.Objects(t, ""); !slices.Equal(had, has) || !slices.Contains(has, key) {
		t.Fatalf("%v became %v", had, has)
	}
	before := c.Read(t, key)
	t.Run("for a while", func(t *testing.T) {
		c.PutBackLater(t, key)
		c.Flip(t, key)
		if bytes.Equal(c.Read(t, key), before) {
			t.Error("nothing was changed")
		}
		if repository, err := c.Open(t.Context()); err != nil {
			t.Error(err)
		} else if _, err := repository.Cluster(t.Context(), "main"); err == nil {
			t.Error("the change was not noticed")
		}
	})
	if !bytes.Equal(c.Read(t, key), before) {
		t.Error("the object was not put back")
	}
	c.Remove(t, key)
	if _, err := c.Bucket.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	if !bytes.Equal(p.Read(t, key), before) {
		t.Error("the original was changed")
	}
}

func TestBucketsOfPlacesAreRemoved(t *testing.T) {
	t.Parallel()
	var gone []*Place
	t.Run("for a while", func(t *testing.T) {
		for _, store := range []string{InFiles, InS3, InGCS} {
			p := placeIn(t, store, false)
			p.Create(t, someTime)
			gone = append(gone, p)
		}
	})
	for _, p := range gone {
		if keys, err := keysOf(t.Context(), p.Bucket, ""); err == nil && len(keys) > 0 {
			t.Errorf("in %s there are still %v", p.Store(), keys)
		}
	}
	server, err := sharedS3()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(server.Directory), gone[1].about.Bucket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bucket's directory: %v", err)
	}
}

func TestKindsOfPlacesThatThereAreNot(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"s4", ""}, {"S3", "1"}, {"s3", "yes"}, {"", "true"}} {
		if store, sealed, err := parseKind(c[0], c[1]); err == nil || !strings.Contains(err.Error(), "must be") {
			t.Errorf("%v: %s, %v, %v", c, store, sealed, err)
		}
	}
	for c, want := range map[[2]string]string{{"", ""}: "file false", {"s3", "1"}: "s3 true", {"gcs", "0"}: "gcs false"} {
		if store, sealed, err := parseKind(c[0], c[1]); err != nil || fmt.Sprint(store, " ", sealed) != want {
			t.Errorf("%v: %s, %v, %v", c, store, sealed, err)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

// door is the way to a store, which can be closed and opened again.
type door struct {
	t       *testing.T
	address string
	proxy   *httputil.ReverseProxy
	server  *http.Server
}

func newDoor(t *testing.T, store string) *door {
	t.Helper()
	target, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, address: "127.0.0.1:" + freePort(t)} // which nobody takes while it is closed
	d.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	d.open()
	t.Cleanup(d.close)
	return d
}

func (d *door) open() {
	d.t.Helper()
	listener, err := net.Listen("tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.server = &http.Server{Handler: d.proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = d.server.Serve(listener) }() // it ends when it is closed
}

func (d *door) close() { _ = d.server.Close() }

// A directory near the server and a bucket elsewhere, as most would have it.
func TestADirectoryAndABucketStandInForEachOther(t *testing.T) {
	t.Parallel()
	store := objectstore.S3(t)
	way := newDoor(t, store.Endpoint)
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{DataChecksums: true})
	in.write("credentials", fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", store.AccessKey, store.SecretKey))
	in.configureCopies(fmt.Sprintf("  url: s3://%s/pg\n  s3: {endpoint: %q, region: %s, path_style: true, credentials_file: %q}\n",
		store.Bucket, "http://"+way.address, store.Region, in.path("credentials")), 1)
	in.must("init")
	in.server.Exec(t.Context(), "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
	way.close()
	started := time.Now()
	in.server.Exec(t.Context(), "SELECT pg_switch_wal()")
	in.awaitArchived()
	if took := time.Since(started); took > time.Minute {
		t.Errorf("a push took %s with the bucket away", took)
	}
	in.must("backup")
	way.open()
	in.must("sync")
	in.must("verify")
	damageAll(t, in.path("near/clusters/main/*/backups/*/packs/*/*"))
	damageAll(t, in.path("near/clusters/main/*/wal/*/*/*"))
	in.ends(exitFail, "verify", "--repository", "near")
	in.must("restore", "--target-dir", in.path("restored"), "--archive-mode", "off", "--port", freePort(t), "--start")
	stopRestored(t, in, "restored")
	in.ends(exitFail, "restore", "--target-dir", in.path("alone"), "--repository", "near")
}

// awaitArchived waits until a segment has been archived.
func (in *installation) awaitArchived() {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), 2*time.Minute)
	defer cancel()
	for in.server.Value(ctx, "SELECT (archived_count > 0)::text FROM pg_stat_archiver") != "true" {
		time.Sleep(100 * time.Millisecond)
	}
}

// damageAll flips a byte in the middle of each file.
func damageAll(t *testing.T, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 0x40
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(fmt.Errorf("damage %s: %w", strings.TrimPrefix(path, "/"), err))
		}
	}
}

package catalog

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/storage/file"
)

// update has the frozen sample written anew. Only a new version of the format may ask for that.
var update = flag.Bool("update", false, "write testdata/v1 anew")

// TestFrozenSampleReads reads a repository that was written when version 1 of the format was. Every later program must
// read it.
func TestFrozenSampleReads(t *testing.T) {
	t.Parallel()
	const frozen = "testdata/v1"
	if *update {
		if err := os.RemoveAll(frozen); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(frozen, os.DirFS(fullScene(t).dir)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "repository")
	if err := os.CopyFS(dir, os.DirFS(frozen)); err != nil {
		t.Fatal(err)
	}
	bucket := must(file.Open(dir, file.Options{}))(t)
	t.Cleanup(func() { bucket.Close() })
	repo := must(Open(t.Context(), bucket))(t)
	report := must(repo.Scrub(t.Context(), ScrubOptions{}))(t)
	if !report.clean() || report.Objects < 15 {
		t.Errorf("scrubbed as %+v", report)
	}
	cluster := must(repo.Cluster(t.Context(), "main"))(t)
	rec := must(cluster.Record(t.Context(), sceneLabel))(t)
	checkFiles(t, must(cluster.OpenIndex(t.Context(), rec))(t), sampleTree())
	segment := soundSegment(t, "000000010000000000000001")
	if string(cluster.mustGet(t, segment.Name)) != string(contentOf(t, segment)) {
		t.Error("segment differs")
	}
	if inv := must(cluster.Inventory(t.Context()))(t); len(inv.Backups) != 1 || len(inv.Problems) > 0 {
		t.Errorf("inventory = %+v", inv)
	}
}

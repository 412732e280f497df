package archive_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/archive"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

func push(ctx context.Context, cluster *catalog.Cluster, path string) (archive.PushResult, error) {
	return archive.Push(ctx, cluster, path, archive.PushOptions{Clock: time.Now})
}

// walSource is a stopped server's pg_wal and an empty repository in which the server is registered.
type walSource struct {
	dir     string // pg_wal
	cluster *catalog.Cluster
}

func newWALSource(t *testing.T) walSource {
	t.Helper()
	server := pgtest.Start(t, pgtest.Debian(t), pgtest.Options{Settings: map[string]string{"wal_keep_size": "1GB"}})
	identity := objectstore.Identity(t, server)
	server.Exec(t.Context(), "CREATE TABLE filler AS SELECT generate_series(1, 1000) AS n")
	server.Exec(t.Context(), "SELECT pg_switch_wal()")
	server.Stop()
	return walSource{dir: filepath.Join(server.DataDir, "pg_wal"), cluster: register(t, identity)}
}

func register(t *testing.T, identity catalog.Identity) *catalog.Cluster {
	t.Helper()
	repository := objectstore.NewPlace(t).Create(t, time.Now())
	cluster, err := repository.Register(t.Context(), clusterName, identity, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

const firstSegment = "000000010000000000000001"

// copyAs puts a copy of a file under another name into a directory of its own, changed by the given function.
func copyAs(t *testing.T, source, name string, change func([]byte) []byte) string {
	t.Helper()
	content, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, name, change(content))
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func same(content []byte) []byte { return content }

// spoilt flips bits of eight bytes of WAL: between two records there may be seven of which nobody keeps a checksum.
func spoilt(content []byte, at int) []byte {
	for i := range 8 {
		content[at+i] ^= 1
	}
	return content
}

func TestPushStoresAFileOnceAndAcknowledgesItAgain(t *testing.T) {
	t.Parallel()
	source := newWALSource(t)
	path := filepath.Join(source.dir, firstSegment)
	for _, stored := range []bool{true, false} {
		result, err := push(t.Context(), source.cluster, path)
		if err != nil {
			t.Fatal(err)
		}
		if result.Stored != stored || result.Name.String() != firstSegment || result.Bytes != 16<<20 {
			t.Errorf("result is %+v, want stored %v", result, stored)
		}
	}
	var got bytes.Buffer
	if _, err := source.cluster.GetWAL(t.Context(), parseName(t, firstSegment), &got); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the stored file is another one")
	}
}

func parseName(t *testing.T, name string) wal.FileName {
	t.Helper()
	parsed, err := wal.ParseFileName(name)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestPushTakesEveryKindOfFile(t *testing.T) {
	t.Parallel()
	source := newWALSource(t)
	segment := filepath.Join(source.dir, firstSegment)
	unfinished := func(content []byte) []byte {
		copy(content[8<<20:], bytes.Repeat([]byte{0x5a}, 8<<20))
		return content
	}
	for _, path := range []string{
		copyAs(t, segment, firstSegment+".partial", unfinished),
		write(t, "00000002.history", []byte("1\t0/1500000\tno recovery target specified\n")),
		write(t, firstSegment+".00000028.backup", []byte("START WAL LOCATION: 0/1000028 (file "+firstSegment+")\n")),
	} {
		result, err := push(t.Context(), source.cluster, path)
		if err != nil || !result.Stored {
			t.Errorf("push %s: %+v, %v", filepath.Base(path), result, err)
		}
	}
}

func TestPushRefusesNamesThatPostgreSQLDoesNotArchive(t *testing.T) {
	t.Parallel()
	source := newWALSource(t)
	segment := filepath.Join(source.dir, firstSegment)
	for _, name := range []string{
		"pg_control", strings.ToLower("00000001000000000000000A"), firstSegment + ".zst", firstSegment + ".ready",
		"000000000000000000000001", "000000010000000000000100", "00000000.history", firstSegment[:23], "RECOVERYXLOG",
	} {
		_, err := push(t.Context(), source.cluster, copyAs(t, segment, name, same))
		var bad *archive.BadNameError
		if !errors.As(err, &bad) {
			t.Errorf("push %s: %v, want a BadNameError", name, err)
		}
	}
}

func TestPushRefusesDamagedFiles(t *testing.T) {
	t.Parallel()
	source := newWALSource(t)
	segment := filepath.Join(source.dir, firstSegment)
	for damage, path := range map[string]string{
		"truncated":           copyAs(t, segment, firstSegment, func(c []byte) []byte { return c[:len(c)/2] }),
		"empty":               write(t, firstSegment, nil),
		"zeros":               copyAs(t, segment, firstSegment, func(c []byte) []byte { return make([]byte, len(c)) }),
		"flipped in a record": copyAs(t, segment, firstSegment, func(c []byte) []byte { return spoilt(c, 40<<10+100) }),
		"another's name":      copyAs(t, segment, "000000010000000000000007", same),
		"a later name":        copyAs(t, segment, "000000010000000100000001", same),
		"too long":            copyAs(t, segment, firstSegment, func(c []byte) []byte { return append(c, 0) }),
		"history of garbage":  write(t, "00000002.history", []byte("garbage\n")),
		"empty history":       write(t, "00000003.history", nil),
		"backup of garbage":   write(t, firstSegment+".00000028.backup", []byte("garbage\n")),
	} {
		if result, err := push(t.Context(), source.cluster, path); err == nil {
			t.Errorf("%s: accepted: %+v", damage, result)
		}
	}
	inventory, err := source.cluster.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(inventory.Runs) != 0 || len(inventory.Histories) != 0 {
		t.Errorf("stored nevertheless: %v %v", inventory.Runs, inventory.Histories)
	}
}

func TestPushRefusesAForeignCluster(t *testing.T) {
	t.Parallel()
	source := newWALSource(t)
	registered := source.cluster.Identity()
	for name, identity := range map[string]catalog.Identity{
		"system identifier": {SystemIdentifier: registered.SystemIdentifier + 1, WALSegmentSize: registered.WALSegmentSize},
		"segment size":      {SystemIdentifier: registered.SystemIdentifier, WALSegmentSize: 2 * registered.WALSegmentSize},
	} {
		other := register(t, identity)
		for _, path := range []string{
			filepath.Join(source.dir, firstSegment),
			copyAs(t, filepath.Join(source.dir, firstSegment), firstSegment+".partial", same),
			writeBeside(t, source.dir, "00000002.history", "1\t0/1500000\tno reason\n"),
		} {
			_, err := push(t.Context(), other, path)
			var foreign *catalog.ForeignError
			if !errors.As(err, &foreign) {
				t.Errorf("%s of %s: %v, want a ForeignError", name, filepath.Base(path), err)
			}
		}
	}
}

func writeBeside(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two servers from one template are one cluster with two pasts, as after a failover that went wrong.
func TestPushReportsSplitBrain(t *testing.T) {
	t.Parallel()
	one, two := newWALSource(t), newWALSource(t)
	if _, err := push(t.Context(), one.cluster, filepath.Join(one.dir, firstSegment)); err != nil {
		t.Fatal(err)
	}
	_, err := push(t.Context(), one.cluster, filepath.Join(two.dir, firstSegment))
	var conflict *catalog.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("%v, want a ConflictError", err)
	}
	findings, err := one.cluster.Findings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) != 1 || findings[0].Name != firstSegment {
		t.Errorf("findings are %+v", findings)
	}
	if _, err := push(t.Context(), one.cluster, filepath.Join(one.dir, firstSegment)); err != nil {
		t.Errorf("the stored one was changed: %v", err)
	}
}

func TestPushRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	source := newWALSource(t)
	dir := filepath.Join(t.TempDir(), firstSegment)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(t.TempDir(), firstSegment)} {
		if _, err := push(t.Context(), source.cluster, path); err == nil {
			t.Errorf("pushed %s", path)
		}
	}
}

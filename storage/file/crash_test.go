//go:build linux

package file_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/storage"
	"lifeboat/storage/file"
)

// The test binary runs itself as the process that is killed or limited: these variables say what to do, and where.
const (
	childTask = "LIFEBOAT_TEST_CHILD_TASK"
	childRoot = "LIFEBOAT_TEST_CHILD_ROOT"
	childName = "LIFEBOAT_TEST_CHILD_NAME"
)

func TestMain(m *testing.M) {
	tasks := map[string]func(*file.Bucket) error{"write": writeForever, "limit": writeUnderLimit}
	task, ok := tasks[os.Getenv(childTask)]
	if !ok {
		os.Exit(m.Run())
	}
	b, err := file.Open(os.Getenv(childRoot), file.Options{Now: time.Now})
	if err == nil {
		err = task(b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, task, root, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childTask+"="+task, childRoot+"="+root, childName+"="+name)
	cmd.Stderr = t.Output()
	return cmd
}

// body is what belongs at a key: its length and bytes follow from the key.
func body(key string) []byte {
	h := fnv.New64a()
	h.Write([]byte(key))
	source := rand.NewChaCha8([32]byte(bytes.Repeat(h.Sum(nil), 4)))
	data := make([]byte, source.Uint64()%(1<<18+1))
	_, _ = source.Read(data) // never fails
	return data
}

// writeForever puts objects, and tells each key once it is acknowledged, with a plus, and with a minus before it is
// deleted.
func writeForever(b *file.Bucket) error {
	var output sync.Mutex
	say := func(sign, key string) {
		output.Lock()
		defer output.Unlock()
		fmt.Println(sign + key)
	}
	var all sync.WaitGroup
	for worker := range 3 {
		all.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s/%d/%d/x", os.Getenv(childName), worker, i)
				if err := writeOne(b, key, i, say); err != nil {
					say("!", err.Error())
				}
			}
		})
	}
	all.Wait()
	return nil
}

func writeOne(b *file.Bucket, key string, i int, say func(sign, key string)) error {
	data := body(key)
	options := storage.PutOptions{IfAbsent: i%2 == 0, Size: int64(len(data))}
	if err := b.Put(context.Background(), key, bytes.NewReader(data), options); err != nil {
		return err
	}
	say("+", key)
	if i%5 != 4 {
		return nil
	}
	say("-", key)
	return b.Delete(context.Background(), key)
}

// TestKilledWriter kills a writer at random moments: what it acknowledged is there, what is there is whole, and the
// next one to open the repository cleans up.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	const rounds = 50
	root := filepath.Join(t.TempDir(), "root")
	create(t, root)
	var total, leavings int
	for round := range rounds {
		acknowledged, deleted := runAndKill(t, root, fmt.Sprint(round))
		left, err := os.ReadDir(filepath.Join(root, ".tmp"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		leavings += len(left)
		total += len(acknowledged)
		checkAfterKill(t, root, acknowledged, deleted)
	}
	if total == 0 || leavings == 0 {
		t.Errorf("%d objects were acknowledged and %d temporary files left: nothing was tested", total, leavings)
	}
}

// runAndKill gives the keys that the writer acknowledged, and those it may have deleted.
func runAndKill(t *testing.T, root, name string) (acknowledged, deleted map[string]bool) {
	t.Helper()
	cmd := child(t, "write", root, name)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged, deleted = map[string]bool{}, map[string]bool{}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if len(acknowledged)+len(deleted) == 0 {
			time.AfterFunc(rand.N(30*time.Millisecond), func() { cmd.Process.Kill() })
		}
		switch key := lines.Text()[1:]; lines.Text()[0] {
		case '+':
			acknowledged[key] = true
		case '-':
			deleted[key] = true
		default:
			t.Errorf("the writer says %s", key)
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the writer was not killed: %v", err)
	}
	return acknowledged, deleted
}

func checkAfterKill(t *testing.T, root string, acknowledged, deleted map[string]bool) {
	t.Helper()
	b, err := file.Open(root, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if left, err := os.ReadDir(filepath.Join(root, ".tmp")); len(left) > 0 || err != nil {
		t.Errorf("left after opening: %v, %v", left, err)
	}
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		checkWhole(t, b, info.Key)
		delete(acknowledged, info.Key)
		if err := b.Delete(t.Context(), info.Key); err != nil {
			t.Error(err)
		}
	}
	for key := range acknowledged {
		if !deleted[key] {
			t.Errorf("%s was acknowledged and is gone", key)
		}
	}
}

func checkWhole(t *testing.T, b *file.Bucket, key string) {
	t.Helper()
	r, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := io.ReadAll(r); err != nil || !bytes.Equal(data, body(key)) {
		t.Errorf("%s is not whole: %d bytes, %v", key, len(data), err)
	}
}

// writeUnderLimit lets the system itself refuse a write, for which a limit of the process stands in for a full disk.
func writeUnderLimit(b *file.Bucket) error {
	const limit = 3<<20 + 5
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	for _, ifAbsent := range []bool{true, false} {
		options := storage.PutOptions{IfAbsent: ifAbsent, Size: -1}
		err := b.Put(context.Background(), "dir/large", strings.NewReader(strings.Repeat("x", 8<<20)), options)
		if !errors.Is(err, syscall.EFBIG) || storage.Hint(err) == "" {
			return fmt.Errorf("put beyond the limit: %w, hint %q", err, storage.Hint(err))
		}
		if err := b.Put(context.Background(), "small", strings.NewReader("x"), options); err != nil {
			return err
		}
		if err := b.Delete(context.Background(), "small"); err != nil {
			return err
		}
	}
	return nil
}

func TestWriteRefusedByTheSystemLeavesNothing(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	b := create(t, root)
	if err := child(t, "limit", root, "").Run(); err != nil {
		t.Error(err)
	}
	for info, err := range b.List(t.Context(), "") {
		t.Errorf("listed %s, %v", info.Key, err)
	}
	if left, err := os.ReadDir(filepath.Join(root, ".tmp")); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Buckets that know nothing of each other, as those of several processes, race for the same keys: the one that wins is
// the one whose byte is there.
func TestConditionalPutsOfSeveralBuckets(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	create(t, root)
	const racers, keys = 8, 20
	won := make([][]bool, racers)
	var all sync.WaitGroup
	for racer := range racers {
		b := create(t, root)
		won[racer] = make([]bool, keys)
		all.Go(func() {
			for k := range keys {
				err := b.Put(t.Context(), fmt.Sprintf("%d/new/x", k), strings.NewReader(fmt.Sprint(racer)), storage.PutOptions{IfAbsent: true, Size: 1})
				won[racer][k] = err == nil
				if err != nil && !errors.Is(err, storage.ErrExists) {
					t.Errorf("racer %d: %v", racer, err)
				}
			}
		})
	}
	all.Wait()
	for k := range keys {
		var winners string
		for racer := range racers {
			if won[racer][k] {
				winners += fmt.Sprint(racer)
			}
		}
		wantContent(t, filepath.Join(root, fmt.Sprint(k), "new", "x"), winners)
	}
}

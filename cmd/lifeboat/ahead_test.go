package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// berth is a directory in which hooks run as PostgreSQL's recovery runs them. The process that stands in for the server is
// one that sleeps.
type berth struct {
	in     *installation
	dir    string // the data directory
	server *exec.Cmd
	lone   string // a hook that has no lifeboat beside it, and so can only ask
}

const smallSegment = wal.SegmentSize(1 << 20)

// newSmallInstallation has so many segments of 1 MB in a repository of files.
func newSmallInstallation(t *testing.T, segments int) *installation {
	t.Helper()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{WALSegmentMB: 1})
	in.must("init")
	for len(in.segments()) < segments {
		in.server.Exec(t.Context(), "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))")
		in.switchWAL()
	}
	return in
}

// segments are the files of the segments in the repository.
func (in *installation) segments() []string {
	in.t.Helper()
	paths, err := filepath.Glob(in.repository + "/clusters/main/*/wal/00000001/*/00000001*")
	if err != nil {
		in.t.Fatal(err)
	}
	return paths
}

func (in *installation) newBerth() *berth {
	in.t.Helper()
	b := &berth{in: in, dir: filepath.Join(pgtest.TempDir(in.t), "data")}
	b.lone = filepath.Join(filepath.Dir(b.dir), "bin", "lifeboat-wal")
	for _, dir := range []string{b.dir, filepath.Join(b.dir, "pg_wal"), filepath.Dir(b.lone)} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			in.t.Fatal(err)
		}
	}
	// Another process writes it: one that a parallel test splits off holds what this process has open, and for so long nobody can
	// run it (ETXTBSY in execve(2)).
	if out, err := exec.Command("cp", filepath.Join(in.bin, "lifeboat-wal"), b.lone).CombinedOutput(); err != nil {
		in.t.Fatalf("cp: %v\n%s", err, out)
	}
	pgtest.GiveAway(in.t, b.dir)
	b.startServer()
	in.t.Cleanup(func() {
		b.stopServer()
		in.eventually("nothing is left of the prefetcher", func() bool { return len(b.prefetchers())+len(b.areas()) == 0 })
	})
	return b
}

func (b *berth) startServer() {
	b.in.t.Helper()
	b.server = pgtest.Command(b.in.t.Context(), b.in.install, "/bin/sleep", "600")
	if err := b.server.Start(); err != nil {
		b.in.t.Fatal(err)
	}
	path := filepath.Join(b.dir, "postmaster.pid")
	if err := os.WriteFile(path, []byte(strconv.Itoa(b.server.Process.Pid)+"\n"+b.dir+"\n"), 0o644); err != nil {
		b.in.t.Fatal(err)
	}
}

func (b *berth) stopServer() {
	_ = b.server.Process.Kill()
	_ = b.server.Wait() // it was killed
}

// prefetchers are the processes that fetch ahead for the directory.
func (b *berth) prefetchers() []int { return prefetchersOf(b.in.t, b.dir) }

func prefetchersOf(t *testing.T, dir string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), "\x00archive-ahead\x00") || !strings.Contains(string(raw), "\x00"+dir+"\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// areas are what lies beside the directory.
func (b *berth) areas() []string { return areasBeside(b.in.t, b.dir) }

func areasBeside(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".lifeboat-ahead-*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// number is that of the nth segment, counted from 1, in the repository: initdb has filled some already.
func (in *installation) number(n int) wal.SegmentNumber {
	in.t.Helper()
	first, err := wal.ParseFileName(filepath.Base(in.segments()[0]))
	if err != nil {
		in.t.Fatal(err)
	}
	return first.SegmentNumber(smallSegment) + wal.SegmentNumber(n-1)
}

func (in *installation) name(n int) string {
	in.t.Helper()
	return wal.SegmentFile(1, in.number(n), smallSegment).String()
}

// fetch runs a hook as PostgreSQL does, and wants the segment where it is to be.
func (b *berth) fetch(hook string, n, want int) {
	b.in.t.Helper()
	dest := filepath.Join(b.dir, "pg_wal/RECOVERYXLOG")
	if err := os.RemoveAll(dest); err != nil {
		b.in.t.Fatal(err)
	}
	cmd := pgtest.Command(b.in.t.Context(), b.in.install, hook, "fetch", "--config", b.in.config, b.in.name(n), "pg_wal/RECOVERYXLOG")
	cmd.Dir = b.dir
	o := finished(b.in.t, cmd)
	if o.code != want {
		b.in.t.Fatalf("segment %d: exit code %d, not %d: %s", n, o.code, want, o.errors)
	}
	content, err := os.ReadFile(dest)
	if want != fetchFound {
		if err == nil {
			b.in.t.Fatalf("segment %d: exit code %d, and there is a file", n, o.code)
		}
		return
	}
	if err != nil || len(content) != int(smallSegment) {
		b.in.t.Fatalf("segment %d: %d bytes, %v", n, len(content), err)
	}
	header, err := wal.ParsePageHeader(content)
	if err != nil || header.Address != wal.LSN(b.in.number(n))*wal.LSN(smallSegment) {
		b.in.t.Fatalf("in place of segment %d there is one of %s, %v", n, header.Address, err)
	}
}

func (b *berth) hook() string { return filepath.Join(b.in.bin, "lifeboat-wal") }

// begin fetches a segment until the following ones are fetched ahead: the lock of a killed prefetcher may outlast its
// command line a little. Hooks that come before the area is taken each start a prefetcher, all of which but one end at once.
func (b *berth) begin(n int) {
	b.in.t.Helper()
	b.in.eventually("one process listens in the area", func() bool {
		if b.listens() {
			return len(b.prefetchers()) == 1
		}
		b.fetch(b.hook(), n, fetchFound)
		return false
	})
}

func (b *berth) listens() bool {
	for _, path := range b.areas() {
		directory, err := os.Open(path)
		if err != nil {
			continue
		}
		conn, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/socket", directory.Fd()))
		if err == nil {
			conn.Close()
		}
		directory.Close()
		if err == nil {
			return true
		}
	}
	return false
}

func TestHooksOfARecoveryAreServedAhead(t *testing.T) {
	t.Parallel()
	in := newSmallInstallation(t, 14)
	first, second := in.newBerth(), in.newBerth()
	first.fetch(first.lone, 1, fetchUnknown) // nobody is there yet
	first.begin(1)
	second.begin(5)
	last := len(in.segments())
	for n := 2; n <= last; n++ {
		first.fetch(first.lone, n, fetchFound)
		if n > 5 {
			second.fetch(second.lone, n, fetchFound)
		}
	}
	first.fetch(first.lone, last+1, fetchAbsent)
	first.fetch(first.lone, 3, fetchFound) // what is not ahead is fetched, too
	if a, b := first.prefetchers(), second.prefetchers(); len(a) != 1 || len(b) != 1 || a[0] == b[0] {
		t.Errorf("prefetchers: %v and %v", a, b)
	}
	first.stopServer()
	in.eventually("the prefetcher ends with its server", func() bool { return len(first.prefetchers())+len(first.areas()) == 0 })
	second.fetch(second.lone, 2, fetchFound)
}

func TestAKilledPrefetcherIsReplaced(t *testing.T) {
	t.Parallel()
	in := newSmallInstallation(t, 12)
	b := in.newBerth()
	b.begin(1)
	for n := 2; n <= 8; n += 2 {
		for _, pid := range b.prefetchers() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		in.eventually("it is gone", func() bool { return len(b.prefetchers()) == 0 })
		if left := b.areas(); len(left) != 1 {
			t.Fatalf("areas: %v", left)
		}
		b.fetch(b.lone, n, fetchUnknown)
		b.begin(n)
		b.fetch(b.lone, n+1, fetchFound)
	}
}

func TestADamagedSegmentAheadIsNotServed(t *testing.T) {
	t.Parallel()
	in := newSmallInstallation(t, 8)
	paths := in.segments()
	content, err := os.ReadFile(paths[3])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(paths[3], content, 0o600); err != nil {
		t.Fatal(err)
	}
	b := in.newBerth()
	b.begin(1)
	b.fetch(b.lone, 2, fetchFound)
	b.fetch(b.lone, 3, fetchFound)
	b.fetch(b.hook(), 4, fetchUnknown)
	b.fetch(b.hook(), 5, fetchFound)
}

func TestAMissingSegmentBeforeLaterOnesIsUnknownAlsoAhead(t *testing.T) {
	t.Parallel()
	in := newSmallInstallation(t, 8)
	if err := os.Rename(in.segments()[4], in.path("away")); err != nil {
		t.Fatal(err)
	}
	b := in.newBerth()
	b.begin(3)
	b.fetch(b.lone, 4, fetchFound)
	b.fetch(b.hook(), 5, fetchUnknown)
	if err := os.Rename(in.path("away"), filepath.Join(filepath.Dir(in.segments()[0]), in.name(5))); err != nil {
		t.Fatal(err)
	}
	b.fetch(b.hook(), 5, fetchFound)
}

func TestAPrefetcherOfAnotherConfigurationDeclines(t *testing.T) {
	t.Parallel()
	in := newSmallInstallation(t, 4)
	b := in.newBerth()
	b.begin(1)
	raw, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	in.write("lifeboat.yaml", string(raw)+"# changed\n")
	b.fetch(b.lone, 2, fetchUnknown)
	in.eventually("the prefetcher has ended", func() bool { return len(b.prefetchers()) == 0 })
	b.begin(2)
	b.fetch(b.lone, 3, fetchFound)
}

func TestNothingIsFetchedAheadWhereNoServerRecovers(t *testing.T) {
	t.Parallel()
	in := newSmallInstallation(t, 3)
	b := in.newBerth()
	b.stopServer()
	for n := 1; n <= 3; n++ {
		b.fetch(b.hook(), n, fetchFound)
	}
	if found := fmt.Sprint(b.prefetchers(), b.areas()); found != "[] []" {
		t.Errorf("%s", found)
	}
}

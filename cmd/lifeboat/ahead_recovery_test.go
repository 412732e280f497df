package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/faultproxy"
	"lifeboat/internal/objectstore"
	"lifeboat/internal/pgtest"
)

// passage is a repository with a backup and a long way of WAL behind it, in segments of 1 MB.
type passage struct {
	in   *installation
	rows string // what the table holds at the end: count and sum
}

const passageRows = "SELECT count(*) || ' ' || sum(n) || ' ' || sum(hashtext(filler)::int8) FROM t"

// newPassage puts the repository to a place, or in files where that is nil.
func newPassage(t *testing.T, install pgtest.Install, place *objectstore.Place, megabytes int) *passage {
	t.Helper()
	in := bareInstallation(t, install)
	if place != nil {
		in.stored, in.place, in.keys = place, place.YAML(t), place.ReaderYAML()
	}
	in.start(pgtest.Options{WALSegmentMB: 1})
	in.addAgent("")
	in.must("init")
	in.asks(in.server)
	agent := in.readyAgent()
	ctx := t.Context()
	in.server.Exec(ctx, "CREATE TABLE t (n int, filler text)")
	in.must("backup")
	for i := range megabytes / 10 {
		in.server.Exec(ctx, fmt.Sprintf("INSERT INTO t SELECT n, repeat(md5(n::text), 30) FROM generate_series(%d, %d) AS n", i*9000, i*9000+8999))
	}
	p := &passage{in: in, rows: in.server.Value(ctx, passageRows)}
	in.switchWAL()
	in.server.Stop()
	agent.stop()
	return p
}

// restored is a restored directory, in a directory of its own.
func (p *passage) restored() string {
	p.in.t.Helper()
	dir := filepath.Join(pgtest.TempDir(p.in.t), "data")
	p.in.must("restore", "--target-dir", dir, "--archive-mode", "off")
	return dir
}

// recover starts the server on a restored directory, which lets readers in and goes on with its recovery.
func (p *passage) recover(dir string) *pgtest.Cluster {
	p.in.t.Helper()
	server, err := pgtest.StartDir(p.in.t, p.in.install, dir, pgtest.Options{})
	if err != nil {
		p.in.t.Fatal(err)
	}
	return server
}

// arrives waits for the end of recovery, which must be that of the WAL, and compares the rows. Nothing may be left.
func (p *passage) arrives(server *pgtest.Cluster) {
	p.in.t.Helper()
	ctx := p.in.t.Context()
	p.in.eventually("recovery ends", func() bool { return recovered(ctx, server) })
	if rows := server.Value(ctx, passageRows); rows != p.rows {
		p.in.t.Errorf("recovered %s, not %s", rows, p.rows)
	}
	server.Stop()
	p.leavesNothing(server.DataDir)
}

func (p *passage) leavesNothing(dir string) {
	p.in.t.Helper()
	p.in.eventually("nothing is left of the prefetcher of "+dir, func() bool {
		return len(prefetchersOf(p.in.t, dir))+len(areasBeside(p.in.t, dir)) == 0
	})
	if left, err := filepath.Glob(filepath.Join(dir, "pg_wal", "*.lifeboat-*")); err != nil || len(left) > 0 {
		p.in.t.Errorf("left in pg_wal: %v, %v", left, err)
	}
}

// watching looks at the prefetchers, hooks and workers of the directories that begin so, from time to time until stop.
func (p *passage) watching(directory string, met func(pid int, what string)) (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
			}
			for pid, what := range fetchers(directory) {
				met(pid, what)
			}
		}
	})
	return func() { close(done); all.Wait() }
}

// fetchers are the processes that fetch for data directories that begin so, with what they do.
func fetchers(directory string) map[int]string {
	found := map[int]string{}
	paths, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		raw, readErr := os.ReadFile(path + "/cmdline")
		words := strings.Split(string(raw), "\x00")
		if err != nil || readErr != nil || len(words) < 3 {
			continue
		}
		at, _ := os.Readlink(path + "/cwd") // empty where the process has ended
		switch what := words[1]; what {
		case "archive-get", "fetch":
			if strings.HasPrefix(at, directory) {
				found[pid] = what
			}
		case "archive-ahead":
			if strings.HasPrefix(words[len(words)-3], directory) {
				found[pid] = what
			}
		}
	}
	return found
}

func TestRecoveryIsFetchedAhead(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		p := newPassage(t, install, nil, 150)
		t.Run("two at once", p.twoAtOnce)
		t.Run("killed at random", p.killed)
		t.Run("the repository leaves", p.repositoryLeaves)
		t.Run("a damaged segment", p.damaged)
		t.Run("drill", p.drilled)
		t.Run("a standby that polls", p.polls)
		t.Run("another timeline", p.branches)
	})
}

func (p *passage) with(t *testing.T) *passage {
	in := *p.in
	in.t = t
	return &passage{in: &in, rows: p.rows}
}

func (p *passage) twoAtOnce(t *testing.T) {
	p = p.with(t)
	first, second := p.restored(), p.restored()
	var prefetched sync.Map
	defer p.watching(first, func(pid int, what string) { prefetched.Store("first "+what, true) })()
	defer p.watching(second, func(pid int, what string) { prefetched.Store("second "+what, true) })()
	one, two := p.recover(first), p.recover(second)
	p.arrives(one)
	p.arrives(two)
	for _, what := range []string{"first archive-ahead", "second archive-ahead"} {
		if _, there := prefetched.Load(what); !there {
			t.Errorf("not seen: %s", what)
		}
	}
}

// killed ends prefetchers, hooks and their workers at random moments. A killed hook is a fatal error for recovery, which
// goes on when the server is started again.
func (p *passage) killed(t *testing.T) {
	p = p.with(t)
	dir := p.restored()
	var kills atomic.Int64
	stop := p.watching(dir, func(pid int, what string) {
		if n := kills.Load(); (n == 0 || n < 20 && rand.IntN(8) == 0) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			kills.Add(1)
		}
	})
	server := p.sail(dir)
	stop()
	// What the last one that was killed has left, the next one removes. None comes when recovery has ended: so one is called.
	next := pgtest.Command(t.Context(), p.in.install, p.in.bin+"/lifeboat", "--config", p.in.config, "archive-ahead", "--", dir, "000000010000000000000001")
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	p.arrives(server)
	if err := next.Wait(); err != nil {
		t.Error(err)
	}
	if kills.Load() == 0 {
		t.Error("nothing was killed")
	}
	t.Logf("%d killed", kills.Load())
}

// sail starts the server again and again until its recovery has ended, as an operator or a supervisor does.
func (p *passage) sail(dir string) *pgtest.Cluster {
	p.in.t.Helper()
	for range 100 {
		server, err := pgtest.StartDir(p.in.t, p.in.install, dir, pgtest.Options{})
		for err == nil && !ended(server) {
			if recovered(p.in.t.Context(), server) {
				return server
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	p.in.t.Fatal("recovery does not end")
	return nil
}

func ended(server *pgtest.Cluster) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	return !errors.Is(server.Wait(ctx), context.DeadlineExceeded)
}

// recovered is false also where the server does not answer.
func recovered(ctx context.Context, server *pgtest.Cluster) bool {
	conn, err := server.Connect(ctx, "postgres")
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	recovers := true
	err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovers)
	return err == nil && !recovers
}

// stops starts the server and waits until it has given up its recovery, which must not have promoted it.
func (p *passage) stops(dir, words string, settings map[string]string) {
	p.in.t.Helper()
	server, err := pgtest.StartDir(p.in.t, p.in.install, dir, pgtest.Options{Settings: settings})
	if err == nil {
		p.in.eventually("the server gives up", func() bool { return ended(server) })
	}
	if log := server.Log(); !strings.Contains(log, words) || strings.Contains(log, "selected new timeline") {
		p.in.t.Errorf("the server was to say %q and not to promote:\n%s", words, log)
	}
	p.leavesNothing(dir)
}

// repositoryLeaves moves the repository away when the fortieth file is asked for: what is in it, since a process that has
// opened the directory itself finds it wherever it is.
func (p *passage) repositoryLeaves(t *testing.T) {
	p = p.with(t)
	dir, there, away := p.restored(), filepath.Join(p.in.repository, "clusters"), p.in.path("away")
	p.in.write("leaving", fmt.Sprintf(`n=$(($(cat "$0.count" 2>/dev/null || echo 0) + 1))
echo $n >"$0.count"
[ $n != 40 ] || mv "%s" "%s"
exec "%s/lifeboat-wal" fetch --config %s "$1" "$2"
`, there, away, p.in.bin, hookFile))
	leaving := map[string]string{"restore_command": fmt.Sprintf(`sh "%s" %%f %%p`, p.in.path("leaving"))}
	for range 2 {
		p.stops(dir, "FATAL:  could not restore file", leaving)
	}
	if err := os.Rename(away, there); err != nil {
		t.Fatal(err)
	}
	p.arrives(p.recover(dir))
}

func (p *passage) damaged(t *testing.T) {
	p = p.with(t)
	dir := p.restored()
	paths := p.in.segments()
	path := paths[len(paths)*2/3]
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(content)
	damaged[len(damaged)/2] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	p.stops(dir, filepath.Base(path), nil)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	p.arrives(p.recover(dir))
}

func (p *passage) drilled(t *testing.T) {
	p = p.with(t)
	done := make(chan struct{})
	var looking sync.WaitGroup
	most := 0
	looking.Go(func() { most = mostAhead(p.in.path("scratch/*/ahead/*"), done) })
	o := p.in.run("drill", "run", "--output", "json")
	close(done)
	looking.Wait()
	for _, check := range document(t, o.out)["checks"].([]any) {
		check := check.(map[string]any)
		if name := check["name"]; (name == "recovery proven" || name == "nothing left behind") && check["result"] != "pass" {
			t.Errorf("%v", check)
		}
	}
	if most < 2 {
		t.Errorf("at most %d files at a time were fetched for the drill: none was ahead", most)
	}
	if left := fetchers(p.in.path("scratch")); len(left) > 0 {
		t.Errorf("processes: %v", left)
	}
	if left, err := filepath.Glob(p.in.path("scratch/*")); err != nil || len(left) > 0 {
		t.Errorf("scratch: %v, %v", left, err)
	}
}

// mostAhead is how many files fit a pattern at the same time, at most, until done.
func mostAhead(pattern string, done <-chan struct{}) (most int) {
	for {
		found, _ := filepath.Glob(pattern) // the pattern is right
		most = max(most, len(found))
		select {
		case <-done:
			return most
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// polls lets a standby without a primary follow the archive, at whose end it asks again and again.
func (p *passage) polls(t *testing.T) {
	p = p.with(t)
	dir := p.restored()
	if err := os.WriteFile(filepath.Join(dir, "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pgtest.GiveAway(t, dir)
	server, err := pgtest.StartDir(t, p.in.install, dir, pgtest.Options{Settings: map[string]string{"wal_retrieve_retry_interval": "100ms"}})
	if err != nil {
		t.Fatal(err)
	}
	p.in.eventually("the standby is at the end of the archive", func() bool { return server.Value(t.Context(), passageRows) == p.rows })
	if recovered(t.Context(), server) {
		t.Error("the standby has ended its recovery")
	}
	p.in.eventually("one prefetcher serves the standby", func() bool { return len(prefetchersOf(t, dir)) == 1 })
	server.Stop()
	p.leavesNothing(dir)
}

// branches promotes a restored server, which archives on a timeline of its own, and follows that from the old backup.
func (p *passage) branches(t *testing.T) {
	p = p.with(t)
	dir := filepath.Join(pgtest.TempDir(t), "data")
	p.in.must("restore", "--target-dir", dir)
	p.in.server = p.recover(dir)
	p.in.eventually("recovery ends", func() bool { return recovered(t.Context(), p.in.server) })
	for range 5 {
		p.in.server.Exec(t.Context(), "INSERT INTO t SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 2000) AS n")
		p.in.switchWAL()
	}
	p.rows = p.in.server.Value(t.Context(), passageRows)
	p.in.server.Stop()
	p.arrives(p.recover(p.restored()))
}

var endpointLine = regexp.MustCompile(`endpoint: '([^']*)'`)

// TestAShortOutageOfTheStoreIsWaitedOut lets the store go away for some seconds in the middle of a recovery, which goes on
// by itself.
func TestAShortOutageOfTheStoreIsWaitedOut(t *testing.T) {
	t.Parallel()
	objectstore.Elsewhere(t, func(t *testing.T, place *objectstore.Place) {
		p := newPassage(t, pgtest.Newest(t), place, 60)
		dir := p.restored()
		hookFile := filepath.Join(dir, hookFile)
		text, err := os.ReadFile(hookFile)
		if err != nil {
			t.Fatal(err)
		}
		endpoint := endpointLine.FindSubmatch(text)
		if endpoint == nil {
			t.Fatalf("no endpoint in\n%s", text)
		}
		script := faultproxy.NewScript(faultproxy.Rule{After: 40, Action: faultproxy.Leave(3 * time.Second)})
		proxy := faultproxy.Start(t, string(endpoint[1]), script)
		text = bytes.ReplaceAll(text, endpoint[1], []byte(proxy.URL()))
		if err := os.WriteFile(hookFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var prefetched atomic.Bool
		stop := p.watching(dir, func(_ int, what string) {
			if what == "archive-ahead" {
				prefetched.Store(true)
			}
		})
		server := p.recover(dir)
		p.arrives(server)
		stop()
		if err := script.AllFired(); err != nil || !prefetched.Load() {
			t.Errorf("there was no outage of a recovery that is fetched ahead: %v, after %d requests", err, proxy.Requests())
		}
		if log := server.Log(); strings.Contains(log, "FATAL:  could not restore") {
			t.Errorf("recovery gave up:\n%s", log)
		}
	})
}

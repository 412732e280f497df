package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/pgtest"
)

// addCopiesAgent adds an agent that streams to a configuration with two repositories.
func (in *installation) addCopiesAgent() {
	in.t.Helper()
	raw, err := os.ReadFile(in.config)
	if err != nil {
		in.t.Fatal(err)
	}
	text := strings.Replace(string(raw), "wal: {copies: 1}", "wal: {copies: 1, stream: true, interval: 100ms}", 1)
	in.write("lifeboat.yaml", text+fmt.Sprintf("agent: {socket: %q, listen: \"127.0.0.1:0\"}\n", in.socket()))
}

// TestAgentBridgesTheOutageOfEachRepository takes away first the far and then the near repository, and restores at last what
// only both together have: a tail that was begun in one and continued in the other.
func TestAgentBridgesTheOutageOfEachRepository(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.start(pgtest.Options{WALSegmentMB: 1})
	in.configureCopies(in.farDirectory(), 1)
	in.addCopiesAgent()
	in.must("init")
	in.asks(in.server)
	in.must("backup")
	s := in.readyAgent()
	in.fill(2)
	s.streamsAll()
	in.move("far", "gone")
	in.fill(12) // more than a push brings to a repository that is back
	in.switchWAL()
	in.archivesAll()
	if c := in.state("far"); c["state"] != "away" {
		t.Errorf("far is %v", c)
	}
	in.move("gone", "far") // and no push comes that would find it back
	in.eventually("far is filled", func() bool { return in.state("far")["state"] == "complete" })
	ctx := t.Context()
	in.server.Exec(ctx, "SELECT pg_switch_wal()")
	in.server.Exec(ctx, "INSERT INTO t VALUES (-2)")
	s.streamsAll()
	in.move("near", "gone")
	in.server.Exec(ctx, "INSERT INTO t VALUES (-3)")
	s.streamsAll()
	in.move("gone", "near")
	in.server.Kill()
	s.kill()
	directory := filepath.Join(pgtest.TempDir(t), "restored")
	in.must("restore", "--target-dir", directory, "--archive-mode", "off")
	restored, err := pgtest.StartDir(t, in.install, directory, pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in.eventually("recovery ends", func() bool { return restored.Value(ctx, "SELECT pg_is_in_recovery()::text") == "false" })
	if rows := restored.Value(ctx, "SELECT count(*)::text FROM t WHERE n < 0"); rows != "2" {
		t.Errorf("%s of 2 last rows", rows)
	}
}

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stopLimit bounds how long a server may take to write its checkpoint, to archive what is left, and to wait for a standby
// that does not answer (wal_sender_timeout is a minute).
const stopLimit = 3 * time.Minute

// port is part of the socket's name only: nothing listens on a network.
const port = 5432

// Options say what a new cluster is like. The zero value is a cluster with segments of 16 MiB, wal_level
// replica, fsync off, no data checksums and no archiving.
type Options struct {
	DataChecksums bool
	WALSegmentMB  int  // size of a WAL segment, 1 to 1024; 0 means 16
	Fsync         bool // pay for durability
	// OwnIdentity runs initdb instead of copying a template. Clusters copied from one template share their
	// system identifier.
	OwnIdentity bool
	// ArchiveCommand, when not empty, turns archiving on.
	ArchiveCommand string
	// Settings go to postgresql.conf.
	Settings map[string]string
}

// Cluster is a PostgreSQL server of the test's own, whose superuser is postgres, without a password.
type Cluster struct {
	Install   Install
	DataDir   string
	SocketDir string

	t       testing.TB
	flags   []string // settings that only this harness has a say in
	logPath string
	server  *server // nil when stopped
}

// Start makes a cluster and starts its server, which is stopped when the test ends. The test fails when
// either cannot be done.
func Start(t testing.TB, install Install, options Options) *Cluster {
	t.Helper()
	dir := TempDir(t)
	data := filepath.Join(dir, "data")
	if err := create(install, options, data); err != nil {
		t.Fatalf("make a cluster of %s: %v", install, err)
	}
	if err := configure(data, options); err != nil {
		t.Fatalf("configure a cluster of %s: %v", install, err)
	}
	c := newCluster(t, install, dir, data, options)
	c.Launch()
	return c
}

// StartDir starts a server on a directory that exists, such as a restored one, which must belong to
// PostgreSQL's user. It adds the options' settings to the server's command line and leaves the directory's
// own configuration alone. An error carries the end of the server's log. The server is stopped when the
// test ends; the directory stays.
func StartDir(t testing.TB, install Install, dataDir string, options Options) (*Cluster, error) {
	t.Helper()
	c := newCluster(t, install, TempDir(t), dataDir, options)
	for _, setting := range settings(options) {
		c.flags = append(c.flags, "-c", setting.name+"="+setting.value)
	}
	return c, c.launch()
}

func newCluster(t testing.TB, install Install, dir, dataDir string, options Options) *Cluster {
	c := &Cluster{Install: install, DataDir: dataDir, SocketDir: dir, t: t, logPath: filepath.Join(dir, "log")}
	c.flags = []string{
		"-D", dataDir, "-p", strconv.Itoa(port), "-k", dir, "-c", "listen_addresses=",
		"-c", "fsync=" + onOff(options.Fsync),
		"-c", "dynamic_shared_memory_type=mmap", // in the data directory, so that a killed server leaves none behind
	}
	t.Cleanup(c.discard)
	return c
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

type setting struct{ name, value string }

// settings lists what the options put into the configuration, in a fixed order.
func settings(options Options) []setting {
	list := []setting{{"shared_buffers", "32MB"}, {"wal_level", "replica"}}
	if options.ArchiveCommand != "" {
		list = append(list, setting{"archive_mode", "on"}, setting{"archive_command", options.ArchiveCommand})
	}
	names := make([]string, 0, len(options.Settings))
	for name := range options.Settings {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, setting{name, options.Settings[name]})
	}
	return list
}

func configure(dataDir string, options Options) error {
	var text strings.Builder
	for _, setting := range settings(options) {
		fmt.Fprintf(&text, "%s = '%s'\n", setting.name, strings.ReplaceAll(setting.value, "'", "''"))
	}
	file, err := os.OpenFile(filepath.Join(dataDir, "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(text.String())
	return err
}

// create makes a data directory: by initdb, or as a copy of a template that initdb made earlier.
func create(install Install, options Options, dataDir string) error {
	args := initdbArgs(install, options)
	if options.OwnIdentity {
		return initdb(install, args, dataDir)
	}
	key := strings.Join(append([]string{install.BinDir, install.fingerprint()}, args...), "\n")
	template, err := sharedOnce("cluster", key, func(dir string) error {
		return initdb(install, args, filepath.Join(dir, "data"))
	})
	if err != nil {
		return err
	}
	return run(Command(context.Background(), install, "/bin/cp", "-a", "--reflink=auto", filepath.Join(template, "data"), dataDir))
}

func initdb(install Install, args []string, dataDir string) error {
	return run(Command(context.Background(), install, "initdb", append(args, "-D", dataDir)...))
}

func initdbArgs(install Install, options Options) []string {
	args := []string{"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"}
	if install.Major < 14 {
		args = args[:len(args)-1]
	}
	if options.WALSegmentMB != 0 {
		args = append(args, "--wal-segsize="+strconv.Itoa(options.WALSegmentMB))
	}
	switch {
	case options.DataChecksums:
		args = append(args, "--data-checksums")
	case install.Major >= 18: // has them by default
		args = append(args, "--no-data-checksums")
	}
	return args
}

// fingerprint changes when the server program is replaced, as a minor update does.
func (i Install) fingerprint() string {
	info, err := os.Stat(i.Tool("postgres"))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.Size(), info.ModTime().Unix())
}

// Launch starts the server of a stopped cluster and waits until it takes connections.
func (c *Cluster) Launch() {
	c.t.Helper()
	if err := c.launch(); err != nil {
		c.t.Fatalf("start %s: %v", c.Install, err)
	}
}

func (c *Cluster) launch() error {
	server, err := startServer(c.command(), c.logPath)
	if err != nil {
		return err
	}
	c.server = server
	if err := c.awaitReady(); err != nil {
		return fmt.Errorf("%w; the server's log ends:\n%s", err, tail(c.Log(), 30))
	}
	return nil
}

func (c *Cluster) command() *exec.Cmd {
	return Command(context.Background(), c.Install, "postgres", c.flags...)
}

// Stop shuts the server down fast: sessions are ended, a checkpoint is written, and WAL is archived.
func (c *Cluster) Stop() {
	c.t.Helper()
	if err := c.server.stop(fastShutdown, stopLimit); err != nil {
		c.t.Fatalf("stop %s: %v", c.Install, err)
	}
	c.server = nil
}

// Kill ends every process of the server at once with SIGKILL, as a crash does.
func (c *Cluster) Kill() {
	c.t.Helper()
	if err := errors.Join(c.server.kill(), awaitDetached(c.DataDir)); err != nil {
		c.t.Fatalf("kill %s: %v", c.Install, err)
	}
	c.server = nil
}

// Restart stops and launches the server.
func (c *Cluster) Restart() {
	c.t.Helper()
	c.Stop()
	c.Launch()
}

// Wait waits until the server ends by itself, as it does after recovery with the target action shutdown or
// a failed recovery. It returns how the server ended: nil for a clean shutdown.
func (c *Cluster) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w", c.Install, ctx.Err())
	case <-c.server.done:
		return c.server.err
	}
}

// Log is what the server has logged so far.
func (c *Cluster) Log() string {
	text, err := os.ReadFile(c.logPath)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// discard stops what still runs when the test is over and shows a failed test the end of the log.
func (c *Cluster) discard() {
	if c.t.Failed() {
		c.t.Logf("the log of %s ends:\n%s", c.Install, tail(c.Log(), 30))
	}
	if c.server != nil && c.server.stop(immediateShutdown, 10*time.Second) != nil {
		if err := c.server.kill(); err != nil {
			c.t.Errorf("kill %s: %v", c.Install, err)
		}
	}
	removeSharedMemory(c.DataDir)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

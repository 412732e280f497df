package wal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
	"lifeboat/internal/wal"
)

// TestRecordsAreThoseOfWaldump compares every record of a varied load with what pg_waldump says.
func TestRecordsAreThoseOfWaldump(t *testing.T) {
	t.Parallel()
	for _, megabytes := range []int{1, 16} {
		t.Run(fmt.Sprintf("segments of %d MiB", megabytes), func(t *testing.T) {
			t.Parallel()
			load := runLoad(t, pgtest.Debian(t), megabytes)
			want := waldump(t, load)
			got := readAll(t, load)
			if len(want) < 2000 {
				t.Fatalf("pg_waldump shows only %d records", len(want))
			}
			for i := range min(len(want), len(got)) {
				if got[i].line != want[i].line || !slices.Equal(got[i].blocks, want[i].blocks) {
					t.Fatalf("record %d:\n got %+v\nwant %+v", i, got[i], want[i])
				}
				if got[i].end != want[i].end {
					t.Fatalf("record %d: %s\n got end %q\nwant end %q", i, got[i].line, got[i].end, want[i].end)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d records, pg_waldump shows %d", len(got), len(want))
			}
		})
	}
}

// load is a stopped cluster that all kinds of records were written on.
type load struct {
	cluster      *pgtest.Cluster
	first        string // segment that the load begins in
	size         wal.SegmentSize
	tablespace   string
	restoreLSN   string
	started      time.Time
	topXID       string
	subXIDs      int
	truncated    string // path of the storage that TRUNCATE dropped
	preparedXIDs []string
}

func (l load) pgWAL() string { return filepath.Join(l.cluster.DataDir, "pg_wal") }

// manyTransactions leaves some thousand small records.
const manyTransactions = `DO $$ BEGIN
	FOR n IN 1..600 LOOP
		INSERT INTO accounts VALUES (n, repeat('v', n));
		UPDATE accounts SET v = v || n WHERE i = n / 2;
		COMMIT;
	END LOOP;
END $$`

func runLoad(t *testing.T, install pgtest.Install, megabytes int) load {
	t.Helper()
	ctx := context.Background()
	c := pgtest.Start(t, install, pgtest.Options{WALSegmentMB: megabytes, Settings: map[string]string{
		"max_prepared_transactions": "10", "wal_keep_size": "2GB", "max_wal_size": "4GB", "wal_compression": "on",
		"track_commit_timestamp": "on", "wal_level": "logical",
	}})
	l := load{cluster: c, size: wal.SegmentSize(megabytes) << 20, tablespace: pgtest.TempDir(t), started: time.Now()}
	c.Exec(ctx, "SELECT pg_switch_wal()")
	c.Exec(ctx, "CREATE TABLE accounts (i int PRIMARY KEY, v text)")
	l.first = c.Value(ctx, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
	c.Exec(ctx, manyTransactions)
	c.Exec(ctx, "CREATE TABLE t (i int PRIMARY KEY, v text)")
	c.Exec(ctx, "CREATE UNLOGGED TABLE u AS SELECT generate_series(1, 1000)")
	c.Exec(ctx, "CREATE TABLESPACE other LOCATION '"+l.tablespace+"'")
	c.Exec(ctx, "CREATE TABLE moved TABLESPACE other AS SELECT g, repeat('x', 100) FROM generate_series(1, 3000) g")
	l.topXID, l.subXIDs = subtransactions(ctx, c)
	l.preparedXIDs = prepared(ctx, c)
	c.Exec(ctx, "SELECT pg_logical_emit_message(false, 'long', repeat('y', 3000000))")
	l.truncated = c.Value(ctx, "SELECT pg_relation_filepath('t')")
	c.Exec(ctx, "TRUNCATE t")
	c.Exec(ctx, "CREATE DATABASE other")
	c.Exec(ctx, "DROP DATABASE other")
	l.restoreLSN = c.Value(ctx, "SELECT pg_create_restore_point('before the drop')")
	dropInTwoPhases(ctx, c)
	c.Exec(ctx, "DROP TABLESPACE other")
	c.Exec(ctx, "SELECT pg_switch_wal()")
	c.Exec(ctx, "CHECKPOINT")
	c.Exec(ctx, "DELETE FROM accounts")
	c.Exec(ctx, manyTransactions)
	c.Exec(ctx, "VACUUM")
	c.Stop()
	return l
}

func subtransactions(ctx context.Context, c *pgtest.Cluster) (xid string, count int) {
	conn := c.Conn(ctx)
	exec := func(sql string) {
		if _, err := conn.Exec(ctx, sql); err != nil {
			panic(err)
		}
	}
	exec("BEGIN")
	exec("INSERT INTO t VALUES (0)")
	if err := conn.QueryRow(ctx, "SELECT txid_current()::text").Scan(&xid); err != nil {
		panic(err)
	}
	for i := range 100 {
		exec("SAVEPOINT s")
		exec("INSERT INTO t VALUES (" + strconv.Itoa(i+1) + ")")
	}
	exec("COMMIT")
	exec("BEGIN; INSERT INTO t VALUES (1000); SAVEPOINT s; INSERT INTO t VALUES (1001); ROLLBACK")
	return xid, 100
}

func prepared(ctx context.Context, c *pgtest.Cluster) []string {
	var xids []string
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		conn := c.Conn(ctx)
		for _, sql := range []string{"BEGIN", "INSERT INTO t VALUES (5000)", "SAVEPOINT s", "INSERT INTO t VALUES (5001)"} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				panic(err)
			}
		}
		var xid string
		if err := conn.QueryRow(ctx, "SELECT txid_current()::text").Scan(&xid); err != nil {
			panic(err)
		}
		if _, err := conn.Exec(ctx, "PREPARE TRANSACTION 'two phases'"); err != nil {
			panic(err)
		}
		c.Exec(ctx, end+" PREPARED 'two phases'")
		c.Exec(ctx, "DELETE FROM t WHERE i >= 5000")
		xids = append(xids, xid)
	}
	return xids
}

// dropInTwoPhases drops table moved, so that the records of its end name storage and statistics to drop.
func dropInTwoPhases(ctx context.Context, c *pgtest.Cluster) {
	conn := c.Conn(ctx)
	for _, sql := range []string{"BEGIN", "DROP TABLE moved", "PREPARE TRANSACTION 'drop'"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			panic(err)
		}
	}
	c.Exec(ctx, "COMMIT PREPARED 'drop'")
}

// segments lists the names of the segments in a pg_wal that hold WAL, in order.
func segments(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name, err := wal.ParseFileName(e.Name())
		if err != nil || name.Kind != wal.Segment {
			continue
		}
		if header := firstPage(t, filepath.Join(dir, e.Name())); header.Address == name.Start(header.SegmentSize) {
			names = append(names, e.Name())
		}
	}
	return names
}

// firstPage is the header of a segment; the zero value for a file made in advance, which is all zeroes.
func firstPage(t testing.TB, path string) wal.PageHeader {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page := make([]byte, wal.LongHeaderSize)
	if _, err := io.ReadFull(file, page); err != nil {
		t.Fatal(err)
	}
	header, err := wal.ParsePageHeader(page)
	if err != nil {
		return wal.PageHeader{Address: 1}
	}
	return header
}

// dumped is a record in words: those of pg_waldump.
type dumped struct {
	line   string   // LSN, link, length, transaction, resource manager
	blocks []string // block references
	end    string   // what ends a transaction, restore point, checkpoint, tablespace; else empty
}

var (
	recordLine = regexp.MustCompile(`^rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s+(\d+), lsn: (\S+), prev (\S+), desc: (.*)$`)
	blockLine  = regexp.MustCompile(`^\tblkref #(\d+): rel (\S+) fork (\S+) blk (\d+)( \(FPW\))?( \(FPW for WAL verification\))?`)
)

func waldump(t *testing.T, l load) []dumped {
	t.Helper()
	names := segments(t, l.pgWAL())
	cmd := pgtest.Command(context.Background(), l.cluster.Install, "pg_waldump", "-b", "-p", l.pgWAL(), l.first, names[len(names)-1])
	out, err := cmd.Output()
	if err != nil && len(out) == 0 { // it ends with an error where the WAL ends
		t.Fatal(err)
	}
	var records []dumped
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if m := recordLine.FindStringSubmatch(line); m != nil {
			text := fmt.Sprintf("%s %s %s %s %s", parseLSN(t, m[4]), parseLSN(t, m[5]), m[2], m[3], m[1])
			records = append(records, dumped{line: text, end: ending(m[1], m[6])})
		} else if m := blockLine.FindStringSubmatch(line); m != nil {
			last := &records[len(records)-1]
			last.blocks = append(last.blocks, fmt.Sprintf("%s %s %s %s image=%t apply=%t", m[1], m[2], m[3], m[4], m[5]+m[6] != "", m[5] != ""))
		} else {
			t.Fatalf("pg_waldump wrote %q", line)
		}
	}
	return records
}

func parseLSN(t testing.TB, s string) wal.LSN {
	t.Helper()
	lsn, err := wal.ParseLSN(s)
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

var (
	waldumpEnd      = regexp.MustCompile(`^(COMMIT|ABORT|COMMIT_PREPARED|ABORT_PREPARED)( \d+:)? (\S+ \S+) UTC`)
	waldumpPrepare  = regexp.MustCompile(`^PREPARE gid (.*): (\S+ \S+) UTC`)
	waldumpRels     = regexp.MustCompile(`; rels:((?: [^ ;]+)+)`)
	waldumpSubs     = regexp.MustCompile(`; subxacts:((?: \d+)+)`)
	waldumpCheck    = regexp.MustCompile(`^(CHECKPOINT_\w+) redo (\S+); tli (\d+); prev tli (\d+);.* xid (\d+:\d+);`)
	waldumpTruncate = regexp.MustCompile(`^TRUNCATE base/(\d+)/(\d+) to (\d+) blocks`)
	waldumpOther    = regexp.MustCompile(`^(XLOG (RESTORE_POINT|SWITCH) .*|Tablespace .*|Database (CREATE_WAL_LOG|DROP) .*)`)
	waldumpCopy     = regexp.MustCompile(`^CREATE_FILE_COPY copy dir \S+ to (\S+)`)
)

// ending is what we can say ourselves about a record, in pg_waldump's words shortened.
func ending(rmgr, desc string) string {
	if !slices.Contains([]string{"XLOG", "Transaction", "Storage", "Tablespace", "Database"}, rmgr) {
		return ""
	}
	if m := waldumpEnd.FindStringSubmatch(desc); m != nil && rmgr == "Transaction" {
		return m[1] + m[2] + " " + m[3] + submatch(waldumpRels, desc) + submatch(waldumpSubs, desc)
	}
	if m := waldumpPrepare.FindStringSubmatch(desc); m != nil {
		return "PREPARE " + m[1] + " " + m[2] + submatch(waldumpSubs, desc)
	}
	if m := waldumpCheck.FindStringSubmatch(desc); m != nil {
		return strings.Join(m[1:], " ")
	}
	if m := waldumpTruncate.FindStringSubmatch(desc); m != nil && rmgr == "Storage" {
		return "TRUNCATE " + strings.Join(m[1:], "/")
	}
	if m := waldumpCopy.FindStringSubmatch(desc); m != nil {
		return "Database CREATE_FILE_COPY " + m[1]
	}
	return waldumpOther.FindString(rmgr + " " + desc)
}

func submatch(pattern *regexp.Regexp, s string) string {
	if m := pattern.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

var rmgrNames = []string{"XLOG", "Transaction", "Storage", "CLOG", "Database", "Tablespace", "MultiXact", "RelMap", "Standby", "Heap2",
	"Heap", "Btree", "Hash", "Gin", "Gist", "Sequence", "SPGist", "BRIN", "CommitTs", "ReplicationOrigin", "Generic", "LogicalMessage"}

// readAll reads every record with our own reader, until WAL ends.
func readAll(t *testing.T, l load) []dumped {
	t.Helper()
	var records []dumped
	for r, err := range allRecords(t, l.pgWAL(), l.first, l.size) {
		if err != nil {
			break
		}
		d := dumped{line: fmt.Sprintf("%s %s %d %d %s", r.LSN, r.Prev, r.Length, r.XID, rmgrNames[r.Rmgr]), end: describe(r)}
		for _, b := range r.Blocks {
			d.blocks = append(d.blocks, fmt.Sprintf("%d %s %s %d image=%t apply=%t", b.ID, b.Locator, b.Fork, b.Block, b.HasImage, b.HasImage && b.Apply))
		}
		records = append(records, d)
	}
	return records
}

// allRecords iterates from the start of a segment until the end of the WAL in a stopped cluster's pg_wal, which must be what ends it.
func allRecords(t testing.TB, dir, segment string, size wal.SegmentSize) func(yield func(*wal.Record, error) bool) {
	t.Helper()
	first, err := wal.ParseFileName(segment)
	if err != nil {
		t.Fatal(err)
	}
	reader := wal.NewReader(wal.ChainSegments(size, func(segno wal.SegmentNumber) (io.ReaderAt, error) {
		file, err := os.Open(filepath.Join(dir, wal.SegmentName(first.Timeline, segno, size)))
		if errors.Is(err, os.ErrNotExist) {
			return nil, io.EOF
		}
		return file, err
	}), size)
	if err := reader.FindFrom(first.Start(size)); err != nil {
		t.Fatal(err)
	}
	return func(yield func(*wal.Record, error) bool) {
		for {
			r, err := reader.Next()
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func describe(r *wal.Record) string {
	const form = "2006-01-02 15:04:05.000000"
	if end, ok := r.XactEnd(); ok {
		return describeEnd(end, form)
	}
	if point, ok := r.RestorePoint(); ok {
		return "XLOG RESTORE_POINT " + point.Name
	}
	if c, ok := r.Checkpoint(); ok {
		name := "CHECKPOINT_ONLINE"
		if c.Shutdown {
			name = "CHECKPOINT_SHUTDOWN"
		}
		return fmt.Sprintf("%s %s %d %d %d:%d", name, c.Redo, c.Timeline, c.PrevTimeline, c.NextXID>>32, uint32(c.NextXID))
	}
	if created, ok := r.TablespaceCreate(); ok {
		return fmt.Sprintf("Tablespace CREATE %d %q", created.OID, created.Path)
	}
	if oid, ok := r.TablespaceDrop(); ok {
		return fmt.Sprintf("Tablespace DROP %d", oid)
	}
	if cut, ok := r.StorageTruncate(); ok {
		return fmt.Sprintf("TRUNCATE %d/%d/%d", cut.Locator.Database, cut.Locator.Relation, cut.Blocks)
	}
	if created, ok := r.DatabaseCreate(); ok && created.CopiesFiles {
		return fmt.Sprintf("Database CREATE_FILE_COPY %d/%d", created.Tablespace, created.Database)
	} else if ok {
		return fmt.Sprintf("Database CREATE_WAL_LOG create dir %d/%d", created.Tablespace, created.Database)
	}
	if dropped, ok := r.DatabaseDrop(); ok {
		return fmt.Sprintf("Database DROP dir %d/%d", dropped.Tablespaces[0], dropped.Database)
	}
	if r.Switch() {
		return "XLOG SWITCH "
	}
	return ""
}

func describeEnd(end wal.XactEnd, form string) string {
	var b strings.Builder
	b.WriteString(end.Kind.String())
	switch end.Kind {
	case wal.CommitPrepared, wal.AbortPrepared:
		fmt.Fprintf(&b, " %d:", end.XID)
	case wal.PreparedXact:
		b.WriteString(" " + end.GID)
	}
	b.WriteString(" " + end.Time.Format(form))
	for _, l := range end.Dropped {
		if l.Tablespace == 1663 {
			fmt.Fprintf(&b, " base/%d/%d", l.Database, l.Relation)
		} else {
			fmt.Fprintf(&b, " pg_tblspc/%d/PG_15_202209061/%d/%d", l.Tablespace, l.Database, l.Relation)
		}
	}
	for _, xid := range end.SubXIDs {
		fmt.Fprintf(&b, " %d", xid)
	}
	return b.String()
}

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/archive"
	"lifeboat/internal/wal"
)

// serverFacts are the server's answers that check judges.
type serverFacts struct {
	version                               int
	recovery                              bool
	walLevel, archiveMode, archiveCommand string
	archiveTimeout, checksums, fullPages  string
	dataDirectory                         string
	clock                                 time.Time
	system                                int64
	failed                                bool // the archiver's last attempt failed
	lastFailed                            string
}

const serverQuery = `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('wal_level'),
	current_setting('archive_mode'), current_setting('archive_command'), current_setting('archive_timeout'),
	current_setting('data_checksums'), current_setting('full_page_writes'), current_setting('data_directory'), clock_timestamp(),
	(SELECT system_identifier FROM pg_control_system()),
	coalesce((SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver), false),
	coalesce((SELECT last_failed_wal FROM pg_stat_archiver), '')`

func (k *checker) checkServer(ctx context.Context) {
	conn, err := connector(k.scene.config)(ctx, "")
	if err != nil {
		k.add("server", "unproven", "start the server, or correct 'connection'", "it cannot be reached: %v", err)
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if !k.checkGrants(ctx, conn) {
		return
	}
	f, err := askFacts(ctx, conn)
	if err != nil {
		k.add("server", "unproven", "", "it does not answer: %v", err)
		return
	}
	k.checkIdentity(f)
	k.checkSettings(f)
	k.checkDataDirectory(f)
	k.checkClock(f)
	k.checkStream(ctx, conn, f)
	if f.recovery {
		k.add("archiving", "unproven", "run check on the primary", "the server is a standby, so no segment can be finished")
		return
	}
	k.checkRoundTrip(ctx, conn, f)
}

func askFacts(ctx context.Context, conn *pgx.Conn) (f serverFacts, err error) {
	err = conn.QueryRow(ctx, serverQuery).Scan(&f.version, &f.recovery, &f.walLevel, &f.archiveMode, &f.archiveCommand,
		&f.archiveTimeout, &f.checksums, &f.fullPages, &f.dataDirectory, &f.clock, &f.system, &f.failed, &f.lastFailed)
	return f, err
}

// checkGrants names the missing privileges; without them the other questions would fail in less plain words.
func (k *checker) checkGrants(ctx context.Context, conn *pgx.Conn) bool {
	var version int
	err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version)
	if err != nil {
		k.add("privileges", "unproven", "", "%v", err)
		return false
	}
	missing, err := archive.MissingGrants(ctx, conn, version/10000)
	switch {
	case err != nil:
		k.add("privileges", "unproven", "", "%v", err)
	case len(missing) > 0:
		k.add("privileges", "fail", "as a superuser: "+strings.Join(missing, " "), "%d are missing", len(missing))
	default:
		k.add("privileges", "pass", "", "all that backups and censuses need")
		return true
	}
	return false
}

func (k *checker) checkIdentity(f serverFacts) {
	k.add("server", "pass", "", "PostgreSQL %d.%d", f.version/10000, f.version%10000)
	switch major := f.version / 10000; {
	case major < 13 || major > 18:
		k.add("version", "fail", "use a Lifeboat that knows it", "PostgreSQL %d is not supported: 13 to 18 are", major)
	case k.scene.repository == nil: // which was told
	case k.scene.cluster == nil:
		k.add("cluster", "fail", "lifeboat init", "the repository does not know it")
	case k.scene.cluster.Identity().SystemIdentifier != uint64(f.system):
		k.add("cluster", "fail", "correct 'connection', or give this cluster a name of its own",
			"the repository has system identifier %d under this name, the server is %d", k.scene.cluster.Identity().SystemIdentifier, f.system)
	default:
		k.add("cluster", "pass", "", "system identifier %d", f.system)
	}
}

func (k *checker) checkSettings(f serverFacts) {
	set := func(name, value string) string {
		return fmt.Sprintf("ALTER SYSTEM SET %s = '%s', then restart or reload", name, value)
	}
	judge := func(name, value string, right bool, otherwise, mend string) {
		if right {
			otherwise = "pass"
		}
		k.add(name, otherwise, mend, "%s", value)
	}
	judge("wal_level", f.walLevel, f.walLevel != "minimal", "fail", set("wal_level", "replica"))
	judge("archive_mode", f.archiveMode, f.archiveMode != "off", "fail", set("archive_mode", "on"))
	judge("archive_command", f.archiveCommand, strings.Contains(f.archiveCommand, "lifeboat-wal"), "fail",
		set("archive_command", hookPath()+" push %p"))
	judge("archive_timeout", f.archiveTimeout, f.archiveTimeout != "0", "warn", set("archive_timeout", "60s")+": without it a quiet server archives nothing for hours")
	judge("full_page_writes", f.fullPages, f.fullPages == "on", "fail", set("full_page_writes", "on")+": backups need it")
	judge("data_checksums", f.checksums, f.checksums == "on", "warn", "pg_checksums --enable while the server is down: without them a backup cannot tell damaged pages")
}

func (k *checker) checkDataDirectory(f serverFacts) {
	directory := f.dataDirectory
	if k.scene.config.DataDirectory != "" {
		directory = k.scene.config.DataDirectory
	}
	raw, err := os.ReadFile(directory + "/global/pg_control")
	if err != nil {
		k.add("data directory", "fail", "run Lifeboat on the server's host as the user that owns the data directory", "%v", err)
		return
	}
	identity, err := identityOf(raw)
	if err != nil {
		k.add("data directory", "unproven", "run check again", "%s: %v", directory, err)
		return
	}
	if identity.SystemIdentifier != uint64(f.system) {
		k.add("data directory", "fail", "correct 'data_directory'", "%s belongs to system identifier %d, not to the server's %d", directory, identity.SystemIdentifier, f.system)
		return
	}
	k.add("data directory", "pass", "", "%s", directory)
}

// clockTolerance is how far the two clocks may be apart before times in targets mislead.
const clockTolerance = 2 * time.Second

func (k *checker) checkClock(f serverFacts) {
	apart := k.app.now().Sub(f.clock).Abs()
	result := "pass"
	if apart > clockTolerance {
		result = "warn"
	}
	k.add("clock", result, "set both clocks by NTP", "the server's and this one are %s apart", apart.Round(time.Millisecond))
}

// roundTrip bounds how long check waits for a segment to come through archive_command.
const roundTrip = 30 * time.Second

// checkRoundTrip finishes a segment and waits until it can be read back from the repository.
func (k *checker) checkRoundTrip(ctx context.Context, conn *pgx.Conn, f serverFacts) {
	if k.scene.cluster == nil || f.archiveMode == "off" {
		return
	}
	var segment string
	const finish = "SELECT pg_walfile_name(pg_create_restore_point('lifeboat-check')), pg_switch_wal()::text"
	var end string
	if err := conn.QueryRow(ctx, finish).Scan(&segment, &end); err != nil {
		k.add("archiving", "unproven", "", "no segment could be finished: %v", err)
		return
	}
	started := k.app.now()
	name, err := wal.ParseFileName(segment)
	for err == nil && k.app.now().Sub(started) < roundTrip && ctx.Err() == nil {
		if _, err := k.scene.cluster.WALHeader(ctx, name); err == nil {
			k.add("archiving", "pass", "", "%s came through in %s", segment, k.app.now().Sub(started).Round(time.Millisecond))
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	detail := "it has not come through within " + roundTrip.String()
	if f.failed {
		detail += "; the archiver's last attempt, on " + f.lastFailed + ", failed"
	}
	k.add("archiving", "fail", "the server's log has what lifeboat-wal said", "%s: %s", segment, detail)
}

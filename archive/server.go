package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// recordedSettings are what a restored server must know: those that recovery compares with pg_control, and those
// without which data or extensions would not be found as they were.
// https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-ADMIN
var recordedSettings = []string{
	"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
	"max_locks_per_transaction", "wal_level", "wal_log_hints", "track_commit_timestamp",
	"shared_preload_libraries", "server_encoding", "TimeZone", "log_timezone", "DateStyle", "IntervalStyle",
	"lc_messages", "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config",
}

// serverFacts is what the server says about itself before a backup.
type serverFacts struct {
	identity       catalog.Identity
	inRecovery     bool
	archiveMode    string
	archiveCommand string
	archiveLibrary string // 15 and later
	dataDirectory  string
	dataChecksums  bool
	superuser      string // the role with OID 10
	settings       map[string]string
}

// archives says whether the server hands WAL over.
// https://www.postgresql.org/docs/current/runtime-config-wal.html#RUNTIME-CONFIG-WAL-ARCHIVING
func (f serverFacts) archives() bool {
	return f.archiveMode != "off" && (f.archiveCommand != "" || f.archiveLibrary != "")
}

func (s *session) facts(ctx context.Context) (serverFacts, error) {
	const query = `SELECT pg_is_in_recovery(), current_setting('archive_mode'), current_setting('archive_command'),
		coalesce(current_setting('archive_library', true), ''), current_setting('data_directory'),
		current_setting('data_checksums') = 'on',
		(SELECT system_identifier FROM pg_control_system()),
		(SELECT bytes_per_wal_segment FROM pg_control_init()),
		(SELECT rolname::text FROM pg_roles WHERE oid = 10)`
	var f serverFacts
	var identifier int64 // PostgreSQL shows the unsigned number as a signed one
	err := s.conn.QueryRow(ctx, query).Scan(&f.inRecovery, &f.archiveMode, &f.archiveCommand, &f.archiveLibrary,
		&f.dataDirectory, &f.dataChecksums, &identifier, &f.identity.WALSegmentSize, &f.superuser)
	if err != nil {
		return f, fmt.Errorf("ask the server about itself: %w", err)
	}
	f.identity.SystemIdentifier = uint64(identifier)
	f.settings, err = s.settings(ctx)
	return f, err
}

// settings are the recorded ones, as SHOW prints them, with the locale of the session's database.
func (s *session) settings(ctx context.Context) (map[string]string, error) {
	const query = `SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)
		UNION ALL SELECT 'lc_collate', datcollate::text FROM pg_database WHERE datname = current_database()
		UNION ALL SELECT 'lc_ctype', datctype::text FROM pg_database WHERE datname = current_database()`
	rows, err := s.conn.Query(ctx, query, recordedSettings)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	settings := map[string]string{}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		settings[name] = value
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return settings, nil
}

// tablespaceNames are the names of all tablespaces by OID.
func (s *session) tablespaceNames(ctx context.Context) (map[uint32]string, error) {
	rows, err := s.conn.Query(ctx, "SELECT oid, spcname::text FROM pg_tablespace")
	if err != nil {
		return nil, fmt.Errorf("read tablespaces: %w", err)
	}
	names := map[uint32]string{}
	var oid uint32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&oid, &name}, func() error {
		names[oid] = name
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tablespaces: %w", err)
	}
	return names, nil
}

// archiverState is pg_stat_archiver, which every role may read.
type archiverState struct {
	failed     int64
	failedWAL  string
	failedTime time.Time // zero: never
	lastWAL    string
	lastTime   time.Time // zero: never
}

// failing says whether the latest attempt that the server counted was a failure.
func (a archiverState) failing() bool { return a.failed > 0 && a.failedTime.After(a.lastTime) }

// String is a sentence about the archiver's last failure or success.
func (a archiverState) String() string {
	switch {
	case a.failing():
		return fmt.Sprintf("the server's archiver last failed on %s at %s, after %d failures",
			a.failedWAL, a.failedTime.UTC().Format(time.RFC3339), a.failed)
	case a.lastTime.IsZero():
		return "the server's archiver has not archived anything yet, and counts no failures"
	}
	return fmt.Sprintf("the server's archiver last succeeded, with %s at %s", a.lastWAL, a.lastTime.UTC().Format(time.RFC3339))
}

func (s *session) archiver(ctx context.Context) (archiverState, error) {
	const query = `SELECT failed_count, coalesce(last_failed_wal, ''), last_failed_time,
		coalesce(last_archived_wal, ''), last_archived_time FROM pg_stat_archiver`
	var a archiverState
	var failed, last *time.Time
	err := s.conn.QueryRow(ctx, query).Scan(&a.failed, &a.failedWAL, &failed, &a.lastWAL, &last)
	if err != nil {
		return a, fmt.Errorf("ask for the archiver's state: %w", err)
	}
	if failed != nil {
		a.failedTime = *failed
	}
	if last != nil {
		a.lastTime = *last
	}
	return a, nil
}

// backupStart is what pg_backup_start returned.
type backupStart struct {
	lsn wal.LSN   // redo position of the backup's checkpoint
	at  time.Time // the server's clock before
}

// backupStop is what pg_backup_stop returned.
type backupStop struct {
	lsn           wal.LSN
	at            time.Time // the server's clock after
	label         string    // contents of backup_label
	tablespaceMap string    // contents of tablespace_map
}

// start makes a checkpoint and puts the server into backup mode, which ends with the session at the latest.
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-BACKUP
func (s *session) start(ctx context.Context, label string, fast bool) (backupStart, error) {
	query := "SELECT pg_backup_start($1, $2)::text"
	if s.major() < 15 {
		query = "SELECT pg_start_backup($1, $2, false)::text"
	}
	var b backupStart
	if err := s.conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&b.at); err != nil {
		return b, fmt.Errorf("start the backup: %w", err)
	}
	var lsn string
	if err := s.conn.QueryRow(ctx, query, label, fast).Scan(&lsn); err != nil {
		return b, fmt.Errorf("start the backup: %w", err)
	}
	var err error
	b.lsn, err = wal.ParseLSN(lsn)
	return b, err
}

// stop ends backup mode and makes the server switch to a new segment, without waiting for the archiver.
func (s *session) stop(ctx context.Context) (backupStop, error) {
	query := "SELECT lsn::text, labelfile, coalesce(spcmapfile, ''), clock_timestamp() FROM pg_backup_stop(false)"
	if s.major() < 15 {
		query = "SELECT lsn::text, labelfile, coalesce(spcmapfile, ''), clock_timestamp() FROM pg_stop_backup(false, false)"
	}
	var b backupStop
	var lsn string
	if err := s.conn.QueryRow(ctx, query).Scan(&lsn, &b.label, &b.tablespaceMap, &b.at); err != nil {
		return b, fmt.Errorf("stop the backup: %w", err)
	}
	var err error
	b.lsn, err = wal.ParseLSN(lsn)
	return b, err
}

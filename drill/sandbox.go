package drill

import (
	"strconv"

	"lifeboat/restore"
	"lifeboat/storage/catalog"
)

// accessText lets in whoever can open the socket, which lies in a directory that only the drill's user can enter.
const accessText = "local all all trust\n"

// The files that replace the restored ones; the restored configuration is not read.
var configFiles = [][2]string{{"config_file", "postgresql.conf"}, {"hba_file", "pg_hba.conf"}, {"ident_file", "pg_ident.conf"}}

// sandboxSettings are the settings, on the command line, that keep a scratch server from acting on anything outside:
// it does not archive, listens on its socket only, loads no library and replicates nothing.
func sandboxSettings(files map[string]string, record catalog.Record) [][2]string {
	settings := [][2]string{}
	for _, f := range configFiles {
		settings = append(settings, [2]string{f[0], files[f[1]]})
	}
	settings = append(settings, [][2]string{
		{"archive_mode", "off"}, {"archive_command", ""}, {"listen_addresses", ""}, {"unix_socket_permissions", "0700"}, {"ssl", "off"},
		{"shared_preload_libraries", ""}, {"session_preload_libraries", ""}, {"local_preload_libraries", ""},
		{"primary_conninfo", ""}, {"primary_slot_name", ""}, {"max_logical_replication_workers", "0"},
		{"hot_standby", "on"}, {"autovacuum", "off"}, {"jit", "off"}, {"huge_pages", "off"}, {"shared_buffers", "128MB"},
		{"dynamic_shared_memory_type", "mmap"}, // in the data directory, and gone with it
		{"default_transaction_read_only", "on"}, {"log_connections", "off"}, {"log_statement", "none"},
	}...)
	return append(settings, replayNeeds(record)...)
}

// replayNeeds are the settings that a hot standby must have at least as high as the primary had
// (https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-ADMIN).
func replayNeeds(record catalog.Record) [][2]string {
	least := map[string]int{
		"max_connections": 20, "max_worker_processes": 8, "max_wal_senders": 10, "max_prepared_transactions": 0, "max_locks_per_transaction": 64,
	}
	var settings [][2]string
	for _, name := range []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"} {
		value := least[name]
		if had, err := strconv.Atoi(record.Settings[name]); err == nil {
			value = max(value, had)
		}
		settings = append(settings, [2]string{name, strconv.Itoa(value)})
	}
	if tracked := record.Settings["track_commit_timestamp"]; tracked == "on" {
		settings = append(settings, [2]string{"track_commit_timestamp", tracked})
	}
	return settings
}

// lockPatience is how long a session waits for a lock. Nobody else works on a scratch server: what stays locked is held by a
// transaction in whose middle recovery has paused, and stays so.
const lockPatience = "10s"

// sessionSettings go with every connection: settings of a role or a database outrank the command line, and the
// connection's own outrank those.
func sessionSettings(major int) map[string]string {
	settings := map[string]string{
		"session_preload_libraries": "", "local_preload_libraries": "", "default_transaction_read_only": "on",
		"search_path": "pg_catalog", "row_security": "off", "jit": "off", "statement_timeout": "0", "lock_timeout": lockPatience,
		"role": "none", "dynamic_library_path": "$libdir", "session_replication_role": "origin", "exit_on_error": "off",
		"default_transaction_isolation": "read committed", "default_transaction_deferrable": "off", "client_min_messages": "notice",
		"idle_in_transaction_session_timeout": "0", "zero_damaged_pages": "off", "ignore_checksum_failure": "off", "ignore_system_indexes": "off",
	}
	if major >= 14 {
		settings["idle_session_timeout"] = "0"
	}
	if major >= 17 {
		settings["event_triggers"], settings["transaction_timeout"] = "off", "0"
	}
	return settings
}

func planSettings(plan restore.Plan) [][2]string {
	settings := make([][2]string, 0, len(plan.Settings))
	for _, s := range plan.Settings {
		settings = append(settings, [2]string{s.Name, s.Value})
	}
	return settings
}

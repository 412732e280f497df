package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"lifeboat/archive"
	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
)

// streamFacts are the server's answers about streaming.
type streamFacts struct {
	senders, sendersUsed, slots, slotsUsed int
	role                                   string
	mayReplicate                           bool
	keepMB, maxWALMB                       int64 // max_slot_wal_keep_size, -1 for no limit, and max_wal_size
	standbyNames, commit                   string
	slot                                   slotFacts
}

// slotFacts are those of the agent's slot (https://www.postgresql.org/docs/current/view-pg-replication-slots.html).
type slotFacts struct {
	exists, physical, active bool
	status                   string // reserved, extended, unreserved or lost; empty where it keeps no WAL yet
	safe                     *int64 // bytes of WAL that may be written before it is in danger
}

const streamQuery = `SELECT current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication)::int,
	current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots)::int,
	rolname::text, rolreplication OR rolsuper,
	(SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
	(SELECT setting::bigint FROM pg_settings WHERE name = 'max_wal_size'),
	current_setting('synchronous_standby_names'), current_setting('synchronous_commit')
	FROM pg_roles WHERE rolname = current_user`

const slotQuery = `SELECT slot_type = 'physical', active, coalesce(wal_status, ''), safe_wal_size FROM pg_replication_slots WHERE slot_name = $1`

func askStream(ctx context.Context, conn *pgx.Conn, slot string) (f streamFacts, err error) {
	err = conn.QueryRow(ctx, streamQuery).Scan(&f.senders, &f.sendersUsed, &f.slots, &f.slotsUsed, &f.role, &f.mayReplicate,
		&f.keepMB, &f.maxWALMB, &f.standbyNames, &f.commit)
	if err != nil {
		return f, err
	}
	err = conn.QueryRow(ctx, slotQuery, slot).Scan(&f.slot.physical, &f.slot.active, &f.slot.status, &f.slot.safe)
	f.slot.exists = err == nil
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return f, err
}

// checkStream judges what streaming needs of the server, and what it does to it.
func (k *checker) checkStream(ctx context.Context, conn *pgx.Conn, server serverFacts) {
	slot := slotOf(k.scene.name)
	f, err := askStream(ctx, conn, slot)
	if err != nil {
		k.add("streaming", "unproven", "", "the server does not answer: %v", err)
		return
	}
	k.checkSynchronous(f, slot, server)
	if !k.scene.config.WAL.Stream {
		if f.slot.exists {
			k.add("replication slot", "warn", fmt.Sprintf("SELECT pg_drop_replication_slot('%s');", slot),
				"%s is left over, wal.stream being off: it keeps WAL for nobody", slot)
		}
		return
	}
	k.checkRoom(f)
	k.checkReplication(ctx, f)
	k.checkSlotLimit(f, server.dataDirectory)
	k.checkSlot(f.slot, slot, server.recovery)
	k.checkSpool()
}

const startAgent = "systemctl start lifeboat-agent"

// checkRoom judges the numbers of walsenders and slots, of which the agent needs one each.
func (k *checker) checkRoom(f streamFacts) {
	judge := func(name string, limit, used int, has bool) {
		if has || used < limit {
			k.add(name, "pass", "", "%d, of which %d are in use", limit, used)
			return
		}
		k.add(name, "fail", fmt.Sprintf("ALTER SYSTEM SET %s = %d, then restart", name, max(10, 2*limit)),
			"%d, all of which are in use by others", limit)
	}
	judge("max_wal_senders", f.senders, f.sendersUsed, f.slot.active)
	judge("max_replication_slots", f.slots, f.slotsUsed, f.slot.exists)
}

// checkReplication tries a connection for replication.
func (k *checker) checkReplication(ctx context.Context, f streamFacts) {
	if !f.mayReplicate {
		k.add("replication", "fail", "as a superuser: "+archive.GrantReplication(f.role), "role %s has not the attribute REPLICATION", f.role)
		return
	}
	if f.sendersUsed >= f.senders {
		k.add("replication", "unproven", "make room for a walsender, see max_wal_senders", "all walsenders are in use")
		return
	}
	conn, err := replicationConn(ctx, k.scene.config, "lifeboat")
	if err == nil {
		k.add("replication", "pass", "", "role %s may connect for it", f.role)
		_ = conn.Close(ctx) // it has served
		return
	}
	result, mend := "unproven", "the server's log has more"
	if failed := (*pgconn.PgError)(nil); errors.As(err, &failed) && strings.HasPrefix(failed.Code, "28") {
		result, mend = "fail", "add to pg_hba.conf: "+hbaLine(k.scene.config, f.role)+" and run SELECT pg_reload_conf();"
	}
	k.add("replication", result, mend, "no connection for it: %v", err)
}

// hbaLine is what lets the agent connect for replication (https://www.postgresql.org/docs/current/auth-pg-hba-conf.html).
func hbaLine(c *config.Cluster, role string) string {
	options, err := pgx.ParseConfig(c.Connection)
	role = pgx.Identifier{role}.Sanitize()
	if err == nil && !strings.HasPrefix(options.Host, "/") {
		return fmt.Sprintf("host replication %s samehost scram-sha-256", role)
	}
	return fmt.Sprintf("local replication %s peer", role)
}

// checkSlotLimit judges how much WAL the server keeps for an agent that is away.
func (k *checker) checkSlotLimit(f streamFacts, directory string) {
	const name = "max_slot_wal_keep_size"
	mend := fmt.Sprintf("ALTER SYSTEM SET %s = '%dMB'; SELECT pg_reload_conf();", name, slotLimit(directory, f.maxWALMB))
	switch {
	case f.keepMB < 0:
		k.add(name, "warn", mend, "-1: while no agent runs, its slot keeps all WAL until pg_wal's disk is full and the server stops")
	case f.keepMB < f.maxWALMB:
		k.add(name, "warn", mend, "%s is less than max_wal_size, %s: the slot of an agent that is away for a moment is lost, and a new backup needed",
			megabytes(f.keepMB), megabytes(f.maxWALMB))
	default:
		k.add(name, "pass", "", "%s", megabytes(f.keepMB))
	}
}

func megabytes(n int64) string { return term.Bytes(n << 20) }

// slotLimit is a limit to propose, in MiB: half of what is free beside the data directory, within reason.
func slotLimit(directory string, maxWAL int64) int64 {
	const most = 100 << 10
	var disk unix.Statfs_t
	if unix.Statfs(directory, &disk) != nil {
		return 2 * maxWAL
	}
	return max(2*maxWAL, min(most, int64(disk.Bavail)*disk.Bsize/2>>20))
}

// checkSpool judges how much may wait for the repository on this machine.
func (k *checker) checkSpool() {
	const subject = "wal.spool_limit"
	limit := int64(k.scene.config.WAL.SpoolLimit)
	var disk unix.Statfs_t
	switch {
	case k.scene.cluster != nil && limit < 2*int64(k.scene.cluster.Identity().WALSegmentSize):
		k.add(subject, "fail", "raise it", "%s has no room for two segments of %s, so nothing is streamed",
			term.Bytes(limit), term.Bytes(int64(k.scene.cluster.Identity().WALSegmentSize)))
	case unix.Statfs(k.scene.settings.StateDirectory.Value, &disk) == nil && int64(disk.Bavail)*disk.Bsize < limit:
		k.add(subject, "warn", "lower it, or make room", "%s, and the disk of state_directory has %s free: the spool would fill it",
			term.Bytes(limit), term.Bytes(int64(disk.Bavail)*disk.Bsize))
	default:
		k.add(subject, "pass", "", "%s", term.Bytes(limit))
	}
}

func (k *checker) checkSlot(s slotFacts, name string, standby bool) {
	const subject = "replication slot"
	switch {
	case !s.exists && standby:
		k.add(subject, "pass", "", "%s: the agent makes it when the server is promoted", name)
	case !s.exists:
		k.add(subject, "warn", startAgent, "%s is not there: the agent makes it", name)
	case !s.physical:
		k.add(subject, "fail", fmt.Sprintf("SELECT pg_drop_replication_slot('%s');", name), "%s is a logical one, in the agent's way", name)
	case s.status == "lost":
		k.add(subject, "fail", startAgent+": it makes the slot anew, notes the gap, and takes a backup where one is scheduled; else lifeboat backup",
			"%s is lost: the server has removed WAL that was not streamed", name)
	case s.status == "unreserved":
		k.add(subject, "warn", startAgent+", and raise max_slot_wal_keep_size", "%s is about to be lost: the server may remove its WAL at any checkpoint", name)
	case !s.active && !standby:
		k.add(subject, "fail", startAgent, "nobody receives from %s; %s", name, s.room())
	default:
		k.add(subject, "pass", "", "%s; %s", name, s.room())
	}
}

// room says how much WAL may be written before the slot is in danger.
func (s slotFacts) room() string {
	if s.safe == nil {
		return "it keeps WAL without a limit"
	}
	return term.Bytes(max(0, *s.safe)) + " of WAL may be written before it is in danger"
}

// checkSynchronous judges what it means that commits wait for the agent.
func (k *checker) checkSynchronous(f streamFacts, slot string, server serverFacts) {
	const subject = "synchronous_standby_names"
	c := k.scene.config
	const release = "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf(); lets commits go on without it"
	switch {
	case !namesStandby(f.standbyNames, slot):
	case server.recovery:
		k.add(subject, "pass", "", "commits will wait for the agent when the server is promoted")
	case !c.WAL.Stream:
		k.add(subject, "fail", "set wal.stream: true, or "+release, "%s may be the agent, and wal.stream is off", f.standbyNames)
	case !f.slot.active:
		k.add(subject, "fail", startAgent+", or "+release, "it names the agent, which does not stream: commits wait for it")
	case f.commit == "off" || f.commit == "local":
		k.add(subject, "warn", "ALTER SYSTEM SET synchronous_commit = 'on'; SELECT pg_reload_conf();",
			"it names the agent, and with synchronous_commit = %s commits wait for nobody", f.commit)
	case c.WAL.Durable == config.InSpool && sameDisk(k.scene.settings.StateDirectory.Value, server.dataDirectory):
		k.add(subject, "warn", "move state_directory to another disk, or set wal.durable: repository",
			"commits wait for the spool, which lies on the data directory's own disk and dies with it")
	default:
		k.add(subject, "pass", "", "commits wait until WAL is durable in the %s", durableIn(c))
	}
}

func durableIn(c *config.Cluster) string {
	if c.WAL.Durable == config.InRepository {
		return "repository"
	}
	return "spool"
}

// standbyName is a name in synchronous_standby_names: quoted, plain or *.
var standbyName = regexp.MustCompile(`"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_$]*|\*`)

// namesStandby tells whether a standby of this application_name counts; names are compared without case (syncrep.c).
func namesStandby(setting, name string) bool {
	return slices.ContainsFunc(standbyName.FindAllString(setting, -1), func(word string) bool {
		return word == "*" || strings.EqualFold(strings.Trim(word, `"`), name)
	})
}

// sameDisk is false where that cannot be found out.
func sameDisk(a, b string) bool {
	var first, second unix.Stat_t
	return unix.Stat(a, &first) == nil && unix.Stat(b, &second) == nil && first.Dev == second.Dev
}

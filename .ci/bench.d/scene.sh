# The throwaway cluster, its WAL, and the repositories; to be sourced.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # variables come from measure, and go there

data=$temp/data segments=$temp/segments config=$temp/lifeboat.yaml
repository=$temp/repository pgbackrest_repository=$temp/pgbackrest

make_scene() {
	mkdir -p tmp results socket "$segments"
	check_room
	make_cluster
	gather_segments
	pgbackrest_settings >pgbackrest.conf
	psql_run "VACUUM" "CHECKPOINT"
}

check_room() {
	local free need=$((SCALE * 80 + 4000))
	free=$(df --output=avail -BM . | tr -dc 0-9)
	((free >= need)) || fail "$temp has $free MB free and needs $need: name another place with TMPDIR, or a smaller SCALE"
}

make_cluster() {
	say "making a cluster at scale $SCALE with $(postgres --version)"
	initdb -D "$data" -U postgres -A trust --data-checksums --no-sync >output
	server_settings >>"$data/postgresql.conf"
	pg_ctl -D "$data" -l server.log -w start >output || fail "$(cat server.log)"
	pgbench -h "$temp/socket" -U postgres -i -q -s "$SCALE" postgres >output 2>&1 || fail "$(cat output)"
}

# server_settings keep the server quiet while others are measured.
server_settings() {
	cat <<-END
		listen_addresses = ''
		unix_socket_directories = '$temp/socket'
		wal_level = replica
		archive_mode = on
		archive_command = 'true'
		shared_buffers = 256MB
		synchronous_commit = off
		autovacuum = off
		checkpoint_timeout = 1h
		max_wal_size = 4GB
	END
}

# gather_segments lets a load run until there are enough segments.
gather_segments() {
	say "gathering $SEGMENTS segments of WAL from a load"
	psql_run "CHECKPOINT"
	archive_by "test \$(ls $segments | wc -l) -ge $SEGMENTS || cp %p $segments/%f"
	local count=0
	while ((count < SEGMENTS)); do
		pgbench -h "$temp/socket" -U postgres -n -c 4 -T 3 postgres >output 2>&1 || fail "$(cat output)"
		count=$(find "$segments" -type f | wc -l)
		[[ -z ${WAL-} ]] || psql_run "CHECKPOINT" # whole pages fill segments faster
	done
	archive_by true
}

psql_run() {
	local statement
	for statement in "$@"; do
		psql -h "$temp/socket" -U postgres -X -q -A -t -v ON_ERROR_STOP=1 -c "$statement" postgres
	done
}

# archive_by COMMAND makes it the archive_command, and waits until it has archived all there is.
archive_by() {
	psql_run "ALTER SYSTEM SET archive_command = '$1'" "SELECT pg_reload_conf()" >output
	while compgen -G "$data/pg_wal/archive_status/*.ready" >/dev/null; do
		sleep 0.2
	done
}

pgbackrest_settings() {
	local processes
	processes=$(nproc)
	cat <<-END
		[global]
		repo1-path=$pgbackrest_repository
		repo1-retention-full=1
		compress-type=zst
		compress-level=1
		process-max=$((processes < 2 ? 2 : processes > 8 ? 8 : processes))
		start-fast=y
		lock-path=$temp/tmp
		log-path=$temp/tmp
		spool-path=$temp/tmp
		log-level-file=off
		log-level-console=warn
		[main]
		pg1-path=$data
		pg1-socket-path=$temp/socket
		pg1-user=postgres
	END
}

stop_server() {
	trap '' TERM
	if [[ -e $data/postmaster.pid ]]; then
		pg_ctl -D "$data" -m immediate -w stop >/dev/null 2>&1 || true
	fi
}

# run_agent CONFIG LINE starts the agent and waits until it logs the line.
run_agent() {
	bin/lifeboat --config "$1" agent >agent.log 2>&1 &
	agent=$!
	until grep -q "$2" agent.log; do
		sleep 0.1
		kill -0 "$agent" || fail "the agent does not start: $(cat agent.log)"
	done
}

stop_agent() {
	if [[ -n ${agent-} ]]; then
		kill "$agent" 2>/dev/null || true
		wait "$agent" || true
		agent=""
	fi
}

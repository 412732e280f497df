# What WAL=delay measures: how long commits take to be in a repository on an S3 server while the agent streams, and what
# that costs in requests, under pgbench's load: as fast as it goes, and at a rate. Then what commits that wait for the agent
# wait for; to be sourced.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # variables come from measure and scene.sh

INTERVALS=${INTERVALS:-1s 250ms} RATES=${RATES:-0 20} LENGTH=${LENGTH:-30}
access_log=$temp/access.log # for start_store

measure_wal() {
	trap 'stop_agent; stop_store; stop_server' EXIT
	SEGMENTS=0
	make_scene
	psql_run "ALTER SYSTEM SET synchronous_commit = 'on'" "ALTER SYSTEM SET checkpoint_timeout = '30s'"
	archive_by true
	start_store
	printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >credentials
	chmod 600 credentials
	printf '\npgbench scale %s, 4 clients, %s s each, %s processors, load %s\n\n' \
		"$SCALE" "$LENGTH" "$(nproc)" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
	printf '%-10s %-14s %8s %8s %8s %8s   %s\n' interval load commits p50 p99 longest "requests a second, and WAL"
	local interval rate
	for rate in $RATES; do
		for interval in $INTERVALS; do
			measure_delay "$interval" "$rate"
		done
	done
	printf '\n%-28s %10s %10s %14s\n' "commits wait for" p50 p99 "transactions/s"
	measure_latency "the server's disk" 1s spool ""
	measure_latency "the spool" 1s spool lifeboat_main
	measure_latency "the repository, 250 ms" 250ms repository lifeboat_main
	measure_latency "the repository, 50 ms" 50ms repository lifeboat_main
	measure_latency "the repository, 10 ms" 10ms repository lifeboat_main
}

# measure_latency TITLE INTERVAL DURABLE STANDBY runs transactions that do not wait for each other's rows.
measure_latency() {
	say "commits wait for $1"
	begin_streaming "$2" "latency-$3-$4" "$3"
	psql_run "ALTER SYSTEM SET synchronous_standby_names = '$4'" "SELECT pg_reload_conf()" >output
	rm -f latency.*
	pgbench -h "$temp/socket" -U postgres -n -N -c 8 -T "$LENGTH" -l --log-prefix latency postgres >pgbench.log 2>&1 || fail "$(cat pgbench.log)"
	psql_run "ALTER SYSTEM RESET synchronous_standby_names" "SELECT pg_reload_conf()" >output
	cat latency.* | awk '{ print $3 / 1000 }' | sort -n >latencies
	awk -v title="$1" -v seconds="$LENGTH" '{ at[NR] = $1 }
		END { printf "%-28s %7.1f ms %7.1f ms %14.0f\n", title, at[int((NR + 1) / 2)], at[int((NR * 99 + 99) / 100)], NR / seconds }' latencies
	stop_agent
}

# measure_delay INTERVAL RATE
measure_delay() {
	local interval=$1 rate=$2 load=(-c 4 -T $((LENGTH + 5))) before start end figures
	((rate == 0)) || load+=(-R "$rate")
	say "interval $interval, rate $rate"
	begin_streaming "$interval" "$rate"
	pgbench -h "$temp/socket" -U postgres -n "${load[@]}" postgres >pgbench.log 2>&1 &
	local pgbench=$!
	sleep 2
	before=$(wc -l <"$access_log") start=$(psql_run "SELECT pg_current_wal_lsn()")
	figures=$(bin/commits "host=$temp/socket user=postgres dbname=postgres" "$(echo "$temp"/store/bench/"$interval-$rate"/clusters/main/*/)" "$LENGTH") ||
		fail "no delays were measured: $(cat agent.log)"
	end=$(psql_run "SELECT pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), '$start') / $LENGTH)")
	read -r -a figures <<<"$figures"
	printf '%-10s %-14s %8s %5s ms %5s ms %5s ms   %s, %s/s\n' "$interval" "$(load_name "$rate")" "${figures[@]}" "$(requests "$before")" "$end"
	wait "$pgbench" || fail "$(cat pgbench.log)"
	stop_agent
}

load_name() { if (($1 == 0)); then echo "full"; else echo "$1 commits/s"; fi; }

# begin_streaming INTERVAL NAME [DURABLE]
begin_streaming() {
	config=$temp/delay.yaml
	(umask 077 && cat >"$config") <<-END
		repository:
		  url: s3://bench/$1-$2
		  s3: {endpoint: '$endpoint', region: us-east-1, path_style: true, credentials_file: $temp/credentials}
		clusters:
		  main:
		    connection: "host=$temp/socket user=postgres dbname=postgres"
		    data_directory: "$data"
		    wal: {stream: true, interval: $1, durable: ${3-spool}}
		state_directory: "$temp/state-$1-$2"
		agent: {socket: $temp/agent.sock, listen: ""}
	END
	lifeboat init >output 2>&1 || fail "$(cat output)"
	run_agent "$config" 'msg="receiving WAL"'
}

# requests LINE prints the requests a second by kind that were logged behind a line.
requests() {
	tail -n "+$(($1 + 1))" "$access_log" | grep -oE ' s3_[A-Za-z0-9]+ [^ ]*' |
		awk -v seconds="$LENGTH" '
			{ kind = substr($1, 4) ($2 ~ /\/tails\// ? " of a tail" : $2 ~ /\/wal\// ? " of a segment" : ""); n[kind]++ }
			END { for (kind in n) printf "%s%s %.2f", sep++ ? ", " : "", kind, n[kind] / seconds }'
}

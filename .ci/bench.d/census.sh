# What CENSUS=1 measures: what a census costs a server, for tables of MILLIONS of rows, in full and as a sample; what it
# takes from pgbench's load; and how often the exact cut is found under that load. To be sourced.
# shellcheck shell=bash disable=SC2034,SC2154 # variables come from measure and scene.sh

MILLIONS=${MILLIONS-1 10} CLIENTS=${CLIENTS-1 2 4 8 16 32} CENSUSES=${CENSUSES:-20} LENGTH=${LENGTH:-60} FILLER=${FILLER:-84} COMMIT=${COMMIT:-on}
everything=$((1 << 50)) sample=$((64 << 20)) little=$((1 << 20))

measure_census() {
	SEGMENTS=0 SCALE=${CENSUS_SCALE:-50}
	make_scene
	psql_run "ALTER SYSTEM SET synchronous_commit = '$COMMIT'" "SELECT pg_reload_conf()" >output
	printf '\n%s processors, load %s\n' "$(nproc)" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
	[[ -z $CLIENTS ]] || measure_exactness
	((LENGTH == 0)) || measure_effect
	measure_cost
}

take_censuses() { bin/census "host=$temp/socket user=postgres dbname=postgres" "$data" "$@"; }

# middle COLUMN prints the median of a column.
middle() { awk -v at="$1" '{ print $at }' | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

# measure_exactness takes censuses while pgbench goes as fast as it can.
measure_exactness() {
	local clients
	printf '\nscale %s, %s censuses each\n%-10s %8s %8s   %s\n' "$SCALE" "$CENSUSES" clients "TPS" exact "snapshots taken: median and most"
	for clients in $CLIENTS; do
		say "exact cuts, $clients clients"
		pgbench -h "$temp/socket" -U postgres -n -c "$clients" -T 3600 -P 1 postgres >pgbench.log 2>&1 &
		local load=$!
		sleep 2
		take_censuses "$little" "$little" "$CENSUSES" >censuses || fail "no census"
		kill "$load"
		wait "$load" || true
		printf '%-10s %8s %8s   %s, %s\n' "$clients" "$(awk '/^progress/ { print $4 }' pgbench.log | middle 1)" \
			"$(grep -c exact censuses || true)" "$(middle 5 <censuses)" "$(awk '{ print $5 }' censuses | sort -n | tail -n 1)"
		psql_run "CHECKPOINT"
	done
}

# measure_effect runs the load alone and beside censuses that never pause, in turn.
measure_effect() {
	local round
	printf '\npgbench, 4 clients, %s s, in turn: TPS alone, and beside one full census after the other\n' "$LENGTH"
	for ((round = 1; round <= ROUNDS; round++)); do
		say "effect, round $round of $ROUNDS"
		local alone beside
		alone=$(load_for)
		bin/census "host=$temp/socket user=postgres dbname=postgres" "$data" "$everything" "$everything" 1000 >censuses 2>census.log &
		local taking=$!
		beside=$(load_for)
		kill "$taking"
		wait "$taking" || true
		printf '%8s %8s   (%s censuses)\n' "$alone" "$beside" "$(wc -l <censuses)"
	done
}

load_for() {
	pgbench -h "$temp/socket" -U postgres -n -c 4 -T "$LENGTH" postgres >pgbench.log 2>&1 || fail "$(cat pgbench.log)"
	awk '/^tps/ { print $3 }' pgbench.log
}

# measure_cost counts tables like pgbench's, of more and more rows, on an idle server.
measure_cost() {
	local millions budget name round
	printf '\n%-14s %-12s %9s %12s %12s\n' "million rows" what seconds "server's CPU" "census's CPU"
	psql_run "DROP TABLE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history"
	for millions in $MILLIONS; do
		say "$millions million rows"
		psql_run "CREATE TABLE many AS SELECT i AS aid, i % 10 AS bid, 0 AS abalance, ''::char($FILLER) AS filler FROM generate_series(1, $millions * 1000000) i" \
			"VACUUM many" "CHECKPOINT"
		for name in full sample; do
			budget=${everything}
			[[ $name == full ]] || budget=$sample
			take_censuses "$budget" "$everything" "$ROUNDS" >censuses || fail "no census"
			printf '%-14s %-12s %9s %12s %12s\n' "$millions" "$name" "$(middle 1 <censuses)" "$(middle 2 <censuses)" "$(middle 3 <censuses)"
		done
		psql_run "DROP TABLE many"
	done
}

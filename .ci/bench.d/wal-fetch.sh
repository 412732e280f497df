# What WAL=fetch measures: segments that a recovery asks for one after the other, through lifeboat's hooks with and without
# what is fetched ahead, and through pgBackRest's asynchronous archive-get, in turn; to be sourced.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # variables come from measure and scene.sh
# shellcheck disable=SC2317 # functions are called by names put together

LATENCY=${LATENCY-20ms} CLASSES=${CLASSES:-zstd}
recovering=$temp/recovering # a data directory as far as fetching needs one

measure_wal() {
	trap 'stop_far_store; stop_server' EXIT
	local place class
	places=(file)
	[[ -z $LATENCY ]] || places+=(s3)
	((SEGMENTS >= 64)) || SEGMENTS=64
	make_scene
	make_recovering
	[[ -z $LATENCY ]] || start_far_store
	for place in "${places[@]}"; do
		for class in $CLASSES; do
			say "filling the repositories, $class, $place"
			fill_repositories "$place" "$class"
		done
	done
	psql_run "CHECKPOINT" && stop_server
	for place in "${places[@]}"; do
		fetch_in_turn "$place"
		replay_in_turn "$place"
	done
	print_fetch
}

# gather_segments takes the place of scene.sh's: a load of updates fills segments faster than pgbench does.
gather_segments() {
	say "gathering $SEGMENTS segments of WAL from updates"
	archive_by "test \$(ls $segments | wc -l) -ge $SEGMENTS || expr %f : .*backup >/dev/null || cp %p $segments/%f"
	pg_basebackup -h "$temp/socket" -U postgres -D base --checkpoint=fast -X none >output 2>&1 || fail "$(cat output)"
	while (($(find "$segments" -type f | wc -l) < SEGMENTS)); do
		psql_run "CHECKPOINT" "UPDATE pgbench_accounts SET abalance = abalance + (random() * 1000)::int WHERE random() < 0.2"
	done
	archive_by true
}

make_recovering() {
	mkdir -p "$recovering/pg_wal" "$recovering/global"
	cp "$data/PG_VERSION" "$recovering/"
	cp "$data/global/pg_control" "$recovering/global/"
	chmod 700 "$recovering"
}

# fill_repositories PLACE CLASS brings the segments into a repository of each tool.
fill_repositories() {
	local path
	(umask 077 && fetch_settings "$1" "$2" >"lifeboat-$2-$1.yaml")
	bin/lifeboat --config "lifeboat-$2-$1.yaml" init >output 2>&1 || fail "$(cat output)"
	pgbackrest_fetch_settings "$1" "$2" >"pgbackrest-$2-$1.conf"
	pgbackrest_with "$2-$1" --pg1-path="$data" stanza-create >output 2>&1 || fail "$(cat output)"
	for path in "$segments"/*; do
		bin/lifeboat-wal push --config "lifeboat-$2-$1.yaml" "$path" >output 2>&1 || fail "$(cat output)"
		pgbackrest_with "$2-$1" --no-archive-async archive-push "$path" >output 2>&1 || fail "$(cat output)"
	done
}

pgbackrest_with() { "$pgbackrest_program" --config="$temp/pgbackrest-$1.conf" --stanza=main "${@:2}"; }

fetch_settings() {
	echo "repository:"
	if [[ $1 == s3 ]]; then
		echo "  url: s3://bench/lifeboat-$2"
		echo "  s3: {endpoint: 'https://127.0.0.1:$port', region: us-east-1, path_style: true, ca_file: $temp/tls.crt}"
	else
		echo "  url: file://$temp/lifeboat-$2"
	fi
	cat <<-END
		clusters:
		  main:
		    connection: "host=$temp/socket user=postgres dbname=postgres"
		    data_directory: "$data"
	END
	[[ $2 == zstd ]] || echo "    wal: {compression: $2}"
	echo "state_directory: \"$temp/state-$1-$2\""
}

pgbackrest_fetch_settings() {
	local path=$temp/pgbackrest-$2 type=zst
	[[ $1 != s3 ]] || path=/pgbackrest-$2
	[[ $2 == zstd ]] || type=lz4
	pgbackrest_settings | sed -e "s|^compress-type=.*|compress-type=$type|; s|^process-max=.*|process-max=2|" \
		-e "s|^repo1-path=.*|repo1-path=$path|; s|^pg1-path=.*|pg1-path=$recovering|; s|^start-fast=y|archive-async=y|"
	[[ $1 != s3 ]] || pgbackrest_in_s3
}

# fetch_in_turn PLACE lets each tool fetch all segments, round by round, each round beginning with another one.
fetch_in_turn() {
	local round n tool tools=(cp) class
	for class in $CLASSES; do
		tools+=("lifeboat-$class" "pgbackrest-$class" "alone-$class")
	done
	for ((round = 0; round < ROUNDS; round++)); do
		say "fetch, $1, round $((round + 1)) of $ROUNDS"
		for n in "${!tools[@]}"; do
			tool=${tools[(n + round) % ${#tools[@]}]}
			settle
			rm -rf "$temp/tmp/archive"
			sync
			recover_by "$tool" "$1"
		done
	done
}

# recover_by TOOL PLACE
recover_by() {
	local class=${1#*-} hook
	hook=$(hook_of "$1" "$2")
	if [[ $1 == alone-* ]]; then # in a directory that is no server's
		mkdir -p "$temp/alone"
		hook="cd $temp/alone && $temp/bin/lifeboat-wal fetch --config $temp/lifeboat-$class-$2.yaml %f $recovering/%p"
	fi
	# shellcheck disable=SC2046 # names of segments have no spaces
	bin/recoverer "$recovering" "results/fetch-$2-$1" "$hook" $(ls "$segments") >output 2>&1 || fail "$1, $2: $(cat output)"
}

# hook_of TOOL PLACE [DIRECTORY] prints the restore_command.
hook_of() {
	local class=${1#*-}
	case $1 in
	cp) echo "cp $segments/%f %p" ;;
	lifeboat-*) echo "$temp/bin/lifeboat-wal fetch --config $temp/lifeboat-$class-$2.yaml %f %p" ;;
	pgbackrest-*)
		echo "$pgbackrest_program --config=$temp/pgbackrest-$class-$2.conf --stanza=main ${3:+--pg1-path=$3} archive-get %f %p"
		;;
	esac
}

# replay_in_turn PLACE lets PostgreSQL recover with each tool, from a base backup through all segments.
replay_in_turn() {
	local round n tool tools=(cp) class
	for class in $CLASSES; do
		tools+=("lifeboat-$class" "pgbackrest-$class")
	done
	for ((round = 0; round < ROUNDS; round++)); do
		say "recovery, $1, round $((round + 1)) of $ROUNDS"
		for n in "${!tools[@]}"; do
			tool=${tools[(n + round) % ${#tools[@]}]}
			prepare_replay "$tool" "$1"
			timed "replay-$1-$tool" replay
			pg_ctl -D "$temp/replayed" -m immediate -w stop >output 2>&1
		done
	done
}

# replay starts the server and waits for the end of its recovery.
replay() {
	pg_ctl -D "$temp/replayed" -l "$temp/replay.log" -t 900 -w start || return
	until grep -q "archive recovery complete" replay.log; do
		[[ -e replayed/postmaster.pid ]] || return
		sleep 0.02
	done
}

# settle waits for what a pgBackRest that was asked for a recovery has left running.
settle() { while pgrep -f "config=$temp/pgbackrest-.*archive-get" >/dev/null; do sleep 0.1; done; }

prepare_replay() {
	settle
	rm -rf "$temp/replayed" "$temp/tmp/archive" replay.log
	cp -a base "$temp/replayed"
	: >"$temp/replayed/recovery.signal"
	cat >>"$temp/replayed/postgresql.auto.conf" <<-END
		restore_command = '$(hook_of "$1" "$2" "$temp/replayed")'
		archive_mode = off
		hot_standby = off
	END
}

print_fetch() {
	local place class
	printf '\n%s segments of 16 MiB, %s processors, load %s, medians of %s rounds in turn, in the page cache\n' \
		"$SEGMENTS" "$(nproc)" "$(cut -d ' ' -f 1-3 /proc/loadavg)" "$ROUNDS"
	for place in "${places[@]}"; do
		printf '\n%-40s %20s %10s %14s\n' "fetch, $place${LATENCY:+, S3 $LATENCY away}" "it : pgBackRest" time "processor"
		fetch_row "$place" cp "cp from a directory" zstd
		for class in $CLASSES; do
			fetch_row "$place" "lifeboat-$class" "lifeboat, $class" "$class"
			fetch_row "$place" "alone-$class" "lifeboat, $class, nothing ahead" "$class"
			fetch_row "$place" "pgbackrest-$class" "pgBackRest, two processes"
		done
	done
	for place in "${places[@]}"; do
		printf '\n%-40s %20s %10s\n' "recovery of all of them, $place" "it : cp" time
		replay_row "$place" cp
		for class in $CLASSES; do
			replay_row "$place" "lifeboat-$class"
			replay_row "$place" "pgbackrest-$class"
		done
	done
	cat <<-'END'

		time            from the first call to the answer to the last one, a segment
		processor       of all processes, a segment
		it : pgBackRest the median of the rounds' ratios, the least and the most
	END
}

# fetch_row PLACE TOOL TITLE [CLASS]
fetch_row() {
	local result=results/fetch-$1-$2 n
	n=$(find "$segments" -type f | wc -l)
	printf '%-40s %20s %7.1f ms %11.1f ms\n' "  $3" "$([[ -z ${4-} ]] || fetch_ratio "$result" "results/fetch-$1-pgbackrest-$4")" \
		"$(awk -v n="$n" '{ print $1 / n * 1000 }' "$result" | median)" "$(awk -v n="$n" '{ print $2 / n * 1000 }' "$result" | median)"
}

# replay_row PLACE TOOL
replay_row() {
	paste "results/replay-$1-$2.time" "results/replay-$1-cp.time" | awk '{ print $1 / $4 }' >ratios
	printf '%-40s %20s %8.2f s\n' "  $2" \
		"$(printf '%.2f (%.2f-%.2f)' "$(median <ratios)" "$(sort -g ratios | head -1)" "$(sort -g ratios | tail -1)")" \
		"$(awk '{ print $1 }' "results/replay-$1-$2.time" | median)"
}

fetch_ratio() {
	paste "$1" "$2" | awk '{ print $1 / $3 }' >ratios
	printf '%.2f (%.2f-%.2f)' "$(median <ratios)" "$(sort -g ratios | head -1)" "$(sort -g ratios | tail -1)"
}

# What WAL=push measures: a backlog of segments that PostgreSQL's archiver hands over one after the other, through the
# agent and through pgBackRest's asynchronous archive-push, in turn; to be sourced.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # variables come from measure and scene.sh
# shellcheck disable=SC2317 # functions are called by names put together

BACKLOGS=${BACKLOGS:-64 250} LATENCY=${LATENCY-20ms}
tools=(lifeboat-zstd pgbackrest-zst lifeboat-s2 pgbackrest-lz4 lifeboat-sealed)
waiting=$temp/waiting # a data directory as far as archiving needs one

measure_wal() {
	trap 'stop_agent; stop_far_store; stop_server' EXIT
	local n places=(file) place
	[[ -z $LATENCY ]] || places+=(s3)
	SEGMENTS=$(most $BACKLOGS)
	make_scene
	make_waiting
	[[ -z $LATENCY ]] || start_far_store
	for place in "${places[@]}"; do
		make_repositories "$place"
	done
	psql_run "CHECKPOINT" && stop_server
	trap 'exit 143' TERM
	for n in $BACKLOGS; do
		for place in "${places[@]}"; do
			backlog_in_turn "$place" "$n"
		done
	done
	stored_in_turn
	print_wal
}

most() { printf '%s\n' "$@" | sort -n | tail -1; }

make_waiting() {
	mkdir -p "$waiting/pg_wal/archive_status" "$waiting/global"
	cp "$data/PG_VERSION" "$waiting/"
	cp "$data/global/pg_control" "$waiting/global/"
	chmod 700 "$waiting"
	mv "$segments"/* "$waiting/pg_wal/"
}

# make_repositories PLACE makes one of each tool there. "sealed" is zstd, sealed.
make_repositories() {
	local compression
	[[ -e identity ]] || recipient=$(bin/lifeboat key generate --identity-file "$temp/identity" --output json |
		sed -nE 's/.*"(age1[^"]+)".*/\1/p')
	for compression in zstd s2 sealed; do
		(umask 077 && lifeboat_settings "$1" "$compression" >"lifeboat-$compression-$1.yaml")
	done
	bin/lifeboat --config "lifeboat-zstd-$1.yaml" init >output 2>&1 || fail "$(cat output)"
	for compression in zst lz4; do
		pgbackrest_settings_in "$1" "$compression" >"pgbackrest-$compression-$1.conf"
	done
	"$pgbackrest_program" --config="$temp/pgbackrest-zst-$1.conf" --stanza=main --pg1-path="$data" stanza-create >output 2>&1 ||
		fail "$(cat output)"
}

lifeboat_settings() {
	echo "repository:"
	if [[ $1 == s3 ]]; then
		echo "  url: s3://bench/lifeboat"
		echo "  s3: {endpoint: 'https://127.0.0.1:$port', region: us-east-1, path_style: true, ca_file: $temp/tls.crt}"
	else
		echo "  url: file://$temp/lifeboat-$1"
	fi
	[[ $2 != sealed ]] || echo "  encryption: {recipients: [$recipient]}"
	cat <<-END
		clusters:
		  main:
		    connection: "host=$temp/socket user=postgres dbname=postgres"
		    data_directory: "$waiting"
		    wal: {compression: ${2/sealed/zstd}}
		state_directory: "$temp/state-$1"
		agent: {socket: "$temp/agent.sock", listen: "127.0.0.1:0"}
	END
}

pgbackrest_settings_in() {
	local path=$temp/pgbackrest-$1
	[[ $1 != s3 ]] || path=/pgbackrest
	pgbackrest_settings | sed -e "s|^compress-type=.*|compress-type=$2|; s|^process-max=.*|process-max=2|" \
		-e "s|^repo1-path=.*|repo1-path=$path|; s|^pg1-path=.*|pg1-path=$waiting|; s|^start-fast=y|archive-async=y|"
	[[ $1 != s3 ]] || pgbackrest_in_s3
}

# kept TOOL PLACE is where the objects of a tool are files.
kept() {
	local tool=${1%-*}
	if [[ $2 == s3 ]]; then echo "$temp/store/bench/$tool"; else echo "$temp/$tool-$2"; fi
}

# backlog_in_turn PLACE N lets each tool archive the first N segments, round by round.
backlog_in_turn() {
	local round n tool
	for ((round = 0; round < ROUNDS; round++)); do
		say "backlog of $2, $1, round $((round + 1)) of $ROUNDS"
		for n in "${!tools[@]}"; do
			tool=${tools[(n + round) % ${#tools[@]}]}
			forget "$tool" "$1"
			make_ready "$2"
			sync
			"push_by_${tool%-*}" "$tool" "$1" "backlog-$2-$1-$tool"
			stored_size "$tool" "$1" "$2" >"results/backlog-$2-$1-$tool.stored"
		done
	done
}

# forget TOOL PLACE makes a repository one without these segments.
forget() {
	case $1 in
	lifeboat-*) rm -rf "$(kept "$1" "$2")"/clusters/main/*/wal "$temp/side/bench/lifeboat"/clusters/main/*/wal ;;
	pgbackrest-*)
		rm -rf "$(kept "$1" "$2")"/archive/main/*/0* "$temp/side/bench/pgbackrest"/archive/main/*/0* "$temp/tmp/archive"
		;;
	esac
}

make_ready() {
	local name
	rm -f "$waiting"/pg_wal/archive_status/*
	for name in $(find "$waiting/pg_wal" -maxdepth 1 -type f -printf '%f\n' | sort | head -n "$1"); do
		: >"$waiting/pg_wal/archive_status/$name.ready"
		cat "$waiting/pg_wal/$name" >/dev/null
	done
}

# waiting_now is how many segments the last make_ready has made ready.
waiting_now() { find "$waiting/pg_wal/archive_status" -type f | wc -l; }

# push_by_lifeboat TOOL PLACE RESULT
push_by_lifeboat() {
	start_agent "$temp/$1-$2.yaml"
	archiver "$3" "$agent" "$(hook_of "$temp/$1-$2.yaml")"
	stop_agent
}

hook_of() { echo "$temp/bin/lifeboat-wal push --config $1 --socket $temp/agent.sock %p"; }

push_by_pgbackrest() {
	archiver "$3" 0 "$pgbackrest_program --config=$temp/$1-$2.conf --stanza=main archive-push %p"
}

archiver() { bin/archiver -agent "$2" "$waiting" "results/$1" "$3" >output 2>&1 || fail "$1: $(cat output agent.log)"; }

start_agent() { run_agent "$1" "archiving goes through the agent"; }

# stored_in_turn compares the hook's call for a segment that the agent has stored with the least that a call can take.
stored_in_turn() {
	local round config=$temp/lifeboat-zstd-file.yaml
	for ((round = 0; round < ROUNDS; round++)); do
		say "stored already, round $((round + 1)) of $ROUNDS"
		forget lifeboat-zstd file
		make_ready 64
		start_agent "$config"
		let_it_look_ahead "$config"
		archiver stored-hook "$agent" "$(hook_of "$config")"
		stop_agent
		make_ready 64
		archiver stored-empty 0 "$temp/bin/empty %p"
	done
}

# let_it_look_ahead CONFIG asks for the first segment until the agent has stored all that wait.
let_it_look_ahead() {
	local first tries kept
	first=$(find "$waiting/pg_wal" -maxdepth 1 -type f | sort | head -n 1)
	for tries in {1..100}; do
		bin/lifeboat-wal push --config "$1" --socket "$temp/agent.sock" "$first" >output 2>&1 || fail "$(cat output)"
		sleep 1
		kept=$(find "$temp"/lifeboat-file/clusters/main/*/wal -type f | wc -l)
		((kept < $(waiting_now))) || return 0
	done
	fail "the agent does not look ahead: $(cat agent.log)"
}

# stored_size TOOL PLACE N prints how many bytes a stored segment has.
stored_size() {
	local top
	top=$(kept "$1" "$2")
	find "$top" -type f -regex '.*/[0-9A-F]+\(-[0-9a-f]+\.[a-z0-9]+\)?' -printf '%s\n' |
		awk -v n="$3" '$1 > 100000 { sum += $1 } END { print sum / n }'
}

print_wal() {
	local n place
	printf '\n%s processors, load %s, medians of %s rounds in turn, segments in the page cache\n' \
		"$(nproc)" "$(cut -d ' ' -f 1-3 /proc/loadavg)" "$ROUNDS"
	for n in $BACKLOGS; do
		for place in file ${LATENCY:+s3}; do
			printf '\n%-28s %18s %10s %12s %12s %10s\n' "$n segments, $place${LATENCY:+, $LATENCY}" "it : pgBackRest" time "a segment" "peak memory" stored
			wal_row "$n-$place" lifeboat-zstd pgbackrest-zst
			wal_row "$n-$place" pgbackrest-zst
			wal_row "$n-$place" lifeboat-s2 pgbackrest-lz4
			wal_row "$n-$place" pgbackrest-lz4
			wal_row "$n-$place" lifeboat-sealed
		done
	done
	printf '\n%-28s %s ms a call of the hook, %s ms of an empty program, ratio %s\n' "stored already" \
		"$(milliseconds stored-hook)" "$(milliseconds stored-empty)" "$(ratio stored-hook stored-empty)"
	cat <<-'END'

		time           from the first call to the answer to the last one, all segments durable
		a segment      processor time of all processes
		it : pgBackRest   the median of the rounds' ratios, the least and the most
	END
}

# wal_row BACKLOG TOOL [OTHER]
wal_row() {
	local result=results/backlog-$1-$2 n=${1%-*}
	printf '%-28s %18s %9.2fs %9.1f ms %9.0f MB %7.2f MB\n' "  $2" "$([[ -z ${3-} ]] || ratio "backlog-$1-$2" "backlog-$1-$3")" \
		"$(awk '{ print $1 }' "$result" | median)" \
		"$(awk -v n="$n" '{ print $2 / n * 1000 }' "$result" | median)" \
		"$(awk '{ print $3 / 1e6 }' "$result" | sort -g | tail -1)" "$(awk '{ print $1 / 1e6 }' "$result.stored")"
}

milliseconds() { awk -v n="$(waiting_now)" '{ printf "%.2f\n", $1 / n * 1000 }' "results/$1" | median; }

ratio() {
	paste "results/$1" "results/$2" | awk '{ print $1 / $4 }' >ratios
	printf '%.2f (%.2f-%.2f)' "$(median <ratios)" "$(sort -g ratios | head -1)" "$(sort -g ratios | tail -1)"
}

# What STORE=s3 measures: the same work on an S3 server and in files, sealed and plain, in turn; to be sourced.
# shellcheck shell=bash disable=SC2034,SC2154 # variables come from measure and scene.sh, and go to runs.sh
# shellcheck disable=SC2317 # functions are called by names put together

places=(file-plain file-sealed s3-plain s3-sealed)
NOISE=${NOISE:-400}
export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=bench-secret

measure_stores() {
	trap 'stop_store; stop_server' EXIT
	make_scene
	add_noise
	start_store
	make_places
	on_places backup
	on_places restore
	on_places push
	on_places fetch
	print_stores
}

# add_noise adds megabytes that do not compress, so that there is something to seal.
add_noise() {
	say "adding $NOISE MB that do not compress"
	psql_run "CREATE TABLE noise (block bytea)" "ALTER TABLE noise ALTER block SET STORAGE EXTERNAL" \
		"INSERT INTO noise SELECT (SELECT string_agg(uuid_send(gen_random_uuid()), '') FROM generate_series(1, 62500) WHERE n > 0)
			FROM generate_series(1, $NOISE) n" "VACUUM" "CHECKPOINT"
	archive_by true
}

start_store() {
	mkdir -p store/bench side
	local port tries
	for tries in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 20000))
		endpoint=http://127.0.0.1:$port
		ROOT_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY \
			bin/versitygw --port "127.0.0.1:$port" --region us-east-1 --quiet --keep-alive --health /health ${access_log:+--access-log "$access_log"} \
			posix --sidecar "$temp/side" "$temp/store" >store.log 2>&1 &
		store=$!
		answers && return
		kill "$store" 2>/dev/null || true
	done
	fail "versitygw does not start: $(cat store.log)"
}

# answers waits until the server takes connections, or has ended.
answers() {
	for _ in {1..100}; do
		sleep 0.1
		kill -0 "$store" 2>/dev/null || return 1
		if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
	done
	return 1
}

stop_store() {
	if [[ -n ${store-} ]]; then
		kill "$store" 2>/dev/null || true
		wait "$store" || true
	fi
}

make_places() {
	local place
	recipient=$(bin/lifeboat key generate --identity-file "$temp/identity" --output json | sed -nE 's/.*"(age1[^"]+)".*/\1/p')
	printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >credentials
	chmod 600 credentials
	for place in "${places[@]}"; do
		(umask 077 && settings_of "$place" >"$place.yaml")
	done
}

settings_of() {
	echo "repository:"
	case $1 in
	file-*) echo "  url: file://$(kept_in "$1")" ;;
	s3-*)
		echo "  url: s3://bench/$1"
		echo "  s3: {endpoint: '$endpoint', region: us-east-1, path_style: true, credentials_file: $temp/credentials}"
		;;
	esac
	if [[ $1 == *-sealed ]]; then
		echo "  encryption: {recipients: [$recipient], identity_file: $temp/identity}"
	fi
	cat <<-END
		clusters:
		  main: {connection: "host=$temp/socket user=postgres dbname=postgres", data_directory: "$data"}
		state_directory: "$temp/state-$1"
	END
}

# kept_in PLACE is the directory where its objects are files.
kept_in() { if [[ $1 == s3-* ]]; then echo "$temp/store/bench/$1"; else echo "$temp/$1"; fi; }

# on_places TASK runs the task in every place, one after the other, round by round. Every round begins with another one.
on_places() {
	local round n place config repository
	for ((round = 0; round < ROUNDS; round++)); do
		say "$1, round $((round + 1)) of $ROUNDS"
		for n in "${!places[@]}"; do
			place=${places[(n + round) % ${#places[@]}]}
			config=$temp/$place.yaml repository=$(kept_in "$place")
			"make_room_to_$1"
			timed "$1-$place" "$1_in_place"
		done
	done
}

make_room_to_backup() {
	rm -rf "$repository" "$temp/state-$place" "$temp/side/bench/$place"
	lifeboat init >output 2>&1 || fail "$(cat output)"
	archive_by "$temp/bin/lifeboat-wal push --config $config %p"
	warm "$data"
}
backup_in_place() { with_peak "backup-$place" bin/lifeboat --config "$config" backup; }

make_room_to_restore() { prepare_restore lifeboat; }
restore_in_place() {
	with_peak "restore-$place" bin/lifeboat --config "$config" restore --target-dir "$temp/restored" --to-immediate
}

make_room_to_push() {
	prepare_push lifeboat
	rm -rf "$temp/side/bench/$place"/clusters/main/*/wal
}
push_in_place() { push_lifeboat; }

make_room_to_fetch() { prepare_fetch; }
fetch_in_place() { fetch_lifeboat; }

print_stores() {
	printf '\npgbench scale %s and %s MB of noise (%s), %s processors, load %s, medians of %s rounds in turn\n' \
		"$SCALE" "$NOISE" "$(human "$(tree_size "$data/base")")" "$(nproc)" "$(cut -d ' ' -f 1-3 /proc/loadavg)" "$ROUNDS"
	table_of backup "backup" 1
	table_of restore "restore" 1
	table_of push "push, one segment" "$SEGMENTS"
	table_of fetch "fetch, one segment" "$SEGMENTS"
	printf '\nseconds of processor for one GB of stored bytes, sealed less plain\n'
	sealing_costs backup file
	sealing_costs backup s3
	sealing_costs restore file
	sealing_costs restore s3
	cat <<-'END'

		it : file       how many times as long as in files and plain, the median of the rounds' ratios, the least and the most
		sealed : plain  the same of sealed against plain in the same place
		processor       user and system time of the command, without the store's
	END
}

# table_of TASK TITLE DIVISOR
table_of() {
	local place sealed
	printf '\n%-20s %20s %20s %10s %10s %12s %9s\n' "$2" "it : file" "sealed : plain" time processor "peak memory" stored
	for place in "${places[@]}"; do
		sealed=""
		[[ $place != *-sealed ]] || sealed=$(spread "$1" "$place" "${place%-sealed}-plain")
		printf '%-20s %20s %20s %10s %10s %12s %9s\n' "  ${place/-/, }" "$(spread "$1" "$place" file-plain)" "$sealed" \
			"$(seconds "$3" "$(awk '{ print $1 }' "results/$1-$place.time" | median)")" \
			"$(seconds "$3" "$(awk '{ print $2 + $3 }' "results/$1-$place.time" | median)")" \
			"$(peak "results/$1-$place.peak")" "$(stored_by "$1" "$place")"
	done
}

# spread TASK PLACE OTHER prints the median of the rounds' ratios of the two places, with the least and the most.
spread() {
	paste "results/$1-$2.time" "results/$1-$3.time" | awk '{ print $1 / ($4 > 0 ? $4 : 0.001) }' >ratios
	printf '%.2f (%.2f-%.2f)' "$(median <ratios)" "$(sort -g ratios | head -1)" "$(sort -g ratios | tail -1)"
}

stored_by() {
	case $1 in
	backup) human "$(tree_size "$(kept_in "$2")"/clusters/main/*/backups)" ;;
	push) human "$(segment_size "$(kept_in "$2")"/clusters/main/*/wal)" ;;
	esac
}

# sealing_costs TASK STORE prints what the rounds spent more of user and system time where it was sealed.
sealing_costs() {
	local stored
	stored=$(tree_size "$(kept_in "$2-sealed")"/clusters/main/*/backups)
	paste "results/$1-$2-sealed.time" "results/$1-$2-plain.time" |
		awk -v n="$stored" '{ print ($2 + $3 - $5 - $6) / n * 1e9 }' >costs
	printf '  %-18s %.2f (%.2f to %.2f)\n' "$1, $2" "$(median <costs)" "$(sort -g costs | head -1)" "$(sort -g costs | tail -1)"
}

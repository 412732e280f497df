# The table; to be sourced.
# shellcheck shell=bash disable=SC2154 # variables come from measure and scene.sh

print_table() {
	printf '\npgbench scale %s (%s in %s files), %s processors, medians of %s rounds in turn, files in the page cache\n' \
		"$SCALE" "$(human "$(tree_size made-basebackup)")" "$(find made-basebackup -type f | wc -l)" "$(nproc)" "$ROUNDS"
	heading "backup" "stored"
	row backup lifeboat "lifeboat backup" 1 "$(tree_size "$repository"/clusters/main/*/backups)"
	row backup basebackup "pg_basebackup" 1 "$(tree_size made-basebackup)"
	row backup cp "cp -a, sync" 1 "$(tree_size made-cp)"
	row backup pgbackrest "pgBackRest, zstd level 1" 1 "$(tree_size "$pgbackrest_repository"/backup)"
	heading "restore" ""
	row restore lifeboat "lifeboat restore" 1
	row restore cp "cp -a, sync" 1
	row restore pgbackrest "pgBackRest restore" 1
	heading "push, one segment" "stored"
	row push lifeboat "lifeboat-wal push" "$SEGMENTS" "$(segment_size "$repository"/clusters/main/*/wal)"
	row push cp "cp, fsync" "$SEGMENTS" "$(segment_size pushed)"
	row push pgbackrest "pgBackRest archive-push" "$SEGMENTS" "$(segment_size "$pgbackrest_repository"/archive/main/*/0*)"
	heading "push of a stored one" ""
	row again lifeboat "lifeboat-wal push" "$SEGMENTS"
	row again empty "empty Go program" "$SEGMENTS"
	heading "fetch, one segment" ""
	row fetch lifeboat "lifeboat-wal fetch" "$SEGMENTS"
	row fetch cp "cp" "$SEGMENTS"
	row fetch pgbackrest "pgBackRest archive-get" "$SEGMENTS"
	cat <<-'END'

		lifeboat : it   how many times as long lifeboat takes, the median of the rounds' ratios
		processor       user and system time of the command; of pg_basebackup and of the archiver only the client's part
		peak memory     of the largest process; lifeboat is one process, pgBackRest one for each worker and some more
		durable         everything at its end, cp by a sync behind it; but for fetch, where nobody syncs
	END
}

heading() { printf '\n%-26s %14s %10s %10s %12s %9s\n' "$1" "lifeboat : it" time processor "peak memory" "$2"; }

# row TASK TOOL TITLE DIVISOR [BYTES] prints one line; times are divided.
row() {
	local times=results/$1-$2.time ratio=""
	if [[ $2 != lifeboat ]]; then
		ratio=$(paste "results/$1-lifeboat.time" "$times" | awk '{ print $1 / ($4 > 0 ? $4 : 0.001) }' | median)
		ratio=$(printf '%.2f' "$ratio")
	fi
	printf '%-26s %14s %10s %10s %12s %9s\n' "  $3" "$ratio" \
		"$(seconds "$4" "$(awk '{ print $1 }' "$times" | median)")" \
		"$(seconds "$4" "$(awk '{ print $2 + $3 }' "$times" | median)")" \
		"$(peak "results/$1-$2.peak")" "$(human "${5-}")"
}

# median of the numbers on stdin.
median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

seconds() { awk -v n="$1" -v s="$2" 'BEGIN { s /= n; if (s < 1) printf "%.0f ms", s * 1000; else printf "%.2f s", s }'; }

peak() {
	[[ -e $1 ]] || return 0
	human "$(sort -g "$1" | tail -1)"
}

human() {
	[[ -n $1 ]] || return 0
	numfmt --to=si --format=%.1f --suffix=B "$1"
}

tree_size() { du -s --apparent-size -B1 "$@" | awk '{ n += $1 } END { print n }'; }

# segment_size is the mean of the files below.
segment_size() {
	find "$@" -type f -size +64k -printf '%s\n' | awk '{ n += $1 } END { if (NR) printf "%d", n / NR }'
}

# What is measured: for each task a function that makes room, and one for each tool; to be sourced.
# shellcheck shell=bash disable=SC2154 # variables come from measure and scene.sh
# shellcheck disable=SC2317 # functions are called by names put together

lifeboat() { bin/lifeboat --config "$config" "$@"; }
pgbackrest() { "$pgbackrest_program" --config="$temp/pgbackrest.conf" --stanza=main "$@"; }

# with_peak NAME COMMAND... notes the most memory that one process of the command had.
with_peak() { bin/peak "results/$1.peak" "${@:2}"; }

# Everything starts with an empty repository; the last round leaves a backup to restore.
prepare_backup() {
	rm -rf "made-$1"
	case $1 in
	lifeboat) new_lifeboat ;;
	pgbackrest) new_pgbackrest ;;
	esac
	if [[ $1 == cp ]]; then warm made-basebackup; else warm "$data"; fi
}

# warm brings the files below a directory into the page cache.
warm() { find "$1" -type f -exec cat {} + >/dev/null; }

new_lifeboat() {
	rm -rf "$repository"
	lifeboat init --repository "file://$repository" --connection "host=$temp/socket user=postgres dbname=postgres" \
		--data-directory "$data" >output 2>&1 || fail "$(cat output)"
	archive_by "$temp/bin/lifeboat-wal push --config $config %p"
}

new_pgbackrest() {
	rm -rf "$pgbackrest_repository"
	pgbackrest stanza-create >output 2>&1 || fail "$(cat output)"
	archive_by "$pgbackrest_program --config=$temp/pgbackrest.conf --stanza=main archive-push %p"
}

backup_lifeboat() { with_peak backup-lifeboat bin/lifeboat --config "$config" backup; }
backup_basebackup() {
	with_peak backup-basebackup pg_basebackup -h "$temp/socket" -U postgres -D made-basebackup --checkpoint=fast
}
backup_cp() { copy_tree made-basebackup made-cp backup-cp; }
backup_pgbackrest() {
	with_peak backup-pgbackrest "$pgbackrest_program" --config="$temp/pgbackrest.conf" --stanza=main --type=full backup
}

# copy_tree is the least that can be done: read, write, and make it durable.
copy_tree() {
	with_peak "$3" cp -a "$1" "$2"
	sync -f "$2"
}

prepare_restore() {
	rm -rf restored
	case $1 in
	lifeboat) warm "$repository" ;;
	cp) warm made-cp ;;
	pgbackrest) warm "$pgbackrest_repository" && mkdir -m 700 restored ;;
	esac
}

restore_lifeboat() {
	with_peak restore-lifeboat bin/lifeboat --config "$config" restore --target-dir "$temp/restored" --to-immediate
}
restore_cp() { copy_tree made-cp restored restore-cp; }
restore_pgbackrest() {
	with_peak restore-pgbackrest "$pgbackrest_program" --config="$temp/pgbackrest.conf" --stanza=main \
		--pg1-path="$temp/restored" --type=immediate restore
}

# Every push begins with a repository without these segments.
prepare_push() {
	archive_by true
	case $1 in
	cp) rm -rf pushed && mkdir pushed ;;
	lifeboat) rm -rf "$repository"/clusters/main/*/wal ;;
	pgbackrest) find "$pgbackrest_repository/archive/main" -mindepth 2 -maxdepth 2 -type d -exec rm -rf {} + ;;
	esac
	warm "$segments"
}

each_segment() {
	local path
	for path in "$segments"/*; do
		"$@" "$path" || return
	done
}

push_lifeboat() { each_segment bin/lifeboat-wal push --config "$config"; }
push_pgbackrest() { each_segment pgbackrest archive-push; }
push_cp() { each_segment copy_durably; }
copy_durably() { cp "$1" pushed/ && sync pushed/"${1##*/}" pushed; }

prepare_again() { :; }
again_lifeboat() { push_lifeboat; }
again_empty() { each_segment bin/empty; }

prepare_fetch() {
	rm -rf fetched
	mkdir fetched
}

fetch_lifeboat() { each_segment fetch_from bin/lifeboat-wal fetch --config "$config"; }
fetch_pgbackrest() { each_segment fetch_from pgbackrest archive-get; }
fetch_cp() { each_segment fetch_copy; }
fetch_copy() { cp "$1" fetched/RECOVERYXLOG; }

# fetch_from COMMAND... SEGMENT puts the segment's name and the destination behind the command.
fetch_from() {
	local path=${*: -1}
	"${@:1:$#-1}" "${path##*/}" "$temp/fetched/RECOVERYXLOG"
}

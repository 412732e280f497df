# Functions that install packages of the distribution, with root's rights or without any. For scripts that
# stand in the project's root; to be sourced.
# shellcheck shell=bash

apt=$PWD/.cache/apt-${0##*/} # each script's own: two may be at it

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() {
	say "$*"
	exit 1
}

# persistently runs a command up to four times, in little more than a minute where it fails at once: what the network refuses now
# it may give in a while.
persistently() {
	local pause
	for pause in 5 15 45; do
		"$@" && return
		say "failed, and is tried again in $pause s: $*"
		sleep "$pause"
	done
	"$@" && return
	say "failed for the fourth time: $*"
	return 1
}

# alone FILE makes the next such script wait until this one has ended, by a lock on descriptor 9. What may outlive the script is
# to be started without it.
alone() {
	mkdir -p "$(dirname "$1")"
	exec 9>"$1"
	flock -n 9 && return
	say "waiting for another one that is at it, which holds $1"
	flock 9
}

may_be_root() { ((EUID == 0)) || sudo -n true 2>/dev/null; }

as_root() {
	if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

need_apt() {
	command -v apt-get >/dev/null || fail "no apt-get here: install $1 by hand, then run this again"
}

install_packages() {
	persistently update_lists as_root apt-get || say "going on with the package lists that there are"
	persistently install_once "$@"
}

# update_lists COMMAND... takes a list that cannot be fetched for an error, which apt does not by itself.
update_lists() { "$@" -q -o APT::Update::Error-Mode=any -o Acquire::Retries=3 update </dev/null >&2 9>&-; }

# install_once first ends what an earlier one may have left half done.
install_once() {
	as_root env DEBIAN_FRONTEND=noninteractive dpkg --force-confold --configure -a </dev/null >&2 9>&- || true
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 install "$@" </dev/null >&2 9>&-
}

private_lists() {
	persistently update_lists private_apt apt-get || say "going on with the package lists that there are"
}

# private_apt runs one of apt's tools with package lists of our own, which needs no rights.
private_apt() {
	local tool=$1
	shift
	mkdir -p "$apt"/state/lists/partial "$apt"/cache/archives/partial
	"$tool" -q -o Dir::State="$apt/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$apt/cache" \
		-o Debug::NoLocking=true "$@" </dev/null
}

# unpack DIRECTORY PACKAGE... unpacks packages and what they depend on, as far as it is not installed.
unpack() {
	local into=$1 packages=$apt/packages names file
	shift
	mapfile -t names < <(needed "$@")
	rm -rf "$into" "$into.new" "$packages"
	mkdir -p "$into.new" "$packages"
	persistently download "$packages" "${names[@]}"
	for file in "$packages"/*.deb; do
		dpkg-deb -x "$file" "$into.new"
	done
	mv "$into.new" "$into"
	rm -rf "$apt"
}

# download DIRECTORY PACKAGE...
download() {
	(cd "$1" && shift && private_apt apt-get -o Acquire::Retries=3 download "$@") >&2
}

# needed lists the packages, and those that installing them would bring. The C library stays the system's, as
# it must fit the loader; LLVM is 100 MB for a compiler that is not used; the rest manages clusters.
needed() {
	{
		printf '%s\n' "$@"
		private_apt apt-get -s --no-install-recommends install "$@" | sed -nE 's/^Inst ([^ ]+) .*/\1/p'
	} | sort -u | grep -vE '^(libc6|libc-bin|libllvm.*|locales|postgresql-common|postgresql-client-common|ssl-cert|perl.*)$'
}

# Functions that install packages of the distribution, with root's rights or without any. For scripts that
# stand in the project's root; to be sourced.
# shellcheck shell=bash

apt=$PWD/.cache/apt

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() {
	say "$*"
	exit 1
}

may_be_root() { ((EUID == 0)) || sudo -n true 2>/dev/null; }

as_root() {
	if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

need_apt() {
	command -v apt-get >/dev/null || fail "no apt-get here: install $1 by hand, then run this again"
}

install_packages() {
	as_root apt-get -q update </dev/null >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=600 install "$@" </dev/null >&2
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
	(cd "$packages" && private_apt apt-get download "${names[@]}") >&2
	for file in "$packages"/*.deb; do
		dpkg-deb -x "$file" "$into.new"
	done
	mv "$into.new" "$into"
	rm -rf "$apt"
}

# needed lists the packages, and those that installing them would bring. The C library stays the system's, as
# it must fit the loader; LLVM is 100 MB for a compiler that is not used; the rest manages clusters.
needed() {
	{
		printf '%s\n' "$@"
		private_apt apt-get -s --no-install-recommends install "$@" | sed -nE 's/^Inst ([^ ]+) .*/\1/p'
	} | sort -u | grep -vE '^(libc6|libc-bin|libllvm.*|locales|postgresql-common|postgresql-client-common|ssl-cert|perl.*)$'
}

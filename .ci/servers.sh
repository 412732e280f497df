#!/usr/bin/env bash
# usage: .ci/servers.sh [PROGRAM...]
#
# Makes sure that the S3 and GCS servers that the tests and the demo start are in .cache/bin, and prints that directory.
# PROGRAM is versitygw or fake-gcs-server; without one both are. They are built from source by Go, once, and anew only
# when .ci/servers/go.mod names another version. All that it has to say goes to stderr.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/packages.sh

into=$PWD/.cache/bin

main() {
	local program
	alone "$into/servers.lock"
	(($#)) || set -- versitygw fake-gcs-server
	for program in "$@"; do
		with "$program"
	done
	echo "$into"
}

with() {
	local module
	case $1 in
	versitygw) module=github.com/versity/versitygw ;;
	fake-gcs-server) module=github.com/fsouza/fake-gcs-server ;;
	*) fail "usage: .ci/servers.sh [versitygw|fake-gcs-server]" ;;
	esac
	[[ -x $into/$1 && $(built "$into/$1" "$module") == "$(wanted "$module")" ]] && return
	say "building $1 from source into ${into#"$PWD"/}, once: this takes a minute or two"
	.ci/modules .ci/servers "$(package "$1" "$module")"
	(cd .ci/servers && go build -trimpath -buildvcs=false -o "$into/$1.new" "$(package "$1" "$module")")
	mv "$into/$1.new" "$into/$1"
}

package() { if [[ $1 == versitygw ]]; then echo "$2/cmd/versitygw"; else echo "$2"; fi; }

# wanted and built print the version of a module that .ci/servers names, and that a program was built from.
wanted() { sed -nE "s|^(require)?\s*$1 (v[^ ]+).*|\2|p" .ci/servers/go.mod; }
built() { go version -m "$1" 2>/dev/null | awk -v module="$2" '$1 ~ /^(mod|dep)$/ && $2 == module { print $3 }'; }

main "$@"

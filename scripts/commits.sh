# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# Read by the tests that take the series commit by commit: the commits, in a repository,
# and verdicts that are remembered by content, so that a run that was stopped goes on
# where it was. COMMITS="12 13" takes these only. Who reads it says in $proof what is
# proved, and may use the directory $where for it.

entry=$(scripts/kernel-fetch) || exit
where=$entry/series-$proof log=$PWD/build/logs/series_$proof
mkdir -p "$where" build/logs
exec 9> "$where/lock"
flock -n 9 || { echo "# waiting for $where/lock: another run is at it"; flock 9; }
rm -rf "$where/commits"
scripts/series commits "$where/commits" || exit

in_series() { git -C "$where/commits" "$@"; }
subject() { in_series log -1 --format=%s "$1"; }

# taken: number and name of each commit that is to be taken
taken() {
	in_series rev-list --reverse series | tail -n +2 |
		awk -v "only= ${COMMITS-} " 'only ~ /^ *$/ || index(only, " " NR " ") { print NR, $0 }'
}

known() { echo "$1" | sha256sum | grep -qsFx -f - "$where/good"; }
remember() { echo "$1" | sha256sum >> "$where/good"; }

# verdict NAME CONTENT COMMAND..: one case. CONTENT is all that the outcome depends on.
# The command may leave more to say in $said, and why it failed in $log.
verdict() {
	name=$1 content=$2 rows=$((${rows-0} + 1)) began=$(date +%s) said=
	shift 2
	if known "$content"; then
		echo "ok $rows $name (done before)"
		return
	fi
	: > "$log"
	word="not ok"
	if "$@" < /dev/null; then
		word=ok
		remember "$content"
	fi
	sed 's/^/# /' "$log"
	echo "# ${said:+$said, }$(($(date +%s) - began)) s"
	echo "$word $rows $name"
}

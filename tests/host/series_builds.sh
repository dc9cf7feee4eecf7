#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every commit of the series compiles without a warning, and needs no function that
# comes later. Only the directories it touches: what they depend on is not built.
# What was good once is remembered by its content, so a run that was stopped goes on
# where it was. COMMITS="12 13" builds these only.
# tier: long
# timeout: 7200
set -u
cd "$(dirname "$0")/../.." || exit
# shellcheck source=scripts/touched.sh
. scripts/touched.sh
entry=$(scripts/kernel-fetch) || exit
commits=$(scripts/series commits) || exit
mkdir -p build/logs
log=$PWD/build/logs/series_builds
tree=$entry/series-tree out=$entry/build-series good=$entry/series-good

exec 9> "$entry/series.lock"
flock 9
# Hard links: git replaces a file, and never writes into it.
[ -d "$tree" ] || { cp -al "$entry/pristine" "$tree.new" && mv "$tree.new" "$tree"; } || exit
mkdir -p "$out"
touch "$good"
scripts/kernel-sync fragments plain "$entry" > "$out/fragments"

kmake() {
	env -i "PATH=$PATH" "HOME=$HOME" "CCACHE_DIR=$entry/../ccache" "CCACHE_BASEDIR=$entry/.." \
		CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros make -s -C "$tree" "O=$out" \
		CC="ccache gcc" HOSTCC="ccache gcc" "-j$(nproc)" "$@" > "$log" 2>&1
}

builds() {
	git -C "$commits" --work-tree="$tree" checkout -q -f "$1" > "$log" 2>&1 &&
		kmake "KCONFIG_ALLCONFIG=$out/fragments" allnoconfig || return
	# shellcheck disable=SC2046,SC2086	# lists of words
	kmake W=1 $(printf '%s/ ' $directories) && ! [ -s "$log" ] && unresolved nm 1000
}

all=$(git -C "$commits" rev-list --reverse series | tail -n +2)
echo "TAP version 13"
n=0 shown=0
for commit in $all; do
	n=$((n + 1))
	case " ${COMMITS:-$n} " in *" $n "*) ;; *) continue ;; esac
	shown=$((shown + 1))
	subject=$(git -C "$commits" log -1 --format=%s "$commit")
	key=$( { git -C "$commits" rev-parse "$commit^{tree}"; cat "$out/fragments"; } | sha256sum)
	if grep -qFx "$key" "$good"; then
		echo "ok $n $subject (built before)"
	elif builds "$commit"; then
		echo "$key" >> "$good"
		echo "ok $n $subject"
	else
		sed 's/^/# /' "$log"
		echo "not ok $n $subject"
	fi
done
echo "1..$shown"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every commit of the series compiles without a warning, and needs no function that
# comes later. Only the directories it touches: what they depend on is not built.
# COMMITS="12 13" builds these only, see scripts/commits.sh.
# tier: long
# timeout: 7200
set -u
cd "$(dirname "$0")/../.." || exit
proof=builds
# shellcheck source=scripts/commits.sh
. scripts/commits.sh
# shellcheck source=scripts/touched.sh
. scripts/touched.sh
tree=$where/tree out=$where/build

# Hard links: git replaces a file, and never writes into it.
[ -d "$tree" ] || { rm -rf "$tree.new" && cp -al "$entry/pristine" "$tree.new" && mv "$tree.new" "$tree"; } || exit
mkdir -p "$out"
scripts/kernel-sync fragments plain "$entry" > "$out/fragments"

kmake() {
	env -i "PATH=$PATH" "HOME=$HOME" "CCACHE_DIR=$entry/../ccache" "CCACHE_BASEDIR=$entry/.." \
		CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros make -s -C "$tree" "O=$out" \
		CC="ccache gcc" HOSTCC="ccache gcc" "-j$(nproc)" "$@" > "$log" 2>&1
}

builds() {
	in_series --work-tree="$tree" checkout -q -f "$1" > "$log" 2>&1 &&
		kmake "KCONFIG_ALLCONFIG=$out/fragments" allnoconfig || return
	# shellcheck disable=SC2046,SC2086	# lists of words
	kmake W=1 $(printf '%s/ ' $directories) && ! [ -s "$log" ] && unresolved nm 1000
}

echo "TAP version 13"
taken > "$where/taken"
while read -r n commit; do
	verdict "$n $(subject "$commit")" \
		"$(in_series rev-parse "$commit^{tree}") $(cat "$out/fragments")" builds "$commit"
done < "$where/taken"
echo "1..${rows-0}"

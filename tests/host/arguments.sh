#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: a script that is asked for help, or that is told what it does not know, does nothing else
# timeout: 120
set -u
cd "$(dirname "$0")/../.." || exit
LIB=tests/lib
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# says STATUS TEXT SCRIPT ARGUMENT..: with a cache that stays as it is
says() {
	status=$1 text=$2 script=$3
	shift 3
	rm -rf "$tmp/cache"
	mkdir -p "$tmp/cache/download"
	SETUP=no KERNEL=none DMA_BUF_PHYS_CACHE=$tmp/cache timeout 20 "scripts/$script" "$@" > "$tmp/said" 2>&1
	[ $? = "$status" ] && grep -q -e "$text" "$tmp/said" && ! grep -q Traceback "$tmp/said" &&
		[ "$(find "$tmp/cache" ! -name fetch.lock | wc -l)" = 2 ]
	ok $? "$script $*" || sed 's/^/# /' "$tmp/said"
}

# What is run by others only, with arguments that are not the user's, has no help.
for script in $(find scripts -maxdepth 1 -type f -perm -u+x -printf '%f\n' |
	grep -vx 'common.sh\|commits.sh\|touched.sh\|kernel-config\|progress' | sort); do
	says 0 . "$script" --help
done
for script in bench distclean docs guest-busybox kernel-fetch setup; do
	says 2 "^error: $script takes no arguments; see $script --help$" "$script" all
done
for script in install kernel-sync mutations play series; do
	says 2 "^error: .*; see $script --help$" "$script" --no-such-option all
done
for script in package stock-modules; do
	says 2 "^error: name a directory; see $script --help$" "$script" --no-such-option
done
says 125 "^error: no-such.c: no such program$" vm no-such.c
for script in docs lint series; do
	says 1 "^error: KERNEL=none is neither a tree nor a tarball$" "$script"
done
for jobs in 0 abc; do
	export JOBS=$jobs
	says 1 "^error: JOBS is how many guests run at a time, not '$jobs'$" check
done
unset JOBS
plan

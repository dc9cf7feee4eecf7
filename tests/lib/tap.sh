#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# To be read by a test in sh that reports its cases one by one. On the host, where this
# is not in /lib, it sets LIB first.
# shellcheck source=tests/lib/say.sh
. "${LIB:-/lib}/say.sh"
say 'TAP version 13\n'
n=0

# ok STATUS WHAT: one case
ok() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then say 'ok %d %s\n' $n "$2"; else say 'not ok %d %s\n' $n "$2"; fi
	return "$1"
}

# skip WHAT WHY
skip() {
	n=$((n + 1))
	say 'ok %d %s # SKIP %s\n' $n "$1" "$2"
}

plan() { say '1..%d\n' $n; }

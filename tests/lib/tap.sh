#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# To be read by a test in sh that reports its cases one by one.
echo "TAP version 13"
n=0

# ok STATUS WHAT: one case
ok() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n $2"; else echo "not ok $n $2"; fi
	return "$1"
}

# skip WHAT WHY
skip() {
	n=$((n + 1))
	echo "ok $n $1 # SKIP $2"
}

plan() { echo "1..$n"; }

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: IGT's own tests give the same results as on the unpatched kernel
# tier: long
# timeout: 3600
set -u
cd "$(dirname "$0")/../.." || exit
LIB=tests/lib
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
logs=build/logs/igt-unpatched
mkdir -p $logs

# run FLAVOUR: what igt_kernel says of each subtest on that kernel, into a file
run() {
	FLAVOUR=$1 TOPOLOGY=gpu TIMEOUT=300 scripts/vm tests/guest/igt_kernel.sh > "$logs/$1.out" 2>&1
	sed -n 's/^\(not \)\?ok [0-9]* /\1ok /p' "$logs/$1.out" | sort > "$logs/$1.results"
	[ -s "$logs/$1.results" ]
}

! grep -q dma_buf_phys_revoke "$(scripts/kernel-build unpatched)/System.map"
ok $? "the unpatched kernel knows no revoke"
for flavour in unpatched plain; do
	run $flavour
	ok $? "the $flavour kernel has results" || { sed 's/^/# /' $logs/$flavour.out; plan; exit; }
done
grep "^ok vgem_basic" $logs/unpatched.results | grep -qv SKIP
ok $? "some of them are no skips"
diff -u $logs/unpatched.results $logs/plain.results > $logs/diff
ok $? "the same ones" || sed 's/^/# /' $logs/diff
plan

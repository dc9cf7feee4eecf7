#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# kunit.sh "38 cases, 50 with parameters" MODULE
# Runs the KUnit tests of a module, prints their KTAP, and insists on the
# numbers: with a wrong setting KUnit says "ok" after running nothing. At an earlier
# commit of the series any will do, as the harness insists on one.
want=$1
module=$2
name=$(echo "$module" | tr - _)

modprobe "$module" || exit 1
for results in /sys/kernel/debug/kunit/*/results; do
	grep -qx "    # module: $name" "$results" && cat "$results"
done > /tmp/kunit.log
cat /tmp/kunit.log
modprobe -r "$module" || exit 1

got=$(awk '
	/^        # Subtest:/ { parent = 1 }
	/^        (not )?ok / { leaves++ }
	/^    (not )?ok / { cases++; if (!parent) leaves++; parent = 0 }
	END { print cases + 0 " cases, " leaves + 0 " with parameters" }' /tmp/kunit.log)
if [ "$want" != any ] && [ "$got" != "$want" ]; then
	echo "# wanted $want, got $got"
	exit 1
fi
! grep -q '^ *not ok ' /tmp/kunit.log

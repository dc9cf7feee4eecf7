#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# counts.sh "pass:241 fail:0 xfail:0 xpass:0 skip:5" PROGRAM [ARGS..]
# Runs a kselftest and insists on its totals, so that a case which is no longer
# run, or is skipped now, is noticed.
want=$1
shift
"$@" > /tmp/counts.log 2>&1
status=$?
cat /tmp/counts.log
if ! grep -q "^# Totals: $want" /tmp/counts.log; then
	echo "# wanted the totals: $want"
	exit 1
fi
exit $status

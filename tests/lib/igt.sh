#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# igt.sh NAME=PROGRAM...
# Runs IGT tests by the distribution's igt_runner, with the kernel log of each subtest
# taken apart, and no further once the kernel is tainted or lockdep has given up. The
# results become TAP, see igt_tap.py.
# INCLUDE= and EXCLUDE= are regular expressions for "igt@NAME@SUBTEST".
tests=/tmp/igt
results=/tmp/igt-results
rm -rf $tests $results
mkdir -p $tests
names=
for test; do
	names="$names ${test%%=*}"
	ln -s "${test#*=}" "$tests/${test%%=*}"
done
printf 'TESTLIST\n%s\nEND TESTLIST\n' "${names# }" > $tests/test-list.txt

# The runner's own messages are for the case that it does not get to the end.
igt_runner --abort-on-monitored-error=taint,lockdep --disk-usage-limit=200M \
	--per-test-timeout=120 --prune-mode=keep-dynamic \
	${INCLUDE:+"--include-tests=$INCLUDE"} ${EXCLUDE:+"--exclude-tests=$EXCLUDE"} \
	$tests $results > /tmp/igt-runner.log 2>&1
status=$?
if [ ! -f $results/results.json ]; then
	sed 's/^/# /' /tmp/igt-runner.log
	echo "# igt_runner ended with status $status and left no results"
	exit 1
fi
exec python3 /needs/igt_tap.py $results/results.json

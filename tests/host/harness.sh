#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: whatever goes wrong in the guest makes the run red
# timeout: 600

logs=build/logs/harness
mkdir -p $logs
n=0
echo "TAP version 13"

# expect "TEXT" WHAT: a line of the output begins with TEXT
expect() {
	n=$((n + 1))
	if grep -q "^ *$1" $logs/output; then echo "ok $n $2"; else
		sed 's/^/# /' $logs/output
		echo "not ok $n $2"
	fi
}

# inner ARGUMENTS...: a run of its own; its status becomes a line, too
inner() {
	ONLY='' JOBS=1 scripts/check --logs $logs/vm --host /nonexistent "$@" > $logs/output 2>&1
	echo "status $?" >> $logs/output
}

inner --guest tests/host/red
expect "not ok: the guest hung" "a guest that hangs"
expect "not ok: the kernel complains: .*WARNING: CPU" "a kernel that warns"
expect "not ok: the guest died" "a guest that dies"
expect "not ok: bad" "a case that fails"
expect "not ok: all is well, but the exit status is 3" "a program that fails without a word"
expect "not ok: no case was reported" "a test without a case"
expect "not ok: 2 cases were planned, 1 reported" "a plan that is not kept"
expect "not ok: time limit of 3 s" "a program that does not end"
expect "not ok: it does not build" "a program that does not build"
expect "not ok: in the root of a distribution" "a case that fails in the root of a distribution"
expect "not ok: its metadata names libs, but no root" "a library without a root that has it"
expect "ok   zz-green .*: 1 passed" "the tests after them still run"
expect "ok   garbled .*: 1 passed" "a lost end of what a test prints hangs nobody"
expect "ok   signals .*: 600 passed" "a child that ends loses nothing of what is printed"
expect "609 passed, 13 failed, 0 skipped" "each is counted"
expect "status 1" "the run is red"

inner --guest tests/host/red --only no-such-test
expect "0 passed, 0 failed, 0 skipped" "a list of tests that comes back empty"
expect "status 1" "is red as well"

inner --guest tests/host/red --only zz-green
expect "status 0" "and a good test alone is green"

ARCH=arm64 inner --guest tests/host/red --only root
expect "root .*: all: there is no root debian for arm64" "what another architecture lacks is skipped"
expect "0 passed, 0 failed, 1 skipped" "and counted"
ARCH=none inner --guest tests/host/red --only root
expect "error: there is no architecture 'none'" "one that does not exist is refused"

flock $logs/vm.lock sleep 10 &
sleep 1
inner --guest tests/host/red --only zz-green
wait
expect "waiting for .*vm.lock: another run is at it" "two runs do not share their logs"
expect "status 0" "and the second one is done after the first"

mkdir -p $logs/host
printf '#!/bin/sh\necho "ok 1 case"\nexec sleep 60\n' > $logs/host/sleeps.sh
chmod +x $logs/host/sleeps.sh
ONLY='' timeout -s INT 4 scripts/check --logs $logs/vm --guest /nonexistent --host $logs/host > $logs/output 2>&1
echo "status $?, $(grep -c 'not ok\|Traceback' $logs/output) failed" >> $logs/output
expect "status 124, 0 failed" "a test on the host that was interrupted is not counted"

AGAIN=1 inner --tier long --guest /nonexistent --host tests/host/red-long
expect "ok   green: 1 passed (. s)$" "the long tier runs"
inner --tier long --guest /nonexistent --host tests/host/red-long
expect "ok   green: 1 passed (. s), done before" "what was green is not run again"
expect "FAIL red: 0 passed, 1 failed (. s)$" "what was red is"
echo "1..$n"

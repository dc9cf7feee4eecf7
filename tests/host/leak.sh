#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: memory that leaks makes the run red
# tier: long
# timeout: 900

logs=build/logs/leak
mkdir -p $logs
ONLY='' JOBS=1 scripts/check --logs $logs/vm --host /nonexistent --guest tests/host/red-leak \
	> $logs/output 2>&1
status=$?
sed 's/^/# /' $logs/output
echo "1..2"
if [ $status = 1 ]; then echo "ok 1 the run is red"; else echo "not ok 1 the run is red"; fi
if grep -q "not ok: memory was leaked" $logs/output; then
	echo "ok 2 and says why"
else
	echo "not ok 2 and says why"
fi

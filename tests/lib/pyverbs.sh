#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# pyverbs.sh "135 ok" [TEST..]
# Runs pyverbs' tests, all or those named, as the distribution has them, on rxe0.
# None may fail, and as many as said have to be ok: one that is skipped now, or not
# run any more, is noticed.
want=$1
shift
log=/tmp/pyverbs.log
if [ ! -d /tmp/tests ]; then
	cp -r /usr/share/doc/rdma-core/tests /tmp/tests
	gunzip /tmp/tests/*.gz
fi

python3 /tmp/tests/run_tests.py --dev rxe0 -v "$@" > $log 2>&1

# The summary: "Ran 390 tests in 100.0s", "FAILED (failures=1, errors=2, skipped=3)"
got=$(awk '
	function of(kind) {
		if (!match($0, kind "=[0-9]+"))
			return 0
		return substr($0, RSTART + length(kind) + 1, RLENGTH - length(kind) - 1) + 0
	}
	/^Ran [0-9]+ test/ { ran = $2 }
	/^(OK|FAILED)( \(|$)/ {
		bad = of("failures") + of("errors") + of("unexpected successes")
		skipped = of("skipped")
		print ran - skipped - bad " ok, " bad " failed, " skipped " skipped"
	}' $log)
sed -n 's/.* \.\.\. skipped /# skipped: /p' $log | sort | uniq -c | sort -rn | sed 's/^ *\([0-9]*\) # /# \1 /'
echo "# $got"
case $got in
"$want, 0 failed, "*" skipped") exit 0 ;;
esac
sed 's/^/# /' $log
echo "# wanted $want, 0 failed"
exit 1

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the kernel's own selftests of rxe pass, none is skipped
# root: debian
# flavour: plain
# timeout: 180
# selftest: kselftest/ktap_helpers.sh rdma/rxe_rping_between_netns.sh rdma/rxe_ipv6.sh rdma/rxe_socket_with_netns.sh rdma/rxe_test_NETDEV_UNREGISTER.sh rdma/rxe_sent_rcvd_bytes.sh rdma/rxe_netns_names.sh
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh
for test in /selftests/rdma/*.sh; do
	"$test" > /tmp/rxe.log 2>&1
	status=$?
	# Deeper than ours, so that its own lines are not counted as cases of this one.
	sed 's/^/# /' /tmp/rxe.log
	! grep -q '# SKIP' /tmp/rxe.log && [ $status = 0 ]
	ok $? "$(basename "$test" .sh)"
done
[ "$n" = 6 ]; ok $? "six of them"
plan

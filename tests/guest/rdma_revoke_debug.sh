#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of rdma_revoke.c on the debug kernel. It is slow, so each way to take
# the memory away has some of them.
# flavour: debug
# topology: root
# tier: check
# timeout: 400
# leak: yes
# root: debian
# needs: tests/guest/rdma_revoke.c
REVOKE_ROUNDS=2 exec /needs/rdma_revoke -f transfer -f once -f owner \
	-r rest.memory.same_as_deregistered -r rest.close.window -r rest.reset.on_demand

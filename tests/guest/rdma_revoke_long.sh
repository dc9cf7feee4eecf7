#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A hundred times of what rdma_revoke.c does five times: the memory is taken away
# under a running transfer.
# flavour: plain
# topology: root
# tier: long
# timeout: 1800
# root: debian
# needs: tests/guest/rdma_revoke.c
REVOKE_ROUNDS=100 exec /needs/rdma_revoke -f transfer

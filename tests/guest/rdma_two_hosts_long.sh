#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The largest transfer of rdma_two_hosts.c: all 64 MiB of the BAR at once.
# flavour: plain
# topology: root
# tier: long
# timeout: 600
# root: debian
# needs: tests/guest/rdma_two_hosts.c
TWO_HOSTS_MIB=64 exec /needs/rdma_two_hosts -f large

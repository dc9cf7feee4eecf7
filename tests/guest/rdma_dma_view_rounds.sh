#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The memory of an RDMA device's MR is taken away while the device writes to it,
# a hundred times.
# flavour: plain
# topology: root switch
# tier: long
# timeout: 400
# needs: tests/guest/rdma_dma_view.c
ROUNDS=100 exec /needs/rdma_dma_view -t memory_disable_while_the_device_writes

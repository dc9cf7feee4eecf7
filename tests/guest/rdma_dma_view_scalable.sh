#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of rdma_dma_view.c where VT-d is in scalable mode.
# flavour: plain
# topology: scalable scalable-first
# tier: long
# timeout: 300
# needs: tests/guest/rdma_dma_view.c
exec /needs/rdma_dma_view

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of rdma_dma_view.c on the debug kernel, which is slow: each way to
# register, each way to lose the memory.
# flavour: debug
# topology: root
# tier: check
# timeout: 300
# leak: yes
# needs: tests/guest/rdma_dma_view.c
exec /needs/rdma_dma_view -t three_ranges -t two_doors -t page_sizes \
	-t driver_outside_the_class -t memory_disable -t reset -t close \
	-t dynamic_comes_back -t memory_disable_while_the_device_writes \
	-t static_pinned_is_refused

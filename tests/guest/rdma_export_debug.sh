#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of rdma_export.c on the debug kernel, which is slow: bad input, and each
# way in which the export ends, once.
# flavour: debug
# topology: root
# tier: check
# timeout: 200
# leak: yes
# needs: tests/guest/rdma_export.c
exec /needs/rdma_export -r bell.bad_input -r end.context_closed.stops_dma \
	-r end.entry_taken_back.after_the_fd -r end.device_gone.unused

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of rdma_bad_input.c on the debug kernel, which is slow: everything that
# unwinds, and every order of closing.
# flavour: debug
# topology: root
# tier: check
# timeout: 480
# leak: yes
# needs: tests/guest/rdma_bad_input.c
exec /needs/rdma_bad_input -t offset_and_length -t access_flags -t file_descriptors \
	-t memory_is_away -t each_allocation_fails -t rereg -t advise -t dereg -t killed \
	-t device_is_gone -r end.rxe.orders

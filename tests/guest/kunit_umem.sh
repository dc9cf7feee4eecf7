#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The KUnit tests of RDMA memory regions in dma-bufs: blocks, block sizes, and
# the three ways in which drivers call the RDMA core.
#
# flavour: plain debug
# topology: root
# tier: check
# timeout: 400
# params: kunit.enable=1 kunit.autorun=1
# leak: yes
exec sh /lib/kunit.sh "28 cases, 67 with parameters" dma-buf-phys-umem_kunit

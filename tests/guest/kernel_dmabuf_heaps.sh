#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own selftest of dma-buf heaps keeps its count.
#
# flavour: plain
# topology: root
# tier: check
# timeout: 120
# selftest: dmabuf-heaps/dmabuf-heap
exec sh /lib/counts.sh "pass:11 fail:0 xfail:0 xpass:0 skip:1" /selftests/dmabuf-heaps/dmabuf-heap

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own selftest of udmabuf keeps its count.
#
# flavour: plain
# topology: root
# tier: check
# timeout: 120
# memory: 4G
# selftest: drivers/dma-buf/udmabuf
echo 1024 > /proc/sys/vm/nr_hugepages
exec sh /lib/counts.sh "pass:7 fail:0 xfail:0 xpass:0 skip:0" /selftests/drivers/dma-buf/udmabuf

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own iommufd selftest, user space unmodified: every case of a
# dma-buf passes (mainline fails eight), and nothing else changed.
#
# flavour: plain
# topology: root
# tier: check
# timeout: 300
# memory: 4G
# selftest: iommu/iommufd
echo 300 > /proc/sys/vm/nr_hugepages
exec sh /lib/counts.sh "pass:241 fail:0 xfail:0 xpass:0 skip:5" /selftests/iommu/iommufd

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own iommufd_fail_nth: fail every allocation in turn.
# Its own time limit of 30 s is too short for the debug kernel.
#
# flavour: plain
# topology: root
# tier: check
# timeout: 300
# memory: 4G
# selftest: iommu/iommufd_fail_nth
echo 300 > /proc/sys/vm/nr_hugepages
exec sh /lib/counts.sh "pass:8 fail:0 xfail:0 xpass:0 skip:0" /selftests/iommu/iommufd_fail_nth

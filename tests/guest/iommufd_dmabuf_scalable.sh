#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of iommufd_dmabuf.c where VT-d is in scalable mode. That it is, its
# faults say: they have a PASID, and those of first-stage tables name the stage.
# flavour: plain
# topology: scalable scalable-first
# tier: long
# timeout: 600
# needs: tests/guest/iommufd_dmabuf.c
/needs/iommufd_dmabuf || exit

case $TOPOLOGY in
scalable-first) fault="PASID 0x0\] .* first-level paging entry" ;;
*) fault="PASID 0x0\] .* PTE Write access is not set" ;;
esac
dmesg | grep -q "DMAR: .* $fault" && exit
echo "# no fault in the kernel log is '$fault'"
exit 1

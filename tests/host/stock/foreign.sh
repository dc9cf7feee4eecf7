#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Run by stock_modules.sh: which kernel it is, and that a module of the distribution's
# does not get at structures of ours, which look different.
grep '^Linux' /proc/version
rmmod vfio_iommu_type1
insmod "/lib/modules/$(uname -r)/foreign"
dmesg | grep 'vfio_iommu_type1: '

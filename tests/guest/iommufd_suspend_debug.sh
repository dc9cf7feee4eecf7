#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of iommufd_suspend.c on the debug kernel. It is slow, so only the
# variants with one way to make the memory go for each reason.
# flavour: debug
# topology: root
# tier: check
# timeout: 400
# leak: yes
# needs: tests/guest/iommufd_suspend.c
exec /needs/iommufd_suspend -V memory -V low_power -V d3hot -V memory_and_d3hot \
	-V ioctl -V ioctl_nvme -V sysfs

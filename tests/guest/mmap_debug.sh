#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of mmap.c on the debug kernel. It is slow, so of the ways to be away
# only two, and no resets under load.
# flavour: debug
# topology: root
# tier: check
# timeout: 400
# leak: yes
# needs: tests/guest/mmap.c
exec /needs/mmap -V low_power -V d3hot -V ioctl_reset -V sysfs_reset -V hot_reset

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of iommufd_suspend.c where VT-d is in scalable mode.
# flavour: plain
# topology: scalable scalable-first
# tier: long
# timeout: 600
# needs: tests/guest/iommufd_suspend.c
exec /needs/iommufd_suspend

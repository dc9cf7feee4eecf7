#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of mmap.c in which threads access the memory all the time, while it
# goes and comes 20 times as often: 1200 rounds by memory decode, 4000 by the owner.
# flavour: plain
# topology: root
# tier: long
# timeout: 3600
# needs: tests/guest/mmap.c
MMAP_TIMES=20 exec /needs/mmap -f busy -f quiet

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A million operations of stress.c, in slices of 50000. Each begins with its number
# and the seed; after one that failed, it says how to go on from there.
# flavour: plain
# topology: root
# tier: long
# timeout: 14400
# needs: tests/guest/stress.c
exec /needs/stress --ops=1000000 --threads=6

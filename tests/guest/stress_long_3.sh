#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A quarter of a million operations of stress.c, in slices of 50000: part 3 of four,
# so that a run that was stopped goes on with the next. Each has a seed of its own,
# which is printed; after a slice that failed, it says how to go on from there.
# flavour: plain
# topology: root
# tier: long
# timeout: 7200
# needs: tests/guest/stress.c
exec /needs/stress --ops=250000 --threads=6

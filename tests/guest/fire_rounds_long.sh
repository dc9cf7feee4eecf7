#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# All of fire_rounds.c, more often: 10,000 rounds by memory decode, 50 by each of
# the other ways.
# flavour: plain
# topology: root
# tier: long
# timeout: 7200
# root: debian
# needs: tests/guest/fire_rounds.c
FIRE_ROUNDS=10000 FIRE_TIMES=50 exec /needs/fire_rounds

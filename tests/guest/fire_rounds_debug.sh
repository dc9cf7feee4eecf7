#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# fire_rounds.c on the debug kernel. It is slow, so a few rounds, and one way of
# each kind.
# flavour: debug
# topology: root
# tier: check
# timeout: 300
# leak: yes
# root: debian
# needs: tests/guest/fire_rounds.c
FIRE_ROUNDS=10 FIRE_TIMES=1 exec /needs/fire_rounds -r lasting.decode.nothing_lands \
	-r passing.hot_reset.stops_and_lands_again -r final.close.nothing_lands

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of owner_revoke.c on the debug kernel, which is slow: all importers,
# reasons, the last close, and a killed owner.
# flavour: debug
# topology: root
# tier: check
# timeout: 400
# leak: yes
# root: debian
# needs: tests/guest/owner_revoke.c
exec /needs/owner_revoke -r all.for_a_while -r owned.for_good_while_away \
	-r owned.closed_meanwhile -r slow.temp.killed

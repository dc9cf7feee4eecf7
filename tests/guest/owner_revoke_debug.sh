#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of owner_revoke.c on the debug kernel. It is slow, so only those with
# all importers, with a killed owner, and with reasons.
# flavour: debug
# topology: root
# tier: check
# timeout: 400
# leak: yes
# root: debian
# needs: tests/guest/owner_revoke.c
exec /needs/owner_revoke -r all.for_a_while -r all.for_good -r owned.any_order \
	-r owned.for_good_while_away -r owned.closed_meanwhile \
	-r slow.temp.killed -r slow.perm.killed

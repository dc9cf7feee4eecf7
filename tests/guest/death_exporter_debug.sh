#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of death_exporter.c on the debug kernel, which is slow: those that
# other tests do not run there in a similar way.
# flavour: debug
# topology: root
# tier: check
# timeout: 300
# leak: yes
# root: debian
# needs: tests/guest/death_exporter.c
exec /needs/death_exporter -r way.hot_reset.everybody_loses_it \
	-r way.unbind.everybody_loses_it -r killed.live.exporter -r killed.off.importers \
	-r reasons.unplugged_while_off_and_in_low_power

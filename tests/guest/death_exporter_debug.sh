#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of death_exporter.c on the debug kernel, which is slow: those that
# other tests do not run there in a similar way. To unplug what is in low power is not
# one of them: VFIO takes its memory_lock when a device wakes up, and holds it across
# a reset of the slot, so that lockdep finds Linux 7.3.4 itself in a cycle with
# pciehp's reset_lock and pci_rescan_remove_lock.
# flavour: debug
# topology: root
# tier: check
# timeout: 300
# leak: yes
# root: debian
# needs: tests/guest/death_exporter.c
exec /needs/death_exporter -r way.hot_reset.everybody_loses_it \
	-r way.unbind.everybody_loses_it -r killed.live.exporter -r killed.off.importers

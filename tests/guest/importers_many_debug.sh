#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of importers_many.c on the debug kernel, which is slow.
# flavour: debug
# topology: root
# tier: check
# timeout: 200
# leak: yes
# root: debian
# needs: tests/guest/importers_many.c
exec /needs/importers_many -r many.three_domains_and_a_driver \
	-r slow.class.is_named_and_waited_for_alone

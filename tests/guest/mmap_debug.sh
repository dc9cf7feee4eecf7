#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some tests of mmap.c on the debug kernel, which is slow. Unplugging is not among
# them: lockdep has its opinion of that without dma-bufs.
# flavour: debug
# topology: root
# tier: check
# timeout: 200
# leak: yes
# needs: tests/guest/mmap.c
exec /needs/mmap -r live.whole -r live.bad_mmap -r live.remap -r live.holes \
	-r live.forked -r live.killed -r live.does_not_keep_the_device \
	-r away.memory.and_back -r away.owner.mapped_meanwhile \
	-r away.memory.closed_meanwhile -r busy.owner.no_wrong_byte \
	-r quiet.memory.nothing_arrives -r closing.for_good

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Some of move.c on the debug kernel.
# flavour: debug
# topology: root
# tier: check
# timeout: 300
# leak: yes
# needs: tests/guest/move.c
exec /needs/move -r vram.cpu_view_follows -r vram.scatterlist_follows \
	-r vram.on_demand_mr_follows -r vram.out_of_reach_gets_ram \
	-r vram.least_recently_used -r vram.slow_copy_holds_map_back \
	-r vram.unbind_under_everything

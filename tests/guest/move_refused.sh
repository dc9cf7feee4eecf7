#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# move.c with devices that PCI does not lead to the video memory.
# flavour: plain
# topology: refused
# tier: check
# timeout: 60
# needs: tests/guest/move.c
exec /needs/move -r vram.out_of_reach_gets_ram -r vram.out_of_reach_is_refused

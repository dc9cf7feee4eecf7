#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The KUnit tests of dma-buf-phys: ranges, states, moves, mmap, domain view,
# DMA view.
#
# flavour: plain debug
# topology: root
# tier: check
# timeout: 180
# params: kunit.enable=1 kunit.autorun=1
# leak: yes
exec sh /lib/kunit.sh "105 cases, 378 with parameters" dma-buf-phys_kunit

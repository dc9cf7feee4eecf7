#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The KUnit tests of the CPU view of dma-buf-phys. Some let every allocation fail
# in turn, silently; that they may is set here.
#
# flavour: plain debug
# topology: root
# tier: check
# timeout: 240
# params: kunit.enable=1 kunit.autorun=1
# leak: yes
for attribute in failslab fail_page_alloc; do
	echo N > /sys/kernel/debug/$attribute/ignore-gfp-wait
	echo 0 > /sys/kernel/debug/$attribute/verbose
done
echo 0 > /sys/kernel/debug/fail_page_alloc/min-order
exec sh /lib/kunit.sh "34 cases, 68 with parameters" dma-buf-phys-cpu_kunit

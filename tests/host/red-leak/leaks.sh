#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the kernel leaks memory
# flavour: debug
# leak: yes
# timeout: 120
modprobe kmemleak-test
echo "1..1"
echo "ok 1 good"

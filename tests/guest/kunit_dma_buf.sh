#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own KUnit tests of dma-buf keep their count. On the debug kernel
# test_wait_backward of its fence chains does not end within minutes.
#
# flavour: plain
# topology: root
# tier: check
# timeout: 180
# params: kunit.enable=1 kunit.autorun=1
exec sh /lib/kunit.sh "38 cases, 50 with parameters" dmabuf_kunit

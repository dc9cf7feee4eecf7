#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: our own IGT tests on the debug kernel, KUnit aside
# root: debian
# flavour: debug
# topology: gpu
# tier: long
# timeout: 2400
# needs: tests/igt/igt_tap.py tests/igt/dmabuf_phys.c tests/igt/vfio_dmabuf.c tests/igt/iommufd_dmabuf.c tests/igt/rdma_dmabuf.c tests/igt/prime_phys.c tests/guest/igt.sh
#
# The KUnit suites have boots of their own there.
INCLUDE='(dmabuf_phys@(debugfs|trace)|vfio_dmabuf|iommufd_dmabuf|rdma_dmabuf|prime_phys)' \
	exec sh /needs/igt.sh

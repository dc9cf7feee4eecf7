#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: IGT's own tests of dma-buf fences and prime keep their counts
# root: debian
# flavour: plain
# topology: gpu
# boot: own
# taint: L
# timeout: 180
# needs: tests/igt/igt_tap.py
#
# As the distribution has them. prime_vgem and syncobj_basic want hardware and skip,
# as they do on the unpatched kernel. To open sw_sync taints the kernel, on purpose.
# vgem_basic's "unload" takes 30 s, for a driver that the project does not touch.
set --
for name in dmabuf_sync_file prime_vgem sw_sync syncobj_basic vgem_basic; do
	set -- "$@" "$name=/usr/libexec/igt-gpu-tools/$name"
done
EXCLUDE=vgem_basic@unload exec sh /lib/counts.sh "pass:38 fail:0 xfail:0 xpass:0 skip:32" sh /lib/igt.sh "$@"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: vmm_qemu.sh with lockdep, KASAN and the search for leaked memory
# root: qemu
# flavour: debug
# tier: long
# timeout: 600
# leak: yes
# needs: tests/guest/vmm_qemu.sh tests/guest/iommufd_dmabuf.c
exec /needs/vmm_qemu.sh

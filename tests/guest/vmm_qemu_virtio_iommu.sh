#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: vmm_qemu.sh with another IOMMU, which does not remap interrupts
# root: qemu
# flavour: plain
# topology: virtio-iommu
# params: iommufd.allow_unsafe_interrupts=1
# tier: long
# timeout: 240
# needs: tests/guest/vmm_qemu.sh tests/guest/iommufd_dmabuf.c
exec /needs/vmm_qemu.sh

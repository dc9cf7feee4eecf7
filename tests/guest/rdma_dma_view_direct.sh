#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of rdma_dma_view.c where the DMA API maps directly: through the host
# bridge, without an IOMMU that translates.
# flavour: plain
# topology: root
# params: iommu.passthrough=1
# tier: check
# timeout: 300
# needs: tests/guest/rdma_dma_view.c
exec /needs/rdma_dma_view

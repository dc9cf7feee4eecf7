#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of dma_api_import.c where the DMA API maps directly: through the
# host bridge, without an IOMMU that translates.
# flavour: plain
# topology: root
# params: iommu.passthrough=1
# tier: check
# timeout: 480
# needs: tests/guest/dma_api_import.c
exec /needs/dma_api_import

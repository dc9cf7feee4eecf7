#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of dma_api_import.c where VT-d is in scalable mode.
# flavour: plain
# topology: scalable scalable-first
# tier: long
# timeout: 480
# needs: tests/guest/dma_api_import.c
exec /needs/dma_api_import

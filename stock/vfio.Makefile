# SPDX-License-Identifier: GPL-2.0-only
# Added to the Makefile of VFIO.
subdir-ccflags-y := -include $(src)/own.h -DDEFAULT_SYMBOL_NAMESPACE='"DMA_BUF_PHYS"'

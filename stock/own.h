/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Seen first by what is built for a distribution's kernel. Structures of VFIO and
 * of RDMA's umem look different there, so what was compiled for the
 * distribution's must not meet ours: what ours export is in a name space that
 * only they import.
 */
static const char own_import[]
__attribute__((used, section(".modinfo"), aligned(1))) = "import_ns=DMA_BUF_PHYS";

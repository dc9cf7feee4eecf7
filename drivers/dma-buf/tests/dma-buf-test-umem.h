/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two ways to register memory that dma-buf-test-umem measures
 */
#ifndef DMA_BUF_TEST_UMEM_H
#define DMA_BUF_TEST_UMEM_H

#include <linux/types.h>

struct ib_device;
struct ib_umem;

/* Pinned and revocable, as irdma does it; or an ERR_PTR. */
struct ib_umem *mainline_umem_get(struct ib_device *device, size_t size,
				  int fd, int access);
void mainline_umem_put(struct ib_umem *umem);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dma-buf-phys: what the parts of the core share
 *
 *   dma-buf-phys.c		class, attachments, states
 *   dma-buf-phys-ranges.c	range lists: validation, walking a slice
 *   dma-buf-phys-dma.c		DMA view, and the scatterlist for old importers
 *   dma-buf-phys-domain.c	domain view
 */
#ifndef _DMA_BUF_PHYS_INTERNAL_H
#define _DMA_BUF_PHYS_INTERNAL_H

#include <linux/dma-buf-phys.h>

/* dma-buf-phys.c */
static inline struct dma_buf_phys *to_phys(const struct dma_buf *dmabuf)
{
	return dmabuf->priv;
}

bool phys_is_live(const struct dma_buf *dmabuf);
void phys_hold(struct dma_buf *dmabuf, struct dma_buf_phys_holder *holder);
void phys_drop(struct dma_buf *dmabuf, struct dma_buf_phys_holder *holder);
int phys_wait_kernel_fences(struct dma_buf *dmabuf);
void phys_refuse(struct dma_buf *dmabuf, struct device *importer,
		 const struct dma_buf_phys_ranges *ranges, const char *reason);

/* dma-buf-phys-ranges.c */
int phys_ranges_check(const struct dma_buf_phys_ranges *ranges, size_t size);
int phys_ranges_peek(struct dma_buf *dmabuf,
		     struct dma_buf_phys_ranges *ranges);
int phys_ranges_get(struct dma_buf *dmabuf, struct dma_buf_phys_ranges *ranges);
void phys_ranges_put(struct dma_buf *dmabuf,
		     struct dma_buf_phys_ranges *ranges);
int phys_slice_check(const struct dma_buf *dmabuf, u64 offset, u64 len);
void phys_cursor_start(struct dma_buf_phys_cursor *cursor,
		       const struct dma_buf_phys_ranges *ranges, u64 offset,
		       u64 len);
bool phys_cursor_next(struct dma_buf_phys_cursor *cursor, struct phys_vec *run);

/* dma-buf-phys-dma.c */
int phys_dma_reachable(struct dma_buf *dmabuf, struct device *dev,
		       const struct dma_buf_phys_ranges *ranges);

/* dma-buf-phys-domain.c */
#ifdef CONFIG_IOMMU_API
void phys_domain_unmap_all(struct dma_buf_phys_attachment *attach);
void phys_domain_refill_all(struct dma_buf_phys_attachment *attach);
#else
static inline void phys_domain_unmap_all(struct dma_buf_phys_attachment *attach)
{
}

static inline void
phys_domain_refill_all(struct dma_buf_phys_attachment *attach)
{
}
#endif

#endif

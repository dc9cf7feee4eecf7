/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mainline's struct ib_umem_dmabuf and its functions, renamed
 */
#ifndef DMA_BUF_TEST_UMEM_MAINLINE_H
#define DMA_BUF_TEST_UMEM_MAINLINE_H

#include <rdma/ib_umem.h>

struct dma_buf_attachment;
struct device;
struct sg_table;

struct mainline_umem_dmabuf {
	struct ib_umem umem;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	struct scatterlist *first_sg;
	struct scatterlist *last_sg;
	unsigned long first_sg_offset;
	unsigned long last_sg_trim;
	void (*pinned_revoke)(void *priv);
	void *private;
	u8 pinned : 1;
	u8 revoked : 1;
};

/* What the file of Linux defines, under its new names. */
struct mainline_umem_dmabuf *
mainline_get(struct ib_device *device, unsigned long offset, size_t size,
	     int fd, int access, const struct dma_buf_attach_ops *ops);
struct mainline_umem_dmabuf *
mainline_get_pinned(struct ib_device *device, unsigned long offset, size_t size,
		    int fd, int access);
struct mainline_umem_dmabuf *
mainline_get_with_dma_device(struct ib_device *device,
			     struct device *dma_device, unsigned long offset,
			     size_t size, int fd, int access);
struct mainline_umem_dmabuf *
mainline_get_revocable(struct ib_device *device, unsigned long offset,
		       size_t size, int fd, int access);
int mainline_map_pages(struct mainline_umem_dmabuf *umem_dmabuf);
void mainline_unmap_pages(struct mainline_umem_dmabuf *umem_dmabuf);
void mainline_set_revoke_locked(struct mainline_umem_dmabuf *umem_dmabuf,
				void (*revoke)(void *priv), void *priv);
void mainline_revoke_lock(struct mainline_umem_dmabuf *umem_dmabuf);
void mainline_revoke_unlock(struct mainline_umem_dmabuf *umem_dmabuf);
void mainline_revoke(struct mainline_umem_dmabuf *umem_dmabuf);
void mainline_release(struct mainline_umem_dmabuf *umem_dmabuf);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mainline's dma-buf umem, to compare with
 *
 * Compiles the file of Linux that is not built any more, with its symbols
 * renamed, and with a struct ib_umem_dmabuf as that file wants it. Finding a
 * block size and walking blocks is done by what umem.c and iter.c do for any
 * scatterlist: the umem is not called a dma-buf once it is made.
 */
#include <linux/dma-buf.h>
#include <linux/export.h>
#include <linux/scatterlist.h>
#include <rdma/ib_umem.h>

#include "../../infiniband/core/uverbs.h"
#include "dma-buf-test-umem.h"
#include "dma-buf-test-umem-mainline.h"

static void mainline_umem_release(struct ib_umem *umem);

#define ib_umem_dmabuf			mainline_umem_dmabuf
#define ib_umem_release			mainline_umem_release
#define ib_umem_dmabuf_get		mainline_get
#define ib_umem_dmabuf_get_pinned	mainline_get_pinned
#define ib_umem_dmabuf_get_pinned_with_dma_device	mainline_get_with_dma_device
#define ib_umem_dmabuf_get_pinned_revocable_and_lock	mainline_get_revocable
#define ib_umem_dmabuf_map_pages	mainline_map_pages
#define ib_umem_dmabuf_unmap_pages	mainline_unmap_pages
#define ib_umem_dmabuf_set_revoke_locked	mainline_set_revoke_locked
#define ib_umem_dmabuf_revoke_lock	mainline_revoke_lock
#define ib_umem_dmabuf_revoke_unlock	mainline_revoke_unlock
#define ib_umem_dmabuf_revoke		mainline_revoke
#define ib_umem_dmabuf_release		mainline_release

/* Nobody but this file calls them. */
#undef EXPORT_SYMBOL
#define EXPORT_SYMBOL(symbol)
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(ns)

#include "../../infiniband/core/umem_dmabuf.c"

static void mainline_umem_release(struct ib_umem *umem)
{
	mainline_release(container_of(umem, struct mainline_umem_dmabuf, umem));
}

struct ib_umem *mainline_umem_get(struct ib_device *device, size_t size,
				  int fd, int access)
{
	struct mainline_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = mainline_get_revocable(device, 0, size, fd, access);
	if (IS_ERR(umem_dmabuf))
		return ERR_CAST(umem_dmabuf);
	umem_dmabuf->umem.is_dmabuf = 0;
	mainline_set_revoke_locked(umem_dmabuf, NULL, NULL);
	mainline_revoke_unlock(umem_dmabuf);
	return &umem_dmabuf->umem;
}

void mainline_umem_put(struct ib_umem *umem)
{
	mainline_umem_release(umem);
}

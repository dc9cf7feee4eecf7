// SPDX-License-Identifier: GPL-2.0-only
/*
 * A dma-buf exporter for the iommufd selftest
 *
 * It describes kernel memory by ranges, and suspends and restores it when the
 * test says so.
 */
#include <linux/dma-buf-phys.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "iommufd_private.h"
#include "iommufd_test.h"

#define TEST_DMABUF_MAX	(512 * PAGE_SIZE)

struct test_dmabuf {
	struct dma_buf_phys phys;	/* dma_buf::priv points here */
	struct phys_vec vec;
	void *memory;
	struct mutex state_lock;	/* held across suspend and restore */
};

static struct test_dmabuf *to_test_dmabuf(struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct test_dmabuf, phys);
}

static int test_dmabuf_get_ranges(struct dma_buf *dmabuf,
				  struct dma_buf_phys_ranges *ranges)
{
	*ranges = (struct dma_buf_phys_ranges) {
		.vec = &to_test_dmabuf(dmabuf)->vec,
		.nr = 1,
		.kind = DMA_BUF_PHYS_RAM,
	};
	return 0;
}

static void test_dmabuf_free(struct test_dmabuf *tbuf)
{
	kfree(tbuf->memory);
	kfree(tbuf);
}

static void test_dmabuf_release(struct dma_buf *dmabuf)
{
	struct test_dmabuf *tbuf = to_test_dmabuf(dmabuf);

	dma_buf_phys_fini(&tbuf->phys);
	test_dmabuf_free(tbuf);
}

static const struct dma_buf_phys_ops test_dmabuf_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.map_dma_buf = dma_buf_phys_map_dma_buf,
		.unmap_dma_buf = dma_buf_phys_unmap_dma_buf,
		.release = test_dmabuf_release,
	},
	.may_revoke = true,
	.get_ranges = test_dmabuf_get_ranges,
};

static struct test_dmabuf *test_dmabuf_alloc(size_t length)
{
	struct test_dmabuf *tbuf;

	tbuf = kzalloc_obj(*tbuf);
	if (!tbuf)
		return NULL;

	tbuf->memory = kzalloc(length, GFP_KERNEL);
	if (!tbuf->memory) {
		kfree(tbuf);
		return NULL;
	}
	tbuf->vec.paddr = virt_to_phys(tbuf->memory);
	tbuf->vec.len = length;
	dma_buf_phys_init(&tbuf->phys, 0);
	mutex_init(&tbuf->state_lock);
	return tbuf;
}

/* Export @length bytes of zeroed memory; returns a file descriptor. */
int iommufd_test_dmabuf_get(unsigned int open_flags, size_t length)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct test_dmabuf *tbuf;
	struct dma_buf *dmabuf;
	int fd;

	if (!length || length > TEST_DMABUF_MAX)
		return -EINVAL;
	length = PAGE_ALIGN(length);

	tbuf = test_dmabuf_alloc(length);
	if (!tbuf)
		return -ENOMEM;

	info.ops = &test_dmabuf_ops.ops;
	info.size = length;
	info.flags = open_flags;
	info.priv = &tbuf->phys;
	dmabuf = dma_buf_phys_export(&info);
	if (IS_ERR(dmabuf)) {
		test_dmabuf_free(tbuf);
		return PTR_ERR(dmabuf);
	}

	fd = dma_buf_fd(dmabuf, open_flags);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

/* Take the memory of a buffer of ours away for a while, or give it back. */
int iommufd_test_dmabuf_revoke(int fd, bool revoked)
{
	struct test_dmabuf *tbuf;
	struct dma_buf *dmabuf;
	int rc = -EOPNOTSUPP;

	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (dmabuf->ops != &test_dmabuf_ops.ops)
		goto out_put;

	tbuf = to_test_dmabuf(dmabuf);
	mutex_lock(&tbuf->state_lock);
	if (revoked)
		dma_buf_phys_suspend(dmabuf, DMA_BUF_PHYS_OWNER);
	else
		dma_buf_phys_restore(dmabuf, DMA_BUF_PHYS_OWNER);
	mutex_unlock(&tbuf->state_lock);
	rc = 0;
out_put:
	dma_buf_put(dmabuf);
	return rc;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: ranges of exporters that have pages
 *
 * An exporter of system memory keeps its pages in a scatterlist or in an array.
 * The ranges are made of them when the first importer wants a domain or a CPU
 * view, because most buffers never see one, and kept for the life of the buffer.
 * Neighbours become one range. The array is charged to whose importer it is made
 * for; a limit answers -ENOMEM, and the next who asks tries again.
 *
 * Only ordinary pages are taken. Those of ZONE_DEVICE belong to a driver that may
 * want them back, and may not even be memory.
 */
#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/memremap.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "dma-buf-phys-internal.h"

/* One of them is NULL. */
struct phys_ram_source {
	struct sg_table *sgt;
	struct page **pages;
	size_t nr_pages;
};

struct phys_ram_builder {
	struct phys_vec *vec;	/* NULL in the first pass, which counts */
	size_t nr;
	phys_addr_t end;	/* of the last range */
};

static int phys_ram_add(struct phys_ram_builder *builder, struct page *page,
			size_t len)
{
	phys_addr_t start;

	if (is_zone_device_page(page))
		return -EOPNOTSUPP;

	start = page_to_phys(page);
	if (!builder->nr || start != builder->end) {
		if (builder->vec)
			builder->vec[builder->nr] = (struct phys_vec) {
				.paddr = start,
			};
		builder->nr++;
	}
	if (builder->vec)
		builder->vec[builder->nr - 1].len += len;
	builder->end = start + len;
	return 0;
}

static int phys_ram_walk_sgt(struct phys_ram_builder *builder,
			     struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;
	int ret;

	for_each_sgtable_sg(sgt, sg, i) {
		if (sg->offset)
			return -EINVAL;
		ret = phys_ram_add(builder, sg_page(sg), sg->length);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int phys_ram_walk_pages(struct phys_ram_builder *builder,
			       struct page **pages, size_t nr)
{
	size_t i;
	int ret;

	for (i = 0; i < nr; i++) {
		ret = phys_ram_add(builder, pages[i], PAGE_SIZE);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int phys_ram_walk(struct phys_ram_builder *builder,
			 const struct phys_ram_source *source)
{
	if (source->sgt)
		return phys_ram_walk_sgt(builder, source->sgt);
	return phys_ram_walk_pages(builder, source->pages, source->nr_pages);
}

static int phys_ram_make(struct dma_buf_phys_ram *ram,
			 const struct phys_ram_source *source)
{
	struct phys_ram_builder builder = {};
	size_t nr;
	int ret;

	ret = phys_ram_walk(&builder, source);
	if (ret)
		return ret;

	nr = builder.nr;
	builder = (struct phys_ram_builder) {
		.vec = kvmalloc_objs(*builder.vec, nr, PHYS_GFP_MAYFAIL),
	};
	if (!builder.vec)
		return -ENOMEM;

	/* What has been walked once does not change. */
	phys_ram_walk(&builder, source);
	ram->vec = builder.vec;
	ram->nr = nr;
	return 0;
}

static int phys_ram_get(struct dma_buf *dmabuf,
			const struct phys_ram_source *source,
			struct dma_buf_phys_ranges *ranges)
{
	struct dma_buf_phys_ram *ram =
		container_of(to_phys(dmabuf), struct dma_buf_phys_ram, phys);
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	if (!ram->vec) {
		ret = phys_ram_make(ram, source);
		if (ret)
			return ret;
	}
	*ranges = (struct dma_buf_phys_ranges) {
		.vec = ram->vec,
		.nr = ram->nr,
		.kind = DMA_BUF_PHYS_RAM,
	};
	return 0;
}

/**
 * dma_buf_phys_ram_get_sgt - what get_ranges() does if the pages are in a table
 * @dmabuf: a phys dma-buf whose exporter embeds a &struct dma_buf_phys_ram
 * @sgt: its pages, in buffer order, which do not change; the DMA side of it is
 *	not looked at
 * @ranges: filled in, valid for the life of the buffer
 *
 * Context: &dma_buf.resv held, may sleep.
 * Return: 0, -EOPNOTSUPP if there is device memory among the pages, -EINVAL if
 * an entry does not begin with its page, -ENOMEM.
 */
int dma_buf_phys_ram_get_sgt(struct dma_buf *dmabuf, struct sg_table *sgt,
			     struct dma_buf_phys_ranges *ranges)
{
	const struct phys_ram_source source = { .sgt = sgt };

	return phys_ram_get(dmabuf, &source, ranges);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_ram_get_sgt, "DMA_BUF");

/**
 * dma_buf_phys_ram_get_pages - what get_ranges() does if the pages are in an array
 * @dmabuf: a phys dma-buf whose exporter embeds a &struct dma_buf_phys_ram
 * @pages: as many as the buffer has, in its order; they do not change
 * @ranges: filled in, valid for the life of the buffer
 *
 * Context: &dma_buf.resv held, may sleep.
 * Return: 0, -EOPNOTSUPP if there is device memory among the pages, -ENOMEM.
 */
int dma_buf_phys_ram_get_pages(struct dma_buf *dmabuf, struct page **pages,
			       struct dma_buf_phys_ranges *ranges)
{
	const struct phys_ram_source source = {
		.pages = pages,
		.nr_pages = dmabuf->size >> PAGE_SHIFT,
	};

	return phys_ram_get(dmabuf, &source, ranges);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_ram_get_pages, "DMA_BUF");

/**
 * dma_buf_phys_ram_fini - dma_buf_phys_fini() of a buffer of pages
 * @dmabuf: the buffer, which is being released
 *
 * Once this returns, the core does not touch the buffer's state any more, and the
 * pages may go.
 *
 * Context: first thing in &dma_buf_ops.release.
 */
void dma_buf_phys_ram_fini(struct dma_buf *dmabuf)
{
	struct dma_buf_phys_ram *ram =
		container_of(to_phys(dmabuf), struct dma_buf_phys_ram, phys);

	dma_buf_phys_fini(&ram->phys);
	kvfree(ram->vec);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_ram_fini, "DMA_BUF");

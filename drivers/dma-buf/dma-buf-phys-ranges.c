// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: range lists
 *
 * The list belongs to the exporter: it is borrowed, const, never copied and
 * never edited. It is validated once, in phys_ranges_peek(); every other
 * function trusts it.
 *
 * A *slice* is a part of the buffer given by offset and length in bytes. A
 * *run* is a longest physically contiguous piece of a slice: it ends where the
 * slice ends or where the next range is not adjacent. Ranges may alias, runs
 * may then be seen twice.
 *
 * The *index* of a long list that is fixed for the life of the buffer says where
 * every 64th range begins. Any other list is walked from its start: a short one
 * has nothing to gain, and one that is lent anew each time is also checked each
 * time, which takes longer.
 */
#include <kunit/visibility.h>
#include <linux/dma-resv.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "dma-buf-phys-internal.h"

static int phys_range_check(const struct phys_vec *vec, size_t *sum)
{
	phys_addr_t end;

	if (!vec->len || !PAGE_ALIGNED(vec->paddr) || !PAGE_ALIGNED(vec->len))
		return -EINVAL;
	if (check_add_overflow(vec->paddr, vec->len, &end))
		return -EINVAL;
	if (check_add_overflow(*sum, vec->len, sum))
		return -EINVAL;
	return 0;
}

/**
 * phys_ranges_check - validate what an exporter handed out
 * @ranges: the list
 * @size: size of the dma-buf in bytes
 *
 * Context: any.
 * Return: 0, or -EINVAL if the list is empty, if a range is empty, not page
 * aligned or wraps, if the lengths do not sum up to @size, or if kind and
 * provider do not fit.
 */
int phys_ranges_check(const struct dma_buf_phys_ranges *ranges, size_t size)
{
	bool mmio = ranges->kind == DMA_BUF_PHYS_MMIO;
	size_t sum = 0;
	size_t i;
	int ret;

	if (!ranges->vec || !ranges->nr)
		return -EINVAL;
	if (mmio != !!ranges->provider)
		return -EINVAL;

	for (i = 0; i < ranges->nr; i++) {
		ret = phys_range_check(&ranges->vec[i], &sum);
		if (ret)
			return ret;
	}
	return sum == size ? 0 : -EINVAL;
}
EXPORT_SYMBOL_IF_KUNIT(phys_ranges_check);

/* NULL: the list is short, or there is no memory and each lookup takes longer. */
static size_t *phys_index_make(const struct dma_buf_phys_ranges *ranges)
{
	size_t *index, begin = 0;
	size_t i;

	if (ranges->nr <= PHYS_INDEX_STEP)
		return NULL;
	index = kvmalloc_objs(*index, DIV_ROUND_UP(ranges->nr, PHYS_INDEX_STEP),
			      PHYS_GFP_MAYFAIL);
	if (!index)
		return NULL;

	for (i = 0; i < ranges->nr; i++) {
		if (!(i % PHYS_INDEX_STEP))
			index[i / PHYS_INDEX_STEP] = begin;
		begin += ranges->vec[i].len;
	}
	return index;
}

/* The last entry that is not behind @offset. */
static size_t phys_index_find(const struct dma_buf_phys_ranges *ranges,
			      u64 offset)
{
	size_t low = 0, high = DIV_ROUND_UP(ranges->nr, PHYS_INDEX_STEP);
	size_t middle;

	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (ranges->index[middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/**
 * phys_ranges_peek - borrow the ranges of a buffer that is not revoked
 * @dmabuf: a phys dma-buf
 * @ranges: filled in; give back with phys_ranges_put()
 *
 * They may be looked at, but mapped only while the buffer is live. A list that
 * is fixed for the life of the buffer is validated the first time, and gets its
 * index, charged to who looks; any other is validated each time.
 *
 * Context: &dma_buf.resv held, may sleep.
 * Return: 0, -ENODEV if the buffer is revoked, -EINVAL if the exporter handed
 * out a bad list, or what its get_ranges() returned.
 */
int phys_ranges_peek(struct dma_buf *dmabuf,
		     struct dma_buf_phys_ranges *ranges)
{
	const struct dma_buf_phys_ops *ops =
		container_of(dmabuf->ops, struct dma_buf_phys_ops, ops);
	struct dma_buf_phys *phys = to_phys(dmabuf);
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	if (phys->revoked)
		return -ENODEV;

	ret = ops->get_ranges(dmabuf, ranges);
	if (ret)
		return ret;

	if (!phys->checked || ops->put_ranges) {
		ret = phys_ranges_check(ranges, dmabuf->size);
		if (ret)
			goto err_put;
		if (!ops->put_ranges)
			phys->index = phys_index_make(ranges);
		phys->checked = true;
	}
	ranges->index = phys->index;
	return 0;

err_put:
	pr_err_ratelimited("dma-buf-phys: %s: exporter handed out an invalid range list\n",
			   dmabuf->exp_name);
	phys_ranges_put(dmabuf, ranges);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(phys_ranges_peek);

/**
 * phys_ranges_get - borrow the ranges of a live buffer, to map them
 * @dmabuf: a phys dma-buf
 * @ranges: filled in; give back with phys_ranges_put()
 *
 * Context: &dma_buf.resv held, may sleep.
 * Return: 0, -ENODEV if the buffer is suspended or revoked, or as
 * phys_ranges_peek().
 */
int phys_ranges_get(struct dma_buf *dmabuf, struct dma_buf_phys_ranges *ranges)
{
	if (!phys_is_live(dmabuf))
		return -ENODEV;
	return phys_ranges_peek(dmabuf, ranges);
}

/**
 * phys_ranges_put - give borrowed ranges back
 * @dmabuf: a phys dma-buf
 * @ranges: filled in by phys_ranges_get()
 *
 * Context: &dma_buf.resv held. Any state of the buffer.
 */
void phys_ranges_put(struct dma_buf *dmabuf, struct dma_buf_phys_ranges *ranges)
{
	const struct dma_buf_phys_ops *ops =
		container_of(dmabuf->ops, struct dma_buf_phys_ops, ops);

	dma_resv_assert_held(dmabuf->resv);

	if (ops->put_ranges)
		ops->put_ranges(dmabuf, ranges);
}

/**
 * phys_slice_check - is this a part of the buffer
 * @dmabuf: any dma-buf
 * @offset: first byte
 * @len: number of bytes
 *
 * Context: any.
 * Return: 0, or -EINVAL if the slice is empty or ends behind the buffer.
 */
int phys_slice_check(const struct dma_buf *dmabuf, u64 offset, u64 len)
{
	u64 end;

	if (!len || check_add_overflow(offset, len, &end) || end > dmabuf->size)
		return -EINVAL;
	return 0;
}

/**
 * phys_cursor_start - start walking a slice
 * @cursor: filled in
 * @ranges: validated ranges, must outlive @cursor
 * @offset: first byte of the slice
 * @len: bytes in the slice, which must lie within the ranges
 *
 * Context: any.
 */
void phys_cursor_start(struct dma_buf_phys_cursor *cursor,
		       const struct dma_buf_phys_ranges *ranges, u64 offset,
		       u64 len)
{
	const struct phys_vec *vec = ranges->vec;
	size_t entry;

	/* In the first step there is nothing to skip. */
	if (ranges->index && offset >= ranges->index[1]) {
		entry = phys_index_find(ranges, offset);
		offset -= ranges->index[entry];
		vec += entry * PHYS_INDEX_STEP;
	}
	if (len)
		while (offset >= vec->len)
			offset -= vec++->len;

	*cursor = (struct dma_buf_phys_cursor) {
		.vec = vec,
		.skip = offset,
		.left = len,
	};
}
EXPORT_SYMBOL_IF_KUNIT(phys_cursor_start);

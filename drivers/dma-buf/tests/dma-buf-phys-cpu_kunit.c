// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: the CPU view
 *
 * RAM is real: a block of pages, lent in any order and more than once, next to
 * a copy of what it should hold. Each access is made in the copy as well, byte
 * by byte, and then all of the block is compared. MMIO is made up: it is mapped,
 * but never accessed; see the guest tests for a true BAR.
 *
 * The importer attaches for the CPU view only and has no invalidate().
 */
#include <kunit/resource.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/iosys-map.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#ifdef CONFIG_X86
#include <asm/pgtable_types.h>
#endif

#include "dma-buf-phys-mock.h"

#define VIEW_CPU	DMA_BUF_PHYS_VIEW_CPU
#define MMIO		DMA_BUF_PHYS_MMIO
#define RAM		DMA_BUF_PHYS_RAM
#define MEM_ORDER	4
#define MEM_PAGES	(MEM_SIZE / PAGE_SIZE)
#define MEM_SIZE	(PAGE_SIZE << MEM_ORDER)
#define MAX_RANGES	8

/*
 * Views
 */

static int map_locked(struct dma_buf_phys_attachment *attach,
		      struct dma_buf_phys_cpu_map *map, u64 offset, u64 len)
{
	int ret;

	dma_resv_lock(attach->dmabuf->resv, NULL);
	ret = dma_buf_phys_map_cpu(attach, map, offset, len);
	dma_resv_unlock(attach->dmabuf->resv);
	return ret;
}

static int remap(struct dma_buf_phys_cpu_map *map)
{
	struct dma_resv *resv = map->attach->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = dma_buf_phys_remap_cpu(map);
	dma_resv_unlock(resv);
	return ret;
}

static void unmap(struct dma_buf_phys_cpu_map *map)
{
	struct dma_resv *resv = map->attach->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	dma_buf_phys_unmap_cpu(map);
	dma_resv_unlock(resv);
}

static void unmap_exit(void *data)
{
	unmap(data);
}

/* The view, which the end of the test unmaps, or an ERR_PTR. */
static struct dma_buf_phys_cpu_map *try_map(struct kunit *test,
					    struct mock_importer *imp,
					    u64 offset, u64 len)
{
	struct dma_buf_phys_cpu_map *map = kunit_kzalloc(test, sizeof(*map),
							 GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, map);
	ret = map_locked(imp->attach, map, offset, len);
	if (ret)
		return ERR_PTR(ret);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, unmap_exit, map));
	return map;
}

static struct dma_buf_phys_cpu_map *map_slice(struct kunit *test,
					      struct mock_importer *imp,
					      u64 offset, u64 len)
{
	struct dma_buf_phys_cpu_map *map = try_map(test, imp, offset, len);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	return map;
}

static struct mock_importer *attach_cpu(struct kunit *test,
					struct dma_buf *dmabuf)
{
	struct mock_importer *imp =
		mock_try_attach(test, dmabuf, mock_device(test, "importer"),
				VIEW_CPU, &mock_unstoppable);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, imp);
	return imp;
}

/* A section around one access. */

static int read_view(struct dma_buf_phys_cpu_map *map, u64 offset, void *dst,
		     size_t len)
{
	int ret = dma_buf_phys_cpu_begin(map);

	if (ret)
		return ret;
	ret = dma_buf_phys_cpu_read(map, offset, dst, len);
	dma_buf_phys_cpu_end(map);
	return ret;
}

static int write_view(struct dma_buf_phys_cpu_map *map, u64 offset,
		      const void *src, size_t len)
{
	int ret = dma_buf_phys_cpu_begin(map);

	if (ret)
		return ret;
	ret = dma_buf_phys_cpu_write(map, offset, src, len);
	dma_buf_phys_cpu_end(map);
	return ret;
}

static int read64_view(struct dma_buf_phys_cpu_map *map, u64 offset, u64 *value)
{
	int ret = dma_buf_phys_cpu_begin(map);

	if (ret)
		return ret;
	ret = dma_buf_phys_cpu_read64(map, offset, value);
	dma_buf_phys_cpu_end(map);
	return ret;
}

static int write64_view(struct dma_buf_phys_cpu_map *map, u64 offset, u64 value)
{
	int ret = dma_buf_phys_cpu_begin(map);

	if (ret)
		return ret;
	ret = dma_buf_phys_cpu_write64(map, offset, value);
	dma_buf_phys_cpu_end(map);
	return ret;
}

static int flush_view(struct dma_buf_phys_cpu_map *map, u64 offset, u64 len)
{
	int ret = dma_buf_phys_cpu_begin(map);

	if (ret)
		return ret;
	ret = dma_buf_phys_cpu_flush(map, offset, len);
	dma_buf_phys_cpu_end(map);
	return ret;
}

/*
 * Memory, and the model of it
 */

struct memory {
	struct kunit *test;
	u8 *block;			/* MEM_SIZE bytes */
	u8 *want;			/* what they should be */
	u8 *data;			/* as many, for what is copied */
	struct rnd_state rnd;

	/* What is lent of it. */
	struct phys_vec vec[MAX_RANGES];
	size_t nr;
	struct mock_exporter *exp;
	struct mock_importer *imp;
};

static void free_block_exit(void *data)
{
	free_pages((unsigned long)data, MEM_ORDER);
}

static void *alloc_block(struct kunit *test)
{
	void *block = (void *)__get_free_pages(GFP_KERNEL, MEM_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, block);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   free_block_exit,
							   block));
	return block;
}

static struct memory *memory_alloc(struct kunit *test)
{
	struct memory *mem = kunit_kzalloc(test, sizeof(*mem), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mem);
	mem->test = test;
	mem->block = alloc_block(test);
	mem->want = alloc_block(test);
	mem->data = alloc_block(test);
	prandom_seed_state(&mem->rnd, 3);
	prandom_bytes_state(&mem->rnd, mem->want, MEM_SIZE);
	memcpy(mem->block, mem->want, MEM_SIZE);
	return mem;
}

/* A range of pages of the block, as indices. */
struct part {
	unsigned int page;
	unsigned int nr;
};

static void memory_lend(struct memory *mem, const struct part *parts, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		mem->vec[i].paddr = virt_to_phys(mem->block) +
				    parts[i].page * PAGE_SIZE;
		mem->vec[i].len = parts[i].nr * PAGE_SIZE;
	}
	mem->nr = nr;
}

static void memory_export(struct memory *mem)
{
	const struct mock_buffer buffer = {
		.vec = mem->vec,
		.nr = mem->nr,
		.kind = RAM,
	};

	mem->exp = mock_export(mem->test, &buffer);
	mem->imp = attach_cpu(mem->test, mem->exp->dmabuf);
}

static u32 random_below(struct memory *mem, u32 end)
{
	return prandom_u32_state(&mem->rnd) % end;
}

/* Where byte @offset of the buffer should be seen. */
static u8 *model(struct memory *mem, u64 offset)
{
	return mem->want + (mock_paddr(mem->vec, offset) -
			    virt_to_phys(mem->block));
}

static void model_write(struct memory *mem, u64 offset, const u8 *src,
			size_t len)
{
	while (len--)
		*model(mem, offset++) = *src++;
}

static bool model_equals(struct memory *mem, u64 offset, const u8 *got,
			 size_t len)
{
	while (len--)
		if (*model(mem, offset++) != *got++)
			return false;
	return true;
}

/* Says what the first wrong byte is, and puts all of them right. */
static void expect_memory(struct memory *mem)
{
	size_t at = 0;

	if (!memcmp(mem->block, mem->want, MEM_SIZE))
		return;
	while (mem->block[at] == mem->want[at])
		at++;
	KUNIT_FAIL(mem->test, "byte %zu of the block is %#x, not %#x", at,
		   mem->block[at], mem->want[at]);
	memcpy(mem->block, mem->want, MEM_SIZE);
}

/* Write and read @len bytes at @offset of a view that starts at @start. */
static void expect_copies(struct memory *mem, struct dma_buf_phys_cpu_map *map,
			  u64 start, u64 offset, size_t len)
{
	prandom_bytes_state(&mem->rnd, mem->data, len);
	model_write(mem, start + offset, mem->data, len);
	KUNIT_EXPECT_EQ(mem->test, write_view(map, offset, mem->data, len), 0);
	expect_memory(mem);

	memset(mem->data, 0, len);
	KUNIT_EXPECT_EQ(mem->test, read_view(map, offset, mem->data, len), 0);
	KUNIT_EXPECT_TRUE_MSG(mem->test,
			      model_equals(mem, start + offset, mem->data, len),
			      "read of %zu at %llu of slice %llu", len, offset,
			      start);
	KUNIT_EXPECT_EQ(mem->test, flush_view(map, offset, len), 0);
}

static void expect_eight(struct memory *mem, struct dma_buf_phys_cpu_map *map,
			 u64 start, u64 offset)
{
	u64 value = (u64)random_below(mem, U32_MAX) << 32 | offset, got = 0;
	bool aligned = IS_ALIGNED(start + offset, sizeof(u64));
	int want = aligned ? 0 : -EINVAL;

	if (aligned)
		model_write(mem, start + offset, (const u8 *)&value,
			    sizeof(value));
	KUNIT_EXPECT_EQ(mem->test, write64_view(map, offset, value), want);
	expect_memory(mem);
	KUNIT_EXPECT_EQ(mem->test, read64_view(map, offset, &got), want);
	KUNIT_EXPECT_EQ(mem->test, got, aligned ? value : 0);
}

/*
 * Copying
 */

struct list_param {
	const char *name;
	struct part parts[4];
	size_t nr;
};

static const struct list_param list_params[] = {
	{ "one page", { { 5, 1 } }, 1 },
	{ "one range", { { 1, 7 } }, 1 },
	{ "out of order", { { 9, 2 }, { 3, 1 }, { 12, 3 }, { 0, 1 } }, 4 },
	{ "adjacent", { { 4, 1 }, { 5, 2 }, { 10, 1 }, { 11, 1 } }, 4 },
	{ "aliased", { { 6, 2 }, { 6, 2 }, { 7, 1 }, { 6, 1 } }, 4 },
};

KUNIT_ARRAY_PARAM_DESC(list, list_params, name);

static struct memory *memory_of_list(struct kunit *test)
{
	const struct list_param *p = test->param_value;
	struct memory *mem = memory_alloc(test);

	memory_lend(mem, p->parts, p->nr);
	memory_export(mem);
	return mem;
}

/* The first byte, the last, all of it, and some in the middle. */
static void expect_slice(struct memory *mem, u64 start, u64 len)
{
	struct dma_buf_phys_cpu_map map;

	KUNIT_ASSERT_EQ(mem->test, 0,
			map_locked(mem->imp->attach, &map, start, len));
	expect_copies(mem, &map, start, 0, len);
	expect_copies(mem, &map, start, 0, 1);
	expect_copies(mem, &map, start, len - 1, 1);
	expect_copies(mem, &map, start, len / 3, len / 2);
	unmap(&map);
}

/* Slices whose ends are near the ends of the ranges. */
static void copy_slices(struct kunit *test)
{
	static const int near[] = { -4097, -4096, -1, 0, 1, 7, 4095 };
	struct memory *mem = memory_of_list(test);
	u64 size = mem->exp->dmabuf->size, begin = 0, at;
	size_t i, j;

	expect_slice(mem, 0, size);
	for (i = 0; i < mem->nr; begin += mem->vec[i].len, i++) {
		for (j = 0; j < ARRAY_SIZE(near); j++) {
			at = begin + near[j];
			if (at >= size)
				continue;
			expect_slice(mem, at, 1);
			expect_slice(mem, at, size - at);
			expect_slice(mem, 0, at + 1);
		}
	}
	KUNIT_EXPECT_EQ(test, mem->exp->nr_get, mem->exp->nr_put);
}

/* Across every seam, by every number of bytes up to 8 on either side. */
static void copy_seams(struct kunit *test)
{
	struct memory *mem = memory_of_list(test);
	u64 size = mem->exp->dmabuf->size, seam = 0;
	struct dma_buf_phys_cpu_map *map;
	unsigned int before, after;
	size_t i;

	map = map_slice(test, mem->imp, 0, size);
	for (i = 0; i + 1 < mem->nr; i++) {
		seam += mem->vec[i].len;
		for (before = 0; before <= 8; before++)
			for (after = 0; after <= 8; after++)
				expect_copies(mem, map, 0, seam - before,
					      before + after);
	}
	expect_copies(mem, map, 0, size, 0);
}

/* Only at multiples of 8 in the buffer, wherever the slice starts. */
static void eight_bytes(struct kunit *test)
{
	struct memory *mem = memory_of_list(test);
	u64 size = mem->exp->dmabuf->size, start, at;
	struct dma_buf_phys_cpu_map map;
	u64 got = 0;

	for (start = 0; start < 16; start += 3) {
		KUNIT_ASSERT_EQ(test, 0, map_locked(mem->imp->attach, &map,
						    start, size - start));
		for (at = 0; at < 24; at++)
			expect_eight(mem, &map, start, at);
		for (at = SZ_4K - 24; at < SZ_4K + 24 &&
		     at + 8 <= size - start; at++)
			expect_eight(mem, &map, start, at);
		for (at = size - start - 8; at >= size - start - 16; at--)
			expect_eight(mem, &map, start, at);
		for (at = size - start - 7; at < size - start + 9; at++) {
			KUNIT_EXPECT_EQ(test, write64_view(&map, at, 0),
					-EINVAL);
			KUNIT_EXPECT_EQ(test, read64_view(&map, at, &got),
					-EINVAL);
		}
		unmap(&map);
	}
	expect_memory(mem);
}

static void random_parts(struct memory *mem)
{
	struct part parts[MAX_RANGES];
	size_t nr = 1 + random_below(mem, MAX_RANGES), i;

	for (i = 0; i < nr; i++) {
		parts[i].nr = 1 + random_below(mem, 2);
		parts[i].page = random_below(mem, MEM_PAGES - parts[i].nr);
	}
	memory_lend(mem, parts, nr);
}

/* Random lists, slices of them, and accesses to these. */
static void copy_random(struct kunit *test)
{
	struct memory *mem = memory_alloc(test);
	struct dma_buf_phys_cpu_map map;
	u64 start, len, offset;
	unsigned int i, j;

	for (i = 0; i < 150; i++) {
		random_parts(mem);
		memory_export(mem);
		start = random_below(mem, mem->exp->dmabuf->size);
		len = 1 + random_below(mem, mem->exp->dmabuf->size - start);
		KUNIT_ASSERT_EQ(test, 0,
				map_locked(mem->imp->attach, &map, start, len));
		for (j = 0; j < 10; j++) {
			offset = random_below(mem, len);
			expect_copies(mem, &map, start, offset,
				      random_below(mem, len - offset + 1));
			if (len - offset >= 8)
				expect_eight(mem, &map, start, offset);
		}
		unmap(&map);
	}
}

#define NR_RUNS		65536

static void vfree_exit(void *data)
{
	vfree(data);
}

/* Two pages in turn: every range is a run, and every place has an alias. */
static void many_runs(struct kunit *test)
{
	struct phys_vec *vec = vmalloc_array(NR_RUNS, sizeof(*vec));
	struct memory *mem = memory_alloc(test);
	struct mock_buffer buffer = { .vec = vec, .nr = NR_RUNS, .kind = RAM };
	struct dma_buf_phys_cpu_map *map;
	u64 offset, first;
	u8 data[16];
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, vec);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, vfree_exit, vec));
	for (i = 0; i < NR_RUNS; i++) {
		vec[i].paddr = virt_to_phys(mem->block) + i % 2 * 2 * PAGE_SIZE;
		vec[i].len = PAGE_SIZE;
	}
	mem->exp = mock_export(test, &buffer);
	mem->imp = attach_cpu(test, mem->exp->dmabuf);
	map = map_slice(test, mem->imp, 1, mem->exp->dmabuf->size - 1);
	KUNIT_EXPECT_EQ(test, map->nr_pieces, NR_RUNS);

	/* The model would walk the list: compute instead. */
	for (i = 0; i < 2000; i++) {
		offset = random_below(mem, mem->exp->dmabuf->size - 16);
		first = (offset + 1) % (2 * PAGE_SIZE);
		first += first >= PAGE_SIZE ? PAGE_SIZE : 0;
		prandom_bytes_state(&mem->rnd, data, sizeof(data));
		if (offset_in_page(first) > PAGE_SIZE - sizeof(data))
			continue;
		memcpy(mem->want + first, data, sizeof(data));
		KUNIT_EXPECT_EQ(test, 0, write_view(map, offset, data,
						    sizeof(data)));
	}
	expect_memory(mem);
}

/*
 * Refusals
 */

struct slice_param {
	const char *name;
	u64 offset;
	u64 len;
};

/* Of a buffer, or of a view, of 8 KiB. */
static const struct slice_param slice_params[] = {
	{ "a byte too long", 0, SZ_8K + 1 },
	{ "a byte behind the end", SZ_8K, 1 },
	{ "last byte and one more", SZ_8K - 1, 2 },
	{ "far behind the end", SZ_8G, 1 },
	{ "length 0 behind the end", SZ_8K + 1, 0 },
	{ "overflow to the end", -(u64)SZ_4K, SZ_4K + SZ_8K },
	{ "all ones", ~0ULL, ~0ULL },
};

KUNIT_ARRAY_PARAM_DESC(slice, slice_params, name);

static const struct part two_parts[] = { { 3, 1 }, { 1, 1 } };

static struct memory *memory_of_two(struct kunit *test)
{
	struct memory *mem = memory_alloc(test);

	memory_lend(mem, two_parts, ARRAY_SIZE(two_parts));
	memory_export(mem);
	return mem;
}

static void refuse_slice(struct kunit *test)
{
	const struct slice_param *p = test->param_value;
	struct memory *mem = memory_of_two(test);
	unsigned int nr_get = mem->exp->nr_get;

	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(try_map(test, mem->imp, p->offset,
						      p->len)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0, 0)),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, mem->exp->nr_get, nr_get);
	KUNIT_EXPECT_TRUE(test, list_empty(&mem->imp->attach->cpu_maps));
}

/* The view is as long as the buffer of slice_params, but lies in a larger one. */
static void refuse_access(struct kunit *test)
{
	const struct slice_param *p = test->param_value;
	struct memory *mem = memory_alloc(test);
	struct dma_buf_phys_cpu_map *map;
	u64 got = 1;
	u8 one = 1;

	memory_lend(mem, &(struct part) { 2, 8 }, 1);
	memory_export(mem);
	map = map_slice(test, mem->imp, SZ_4K, SZ_8K);
	memset(mem->data, 0xaa, MEM_SIZE);

	KUNIT_EXPECT_EQ(test, write_view(map, p->offset, mem->data, p->len),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, read_view(map, p->offset, &one, p->len), -EINVAL);
	KUNIT_EXPECT_EQ(test, flush_view(map, p->offset, p->len), -EINVAL);
	KUNIT_EXPECT_EQ(test, write64_view(map, p->offset | SZ_8K, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, read64_view(map, p->offset | SZ_8K, &got),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, one, 1);
	KUNIT_EXPECT_EQ(test, got, 1);
	expect_memory(mem);
}

/* RAM that this machine does not have is not in the linear mapping. */
static void refuse_unknown_ram(struct kunit *test)
{
	static const struct phys_vec vec[] = { { SZ_8G * 64, SZ_4K } };
	const struct mock_buffer buffer = { .vec = vec, .nr = 1, .kind = RAM };
	struct mock_exporter *exp = mock_export(test, &buffer);
	struct mock_importer *imp = attach_cpu(test, exp->dmabuf);

	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(try_map(test, imp, 0, SZ_4K)),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
}

/* An exporter that maps its memory in a way of its own. */
static void refuse_no_cpu(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct dma_buf *dmabuf = mem->exp->dmabuf;
	struct device *dev = mock_device(test, "late");
	struct mock_importer *late;

	mem->exp->ranges.no_cpu = true;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0, SZ_4K)));
	KUNIT_EXPECT_EQ(test, mem->exp->nr_get, mem->exp->nr_put);
	late = mock_try_attach(test, dmabuf, dev, VIEW_CPU, &mock_unstoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(late), -EOPNOTSUPP);

	/* That says nothing of other views. */
	late = mock_try_attach(test, dmabuf, dev, DMA_BUF_PHYS_VIEW_DOMAIN,
			       &mock_unstoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(late), 0);
}

static void misuse(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct mock_importer *imp = mock_attach(test, mem->exp->dmabuf,
						DMA_BUF_PHYS_VIEW_DOMAIN);

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR_OR_ZERO(try_map(test, imp, 0, SZ_4K)));
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
}

/*
 * States
 */

static void expect_live(struct memory *mem, struct dma_buf_phys_cpu_map *map,
			bool live)
{
	u8 byte;

	KUNIT_EXPECT_EQ(mem->test, read_view(map, 0, &byte, 1),
			live ? 0 : -ENODEV);
	KUNIT_EXPECT_EQ(mem->test, mem->exp->nr_get - mem->exp->nr_put, live);
	KUNIT_EXPECT_EQ(mem->test, mem->imp->attach->holder.nr_maps, live);
}

/* Restoring does not bring it back, the importer does. */
static void suspend_and_remap(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct dma_buf *dmabuf = mem->exp->dmabuf;
	struct dma_buf_phys_cpu_map *map;
	unsigned int i;

	map = map_slice(test, mem->imp, SZ_4K - 3, 6);
	for (i = 0; i < 3; i++) {
		expect_live(mem, map, true);
		KUNIT_EXPECT_EQ(test, remap(map), 0);
		expect_live(mem, map, true);
		expect_copies(mem, map, SZ_4K - 3, 0, 6);

		dma_buf_phys_suspend(dmabuf, DMA_BUF_PHYS_RESET);
		expect_live(mem, map, false);
		KUNIT_EXPECT_EQ(test, remap(map), -ENODEV);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0,
							      1)), -ENODEV);
		dma_buf_phys_restore(dmabuf, DMA_BUF_PHYS_RESET);
		expect_live(mem, map, false);
		KUNIT_EXPECT_EQ(test, remap(map), 0);
	}
	expect_live(mem, map, true);
}

/* The memory may be elsewhere afterwards, in other pieces. */
static void remap_elsewhere(struct kunit *test)
{
	static const struct part moved[] = { { 12, 1 }, { 13, 1 } };
	struct memory *mem = memory_of_two(test);
	struct dma_buf_phys_cpu_map *map;

	map = map_slice(test, mem->imp, 0, SZ_8K);
	expect_copies(mem, map, 0, 0, SZ_8K);
	KUNIT_EXPECT_EQ(test, map->nr_pieces, 2);

	dma_buf_phys_suspend(mem->exp->dmabuf, DMA_BUF_PHYS_OWNER);
	memory_lend(mem, moved, ARRAY_SIZE(moved));
	dma_buf_phys_restore(mem->exp->dmabuf, DMA_BUF_PHYS_OWNER);
	KUNIT_ASSERT_EQ(test, remap(map), 0);
	KUNIT_EXPECT_EQ(test, map->nr_pieces, 1);
	expect_copies(mem, map, 0, 0, SZ_8K);
}

static void revoke_is_final(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct dma_buf_phys_cpu_map *map;

	map = map_slice(test, mem->imp, 0, SZ_8K);
	mock_revoke(mem->exp);
	expect_live(mem, map, false);
	KUNIT_EXPECT_EQ(test, remap(map), -ENODEV);
	KUNIT_EXPECT_EQ(test, -ENODEV,
			PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0, SZ_4K)));
	expect_live(mem, map, false);
}

/* All views of all importers end, and each comes back by itself. */
static void several_views(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct mock_importer *other = attach_cpu(test, mem->exp->dmabuf);
	struct dma_buf_phys_cpu_map *map[3];
	unsigned int i;
	u8 byte;

	map[0] = map_slice(test, mem->imp, 0, SZ_8K);
	map[1] = map_slice(test, mem->imp, SZ_4K - 1, 2);
	map[2] = map_slice(test, other, SZ_4K, 1);
	KUNIT_EXPECT_EQ(test, mem->exp->phys.nr_maps, 3);
	dma_buf_phys_suspend(mem->exp->dmabuf, DMA_BUF_PHYS_POWER);
	KUNIT_EXPECT_EQ(test, mem->exp->phys.nr_maps, 0);
	dma_buf_phys_restore(mem->exp->dmabuf, DMA_BUF_PHYS_POWER);

	KUNIT_EXPECT_EQ(test, remap(map[1]), 0);
	for (i = 0; i < ARRAY_SIZE(map); i++)
		KUNIT_EXPECT_EQ(test, read_view(map[i], 0, &byte, 1),
				i == 1 ? 0 : -ENODEV);
	KUNIT_EXPECT_EQ(test, mem->exp->phys.nr_maps, 1);
}

static void do_nothing(struct memory *mem, struct dma_buf_phys_cpu_map *map)
{
}

static void do_suspend(struct memory *mem, struct dma_buf_phys_cpu_map *map)
{
	dma_buf_phys_suspend(mem->exp->dmabuf, DMA_BUF_PHYS_RESET);
}

static void do_restore(struct memory *mem, struct dma_buf_phys_cpu_map *map)
{
	do_suspend(mem, map);
	dma_buf_phys_restore(mem->exp->dmabuf, DMA_BUF_PHYS_RESET);
}

static void do_remap(struct memory *mem, struct dma_buf_phys_cpu_map *map)
{
	do_restore(mem, map);
	KUNIT_EXPECT_EQ(mem->test, remap(map), 0);
}

static void do_fail_remap(struct memory *mem, struct dma_buf_phys_cpu_map *map)
{
	do_restore(mem, map);
	mem->exp->get_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(mem->test, remap(map), -EREMOTEIO);
	mem->exp->get_error = 0;
}

static void do_revoke(struct memory *mem, struct dma_buf_phys_cpu_map *map)
{
	mock_revoke(mem->exp);
}

struct state_param {
	const char *name;
	void (*enter)(struct memory *mem, struct dma_buf_phys_cpu_map *map);
};

static const struct state_param state_params[] = {
	{ "live", do_nothing },
	{ "suspended", do_suspend },
	{ "restored", do_restore },
	{ "remapped", do_remap },
	{ "remap failed", do_fail_remap },
	{ "revoked", do_revoke },
};

KUNIT_ARRAY_PARAM_DESC(state, state_params, name);

/* A pin, too, is taken and given back in any state. */
static void unmap_in_every_state(struct kunit *test)
{
	const struct state_param *p = test->param_value;
	struct memory *mem = memory_of_two(test);
	struct dma_resv *resv = mem->exp->dmabuf->resv;
	struct dma_buf_phys_cpu_map map;

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(mem->imp->attach), 0);
	dma_resv_unlock(resv);
	KUNIT_ASSERT_EQ(test, map_locked(mem->imp->attach, &map, 1, SZ_4K), 0);
	p->enter(mem, &map);
	unmap(&map);

	KUNIT_EXPECT_EQ(test, mem->exp->phys.nr_maps, 0);
	KUNIT_EXPECT_EQ(test, mem->exp->nr_get, mem->exp->nr_put);
	KUNIT_EXPECT_TRUE(test, list_empty(&mem->imp->attach->cpu_maps));
	dma_resv_lock(resv, NULL);
	dma_buf_phys_unpin(mem->imp->attach);
	dma_resv_unlock(resv);
	expect_memory(mem);
}

/*
 * Waiting
 */

/* A thread in a section until it is told to leave. */
struct sitter {
	struct dma_buf_phys_cpu_map *map;
	struct completion inside;
	struct completion leave;
	struct task_struct *task;
	int ret;
};

static int sit(void *data)
{
	struct sitter *s = data;
	u8 byte = 0x5a;

	s->ret = dma_buf_phys_cpu_begin(s->map);
	complete(&s->inside);
	if (s->ret)
		return 0;
	wait_for_completion(&s->leave);
	s->ret = dma_buf_phys_cpu_write(s->map, 0, &byte, 1);
	dma_buf_phys_cpu_end(s->map);
	return 0;
}

static void sitter_exit(void *data)
{
	struct sitter *s = data;

	complete_all(&s->leave);
	kthread_stop_put(s->task);
}

static struct sitter *sit_down(struct kunit *test,
			       struct dma_buf_phys_cpu_map *map)
{
	struct sitter *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->map = map;
	init_completion(&s->inside);
	init_completion(&s->leave);
	s->task = kthread_run(sit, s, "mock-sitter");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, s->task);
	get_task_struct(s->task);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, sitter_exit, s));
	wait_for_completion(&s->inside);
	KUNIT_ASSERT_EQ(test, s->ret, 0);
	return s;
}

/* A thread that does what has to wait. */
struct waiter {
	struct memory *mem;
	struct dma_buf_phys_cpu_map *map;
	void (*what)(struct memory *mem, struct dma_buf_phys_cpu_map *map);
	struct completion done;
	struct task_struct *task;
};

static int wait_and_tell(void *data)
{
	struct waiter *w = data;

	w->what(w->mem, w->map);
	complete_all(&w->done);
	return 0;
}

static void waiter_exit(void *data)
{
	struct waiter *w = data;

	wait_for_completion(&w->done);
	kthread_stop_put(w->task);
}

static struct waiter *start_waiter(struct memory *mem,
				   struct dma_buf_phys_cpu_map *map,
				   void (*what)(struct memory *mem,
						struct dma_buf_phys_cpu_map *map))
{
	struct waiter *w = kunit_kzalloc(mem->test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(mem->test, w);
	w->mem = mem;
	w->map = map;
	w->what = what;
	init_completion(&w->done);
	w->task = kthread_run(wait_and_tell, w, "mock-waiter");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(mem->test, w->task);
	get_task_struct(w->task);
	KUNIT_ASSERT_EQ(mem->test, 0,
			kunit_add_action_or_reset(mem->test, waiter_exit, w));
	return w;
}

static void do_unmap(struct memory *mem, struct dma_buf_phys_cpu_map *map)
{
	unmap(map);
}

static const struct state_param wait_params[] = {
	{ "suspend", do_suspend },
	{ "revoke", do_revoke },
	{ "unmap", do_unmap },
};

KUNIT_ARRAY_PARAM_DESC(wait, wait_params, name);

/* What the section writes, however late, is there before the wait ends. */
static void wait_for_section(struct kunit *test)
{
	const struct state_param *p = test->param_value;
	struct memory *mem = memory_of_two(test);
	struct dma_buf_phys_cpu_map *map;
	struct sitter *sitter;
	struct waiter *waiter;

	map = kunit_kzalloc(test, sizeof(*map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_ASSERT_EQ(test, map_locked(mem->imp->attach, map, 0, SZ_8K), 0);
	sitter = sit_down(test, map);
	waiter = start_waiter(mem, map, p->enter);

	KUNIT_EXPECT_FALSE(test,
			   wait_for_completion_timeout(&waiter->done, HZ / 3));
	expect_memory(mem);
	complete_all(&sitter->leave);
	KUNIT_EXPECT_TRUE(test,
			  wait_for_completion_timeout(&waiter->done, 10 * HZ));
	*model(mem, 0) = 0x5a;
	expect_memory(mem);
	KUNIT_EXPECT_EQ(test, mem->exp->phys.nr_maps, 0);
	if (p->enter != do_unmap)
		unmap(map);
}

/* Sections of another buffer, and views without one, hold up nobody. */
static void wait_for_nothing_else(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct memory *other = memory_of_two(test);
	struct dma_buf_phys_cpu_map *map;
	struct waiter *waiter;

	sit_down(test, map_slice(test, other->imp, 0, SZ_8K));
	map = map_slice(test, mem->imp, 0, SZ_8K);
	KUNIT_EXPECT_EQ(test, flush_view(map, 0, SZ_8K), 0);
	waiter = start_waiter(mem, map, do_suspend);
	KUNIT_EXPECT_TRUE(test,
			  wait_for_completion_timeout(&waiter->done, 10 * HZ));
	expect_live(mem, map, false);
}

/* A second section of the same view, by another task, need not wait. */
static void sections_share(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct dma_buf_phys_cpu_map *map = map_slice(test, mem->imp, 0, SZ_8K);

	sit_down(test, map);
	sit_down(test, map);
	expect_copies(mem, map, 0, 1, SZ_8K - 1);
}

static int writer(void *data)
{
	struct dma_buf_phys_cpu_map *map = data;
	u8 bytes[64];
	u8 count = 0;

	while (!kthread_should_stop()) {
		memset(bytes, ++count, sizeof(bytes));
		write_view(map, SZ_4K - 32, bytes, sizeof(bytes));
		remap(map);
		cond_resched();
	}
	return 0;
}

/* Whatever importers do, no byte changes once suspend has returned. */
static void race_write_against_suspend(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct dma_buf *dmabuf = mem->exp->dmabuf;
	struct dma_buf_phys_cpu_map *map = map_slice(test, mem->imp, 0, SZ_8K);
	unsigned int i, written = 0;
	struct task_struct *task;

	task = kthread_run(writer, map, "mock-writer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < 100; i++) {
		usleep_range(10, 500);
		dma_buf_phys_suspend(dmabuf, DMA_BUF_PHYS_RESET);
		written += !!memcmp(mem->block, mem->want, MEM_SIZE);
		memcpy(mem->block, mem->want, MEM_SIZE);
		usleep_range(10, 500);
		expect_memory(mem);
		dma_buf_phys_restore(dmabuf, DMA_BUF_PHYS_RESET);
	}
	kthread_stop(task);
	KUNIT_EXPECT_GT(test, written, 0);
}

/* A signal ends the wait of map; a fatal one also the work, but not of remap. */
static void map_is_killable(struct kunit *test)
{
	struct memory *mem = memory_of_two(test);
	struct dma_buf_phys_cpu_map *map;
	struct dma_fence *fence;

	map = map_slice(test, mem->imp, 0, SZ_4K);
	dma_buf_phys_suspend(mem->exp->dmabuf, DMA_BUF_PHYS_RESET);
	dma_buf_phys_restore(mem->exp->dmabuf, DMA_BUF_PHYS_RESET);
	fence = mock_fence(test, mem->exp->dmabuf, DMA_RESV_USAGE_KERNEL);

	allow_signal(SIGKILL);
	send_sig(SIGKILL, current, 1);
	KUNIT_EXPECT_EQ(test, -ERESTARTSYS,
			PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0, SZ_8K)));
	KUNIT_EXPECT_EQ(test, remap(map), -ERESTARTSYS);
	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, -EINTR,
			PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0, SZ_8K)));
	KUNIT_EXPECT_EQ(test, mem->exp->nr_get, mem->exp->nr_put);
	KUNIT_EXPECT_EQ(test, remap(map), 0);
	flush_signals(current);
	disallow_signal(SIGKILL);
	expect_live(mem, map, true);
}

/*
 * MMIO: mapped only
 */

#define MMIO_AT		(SZ_8G * 32)

static const struct phys_vec mmio_vec[] = {
	{ MMIO_AT + SZ_64K, SZ_8K }, { MMIO_AT, SZ_4K },
	{ MMIO_AT + SZ_2M, SZ_4M }, { MMIO_AT, SZ_4K },
};

#define MMIO_SIZE	(SZ_4M + SZ_16K)

static struct mock_importer *attach_mmio(struct kunit *test,
					 struct mock_exporter **exp)
{
	const struct mock_buffer buffer = {
		.vec = mmio_vec,
		.nr = ARRAY_SIZE(mmio_vec),
		.kind = MMIO,
	};

	*exp = mock_export(test, &buffer);
	return attach_cpu(test, (*exp)->dmabuf);
}

struct cache_param {
	const char *name;
	bool write_combine;
};

static const struct cache_param cache_params[] = {
	{ "uncached", false },
	{ "write-combining", true },
};

KUNIT_ARRAY_PARAM_DESC(cache, cache_params, name);

#ifdef CONFIG_X86
static void expect_cache_mode(struct kunit *test, const void *address,
			      enum page_cache_mode mode)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)address, &level);

	KUNIT_ASSERT_NOT_NULL(test, pte);
	KUNIT_EXPECT_EQ(test, level, (unsigned int)PG_LEVEL_4K);
	KUNIT_EXPECT_EQ(test, pte_flags(*pte) & _PAGE_CACHE_MASK,
			cachemode2protval(mode));
}
#endif

/* By what the page tables say, for the pages of the first range. */
static void cache_mode(struct kunit *test)
{
#ifdef CONFIG_X86
	const struct cache_param *p = test->param_value;
	enum page_cache_mode mode = p->write_combine ?
					    _PAGE_CACHE_MODE_WC :
					    _PAGE_CACHE_MODE_UC_MINUS;
	struct dma_buf_phys_cpu_map *map;
	struct mock_exporter *exp;
	struct mock_importer *imp = attach_mmio(test, &exp);
	unsigned int i;

	exp->ranges.write_combine = p->write_combine;
	map = map_slice(test, imp, 5, SZ_16K - 7);
	KUNIT_ASSERT_EQ(test, map->nr_pieces, 3);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, map->pieces[i].map.is_iomem);
		expect_cache_mode(test, map->pieces[i].map.vaddr, mode);
	}
	KUNIT_EXPECT_EQ(test, offset_in_page(map->pieces[0].map.vaddr), 5);
#else
	kunit_skip(test, "no way to look it up");
#endif
}

/* Pages and a guard page for each piece, and all of it given back. */
static void space_is_counted(struct kunit *test)
{
	struct dma_buf_phys_cpu_map map;
	struct mock_exporter *exp;
	struct mock_importer *imp = attach_mmio(test, &exp);
	u64 before = phys_cpu_space;

	KUNIT_ASSERT_EQ(test, map_locked(imp->attach, &map, 0, MMIO_SIZE), 0);
	KUNIT_EXPECT_EQ(test, phys_cpu_space - before,
			MMIO_SIZE + 4 * PAGE_SIZE);
	unmap(&map);
	KUNIT_ASSERT_EQ(test, map_locked(imp->attach, &map, SZ_8K - 1, 2), 0);
	KUNIT_EXPECT_EQ(test, phys_cpu_space - before, 4 * PAGE_SIZE);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, phys_cpu_space, before);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, remap(&map), 0);
	KUNIT_EXPECT_EQ(test, phys_cpu_space - before, 4 * PAGE_SIZE);
	unmap(&map);
	KUNIT_EXPECT_EQ(test, phys_cpu_space, before);
}

static void give_space_back(void *data)
{
	phys_cpu_space -= *(u64 *)data;
}

/* As if others had taken all but @left. */
static void take_space(struct kunit *test, u64 left)
{
	u64 *taken = kunit_kzalloc(test, sizeof(*taken), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, taken);
	*taken = PHYS_CPU_MAX - phys_cpu_space - left;
	phys_cpu_space += *taken;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   give_space_back,
							   taken));
}

static void space_is_capped(struct kunit *test)
{
	struct dma_buf_phys_cpu_map *map;
	struct mock_exporter *exp;
	struct mock_importer *imp = attach_mmio(test, &exp);

	take_space(test, 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(try_map(test, imp, 0, SZ_8K + 1)));
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
	map = map_slice(test, imp, SZ_8K - 1, 2);
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(try_map(test, imp, 0, 1)));
	KUNIT_EXPECT_EQ(test, remap(map), 0);
}

/* More than all views may take, without a walk to its very end. */
static void too_large(struct kunit *test)
{
	const struct phys_vec vec[] = {
		{ MMIO_AT, SZ_1T }, { MMIO_AT, PHYS_CPU_MAX & PAGE_MASK },
		{ MMIO_AT, 1ULL << 61 }, { MMIO_AT, 1ULL << 61 },
	};
	const struct mock_buffer buffer = {
		.vec = vec,
		.nr = ARRAY_SIZE(vec),
		.kind = MMIO,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);
	struct mock_importer *imp = attach_cpu(test, exp->dmabuf);
	u64 before = phys_cpu_space;

	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(try_map(test, imp, 0,
						exp->dmabuf->size)));
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(try_map(test, imp, SZ_1T,
						PHYS_CPU_MAX & PAGE_MASK)));
	KUNIT_EXPECT_EQ(test, phys_cpu_space, before);
}

/*
 * Failures
 */

static void fail_ranges(struct kunit *test)
{
	static const struct phys_vec bad[] = { { SZ_8G, SZ_4K + 1 } };
	struct memory *mem = memory_of_two(test);

	mem->exp->get_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, -EREMOTEIO,
			PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0, 1)));
	mem->exp->get_error = 0;
	mock_lend(mem->exp, bad, ARRAY_SIZE(bad), RAM);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR_OR_ZERO(try_map(test, mem->imp, 0, 1)));
	KUNIT_EXPECT_EQ(test, mem->exp->nr_get, mem->exp->nr_put);
	KUNIT_EXPECT_EQ(test, mem->exp->phys.nr_maps, 0);
}

#ifdef CONFIG_FAULT_INJECTION
/* Let the @nth thing that can fail, fail; true if there are so many. */
static bool fail_nth(unsigned int nth, int *ret,
		     int (*what)(struct dma_buf_phys_cpu_map *map),
		     struct dma_buf_phys_cpu_map *map)
{
	bool failed;

	current->fail_nth = nth;
	*ret = what(map);
	failed = !current->fail_nth;
	current->fail_nth = 0;
	return failed;
}

static int map_mmio(struct dma_buf_phys_cpu_map *map)
{
	return map_locked(map->attach, map, 1, MMIO_SIZE - 2);
}
#endif

/* Every allocation in turn, of the first piece and of later ones. */
static void fail_every_allocation(struct kunit *test)
{
#ifdef CONFIG_FAULT_INJECTION
	struct dma_buf_phys_cpu_map map;
	struct mock_exporter *exp;
	struct mock_importer *imp = attach_mmio(test, &exp);
	u64 before = phys_cpu_space;
	unsigned int nth, failed = 0;
	int ret;

	for (nth = 1; ; nth++) {
		map.attach = imp->attach;
		if (!fail_nth(nth, &ret, map_mmio, &map))
			break;
		if (!ret) {
			unmap(&map);
			continue;
		}
		failed++;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
		KUNIT_EXPECT_EQ(test, exp->phys.nr_maps, 0);
		KUNIT_EXPECT_EQ(test, phys_cpu_space, before);
		KUNIT_EXPECT_TRUE(test, list_empty(&imp->attach->cpu_maps));
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	unmap(&map);

	/* At least the array, and an area for each piece. */
	if (!failed)
		kunit_skip(test, "failslab ignores allocations that may wait");
	KUNIT_EXPECT_GE(test, failed, 1 + ARRAY_SIZE(mmio_vec));
#else
	kunit_skip(test, "no fault injection");
#endif
}

static void fail_every_remap(struct kunit *test)
{
#ifdef CONFIG_FAULT_INJECTION
	struct dma_buf_phys_cpu_map *map;
	struct mock_exporter *exp;
	struct mock_importer *imp = attach_mmio(test, &exp);
	u64 before = phys_cpu_space;
	unsigned int nth, failed = 0;
	int ret;

	map = map_slice(test, imp, 1, MMIO_SIZE - 2);
	for (nth = 1; ; nth++) {
		dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
		dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
		if (!fail_nth(nth, &ret, remap, map))
			break;
		if (!ret)
			continue;
		failed++;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_FALSE(test, map->live);
		KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
		KUNIT_EXPECT_EQ(test, phys_cpu_space, before);
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_TRUE(test, map->live);
	if (!failed)
		kunit_skip(test, "failslab ignores allocations that may wait");
	KUNIT_EXPECT_GE(test, failed, 1 + ARRAY_SIZE(mmio_vec));
#else
	kunit_skip(test, "no fault injection");
#endif
}

/*
 * Exporters outside the class
 */

struct old_exporter {
	struct kunit *test;
	struct dma_buf_ops ops;
	struct dma_buf *dmabuf;
	struct memory *mem;
	bool iomem;
	int vmap_error;
	int access_error;
	unsigned int nr_vmaps;		/* now */
	unsigned int nr_accesses;	/* begun and not ended */
	unsigned int sum_accesses;
	struct completion released;
};

static struct sg_table *old_map(struct dma_buf_attachment *attach,
				enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void old_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
}

static int old_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct old_exporter *exp = dmabuf->priv;

	dma_resv_assert_held(dmabuf->resv);
	if (exp->vmap_error)
		return exp->vmap_error;
	if (exp->iomem)
		iosys_map_set_vaddr_iomem(map,
					  (void __iomem __force *)exp->mem->block);
	else
		iosys_map_set_vaddr(map, exp->mem->block);
	exp->nr_vmaps++;
	return 0;
}

static void old_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct old_exporter *exp = dmabuf->priv;

	dma_resv_assert_held(dmabuf->resv);
	KUNIT_EXPECT_PTR_EQ(exp->test, map->vaddr, (void *)exp->mem->block);
	exp->nr_vmaps--;
}

static int old_begin_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct old_exporter *exp = dmabuf->priv;

	if (exp->access_error)
		return exp->access_error;
	exp->nr_accesses++;
	exp->sum_accesses++;
	return 0;
}

static int old_end_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct old_exporter *exp = dmabuf->priv;

	exp->nr_accesses--;
	return 0;
}

static void old_release(struct dma_buf *dmabuf)
{
	struct old_exporter *exp = dmabuf->priv;

	complete(&exp->released);
}

static const struct dma_buf_ops old_ops = {
	.map_dma_buf = old_map,
	.unmap_dma_buf = old_unmap,
	.vmap = old_vmap,
	.vunmap = old_vunmap,
	.release = old_release,
};

static void old_export_exit(void *data)
{
	struct old_exporter *exp = data;

	dma_buf_put(exp->dmabuf);
	flush_delayed_fput();
	wait_for_completion(&exp->released);
	KUNIT_EXPECT_EQ(exp->test, exp->nr_vmaps, 0);
	KUNIT_EXPECT_EQ(exp->test, exp->nr_accesses, 0);
}

/* All of a block of memory, as one range. */
static struct old_exporter *old_export(struct kunit *test,
				       void (*adapt)(struct old_exporter *exp))
{
	struct old_exporter *exp = kunit_kzalloc(test, sizeof(*exp),
						 GFP_KERNEL);
	struct dma_buf_export_info info = {
		.exp_name = "old",
		.owner = THIS_MODULE,
		.size = MEM_SIZE,
		.flags = O_RDWR | O_CLOEXEC,
		.priv = exp,
	};

	KUNIT_ASSERT_NOT_NULL(test, exp);
	exp->test = test;
	exp->ops = old_ops;
	exp->mem = memory_alloc(test);
	memory_lend(exp->mem, &(struct part) { 0, MEM_PAGES }, 1);
	if (adapt)
		adapt(exp);
	info.ops = &exp->ops;
	init_completion(&exp->released);
	exp->dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, exp->dmabuf);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   old_export_exit,
							   exp));
	return exp;
}

static void adapt_nothing(struct old_exporter *exp)
{
}

static void adapt_iomem(struct old_exporter *exp)
{
	exp->iomem = true;
}

static void adapt_access(struct old_exporter *exp)
{
	exp->ops.begin_cpu_access = old_begin_access;
	exp->ops.end_cpu_access = old_end_access;
}

static void adapt_no_vmap(struct old_exporter *exp)
{
	exp->ops.vmap = NULL;
	exp->ops.vunmap = NULL;
}

struct old_param {
	const char *name;
	void (*adapt)(struct old_exporter *exp);
};

static const struct old_param old_params[] = {
	{ "memory", adapt_nothing },
	{ "MMIO", adapt_iomem },
	{ "memory with accesses", adapt_access },
};

KUNIT_ARRAY_PARAM_DESC(old, old_params, name);

static void old_exporter(struct kunit *test)
{
	static const u64 starts[] = { 0, 1, 4095, 4096, MEM_SIZE - 1 };
	const struct old_param *p = test->param_value;
	struct old_exporter *exp = old_export(test, p->adapt);
	struct mock_importer *imp = attach_cpu(test, exp->dmabuf);
	struct dma_buf_phys_cpu_map *map;
	unsigned int i;
	u64 len;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		len = min(MEM_SIZE - starts[i], SZ_16K);
		map = map_slice(test, imp, starts[i], len);
		expect_copies(exp->mem, map, starts[i], 0, len);
		expect_copies(exp->mem, map, starts[i], len - 1, 1);
		if (len >= 16)
			expect_eight(exp->mem, map, starts[i],
				     ALIGN(starts[i], 8) - starts[i]);
		KUNIT_EXPECT_EQ(test, write_view(map, len, "x", 1), -EINVAL);
	}
	expect_memory(exp->mem);
	KUNIT_EXPECT_EQ(test, exp->nr_vmaps, 1);
	KUNIT_EXPECT_EQ(test, exp->nr_accesses, 0);
	KUNIT_EXPECT_EQ(test, !!exp->sum_accesses, p->adapt == adapt_access);
}

static void invalidate(struct dma_buf *dmabuf)
{
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(dmabuf);
	dma_resv_unlock(dmabuf->resv);
}

/* It moves the memory: the view ends and can be had again. */
static void old_exporter_moves(struct kunit *test)
{
	struct old_exporter *exp = old_export(test, adapt_access);
	struct mock_importer *imp = attach_cpu(test, exp->dmabuf);
	struct dma_buf_phys_cpu_map *map = map_slice(test, imp, 1, SZ_4K);

	invalidate(exp->dmabuf);
	KUNIT_EXPECT_EQ(test, exp->nr_vmaps, 0);
	KUNIT_EXPECT_EQ(test, write_view(map, 0, "x", 1), -ENODEV);
	KUNIT_EXPECT_EQ(test, exp->nr_accesses, 0);
	invalidate(exp->dmabuf);

	KUNIT_EXPECT_EQ(test, remap(map), 0);
	expect_copies(exp->mem, map, 1, 0, SZ_4K);
	exp->access_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, write_view(map, 0, "x", 1), -EREMOTEIO);
	expect_memory(exp->mem);
}

/* -ENODEV of begin_cpu_access() does not ask for a remap, which would not help. */
static void old_exporter_is_gone(struct kunit *test)
{
	struct old_exporter *exp = old_export(test, adapt_access);
	struct mock_importer *imp = attach_cpu(test, exp->dmabuf);
	struct dma_buf_phys_cpu_map *map = map_slice(test, imp, 0, SZ_4K);

	exp->access_error = -ENODEV;
	KUNIT_EXPECT_EQ(test, write_view(map, 0, "x", 1), -EIO);
	exp->access_error = 0;

	/* About memory that is gone the exporter is not asked. */
	invalidate(exp->dmabuf);
	KUNIT_EXPECT_EQ(test, write_view(map, 0, "x", 1), -ENODEV);
	KUNIT_EXPECT_EQ(test, exp->sum_accesses, 0);
	expect_memory(exp->mem);
}

/* Whoever has the fd can add fences, and must not hold up a section by them. */
static void sections_wait_for_no_fence(struct kunit *test)
{
	struct old_exporter *exp = old_export(test, adapt_access);
	struct mock_importer *imp = attach_cpu(test, exp->dmabuf);
	struct dma_buf_phys_cpu_map *map = map_slice(test, imp, 0, SZ_4K);
	struct dma_fence *fence;

	fence = mock_fence_in(test, exp->dmabuf, DMA_RESV_USAGE_WRITE, 2000);
	expect_copies(exp->mem, map, 0, 1, 2);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(fence));
	KUNIT_EXPECT_EQ(test, exp->nr_accesses, 0);
}

static void old_exporter_fails(struct kunit *test)
{
	struct old_exporter *exp = old_export(test, NULL);
	struct mock_importer *imp = attach_cpu(test, exp->dmabuf);

	exp->vmap_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, -EREMOTEIO,
			PTR_ERR_OR_ZERO(try_map(test, imp, 0, 1)));
	KUNIT_EXPECT_TRUE(test, list_empty(&imp->attach->cpu_maps));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR_OR_ZERO(try_map(test, imp, 0, MEM_SIZE + 1)));
	exp->vmap_error = 0;
	map_slice(test, imp, 0, 1);
}

/* Where nobody can tell the importer that its DMA view moves, as for that. */
static void pin_before_map(struct kunit *test)
{
	struct memory *mem = memory_alloc(test);
	struct mock_buffer buffer = { .kind = RAM, .fixed = true };
	struct mock_importer *imp;
	struct dma_resv *resv;

	memory_lend(mem, two_parts, ARRAY_SIZE(two_parts));
	buffer.vec = mem->vec;
	buffer.nr = mem->nr;
	mem->exp = mock_export(test, &buffer);
	resv = mem->exp->dmabuf->resv;
	imp = mock_try_attach(test, mem->exp->dmabuf,
			      mock_device(test, "importer"),
			      VIEW_CPU | DMA_BUF_PHYS_VIEW_DMA,
			      &mock_unstoppable);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, imp);
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR_OR_ZERO(try_map(test, imp, 0, SZ_4K)));
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_TRUE(test, list_empty(&imp->attach->cpu_maps));

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(imp->attach), 0);
	dma_resv_unlock(resv);
	map_slice(test, imp, 0, SZ_4K);
	dma_resv_lock(resv, NULL);
	dma_buf_phys_unpin(imp->attach);
	dma_resv_unlock(resv);
}

static void old_exporter_without_vmap(struct kunit *test)
{
	struct old_exporter *exp = old_export(test, adapt_no_vmap);
	struct device *dev = mock_device(test, "importer");
	struct mock_importer *imp;

	imp = mock_try_attach(test, exp->dmabuf, dev, VIEW_CPU,
			      &mock_stoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), -EOPNOTSUPP);
	imp = mock_try_attach(test, exp->dmabuf, dev,
			      VIEW_CPU | DMA_BUF_PHYS_VIEW_DMA,
			      &mock_stoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), -EOPNOTSUPP);
}

static struct kunit_case cpu_cases[] = {
	KUNIT_CASE_PARAM_ATTR(copy_slices, list_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(copy_seams, list_gen_params),
	KUNIT_CASE_PARAM(eight_bytes, list_gen_params),
	KUNIT_CASE_SLOW(copy_random),
	KUNIT_CASE(many_runs),
	KUNIT_CASE_PARAM(refuse_slice, slice_gen_params),
	KUNIT_CASE_PARAM(refuse_access, slice_gen_params),
	KUNIT_CASE(refuse_unknown_ram),
	KUNIT_CASE(refuse_no_cpu),
	KUNIT_CASE(misuse),
	KUNIT_CASE(suspend_and_remap),
	KUNIT_CASE(remap_elsewhere),
	KUNIT_CASE(revoke_is_final),
	KUNIT_CASE(several_views),
	KUNIT_CASE_PARAM(unmap_in_every_state, state_gen_params),
	KUNIT_CASE_PARAM(wait_for_section, wait_gen_params),
	KUNIT_CASE(wait_for_nothing_else),
	KUNIT_CASE(sections_share),
	KUNIT_CASE_SLOW(race_write_against_suspend),
	KUNIT_CASE(map_is_killable),
	KUNIT_CASE(pin_before_map),
	KUNIT_CASE_PARAM(cache_mode, cache_gen_params),
	KUNIT_CASE(space_is_counted),
	KUNIT_CASE(space_is_capped),
	KUNIT_CASE(too_large),
	KUNIT_CASE(fail_ranges),
	KUNIT_CASE(fail_every_allocation),
	KUNIT_CASE(fail_every_remap),
	KUNIT_CASE_PARAM(old_exporter, old_gen_params),
	KUNIT_CASE(old_exporter_moves),
	KUNIT_CASE(old_exporter_is_gone),
	KUNIT_CASE(sections_wait_for_no_fence),
	KUNIT_CASE(old_exporter_fails),
	KUNIT_CASE(old_exporter_without_vmap),
	{}
};

static struct kunit_suite cpu_suite = {
	.name = "dma-buf-phys-cpu",
	.test_cases = cpu_cases,
};

kunit_test_suite(cpu_suite);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("KUnit tests of the CPU view of dma-buf-phys");
MODULE_LICENSE("GPL");

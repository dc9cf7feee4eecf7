// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: memory regions of RDMA devices in dma-bufs
 *
 * The RDMA core is called as drivers call it, in the three ways they do: pinned
 * and revocable (irdma), pinned for good (efa), mapped on demand (mlx5). The
 * exporter is one of the class over made-up system memory, or one outside the
 * class whose scatterlist is made up.
 *
 * The device is not PCI and has direct mapping of 64 bits, so a DMA address is
 * the physical address, and can be compared with the model.
 *
 * Ranges do not alias: a umem is mapped for both directions, and dma-debug
 * takes two such mappings of one address for a mistake.
 */
#include <kunit/resource.h>
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/iter.h>

#include "dma-buf-phys-mock.h"

#define RAM		DMA_BUF_PHYS_RAM
#define MAX_NR		12
#define ACCESS		(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE)

/*
 * A dma-buf, of the class or not
 */

struct memory {
	struct kunit *test;
	struct ib_device *device;
	struct dma_buf *dmabuf;
	struct mock_exporter *exp;	/* NULL: outside the class */
	const struct phys_vec *vec;	/* what the buffer is now */
	size_t nr;
	int fd;
	unsigned int nr_maps;		/* the rest is for outside the class */
	unsigned int nr_pins;
	struct completion released;
};

#define SG_MAX		ALIGN_DOWN(UINT_MAX, PAGE_SIZE)

static unsigned int old_count(const struct memory *m)
{
	unsigned int nents = 0;
	size_t i;

	for (i = 0; i < m->nr; i++)
		nents += DIV_ROUND_UP_ULL(m->vec[i].len, SG_MAX);
	return nents;
}

static void old_fill(const struct memory *m, struct sg_table *sgt)
{
	struct scatterlist *sg = sgt->sgl;
	u64 done, len;
	size_t i;

	for (i = 0; i < m->nr; i++) {
		for (done = 0; done < m->vec[i].len; done += len) {
			len = min_t(u64, m->vec[i].len - done, SG_MAX);
			sg_dma_address(sg) = m->vec[i].paddr + done;
			sg_dma_len(sg) = len;
			sg = sg_next(sg);
		}
	}
}

static struct sg_table *old_map(struct dma_buf_attachment *attach,
				enum dma_data_direction dir)
{
	struct memory *m = attach->dmabuf->priv;
	struct sg_table *sgt = kzalloc_obj(*sgt);

	if (!sgt)
		return ERR_PTR(-ENOMEM);
	if (sg_alloc_table(sgt, old_count(m), GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}
	old_fill(m, sgt);
	m->nr_maps++;
	return sgt;
}

static void old_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	struct memory *m = attach->dmabuf->priv;

	m->nr_maps--;
	sg_free_table(sgt);
	kfree(sgt);
}

static int old_pin(struct dma_buf_attachment *attach)
{
	((struct memory *)attach->dmabuf->priv)->nr_pins++;
	return 0;
}

static void old_unpin(struct dma_buf_attachment *attach)
{
	((struct memory *)attach->dmabuf->priv)->nr_pins--;
}

static void old_release(struct dma_buf *dmabuf)
{
	complete(&((struct memory *)dmabuf->priv)->released);
}

static const struct dma_buf_ops old_ops = {
	.map_dma_buf = old_map,
	.unmap_dma_buf = old_unmap,
	.pin = old_pin,
	.unpin = old_unpin,
	.release = old_release,
};

static void old_export_exit(void *data)
{
	struct memory *m = data;

	dma_buf_put(m->dmabuf);
	flush_delayed_fput();
	wait_for_completion(&m->released);
	KUNIT_EXPECT_EQ(m->test, m->nr_maps, 0);
	KUNIT_EXPECT_EQ(m->test, m->nr_pins, 0);
}

static void old_export(struct memory *m)
{
	struct dma_buf_export_info info = {
		.exp_name = "old",
		.owner = THIS_MODULE,
		.ops = &old_ops,
		.size = mock_sum(m->vec, m->nr),
		.flags = O_RDWR | O_CLOEXEC,
		.priv = m,
	};

	init_completion(&m->released);
	m->dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(m->test, m->dmabuf);
	KUNIT_ASSERT_EQ(m->test, 0,
			kunit_add_action_or_reset(m->test, old_export_exit, m));
}

static void close_fd_exit(void *data)
{
	close_fd((long)data);
	flush_delayed_fput();
}

static int open_fd(struct kunit *test, struct dma_buf *dmabuf)
{
	int fd;

	get_dma_buf(dmabuf);
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	KUNIT_ASSERT_GE(test, fd, 0);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, close_fd_exit,
						  (void *)(long)fd));
	return fd;
}

static struct ib_device *mock_hca(struct kunit *test)
{
	struct ib_device *device = kunit_kzalloc(test, sizeof(*device),
						 GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, device);
	device->dma_device = mock_device(test, "hca");
	return device;
}

static struct memory *new_memory(struct kunit *test, const struct phys_vec *vec,
				 size_t nr)
{
	struct memory *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	m->test = test;
	m->vec = vec;
	m->nr = nr;
	m->device = mock_hca(test);
	return m;
}

static struct memory *class_memory(struct kunit *test,
				   const struct mock_buffer *buffer)
{
	struct memory *m = new_memory(test, buffer->vec, buffer->nr);

	m->exp = mock_export(test, buffer);
	m->dmabuf = m->exp->dmabuf;
	m->fd = open_fd(test, m->dmabuf);
	return m;
}

static struct memory *old_memory(struct kunit *test, const struct phys_vec *vec,
				 size_t nr)
{
	struct memory *m = new_memory(test, vec, nr);

	old_export(m);
	m->fd = open_fd(test, m->dmabuf);
	return m;
}

/* Who makes the addresses; the rest of the path is one. */
struct source_param {
	const char *name;
	bool old;
};

static const struct source_param source_params[] = {
	{ "ranges", false },
	{ "scatterlist", true },
};

KUNIT_ARRAY_PARAM_DESC(source, source_params, name);

static struct memory *source_memory(struct kunit *test,
				    const struct phys_vec *vec, size_t nr)
{
	const struct source_param *p = test->param_value;
	const struct mock_buffer buffer = { .vec = vec, .nr = nr, .kind = RAM };

	if (p->old)
		return old_memory(test, vec, nr);
	return class_memory(test, &buffer);
}

/* The same dma-buf, but other memory. Nothing is mapped. */
static void lend(struct memory *m, const struct phys_vec *vec, size_t nr)
{
	m->vec = vec;
	m->nr = nr;
	m->dmabuf->size = mock_sum(vec, nr);
	if (m->exp)
		mock_lend(m->exp, vec, nr, RAM);
}

static unsigned int pins(const struct memory *m)
{
	return m->exp ? m->exp->nr_pin : m->nr_pins;
}

/* Mappings that the exporter has handed out. */
static unsigned int maps(const struct memory *m)
{
	return m->exp ? m->exp->phys.nr_maps : m->nr_maps;
}

/*
 * The model of a region: bytes [offset, offset + len) of the buffer, known to
 * the device as [virt, virt + len)
 */

struct region {
	u64 offset;
	u64 len;
	u64 virt;
};

static u64 model_blocks(const struct region *r, unsigned int bit)
{
	return ((r->virt + r->len - 1) >> bit) - (r->virt >> bit) + 1;
}

/* The block that holds the first byte of the region that lies in block @i. */
static u64 model_block(const struct memory *m, const struct region *r,
		       unsigned int bit, u64 i)
{
	u64 first = max(r->virt, ((r->virt >> bit) + i) << bit);
	u64 paddr = mock_paddr(m->vec, r->offset + (first - r->virt));

	return (paddr >> bit) << bit;
}

/*
 * Does a block of this size hold what it has to? Both sides of it agree in the
 * low bits, and no gap of the memory is within a block.
 */
static bool model_serves(const struct memory *m, const struct region *r,
			 unsigned int bit)
{
	const u64 mask = BIT_ULL(bit) - 1;
	struct phys_vec runs[MAX_NR];
	u64 va = r->virt;
	size_t nr, i;

	nr = mock_runs(m->vec, m->nr, r->offset, r->len, runs);
	for (i = 0; i < nr; va += runs[i].len, i++) {
		if ((va & mask) != (runs[i].paddr & mask))
			return false;
		if (i && (va - 1) >> bit == va >> bit)
			return false;
	}
	return true;
}

/* Largest that serves, but none that is larger than one block needs. */
static unsigned long model_best(const struct memory *m, const struct region *r,
				unsigned long sizes)
{
	unsigned long best = 0;
	unsigned int bit;

	for_each_set_bit(bit, &sizes, BITS_PER_LONG) {
		if (!model_serves(m, r, bit))
			break;
		best = BIT(bit);
		if (model_blocks(r, bit) == 1)
			break;
	}
	return best;
}

/*
 * The core against the model
 */

#define MAX_BLOCKS	200	/* of a region that are looked at */

static bool same_blocks(const struct memory *m, const struct region *r,
			struct ib_umem *umem, unsigned int bit)
{
	const u64 want = model_blocks(r, bit);
	struct ib_block_iter biter;
	u64 i = 0;

	if (ib_umem_num_dma_blocks(umem, BIT(bit)) != want)
		return false;
	rdma_umem_for_each_dma_block(umem, &biter, BIT(bit)) {
		if (i >= want || rdma_block_iter_dma_address(&biter) !=
				 model_block(m, r, bit, i))
			return false;
		if (++i == MAX_BLOCKS)
			return true;
	}
	return i == want;
}

/* Sizes up to a page need no search, if the region begins alike. */
static bool same_small_blocks(const struct memory *m, const struct region *r,
			      struct ib_umem *umem)
{
	if ((r->virt ^ r->offset) & ~PAGE_MASK)
		return true;
	umem->iova = r->virt;
	return same_blocks(m, r, umem, PAGE_SHIFT) &&
	       same_blocks(m, r, umem, PAGE_SHIFT - 1) &&
	       same_blocks(m, r, umem, 8);
}

static bool same_best(const struct memory *m, const struct region *r,
		      struct ib_umem *umem, unsigned long sizes)
{
	unsigned long best = ib_umem_find_best_pgsz(umem, sizes, r->virt);

	if (best != model_best(m, r, sizes) || umem->iova != r->virt)
		return false;
	return !best || (ib_umem_dma_offset(umem, best) ==
				 (r->virt & (best - 1)) &&
			 same_blocks(m, r, umem, __ffs(best)));
}

static bool same_start(const struct memory *m, const struct region *r,
		       struct ib_umem *umem)
{
	struct phys_vec runs[MAX_NR];

	return ib_umem_start_dma_addr(umem) == mock_paddr(m->vec, r->offset) &&
	       ib_umem_is_contiguous(umem) ==
		       (mock_runs(m->vec, m->nr, r->offset, r->len, runs) == 1);
}

static const struct dma_buf_attach_ops odp_ops;

/* A umem of the region, mapped; release_umem() it. */
static struct ib_umem *get_umem(struct memory *m, const struct region *r)
{
	struct ib_umem_dmabuf *umem_dmabuf;
	int ret;

	umem_dmabuf = ib_umem_dmabuf_get(m->device, r->offset, r->len, m->fd,
					 ACCESS, &odp_ops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(m->test, umem_dmabuf);
	ib_umem_dmabuf_revoke_lock(umem_dmabuf);
	ret = ib_umem_dmabuf_map_pages(umem_dmabuf);
	ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
	if (ret)
		ib_umem_release(&umem_dmabuf->umem);
	KUNIT_ASSERT_EQ(m->test, ret, 0);
	return &umem_dmabuf->umem;
}

/* Whether all that the core says of the region is what the model says. */
static bool region_agrees(struct memory *m, const struct region *r,
			  unsigned long sizes)
{
	struct ib_umem *umem = get_umem(m, r);
	bool agrees = same_best(m, r, umem, sizes) &&
		      same_small_blocks(m, r, umem) && same_start(m, r, umem);

	ib_umem_release(umem);
	return agrees;
}

/*
 * Chosen regions
 */

struct best_param {
	const char *name;
	struct phys_vec vec[4];
	size_t nr;
	struct region region;
	unsigned long sizes;
	unsigned long best;
};

#define SIZES		(SZ_4K | SZ_64K | SZ_2M | SZ_1G)

static const struct best_param best_params[] = {
	{ "one page", { { SZ_8G, SZ_4K } }, 1,
	  { 0, SZ_4K, SZ_1T }, SIZES, SZ_4K },
	{ "one byte", { { SZ_8G, SZ_4K } }, 1,
	  { 0xfff, 1, 0xfff }, SIZES, SZ_4K },
	{ "all of a large range", { { SZ_8G, SZ_4G } }, 1,
	  { 0, SZ_4G, 0 }, SIZES, SZ_1G },
	{ "no larger than needed", { { SZ_8G, SZ_4G } }, 1,
	  { 0, SZ_64K, 0 }, SIZES, SZ_64K },
	{ "sides agree in 21 bits", { { SZ_8G, SZ_4G } }, 1,
	  { 0, SZ_4G, SZ_2M }, SIZES, SZ_2M },
	{ "sides agree in 12 bits", { { SZ_8G, SZ_4G } }, 1,
	  { 0, SZ_4G, SZ_4K }, SIZES, SZ_4K },
	{ "sides disagree", { { SZ_8G, SZ_4G } }, 1,
	  { 0, SZ_4G, 1 }, SIZES, 0 },
	{ "size is not offered", { { SZ_8G, SZ_4K } }, 1,
	  { 0, SZ_4K, SZ_4K }, SZ_2M, 0 },
	{ "below a page", { { SZ_8G, SZ_4K } }, 1,
	  { 0x600, 0x400, 0x200 }, ~1UL, 0x400 },
	{ "gap at 2 MiB", { { SZ_8G, SZ_2M }, { SZ_16G, SZ_2M } },
	  2, { 0, SZ_4M, 0 }, SIZES, SZ_2M },
	{ "gap within 2 MiB",
	  { { SZ_8G, SZ_64K }, { SZ_16G + SZ_64K, SZ_2M - SZ_64K } },
	  2, { 0, SZ_2M, 0 }, SIZES, SZ_64K },
	{ "neighbours are one",
	  { { SZ_8G, SZ_4K }, { SZ_8G + SZ_4K, SZ_2M - SZ_4K } },
	  2, { 0, SZ_2M, 0 }, SIZES, SZ_2M },
	{ "only the first page",
	  { { SZ_8G, SZ_2M }, { SZ_16G + SZ_4K, SZ_4K } },
	  2, { 0, SZ_2M, 0 }, SIZES, SZ_2M },
	{ "only the last page",
	  { { SZ_8G, SZ_2M }, { SZ_16G + SZ_4K, SZ_4K } },
	  2, { SZ_2M, SZ_4K, 0 }, SIZES, SZ_4K },
	{ "two bytes across a gap",
	  { { SZ_8G, SZ_4K }, { SZ_16G, SZ_4K } },
	  2, { 0xfff, 2, 0xfff }, SIZES, SZ_4K },
	{ "2^40 bytes", { { SZ_1T, SZ_1T } }, 1,
	  { 0, SZ_1T, 0 }, ~1UL, SZ_1T },
};

KUNIT_ARRAY_PARAM_DESC(best, best_params, name);

static void expect_best(struct memory *m)
{
	const struct best_param *p = m->test->param_value;
	struct ib_umem *umem = get_umem(m, &p->region);

	KUNIT_EXPECT_EQ(m->test, p->best,
			ib_umem_find_best_pgsz(umem, p->sizes, p->region.virt));
	KUNIT_EXPECT_EQ(m->test, p->best, model_best(m, &p->region, p->sizes));
	ib_umem_release(umem);
	KUNIT_EXPECT_TRUE(m->test, region_agrees(m, &p->region, p->sizes));
}

static void best_size(struct kunit *test)
{
	const struct best_param *p = test->param_value;
	const struct mock_buffer buffer = {
		.vec = p->vec,
		.nr = p->nr,
		.kind = RAM,
	};

	expect_best(class_memory(test, &buffer));
	expect_best(old_memory(test, p->vec, p->nr));
}

/* An end of the device's addresses that wraps around has no size. */
static void best_size_overflow(struct kunit *test)
{
	static const struct phys_vec vec[] = { { SZ_8G, SZ_8K } };
	struct memory *m = source_memory(test, vec, 1);
	const struct region r = { 0, SZ_8K, 0 };
	struct ib_umem *umem = get_umem(m, &r);

	KUNIT_EXPECT_EQ(test, 0,
			ib_umem_find_best_pgsz(umem, SIZES, -(u64)SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_4K,
			ib_umem_find_best_pgsz(umem, SIZES, -(u64)SZ_8K));
	ib_umem_release(umem);
}

/* One byte, two bytes, and all from or up to every end of a range. */
static void slices(struct kunit *test)
{
	static const struct phys_vec vec[] = {
		{ SZ_8G, SZ_2M }, { SZ_16G, SZ_4K }, { SZ_16G + SZ_4K, SZ_8K },
		{ SZ_4G, SZ_64K }, { SZ_32G + SZ_4K, 5ULL * SZ_1G },
		{ SZ_2G, SZ_4K },
	};
	static const int near[] = { -4097, -4096, -4095, -2, -1, 0, 1, 4095 };
	struct memory *m = source_memory(test, vec, ARRAY_SIZE(vec));
	u64 size = m->dmabuf->size, start = 0, at;
	size_t i, j;

	for (i = 0; i <= m->nr; start += i < m->nr ? vec[i].len : 0, i++) {
		for (j = 0; j < ARRAY_SIZE(near); j++) {
			const struct region all[] = {
				{ start + near[j], 1, start + near[j] },
				{ start + near[j], 2, start + near[j] },
				{ start + near[j], size - start - near[j], 0 },
				{ 0, start + near[j], SZ_1T },
			};

			at = start + near[j];
			if (!at || at >= size - 1)
				continue;
			KUNIT_EXPECT_TRUE(test, region_agrees(m, &all[0], SIZES));
			KUNIT_EXPECT_TRUE(test, region_agrees(m, &all[1], SIZES));
			KUNIT_EXPECT_TRUE(test, region_agrees(m, &all[2], SIZES));
			KUNIT_EXPECT_TRUE(test, region_agrees(m, &all[3], SIZES));
		}
	}
}

/*
 * Random regions of random lists
 */

static u32 below(struct rnd_state *rnd, u32 ceil)
{
	return prandom_u32_state(rnd) % ceil;
}

static u64 random_len(struct rnd_state *rnd)
{
	switch (below(rnd, 8)) {
	case 0:
		return (u64)(1 + below(rnd, 4)) * SZ_2M;
	case 1:
		return (1 + below(rnd, 3)) * SZ_4G + below(rnd, 3) * SZ_4K;
	default:
		return (1 + below(rnd, 16)) * SZ_4K;
	}
}

/* One range in three continues the one before. No two overlap. */
static size_t random_list(struct rnd_state *rnd, struct phys_vec *vec)
{
	size_t nr = 1 + below(rnd, MAX_NR), i;
	u64 at = SZ_4G, align;

	for (i = 0; i < nr; i++) {
		align = BIT_ULL(PAGE_SHIFT + below(rnd, 20));
		if (below(rnd, 3))
			at = ALIGN(at + SZ_4K, align);
		vec[i].paddr = at;
		vec[i].len = random_len(rnd);
		at += vec[i].len;
	}
	if (below(rnd, 2))
		swap(vec[0], vec[nr - 1]);
	return nr;
}

static u64 random_below(struct rnd_state *rnd, u64 ceil)
{
	u64 high = prandom_u32_state(rnd);

	return (high << 32 | prandom_u32_state(rnd)) % ceil;
}

/* Few bytes, many, or up to the end. */
static void random_slice(struct rnd_state *rnd, u64 size, struct region *r)
{
	r->offset = below(rnd, 3) ? random_below(rnd, size) : 0;
	if (below(rnd, 2))
		r->offset = ALIGN_DOWN(r->offset, SZ_4K);

	switch (below(rnd, 4)) {
	case 0:
		r->len = 1 + random_below(rnd, min_t(u64, size - r->offset,
						     SZ_16K));
		break;
	case 1:
		r->len = size - r->offset;
		break;
	default:
		r->len = 1 + random_below(rnd, size - r->offset);
	}
}

/* From all address bits like the memory's to not even those in a page. */
static u64 random_virt(struct rnd_state *rnd, u64 paddr)
{
	switch (below(rnd, 4)) {
	case 0:
		return paddr;
	case 1:
		return paddr + ((u64)below(rnd, 64) << (12 + below(rnd, 20)));
	case 2:
		return (paddr & ~PAGE_MASK) |
		       (random_below(rnd, SZ_1T) & PAGE_MASK);
	default:
		return random_below(rnd, SZ_1T);
	}
}

static unsigned long random_sizes(struct rnd_state *rnd)
{
	switch (below(rnd, 4)) {
	case 0:
		return ~1UL;
	case 1:
		return GENMASK(PAGE_SHIFT + below(rnd, 30), PAGE_SHIFT);
	case 2:
		return SIZES;
	default:
		return random_below(rnd, U64_MAX) & ~1UL;
	}
}

/* An instrumented kernel takes ten times as long for each. */
#define NR_LISTS	(IS_ENABLED(CONFIG_KASAN) ? 150 : 1500)
#define NR_REGIONS	4

static void random_regions(struct kunit *test)
{
	struct phys_vec vec[MAX_NR] = { { SZ_4G, SZ_4K } };
	struct memory *m = source_memory(test, vec, 1);
	unsigned long sizes;
	struct rnd_state rnd;
	struct region r;
	unsigned int i;

	prandom_seed_state(&rnd, 7);
	for (i = 0; i < NR_LISTS * NR_REGIONS; i++) {
		if (i % NR_REGIONS == 0)
			lend(m, vec, random_list(&rnd, vec));
		random_slice(&rnd, m->dmabuf->size, &r);
		r.virt = random_virt(&rnd, mock_paddr(vec, r.offset));
		sizes = random_sizes(&rnd);
		if (!region_agrees(m, &r, sizes))
			KUNIT_FAIL(test, "%u: offset %#llx len %#llx virt %#llx sizes %#lx",
				   i, r.offset, r.len, r.virt, sizes);
		cond_resched();
	}
}

/* Sizes that are too large for the memory still end, with as many blocks. */
static void blocks_too_large(struct kunit *test)
{
	static const struct phys_vec vec[] = {
		{ SZ_8G + SZ_4K, SZ_4K }, { SZ_16G, SZ_8K }, { SZ_4G, SZ_4K },
	};
	struct memory *m = source_memory(test, vec, ARRAY_SIZE(vec));
	const struct region r = { 0, SZ_16K, SZ_4K };
	struct ib_umem *umem = get_umem(m, &r);
	struct ib_block_iter biter;
	unsigned int bit, nr;

	umem->iova = r.virt;
	for (bit = PAGE_SHIFT; bit < 50; bit++) {
		nr = 0;
		rdma_umem_for_each_dma_block(umem, &biter, BIT(bit))
			nr++;
		KUNIT_EXPECT_GE(test, nr, 1);
		KUNIT_EXPECT_LE(test, nr, ib_umem_num_dma_blocks(umem, BIT(bit)));
	}
	ib_umem_release(umem);
}

/* There is nothing to copy from, and no other access to change to. */
static void no_pages(struct kunit *test)
{
	static const struct phys_vec vec[] = { { SZ_8G, SZ_8K } };
	struct memory *m = source_memory(test, vec, 1);
	const struct region r = { 0x100, SZ_4K, 0x100 };
	struct ib_umem *umem = get_umem(m, &r);
	u8 byte = 0x5a;

	KUNIT_EXPECT_EQ(test, -EINVAL, ib_umem_copy_from(&byte, umem, 0, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, ib_umem_copy_from(&byte, umem, SZ_4K, 1));
	KUNIT_EXPECT_EQ(test, byte, 0x5a);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			ib_umem_check_rereg(umem, IB_MR_REREG_ACCESS, ACCESS));
	ib_umem_release(umem);
}

/* A driver that walks what is not mapped is told so, and sees nothing. */
static void walk_unmapped(struct kunit *test)
{
	static const struct phys_vec vec[] = { { SZ_8G, SZ_8K } };
	struct memory *m = source_memory(test, vec, 1);
	const struct region r = { 0, SZ_8K, 0 };
	struct ib_umem *umem = get_umem(m, &r);
	struct ib_block_iter biter;
	unsigned int nr = 0;

	ib_umem_dmabuf_revoke(to_ib_umem_dmabuf(umem));
	KUNIT_EXPECT_EQ(test, 0, ib_umem_find_best_pgsz(umem, SIZES, 0));
	kunit_warning_suppress(test) {
		rdma_umem_for_each_dma_block(umem, &biter, PAGE_SIZE)
			nr++;
	}
	KUNIT_EXPECT_EQ(test, nr, 0);
	ib_umem_release(umem);
}

/* The iterator for scatterlists is as it was. */
static void blocks_of_scatterlist(struct kunit *test)
{
	static const u64 want[] = { SZ_8G, SZ_8G + SZ_64K, SZ_4G };
	struct ib_block_iter biter;
	struct scatterlist sgl[2];
	unsigned int nr = 0;

	sg_init_table(sgl, ARRAY_SIZE(sgl));
	sg_dma_address(&sgl[0]) = SZ_8G;
	sg_dma_len(&sgl[0]) = SZ_128K;
	sg_dma_address(&sgl[1]) = SZ_4G;
	sg_dma_len(&sgl[1]) = SZ_64K;
	rdma_for_each_block(sgl, &biter, ARRAY_SIZE(sgl), SZ_64K) {
		KUNIT_ASSERT_LT(test, nr, ARRAY_SIZE(want));
		KUNIT_EXPECT_EQ(test, rdma_block_iter_dma_address(&biter),
				want[nr]);
		nr++;
	}
	KUNIT_EXPECT_EQ(test, nr, ARRAY_SIZE(want));
}

/*
 * Fake drivers
 *
 * Each has a device with a table of blocks, which it uses while @live.
 */

#define TABLE_SIZE	16

struct fake_mr {
	struct memory *m;
	struct ib_umem_dmabuf *umem_dmabuf;	/* NULL: released */
	struct region region;
	u64 table[TABLE_SIZE];		/* 0: no access; under dma_buf::resv */
	unsigned int page_shift;	/* same */
	bool live;			/* same, read without by who watches */
	unsigned int nr_stop;		/* same; how often the driver was told */
	bool watch;			/* zapping saw another number of blocks */
};

/* As a driver does: look for a size, then write the device's table. */
static void fake_start(struct fake_mr *mr)
{
	struct ib_umem *umem = &mr->umem_dmabuf->umem;
	struct ib_block_iter biter;
	unsigned long size;
	size_t nr = 0;

	size = ib_umem_find_best_pgsz(umem, SIZES, mr->region.virt);
	if (!size || ib_umem_num_dma_blocks(umem, size) > TABLE_SIZE) {
		KUNIT_FAIL(mr->m->test, "block size %#lx", size);
		return;
	}
	mr->page_shift = __ffs(size);
	rdma_umem_for_each_dma_block(umem, &biter, size)
		mr->table[nr++] = rdma_block_iter_dma_address(&biter);
	WRITE_ONCE(mr->live, true);
}

static void fake_stop(struct fake_mr *mr)
{
	dma_resv_assert_held(mr->m->dmabuf->resv);
	memset(mr->table, 0, sizeof(mr->table));
	WRITE_ONCE(mr->live, false);
	mr->nr_stop++;
}

static struct fake_mr *fake_mr(struct memory *m, u64 offset, u64 len)
{
	struct fake_mr *mr = kunit_kzalloc(m->test, sizeof(*mr), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(m->test, mr);
	mr->m = m;
	mr->region = (struct region){ offset, len, offset };
	return mr;
}

static void expect_table(struct fake_mr *mr)
{
	const u64 nr = model_blocks(&mr->region, mr->page_shift);
	struct kunit *test = mr->m->test;
	u64 i;

	KUNIT_EXPECT_TRUE(test, mr->live);
	for (i = 0; i < TABLE_SIZE; i++)
		KUNIT_EXPECT_EQ(test, mr->table[i],
				i < nr ? model_block(mr->m, &mr->region,
						     mr->page_shift, i) : 0);
}

static void expect_stopped(struct fake_mr *mr)
{
	KUNIT_EXPECT_FALSE(mr->m->test, mr->live);
	KUNIT_EXPECT_NULL(mr->m->test,
			  memchr_inv(mr->table, 0, sizeof(mr->table)));
	KUNIT_EXPECT_FALSE(mr->m->test,
			   ib_umem_dmabuf_is_mapped(mr->umem_dmabuf));
}

static void dereg_exit(void *data)
{
	struct fake_mr *mr = data;

	if (mr->umem_dmabuf)
		ib_umem_release(&mr->umem_dmabuf->umem);
	mr->umem_dmabuf = NULL;
}

static void dereg_at_exit(struct fake_mr *mr)
{
	KUNIT_ASSERT_EQ(mr->m->test, 0,
			kunit_add_action_or_reset(mr->m->test, dereg_exit, mr));
}

static void dereg(struct fake_mr *mr)
{
	kunit_release_action(mr->m->test, dereg_exit, mr);
}

static int map_again(struct fake_mr *mr)
{
	int ret;

	ib_umem_dmabuf_revoke_lock(mr->umem_dmabuf);
	ret = ib_umem_dmabuf_map_pages(mr->umem_dmabuf);
	ib_umem_dmabuf_revoke_unlock(mr->umem_dmabuf);
	return ret;
}

/* As irdma: the callback is set when the device is ready, under the lock. */

static void revocable_revoke(void *priv)
{
	struct fake_mr *mr = priv;

	/* Still there: the device may have to be told the addresses. */
	mr->watch |= !ib_umem_dmabuf_is_mapped(mr->umem_dmabuf);
	fake_stop(mr);
}

static int revocable_reg(struct fake_mr *mr)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = ib_umem_dmabuf_get_pinned_revocable_and_lock(mr->m->device,
								   mr->region.offset,
								   mr->region.len,
								   mr->m->fd,
								   ACCESS);
	if (IS_ERR(umem_dmabuf))
		return PTR_ERR(umem_dmabuf);
	mr->umem_dmabuf = umem_dmabuf;
	fake_start(mr);
	ib_umem_dmabuf_set_revoke_locked(umem_dmabuf, revocable_revoke, mr);
	ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
	return 0;
}

/* As efa: there is no way to stop the device but to deregister. */
static int static_reg(struct fake_mr *mr)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = ib_umem_dmabuf_get_pinned(mr->m->device,
						mr->region.offset,
						mr->region.len, mr->m->fd,
						ACCESS);
	if (IS_ERR(umem_dmabuf))
		return PTR_ERR(umem_dmabuf);
	mr->umem_dmabuf = umem_dmabuf;
	fake_start(mr);
	return 0;
}

/* As mlx5 by on-demand paging: zap block by block, then unmap. */

static void odp_invalidate(struct dma_buf_attachment *attach)
{
	struct ib_umem_dmabuf *umem_dmabuf = ib_umem_dmabuf_from_attach(attach);
	struct fake_mr *mr = umem_dmabuf->private;
	struct ib_block_iter biter;
	u64 nr = 0;

	dma_resv_assert_held(umem_dmabuf->attach->dmabuf->resv);
	if (!ib_umem_dmabuf_is_mapped(umem_dmabuf) || !mr)
		return;

	rdma_umem_for_each_dma_block(&umem_dmabuf->umem, &biter,
				     BIT(mr->page_shift))
		mr->watch |= mr->table[nr++] !=
			     rdma_block_iter_dma_address(&biter);
	mr->watch |= nr != model_blocks(&mr->region, mr->page_shift);
	fake_stop(mr);
	ib_umem_dmabuf_unmap_pages(umem_dmabuf);
}

static const struct dma_buf_attach_ops odp_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = odp_invalidate,
};

static int odp_reg(struct fake_mr *mr)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = ib_umem_dmabuf_get(mr->m->device, mr->region.offset,
					 mr->region.len, mr->m->fd, ACCESS,
					 &odp_ops);
	if (IS_ERR(umem_dmabuf))
		return PTR_ERR(umem_dmabuf);
	mr->umem_dmabuf = umem_dmabuf;
	umem_dmabuf->private = mr;
	return 0;
}

/* The device asks for the memory. */
static int odp_fault(struct fake_mr *mr)
{
	int ret;

	ib_umem_dmabuf_revoke_lock(mr->umem_dmabuf);
	ret = ib_umem_dmabuf_map_pages(mr->umem_dmabuf);
	if (!ret)
		fake_start(mr);
	ib_umem_dmabuf_revoke_unlock(mr->umem_dmabuf);
	return ret;
}

/* What all that follows is about. */
static const struct phys_vec list[] = {
	{ SZ_8G, SZ_8K }, { SZ_4G, SZ_4K }, { SZ_16G, SZ_4K },
};

#define LIST_SIZE	SZ_16K

static struct memory *list_memory(struct kunit *test, unsigned long suspended)
{
	const struct mock_buffer buffer = {
		.vec = list,
		.nr = ARRAY_SIZE(list),
		.kind = RAM,
		.suspended = suspended,
	};

	return class_memory(test, &buffer);
}

static struct memory *fixed_memory(struct kunit *test)
{
	const struct mock_buffer buffer = {
		.vec = list,
		.nr = ARRAY_SIZE(list),
		.kind = RAM,
		.fixed = true,
	};

	return class_memory(test, &buffer);
}

/*
 * Pinned and revocable
 */

static void revocable(struct kunit *test)
{
	struct memory *m = source_memory(test, list, ARRAY_SIZE(list));
	struct fake_mr *mr = fake_mr(m, 100, LIST_SIZE - 200);

	KUNIT_ASSERT_EQ(test, revocable_reg(mr), 0);
	dereg_at_exit(mr);
	expect_table(mr);
	KUNIT_EXPECT_EQ(test, pins(m), 1);
	KUNIT_EXPECT_EQ(test, maps(m), 1);
	KUNIT_EXPECT_EQ(test, map_again(mr), 0);
	KUNIT_EXPECT_EQ(test, maps(m), 1);

	/* Nobody revoked, so the release tells the driver. */
	dereg(mr);
	KUNIT_EXPECT_EQ(test, mr->nr_stop, 1);
	KUNIT_EXPECT_FALSE(test, mr->live);
	KUNIT_EXPECT_FALSE(test, mr->watch);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
	KUNIT_EXPECT_EQ(test, maps(m), 0);
}

struct end_param {
	const char *name;
	void (*end)(struct fake_mr *mr);
	bool comes_back;
};

static void end_by_suspend(struct fake_mr *mr)
{
	dma_buf_phys_suspend(mr->m->dmabuf, DMA_BUF_PHYS_RESET);
}

static void end_by_revoke(struct fake_mr *mr)
{
	mock_revoke(mr->m->exp);
}

static void end_by_driver(struct fake_mr *mr)
{
	ib_umem_dmabuf_revoke(mr->umem_dmabuf);
}

static const struct end_param end_params[] = {
	{ "suspend", end_by_suspend, true },
	{ "revoke", end_by_revoke, false },
	{ "driver", end_by_driver, true },
};

KUNIT_ARRAY_PARAM_DESC(end, end_params, name);

/* Whoever ends it: once, for good, and its pin goes with it. */
static void revocable_ends(struct kunit *test)
{
	const struct end_param *p = test->param_value;
	struct memory *m = list_memory(test, 0);
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);

	KUNIT_ASSERT_EQ(test, revocable_reg(mr), 0);
	dereg_at_exit(mr);
	p->end(mr);
	expect_stopped(mr);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
	KUNIT_EXPECT_EQ(test, map_again(mr), -EINVAL);

	dma_buf_phys_restore(m->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, map_again(mr), -EINVAL);
	expect_stopped(mr);

	end_by_suspend(mr);
	end_by_driver(mr);
	end_by_revoke(mr);
	dereg(mr);
	KUNIT_EXPECT_EQ(test, mr->nr_stop, 1);
	KUNIT_EXPECT_FALSE(test, mr->watch);
}

/* A new region is possible as soon as the memory is back. */
static void register_in_each_state(struct kunit *test)
{
	const struct end_param *p = test->param_value;
	struct memory *m = list_memory(test, 0);
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);
	struct fake_mr *late = fake_mr(m, 0, LIST_SIZE);
	const bool gone = p->end != end_by_driver;

	KUNIT_ASSERT_EQ(test, revocable_reg(mr), 0);
	dereg_at_exit(mr);
	p->end(mr);
	if (gone)
		KUNIT_EXPECT_EQ(test, revocable_reg(late), -ENODEV);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
	dma_buf_phys_restore(m->dmabuf, DMA_BUF_PHYS_RESET);
	if (!p->comes_back) {
		KUNIT_EXPECT_EQ(test, revocable_reg(late), -ENODEV);
		return;
	}
	KUNIT_ASSERT_EQ(test, revocable_reg(late), 0);
	dereg_at_exit(late);
	expect_table(late);
	expect_stopped(mr);
}

/* Setting up the device failed, as in irdma: the callback is not set yet. */
static void revocable_without_callback(struct kunit *test)
{
	struct memory *m = list_memory(test, 0);
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = ib_umem_dmabuf_get_pinned_revocable_and_lock(m->device, 0,
								   SZ_4K, m->fd,
								   ACCESS);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, umem_dmabuf);
	ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
	ib_umem_release(&umem_dmabuf->umem);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
	KUNIT_EXPECT_EQ(test, maps(m), 0);
}

/* Many regions in one buffer, which end together. */
static void many_regions(struct kunit *test)
{
	struct memory *m = list_memory(test, 0);
	struct fake_mr *mr[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mr); i++) {
		mr[i] = fake_mr(m, i * SZ_4K + i, SZ_4K - i);
		KUNIT_ASSERT_EQ(test, revocable_reg(mr[i]), 0);
		dereg_at_exit(mr[i]);
	}
	KUNIT_EXPECT_EQ(test, maps(m), ARRAY_SIZE(mr));
	dereg(mr[1]);
	end_by_suspend(mr[0]);
	KUNIT_EXPECT_EQ(test, maps(m), 0);
	for (i = 0; i < ARRAY_SIZE(mr); i++)
		KUNIT_EXPECT_EQ(test, mr[i]->nr_stop, 1);
}

/*
 * Revoke while regions come and go
 */

#define NR_RACES	(IS_ENABLED(CONFIG_KASAN) ? 50 : 300)

struct racer {
	struct fake_mr *mr;		/* the one region there ever is */
	unsigned int wrong;		/* access after suspend returned */
	struct completion done;
};

static int race_suspend(void *data)
{
	struct racer *racer = data;
	struct memory *m = racer->mr->m;
	unsigned int i;

	for (i = 0; i < NR_RACES; i++) {
		dma_buf_phys_suspend(m->dmabuf, DMA_BUF_PHYS_RESET);
		racer->wrong += READ_ONCE(racer->mr->live);
		usleep_range(20, 60);
		racer->wrong += READ_ONCE(racer->mr->live);
		dma_buf_phys_restore(m->dmabuf, DMA_BUF_PHYS_RESET);
		usleep_range(20, 60);
	}
	mock_revoke(m->exp);
	racer->wrong += READ_ONCE(racer->mr->live);
	complete(&racer->done);
	return 0;
}

/* 1: registered, 0: refused because the memory was away. */
static int race_revocable(struct fake_mr *mr)
{
	int ret = revocable_reg(mr);

	if (ret)
		return ret == -ENODEV ? 0 : ret;
	dereg_exit(mr);
	return READ_ONCE(mr->live) ? -EBUSY : 1;
}

static int race_odp(struct fake_mr *mr)
{
	int ret = odp_reg(mr);

	if (!ret) {
		ret = odp_fault(mr);
		ib_umem_dmabuf_revoke_lock(mr->umem_dmabuf);
		if (mr->live)
			fake_stop(mr);
		mr->umem_dmabuf->private = NULL;
		ib_umem_dmabuf_revoke_unlock(mr->umem_dmabuf);
		dereg_exit(mr);
	}
	if (ret)
		return ret == -ENODEV ? 0 : ret;
	return 1;
}

struct race_param {
	const char *name;
	int (*once)(struct fake_mr *mr);
};

static const struct race_param race_params[] = {
	{ "revocable", race_revocable },
	{ "on demand", race_odp },
};

KUNIT_ARRAY_PARAM_DESC(race, race_params, name);

static void register_against_suspend(struct kunit *test)
{
	const struct race_param *p = test->param_value;
	struct memory *m = list_memory(test, 0);
	struct racer racer = { .mr = fake_mr(m, 0, LIST_SIZE) };
	unsigned int good = 0, bad = 0;
	struct task_struct *task;
	int ret;

	init_completion(&racer.done);
	task = kthread_run(race_suspend, &racer, "umem-race");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	while (!try_wait_for_completion(&racer.done)) {
		ret = p->once(racer.mr);
		good += ret > 0;
		bad += ret < 0;
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, racer.wrong, 0);
	KUNIT_EXPECT_EQ(test, bad, 0);
	KUNIT_EXPECT_FALSE(test, racer.mr->watch);
	KUNIT_EXPECT_GT(test, good, 0);
	KUNIT_EXPECT_EQ(test, p->once(racer.mr), 0);
}

/*
 * On demand
 */

static void on_demand(struct kunit *test)
{
	struct memory *m = source_memory(test, list, ARRAY_SIZE(list));
	struct fake_mr *mr = fake_mr(m, SZ_4K + 8, LIST_SIZE - SZ_4K - 16);

	KUNIT_ASSERT_EQ(test, odp_reg(mr), 0);
	dereg_at_exit(mr);
	KUNIT_EXPECT_EQ(test, maps(m), 0);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), 0);
	expect_table(mr);
	KUNIT_EXPECT_EQ(test, maps(m), 1);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), 0);
	KUNIT_EXPECT_EQ(test, maps(m), 1);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
}

/* It comes back, at another place, by the next fault and not before. */
static void on_demand_comes_back(struct kunit *test)
{
	static const struct phys_vec elsewhere[] = {
		{ SZ_32G, SZ_4K }, { SZ_64G, SZ_8K + SZ_4K },
	};
	struct memory *m = list_memory(test, 0);
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);

	KUNIT_ASSERT_EQ(test, odp_reg(mr), 0);
	dereg_at_exit(mr);
	KUNIT_ASSERT_EQ(test, odp_fault(mr), 0);

	end_by_suspend(mr);
	expect_stopped(mr);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), -ENODEV);
	lend(m, elsewhere, ARRAY_SIZE(elsewhere));
	dma_buf_phys_restore(m->dmabuf, DMA_BUF_PHYS_RESET);
	expect_stopped(mr);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), 0);
	expect_table(mr);
	KUNIT_EXPECT_EQ(test, mr->nr_stop, 1);

	end_by_revoke(mr);
	expect_stopped(mr);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), -ENODEV);
	KUNIT_EXPECT_EQ(test, mr->nr_stop, 2);
	KUNIT_EXPECT_FALSE(test, mr->watch);
}

/* An invalidation that comes while nothing is mapped is none of its business. */
static void on_demand_not_mapped(struct kunit *test)
{
	struct memory *m = list_memory(test, DMA_BUF_PHYS_POWER);
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);

	KUNIT_ASSERT_EQ(test, odp_reg(mr), 0);
	dereg_at_exit(mr);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), -ENODEV);
	dma_buf_phys_restore(m->dmabuf, DMA_BUF_PHYS_POWER);
	end_by_suspend(mr);
	KUNIT_EXPECT_EQ(test, mr->nr_stop, 0);
	dma_buf_phys_restore(m->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), 0);
	expect_table(mr);
}

/* The driver gave up its region, as mlx5 before release: it is released mapped. */
static void on_demand_forgotten(struct kunit *test)
{
	struct memory *m = list_memory(test, 0);
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);

	KUNIT_ASSERT_EQ(test, odp_reg(mr), 0);
	dereg_at_exit(mr);
	KUNIT_ASSERT_EQ(test, odp_fault(mr), 0);
	mr->umem_dmabuf->private = NULL;
	KUNIT_EXPECT_EQ(test, maps(m), 1);
	dereg(mr);
	KUNIT_EXPECT_EQ(test, maps(m), 0);
}

/*
 * Pinned for good
 */

static void pinned(struct kunit *test)
{
	const struct source_param *p = test->param_value;
	struct memory *m = p->old ? old_memory(test, list, ARRAY_SIZE(list)) :
				    fixed_memory(test);
	struct fake_mr *mr = fake_mr(m, SZ_8K - 1, 2);

	KUNIT_ASSERT_EQ(test, static_reg(mr), 0);
	dereg_at_exit(mr);
	expect_table(mr);
	KUNIT_EXPECT_EQ(test, pins(m), 1);
	KUNIT_EXPECT_EQ(test, maps(m), 1);

	/* As mlx5 with data-direct: the driver gives back before it releases. */
	end_by_driver(mr);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
	KUNIT_EXPECT_EQ(test, maps(m), 0);
	KUNIT_EXPECT_EQ(test, map_again(mr), -EINVAL);
	end_by_driver(mr);
	dereg(mr);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
}

static void pinned_refused(struct kunit *test)
{
	struct memory *m = list_memory(test, 0);
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);

	KUNIT_EXPECT_EQ(test, static_reg(mr), -EOPNOTSUPP);
	KUNIT_EXPECT_TRUE(test, list_empty(&m->dmabuf->attachments));
	KUNIT_EXPECT_EQ(test, pins(m), 0);
}

/* The device that does DMA may be another than the RDMA device. */
static void pinned_with_dma_device(struct kunit *test)
{
	struct memory *m = fixed_memory(test);
	struct ib_umem_dmabuf *umem_dmabuf;
	struct device *dev = mock_device(test, "data-direct");

	umem_dmabuf = ib_umem_dmabuf_get_pinned_with_dma_device(m->device, dev,
								0, SZ_4K, m->fd,
								ACCESS);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, umem_dmabuf);
	KUNIT_EXPECT_PTR_EQ(test, dma_buf_phys_dev(umem_dmabuf->attach), dev);
	KUNIT_EXPECT_PTR_EQ(test, umem_dmabuf->umem.ibdev, m->device);
	ib_umem_release(&umem_dmabuf->umem);
}

/*
 * Waiting
 */

/* Each call waits for memory that is on its way, mapped already or not. */
static void map_waits_for_fence(struct kunit *test)
{
	struct memory *m = source_memory(test, list, ARRAY_SIZE(list));
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);
	struct dma_fence *fence;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, odp_reg(mr), 0);
	dereg_at_exit(mr);
	for (i = 0; i < 2; i++) {
		fence = mock_fence_in(test, m->dmabuf, DMA_RESV_USAGE_KERNEL,
				      100);
		KUNIT_EXPECT_EQ(test, odp_fault(mr), 0);
		KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(fence));
	}
	fence = mock_fence_in(test, m->dmabuf, DMA_RESV_USAGE_WRITE, 1000);
	KUNIT_EXPECT_EQ(test, odp_fault(mr), 0);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(fence));
}

/*
 * Bad input
 */

struct bad_param {
	const char *name;
	u64 offset;
	u64 len;
};

static const struct bad_param bad_params[] = {
	{ "empty", 0, 0 },
	{ "empty in the middle", SZ_4K, 0 },
	{ "empty at the end", LIST_SIZE, 0 },
	{ "a byte too long", 0, LIST_SIZE + 1 },
	{ "a byte behind the end", LIST_SIZE, 1 },
	{ "far behind the end", SZ_1T, SZ_4K },
	{ "ends at zero", -(u64)SZ_4K, SZ_4K },
	{ "overflows into the buffer", -(u64)SZ_4K, SZ_8K },
	{ "all ones", ~0ULL, ~0ULL },
	{ "whole address space", 0, ~0ULL },
};

KUNIT_ARRAY_PARAM_DESC(bad, bad_params, name);

/* All three ways in are refused with @want, and leave nothing behind. */
static void expect_refused(struct memory *m, u64 offset, u64 len, int want)
{
	struct fake_mr *mr = fake_mr(m, offset, len);
	unsigned int gets = m->exp->nr_get - m->exp->nr_put;

	KUNIT_EXPECT_EQ(m->test, static_reg(mr), want);
	KUNIT_EXPECT_EQ(m->test, revocable_reg(mr), want);
	KUNIT_EXPECT_EQ(m->test, odp_reg(mr), want);
	KUNIT_EXPECT_TRUE(m->test, list_empty(&m->dmabuf->attachments));
	KUNIT_EXPECT_EQ(m->test, pins(m), 0);
	KUNIT_EXPECT_EQ(m->test, m->exp->nr_get - m->exp->nr_put, gets);
}

static void bad_slice(struct kunit *test)
{
	const struct bad_param *p = test->param_value;

	expect_refused(list_memory(test, 0), p->offset, p->len, -EINVAL);
}

static const struct file_operations no_fops = { };

static void bad_fd(struct kunit *test)
{
	struct memory *m = list_memory(test, 0);
	int fd = m->fd, other;

	m->fd = -1;
	expect_refused(m, 0, SZ_4K, -EBADF);
	m->fd = 1 << 20;
	expect_refused(m, 0, SZ_4K, -EBADF);

	other = anon_inode_getfd("other", &no_fops, NULL, O_CLOEXEC);
	KUNIT_ASSERT_GE(test, other, 0);
	m->fd = other;
	expect_refused(m, 0, SZ_4K, -EINVAL);
	close_fd(other);
	flush_delayed_fput();
	expect_refused(m, 0, SZ_4K, -EBADF);
	m->fd = fd;
}

static void bad_device(struct kunit *test)
{
	struct memory *m = list_memory(test, 0);

	m->device->dma_device = NULL;
	expect_refused(m, 0, SZ_4K, -EOPNOTSUPP);
}

/* Not PCI, so there is no path to a peer's memory. */
static void bad_kind(struct kunit *test)
{
	const struct mock_buffer buffer = {
		.vec = list,
		.nr = ARRAY_SIZE(list),
		.kind = DMA_BUF_PHYS_MMIO,
	};

	expect_refused(class_memory(test, &buffer), 0, SZ_4K, -EOPNOTSUPP);
}

static void bad_driver(struct kunit *test)
{
	static const struct dma_buf_attach_ops no_peer = {
		.invalidate_mappings = odp_invalidate,
	};
	static const struct dma_buf_attach_ops no_invalidate = {
		.allow_peer2peer = true,
	};
	struct memory *m = list_memory(test, 0);
	struct ib_umem_dmabuf *umem_dmabuf;

	kunit_warning_suppress(test) {
		umem_dmabuf = ib_umem_dmabuf_get(m->device, 0, SZ_4K, m->fd,
						 ACCESS, &no_peer);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(umem_dmabuf), -EINVAL);
		umem_dmabuf = ib_umem_dmabuf_get(m->device, 0, SZ_4K, m->fd,
						 ACCESS, &no_invalidate);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(umem_dmabuf), -EINVAL);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 2);
	}
}

/* The exporter says no: at attach, and at map. */
static void exporter_fails(struct kunit *test)
{
	struct memory *m = list_memory(test, 0);
	struct fake_mr *mr = fake_mr(m, 0, LIST_SIZE);

	KUNIT_ASSERT_EQ(test, odp_reg(mr), 0);
	dereg_at_exit(mr);
	m->exp->get_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, odp_fault(mr), -EREMOTEIO);
	KUNIT_EXPECT_EQ(test, revocable_reg(fake_mr(m, 0, SZ_4K)), -EREMOTEIO);
	KUNIT_EXPECT_EQ(test, pins(m), 0);
	m->exp->get_error = 0;
	KUNIT_EXPECT_EQ(test, odp_fault(mr), 0);
	expect_table(mr);
}

static struct kunit_case umem_cases[] = {
	KUNIT_CASE_PARAM(best_size, best_gen_params),
	KUNIT_CASE_PARAM(best_size_overflow, source_gen_params),
	KUNIT_CASE_PARAM(slices, source_gen_params),
	KUNIT_CASE_PARAM_ATTR(random_regions, source_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(blocks_too_large, source_gen_params),
	KUNIT_CASE_PARAM(no_pages, source_gen_params),
	KUNIT_CASE_PARAM(walk_unmapped, source_gen_params),
	KUNIT_CASE(blocks_of_scatterlist),
	KUNIT_CASE_PARAM(revocable, source_gen_params),
	KUNIT_CASE_PARAM(revocable_ends, end_gen_params),
	KUNIT_CASE_PARAM(register_in_each_state, end_gen_params),
	KUNIT_CASE(revocable_without_callback),
	KUNIT_CASE(many_regions),
	KUNIT_CASE_PARAM(register_against_suspend, race_gen_params),
	KUNIT_CASE_PARAM(on_demand, source_gen_params),
	KUNIT_CASE(on_demand_comes_back),
	KUNIT_CASE(on_demand_not_mapped),
	KUNIT_CASE(on_demand_forgotten),
	KUNIT_CASE_PARAM(pinned, source_gen_params),
	KUNIT_CASE(pinned_refused),
	KUNIT_CASE(pinned_with_dma_device),
	KUNIT_CASE_PARAM(map_waits_for_fence, source_gen_params),
	KUNIT_CASE_PARAM(bad_slice, bad_gen_params),
	KUNIT_CASE(bad_fd),
	KUNIT_CASE(bad_device),
	KUNIT_CASE(bad_kind),
	KUNIT_CASE(bad_driver),
	KUNIT_CASE(exporter_fails),
	{}
};

static struct kunit_suite umem_suite = {
	.name = "dma-buf-phys-umem",
	.test_cases = umem_cases,
};

kunit_test_suite(umem_suite);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("KUnit tests of memory regions in dma-bufs");
MODULE_LICENSE("GPL");

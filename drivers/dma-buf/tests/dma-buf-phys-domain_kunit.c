// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: the domain view
 *
 * The mock domain is asked for the translation and the protection of every page
 * of a view, and for the number of bytes that are mapped in all; its end proves
 * that nothing is left and that no page was split or mapped over another.
 */
#include <kunit/resource.h>
#include <linux/dma-resv.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "dma-buf-phys-mock.h"

#define MMIO		DMA_BUF_PHYS_MMIO
#define RAM		DMA_BUF_PHYS_RAM
#define X86_SIZES	(SZ_4K | SZ_2M | SZ_1G)
#define MMIO_PROT	(IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO)

static struct mock_exporter *export_list(struct kunit *test,
					 const struct phys_vec *vec, size_t nr,
					 enum dma_buf_phys_kind kind)
{
	const struct mock_buffer buffer = {
		.vec = vec,
		.nr = nr,
		.kind = kind,
	};

	return mock_export(test, &buffer);
}

static struct mock_importer *attach_domain(struct kunit *test,
					   struct mock_exporter *exp)
{
	return mock_attach(test, exp->dmabuf, DMA_BUF_PHYS_VIEW_DOMAIN);
}

/*
 * Filling
 */

struct fill_param {
	const char *name;
	struct phys_vec vec[4];
	size_t nr;
	u64 iova;
	u64 offset;
	u64 len;		/* 0: all */
	unsigned long pgsizes;
	bool small_pages;
	size_t max_pgsize;	/* that must have been used; 0: any */
};

static const struct fill_param fill_params[] = {
	{ .name = "one page", .vec = { { SZ_8G, SZ_4K } }, .nr = 1,
	  .iova = SZ_1M, .pgsizes = X86_SIZES, .max_pgsize = SZ_4K },
	{ .name = "iova 0", .vec = { { SZ_8G, SZ_64K } }, .nr = 1, .iova = 0,
	  .pgsizes = X86_SIZES },
	{ .name = "three ranges, out of order",
	  .vec = { { SZ_8G, SZ_64K }, { SZ_4G, SZ_4K }, { SZ_2G, SZ_8K } },
	  .nr = 3, .iova = SZ_1G, .pgsizes = X86_SIZES, .max_pgsize = SZ_4K },
	{ .name = "one large page", .vec = { { SZ_8G, SZ_2M } }, .nr = 1,
	  .iova = SZ_1G, .pgsizes = X86_SIZES, .max_pgsize = SZ_2M },
	{ .name = "large pages in the middle",
	  .vec = { { SZ_8G - SZ_4K, SZ_8M + SZ_8K } }, .nr = 1,
	  .iova = SZ_1G - SZ_4K, .pgsizes = X86_SIZES, .max_pgsize = SZ_2M },
	{ .name = "adjacent ranges make a large page",
	  .vec = { { SZ_8G, SZ_1M }, { SZ_8G + SZ_1M, SZ_1M - SZ_4K },
		   { SZ_8G + SZ_2M - SZ_4K, SZ_4K } },
	  .nr = 3, .iova = SZ_1G, .pgsizes = X86_SIZES, .max_pgsize = SZ_2M },
	{ .name = "no large page at an odd iova",
	  .vec = { { SZ_8G, SZ_4M } }, .nr = 1, .iova = SZ_1G + SZ_4K,
	  .pgsizes = X86_SIZES, .max_pgsize = SZ_4K },
	{ .name = "small pages", .vec = { { SZ_8G, SZ_256K } }, .nr = 1,
	  .iova = SZ_1G, .pgsizes = SZ_4K | SZ_64K | SZ_2M,
	  .small_pages = true, .max_pgsize = SZ_4K },
	{ .name = "small pages of adjacent ranges",
	  .vec = { { SZ_8G, SZ_64K }, { SZ_8G + SZ_64K, SZ_64K } }, .nr = 2,
	  .iova = SZ_1G, .pgsizes = SZ_4K | SZ_64K | SZ_2M,
	  .small_pages = true, .max_pgsize = SZ_4K },
	{ .name = "over 4 GiB",
	  .vec = { { SZ_8G, 5ULL * SZ_1G }, { SZ_32G, SZ_4K } }, .nr = 2,
	  .iova = 1ULL << 40, .pgsizes = X86_SIZES, .max_pgsize = SZ_1G },
	{ .name = "slice over 4 GiB in the middle",
	  .vec = { { SZ_8G, 5ULL * SZ_1G }, { SZ_32G, SZ_1G } }, .nr = 2,
	  .iova = SZ_1G, .offset = SZ_2M, .len = SZ_4G + SZ_1G + SZ_4K,
	  .pgsizes = X86_SIZES },
	{ .name = "2^44 bytes", .vec = { { 1ULL << 50, 1ULL << 44 } }, .nr = 1,
	  .iova = 1ULL << 46, .pgsizes = X86_SIZES, .max_pgsize = SZ_1G },
	{ .name = "slice of the first page",
	  .vec = { { SZ_8G, SZ_64K }, { SZ_4G, SZ_64K } }, .nr = 2,
	  .iova = SZ_1G, .offset = 0, .len = SZ_4K, .pgsizes = X86_SIZES },
	{ .name = "slice of the last page",
	  .vec = { { SZ_8G, SZ_64K }, { SZ_4G, SZ_64K } }, .nr = 2,
	  .iova = SZ_1G, .offset = SZ_128K - SZ_4K, .len = SZ_4K,
	  .pgsizes = X86_SIZES },
	{ .name = "slice over an edge",
	  .vec = { { SZ_8G, SZ_64K }, { SZ_4G, SZ_64K } }, .nr = 2,
	  .iova = SZ_1G, .offset = SZ_64K - SZ_4K, .len = SZ_8K,
	  .pgsizes = X86_SIZES },
	{ .name = "slice from an edge to the end",
	  .vec = { { SZ_8G, SZ_64K }, { SZ_4G, SZ_64K } }, .nr = 2,
	  .iova = SZ_1G, .offset = SZ_64K, .len = SZ_64K,
	  .pgsizes = X86_SIZES },
	{ .name = "slice below page size", .vec = { { SZ_8G, SZ_8K } },
	  .nr = 1, .iova = SZ_1G + SZ_2K, .offset = SZ_2K, .len = SZ_4K,
	  .pgsizes = SZ_2K | SZ_4K | SZ_2M },
	{ .name = "slice below page size, small pages",
	  .vec = { { SZ_8G, SZ_64K } }, .nr = 1, .iova = SZ_1G + SZ_2K,
	  .offset = SZ_2K, .len = SZ_32K + SZ_2K,
	  .pgsizes = SZ_2K | SZ_4K | SZ_2M, .small_pages = true },
	{ .name = "half a page", .vec = { { SZ_8G, SZ_8K } }, .nr = 1,
	  .iova = SZ_1G, .offset = SZ_4K + SZ_2K, .len = SZ_2K,
	  .pgsizes = SZ_2K | SZ_4K, .max_pgsize = SZ_2K },
	{ .name = "granule 64K", .vec = { { SZ_8G, SZ_64K }, { SZ_4G, SZ_1M } },
	  .nr = 2, .iova = SZ_1G, .pgsizes = SZ_64K | SZ_512M,
	  .max_pgsize = SZ_64K },
	{ .name = "granule 64K of adjacent ranges",
	  .vec = { { SZ_8G, SZ_4K }, { SZ_8G + SZ_4K, SZ_64K - SZ_4K } },
	  .nr = 2, .iova = SZ_1G, .pgsizes = SZ_64K, .max_pgsize = SZ_64K },
	{ .name = "aliased ranges",
	  .vec = { { SZ_8G, SZ_8K }, { SZ_8G, SZ_8K }, { SZ_8G, SZ_4K } },
	  .nr = 3, .iova = SZ_1G, .pgsizes = X86_SIZES },
};

KUNIT_ARRAY_PARAM_DESC(fill, fill_params, name);

static void fill(struct kunit *test)
{
	const struct fill_param *p = test->param_value;
	struct mock_exporter *exp = export_list(test, p->vec, p->nr, MMIO);
	struct mock_importer *imp = attach_domain(test, exp);
	struct mock_domain *dom = mock_domain(test, p->pgsizes);
	u64 len = p->len ?: mock_sum(p->vec, p->nr);
	struct dma_buf_phys_domain_map *map;

	map = mock_map_domain(imp, dom, p->iova, p->offset, len, MOCK_PROT,
			      p->small_pages);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	KUNIT_EXPECT_EQ(test, dom->mapped, len);
	KUNIT_EXPECT_EQ(test, dom->nr_sync_map, 1);
	if (p->max_pgsize)
		KUNIT_EXPECT_EQ(test, dom->max_pgsize, p->max_pgsize);
	mock_expect_translates(dom, p->vec, p->iova, p->offset, len, MMIO_PROT);

	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
	KUNIT_EXPECT_GT(test, dom->nr_sync, 0);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, dom->mapped, len);
	mock_expect_translates(dom, p->vec, p->iova, p->offset, len, MMIO_PROT);

	mock_unmap_domain(test, map);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
}

struct prot_param {
	const char *name;
	enum dma_buf_phys_kind kind;
	int asked;
	int got;
};

static const struct prot_param prot_params[] = {
	{ "mmio read", MMIO, IOMMU_READ, IOMMU_READ | IOMMU_MMIO },
	{ "mmio write", MMIO, IOMMU_WRITE, IOMMU_WRITE | IOMMU_MMIO },
	{ "mmio read write cache", MMIO, MOCK_PROT, MMIO_PROT },
	{ "ram read", RAM, IOMMU_READ, IOMMU_READ },
	{ "ram write cache", RAM, IOMMU_WRITE | IOMMU_CACHE,
	  IOMMU_WRITE | IOMMU_CACHE },
	{ "ram read write cache", RAM, MOCK_PROT, MOCK_PROT },
};

KUNIT_ARRAY_PARAM_DESC(prot, prot_params, name);

static const struct phys_vec small_list[] = {
	{ SZ_8G, SZ_16K }, { SZ_4G, SZ_4K }, { SZ_2G, SZ_8K }, { SZ_1G, SZ_4K },
};

#define SMALL_SIZE	SZ_32K

static struct mock_exporter *export_small(struct kunit *test,
					  enum dma_buf_phys_kind kind)
{
	return export_list(test, small_list, ARRAY_SIZE(small_list), kind);
}

static void prot_by_kind(struct kunit *test)
{
	const struct prot_param *p = test->param_value;
	struct mock_exporter *exp = export_small(test, p->kind);
	struct mock_domain *dom = mock_domain(test, X86_SIZES);
	struct dma_buf_phys_domain_map *map;

	map = mock_map_domain(attach_domain(test, exp), dom, SZ_1G, 0,
			      SMALL_SIZE, p->asked, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	mock_expect_translates(dom, small_list, SZ_1G, 0, SMALL_SIZE, p->got);
}

/*
 * Refusing
 */

struct bad_param {
	const char *name;
	u64 iova;
	u64 offset;
	u64 len;
	unsigned long pgsizes;
	unsigned int type;
	bool small_pages;
};

static const struct bad_param bad_params[] = {
	{ "length 0", SZ_1G, 0, 0, SZ_4K },
	{ "length 0 at the end", SZ_1G, SMALL_SIZE, 0, SZ_4K },
	{ "a page too long", SZ_1G, 0, SMALL_SIZE + SZ_4K, SZ_4K },
	{ "behind the end", SZ_1G, SMALL_SIZE, SZ_4K, SZ_4K },
	{ "offset plus length overflows", SZ_1G, -(u64)SZ_4K, SZ_8K, SZ_4K },
	{ "length overflows", SZ_1G, SZ_4K, -(u64)SZ_4K, SZ_4K },
	{ "iova plus length overflows", -(u64)SZ_4K, 0, SZ_8K, SZ_4K },
	{ "misaligned iova", SZ_1G + SZ_2K, 0, SZ_4K, SZ_4K },
	{ "misaligned offset", SZ_1G, SZ_2K, SZ_4K, SZ_4K },
	{ "misaligned length", SZ_1G, 0, SZ_2K, SZ_4K },
	{ "iova off by one", SZ_1G + 1, 0, SZ_4K, SZ_4K },
	{ "below the smaller granule", SZ_1G, SZ_1K, SZ_2K, SZ_2K | SZ_4K },
	{ "length below the smaller granule", SZ_1G, 0, SZ_1K, SZ_2K | SZ_4K },
	{ "granule 64K, slice too small", SZ_1G, 0, SMALL_SIZE, SZ_64K },
	{ "granule 16K, ranges too small", SZ_1G, 0, SMALL_SIZE, SZ_16K },
	{ "granule 16K, slice from the second range", SZ_1G, SZ_16K, SZ_16K,
	  SZ_16K },
	{ "small pages, granule 16K", SZ_1G, 0, SZ_16K, SZ_16K, 0, true },
	{ "identity domain", SZ_1G, 0, SZ_4K, SZ_4K, IOMMU_DOMAIN_IDENTITY },
};

KUNIT_ARRAY_PARAM_DESC(bad, bad_params, name);

static void refuse(struct kunit *test)
{
	const struct bad_param *p = test->param_value;
	struct mock_exporter *exp = export_small(test, MMIO);
	struct mock_domain *dom = mock_domain(test, p->pgsizes);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map;

	if (p->type)
		dom->domain.type = p->type;
	map = mock_map_domain(imp, dom, p->iova, p->offset, p->len, MOCK_PROT,
			      p->small_pages);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EINVAL);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);

	/* The refused map is on no list. */
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
}

/* 64K ranges at addresses that are 4K aligned only: nothing is mapped. */
static void refuse_large_granule(struct kunit *test)
{
	static const struct phys_vec vec[] = {
		{ SZ_8G, SZ_64K }, { SZ_4G + SZ_4K, SZ_64K },
	};
	struct mock_exporter *exp = export_list(test, vec, 2, MMIO);
	struct mock_domain *dom = mock_domain(test, SZ_64K);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map;

	map = mock_map_domain(imp, dom, SZ_1G, 0, SZ_128K, MOCK_PROT, false);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EINVAL);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);

	/* The part that fits can be mapped. */
	map = mock_map_domain(imp, dom, SZ_1G, 0, SZ_64K, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	mock_expect_translates(dom, vec, SZ_1G, 0, SZ_64K, MMIO_PROT);
}

/*
 * Failing: every step in turn
 */

struct fail_param {
	const char *name;
	bool partly;
	bool small_pages;
};

static const struct fail_param fail_params[] = {
	{ "whole call", false, false },
	{ "half a call", true, false },
	{ "whole call, small pages", false, true },
	{ "half a call, small pages", true, true },
};

KUNIT_ARRAY_PARAM_DESC(fail, fail_params, name);

/* The n-th driver call fails, for every n, until none does. */
static void fail_map(struct kunit *test)
{
	const struct fail_param *p = test->param_value;
	struct mock_exporter *exp = export_small(test, RAM);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map;
	unsigned int n;

	dom->fail_partly = p->partly;
	for (n = 1; n < 20; n++) {
		dom->nr_map = 0;
		dom->fail_map = n;
		map = mock_map_domain(imp, dom, SZ_1G, 0, SMALL_SIZE, MOCK_PROT,
				      p->small_pages);
		if (!IS_ERR(map))
			break;
		KUNIT_EXPECT_EQ(test, PTR_ERR(map), -ENOSPC);
		KUNIT_EXPECT_EQ(test, dom->mapped, 0);
		KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
	}
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	KUNIT_EXPECT_EQ(test, n, p->small_pages ? 9 : 5);
	mock_expect_translates(dom, small_list, SZ_1G, 0, SMALL_SIZE,
			       MOCK_PROT);
}

static void fail_sync(struct kunit *test)
{
	struct mock_exporter *exp = export_small(test, RAM);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map;

	dom->fail_sync_map = true;
	map = mock_map_domain(imp, dom, SZ_1G, 0, SMALL_SIZE, MOCK_PROT, false);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EIO);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
}

static const struct phys_vec bad_list[] = {
	{ SZ_8G, SZ_16K }, { SZ_4G + 1, SZ_16K },
};

static void fail_ranges(struct kunit *test)
{
	struct mock_exporter *exp = export_small(test, RAM);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map;

	exp->get_error = -EREMOTEIO;
	map = mock_map_domain(imp, dom, SZ_1G, 0, SMALL_SIZE, MOCK_PROT, false);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EREMOTEIO);

	exp->get_error = 0;
	mock_lend(exp, bad_list, ARRAY_SIZE(bad_list), RAM);
	map = mock_map_domain(imp, dom, SZ_1G, 0, SMALL_SIZE, MOCK_PROT, false);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EINVAL);

	KUNIT_EXPECT_EQ(test, dom->nr_map, 0);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
}

/*
 * Suspended
 */

static void register_dead(struct kunit *test)
{
	struct mock_exporter *exp = export_small(test, MMIO);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map, *gone;

	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	map = mock_map_domain(imp, dom, SZ_1G, 0, SMALL_SIZE, MOCK_PROT, false);
	gone = mock_map_domain(imp, dom, SZ_2G, 0, SZ_4K, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, gone);
	KUNIT_EXPECT_EQ(test, dom->nr_map, 0);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);

	/* Unmap of a dead map does nothing, but it is forgotten. */
	mock_unmap_domain(test, gone);
	KUNIT_EXPECT_EQ(test, dom->nr_unmap, 0);

	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, dom->mapped, SMALL_SIZE);
	mock_expect_translates(dom, small_list, SZ_1G, 0, SMALL_SIZE,
			       MMIO_PROT);
}

static void refuse_bad_slice_while_suspended(struct kunit *test)
{
	struct mock_exporter *exp = export_small(test, MMIO);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map;

	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	map = mock_map_domain(imp, dom, SZ_1G, SZ_4K, SMALL_SIZE, MOCK_PROT,
			      false);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EINVAL);
	map = mock_map_domain(imp, dom, SZ_1G, SZ_1K, SZ_4K, MOCK_PROT, false);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EINVAL);
}

#define NR_MAPS		6

/* Some maps in two domains, of two importers; the n-th refill fails. */
struct crowd {
	struct mock_exporter *exp;
	struct mock_domain *dom[2];
	struct dma_buf_phys_domain_map *map[NR_MAPS];
};

static struct mock_domain *dom_of(struct crowd *c, unsigned int i)
{
	return c->dom[i % 2];
}

static u64 iova_of(unsigned int i)
{
	return SZ_1G + (u64)i * SZ_1M;
}

static struct crowd *gather(struct kunit *test)
{
	struct crowd *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	struct mock_importer *imp[2];
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, c);
	c->exp = export_small(test, RAM);
	for (i = 0; i < 2; i++) {
		imp[i] = attach_domain(test, c->exp);
		c->dom[i] = mock_domain(test, SZ_4K);
	}
	for (i = 0; i < NR_MAPS; i++) {
		c->map[i] = mock_map_domain(imp[i / 3], dom_of(c, i),
					    iova_of(i), i * SZ_4K, SZ_8K,
					    MOCK_PROT, false);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c->map[i]);
	}
	return c;
}

static void expect_map(struct crowd *c, unsigned int i)
{
	mock_expect_translates(dom_of(c, i), small_list, iova_of(i), i * SZ_4K,
			       SZ_8K, MOCK_PROT);
}

static void several_maps(struct kunit *test)
{
	struct crowd *c = gather(test);
	unsigned int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < NR_MAPS; i++)
			expect_map(c, i);
		dma_buf_phys_suspend(c->exp->dmabuf, DMA_BUF_PHYS_POWER);
		KUNIT_EXPECT_EQ(test, c->dom[0]->mapped, 0);
		KUNIT_EXPECT_EQ(test, c->dom[1]->mapped, 0);
		dma_buf_phys_restore(c->exp->dmabuf, DMA_BUF_PHYS_POWER);
	}

	/* Each goes alone. */
	for (i = 0; i < NR_MAPS; i++) {
		expect_map(c, i);
		mock_unmap_domain(test, c->map[i]);
	}
	KUNIT_EXPECT_EQ(test, c->dom[0]->mapped + c->dom[1]->mapped, 0);
	KUNIT_EXPECT_EQ(test, c->exp->nr_get, c->exp->nr_put);
}

/* The first refill in one domain fails: its map stays dead, no other does. */
static void fail_refill(struct kunit *test)
{
	struct crowd *c = gather(test);
	struct dma_buf_phys_domain_map *again;
	struct mock_domain *dom = c->dom[1];
	struct mock_importer *imp;

	dma_buf_phys_suspend(c->exp->dmabuf, DMA_BUF_PHYS_RESET);
	dom->nr_map = 0;
	dom->fail_map = 1;
	dma_buf_phys_restore(c->exp->dmabuf, DMA_BUF_PHYS_RESET);
	dom->fail_map = 0;
	KUNIT_EXPECT_EQ(test, c->dom[0]->mapped, 3 * SZ_8K);
	KUNIT_EXPECT_EQ(test, dom->mapped, 2 * SZ_8K);
	KUNIT_EXPECT_EQ(test, c->exp->nr_get - c->exp->nr_put, NR_MAPS - 1);

	/* All of that domain by hand; the dead one is unmapped like a live. */
	mock_unmap_domain(test, c->map[1]);
	mock_unmap_domain(test, c->map[3]);
	mock_unmap_domain(test, c->map[5]);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
	imp = attach_domain(test, c->exp);
	again = mock_map_domain(imp, dom, iova_of(1), SZ_4K, SZ_8K, MOCK_PROT,
				false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, again);
	expect_map(c, 1);
}

/* A map that stayed dead comes back with the next suspend and restore. */
static void refill_after_failure(struct kunit *test)
{
	struct crowd *c = gather(test);
	unsigned int i;

	dma_buf_phys_suspend(c->exp->dmabuf, DMA_BUF_PHYS_RESET);
	c->exp->get_error = -ENOMEM;
	dma_buf_phys_restore(c->exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, c->dom[0]->mapped + c->dom[1]->mapped, 0);
	KUNIT_EXPECT_EQ(test, c->exp->nr_get, c->exp->nr_put);

	c->exp->get_error = 0;
	dma_buf_phys_suspend(c->exp->dmabuf, DMA_BUF_PHYS_RESET);
	dma_buf_phys_restore(c->exp->dmabuf, DMA_BUF_PHYS_RESET);
	for (i = 0; i < NR_MAPS; i++)
		expect_map(c, i);
}

/* SIGKILL ends a long map by hand, which leaves nothing, but no refill. */
static void kill_ends_map(struct kunit *test)
{
	struct mock_exporter *exp = export_small(test, RAM);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct mock_importer *imp = attach_domain(test, exp);
	struct dma_buf_phys_domain_map *map, *killed;

	map = mock_map_domain(imp, dom, SZ_1G, 0, SMALL_SIZE, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	allow_signal(SIGKILL);
	send_sig(SIGKILL, current, 1);
	killed = mock_map_domain(imp, dom, SZ_2G, 0, SMALL_SIZE, MOCK_PROT,
				 true);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(killed), -EINTR);
	KUNIT_EXPECT_EQ(test, dom->mapped, SMALL_SIZE);
	KUNIT_EXPECT_EQ(test, exp->nr_get - exp->nr_put, 1);

	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	flush_signals(current);
	disallow_signal(SIGKILL);
	mock_expect_translates(dom, small_list, SZ_1G, 0, SMALL_SIZE,
			       MOCK_PROT);
}

/* Between suspend and restore the memory may change place and kind. */
static void other_ranges_after_restore(struct kunit *test)
{
	static const struct phys_vec elsewhere[] = {
		{ SZ_16G, SZ_4K }, { SZ_32G, SZ_16K }, { SZ_512M, SZ_4K },
		{ SZ_512M + SZ_4K, SZ_8K },
	};
	struct mock_exporter *exp = export_small(test, RAM);
	struct mock_domain *dom = mock_domain(test, X86_SIZES);
	struct dma_buf_phys_domain_map *map;

	map = mock_map_domain(attach_domain(test, exp), dom, SZ_1G, SZ_8K,
			      SZ_16K, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	mock_expect_translates(dom, small_list, SZ_1G, SZ_8K, SZ_16K,
			       MOCK_PROT);

	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_OWNER);
	mock_lend(exp, elsewhere, ARRAY_SIZE(elsewhere), MMIO);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_OWNER);
	mock_expect_translates(dom, elsewhere, SZ_1G, SZ_8K, SZ_16K, MMIO_PROT);
	KUNIT_EXPECT_EQ(test, dom->mapped, SZ_16K);

	/* A bad list leaves the map dead. */
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_OWNER);
	mock_lend(exp, bad_list, ARRAY_SIZE(bad_list), MMIO);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_OWNER);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
}

/* An importer of domain views only needs no invalidate. */
static void no_invalidate_needed(struct kunit *test)
{
	struct mock_exporter *exp = export_small(test, MMIO);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct dma_buf_phys_domain_map *map;
	struct mock_importer *imp;

	imp = mock_try_attach(test, exp->dmabuf, mock_device(test, "importer"),
			      DMA_BUF_PHYS_VIEW_DOMAIN, &mock_unstoppable);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, imp);
	map = mock_map_domain(imp, dom, SZ_1G, 0, SMALL_SIZE, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	mock_revoke(exp);
	KUNIT_EXPECT_EQ(test, dom->mapped, 0);
	mock_unmap_domain(test, map);
}

static struct kunit_case domain_cases[] = {
	KUNIT_CASE_PARAM(fill, fill_gen_params),
	KUNIT_CASE_PARAM(prot_by_kind, prot_gen_params),
	KUNIT_CASE_PARAM(refuse, bad_gen_params),
	KUNIT_CASE(refuse_large_granule),
	KUNIT_CASE_PARAM(fail_map, fail_gen_params),
	KUNIT_CASE(fail_sync),
	KUNIT_CASE(fail_ranges),
	KUNIT_CASE(register_dead),
	KUNIT_CASE(refuse_bad_slice_while_suspended),
	KUNIT_CASE(several_maps),
	KUNIT_CASE(fail_refill),
	KUNIT_CASE(refill_after_failure),
	KUNIT_CASE(kill_ends_map),
	KUNIT_CASE(other_ranges_after_restore),
	KUNIT_CASE(no_invalidate_needed),
	{}
};

static struct kunit_suite domain_suite = {
	.name = "dma-buf-phys-domain",
	.test_cases = domain_cases,
};

kunit_test_suite(domain_suite);

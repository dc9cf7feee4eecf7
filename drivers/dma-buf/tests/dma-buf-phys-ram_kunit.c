// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: exporters of pages that make scatterlists by themselves
 *
 * The exporter here has real pages in an order that the case chooses, and counts
 * what the class asks of it.
 */
#include <linux/completion.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "dma-buf-phys-mock.h"

#define BLOCK_ORDER	4	/* pages that lie in a row */
#define MAX_PAGES	8

#define VIEW_DMA	DMA_BUF_PHYS_VIEW_DMA
#define VIEW_DOMAIN	DMA_BUF_PHYS_VIEW_DOMAIN
#define VIEW_CPU	DMA_BUF_PHYS_VIEW_CPU

struct ram_exporter {
	struct dma_buf_phys_ram ram;	/* dma_buf::priv points here */
	struct kunit *test;
	struct dma_buf *dmabuf;
	struct page *block;
	struct page *pages[MAX_PAGES];
	unsigned int nr;
	struct sg_table table;
	bool by_table;			/* ranges are made of @table */
	int get_error;
	int attach_error;
	unsigned int nr_attach;		/* now, of attach_sgt() */
	unsigned int nr_maps;		/* now, of scatterlists */
	unsigned int nr_get;
	struct completion released;
};

static struct ram_exporter *to_ram(const struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct ram_exporter, ram.phys);
}

static int ram_get_ranges(struct dma_buf *dmabuf,
			  struct dma_buf_phys_ranges *ranges)
{
	struct ram_exporter *exp = to_ram(dmabuf);

	exp->nr_get++;
	if (exp->get_error)
		return exp->get_error;
	if (exp->by_table)
		return dma_buf_phys_ram_get_sgt(dmabuf, &exp->table, ranges);
	return dma_buf_phys_ram_get_pages(dmabuf, exp->pages, ranges);
}

static int ram_attach_sgt(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attach)
{
	struct ram_exporter *exp = to_ram(dmabuf);

	if (exp->attach_error)
		return exp->attach_error;
	attach->priv = exp;
	exp->nr_attach++;
	return 0;
}

static void ram_detach_sgt(struct dma_buf *dmabuf,
			   struct dma_buf_attachment *attach)
{
	struct ram_exporter *exp = to_ram(dmabuf);

	KUNIT_EXPECT_PTR_EQ(exp->test, attach->priv, (void *)exp);
	exp->nr_attach--;
}

static struct sg_table *ram_map(struct dma_buf_attachment *attach,
				enum dma_data_direction dir)
{
	struct ram_exporter *exp = to_ram(attach->dmabuf);

	KUNIT_EXPECT_PTR_EQ(exp->test, attach->priv, (void *)exp);
	KUNIT_EXPECT_EQ(exp->test, 0,
			dma_map_sgtable(attach->dev, &exp->table, dir, 0));
	exp->nr_maps++;
	return &exp->table;
}

static void ram_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	dma_unmap_sgtable(attach->dev, sgt, dir, 0);
	to_ram(attach->dmabuf)->nr_maps--;
}

static int ram_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	return 0;
}

static int ram_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	return -EINVAL;
}

static void ram_release(struct dma_buf *dmabuf)
{
	struct ram_exporter *exp = to_ram(dmabuf);

	dma_buf_phys_ram_fini(dmabuf);
	complete(&exp->released);
}

/* As the system heap: all that an exporter that stays where it is may have. */
static const struct dma_buf_phys_ops ram_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.map_dma_buf = ram_map,
		.unmap_dma_buf = ram_unmap,
		.begin_cpu_access = ram_access,
		.end_cpu_access = ram_access,
		.vmap = ram_vmap,
		.release = ram_release,
	},
	.get_ranges = ram_get_ranges,
	.attach_sgt = ram_attach_sgt,
	.detach_sgt = ram_detach_sgt,
};

static void ram_exit(void *data)
{
	struct ram_exporter *exp = data;

	if (exp->dmabuf) {
		dma_buf_put(exp->dmabuf);
		flush_delayed_fput();
		wait_for_completion(&exp->released);
	}
	KUNIT_EXPECT_EQ(exp->test, exp->nr_attach, 0);
	KUNIT_EXPECT_EQ(exp->test, exp->nr_maps, 0);
	sg_free_table(&exp->table);
	if (exp->block)
		__free_pages(exp->block, BLOCK_ORDER);
}

/* Pages of a block that lie in a row, in the order of @order. */
static struct ram_exporter *ram_alloc(struct kunit *test, const u8 *order,
				      unsigned int nr)
{
	struct ram_exporter *exp = kunit_kzalloc(test, sizeof(*exp),
						 GFP_KERNEL);
	struct scatterlist *sg;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, exp);
	exp->test = test;
	exp->nr = nr;
	init_completion(&exp->released);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, ram_exit, exp));
	exp->block = alloc_pages(GFP_KERNEL | __GFP_ZERO, BLOCK_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, exp->block);
	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&exp->table, nr, GFP_KERNEL));
	for_each_sgtable_sg(&exp->table, sg, i) {
		exp->pages[i] = exp->block + order[i];
		sg_set_page(sg, exp->pages[i], PAGE_SIZE, 0);
	}
	return exp;
}

static void ram_export(struct ram_exporter *exp)
{
	struct dma_buf_export_info info = {
		.exp_name = "ram",
		.owner = THIS_MODULE,
		.ops = &ram_ops.ops,
		.size = exp->nr * PAGE_SIZE,
		.flags = O_RDWR | O_CLOEXEC,
		.priv = &exp->ram.phys,
	};
	struct dma_buf *dmabuf;

	dma_buf_phys_init(&exp->ram.phys, 0);
	dmabuf = dma_buf_phys_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(exp->test, dmabuf);
	exp->dmabuf = dmabuf;
}

/* One page in the middle of others. */
static struct ram_exporter *ram_three(struct kunit *test)
{
	static const u8 order[] = { 4, 2, 3 };
	struct ram_exporter *exp = ram_alloc(test, order, ARRAY_SIZE(order));

	ram_export(exp);
	return exp;
}

/*
 * Ranges
 */

struct order_param {
	const char *name;
	u8 order[MAX_PAGES];
	u8 nr;
	u8 nr_ranges;
};

static const struct order_param order_params[] = {
	{ "one page", { 3 }, 1, 1 },
	{ "all in a row", { 2, 3, 4, 5 }, 4, 1 },
	{ "backwards", { 5, 4, 3, 2 }, 4, 4 },
	{ "two rows", { 8, 9, 10, 0, 1 }, 5, 2 },
	{ "a gap", { 0, 1, 3, 4 }, 4, 2 },
	{ "twice the same", { 7, 7 }, 2, 2 },
	{ "twice the same row", { 6, 7, 6, 7 }, 4, 2 },
	{ "the most", { 0, 2, 4, 6, 8, 10, 12, 14 }, 8, 8 },
};

KUNIT_ARRAY_PARAM_DESC(order, order_params, name);

static void expect_ranges(struct kunit *test, struct ram_exporter *exp,
			  const struct order_param *p)
{
	struct dma_buf_phys_ranges ranges;
	unsigned int i, wrong = 0;

	dma_resv_lock(exp->dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, ram_get_ranges(exp->dmabuf, &ranges), 0);
	KUNIT_EXPECT_EQ(test, phys_ranges_check(&ranges, exp->dmabuf->size), 0);
	KUNIT_EXPECT_EQ(test, ranges.nr, p->nr_ranges);
	KUNIT_EXPECT_EQ(test, ranges.kind, DMA_BUF_PHYS_RAM);
	KUNIT_EXPECT_EQ(test, mock_sum(ranges.vec, ranges.nr),
			exp->dmabuf->size);
	for (i = 0; i < exp->nr; i++)
		wrong += mock_paddr(ranges.vec, i * PAGE_SIZE) !=
			 page_to_phys(exp->pages[i]);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	dma_resv_unlock(exp->dmabuf->resv);
}

static void ranges_of_pages(struct kunit *test)
{
	const struct order_param *p = test->param_value;
	struct ram_exporter *exp = ram_alloc(test, p->order, p->nr);

	ram_export(exp);
	expect_ranges(test, exp, p);
	/* The same array again. */
	expect_ranges(test, exp, p);
}

static void ranges_of_table(struct kunit *test)
{
	const struct order_param *p = test->param_value;
	struct ram_exporter *exp = ram_alloc(test, p->order, p->nr);

	exp->by_table = true;
	ram_export(exp);
	expect_ranges(test, exp, p);
	expect_ranges(test, exp, p);
}

static void expect_refused(struct kunit *test, struct ram_exporter *exp,
			   unsigned int views, int error)
{
	struct mock_importer *imp =
		mock_try_attach(test, exp->dmabuf, mock_device(test, "importer"),
				views, &mock_stoppable);

	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), error);
	KUNIT_EXPECT_NULL(test, exp->ram.vec);
}

/* Device memory is not taken, not even as one page among others. */
static void device_page(struct kunit *test)
{
	static const u8 order[] = { 0, 1, 2 };
	struct ram_exporter *exp = ram_alloc(test, order, ARRAY_SIZE(order));
	struct page *page = kunit_kzalloc(test, sizeof(*page), GFP_KERNEL);

	if (!IS_ENABLED(CONFIG_ZONE_DEVICE))
		kunit_skip(test, "no device memory with struct page");
	KUNIT_ASSERT_NOT_NULL(test, page);
#ifdef CONFIG_ZONE_DEVICE
	set_page_zone(page, ZONE_DEVICE);
#endif
	exp->pages[1] = page;
	ram_export(exp);
	expect_refused(test, exp, VIEW_DOMAIN, -EOPNOTSUPP);
	expect_refused(test, exp, VIEW_CPU, -EOPNOTSUPP);
}

static void page_with_offset(struct kunit *test)
{
	static const u8 order[] = { 0, 4 };
	struct ram_exporter *exp = ram_alloc(test, order, ARRAY_SIZE(order));

	exp->by_table = true;
	exp->table.sgl->offset = 512;
	ram_export(exp);
	expect_refused(test, exp, VIEW_DOMAIN, -EINVAL);
}

/* An exporter that says no for the views by ranges keeps its scatterlists. */
static void refused_by_exporter(struct kunit *test)
{
	struct ram_exporter *exp = ram_three(test);
	struct mock_importer *imp;

	exp->get_error = -EOPNOTSUPP;
	expect_refused(test, exp, VIEW_DOMAIN, -EOPNOTSUPP);
	expect_refused(test, exp, VIEW_CPU | VIEW_DMA, -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, exp->nr_attach, 0);

	imp = mock_attach(test, exp->dmabuf, VIEW_DMA);
	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, exp->dmabuf->size), 0);
	mock_unmap_dma(imp);
}

/* Out of memory once is not for ever. */
static void again_after_error(struct kunit *test)
{
	static const struct order_param p = { .nr_ranges = 2 };
	struct ram_exporter *exp = ram_three(test);

	exp->get_error = -ENOMEM;
	expect_refused(test, exp, VIEW_DOMAIN, -ENOMEM);
	exp->get_error = 0;
	mock_attach(test, exp->dmabuf, VIEW_DOMAIN);
	expect_ranges(test, exp, &p);
}

/*
 * Who is asked for what
 */

struct views_param {
	const char *name;
	unsigned int views;
	bool sgt;		/* attach_sgt() is called */
	bool ranges;		/* ranges are made */
};

static const struct views_param views_params[] = {
	{ "DMA", VIEW_DMA, true, false },
	{ "domain", VIEW_DOMAIN, false, true },
	{ "CPU", VIEW_CPU, false, true },
	{ "DMA and domain", VIEW_DMA | VIEW_DOMAIN, true, true },
	{ "DMA and CPU", VIEW_DMA | VIEW_CPU, true, true },
	{ "an importer of scatterlists", 0, true, false },
};

KUNIT_ARRAY_PARAM_DESC(views, views_params, name);

static void detach_exit(void *data)
{
	struct dma_buf_attachment *attach = data;

	dma_buf_detach(attach->dmabuf, attach);
}

static void asked_on_attach(struct kunit *test)
{
	const struct views_param *p = test->param_value;
	struct ram_exporter *exp = ram_three(test);
	struct dma_buf_attachment *attach;

	if (p->views) {
		mock_attach(test, exp->dmabuf, p->views);
	} else {
		attach = dma_buf_attach(exp->dmabuf,
					mock_device(test, "importer"));
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, detach_exit,
							  attach));
	}
	KUNIT_EXPECT_EQ(test, exp->nr_attach, p->sgt);
	KUNIT_EXPECT_EQ(test, !!exp->ram.vec, p->ranges);
	KUNIT_EXPECT_EQ(test, !!exp->nr_get, p->ranges);
}

static void attach_fails(struct kunit *test)
{
	struct ram_exporter *exp = ram_three(test);

	exp->attach_error = -EREMOTEIO;
	expect_refused(test, exp, VIEW_DMA, -EREMOTEIO);
	exp->attach_error = 0;
	mock_attach(test, exp->dmabuf, VIEW_DMA);
}

/* The DMA view is the exporter's scatterlist, slice by slice. */
static void dma_view_of_own_table(struct kunit *test)
{
	struct ram_exporter *exp = ram_three(test);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DMA);
	const u64 offset = PAGE_SIZE / 2, len = 2 * PAGE_SIZE;
	struct dma_buf_phys_dma_iter iter;
	u64 pos = offset;

	KUNIT_ASSERT_EQ(test, mock_map_dma(imp, offset, len), 0);
	KUNIT_EXPECT_EQ(test, exp->nr_maps, 1);
	KUNIT_EXPECT_EQ(test, exp->ram.phys.nr_maps, 1);
	dma_buf_phys_dma_iter_start(&iter, &imp->map);
	while (dma_buf_phys_dma_iter_next(&iter)) {
		KUNIT_EXPECT_EQ(test, (u64)iter.addr,
				page_to_phys(exp->pages[pos / PAGE_SIZE]) +
					pos % PAGE_SIZE);
		pos += iter.len;
	}
	KUNIT_EXPECT_EQ(test, pos, offset + len);
	mock_unmap_dma(imp);
	KUNIT_EXPECT_EQ(test, exp->nr_maps, 0);
	KUNIT_EXPECT_EQ(test, exp->ram.phys.nr_maps, 0);
	KUNIT_EXPECT_NULL(test, exp->ram.vec);
}

/* Ordinary memory: cached, and not mapped as MMIO. */
static void domain_view(struct kunit *test)
{
	struct ram_exporter *exp = ram_three(test);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DOMAIN);
	struct mock_domain *dom = mock_domain(test, SZ_4K | SZ_2M);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test,
				     mock_map_domain(imp, dom, SZ_1G, 0,
						     exp->dmabuf->size,
						     MOCK_PROT, false));
	mock_expect_translates(dom, exp->ram.vec, SZ_1G, 0, exp->dmabuf->size,
			       MOCK_PROT);
}

static struct kunit_case ram_cases[] = {
	KUNIT_CASE_PARAM(ranges_of_pages, order_gen_params),
	KUNIT_CASE_PARAM(ranges_of_table, order_gen_params),
	KUNIT_CASE(device_page),
	KUNIT_CASE(page_with_offset),
	KUNIT_CASE(refused_by_exporter),
	KUNIT_CASE(again_after_error),
	KUNIT_CASE_PARAM(asked_on_attach, views_gen_params),
	KUNIT_CASE(attach_fails),
	KUNIT_CASE(dma_view_of_own_table),
	KUNIT_CASE(domain_view),
	{}
};

static struct kunit_suite ram_suite = {
	.name = "dma-buf-phys-ram",
	.test_cases = ram_cases,
};

kunit_test_suite(ram_suite);

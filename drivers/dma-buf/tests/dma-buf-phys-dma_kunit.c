// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: the DMA view, and partners outside the class
 *
 * The device is not PCI and has direct mapping of 64 bits, so a DMA address is
 * the physical address and every run can be compared with the model. System
 * memory only: device memory needs a PCI device, see the guest tests.
 *
 * Directions are DMA_TO_DEVICE, because dma-debug takes two writable mappings
 * of one address for a mistake.
 */
#include <kunit/resource.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/gfp.h>
#include <linux/iosys-map.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "dma-buf-phys-mock.h"

#define MMIO		DMA_BUF_PHYS_MMIO
#define RAM		DMA_BUF_PHYS_RAM
#define MAX_RUNS	8

/* A view walks exactly @runs. */
static void expect_runs(struct kunit *test,
			const struct dma_buf_phys_dma_map *map,
			const struct phys_vec *runs, size_t nr)
{
	struct dma_buf_phys_dma_iter iter;
	size_t i;

	dma_buf_phys_dma_iter_start(&iter, map);
	for (i = 0; i < nr; i++) {
		KUNIT_ASSERT_TRUE(test, dma_buf_phys_dma_iter_next(&iter));
		KUNIT_EXPECT_EQ(test, iter.addr, runs[i].paddr);
		KUNIT_EXPECT_EQ(test, iter.len, runs[i].len);
	}
	KUNIT_EXPECT_FALSE(test, dma_buf_phys_dma_iter_next(&iter));
	KUNIT_EXPECT_FALSE(test, dma_buf_phys_dma_iter_next(&iter));
}

struct list_param {
	const char *name;
	struct phys_vec vec[4];
	size_t nr;
};

static const struct list_param list_params[] = {
	{ "one page", { { SZ_8G, SZ_4K } }, 1 },
	{ "two ranges", { { SZ_8G, SZ_64K }, { SZ_4G, SZ_4K } }, 2 },
	{ "adjacent ranges", { { SZ_8G, SZ_4K }, { SZ_8G + SZ_4K, SZ_8K },
	  { SZ_16G, SZ_4K }, { SZ_16G + SZ_4K, SZ_4K } }, 4 },
	{ "aliased ranges", { { SZ_8G, SZ_8K }, { SZ_8G, SZ_8K },
	  { SZ_8G + SZ_4K, SZ_4K } }, 3 },
	{ "below 4 GiB", { { SZ_8G, SZ_4G - SZ_4K } }, 1 },
	{ "4 GiB sharp", { { SZ_8G, SZ_4G } }, 1 },
	{ "over 4 GiB", { { SZ_32G, 13ULL * SZ_1G }, { SZ_8G, SZ_4K },
	  { SZ_16G, SZ_4G + SZ_4K } }, 3 },
	{ "2^44 bytes", { { 1ULL << 45, 1ULL << 44 } }, 1 },
};

KUNIT_ARRAY_PARAM_DESC(list, list_params, name);

static struct mock_exporter *export_list(struct kunit *test,
					 const struct list_param *p)
{
	const struct mock_buffer buffer = {
		.vec = p->vec,
		.nr = p->nr,
		.kind = RAM,
	};

	return mock_export(test, &buffer);
}

static const struct list_param two_ranges = {
	"", { { SZ_8G, SZ_64K }, { SZ_4G, SZ_64K } }, 2,
};

#define TWO_SIZE	SZ_128K

static void expect_slice(struct kunit *test, struct mock_importer *imp,
			 const struct list_param *p, u64 offset, u64 len)
{
	struct phys_vec runs[MAX_RUNS];
	size_t nr = mock_runs(p->vec, p->nr, offset, len, runs);

	KUNIT_ASSERT_EQ(test, mock_map_dma(imp, offset, len), 0);
	expect_runs(test, &imp->map, runs, nr);
	mock_unmap_dma(imp);
}

/* The whole, and slices whose ends are near the ends of the ranges. */
static void map_slices(struct kunit *test)
{
	static const int near[] = { -4097, -4096, -1, 0, 1, 4095, 4096 };
	const struct list_param *p = test->param_value;
	struct mock_exporter *exp = export_list(test, p);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf,
						DMA_BUF_PHYS_VIEW_DMA);
	u64 size = exp->dmabuf->size, start = 0, at;
	size_t i, j;

	expect_slice(test, imp, p, 0, size);
	for (i = 0; i < p->nr; start += p->vec[i].len, i++) {
		for (j = 0; j < ARRAY_SIZE(near); j++) {
			at = start + near[j];
			if (at >= size)
				continue;
			expect_slice(test, imp, p, at, 1);
			expect_slice(test, imp, p, at, size - at);
			expect_slice(test, imp, p, 0, at + 1);
		}
	}
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
}

struct slice_param {
	const char *name;
	u64 offset;
	u64 len;
};

static const struct slice_param slice_params[] = {
	{ "length 0", 0, 0 },
	{ "length 0 at the end", TWO_SIZE, 0 },
	{ "a byte too long", 0, TWO_SIZE + 1 },
	{ "a byte behind the end", TWO_SIZE, 1 },
	{ "far behind the end", SZ_8G, SZ_4K },
	{ "overflow to the end", -(u64)SZ_4K, SZ_4K + TWO_SIZE },
	{ "all ones", ~0ULL, ~0ULL },
};

KUNIT_ARRAY_PARAM_DESC(slice, slice_params, name);

static void refuse_slice(struct kunit *test)
{
	const struct slice_param *p = test->param_value;
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf,
						DMA_BUF_PHYS_VIEW_DMA);
	unsigned int nr_get = exp->nr_get;

	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, p->offset, p->len), -EINVAL);
	KUNIT_EXPECT_EQ(test, exp->nr_get, nr_get);
}

/* Errors of the exporter, at attach and at map. */
static void fail_ranges(struct kunit *test)
{
	static const struct phys_vec bad[] = {
		{ SZ_8G, SZ_64K }, { SZ_4G, SZ_64K + 1 },
	};
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct device *dev = mock_device(test, "second");
	struct mock_importer *imp, *second;

	imp = mock_attach(test, exp->dmabuf, DMA_BUF_PHYS_VIEW_DMA);
	exp->get_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SZ_4K), -EREMOTEIO);
	second = mock_try_attach(test, exp->dmabuf, dev, DMA_BUF_PHYS_VIEW_DMA,
				 &mock_stoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(second), -EREMOTEIO);

	exp->get_error = 0;
	mock_lend(exp, bad, ARRAY_SIZE(bad), RAM);
	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SZ_4K), -EINVAL);
	second = mock_try_attach(test, exp->dmabuf, dev, DMA_BUF_PHYS_VIEW_DMA,
				 &mock_stoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(second), -EINVAL);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
}

/*
 * Importers outside the class
 */

static unsigned int nr_old_invalidate;

static void old_invalidate(struct dma_buf_attachment *attach)
{
	nr_old_invalidate++;
}

static const struct dma_buf_attach_ops old_stoppable = {
	.allow_peer2peer = true,
	.invalidate_mappings = old_invalidate,
};

static const struct dma_buf_attach_ops old_no_peer = {
	.invalidate_mappings = old_invalidate,
};

static const struct dma_buf_attach_ops old_unstoppable = {
	.allow_peer2peer = true,
};

static void old_detach_exit(void *data)
{
	struct dma_buf_attachment *attach = data;

	dma_buf_detach(attach->dmabuf, attach);
}

/* May return an ERR_PTR. */
static struct dma_buf_attachment *
old_attach(struct kunit *test, struct dma_buf *dmabuf, struct device *dev,
	   const struct dma_buf_attach_ops *ops)
{
	struct dma_buf_attachment *attach =
		dma_buf_dynamic_attach(dmabuf, dev, ops, test);

	if (!IS_ERR(attach))
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, old_detach_exit,
							  attach));
	return attach;
}

/* All of the buffer, in page aligned entries that a 32-bit length can hold. */
static void expect_table(struct kunit *test, struct sg_table *sgt,
			 const struct list_param *p)
{
	const u64 size = mock_sum(p->vec, p->nr);
	unsigned int wrong = 0, i;
	struct scatterlist *sg;
	u64 pos = 0, first, last;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		first = sg_dma_address(sg);
		last = first + sg_dma_len(sg) - 1;
		wrong += !sg_dma_len(sg) || !PAGE_ALIGNED(first) ||
			 !PAGE_ALIGNED(sg_dma_len(sg)) || pos >= size ||
			 first != mock_paddr(p->vec, pos);
		pos += sg_dma_len(sg);
		wrong += pos > size || last != mock_paddr(p->vec, pos - 1);
		if (wrong)
			break;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, pos, size);
}

static void old_importer(struct kunit *test)
{
	const struct list_param *p = test->param_value;
	struct mock_exporter *exp = export_list(test, p);
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	attach = old_attach(test, exp->dmabuf, mock_device(test, "old"),
			    &old_stoppable);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	expect_table(test, sgt, p);
	KUNIT_EXPECT_EQ(test, exp->nr_get - exp->nr_put, 1);
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
}

/* There is no CPU side. Asked behind the back of CONFIG_DMABUF_DEBUG. */
static void old_importer_sees_no_pages(struct kunit *test)
{
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	attach = old_attach(test, exp->dmabuf, mock_device(test, "old"),
			    &old_stoppable);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	dma_resv_lock(exp->dmabuf->resv, NULL);
	sgt = dma_buf_phys_map_dma_buf(attach, DMA_TO_DEVICE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, sgt);
	if (!IS_ERR_OR_NULL(sgt)) {
		KUNIT_EXPECT_EQ(test, sgt->orig_nents, 0);
		KUNIT_EXPECT_EQ(test, sgt->nents, 2);
		expect_table(test, sgt, &two_ranges);
		dma_buf_phys_unmap_dma_buf(attach, sgt, DMA_TO_DEVICE);
	}
	dma_resv_unlock(exp->dmabuf->resv);
}

/* Many maps at once, undone in another order. */
static void old_importer_maps_twice(struct kunit *test)
{
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct dma_buf_attachment *attach;
	struct sg_table *sgt[2];

	attach = old_attach(test, exp->dmabuf, mock_device(test, "old"),
			    &old_stoppable);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	sgt[0] = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	sgt[1] = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt[0]);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt[1]);
	dma_buf_unmap_attachment_unlocked(attach, sgt[0], DMA_TO_DEVICE);
	expect_table(test, sgt[1], &two_ranges);
	dma_buf_unmap_attachment_unlocked(attach, sgt[1], DMA_TO_DEVICE);
}

static void old_importer_and_states(struct kunit *test)
{
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	nr_old_invalidate = 0;
	attach = old_attach(test, exp->dmabuf, mock_device(test, "old"),
			    &old_stoppable);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, nr_old_invalidate, 1);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sgt), -ENODEV);

	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_TO_DEVICE);

	mock_revoke(exp);
	KUNIT_EXPECT_EQ(test, nr_old_invalidate, 2);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sgt), -ENODEV);
}

/* Who never revokes takes importers that cannot stop, and keeps one array. */
static void old_importer_of_fixed_buffer(struct kunit *test)
{
	const struct mock_buffer buffer = {
		.vec = two_ranges.vec,
		.nr = two_ranges.nr,
		.kind = RAM,
		.fixed = true,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	attach = old_attach(test, exp->dmabuf, mock_device(test, "old"), NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	expect_table(test, sgt, &two_ranges);
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_TO_DEVICE);
}

/*
 * Who is refused at attach
 */

struct refuse_param {
	const char *name;
	enum dma_buf_phys_kind kind;
	unsigned int views;		/* 0: importer outside the class */
	const void *ops;		/* of the importer */
	bool fixed;
	int ret;
};

#define VIEW_DMA	DMA_BUF_PHYS_VIEW_DMA
#define VIEW_DOMAIN	DMA_BUF_PHYS_VIEW_DOMAIN

static const struct refuse_param refuse_params[] = {
	{ "ram, stoppable", RAM, VIEW_DMA, &mock_stoppable, false, 0 },
	{ "ram, unstoppable", RAM, VIEW_DMA, &mock_unstoppable, false,
	  -EOPNOTSUPP },
	{ "ram, unstoppable, both views", RAM, VIEW_DMA | VIEW_DOMAIN,
	  &mock_unstoppable, false, -EOPNOTSUPP },
	{ "ram, domain only", RAM, VIEW_DOMAIN, &mock_unstoppable, false, 0 },
	{ "fixed ram, unstoppable", RAM, VIEW_DMA, &mock_unstoppable, true, 0 },
	{ "mmio, device is not PCI", MMIO, VIEW_DMA, &mock_stoppable, false,
	  -EOPNOTSUPP },
	{ "mmio, device is not PCI, both views", MMIO, VIEW_DMA | VIEW_DOMAIN,
	  &mock_stoppable, false, -EOPNOTSUPP },
	{ "mmio, domain only", MMIO, VIEW_DOMAIN, &mock_stoppable, false, 0 },
	{ "ram, old, stoppable", RAM, 0, &old_stoppable, false, 0 },
	{ "ram, old, no peer-to-peer", RAM, 0, &old_no_peer, false, 0 },
	{ "ram, old, unstoppable", RAM, 0, &old_unstoppable, false,
	  -EOPNOTSUPP },
	{ "ram, old, static", RAM, 0, NULL, false, -EOPNOTSUPP },
	{ "fixed ram, old, static", RAM, 0, NULL, true, 0 },
	{ "mmio, old, no peer-to-peer", MMIO, 0, &old_no_peer, false,
	  -EOPNOTSUPP },
	{ "mmio, old, device is not PCI", MMIO, 0, &old_stoppable, false,
	  -EOPNOTSUPP },
	{ "fixed mmio, old, static", MMIO, 0, NULL, true, -EOPNOTSUPP },
};

KUNIT_ARRAY_PARAM_DESC(refuse, refuse_params, name);

static int try_attach(struct kunit *test, struct mock_exporter *exp)
{
	const struct refuse_param *p = test->param_value;
	struct device *dev = mock_device(test, "importer");

	if (p->views)
		return PTR_ERR_OR_ZERO(mock_try_attach(test, exp->dmabuf, dev,
						       p->views, p->ops));
	return PTR_ERR_OR_ZERO(old_attach(test, exp->dmabuf, dev, p->ops));
}

static struct mock_exporter *export_for_refuse(struct kunit *test,
					       unsigned long suspended)
{
	const struct refuse_param *p = test->param_value;
	const struct mock_buffer buffer = {
		.vec = two_ranges.vec,
		.nr = two_ranges.nr,
		.kind = p->kind,
		.fixed = p->fixed,
		.suspended = suspended,
	};

	return mock_export(test, &buffer);
}

static void attach_or_refuse(struct kunit *test)
{
	const struct refuse_param *p = test->param_value;
	struct mock_exporter *exp = export_for_refuse(test, 0);

	KUNIT_EXPECT_EQ(test, try_attach(test, exp), p->ret);
	KUNIT_EXPECT_EQ(test, list_empty(&exp->dmabuf->attachments), !!p->ret);
}

/* Who said that it never revokes cannot. */
static void revoke_fixed(struct kunit *test, struct mock_exporter *exp)
{
	const struct refuse_param *p = test->param_value;

	kunit_warning_suppress(test) {
		dma_buf_phys_revoke(exp->dmabuf);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_EQ(test, try_attach(test, exp), p->ret);
}

/* A revoked buffer takes nobody. */
static void attach_to_revoked(struct kunit *test)
{
	const struct refuse_param *p = test->param_value;
	struct mock_exporter *exp = export_for_refuse(test, 0);
	int ret;

	if (p->fixed) {
		revoke_fixed(test, exp);
		return;
	}
	mock_revoke(exp);
	ret = try_attach(test, exp);
	KUNIT_EXPECT_TRUE(test, ret == -ENODEV || ret == -EOPNOTSUPP);
	if (!p->ret)
		KUNIT_EXPECT_EQ(test, ret, -ENODEV);
}

/* Whether they fit does not depend on the state. */
static void attach_to_suspended(struct kunit *test)
{
	const struct refuse_param *p = test->param_value;
	struct mock_exporter *exp = export_for_refuse(test, DMA_BUF_PHYS_RESET);

	KUNIT_EXPECT_EQ(test, try_attach(test, exp), p->ret);
	KUNIT_EXPECT_EQ(test, list_empty(&exp->dmabuf->attachments), !!p->ret);
}

/* What fits is looked at again at map: the memory may be of another kind. */
static void kind_changes_after_attach(struct kunit *test)
{
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DMA);
	struct dma_buf_attachment *old;
	struct sg_table *sgt;

	old = old_attach(test, exp->dmabuf, mock_device(test, "old"),
			 &old_no_peer);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, old);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_OWNER);
	mock_lend(exp, two_ranges.vec, two_ranges.nr, MMIO);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_OWNER);

	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SZ_4K), -EOPNOTSUPP);
	sgt = dma_buf_map_attachment_unlocked(old, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sgt), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
}

/* Who cannot be told that the memory moves has to pin it first. */
static void pin_before_map(struct kunit *test)
{
	const struct mock_buffer buffer = {
		.vec = two_ranges.vec,
		.nr = two_ranges.nr,
		.kind = RAM,
		.fixed = true,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);
	struct dma_resv *resv = exp->dmabuf->resv;
	struct mock_importer *imp;

	imp = mock_try_attach(test, exp->dmabuf, mock_device(test, "importer"),
			      VIEW_DMA, &mock_unstoppable);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, imp);
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SZ_4K), -EINVAL);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(imp->attach), 0);
	dma_resv_unlock(resv);
	KUNIT_EXPECT_EQ(test, exp->nr_pin, 1);
	expect_slice(test, imp, &two_ranges, 0, TWO_SIZE);
	dma_resv_lock(resv, NULL);
	dma_buf_phys_unpin(imp->attach);
	dma_resv_unlock(resv);
}

/*
 * Exporters that are not of the class, though they say so
 */

static int no_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	return 0;
}

static int no_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	return -EINVAL;
}

static struct sg_table *no_map(struct dma_buf_attachment *attach,
			       enum dma_data_direction dir)
{
	return ERR_PTR(-EINVAL);
}

static void no_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		     enum dma_data_direction dir)
{
}

static int no_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	return 0;
}

struct export_param {
	const char *name;
	void (*spoil)(struct dma_buf_phys_ops *ops);
};

static void spoil_attach(struct dma_buf_phys_ops *ops)
{
	ops->ops.attach = no_attach;
}

static void spoil_detach(struct dma_buf_phys_ops *ops)
{
	ops->ops.detach = NULL;
}

static void spoil_get_ranges(struct dma_buf_phys_ops *ops)
{
	ops->get_ranges = NULL;
}

static void spoil_vmap(struct dma_buf_phys_ops *ops)
{
	ops->ops.vmap = no_vmap;
}

static void spoil_maps(struct dma_buf_phys_ops *ops)
{
	ops->ops.map_dma_buf = no_map;
	ops->ops.unmap_dma_buf = no_unmap;
}

static void spoil_unmap(struct dma_buf_phys_ops *ops)
{
	ops->may_revoke = false;
	ops->ops.unmap_dma_buf = no_unmap;
}

static void spoil_begin_access(struct dma_buf_phys_ops *ops)
{
	ops->ops.begin_cpu_access = no_access;
}

static void spoil_end_access(struct dma_buf_phys_ops *ops)
{
	ops->ops.end_cpu_access = no_access;
}

static int no_attach_sgt(struct dma_buf *dmabuf,
			 struct dma_buf_attachment *attach)
{
	return 0;
}

static void no_detach_sgt(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attach)
{
}

static void spoil_attach_sgt(struct dma_buf_phys_ops *ops)
{
	ops->attach_sgt = no_attach_sgt;
	ops->detach_sgt = no_detach_sgt;
}

static void spoil_detach_sgt(struct dma_buf_phys_ops *ops)
{
	spoil_maps(ops);
	ops->may_revoke = false;
	ops->attach_sgt = no_attach_sgt;
}

static const struct export_param export_params[] = {
	{ "attach is not the class's", spoil_attach },
	{ "no detach", spoil_detach },
	{ "no get_ranges", spoil_get_ranges },
	{ "may revoke, but has vmap", spoil_vmap },
	{ "may revoke, but maps by itself", spoil_maps },
	{ "map of the class, unmap of its own", spoil_unmap },
	{ "may revoke, but begins accesses", spoil_begin_access },
	{ "may revoke, but ends accesses", spoil_end_access },
	{ "scatterlists of the class, attach of its own", spoil_attach_sgt },
	{ "attach of its own, no detach", spoil_detach_sgt },
};

KUNIT_ARRAY_PARAM_DESC(export, export_params, name);

static void refuse_exporter(struct kunit *test)
{
	const struct export_param *p = test->param_value;
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct dma_buf_phys_ops ops = exp->ops;
	struct dma_buf_export_info info = {
		.exp_name = "spoilt",
		.owner = THIS_MODULE,
		.ops = &ops.ops,
		.size = TWO_SIZE,
		.flags = O_RDWR,
	};
	struct dma_buf_phys phys;
	struct dma_buf *dmabuf;

	p->spoil(&ops);
	dma_buf_phys_init(&phys, 0);
	info.priv = &phys;
	kunit_warning_suppress(test) {
		dmabuf = dma_buf_phys_export(&info);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(dmabuf), -EINVAL);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
}

/* Calls that are mistakes of the programmer warn, and fail. */
static void misuse(struct kunit *test)
{
	struct mock_exporter *exp = export_list(test, &two_ranges);
	struct device *dev = mock_device(test, "importer");
	struct mock_importer *imp;

	kunit_warning_suppress(test) {
		imp = mock_try_attach(test, exp->dmabuf, dev, 0,
				      &mock_stoppable);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), -EINVAL);
		imp = mock_try_attach(test, exp->dmabuf, dev,
				      VIEW_DMA | BIT(7), &mock_stoppable);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), -EINVAL);
		imp = mock_attach(test, exp->dmabuf, VIEW_DOMAIN);
		KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SZ_4K), -EINVAL);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 3);
	}
}

/*
 * Exporters outside the class
 */

#define MAX_SEGS	4

struct old_exporter {
	struct kunit *test;
	struct dma_buf *dmabuf;
	struct phys_vec segs[MAX_SEGS];
	unsigned int nr;		/* entries of the table */
	unsigned int nr_dma;		/* of which have a DMA address */
	bool fake;			/* there are no pages */
	unsigned int nr_maps;
	struct completion released;
};

static void old_fake_dma(struct old_exporter *exp, struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(sgt, sg, i) {
		sg_dma_address(sg) = exp->segs[i].paddr;
		sg_dma_len(sg) = exp->segs[i].len;
	}
	sgt->nents = exp->nr_dma;
}

static int old_real_dma(struct old_exporter *exp, struct sg_table *sgt,
			struct device *dev, enum dma_data_direction dir)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(sgt, sg, i)
		sg_set_page(sg, pfn_to_page(PHYS_PFN(exp->segs[i].paddr)),
			    exp->segs[i].len, 0);
	return dma_map_sgtable(dev, sgt, dir, 0);
}

static struct sg_table *old_map(struct dma_buf_attachment *attach,
				enum dma_data_direction dir)
{
	struct old_exporter *exp = attach->dmabuf->priv;
	struct sg_table *sgt = kzalloc_obj(*sgt);

	KUNIT_ASSERT_NOT_NULL(exp->test, sgt);
	KUNIT_ASSERT_EQ(exp->test, 0, sg_alloc_table(sgt, exp->nr, GFP_KERNEL));
	if (exp->fake)
		old_fake_dma(exp, sgt);
	else
		KUNIT_EXPECT_EQ(exp->test, 0,
				old_real_dma(exp, sgt, attach->dev, dir));
	exp->nr_maps++;
	return sgt;
}

static void old_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	struct old_exporter *exp = attach->dmabuf->priv;

	if (!exp->fake)
		dma_unmap_sgtable(attach->dev, sgt, dir, 0);
	sg_free_table(sgt);
	kfree(sgt);
	exp->nr_maps--;
}

static void old_release(struct dma_buf *dmabuf)
{
	struct old_exporter *exp = dmabuf->priv;

	complete(&exp->released);
}

static const struct dma_buf_ops old_ops = {
	.map_dma_buf = old_map,
	.unmap_dma_buf = old_unmap,
	.release = old_release,
};

static void old_export_exit(void *data)
{
	struct old_exporter *exp = data;

	dma_buf_put(exp->dmabuf);
	flush_delayed_fput();
	wait_for_completion(&exp->released);
	KUNIT_EXPECT_EQ(exp->test, exp->nr_maps, 0);
}

static void old_export(struct old_exporter *exp, size_t size)
{
	struct dma_buf_export_info info = {
		.exp_name = "old",
		.owner = THIS_MODULE,
		.ops = &old_ops,
		.size = size,
		.flags = O_RDWR | O_CLOEXEC,
		.priv = exp,
	};

	init_completion(&exp->released);
	exp->dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(exp->test, exp->dmabuf);
	KUNIT_ASSERT_EQ(exp->test, 0,
			kunit_add_action_or_reset(exp->test, old_export_exit,
						  exp));
}

static void free_pages_exit(void *data)
{
	struct phys_vec *seg = data;

	__free_pages(pfn_to_page(PHYS_PFN(seg->paddr)), get_order(seg->len));
}

/* An old exporter of real pages: segments of 1, 4, 2 and 1 of them. */
static struct old_exporter *export_pages(struct kunit *test)
{
	static const unsigned int orders[MAX_SEGS] = { 0, 2, 1, 0 };
	struct old_exporter *exp = kunit_kzalloc(test, sizeof(*exp),
						 GFP_KERNEL);
	struct page *page;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, exp);
	exp->test = test;
	for (i = 0; i < MAX_SEGS; i++) {
		page = alloc_pages(GFP_KERNEL, orders[i]);
		KUNIT_ASSERT_NOT_NULL(test, page);
		exp->segs[i].paddr = page_to_phys(page);
		exp->segs[i].len = PAGE_SIZE << orders[i];
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, free_pages_exit,
							  &exp->segs[i]));
	}
	exp->nr = MAX_SEGS;
	exp->nr_dma = MAX_SEGS;
	old_export(exp, mock_sum(exp->segs, MAX_SEGS));
	return exp;
}

/* The view of the slice, byte for byte at the ends of every run. */
static void expect_old_slice(struct kunit *test, struct mock_importer *imp,
			     struct old_exporter *exp, u64 offset, u64 len)
{
	struct dma_buf_phys_dma_iter iter;
	unsigned int wrong = 0;
	u64 pos = offset;

	KUNIT_ASSERT_EQ(test, mock_map_dma(imp, offset, len), 0);
	dma_buf_phys_dma_iter_start(&iter, &imp->map);
	while (dma_buf_phys_dma_iter_next(&iter)) {
		wrong += !iter.len || pos + iter.len > offset + len;
		if (wrong)
			break;
		wrong += iter.addr != mock_paddr(exp->segs, pos) ||
			 iter.addr + iter.len - 1 !=
				 mock_paddr(exp->segs, pos + iter.len - 1);
		pos += iter.len;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, pos, offset + len);
	mock_unmap_dma(imp);
}

static void old_exporter_slices(struct kunit *test)
{
	static const u64 edges[] = { 0, 1, 4095, 4096, 4097, 8192, 20479, 20480,
				     20481, 28671, 28672, 30000, 32767, 32768 };
	struct old_exporter *exp = export_pages(test);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DMA);
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(edges); i++)
		for (j = i + 1; j < ARRAY_SIZE(edges); j++)
			expect_old_slice(test, imp, exp, edges[i],
					 edges[j] - edges[i]);
	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, exp->dmabuf->size + 1),
			-EINVAL);
}

static void old_exporter_has_no_domain_view(struct kunit *test)
{
	struct old_exporter *exp = export_pages(test);
	struct device *dev = mock_device(test, "importer");
	struct mock_importer *imp;

	imp = mock_try_attach(test, exp->dmabuf, dev, VIEW_DOMAIN,
			      &mock_stoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), -EOPNOTSUPP);
	imp = mock_try_attach(test, exp->dmabuf, dev, VIEW_DMA | VIEW_DOMAIN,
			      &mock_stoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), -EOPNOTSUPP);
	KUNIT_EXPECT_FALSE(test, is_dma_buf_phys(exp->dmabuf));
}

/* An IOMMU merged entries: fewer have DMA addresses than the table has. */
static struct old_exporter *export_merged(struct kunit *test, size_t size)
{
	struct old_exporter *exp = kunit_kzalloc(test, sizeof(*exp),
						 GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, exp);
	exp->test = test;
	exp->fake = true;
	exp->segs[0] = (struct phys_vec) { SZ_8G, SZ_16K };
	exp->segs[1] = (struct phys_vec) { SZ_4G, SZ_4K };
	exp->segs[2] = (struct phys_vec) { 0xdead0000, SZ_4K };	/* stale */
	exp->nr = 3;
	exp->nr_dma = 2;
	old_export(exp, size);
	return exp;
}

static void old_exporter_merged(struct kunit *test)
{
	struct old_exporter *exp = export_merged(test, SZ_16K + SZ_4K);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DMA);

	expect_old_slice(test, imp, exp, 0, SZ_16K + SZ_4K);
	expect_old_slice(test, imp, exp, SZ_16K - 1, 2);
}

/* The table describes less than the size: never hand out a stale entry. */
static void old_exporter_short(struct kunit *test)
{
	struct old_exporter *exp = export_merged(test, SZ_16K + SZ_8K);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DMA);
	struct dma_buf_phys_dma_iter iter;
	u64 sum = 0;

	if (mock_map_dma(imp, 0, SZ_16K + SZ_8K))
		return;		/* refused, just as well */
	if (IS_ENABLED(CONFIG_DMABUF_DEBUG)) {
		KUNIT_FAIL(test, "mapped; a walk would end at NULL");
		return;
	}
	dma_buf_phys_dma_iter_start(&iter, &imp->map);
	while (dma_buf_phys_dma_iter_next(&iter))
		sum += iter.len;
	KUNIT_EXPECT_EQ(test, sum, SZ_16K + SZ_4K);
}

static struct kunit_case dma_cases[] = {
	KUNIT_CASE_PARAM(map_slices, list_gen_params),
	KUNIT_CASE_PARAM(refuse_slice, slice_gen_params),
	KUNIT_CASE(fail_ranges),
	KUNIT_CASE_PARAM(old_importer, list_gen_params),
	KUNIT_CASE(old_importer_sees_no_pages),
	KUNIT_CASE(old_importer_maps_twice),
	KUNIT_CASE(old_importer_and_states),
	KUNIT_CASE(old_importer_of_fixed_buffer),
	KUNIT_CASE_PARAM(attach_or_refuse, refuse_gen_params),
	KUNIT_CASE_PARAM(attach_to_revoked, refuse_gen_params),
	KUNIT_CASE_PARAM(attach_to_suspended, refuse_gen_params),
	KUNIT_CASE(kind_changes_after_attach),
	KUNIT_CASE(pin_before_map),
	KUNIT_CASE_PARAM(refuse_exporter, export_gen_params),
	KUNIT_CASE(misuse),
	KUNIT_CASE(old_exporter_slices),
	KUNIT_CASE(old_exporter_has_no_domain_view),
	KUNIT_CASE(old_exporter_merged),
	KUNIT_CASE(old_exporter_short),
	{}
};

static struct kunit_suite dma_suite = {
	.name = "dma-buf-phys-dma",
	.test_cases = dma_cases,
};

kunit_test_suite(dma_suite);

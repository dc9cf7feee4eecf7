// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: moving the memory of a live buffer
 *
 * The mock exporter lends one of two lists, and a move is a change from one to
 * the other. Where bytes count, the lists are of real pages.
 */
#include <kunit/resource.h>
#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/gfp.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "dma-buf-phys-mock.h"

#define MMIO		DMA_BUF_PHYS_MMIO
#define RAM		DMA_BUF_PHYS_RAM
#define VIEW_DMA	DMA_BUF_PHYS_VIEW_DMA
#define VIEW_CPU	DMA_BUF_PHYS_VIEW_CPU
#define VIEW_DOMAIN	DMA_BUF_PHYS_VIEW_DOMAIN
#define SIZE		SZ_16K

static const struct phys_vec here[] = { { SZ_4G, SZ_8K }, { SZ_8G, SZ_8K } };
static const struct phys_vec there[] = { { SZ_16G, SZ_16K } };

struct stage {
	struct kunit *test;
	struct mock_exporter *exp;
	struct mock_importer *imp;
};

static struct mock_exporter *export_here(struct kunit *test,
					 enum dma_buf_phys_kind kind)
{
	const struct mock_buffer buffer = {
		.vec = here,
		.nr = ARRAY_SIZE(here),
		.kind = kind,
		.moves = true,
	};

	return mock_export(test, &buffer);
}

static struct stage set_stage(struct kunit *test)
{
	struct stage s = { .test = test, .exp = export_here(test, RAM) };

	s.imp = mock_attach(test, s.exp->dmabuf, VIEW_DMA);
	return s;
}

/* What an exporter does: make way, then lend the other list. */
static int move_locked(struct mock_exporter *exp, const struct phys_vec *vec,
		       size_t nr, enum dma_buf_phys_kind kind)
{
	int ret = dma_buf_phys_move(exp->dmabuf);

	if (!ret)
		mock_lend(exp, vec, nr, kind);
	return ret;
}

static int move_there(struct mock_exporter *exp)
{
	int ret;

	dma_resv_lock(exp->dmabuf->resv, NULL);
	ret = move_locked(exp, there, ARRAY_SIZE(there), RAM);
	dma_resv_unlock(exp->dmabuf->resv);
	return ret;
}

static dma_addr_t first_addr(const struct dma_buf_phys_dma_map *map)
{
	struct dma_buf_phys_dma_iter iter;

	dma_buf_phys_dma_iter_start(&iter, map);
	return dma_buf_phys_dma_iter_next(&iter) ? iter.addr : 0;
}

/* The importer is told, and finds the memory at its new place. */
static void remap(struct kunit *test)
{
	struct stage s = set_stage(test);

	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, first_addr(&s.imp->map), SZ_4G);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
	KUNIT_EXPECT_EQ(test, s.imp->nr_invalidate, 1);
	KUNIT_EXPECT_FALSE(test, s.imp->mapped);
	KUNIT_EXPECT_EQ(test, s.exp->nr_get, s.exp->nr_put);

	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, first_addr(&s.imp->map), SZ_16G);
}

/* Move does not wait for unmap, so the old list stays as it is until then. */
static void old_list_stays(struct kunit *test)
{
	struct stage s = set_stage(test);
	struct mock_importer *other = mock_attach(test, s.exp->dmabuf, VIEW_DMA);

	s.imp->lazy = true;
	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
	KUNIT_EXPECT_TRUE(test, s.imp->mapped);
	KUNIT_EXPECT_EQ(test, s.exp->nr_get - s.exp->nr_put, 1);
	KUNIT_EXPECT_EQ(test, first_addr(&s.imp->map), SZ_4G);

	KUNIT_ASSERT_EQ(test, mock_map_dma(other, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, first_addr(&other->map), SZ_16G);
	KUNIT_EXPECT_EQ(test, s.exp->phys.nr_maps, 2);
	mock_unmap_dma(s.imp);
	KUNIT_EXPECT_EQ(test, s.exp->phys.nr_maps, 1);
}

/* Revoke waits for a map of the old place, too. */
static void revoke_waits_for_old_map(struct kunit *test)
{
	struct stage s = set_stage(test);

	s.imp->delay_ms = 200;
	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
	KUNIT_EXPECT_TRUE(test, s.imp->mapped);
	mock_revoke(s.exp);
	KUNIT_EXPECT_FALSE(test, s.imp->mapped);
	KUNIT_EXPECT_EQ(test, s.exp->nr_get, s.exp->nr_put);
}

/*
 * Pins
 */

static void pinned(struct kunit *test)
{
	struct stage s = set_stage(test);
	struct dma_resv *resv = s.exp->dmabuf->resv;

	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	dma_resv_lock(resv, NULL);
	KUNIT_ASSERT_EQ(test, dma_buf_phys_pin(s.imp->attach), 0);
	KUNIT_ASSERT_EQ(test, dma_buf_phys_pin(s.imp->attach), 0);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_nr_pins(s.exp->dmabuf), 2);
	KUNIT_EXPECT_EQ(test, s.imp->attach->holder.nr_pins, 2);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_move(s.exp->dmabuf), -EBUSY);
	dma_buf_phys_unpin(s.imp->attach);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_move(s.exp->dmabuf), -EBUSY);
	KUNIT_EXPECT_EQ(test, s.imp->nr_invalidate, 0);
	dma_buf_phys_unpin(s.imp->attach);
	dma_resv_unlock(resv);

	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
	KUNIT_EXPECT_EQ(test, s.imp->nr_invalidate, 1);
}

/* A pin holds the place, not the memory. */
static void pinned_is_revoked(struct kunit *test)
{
	struct stage s = set_stage(test);
	struct dma_resv *resv = s.exp->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	KUNIT_ASSERT_EQ(test, dma_buf_phys_pin(s.imp->attach), 0);
	dma_resv_unlock(resv);
	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	dma_buf_phys_suspend(s.exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_FALSE(test, s.imp->mapped);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), -ENODEV);
	dma_buf_phys_restore(s.exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), -EBUSY);
	mock_revoke(s.exp);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), -ENODEV);
	dma_resv_lock(resv, NULL);
	dma_buf_phys_unpin(s.imp->attach);
	dma_resv_unlock(resv);
}

static void old_invalidate(struct dma_buf_attachment *attach)
{
	++*(unsigned int *)attach->importer_priv;
}

static const struct dma_buf_attach_ops old_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = old_invalidate,
};

/* An importer outside the class is told, and counted if it pins. */
static void old_importer(struct kunit *test)
{
	struct mock_exporter *exp = export_here(test, RAM);
	struct dma_resv *resv = exp->dmabuf->resv;
	unsigned int told = 0;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	attach = dma_buf_dynamic_attach(exp->dmabuf, mock_device(test, "old"),
					&old_ops, &told);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_pin(attach), 0);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_move(exp->dmabuf), -EBUSY);
	dma_buf_unpin(attach);
	sgt = dma_buf_map_attachment(attach, DMA_TO_DEVICE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, sgt);
	KUNIT_EXPECT_EQ(test, move_locked(exp, there, 1, RAM), 0);
	KUNIT_EXPECT_EQ(test, told, 1);
	dma_buf_unmap_attachment(attach, sgt, DMA_TO_DEVICE);

	sgt = dma_buf_map_attachment(attach, DMA_TO_DEVICE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, sgt);
	KUNIT_EXPECT_EQ(test, sg_dma_address(sgt->sgl), SZ_16G);
	KUNIT_EXPECT_EQ(test, sg_dma_len(sgt->sgl), SIZE);
	dma_buf_unmap_attachment(attach, sgt, DMA_TO_DEVICE);
	dma_resv_unlock(resv);
	dma_buf_detach(exp->dmabuf, attach);
}

/* Importers without callbacks are pinned by dma-buf while they have it mapped. */
static void static_importer(struct kunit *test)
{
	struct mock_exporter *exp = export_here(test, RAM);
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	exp->ops.may_revoke = false;
	attach = dma_buf_attach(exp->dmabuf, mock_device(test, "static"));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, sgt);
	KUNIT_EXPECT_EQ(test, move_there(exp), -EBUSY);
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, move_there(exp), 0);
	dma_buf_detach(exp->dmabuf, attach);
}

/* The core would have to map it at the new place, so it does not move. */
static void domain_needs_pin(struct kunit *test)
{
	struct mock_exporter *exp = export_here(test, RAM);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DOMAIN);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct dma_buf_phys_domain_map *map;

	map = mock_map_domain(imp, dom, SZ_1G, 0, SIZE, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	KUNIT_EXPECT_EQ(test, move_there(exp), -EBUSY);
	mock_expect_translates(dom, here, SZ_1G, 0, SIZE, MOCK_PROT);
	mock_unmap_domain(test, map);

	dma_resv_lock(exp->dmabuf->resv, NULL);
	dma_buf_phys_unpin(imp->attach);
	imp->pinned = false;
	dma_resv_unlock(exp->dmabuf->resv);
	kunit_warning_suppress(test) {
		map = mock_map_domain(imp, dom, SZ_1G, 0, SIZE, MOCK_PROT,
				      false);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EINVAL);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_EQ(test, move_there(exp), 0);
}

/*
 * Waiting
 */

struct fence_param {
	const char *name;
	enum dma_resv_usage usage;
};

static const struct fence_param fence_params[] = {
	{ "kernel", DMA_RESV_USAGE_KERNEL },
	{ "write", DMA_RESV_USAGE_WRITE },
	{ "read", DMA_RESV_USAGE_READ },
	{ "bookkeep", DMA_RESV_USAGE_BOOKKEEP },
};

KUNIT_ARRAY_PARAM_DESC(fence, fence_params, name);

/* Move waits for every access that is under way. */
static void waits_for_fence(struct kunit *test)
{
	const struct fence_param *p = test->param_value;
	struct stage s = set_stage(test);
	struct dma_fence *fence;

	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	fence = mock_fence_in(test, s.exp->dmabuf, p->usage, 200);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(fence));
}

/* A signal ends the wait. The memory stays, and importers just map again. */
static void is_interruptible(struct kunit *test)
{
	struct stage s = set_stage(test);
	struct dma_fence *fence;

	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	fence = mock_fence(test, s.exp->dmabuf, DMA_RESV_USAGE_BOOKKEEP);
	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 1);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), -ERESTARTSYS);
	flush_signals(current);
	disallow_signal(SIGUSR1);
	KUNIT_EXPECT_EQ(test, s.imp->nr_invalidate, 1);

	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, first_addr(&s.imp->map), SZ_4G);
	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
}

/* The copy is under way when the importer maps: it gets what has arrived. */
static void map_waits_for_copy(struct kunit *test)
{
	struct stage s = set_stage(test);
	struct dma_fence *copy;

	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
	copy = mock_fence_in(test, s.exp->dmabuf, DMA_RESV_USAGE_KERNEL, 200);
	KUNIT_ASSERT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(copy));
	KUNIT_EXPECT_EQ(test, first_addr(&s.imp->map), SZ_16G);
}

/* And so does the core when it fills a domain again. */
static void refill_waits_for_copy(struct kunit *test)
{
	struct mock_exporter *exp = export_here(test, RAM);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DOMAIN);
	struct mock_domain *dom = mock_domain(test, SZ_4K);
	struct dma_buf_phys_domain_map *map;
	struct dma_fence *copy;

	map = mock_map_domain(imp, dom, SZ_1G, 0, SIZE, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	mock_lend(exp, there, ARRAY_SIZE(there), RAM);
	copy = mock_fence_in(test, exp->dmabuf, DMA_RESV_USAGE_KERNEL, 200);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(copy));
	mock_expect_translates(dom, there, SZ_1G, 0, SIZE, MOCK_PROT);
}

static void not_live(struct kunit *test)
{
	struct stage s = set_stage(test);

	dma_buf_phys_suspend(s.exp->dmabuf, DMA_BUF_PHYS_OWNER);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), -ENODEV);
	dma_buf_phys_restore(s.exp->dmabuf, DMA_BUF_PHYS_OWNER);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), 0);
	mock_revoke(s.exp);
	KUNIT_EXPECT_EQ(test, move_there(s.exp), -ENODEV);
	KUNIT_EXPECT_EQ(test, s.imp->nr_invalidate, 3);
}

/*
 * The exporter knows its importers
 */

static struct mock_exporter *to_mock(struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct mock_exporter, phys);
}

/* What the callbacks saw. */
static unsigned int nr_prepared;
static struct dma_buf_phys_peer last_peer;

static int note_peer(struct dma_buf *dmabuf,
		     const struct dma_buf_phys_peer *peer)
{
	dma_resv_assert_held(dmabuf->resv);
	last_peer = *peer;
	nr_prepared++;
	return 0;
}

static int refuse_peer(struct dma_buf *dmabuf,
		       const struct dma_buf_phys_peer *peer)
{
	note_peer(dmabuf, peer);
	return -EPERM;
}

static int prepare_in_ram(struct dma_buf *dmabuf,
			  const struct dma_buf_phys_peer *peer)
{
	struct mock_exporter *exp = to_mock(dmabuf);

	note_peer(dmabuf, peer);
	if (exp->ranges.kind == RAM ||
	    dma_buf_phys_peer_reaches(peer, exp->ranges.provider))
		return 0;
	return move_locked(exp, there, ARRAY_SIZE(there), RAM);
}

/* MMIO out of reach is no reason to refuse who attaches, but to refuse the map. */
static void map_decides(struct kunit *test)
{
	struct mock_exporter *exp = export_here(test, MMIO);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DMA);

	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SIZE), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
	KUNIT_ASSERT_EQ(test, move_there(exp), 0);
	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SIZE), 0);

	/* And back: what it mapped once does not count. */
	dma_resv_lock(exp->dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, move_locked(exp, here, ARRAY_SIZE(here), MMIO), 0);
	dma_resv_unlock(exp->dmabuf->resv);
	KUNIT_EXPECT_EQ(test, mock_map_dma(imp, 0, SIZE), -EOPNOTSUPP);
}

/* The exporter brings the memory to where the importer gets. */
static void prepare_moves(struct kunit *test)
{
	struct mock_exporter *exp = export_here(test, MMIO);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_DMA);

	exp->ops.prepare = prepare_in_ram;
	KUNIT_ASSERT_EQ(test, mock_map_dma(imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, first_addr(&imp->map), SZ_16G);
	KUNIT_EXPECT_PTR_EQ(test, last_peer.dev, dma_buf_phys_dev(imp->attach));
	KUNIT_EXPECT_EQ(test, last_peer.views, VIEW_DMA);
	KUNIT_EXPECT_TRUE(test, last_peer.peer2peer);
	KUNIT_EXPECT_TRUE(test, last_peer.stoppable);
}

/* Before the first pin, but not while it is pinned, and not while it is away. */
static void prepare_when(struct kunit *test)
{
	struct stage s = set_stage(test);
	struct dma_resv *resv = s.exp->dmabuf->resv;

	s.exp->ops.prepare = note_peer;
	nr_prepared = 0;
	KUNIT_EXPECT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, nr_prepared, 1);
	mock_unmap_dma(s.imp);

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(s.imp->attach), 0);
	KUNIT_EXPECT_EQ(test, nr_prepared, 2);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(s.imp->attach), 0);
	dma_resv_unlock(resv);
	KUNIT_EXPECT_EQ(test, mock_map_dma(s.imp, 0, SIZE), 0);
	KUNIT_EXPECT_EQ(test, nr_prepared, 2);
	dma_resv_lock(resv, NULL);
	dma_buf_phys_unpin(s.imp->attach);
	dma_buf_phys_unpin(s.imp->attach);
	dma_resv_unlock(resv);

	dma_buf_phys_suspend(s.exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, mock_map_dma(s.imp, 0, SIZE), -ENODEV);
	KUNIT_EXPECT_EQ(test, nr_prepared, 2);
}

/* Its errno is what the importer gets, and nothing is pinned or mapped. */
static void prepare_refuses(struct kunit *test)
{
	struct stage s = set_stage(test);

	s.exp->ops.prepare = refuse_peer;
	KUNIT_EXPECT_EQ(test, mock_map_dma(s.imp, 0, SIZE), -EPERM);
	dma_resv_lock(s.exp->dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(s.imp->attach), -EPERM);
	dma_resv_unlock(s.exp->dmabuf->resv);
	KUNIT_EXPECT_EQ(test, s.exp->phys.nr_pins, 0);
	KUNIT_EXPECT_EQ(test, s.exp->phys.nr_maps, 0);
}

static void attach_refused(struct kunit *test)
{
	struct mock_exporter *exp = export_here(test, RAM);
	struct device *dev = mock_device(test, "unwanted");
	struct mock_importer *imp;

	exp->ops.attach_peer = refuse_peer;
	imp = mock_try_attach(test, exp->dmabuf, dev, VIEW_CPU,
			      &mock_stoppable);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(imp), -EPERM);
	KUNIT_EXPECT_PTR_EQ(test, last_peer.dev, dev);
	KUNIT_EXPECT_EQ(test, last_peer.views, VIEW_CPU);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);
}

/*
 * CPU views
 */

static struct phys_vec real_page(struct kunit *test, u8 byte)
{
	void *page = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_TRUE(test, PAGE_ALIGNED(page));
	memset(page, byte, PAGE_SIZE);
	return (struct phys_vec) { virt_to_phys(page), PAGE_SIZE };
}

static u8 first_byte(struct kunit *test, struct dma_buf_phys_cpu_map *map)
{
	u8 byte = 0;

	KUNIT_ASSERT_EQ(test, dma_buf_phys_cpu_begin(map), 0);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_cpu_read(map, 0, &byte, 1), 0);
	dma_buf_phys_cpu_end(map);
	return byte;
}

/* A view that a move has ended comes back where the memory is then. */
static void cpu_view(struct kunit *test)
{
	struct phys_vec old = real_page(test, 0x11);
	struct phys_vec new = real_page(test, 0x22);
	const struct mock_buffer buffer = {
		.vec = &old, .nr = 1, .kind = RAM, .moves = true,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);
	struct mock_importer *imp = mock_attach(test, exp->dmabuf, VIEW_CPU);
	struct dma_resv *resv = exp->dmabuf->resv;
	struct dma_buf_phys_cpu_map map;

	dma_resv_lock(resv, NULL);
	KUNIT_ASSERT_EQ(test, 0, dma_buf_phys_map_cpu(imp->attach, &map, 0,
						      PAGE_SIZE));
	dma_resv_unlock(resv);
	KUNIT_EXPECT_EQ(test, first_byte(test, &map), 0x11);

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, move_locked(exp, &new, 1, RAM), 0);
	dma_resv_unlock(resv);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_cpu_begin(&map), -ENODEV);
	KUNIT_EXPECT_EQ(test, exp->nr_get, exp->nr_put);

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_remap_cpu(&map), 0);
	dma_resv_unlock(resv);
	KUNIT_EXPECT_EQ(test, first_byte(test, &map), 0x22);

	dma_resv_lock(resv, NULL);
	dma_buf_phys_unmap_cpu(&map);
	dma_resv_unlock(resv);
}

/*
 * Exporters that do not say what a move needs
 */

static int no_sync(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	return 0;
}

static void spoil_pin(struct dma_buf_phys_ops *ops)
{
	ops->ops.pin = NULL;
}

static void spoil_unpin(struct dma_buf_phys_ops *ops)
{
	ops->ops.unpin = NULL;
}

static void spoil_put(struct dma_buf_phys_ops *ops)
{
	ops->put_ranges = NULL;
}

static void spoil_sync(struct dma_buf_phys_ops *ops)
{
	ops->ops.begin_cpu_access = no_sync;
}

static void spoil_map(struct dma_buf_phys_ops *ops)
{
	ops->ops.map_dma_buf = NULL;
	ops->ops.unmap_dma_buf = NULL;
}

struct spoil_param {
	const char *name;
	void (*spoil)(struct dma_buf_phys_ops *ops);
};

static const struct spoil_param spoil_params[] = {
	{ "no pin", spoil_pin },
	{ "no unpin", spoil_unpin },
	{ "no put_ranges", spoil_put },
	{ "begin_cpu_access", spoil_sync },
	{ "no scatterlist", spoil_map },
};

KUNIT_ARRAY_PARAM_DESC(spoil, spoil_params, name);

static void incomplete(struct kunit *test)
{
	const struct spoil_param *p = test->param_value;
	struct mock_exporter *exp = export_here(test, RAM);
	struct dma_buf_phys_ops ops = exp->ops;
	struct dma_buf_phys phys;
	const struct dma_buf_export_info info = {
		.exp_name = "incomplete",
		.owner = THIS_MODULE,
		.ops = &ops.ops,
		.size = SIZE,
		.priv = &phys,
	};

	ops.may_revoke = false;
	p->spoil(&ops);
	dma_buf_phys_init(&phys, 0);
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR_OR_ZERO(dma_buf_phys_export(&info)));
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
}

/* An exporter that did not say that it moves. */
static void may_not(struct kunit *test)
{
	const struct mock_buffer buffer = {
		.vec = here, .nr = ARRAY_SIZE(here), .kind = RAM,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, move_there(exp), -EINVAL);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
}

static struct kunit_case move_cases[] = {
	KUNIT_CASE(remap),
	KUNIT_CASE(old_list_stays),
	KUNIT_CASE(revoke_waits_for_old_map),
	KUNIT_CASE(pinned),
	KUNIT_CASE(pinned_is_revoked),
	KUNIT_CASE(old_importer),
	KUNIT_CASE(static_importer),
	KUNIT_CASE(domain_needs_pin),
	KUNIT_CASE_PARAM(waits_for_fence, fence_gen_params),
	KUNIT_CASE(is_interruptible),
	KUNIT_CASE(map_waits_for_copy),
	KUNIT_CASE(refill_waits_for_copy),
	KUNIT_CASE(not_live),
	KUNIT_CASE(map_decides),
	KUNIT_CASE(prepare_moves),
	KUNIT_CASE(prepare_when),
	KUNIT_CASE(prepare_refuses),
	KUNIT_CASE(attach_refused),
	KUNIT_CASE(cpu_view),
	KUNIT_CASE_PARAM(incomplete, spoil_gen_params),
	KUNIT_CASE(may_not),
	{}
};

static struct kunit_suite move_suite = {
	.name = "dma-buf-phys-move",
	.test_cases = move_cases,
};

kunit_test_suite(move_suite);

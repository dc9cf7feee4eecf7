// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: the domain view
 *
 * The importer registers which slice it wants at which address of which
 * iommu_domain; the core maps the ranges there while the buffer is live. It
 * takes the mapping away on invalidate and puts it back at the same place on
 * restore, without the importer.
 *
 * A registered map is *live* while the domain translates it, else *dead*. A map
 * registered while the buffer is not live starts dead. A map is live only if
 * its buffer is; the other way round a refill may have failed.
 *
 * The map's address range belongs to the map from registration to unmap, dead
 * or live: the importer must map nothing else there.
 */
#define pr_fmt(fmt) "dma-buf-phys: " fmt

#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>

#include "dma-buf-phys-internal.h"

#include <trace/events/dma_buf_phys.h>

static unsigned long phys_domain_granule(const struct iommu_domain *domain)
{
	return 1UL << __ffs(domain->pgsize_bitmap);
}

/* CPUs do not cache device memory, so nothing has to be kept coherent with them. */
static int phys_domain_prot(const struct dma_buf_phys_domain_map *map)
{
	if (map->ranges.kind == DMA_BUF_PHYS_MMIO)
		return (map->prot & ~IOMMU_CACHE) | IOMMU_MMIO;
	return map->prot;
}

/* Map one run, in units of PAGE_SIZE if the importer will not have larger. */
static int phys_domain_map_run(struct dma_buf_phys_domain_map *map,
			       unsigned long iova, const struct phys_vec *run,
			       bool killable)
{
	/* A refill may be due to a reset by somebody else. */
	gfp_t gfp = killable ? GFP_KERNEL_ACCOUNT : PHYS_GFP_MAYFAIL;
	int prot = phys_domain_prot(map);
	size_t done, step;
	int ret;

	step = map->small_pages ? PAGE_SIZE : run->len;
	for (done = 0; done < run->len; done += step) {
		step = min(step, run->len - done);
		ret = iommu_map_nosync(map->domain, iova + done,
				       run->paddr + done, step, prot, gfp);
		if (ret)
			goto err_unmap;

		/* User space chooses how much there is to do. */
		cond_resched();
		if (killable && fatal_signal_pending(current)) {
			done += step;
			ret = -EINTR;
			goto err_unmap;
		}
	}
	return 0;

err_unmap:
	if (done)
		iommu_unmap(map->domain, iova, done);
	return ret;
}

static int phys_domain_check_runs(const struct dma_buf_phys_domain_map *map)
{
	unsigned long granule = phys_domain_granule(map->domain);
	struct dma_buf_phys_attachment *attach = map->attach;
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;

	if (granule <= PAGE_SIZE)
		return 0;

	phys_cursor_start(&cursor, &map->ranges, map->offset, map->len);
	while (phys_cursor_next(&cursor, &run)) {
		if (!IS_ALIGNED(run.paddr | run.len, granule)) {
			phys_refuse(attach->dmabuf, dma_buf_phys_dev(attach),
				    &map->ranges,
				    "ranges are not multiples of the IOMMU's granule");
			return -EINVAL;
		}
	}
	return 0;
}

/* Map every run of the slice; all or nothing. */
static int phys_domain_map_runs(struct dma_buf_phys_domain_map *map,
				bool killable)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	u64 done = 0;
	int ret;

	ret = phys_domain_check_runs(map);
	if (ret)
		return ret;

	phys_cursor_start(&cursor, &map->ranges, map->offset, map->len);
	while (phys_cursor_next(&cursor, &run)) {
		ret = phys_domain_map_run(map, map->iova + done, &run,
					  killable);
		if (ret)
			goto err_unmap;
		done += run.len;
	}

	ret = iommu_sync_map(map->domain, map->iova, map->len);
	if (ret)
		goto err_unmap;
	return 0;

err_unmap:
	if (done)
		iommu_unmap(map->domain, map->iova, done);
	return ret;
}

/* Make a dead map live. The page tables are charged to who registered it. */
static int phys_domain_fill(struct dma_buf_phys_domain_map *map, bool killable)
{
	struct dma_buf *dmabuf = map->attach->dmabuf;
	struct mem_cgroup *old;
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	ret = phys_ranges_get(dmabuf, &map->ranges);
	if (ret)
		return ret;

	old = set_active_memcg(map->memcg);
	ret = phys_domain_map_runs(map, killable);
	set_active_memcg(old);
	if (ret)
		goto err_put;

	map->live = true;
	phys_hold(dmabuf, &map->attach->holder);
	trace_dma_buf_phys_map(to_phys(dmabuf)->ino, map->attach->ops->name,
			       "domain", map->offset, map->len);
	return 0;

err_put:
	phys_ranges_put(dmabuf, &map->ranges);
	return ret;
}

/* Make a live map dead. The flush is complete when iommu_unmap() returns. */
static void phys_domain_unfill(struct dma_buf_phys_domain_map *map)
{
	struct dma_buf *dmabuf = map->attach->dmabuf;
	size_t unmapped;

	dma_resv_assert_held(dmabuf->resv);

	if (!map->live)
		return;

	unmapped = iommu_unmap(map->domain, map->iova, map->len);
	WARN_ON(unmapped != map->len);
	map->live = false;
	phys_ranges_put(dmabuf, &map->ranges);
	phys_drop(dmabuf, &map->attach->holder);
	trace_dma_buf_phys_unmap(to_phys(dmabuf)->ino, map->attach->ops->name,
				 "domain", map->offset, map->len);
}

/* The buffer is going away: no view of this attachment stays. */
void phys_domain_unmap_all(struct dma_buf_phys_attachment *attach)
{
	struct dma_buf_phys_domain_map *map;

	list_for_each_entry(map, &attach->domain_maps, node)
		phys_domain_unfill(map);
}

/* The buffer is live again. What cannot be refilled stays dead, not silently. */
void phys_domain_refill_all(struct dma_buf_phys_attachment *attach)
{
	struct dma_buf_phys_domain_map *map;
	int ret;

	list_for_each_entry(map, &attach->domain_maps, node) {
		if (map->live)
			continue;
		ret = phys_domain_fill(map, false);
		if (ret)
			pr_warn_ratelimited("%s ino %llu: %s of %s[%d] stays unmapped after restore: offset %#llx length %#llx: %pe\n",
					    attach->dmabuf->exp_name,
					    to_phys(attach->dmabuf)->ino,
					    attach->ops->name,
					    attach->holder.comm,
					    attach->holder.pid, map->offset,
					    map->len, ERR_PTR(ret));
	}
}

/* What can be known of the request before the memory is looked at. */
static int phys_domain_check(struct dma_buf_phys_attachment *attach,
			     const struct iommu_domain *domain,
			     unsigned long iova, u64 offset, u64 len)
{
	unsigned long last;

	if (WARN_ON(!(attach->views & DMA_BUF_PHYS_VIEW_DOMAIN)))
		return -EINVAL;
	/* The memory must not move: nobody would map it there again. */
	if (WARN_ON(!attach->holder.nr_pins))
		return -EINVAL;
	if (!(domain->type & __IOMMU_DOMAIN_PAGING))
		return -EINVAL;
	if (!IS_ALIGNED(iova | offset | len, phys_domain_granule(domain)))
		return -EINVAL;
	if (!len || check_add_overflow(iova, len - 1, &last))
		return -EINVAL;
	return phys_slice_check(attach->dmabuf, offset, len);
}

/**
 * dma_buf_phys_map_domain - keep a slice mapped in an iommu_domain
 * @attach: attached with %DMA_BUF_PHYS_VIEW_DOMAIN, and pinned until the map is
 *	unmapped
 * @map: filled in; must stay until dma_buf_phys_unmap_domain()
 * @domain: a paging domain that outlives @map and hands no physical address to
 *	user space
 * @iova: where, in bytes
 * @offset: first byte of the slice
 * @len: bytes in the slice
 * @prot: IOMMU_READ, IOMMU_WRITE and IOMMU_CACHE as for system memory; the core
 *	adapts it to the kind of memory
 * @small_pages: use no IOMMU page larger than PAGE_SIZE
 *
 * While the buffer is suspended or revoked the map is registered dead, and
 * succeeds. Otherwise waits, interruptibly, for the KERNEL fences of the buffer.
 * The IOMMU's page tables are charged to the caller, later refills too.
 *
 * Context: &dma_buf.resv held. The address range in @domain is unused.
 * Return: 0; -EINVAL if the slice is empty, ends behind the buffer, or does not
 * fit the domain's granule, if @iova wraps, if the domain does not translate,
 * or if the exporter handed out a bad list; -ENOMEM; -EINTR or -ERESTARTSYS if
 * a signal ended the wait or the work; or what the exporter's get_ranges() or
 * the IOMMU driver returned. On error nothing is mapped.
 */
int dma_buf_phys_map_domain(struct dma_buf_phys_attachment *attach,
			    struct dma_buf_phys_domain_map *map,
			    struct iommu_domain *domain, unsigned long iova,
			    u64 offset, u64 len, int prot, bool small_pages)
{
	struct dma_buf *dmabuf = attach->dmabuf;
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	ret = phys_domain_check(attach, domain, iova, offset, len);
	if (ret)
		return ret;

	*map = (struct dma_buf_phys_domain_map) {
		.attach = attach,
		.domain = domain,
		.iova = iova,
		.offset = offset,
		.len = len,
		.prot = prot,
		.small_pages = small_pages,
		.memcg = get_mem_cgroup_from_current(),
	};

	if (phys_is_live(dmabuf)) {
		ret = phys_wait_kernel_fences(dmabuf);
		if (!ret)
			ret = phys_domain_fill(map, true);
		if (ret)
			goto err_put;
	}
	list_add_tail(&map->node, &attach->domain_maps);
	return 0;

err_put:
	mem_cgroup_put(map->memcg);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_map_domain, "DMA_BUF");

/**
 * dma_buf_phys_unmap_domain - take a slice out of its domain, as a whole
 * @map: registered by dma_buf_phys_map_domain()
 *
 * Once this returns, the domain does not translate the range any more and the
 * core does not touch @map.
 *
 * Context: &dma_buf.resv held. Any state of the buffer.
 */
void dma_buf_phys_unmap_domain(struct dma_buf_phys_domain_map *map)
{
	dma_resv_assert_held(map->attach->dmabuf->resv);

	phys_domain_unfill(map);
	list_del(&map->node);
	mem_cgroup_put(map->memcg);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_unmap_domain, "DMA_BUF");

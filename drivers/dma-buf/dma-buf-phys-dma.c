// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: the DMA view
 *
 * An importer maps a slice and walks it as runs of DMA addresses. Nothing is
 * stored per range where it can be computed from the exporter's list:
 *
 *   behind a switch	bus address = physical address + offset of the BAR
 *   behind an IOMMU	the slice is one piece of I/O virtual address space
 *
 * Only where no single piece can be had, one dma_iova_state is kept per run;
 * and where neither holds (direct mapping, an architecture's own dma_map_ops),
 * one DMA address per run. What an IOMMU's page tables take is charged to who
 * attached. dma_map_phys() is never used behind dma-iommu: it
 * may flush lazily, and the contract says that access has ended after unmap.
 *
 * The IOMMU maps granules. Every range must be made of whole ones, or the
 * device would reach a neighbour's memory; the slice is rounded outward to
 * them, which stays inside the buffer.
 *
 * RAM is mapped for devices that see what is in the CPU's caches, and never by a
 * bounce buffer: others access it at the same time, and nobody synchronises. An
 * exporter that has begin_cpu_access() does that by itself, so it is left to it.
 *
 * Each map finds out anew where the memory is, of which kind, and whether the
 * device reaches it; it may have moved since the last one.
 *
 * The same view serves importers and exporters that know scatterlists only: the
 * class's map_dma_buf() fills an sg_table from a view, and where the exporter
 * makes the sg_table by itself, in the class or outside, the view is read out of
 * that. What the exporter keeps with its table, such as a list of whom to
 * synchronise, is right then.
 */
#define pr_fmt(fmt) "dma-buf-phys: " fmt

#include <linux/cc_platform.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "dma-buf-phys-internal.h"

#include <trace/events/dma_buf_phys.h>

/* What IOMMUs map by one entry, if they may. */
#define PHYS_DMA_LARGE		SZ_2M

/* How the DMA addresses of a view come about. */
enum phys_dma_how {
	PHYS_DMA_BUS,		/* computed, nothing to undo */
	PHYS_DMA_IOVA,		/* one dma_iova_state for the slice */
	PHYS_DMA_IOVAS,		/* one dma_iova_state per run */
	PHYS_DMA_ADDRS,		/* one dma_map_phys() per run */
	PHYS_DMA_SGT,		/* the exporter's scatterlist */
};

/* Whether RAM must look the same to CPU and device without any help. */
static bool phys_dma_is_coherent(const struct dma_buf *dmabuf)
{
	return !dmabuf->ops->begin_cpu_access;
}

static unsigned long phys_dma_attrs(const struct dma_buf *dmabuf,
				    const struct dma_buf_phys_ranges *ranges)
{
	if (ranges->kind == DMA_BUF_PHYS_MMIO)
		return DMA_ATTR_MMIO;
	return phys_dma_is_coherent(dmabuf) ? DMA_ATTR_REQUIRE_COHERENT : 0;
}

/* Walk what is mapped, which may be more than the importer asked for. */
static void phys_dma_walk_mapped(const struct dma_buf_phys_dma_map *map,
				 struct dma_buf_phys_cursor *cursor)
{
	phys_cursor_start(cursor, &map->ranges, map->start, map->mapped);
}

static bool phys_dma_by_bus(const struct dma_buf_phys_ranges *ranges,
			    struct device *dev)
{
	return ranges->provider &&
	       pci_p2pdma_map_type(ranges->provider, dev) ==
		       PCI_P2PDMA_MAP_BUS_ADDR;
}

/* Whether PCI leads from a device that is one to a BAR. */
bool phys_dma_has_path(struct p2pdma_provider *provider, struct device *dev)
{
	switch (pci_p2pdma_map_type(provider, dev)) {
	case PCI_P2PDMA_MAP_BUS_ADDR:
	case PCI_P2PDMA_MAP_THRU_HOST_BRIDGE:
		return true;
	default:
		return false;
	}
}

/* NULL, or what is in the way. */
static const char *phys_dma_obstacle(struct dma_buf_attachment *attach,
				     const struct dma_buf_phys_ranges *ranges)
{
	struct device *dev = attach->dev;

	if (ranges->kind == DMA_BUF_PHYS_RAM)
		return dev_is_dma_coherent(dev) ||
		       !phys_dma_is_coherent(attach->dmabuf) ?
			       NULL :
			       "device does not see what is in the CPU's caches";
	if (!attach->peer2peer)
		return "importer does not handle peer-to-peer memory";
	if (!dev_is_pci(dev))
		return "not a PCI device, cannot address a peer's BAR";
	if (!phys_dma_has_path(ranges->provider, dev))
		return "no peer-to-peer path through the host bridge";
	return NULL;
}

/**
 * phys_dma_reachable - can the device of an importer reach the memory at all
 * @attach: the importer
 * @ranges: where the memory is now
 *
 * Context: &dma_buf.resv held.
 * Return: 0, or -EOPNOTSUPP after logging the reason.
 */
int phys_dma_reachable(struct dma_buf_attachment *attach,
		       const struct dma_buf_phys_ranges *ranges)
{
	const char *reason = phys_dma_obstacle(attach, ranges);

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!reason)
		return 0;
	phys_refuse(attach->dmabuf, attach->dev, ranges, reason);
	return -EOPNOTSUPP;
}

static int phys_dma_beyond_mask(const struct dma_buf_phys_dma_map *map)
{
	phys_refuse(map->dmabuf, map->dev, &map->ranges,
		    "memory lies beyond the device's DMA mask");
	return -EOPNOTSUPP;
}

/* Bus addresses bypass the DMA API, so its check of the mask is made here. */
static int phys_dma_check_bus(struct dma_buf_phys_dma_map *map)
{
	u64 limit = min_not_zero(dma_get_mask(map->dev),
				 map->dev->bus_dma_limit);
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	u64 last;

	/* Most devices address all there is: nothing is done per range then. */
	if (limit == U64_MAX)
		return 0;

	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run)) {
		last = (u64)pci_p2pdma_bus_addr_map(map->ranges.provider,
						    run.paddr) + run.len - 1;
		if (last > limit)
			return phys_dma_beyond_mask(map);
	}
	return 0;
}

/* Whether direct mapping has an address for a run, without bouncing. */
static bool phys_dma_is_capable(const struct dma_buf_phys_dma_map *map,
				const struct phys_vec *run)
{
	bool ram = map->ranges.kind == DMA_BUF_PHYS_RAM;

	/* Where host memory is encrypted, MMIO is not. */
	if (!ram && cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT))
		return dma_capable(map->dev,
				   phys_to_dma_unencrypted(map->dev, run->paddr),
				   run->len, ram,
				   map->attrs | DMA_ATTR_CC_SHARED);
	return dma_capable(map->dev, phys_to_dma(map->dev, run->paddr),
			   run->len, ram, map->attrs);
}

/* The DMA API warns about addresses that the device does not have. */
static int phys_dma_check_direct(struct dma_buf_phys_dma_map *map)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;

	if (get_dma_ops(map->dev))
		return 0;
	if (!map->dev->dma_mask)
		return phys_dma_beyond_mask(map);

	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run))
		if (!phys_dma_is_capable(map, &run))
			return phys_dma_beyond_mask(map);
	return 0;
}

/* Round the slice outward to granules, and insist on ranges made of them. */
static int phys_dma_round(struct dma_buf_phys_dma_map *map)
{
	unsigned long mask = dma_get_merge_boundary(map->dev);
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;

	map->start = map->offset & ~(u64)mask;
	map->mapped = ((map->offset + map->len + mask) & ~(u64)mask) -
		      map->start;
	if (mask < PAGE_SIZE)
		return 0;

	if (map->start + map->mapped > map->dmabuf->size)
		goto refuse;
	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run))
		if ((run.paddr | run.len) & mask)
			goto refuse;
	return 0;

refuse:
	phys_refuse(map->dmabuf, map->dev, &map->ranges,
		    "ranges are not multiples of the IOMMU's granule");
	return -EINVAL;
}

/*
 * What dma_iova_link() takes for the page tables, about: an entry per page. Large
 * pages are used where IOVA and memory are aligned alike.
 */
static size_t phys_dma_table_bytes(const struct dma_buf_phys_dma_map *map)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	u64 done = 0, nr = 0, small;

	/* So many ranges are too short for large pages, so why look at each? */
	if (map->dmabuf->size / PHYS_DMA_LARGE < map->ranges.nr)
		return map->mapped / PAGE_SIZE * sizeof(u64);

	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run)) {
		small = run.len;
		if (IS_ALIGNED(run.paddr ^ done, PHYS_DMA_LARGE)) {
			small %= PHYS_DMA_LARGE;
			nr += run.len / PHYS_DMA_LARGE;
		}
		nr += small / PAGE_SIZE;
		done += run.len;
	}
	return nr * sizeof(u64);
}

static size_t phys_dma_count_runs(const struct dma_buf_phys_dma_map *map)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	size_t nr = 0;

	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run))
		nr++;
	return nr;
}

/* User space chooses how much there is to do. */
static inline int phys_dma_go_on(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* The whole slice at @map->state, which is one piece of I/O address space. */
static int phys_dma_link(struct dma_buf_phys_dma_map *map)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	size_t linked = 0;
	int ret;

	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run)) {
		ret = dma_iova_link(map->dev, &map->state, run.paddr, linked,
				    run.len, map->dir, map->attrs);
		if (ret)
			goto err_destroy;
		linked += run.len;
		ret = phys_dma_go_on();
		if (ret)
			goto err_destroy;
	}

	ret = dma_iova_sync(map->dev, &map->state, 0, linked);
	if (ret)
		goto err_destroy;
	map->how = PHYS_DMA_IOVA;
	return 0;

err_destroy:
	dma_iova_destroy(map->dev, &map->state, linked, map->dir, map->attrs);
	return ret;
}

static int phys_dma_link_run(struct dma_buf_phys_dma_map *map,
			     struct dma_iova_state *state,
			     const struct phys_vec *run)
{
	size_t linked = 0;
	int ret;

	if (!dma_iova_try_alloc(map->dev, state, 0, run->len))
		return -ENOMEM;

	ret = dma_iova_link(map->dev, state, run->paddr, 0, run->len, map->dir,
			    map->attrs);
	if (ret)
		goto err_destroy;
	linked = run->len;

	ret = dma_iova_sync(map->dev, state, 0, linked);
	if (ret)
		goto err_destroy;
	return 0;

err_destroy:
	dma_iova_destroy(map->dev, state, linked, map->dir, map->attrs);
	return ret;
}

/* Undo the first @nr runs. */
static void phys_dma_unlink_runs(struct dma_buf_phys_dma_map *map, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		dma_iova_destroy(map->dev, &map->states[i],
				 dma_iova_size(&map->states[i]), map->dir,
				 map->attrs);
}

static int phys_dma_link_runs(struct dma_buf_phys_dma_map *map)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	size_t done = 0;
	int ret;

	map->nr_runs = phys_dma_count_runs(map);
	map->states = kvmalloc_objs(*map->states, map->nr_runs,
				    GFP_KERNEL_ACCOUNT);
	if (!map->states)
		return -ENOMEM;

	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run)) {
		ret = phys_dma_link_run(map, &map->states[done], &run);
		if (ret)
			goto err_unlink;
		done++;
		ret = phys_dma_go_on();
		if (ret)
			goto err_unlink;
	}
	map->how = PHYS_DMA_IOVAS;
	return 0;

err_unlink:
	phys_dma_unlink_runs(map, done);
	kvfree(map->states);
	return ret;
}

/* Undo the first @nr runs. */
static void phys_dma_unmap_addrs(struct dma_buf_phys_dma_map *map, size_t nr)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	size_t i;

	phys_dma_walk_mapped(map, &cursor);
	for (i = 0; i < nr && phys_cursor_next(&cursor, &run); i++)
		dma_unmap_phys(map->dev, map->addrs[i], run.len, map->dir,
			       map->attrs);
}

static int phys_dma_map_addrs(struct dma_buf_phys_dma_map *map)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	size_t done = 0;
	int ret;

	ret = phys_dma_check_direct(map);
	if (ret)
		return ret;

	map->nr_runs = phys_dma_count_runs(map);
	map->addrs = kvmalloc_objs(*map->addrs, map->nr_runs,
				   GFP_KERNEL_ACCOUNT);
	if (!map->addrs)
		return -ENOMEM;

	phys_dma_walk_mapped(map, &cursor);
	while (phys_cursor_next(&cursor, &run)) {
		map->addrs[done] = dma_map_phys(map->dev, run.paddr, run.len,
						map->dir, map->attrs);
		ret = dma_mapping_error(map->dev, map->addrs[done]);
		if (ret)
			goto err_unmap;
		done++;
	}
	map->how = PHYS_DMA_ADDRS;
	return 0;

err_unmap:
	phys_dma_unmap_addrs(map, done);
	kvfree(map->addrs);
	return ret;
}

static int phys_dma_map_iova(struct dma_buf_phys_dma_map *map)
{
	int ret;

	/* Up to there it is one table, which other slices share. */
	if (map->mapped > PHYS_DMA_LARGE) {
		ret = phys_charge(&map->charge, map->holder,
				  phys_dma_table_bytes(map));
		if (ret)
			return ret;
	}

	if (dma_iova_try_alloc(map->dev, &map->state, 0, map->mapped))
		ret = phys_dma_link(map);
	else
		ret = phys_dma_link_runs(map);
	if (ret)
		phys_uncharge(&map->charge);
	return ret;
}

static int phys_dma_map_ranges(struct dma_buf_phys_dma_map *map)
{
	int ret;

	if (phys_dma_by_bus(&map->ranges, map->dev)) {
		map->start = map->offset;
		map->mapped = map->len;
		map->how = PHYS_DMA_BUS;
		return phys_dma_check_bus(map);
	}

	ret = phys_dma_round(map);
	if (ret)
		return ret;
	if (!dev_dma_iommu(map->dev))
		return phys_dma_map_addrs(map);
	return phys_dma_map_iova(map);
}

static void phys_dma_unmap_ranges(struct dma_buf_phys_dma_map *map)
{
	switch (map->how) {
	case PHYS_DMA_IOVA:
		dma_iova_destroy(map->dev, &map->state, map->mapped, map->dir,
				 map->attrs);
		phys_uncharge(&map->charge);
		break;
	case PHYS_DMA_IOVAS:
		phys_dma_unlink_runs(map, map->nr_runs);
		kvfree(map->states);
		phys_uncharge(&map->charge);
		break;
	case PHYS_DMA_ADDRS:
		phys_dma_unmap_addrs(map, map->nr_runs);
		kvfree(map->addrs);
		break;
	}
}

/* Map a slice of a buffer of the class, and put it on the books. */
static int phys_dma_map_phys(struct dma_buf_attachment *attach,
			     struct dma_buf_phys_dma_map *map)
{
	struct dma_buf *dmabuf = map->dmabuf;
	int ret;

	ret = phys_ranges_borrow(attach, &map->ranges);
	if (ret)
		return ret;

	map->attrs = phys_dma_attrs(dmabuf, &map->ranges);
	ret = phys_dma_reachable(attach, &map->ranges);
	if (!ret)
		ret = phys_dma_map_ranges(map);
	if (ret)
		goto err_put;

	phys_hold(dmabuf, map->holder);
	return 0;

err_put:
	phys_ranges_put(dmabuf, &map->ranges);
	return ret;
}

static void phys_dma_unmap_phys(struct dma_buf_phys_dma_map *map)
{
	phys_dma_unmap_ranges(map);
	phys_ranges_put(map->dmabuf, &map->ranges);
	phys_drop(map->dmabuf, map->holder);
}

/* The walk over the table ends with the slice, so the slice must be in it. */
static int phys_dma_check_sgt(const struct dma_buf_phys_dma_map *map)
{
	struct scatterlist *sg;
	u64 sum = 0;
	int i;

	for_each_sgtable_dma_sg(map->sgt, sg, i)
		sum += sg_dma_len(sg);
	return sum < map->offset + map->len ? -EINVAL : 0;
}

/* Map the buffer of an exporter that makes scatterlists by itself. */
static int phys_dma_map_sgt(struct dma_buf_phys_attachment *attach,
			    struct dma_buf_phys_dma_map *map)
{
	int ret;

	if (is_dma_buf_phys(map->dmabuf) && !phys_is_live(map->dmabuf))
		return -ENODEV;
	map->sgt = dma_buf_map_attachment(attach->attach, map->dir);
	if (IS_ERR(map->sgt))
		return PTR_ERR(map->sgt);

	ret = phys_dma_check_sgt(map);
	if (!ret)
		ret = phys_wait_kernel_fences(map->dmabuf);
	if (ret)
		goto err_unmap;
	map->how = PHYS_DMA_SGT;
	if (is_dma_buf_phys(map->dmabuf))
		phys_hold(map->dmabuf, map->holder);
	return 0;

err_unmap:
	dma_buf_unmap_attachment(attach->attach, map->sgt, map->dir);
	return ret;
}

static void phys_dma_unmap_sgt(struct dma_buf_phys_attachment *attach,
			       struct dma_buf_phys_dma_map *map)
{
	dma_buf_unmap_attachment(attach->attach, map->sgt, map->dir);
	if (is_dma_buf_phys(map->dmabuf))
		phys_drop(map->dmabuf, map->holder);
}

/**
 * dma_buf_phys_map_dma - make a DMA view of a slice
 * @attach: attached with %DMA_BUF_PHYS_VIEW_DMA
 * @map: filled in; must stay until dma_buf_phys_unmap_dma()
 * @offset: first byte of the slice
 * @len: bytes in the slice
 * @dir: direction of the transfers
 *
 * Waits, interruptibly, for the KERNEL fences of the buffer. Where the exporter
 * makes scatterlists by itself, there is one view at a time for an attachment:
 * exporters keep one table for each.
 *
 * Context: &dma_buf.resv held.
 * Return: 0; -EINVAL if the slice is empty or ends behind the buffer, if the
 * ranges are not multiples of the IOMMU's granule, or if the exporter handed
 * out a bad list; -ENODEV if the buffer is
 * suspended or revoked; -EOPNOTSUPP if the device cannot reach the memory (the
 * log has the reason); -ENOMEM; -EINTR or -ERESTARTSYS if a signal ended the
 * wait or the work; or what the exporter's callback returned. On error nothing
 * is mapped.
 */
int dma_buf_phys_map_dma(struct dma_buf_phys_attachment *attach,
			 struct dma_buf_phys_dma_map *map, u64 offset, u64 len,
			 enum dma_data_direction dir)
{
	struct dma_buf *dmabuf = attach->dmabuf;
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	if (WARN_ON(!(attach->views & DMA_BUF_PHYS_VIEW_DMA)))
		return -EINVAL;
	if (WARN_ON(phys_lacks_pin(attach)))
		return -EINVAL;
	ret = phys_slice_check(dmabuf, offset, len);
	if (ret)
		return ret;

	*map = (struct dma_buf_phys_dma_map) {
		.dmabuf = dmabuf,
		.dev = dma_buf_phys_dev(attach),
		.holder = &attach->holder,
		.offset = offset,
		.len = len,
		.dir = dir,
	};
	ret = phys_owns_sgt(dmabuf) ? phys_dma_map_phys(attach->attach, map) :
				      phys_dma_map_sgt(attach, map);
	if (!ret)
		trace_dma_buf_phys_map(file_inode(dmabuf->file)->i_ino,
				       attach->ops->name, "dma", offset, len);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_map_dma, "DMA_BUF");

/**
 * dma_buf_phys_unmap_dma - end a DMA view
 * @attach: as given to dma_buf_phys_map_dma()
 * @map: filled in by dma_buf_phys_map_dma()
 *
 * Once this returns, and where an IOMMU translates, the device cannot reach the
 * memory through this view any more. Elsewhere the importer must have stopped
 * its device before.
 *
 * Context: &dma_buf.resv held. Any state of the buffer.
 */
void dma_buf_phys_unmap_dma(struct dma_buf_phys_attachment *attach,
			    struct dma_buf_phys_dma_map *map)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	trace_dma_buf_phys_unmap(file_inode(map->dmabuf->file)->i_ino,
				 attach->ops->name, "dma", map->offset,
				 map->len);
	if (map->how == PHYS_DMA_SGT)
		phys_dma_unmap_sgt(attach, map);
	else
		phys_dma_unmap_phys(map);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_unmap_dma, "DMA_BUF");

/*
 * Walking a view
 */

/**
 * dma_buf_phys_dma_iter_start - start walking a DMA view
 * @iter: filled in; the first run is fetched by dma_buf_phys_dma_iter_next()
 * @map: a mapped view
 *
 * Context: any, while @map is mapped.
 */
void dma_buf_phys_dma_iter_start(struct dma_buf_phys_dma_iter *iter,
				 const struct dma_buf_phys_dma_map *map)
{
	*iter = (struct dma_buf_phys_dma_iter) {
		.map = map,
		.skip = map->offset - map->start,
		.left = map->len,
	};
	if (map->how == PHYS_DMA_SGT)
		iter->sg = map->sgt->sgl;
	else if (map->how != PHYS_DMA_IOVA)
		phys_dma_walk_mapped(map, &iter->cursor);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_dma_iter_start, "DMA_BUF");

/* The next mapped run, not yet trimmed to the slice. */
static bool phys_dma_iter_step(struct dma_buf_phys_dma_iter *iter)
{
	const struct dma_buf_phys_dma_map *map = iter->map;
	struct phys_vec run;

	if (map->how == PHYS_DMA_SGT) {
		iter->addr = sg_dma_address(iter->sg);
		iter->len = sg_dma_len(iter->sg);
		iter->sg = sg_next(iter->sg);
		return true;
	}
	if (map->how == PHYS_DMA_IOVA) {
		iter->addr = map->state.addr;
		iter->len = map->mapped;
		return true;
	}

	if (!phys_cursor_next(&iter->cursor, &run))
		return false;
	iter->len = run.len;
	if (map->how == PHYS_DMA_BUS)
		iter->addr = pci_p2pdma_bus_addr_map(map->ranges.provider,
						     run.paddr);
	else if (map->how == PHYS_DMA_IOVAS)
		iter->addr = map->states[iter->run++].addr;
	else
		iter->addr = map->addrs[iter->run++];
	return true;
}

/**
 * dma_buf_phys_dma_iter_next - step to the next run of a DMA view
 * @iter: started with dma_buf_phys_dma_iter_start()
 *
 * Fills in @iter->addr and @iter->len, trimmed to the slice. Neighbouring runs
 * may be contiguous.
 *
 * Context: any, while the view is mapped.
 * Return: false once the slice is exhausted.
 */
bool dma_buf_phys_dma_iter_next(struct dma_buf_phys_dma_iter *iter)
{
	if (!iter->left)
		return false;

	do {
		if (!phys_dma_iter_step(iter))
			return false;
		if (iter->len > iter->skip)
			break;
		iter->skip -= iter->len;
	} while (true);

	iter->addr += iter->skip;
	iter->len = min(iter->len - iter->skip, iter->left);
	iter->skip = 0;
	iter->left -= iter->len;
	return true;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_dma_iter_next, "DMA_BUF");

/*
 * Scatterlist for importers outside the class
 *
 * It has DMA addresses only, no pages; orig_nents is 0 while it is lent, so
 * that nobody walks a CPU side which does not exist.
 */
#define PHYS_SG_MAX	ALIGN_DOWN(UINT_MAX, PAGE_SIZE)

struct phys_sgt {
	struct sg_table sgt;
	unsigned int nr_alloc;		/* entries in @sgt */
	struct dma_buf_phys_dma_map map;
};

static int phys_sgt_count(const struct dma_buf_phys_dma_map *map,
			  unsigned int *nents)
{
	struct dma_buf_phys_dma_iter iter;
	u64 nr = 0;

	dma_buf_phys_dma_iter_start(&iter, map);
	while (dma_buf_phys_dma_iter_next(&iter))
		nr += DIV_ROUND_UP_ULL(iter.len, PHYS_SG_MAX);
	if (nr > UINT_MAX)
		return -EINVAL;
	*nents = nr;
	return 0;
}

static void phys_sgt_fill(struct phys_sgt *psgt)
{
	struct scatterlist *sg = psgt->sgt.sgl;
	struct dma_buf_phys_dma_iter iter;
	unsigned int len;

	dma_buf_phys_dma_iter_start(&iter, &psgt->map);
	while (dma_buf_phys_dma_iter_next(&iter)) {
		for (; iter.len; iter.len -= len, iter.addr += len) {
			len = min_t(u64, iter.len, PHYS_SG_MAX);
			sg_set_page(sg, NULL, 0, 0);
			sg_dma_address(sg) = iter.addr;
			sg_dma_len(sg) = len;
			sg = sg_next(sg);
		}
	}
}

static int phys_sgt_build(struct phys_sgt *psgt)
{
	int ret;

	ret = phys_sgt_count(&psgt->map, &psgt->nr_alloc);
	if (ret)
		return ret;
	ret = sg_alloc_table(&psgt->sgt, psgt->nr_alloc, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	phys_sgt_fill(psgt);
	psgt->sgt.orig_nents = 0;
	return 0;
}

/* Who is not told that the memory moves must hold it in place. */
static int phys_sgt_check_importer(struct dma_buf_attachment *attach,
				   const struct dma_buf_phys_holder *holder)
{
	if (!to_phys_ops(attach->dmabuf)->may_move || holder->nr_pins ||
	    dma_buf_attach_revocable(attach))
		return 0;
	phys_refuse(attach->dmabuf, attach->dev, NULL,
		    "importer neither pins nor is told that the memory moves");
	return -EOPNOTSUPP;
}

/**
 * dma_buf_phys_map_dma_buf - &dma_buf_ops.map_dma_buf of device memory
 * @attach: an attachment to a buffer of the class
 * @dir: direction of the transfers
 *
 * Context: &dma_buf.resv held.
 * Return: a table with the DMA addresses of the whole buffer, page aligned; or
 * an ERR_PTR as from dma_buf_phys_map_dma().
 */
struct sg_table *dma_buf_phys_map_dma_buf(struct dma_buf_attachment *attach,
					  enum dma_data_direction dir)
{
	struct dma_buf *dmabuf = attach->dmabuf;
	struct phys_sgt *psgt;
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	ret = phys_sgt_check_importer(attach, attach->priv);
	if (ret)
		return ERR_PTR(ret);
	psgt = kzalloc_obj(*psgt, GFP_KERNEL_ACCOUNT);
	if (!psgt)
		return ERR_PTR(-ENOMEM);

	psgt->map = (struct dma_buf_phys_dma_map) {
		.dmabuf = dmabuf,
		.dev = attach->dev,
		.holder = attach->priv,
		.len = dmabuf->size,
		.dir = dir,
	};
	ret = phys_dma_map_phys(attach, &psgt->map);
	if (ret)
		goto err_free;

	ret = phys_sgt_build(psgt);
	if (ret)
		goto err_unmap;
	trace_dma_buf_phys_map(to_phys(dmabuf)->ino, dev_name(attach->dev),
			       "sgt", 0, dmabuf->size);
	return &psgt->sgt;

err_unmap:
	phys_dma_unmap_phys(&psgt->map);
err_free:
	kfree(psgt);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_map_dma_buf, "DMA_BUF");

/**
 * dma_buf_phys_unmap_dma_buf - &dma_buf_ops.unmap_dma_buf of device memory
 * @attach: the attachment
 * @sgt: from dma_buf_phys_map_dma_buf()
 * @dir: as given there
 *
 * Context: &dma_buf.resv held. Any state of the buffer.
 */
void dma_buf_phys_unmap_dma_buf(struct dma_buf_attachment *attach,
				struct sg_table *sgt,
				enum dma_data_direction dir)
{
	struct phys_sgt *psgt = container_of(sgt, struct phys_sgt, sgt);

	dma_resv_assert_held(attach->dmabuf->resv);

	trace_dma_buf_phys_unmap(to_phys(attach->dmabuf)->ino,
				 dev_name(attach->dev), "sgt", 0,
				 attach->dmabuf->size);
	phys_dma_unmap_phys(&psgt->map);
	sgt->orig_nents = psgt->nr_alloc;
	sg_free_table(sgt);
	kfree(psgt);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_unmap_dma_buf, "DMA_BUF");

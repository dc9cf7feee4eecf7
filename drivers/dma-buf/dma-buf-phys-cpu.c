// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: the CPU view
 *
 * A software device moves bytes of the memory by the CPU. The core maps the
 * slice into the kernel's address space, takes the mapping away when the memory
 * goes, and does the copying, so that no importer walks ranges or tells MMIO
 * from RAM.
 *
 * Access is made in *sections*, from dma_buf_phys_cpu_begin() to
 * dma_buf_phys_cpu_end(). A registered map is *live* while the slice is mapped,
 * else *dead*, and a dead map has no sections. Whoever takes the memory away
 * waits for the sections in progress, and for nothing else, and says so in the
 * log if one takes longer than a second: a section is short, and inside it nobody
 * waits for dma_buf::resv, for a second section, or for user memory. Nothing is
 * put back by itself; the importer remaps.
 *
 * A *piece* is what one ioremap() maps: a run, cut where the physical address
 * is a multiple of PHYS_CPU_PIECE. Each is rounded outward to pages, so the
 * rest of a page at either end of the slice is mapped, but not reachable by
 * offset.
 *
 * RAM is reached through the kernel's linear mapping and costs nothing. For
 * MMIO, an estimate of page tables and bookkeeping is charged; and all views
 * together may fill an eighth of the vmalloc space.
 *
 * Buffers outside the class come as one piece from their exporter's vmap.
 */
#define pr_fmt(fmt) "dma-buf-phys: " fmt

#include <kunit/visibility.h>
#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

#include "dma-buf-phys-internal.h"

#include <trace/events/dma_buf_phys.h>

/* Large enough for huge pages, small enough to see a signal in between. */
#define PHYS_CPU_PIECE	SZ_1G

/* Address space of all views together. */
static DEFINE_SPINLOCK(phys_cpu_space_lock);
VISIBLE_IF_KUNIT u64 phys_cpu_space;	/* under phys_cpu_space_lock */
EXPORT_SYMBOL_IF_KUNIT(phys_cpu_space);

struct phys_cpu_walk {
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;	/* what is left of it */
};

static void phys_cpu_walk_start(struct phys_cpu_walk *walk,
				const struct dma_buf_phys_cpu_map *map)
{
	phys_cursor_start(&walk->cursor, &map->ranges, map->offset, map->len);
	walk->run.len = 0;
}

static bool phys_cpu_walk_next(struct phys_cpu_walk *walk,
			       struct phys_vec *piece)
{
	struct phys_vec *run = &walk->run;

	if (!run->len && !phys_cursor_next(&walk->cursor, run))
		return false;

	piece->paddr = run->paddr;
	piece->len = min_t(u64, run->len,
			   PHYS_CPU_PIECE - run->paddr % PHYS_CPU_PIECE);
	run->paddr += piece->len;
	run->len -= piece->len;
	return true;
}

/*
 * What a view costs
 */

/* Each ioremap() takes a guard page, too. */
static size_t phys_cpu_piece_space(const struct phys_vec *piece)
{
	return size_add(PAGE_ALIGN(offset_in_page(piece->paddr) + piece->len),
			PAGE_SIZE);
}

static size_t phys_cpu_piece_charge(const struct phys_vec *piece)
{
	size_t page = PAGE_SIZE;

#ifdef CONFIG_HAVE_ARCH_HUGE_VMAP
	if (arch_vmap_pmd_supported(PAGE_KERNEL) &&
	    IS_ALIGNED(piece->paddr | piece->len, PMD_SIZE))
		page = PMD_SIZE;
#endif
	return sizeof(struct vm_struct) + sizeof(struct vmap_area) +
	       DIV_ROUND_UP(phys_cpu_piece_space(piece), page) * sizeof(pte_t);
}

/* Whether the exporter knows too little for a view; the log has it then. */
static bool phys_cpu_refused(struct dma_buf_attachment *attach,
			     const struct dma_buf_phys_ranges *ranges)
{
	if (ranges->no_cpu)
		phys_refuse(attach->dmabuf, attach->dev, ranges,
			    "exporter does not say how the CPU may map it");
	return ranges->no_cpu;
}

/* The linear mapping has it, as one piece. The rest is for other machines. */
static bool phys_cpu_is_linear(const struct phys_vec *piece)
{
	unsigned long last = PHYS_PFN(piece->paddr + piece->len - 1);

	return region_intersects(piece->paddr, piece->len,
				 IORESOURCE_SYSTEM_RAM,
				 IORES_DESC_NONE) == REGION_INTERSECTS &&
	       pfn_valid(last) && !PageHighMem(pfn_to_page(last));
}

static int phys_cpu_count_piece(struct dma_buf_phys_cpu_map *map,
				const struct phys_vec *piece)
{
	struct dma_buf_phys_attachment *attach = map->attach;

	map->nr_pieces++;
	if (map->ranges.kind == DMA_BUF_PHYS_RAM) {
		if (phys_cpu_is_linear(piece))
			return 0;
		phys_refuse(attach->dmabuf, dma_buf_phys_dev(attach),
			    &map->ranges,
			    "memory is not in the kernel's linear mapping");
		return -EOPNOTSUPP;
	}

	map->space = size_add(map->space, phys_cpu_piece_space(piece));
	map->charge.bytes = size_add(map->charge.bytes,
				     phys_cpu_piece_charge(piece));
	return map->space > PHYS_CPU_MAX ? -ENOMEM : 0;
}

static int phys_cpu_count(struct dma_buf_phys_cpu_map *map)
{
	struct phys_cpu_walk walk;
	struct phys_vec piece;
	int ret;

	map->nr_pieces = 0;
	map->space = 0;
	map->charge.bytes = 0;
	if (phys_cpu_refused(map->attach->attach, &map->ranges))
		return -EOPNOTSUPP;
	phys_cpu_walk_start(&walk, map);
	while (phys_cpu_walk_next(&walk, &piece)) {
		ret = phys_cpu_count_piece(map, &piece);
		if (ret)
			return ret;
	}
	return 0;
}

static int phys_cpu_reserve(const struct dma_buf_phys_cpu_map *map)
{
	guard(spinlock)(&phys_cpu_space_lock);
	if (map->space > PHYS_CPU_MAX - phys_cpu_space)
		return -ENOMEM;
	phys_cpu_space += map->space;
	return 0;
}

static void phys_cpu_unreserve(const struct dma_buf_phys_cpu_map *map)
{
	guard(spinlock)(&phys_cpu_space_lock);
	phys_cpu_space -= map->space;
}

static int phys_cpu_alloc_pieces(struct dma_buf_phys_cpu_map *map)
{
	map->pieces = kvmalloc_objs(*map->pieces, map->nr_pieces,
				    PHYS_GFP_MAYFAIL);
	return map->pieces ? 0 : -ENOMEM;
}

/* Everything that the view needs but the mapping itself. */
static int phys_cpu_prepare(struct dma_buf_phys_cpu_map *map)
{
	int ret;

	ret = phys_cpu_count(map);
	if (ret)
		return ret;
	ret = phys_cpu_reserve(map);
	if (ret)
		return ret;
	ret = phys_charge(&map->charge, &map->attach->holder,
			  map->charge.bytes);
	if (ret)
		goto err_unreserve;
	ret = phys_cpu_alloc_pieces(map);
	if (ret)
		goto err_uncharge;
	return 0;

err_uncharge:
	phys_uncharge(&map->charge);
err_unreserve:
	phys_cpu_unreserve(map);
	return ret;
}

static void phys_cpu_unprepare(struct dma_buf_phys_cpu_map *map)
{
	kvfree(map->pieces);
	phys_uncharge(&map->charge);
	phys_cpu_unreserve(map);
}

/*
 * The mapping
 */

static int phys_cpu_map_piece(const struct dma_buf_phys_cpu_map *map,
			      const struct phys_vec *piece,
			      struct iosys_map *where)
{
	if (map->ranges.kind == DMA_BUF_PHYS_RAM)
		iosys_map_set_vaddr(where, memremap(piece->paddr, piece->len,
						    MEMREMAP_WB));
	else if (map->ranges.write_combine)
		iosys_map_set_vaddr_iomem(where, ioremap_wc(piece->paddr,
							    piece->len));
	else
		iosys_map_set_vaddr_iomem(where, ioremap(piece->paddr,
							 piece->len));
	return iosys_map_is_null(where) ? -ENOMEM : 0;
}

/* Undo the first @nr pieces. */
static void phys_cpu_unmap_pieces(struct dma_buf_phys_cpu_map *map, size_t nr)
{
	struct iosys_map *where;
	size_t i;

	for (i = 0; i < nr; i++) {
		where = &map->pieces[i].map;
		if (where->is_iomem)
			iounmap(where->vaddr_iomem);
		else
			memunmap(where->vaddr);
		cond_resched();
	}
}

static int phys_cpu_map_pieces(struct dma_buf_phys_cpu_map *map, bool killable)
{
	struct phys_cpu_walk walk;
	struct phys_vec piece;
	size_t done = 0;
	u64 first = 0;
	int ret;

	phys_cpu_walk_start(&walk, map);
	while (phys_cpu_walk_next(&walk, &piece)) {
		/* User space chooses how much there is to do. */
		cond_resched();
		ret = killable && fatal_signal_pending(current) ? -EINTR : 0;
		if (!ret)
			ret = phys_cpu_map_piece(map, &piece,
						 &map->pieces[done].map);
		if (ret)
			goto err_unmap;
		map->pieces[done++].first = first;
		first += piece.len;
	}
	return 0;

err_unmap:
	phys_cpu_unmap_pieces(map, done);
	return ret;
}

/* Map a slice of a buffer of the class, and put it on the books. */
static int phys_cpu_fill_phys(struct dma_buf_phys_cpu_map *map, bool killable)
{
	struct dma_buf *dmabuf = map->attach->dmabuf;
	int ret;

	ret = phys_ranges_borrow(map->attach->attach, &map->ranges);
	if (ret)
		return ret;
	ret = phys_cpu_prepare(map);
	if (ret)
		goto err_put;
	ret = phys_cpu_map_pieces(map, killable);
	if (ret)
		goto err_unprepare;
	phys_hold(dmabuf, &map->attach->holder);
	return 0;

err_unprepare:
	phys_cpu_unprepare(map);
err_put:
	phys_ranges_put(dmabuf, &map->ranges);
	return ret;
}

static void phys_cpu_unfill_phys(struct dma_buf_phys_cpu_map *map)
{
	struct dma_buf *dmabuf = map->attach->dmabuf;

	phys_cpu_unmap_pieces(map, map->nr_pieces);
	phys_cpu_unprepare(map);
	phys_ranges_put(dmabuf, &map->ranges);
	phys_drop(dmabuf, &map->attach->holder);
}

/*
 * Map the buffer of an exporter outside the class. It keeps the memory in place
 * while a vmap exists, pinned or not.
 */
static int phys_cpu_fill_vmap(struct dma_buf_phys_cpu_map *map)
{
	struct dma_buf *dmabuf = map->attach->dmabuf;
	int ret;

	ret = phys_wait_kernel_fences(dmabuf);
	if (ret)
		return ret;
	map->nr_pieces = 1;
	ret = phys_cpu_alloc_pieces(map);
	if (ret)
		return ret;
	ret = dma_buf_vmap(dmabuf, &map->vmap);
	if (ret) {
		phys_refuse(dmabuf, dma_buf_phys_dev(map->attach), NULL,
			    "exporter failed to map its memory for the kernel");
		goto err_free;
	}

	*map->pieces = (struct dma_buf_phys_cpu_piece) { .map = map->vmap };
	iosys_map_incr(&map->pieces->map, map->offset);
	return 0;

err_free:
	kvfree(map->pieces);
	return ret;
}

static void phys_cpu_unfill_vmap(struct dma_buf_phys_cpu_map *map)
{
	dma_buf_vunmap(map->attach->dmabuf, &map->vmap);
	kvfree(map->pieces);
}

/* All locks of views are of the class that lockdep learns at boot. */
void phys_cpu_init_lock(struct rw_semaphore *lock)
{
	init_rwsem(lock);
}

/*
 * Waiting for sections in progress. The semaphore has no timeout, so a timer
 * tells who is waited for. What it shows is immutable.
 */
struct phys_cpu_stall {
	struct timer_list timer;
	const struct dma_buf_phys_attachment *attach;
	unsigned long start;
};

static void phys_cpu_report_stall(struct timer_list *timer)
{
	struct phys_cpu_stall *stall = timer_container_of(stall, timer, timer);
	const struct dma_buf_phys_attachment *attach = stall->attach;
	unsigned int seconds = (jiffies - stall->start) / HZ;

	pr_warn("%s ino %llu: waiting %u s for a section of %s of %s[%d] on %s\n",
		attach->dmabuf->exp_name,
		file_inode(attach->dmabuf->file)->i_ino, seconds,
		attach->ops->name, attach->holder.comm, attach->holder.pid,
		dev_name(dma_buf_phys_dev(attach)));
	mod_timer(timer, jiffies + max(seconds, 1U) * HZ);
}

static void phys_cpu_wait_sections(struct dma_buf_phys_cpu_map *map)
{
	struct phys_cpu_stall stall = {
		.attach = map->attach,
		.start = jiffies,
	};

	timer_setup_on_stack(&stall.timer, phys_cpu_report_stall, 0);
	mod_timer(&stall.timer, stall.start + HZ);
	down_write(&map->lock);
	timer_delete_sync(&stall.timer);
	timer_destroy_on_stack(&stall.timer);
}

static void phys_cpu_set_live(struct dma_buf_phys_cpu_map *map, bool live)
{
	might_lock(&map->lock);
	if (!down_write_trylock(&map->lock))
		phys_cpu_wait_sections(map);
	WRITE_ONCE(map->live, live);
	up_write(&map->lock);
}

/* Make a dead map live, at the expense of who attached. */
static int phys_cpu_fill(struct dma_buf_phys_cpu_map *map, bool killable)
{
	struct dma_buf_phys_attachment *attach = map->attach;
	struct mem_cgroup *old;
	int ret;

	if (WARN_ON(phys_lacks_pin(attach)))
		return -EINVAL;

	old = set_active_memcg(attach->holder.memcg);
	ret = is_dma_buf_phys(attach->dmabuf) ?
		      phys_cpu_fill_phys(map, killable) :
		      phys_cpu_fill_vmap(map);
	set_active_memcg(old);
	if (ret)
		return ret;

	phys_cpu_set_live(map, true);
	trace_dma_buf_phys_map(file_inode(attach->dmabuf->file)->i_ino,
			       attach->ops->name, "cpu", map->offset, map->len);
	return 0;
}

/* Make a live map dead. The sections in progress come to their end first. */
static void phys_cpu_unfill(struct dma_buf_phys_cpu_map *map)
{
	struct dma_buf_phys_attachment *attach = map->attach;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!map->live)
		return;

	phys_cpu_set_live(map, false);
	trace_dma_buf_phys_unmap(file_inode(attach->dmabuf->file)->i_ino,
				 attach->ops->name, "cpu", map->offset,
				 map->len);
	if (is_dma_buf_phys(attach->dmabuf))
		phys_cpu_unfill_phys(map);
	else
		phys_cpu_unfill_vmap(map);
}

/* The memory is going away: no view of this attachment stays. */
void phys_cpu_unmap_all(struct dma_buf_phys_attachment *attach)
{
	struct dma_buf_phys_cpu_map *map;

	list_for_each_entry(map, &attach->cpu_maps, node)
		phys_cpu_unfill(map);
}

/**
 * dma_buf_phys_map_cpu - make a CPU view of a slice
 * @attach: attached with %DMA_BUF_PHYS_VIEW_CPU
 * @map: filled in; must stay until dma_buf_phys_unmap_cpu()
 * @offset: first byte of the slice
 * @len: bytes in the slice
 *
 * Only the slice is mapped, rounded outward to pages. Waits, interruptibly, for
 * the KERNEL fences of the buffer. What the mapping takes is charged to who
 * attached.
 *
 * Context: &dma_buf.resv held.
 * Return: 0; -EINVAL if the slice is empty or ends behind the buffer, or if the
 * exporter handed out a bad list; -ENODEV if the buffer is suspended or
 * revoked; -EOPNOTSUPP if the CPU cannot reach the memory (the log has the
 * reason); -ENOMEM if there is no memory or address space left, for the caller
 * or for all views together; -EINTR or -ERESTARTSYS if a signal ended the wait
 * or the work; or what the exporter's callback returned. On error nothing is
 * mapped or registered.
 */
int dma_buf_phys_map_cpu(struct dma_buf_phys_attachment *attach,
			 struct dma_buf_phys_cpu_map *map, u64 offset, u64 len)
{
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (WARN_ON(!(attach->views & DMA_BUF_PHYS_VIEW_CPU)))
		return -EINVAL;
	ret = phys_slice_check(attach->dmabuf, offset, len);
	if (ret)
		return ret;

	*map = (struct dma_buf_phys_cpu_map) {
		.attach = attach,
		.offset = offset,
		.len = len,
	};
	phys_cpu_init_lock(&map->lock);
	ret = phys_cpu_fill(map, true);
	if (ret)
		return ret;
	list_add_tail(&map->node, &attach->cpu_maps);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_map_cpu, "DMA_BUF");

/**
 * dma_buf_phys_remap_cpu - bring a CPU view back
 * @map: registered by dma_buf_phys_map_cpu()
 *
 * For a map that a suspend has ended, once the buffer is live again. Changes
 * nothing if the map is live. As dma_buf_phys_map_cpu(), but a fatal signal
 * does not end the work; it may be a worker's that charges who attached.
 *
 * Context: &dma_buf.resv held.
 * Return: 0, or as dma_buf_phys_map_cpu(). On error the map is registered and
 * dead, as before.
 */
int dma_buf_phys_remap_cpu(struct dma_buf_phys_cpu_map *map)
{
	dma_resv_assert_held(map->attach->dmabuf->resv);

	return map->live ? 0 : phys_cpu_fill(map, false);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_remap_cpu, "DMA_BUF");

/**
 * dma_buf_phys_unmap_cpu - end a CPU view
 * @map: registered by dma_buf_phys_map_cpu(); no section begins any more
 *
 * Once this returns, the kernel does not access the memory through this view
 * any more. Waits for the sections in progress; @map and the attachment must
 * stay until dma_buf_phys_cpu_end() has returned from the last of them.
 *
 * Context: &dma_buf.resv held, not inside a section. Any state of the buffer.
 */
void dma_buf_phys_unmap_cpu(struct dma_buf_phys_cpu_map *map)
{
	dma_resv_assert_held(map->attach->dmabuf->resv);

	phys_cpu_unfill(map);
	list_del(&map->node);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_unmap_cpu, "DMA_BUF");

/*
 * Sections
 *
 * System memory that devices use as well may have to be synchronised with the
 * CPU's caches. Who exports such memory says so by these two operations, which
 * may take dma_buf::resv. dma_buf_begin_cpu_access() would also wait for every
 * fence that anybody with the fd adds; map has waited for those that count.
 */

/* -ENODEV is ours: it asks for a remap, which would not help here. */
static int phys_cpu_sync_begin(struct dma_buf *dmabuf)
{
	int ret;

	if (!dmabuf->ops->begin_cpu_access)
		return 0;
	ret = dmabuf->ops->begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL);
	return ret == -ENODEV ? -EIO : ret;
}

static void phys_cpu_sync_end(struct dma_buf *dmabuf)
{
	if (dmabuf->ops->end_cpu_access)
		dmabuf->ops->end_cpu_access(dmabuf, DMA_BIDIRECTIONAL);
}

/**
 * dma_buf_phys_cpu_begin - begin a section of accesses
 * @map: a registered view
 *
 * If this succeeds, the memory stays until dma_buf_phys_cpu_end(): suspend,
 * revoke and unmap wait. So a section must be short. Inside it, take no
 * &dma_buf.resv, begin no other section, and touch no user memory.
 *
 * Context: process context, may sleep; without &dma_buf.resv or a lock that is
 * taken under it.
 * Return: 0; -ENODEV if the view is dead; -EIO if the exporter's
 * begin_cpu_access() says that the memory is not there; or what else it returned.
 */
int dma_buf_phys_cpu_begin(struct dma_buf_phys_cpu_map *map)
{
	struct dma_buf *dmabuf = map->attach->dmabuf;
	int ret;

	might_lock(&dmabuf->resv->lock.base);

	/* Exporters are not asked for memory that is gone. */
	if (!READ_ONCE(map->live))
		return -ENODEV;
	ret = phys_cpu_sync_begin(dmabuf);
	if (ret)
		return ret;
	down_read(&map->lock);
	if (map->live)
		return 0;

	up_read(&map->lock);
	phys_cpu_sync_end(dmabuf);
	return -ENODEV;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_cpu_begin, "DMA_BUF");

/**
 * dma_buf_phys_cpu_end - end a section of accesses
 * @map: as given to dma_buf_phys_cpu_begin(), which succeeded
 *
 * Writes of the section are on their way to the memory: whatever is sent there
 * afterwards, by anybody who waited for the end, arrives later.
 *
 * Context: the task that began the section.
 */
void dma_buf_phys_cpu_end(struct dma_buf_phys_cpu_map *map)
{
	struct dma_buf *dmabuf = map->attach->dmabuf;

	/* Nothing stays behind in this CPU's write-combining buffers. */
	wmb();
	up_read(&map->lock);
	phys_cpu_sync_end(dmabuf);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_cpu_end, "DMA_BUF");

static int phys_cpu_check(const struct dma_buf_phys_cpu_map *map, u64 offset,
			  u64 len)
{
	lockdep_assert_held(&map->lock);

	return offset > map->len || len > map->len - offset ? -EINVAL : 0;
}

/* The piece that byte @offset of the slice is in. */
static const struct dma_buf_phys_cpu_piece *
phys_cpu_find(const struct dma_buf_phys_cpu_map *map, u64 offset)
{
	size_t low = 0, high = map->nr_pieces, mid;

	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (map->pieces[mid].first <= offset)
			low = mid;
		else
			high = mid;
	}
	return &map->pieces[low];
}

/* Bytes from @offset to the end of its piece, not more than @len. */
static size_t phys_cpu_room(const struct dma_buf_phys_cpu_map *map,
			    const struct dma_buf_phys_cpu_piece *piece,
			    u64 offset, u64 len)
{
	const struct dma_buf_phys_cpu_piece *next = piece + 1;
	u64 end = next < map->pieces + map->nr_pieces ? next->first : map->len;

	return min(len, end - offset);
}

/**
 * dma_buf_phys_cpu_read - copy out of the memory
 * @map: inside a section
 * @offset: first byte, counted from the start of the slice
 * @dst: kernel memory
 * @len: number of bytes
 *
 * MMIO is read in units of the CPU's choice.
 *
 * Context: any, inside a section. Does not sleep.
 * Return: 0, or -EINVAL, with nothing copied, if that is not within the slice.
 */
int dma_buf_phys_cpu_read(struct dma_buf_phys_cpu_map *map, u64 offset,
			  void *dst, size_t len)
{
	const struct dma_buf_phys_cpu_piece *piece;
	size_t step;
	int ret;

	ret = phys_cpu_check(map, offset, len);
	if (ret)
		return ret;
	for (piece = phys_cpu_find(map, offset); len; piece++) {
		step = phys_cpu_room(map, piece, offset, len);
		iosys_map_memcpy_from(dst, &piece->map, offset - piece->first,
				      step);
		dst += step;
		offset += step;
		len -= step;
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_cpu_read, "DMA_BUF");

/**
 * dma_buf_phys_cpu_write - copy into the memory
 * @map: inside a section
 * @offset: first byte, counted from the start of the slice
 * @src: kernel memory
 * @len: number of bytes
 *
 * MMIO is written in units of the CPU's choice. The bytes may arrive late, see
 * dma_buf_phys_cpu_flush().
 *
 * Context: any, inside a section. Does not sleep.
 * Return: 0, or -EINVAL, with nothing copied, if that is not within the slice.
 */
int dma_buf_phys_cpu_write(struct dma_buf_phys_cpu_map *map, u64 offset,
			   const void *src, size_t len)
{
	const struct dma_buf_phys_cpu_piece *piece;
	struct iosys_map where;
	size_t step;
	int ret;

	ret = phys_cpu_check(map, offset, len);
	if (ret)
		return ret;
	for (piece = phys_cpu_find(map, offset); len; piece++) {
		step = phys_cpu_room(map, piece, offset, len);
		where = piece->map;
		iosys_map_memcpy_to(&where, offset - piece->first, src, step);
		src += step;
		offset += step;
		len -= step;
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_cpu_write, "DMA_BUF");

/* Where the 8 bytes at @offset are. A piece ends at a page or with the slice. */
static int phys_cpu_find64(const struct dma_buf_phys_cpu_map *map, u64 offset,
			   struct iosys_map *where)
{
	const struct dma_buf_phys_cpu_piece *piece;
	int ret;

	ret = phys_cpu_check(map, offset, sizeof(u64));
	if (ret)
		return ret;
	piece = phys_cpu_find(map, offset);
	*where = piece->map;
	iosys_map_incr(where, offset - piece->first);
	return IS_ALIGNED((uintptr_t)where->vaddr, sizeof(u64)) ? 0 : -EINVAL;
}

/**
 * dma_buf_phys_cpu_read64 - read 8 bytes at once
 * @map: inside a section
 * @offset: first byte, counted from the start of the slice
 * @value: filled in, as a load from RAM with the same bytes would give it
 *
 * One access where the CPU has one of 8 bytes; two of 4 bytes, the lower first,
 * where it has not.
 *
 * Context: any, inside a section. Does not sleep.
 * Return: 0, or -EINVAL if that is not within the slice or, with the start of
 * the slice added, not a multiple of 8.
 */
int dma_buf_phys_cpu_read64(struct dma_buf_phys_cpu_map *map, u64 offset,
			    u64 *value)
{
	struct iosys_map where;
	int ret;

	ret = phys_cpu_find64(map, offset, &where);
	if (ret)
		return ret;
	if (where.is_iomem)
		*value = (__force u64)cpu_to_le64(readq(where.vaddr_iomem));
	else
		*value = READ_ONCE(*(u64 *)where.vaddr);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_cpu_read64, "DMA_BUF");

/**
 * dma_buf_phys_cpu_write64 - write 8 bytes at once
 * @map: inside a section
 * @offset: first byte, counted from the start of the slice
 * @value: as for dma_buf_phys_cpu_read64()
 *
 * One access where the CPU has one of 8 bytes; two of 4 bytes, the lower first,
 * where it has not. It comes after all earlier writes of this CPU.
 *
 * Context: any, inside a section. Does not sleep.
 * Return: 0, or -EINVAL, with nothing written, if that is not within the slice
 * or, with the start of the slice added, not a multiple of 8.
 */
int dma_buf_phys_cpu_write64(struct dma_buf_phys_cpu_map *map, u64 offset,
			     u64 value)
{
	struct iosys_map where;
	int ret;

	ret = phys_cpu_find64(map, offset, &where);
	if (ret)
		return ret;
	/* Before it, for RAM too, where devices may look on. */
	wmb();
	if (where.is_iomem)
		writeq(le64_to_cpu((__force __le64)value), where.vaddr_iomem);
	else
		WRITE_ONCE(*(u64 *)where.vaddr, value);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_cpu_write64, "DMA_BUF");

/**
 * dma_buf_phys_cpu_flush - wait until writes have arrived
 * @map: inside a section
 * @offset: first byte, counted from the start of the slice
 * @len: number of bytes
 *
 * Once this returns, earlier writes of this CPU to these bytes have reached the
 * device, because each piece of MMIO was read from; or, of RAM, are visible to
 * everybody.
 *
 * Context: any, inside a section. Does not sleep.
 * Return: 0, or -EINVAL if that is not within the slice.
 */
int dma_buf_phys_cpu_flush(struct dma_buf_phys_cpu_map *map, u64 offset,
			   u64 len)
{
	const struct dma_buf_phys_cpu_piece *piece;
	size_t step;
	int ret;

	ret = phys_cpu_check(map, offset, len);
	if (ret)
		return ret;

	/* All writes leave this CPU before the first read. */
	mb();
	for (piece = phys_cpu_find(map, offset); len; piece++) {
		step = phys_cpu_room(map, piece, offset, len);
		if (piece->map.is_iomem)
			readb(piece->map.vaddr_iomem + (offset - piece->first));
		offset += step;
		len -= step;
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_cpu_flush, "DMA_BUF");

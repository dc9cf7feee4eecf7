// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: dma-bufs whose exporter describes physical ranges
 *
 * Memory without struct page (a PCI BAR) cannot be put into a scatterlist, and
 * memory that a device may lose at any time cannot be shared by a table that
 * nobody takes back. This class of dma-buf has both problems solved in one
 * place: the exporter describes its memory, the importer asks for a view, and
 * only the core sees both.
 *
 * The rules that every function here keeps:
 *
 *  - State, map, unmap and invalidate run under dma_buf::resv. Nothing waits
 *    under it for long, and not silently, except map and restore, for KERNEL
 *    fences, move, for all fences, and the end of a CPU view, for the sections
 *    in progress.
 *  - A buffer is *live* while it is not revoked and no reason suspends it. Only
 *    a live buffer is mapped.
 *  - dma_buf_phys::nr_maps counts the mappings through which memory can be
 *    reached. It grows only while the buffer is live, so once the state has
 *    changed and the views were invalidated it only falls.
 *  - Unmap, detach and release are right in every state and order. Unmap never
 *    fails and never allocates.
 *
 * Whoever changes the state and whoever maps decide under dma_buf::resv, so one
 * of them is first. What follows from that, case by case:
 *
 * Map against suspend and revoke.
 *
 *   CPU 0: importer			CPU 1: exporter
 *
 *   dma_buf_phys_map_dma()		dma_buf_phys_suspend()
 *     // resv held			  dma_resv_lock()
 *     phys_is_live()			  suspended |= reason
 *     prepare(), get_ranges()		  dma_buf_invalidate_mappings()
 *     wait for KERNEL fences		  dma_resv_unlock()
 *     map, nr_maps++			  wait for fences and nr_maps == 0
 *
 *   If CPU 0 is first, its mapping is on the books when CPU 1 invalidates, and
 *   CPU 1 waits for it. If CPU 1 is first, CPU 0 sees that the buffer is not
 *   live and answers -ENODEV. Required outcome: when CPU 1 returns there is no
 *   mapping.
 *
 * Map against move. The exporter holds resv until its new ranges are in place.
 *
 *   CPU 0: importer			CPU 1: exporter
 *
 *					// resv held
 *   dma_buf_phys_map_dma()		dma_buf_phys_move()
 *     // resv held			  nr_pins == 0, invalidate
 *     get_ranges()			  wait for fences
 *     wait for KERNEL fences		new ranges, KERNEL fence of the copy
 *     map				dma_resv_unlock()
 *
 *   If CPU 0 is first, it is told and has to map again; until it unmaps, the
 *   ranges it has stay valid, and it changes nothing there. If CPU 1 is first,
 *   CPU 0 gets the new ranges and waits for the copy. If CPU 1 is CPU 0, in
 *   prepare(), it comes before get_ranges(). Required outcome: no mapping made
 *   after the move is of the old place, and none is used before the bytes are
 *   there.
 *
 * Pin against move. nr_pins is under resv. Pinned first: -EBUSY, nobody is told.
 * Moved first: the pin is one of the new place. Required outcome: a pinned
 * buffer does not move.
 *
 * Move against suspend and revoke.
 *
 *   CPU 0: exporter, or prepare()	CPU 1: exporter, another task
 *
 *   // resv held			dma_buf_phys_revoke()
 *   dma_buf_phys_move()		  dma_resv_lock()
 *   KERNEL fence of the copy		  revoked = true, invalidate
 *   dma_resv_unlock()			  snapshot of the fences
 *					  dma_resv_unlock()
 *					  wait for fences and nr_maps == 0
 *
 *   If CPU 0 is first, the fence of its copy is in the snapshot, and mappings of
 *   the old place count in nr_maps as any other. If CPU 1 is first, CPU 0 gets
 *   -ENODEV. Required outcome: when CPU 1 returns no copy is under way, and no
 *   mapping of any place the memory ever had is left.
 *
 * Section against the end of a CPU view, whoever ends it.
 *
 *   CPU 0: importer			CPU 1: holds resv
 *
 *   dma_buf_phys_cpu_begin()		phys_cpu_unmap_all()
 *     down_read(&map->lock)		  down_write(&map->lock)
 *     map->live			  live = false
 *   access				  up_write(&map->lock)
 *   dma_buf_phys_cpu_end()		  unmap
 *     up_read(&map->lock)
 *
 *   If CPU 0 is first, CPU 1 waits for cpu_end(); so CPU 0 must not wait for
 *   resv. If CPU 1 is first, CPU 0 sees a dead view and answers -ENODEV.
 *   Required outcome: nobody accesses what is being unmapped.
 *
 * Fault of a process that has the buffer mapped, against suspend, revoke and move.
 *
 *   CPU 0: page fault			CPU 1: exporter
 *
 *   phys_vm_huge_fault()		dma_buf_phys_suspend()
 *     // mmap_lock held		  dma_resv_lock()
 *     dma_resv_lock()			  suspended |= reason
 *     get_ranges(): -ENODEV: SIGBUS	  phys_mmap_zap()
 *     insert the page			  dma_resv_unlock()
 *     dma_resv_unlock()
 *
 *   If CPU 0 is first, CPU 1 takes the page out again; if CPU 1 is first, CPU 0
 *   sees the state, or the new ranges. Required outcome: when CPU 1 returns no
 *   process reaches the memory; after a move, none reaches the old place.
 *
 * Attach and detach against all of the above.
 *
 *   CPU 0: importer			CPU 1: exporter
 *
 *   dma_buf_phys_importer_attach()	dma_buf_phys_revoke()
 *     dma_buf_phys_attach()		  dma_resv_lock()
 *       resv: not revoked		  revoked = true
 *     resv: on dma_buf::attachments	  for all of dma_buf::attachments
 *   resv: map, unmap			    invalidate()
 *   dma_buf_phys_importer_detach()	  dma_resv_unlock()
 *     resv: off dma_buf::attachments
 *
 *   An attachment is on the list before its importer can map, and leaves it
 *   after its importer has unmapped. What attach saw of the state is for an early
 *   refusal, map decides. Required outcome: every mapping has an attachment that
 *   CPU 1 finds; invalidate() may come before attach has returned, and does not
 *   come once detach has.
 *
 * Close of the last file against all of the above. Every attachment holds a
 * reference to the dma-buf, and so does every caller of suspend, restore, revoke
 * and move. Required outcome: release comes after all of them, finds neither
 * mappings nor attachments, and takes no lock but those of the exporter.
 *
 * Lock order:
 *
 *   iommufd domains_rwsem > iova_rwsem > iopt_pages::mutex (dma-buf class)
 *   mmap_lock > vfio memory_lock > vfio dma-buf list
 *     > dma_buf::resv > importer's own lock
 *                     > dma_buf_phys_cpu_map::lock
 *   dma_buf::resv > fs_reclaim, i_mmap_rwsem; and waits for fences under it
 *
 * dma_resv_lockdep() and phys_lockdep() tell lockdep at boot what can be known of
 * that here.
 *
 * The lock of a CPU view is held for reading while the memory is accessed, and
 * suspend waits for it under all of the above. So whoever holds it takes none of
 * them, and not the lock of a second view either.
 */
#define pr_fmt(fmt) "dma-buf-phys: " fmt

#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "dma-buf-phys-internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/dma_buf_phys.h>

/**
 * is_dma_buf_phys - is the buffer of this class
 * @dmabuf: any dma-buf
 *
 * Context: any.
 * Return: true if the exporter describes its memory by ranges.
 */
bool is_dma_buf_phys(const struct dma_buf *dmabuf)
{
	return dmabuf->ops->attach == dma_buf_phys_attach;
}
EXPORT_SYMBOL_NS_GPL(is_dma_buf_phys, "DMA_BUF");

bool phys_is_live(const struct dma_buf *dmabuf)
{
	const struct dma_buf_phys *phys = to_phys(dmabuf);

	dma_resv_assert_held(dmabuf->resv);

	return !phys->revoked && !phys->suspended;
}

/* One more mapping can reach the memory. */
void phys_hold(struct dma_buf *dmabuf, struct dma_buf_phys_holder *holder)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);

	dma_resv_assert_held(dmabuf->resv);

	holder->nr_maps++;
	WRITE_ONCE(phys->nr_maps, phys->nr_maps + 1);
}

/* One mapping less; pairs with phys_hold(). */
void phys_drop(struct dma_buf *dmabuf, struct dma_buf_phys_holder *holder)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);

	dma_resv_assert_held(dmabuf->resv);

	holder->nr_maps--;
	WRITE_ONCE(phys->nr_maps, phys->nr_maps - 1);
	if (!phys->nr_maps)
		wake_up_all(&phys->idle);
}

/* What was said of a wait. It is said after 1 s, and each time twice as long. */
struct phys_stall {
	unsigned long start;		/* jiffies */
	unsigned int said;		/* seconds */
};

static bool phys_stall_is_due(struct phys_stall *stall)
{
	unsigned int seconds = (jiffies - stall->start) / HZ;

	if (!seconds || seconds < 2 * stall->said)
		return false;
	stall->said = seconds;
	return true;
}

/* What the exporter may know of an importer. */
static struct dma_buf_phys_peer phys_peer(struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_attachment *importer = to_importer(attach);

	return (struct dma_buf_phys_peer) {
		.dev = attach->dev,
		.views = importer ? importer->views : DMA_BUF_PHYS_VIEW_DMA,
		.peer2peer = attach->peer2peer,
		.stoppable = dma_buf_attach_revocable(attach),
	};
}

/*
 * Let the exporter bring the memory to where this importer reaches it. While
 * anybody has it pinned, it cannot.
 */
static int phys_prepare(struct dma_buf_attachment *attach)
{
	const struct dma_buf_phys_ops *ops = to_phys_ops(attach->dmabuf);
	struct dma_buf_phys_peer peer;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!ops->prepare || to_phys(attach->dmabuf)->nr_pins)
		return 0;
	peer = phys_peer(attach);
	return ops->prepare(attach->dmabuf, &peer);
}

/* Wait under resv, but never silently: others wait for resv meanwhile. */
static int phys_wait_resv(struct dma_buf *dmabuf, enum dma_resv_usage usage,
			  bool interruptible)
{
	struct phys_stall stall = { .start = jiffies };
	long ret;

	dma_resv_assert_held(dmabuf->resv);

	while (!(ret = dma_resv_wait_timeout(dmabuf->resv, usage, interruptible,
					     HZ))) {
		if (phys_stall_is_due(&stall))
			pr_warn("%s ino %llu: waiting %u s for fences\n",
				dmabuf->exp_name, to_phys(dmabuf)->ino,
				stall.said);
	}
	return ret < 0 ? ret : 0;
}

/*
 * KERNEL fences guard the memory itself: it may still be on its way here. Only
 * map and restore wait for them.
 */
int phys_wait_kernel_fences(struct dma_buf *dmabuf)
{
	return phys_wait_resv(dmabuf, DMA_RESV_USAGE_KERNEL, true);
}

/**
 * phys_ranges_borrow - what every map of a DMA or CPU view begins with
 * @attach: the importer
 * @ranges: filled in; give back with phys_ranges_put()
 *
 * The memory is where the exporter wants it for this importer, and has arrived.
 *
 * Context: &dma_buf.resv held, may sleep.
 * Return: 0, -ERESTARTSYS if a signal ended the wait, what the exporter's
 * prepare() returned, or as phys_ranges_get().
 */
int phys_ranges_borrow(struct dma_buf_attachment *attach,
		       struct dma_buf_phys_ranges *ranges)
{
	struct dma_buf *dmabuf = attach->dmabuf;
	int ret;

	if (!phys_is_live(dmabuf))
		return -ENODEV;
	ret = phys_prepare(attach);
	if (ret)
		return ret;
	ret = phys_ranges_get(dmabuf, ranges);
	if (ret)
		return ret;
	ret = phys_wait_kernel_fences(dmabuf);
	if (ret)
		phys_ranges_put(dmabuf, ranges);
	return ret;
}

/* The one line that says why an importer and a buffer do not fit. */
void phys_refuse(struct dma_buf *dmabuf, struct device *importer,
		 const struct dma_buf_phys_ranges *ranges, const char *reason)
{
	const char *exporter = dmabuf->exp_name;

	if (ranges && ranges->provider && ranges->provider->owner)
		exporter = dev_name(ranges->provider->owner);

	trace_dma_buf_phys_refuse(file_inode(dmabuf->file)->i_ino, exporter,
				  dev_name(importer), reason);
	pr_info_ratelimited("%s refused to %s: %s\n", exporter,
			    dev_name(importer), reason);
}

/**
 * dma_buf_phys_init - prepare the state of a buffer
 * @phys: embedded in the exporter's object
 * @suspended: set of &enum dma_buf_phys_reason that hold from the start
 *
 * Context: any, before dma_buf_phys_export().
 */
void dma_buf_phys_init(struct dma_buf_phys *phys, unsigned long suspended)
{
	*phys = (struct dma_buf_phys) { .suspended = suspended };
	init_waitqueue_head(&phys->idle);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_init, "DMA_BUF");

/* Whether the class counts who pinned the buffer. */
static bool phys_counts_pins(const struct dma_buf_phys_ops *ops)
{
	return ops->ops.pin == dma_buf_phys_pin_dma_buf;
}

/*
 * Scatterlists that the exporter makes by itself are not on the books, so it
 * cannot promise that they are gone. The same goes for pins, and for what
 * dma_buf_vmap() caches.
 */
static bool phys_ops_complete(const struct dma_buf_phys_ops *ops)
{
	bool sync = ops->ops.begin_cpu_access || ops->ops.end_cpu_access;
	bool map = ops->ops.map_dma_buf == dma_buf_phys_map_dma_buf;
	bool unmap = ops->ops.unmap_dma_buf == dma_buf_phys_unmap_dma_buf;
	bool pin = phys_counts_pins(ops);
	bool unpin = ops->ops.unpin == dma_buf_phys_unpin_dma_buf;

	if (ops->ops.attach != dma_buf_phys_attach ||
	    ops->ops.detach != dma_buf_phys_detach || !ops->get_ranges ||
	    map != unmap || pin != unpin || (map && ops->attach_sgt) ||
	    !ops->attach_sgt != !ops->detach_sgt)
		return false;
	if (ops->may_move && (!pin || !ops->put_ranges))
		return false;
	if (pin || ops->may_revoke || ops->prepare)
		return map && !sync && !ops->ops.vmap;
	return true;
}

/**
 * dma_buf_phys_export - create a dma-buf of this class
 * @info: as for dma_buf_export(); @info->ops is the first member of a
 *	&struct dma_buf_phys_ops, @info->priv an initialised &struct dma_buf_phys
 *
 * The vmap operation is refused to an exporter that may revoke or move, because
 * dma_buf_vmap() caches a mapping that nobody could end.
 *
 * Context: process context, without &dma_buf.resv.
 * Return: the dma-buf, or an ERR_PTR: -EINVAL if the operations are incomplete,
 * or what dma_buf_export() returned.
 */
struct dma_buf *dma_buf_phys_export(const struct dma_buf_export_info *info)
{
	struct dma_buf_phys *phys = info->priv;
	struct dma_buf *dmabuf;

	if (WARN_ON(!info->ops || !phys) ||
	    WARN_ON(!phys_ops_complete(container_of(info->ops,
						    struct dma_buf_phys_ops,
						    ops))))
		return ERR_PTR(-EINVAL);

	dmabuf = dma_buf_export(info);
	if (IS_ERR(dmabuf))
		return dmabuf;

	phys->inode = file_inode(dmabuf->file);
	ihold(phys->inode);
	phys->ino = phys->inode->i_ino;
	phys->since = ktime_get();
	phys->changed = phys->since;
	/* Readers of debugfs find the buffer already; now it is complete. */
	smp_store_release(&phys->dmabuf, dmabuf);
	trace_dma_buf_phys_export(phys);
	return dmabuf;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_export, "DMA_BUF");

/**
 * dma_buf_phys_fini - the buffer is being released
 * @phys: state of a buffer that dma_buf_phys_export() created
 *
 * Once this returns, the core does not touch @phys any more.
 *
 * Context: first thing in &dma_buf_ops.release.
 */
void dma_buf_phys_fini(struct dma_buf_phys *phys)
{
	WARN_ON(phys->nr_maps);

	trace_dma_buf_phys_release(phys);
	kvfree(phys->index);
	iput(phys->inode);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_fini, "DMA_BUF");

/*
 * Attachments
 *
 * The exporter's side of the dma-buf interface reads peer-to-peer and
 * revocability from static operations, so an importer of this class appears
 * there by one of two tables, with dma_buf_phys_attachment as importer_priv.
 * An importer that does not know the class has neither.
 */

static void phys_thunk_invalidate(struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_attachment *importer = attach->importer_priv;

	/* May come before dma_buf_phys_importer_attach() knows it. */
	importer->attach = attach;
	phys_domain_unmap_all(importer);
	phys_cpu_unmap_all(importer);
	if (importer->ops->invalidate)
		importer->ops->invalidate(importer);
}

const struct dma_buf_attach_ops phys_thunk_stoppable = {
	.allow_peer2peer = true,
	.invalidate_mappings = phys_thunk_invalidate,
};

const struct dma_buf_attach_ops phys_thunk_static = {
	.allow_peer2peer = true,
};

static void phys_holder_init(struct dma_buf_phys_holder *holder)
{
	get_task_comm(holder->comm, current);
	holder->pid = task_tgid_nr(current);
	holder->memcg = get_mem_cgroup_from_current();
	holder->nr_maps = 0;
	holder->nr_pins = 0;
	holder->since = ktime_get();
}

static void phys_holder_fini(struct dma_buf_phys_holder *holder)
{
	mem_cgroup_put(holder->memcg);
}

/* What holds wherever the memory is. */
static int phys_check_importer(struct dma_buf *dmabuf,
			       struct dma_buf_attachment *attach,
			       const struct dma_buf_phys_ranges *ranges)
{
	const struct dma_buf_phys_ops *ops = to_phys_ops(dmabuf);
	struct dma_buf_phys_peer peer = phys_peer(attach);
	int ret;

	if (ops->may_revoke && !peer.stoppable) {
		phys_refuse(dmabuf, attach->dev, ranges,
			    "importer cannot stop when the memory is revoked");
		return -EOPNOTSUPP;
	}
	if (!ops->attach_peer)
		return 0;
	ret = ops->attach_peer(dmabuf, &peer);
	if (ret)
		phys_refuse(dmabuf, attach->dev, ranges,
			    "exporter does not want this importer");
	return ret;
}

/* What memory that stays where it is must be like. */
static int phys_check_place(struct dma_buf *dmabuf,
			    struct dma_buf_attachment *attach,
			    const struct dma_buf_phys_ranges *ranges)
{
	struct dma_buf_phys_attachment *importer = to_importer(attach);

	if (importer && (importer->views & DMA_BUF_PHYS_VIEW_CPU) &&
	    ranges->no_cpu) {
		phys_refuse(dmabuf, attach->dev, ranges,
			    "exporter does not say how the CPU may map it");
		return -EOPNOTSUPP;
	}
	if (!phys_owns_sgt(dmabuf) ||
	    (importer && !(importer->views & DMA_BUF_PHYS_VIEW_DMA)))
		return 0;
	return phys_dma_reachable(attach, ranges);
}

/* Who will map the scatterlist that the exporter makes by itself. */
static bool phys_wants_own_sgt(const struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_attachment *importer = to_importer(attach);

	return !phys_owns_sgt(attach->dmabuf) &&
	       (!importer || importer->views & DMA_BUF_PHYS_VIEW_DMA);
}

/* To make a list of ranges costs something; scatterlists may do without. */
static bool phys_wants_ranges(const struct dma_buf_attachment *attach)
{
	return phys_owns_sgt(attach->dmabuf) ||
	       to_views(attach) & ~DMA_BUF_PHYS_VIEW_DMA;
}

/* Whether the memory and this importer fit, as far as can be known now. */
static int phys_check_fit(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_ranges ranges;
	int ret;

	if (!phys_wants_ranges(attach))
		return phys_check_importer(dmabuf, attach, NULL);

	ret = phys_ranges_peek(dmabuf, &ranges);
	if (ret == -EOPNOTSUPP)
		phys_refuse(dmabuf, attach->dev, NULL,
			    "exporter cannot describe this memory by ranges");
	if (ret)
		return ret;
	ret = phys_check_importer(dmabuf, attach, &ranges);
	if (!ret && !to_phys_ops(dmabuf)->may_move)
		ret = phys_check_place(dmabuf, attach, &ranges);
	phys_ranges_put(dmabuf, &ranges);
	return ret;
}

/**
 * dma_buf_phys_attach - &dma_buf_ops.attach of every exporter of the class
 * @dmabuf: the buffer
 * @attach: the new attachment
 *
 * The address of this function marks the class. Where the class makes the
 * scatterlist, &dma_buf_attachment.priv is the class's, elsewhere the
 * exporter's, see &dma_buf_phys_ops.attach_sgt.
 *
 * Context: called by dma_buf_dynamic_attach(), without &dma_buf.resv.
 * Return: 0, -ENODEV if the buffer is revoked, -EOPNOTSUPP if importer and
 * memory do not fit (the log has the reason), -EINVAL if the exporter handed
 * out a bad list of ranges, -ENOMEM, or what its get_ranges(), attach_peer() or
 * attach_sgt() returned.
 */
int dma_buf_phys_attach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_holder *holder;
	int ret;

	dma_resv_lock(dmabuf->resv, NULL);
	ret = phys_check_fit(dmabuf, attach);
	dma_resv_unlock(dmabuf->resv);
	if (ret)
		return ret;

	if (phys_owns_sgt(dmabuf) && !to_importer(attach)) {
		holder = kzalloc_obj(*holder, GFP_KERNEL_ACCOUNT);
		if (!holder)
			return -ENOMEM;
		phys_holder_init(holder);
		attach->priv = holder;
	}
	if (to_phys_ops(dmabuf)->attach_sgt && phys_wants_own_sgt(attach)) {
		ret = to_phys_ops(dmabuf)->attach_sgt(dmabuf, attach);
		if (ret)
			return ret;
	}
	trace_dma_buf_phys_attach(attach, to_importer_name(attach),
				  to_views(attach));
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_attach, "DMA_BUF");

/**
 * dma_buf_phys_detach - &dma_buf_ops.detach of every exporter of the class
 * @dmabuf: the buffer
 * @attach: the attachment that goes
 *
 * Context: called by dma_buf_detach(), without &dma_buf.resv. Any state.
 */
void dma_buf_phys_detach(struct dma_buf *dmabuf,
			 struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_holder *holder = to_holder(attach);

	WARN_ON(holder && holder->nr_maps);
	WARN_ON(holder && holder->nr_pins);
	trace_dma_buf_phys_detach(attach, to_importer_name(attach),
				  to_views(attach));
	if (phys_owns_sgt(dmabuf) && !to_importer(attach)) {
		phys_holder_fini(holder);
		kfree(holder);
	} else if (to_phys_ops(dmabuf)->detach_sgt && phys_wants_own_sgt(attach)) {
		to_phys_ops(dmabuf)->detach_sgt(dmabuf, attach);
	}
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_detach, "DMA_BUF");

/* DMA views only the importer can stop, the others the core stops by itself. */
static const struct dma_buf_attach_ops *
phys_pick_thunk(unsigned int views, const struct dma_buf_phys_importer_ops *ops)
{
	if ((views & DMA_BUF_PHYS_VIEW_DMA) && !ops->invalidate)
		return &phys_thunk_static;
	return &phys_thunk_stoppable;
}

/* What an exporter outside the class cannot give, and nobody else can. */
static int phys_check_views(struct dma_buf *dmabuf, struct device *dev,
			    unsigned int views)
{
	const unsigned int known = DMA_BUF_PHYS_VIEW_DMA |
				   DMA_BUF_PHYS_VIEW_DOMAIN |
				   DMA_BUF_PHYS_VIEW_CPU;
	const char *reason;

	if (WARN_ON(!views || views & ~known))
		return -EINVAL;
	if (is_dma_buf_phys(dmabuf))
		return 0;

	if (views & DMA_BUF_PHYS_VIEW_DOMAIN)
		reason = "exporter does not describe its memory by ranges";
	else if ((views & DMA_BUF_PHYS_VIEW_CPU) && !dmabuf->ops->vmap)
		reason = "exporter does not map its memory for the kernel";
	else
		return 0;
	phys_refuse(dmabuf, dev, NULL, reason);
	return -EOPNOTSUPP;
}

static struct dma_buf_phys_attachment *
phys_importer_alloc(struct dma_buf *dmabuf, unsigned int views,
		    const struct dma_buf_phys_importer_ops *ops, void *priv)
{
	struct dma_buf_phys_attachment *importer;

	importer = kzalloc_obj(*importer, GFP_KERNEL_ACCOUNT);
	if (!importer)
		return NULL;
	importer->dmabuf = dmabuf;
	importer->priv = priv;
	importer->ops = ops;
	importer->views = views;
	INIT_LIST_HEAD(&importer->domain_maps);
	INIT_LIST_HEAD(&importer->cpu_maps);
	phys_holder_init(&importer->holder);
	return importer;
}

static void phys_importer_free(struct dma_buf_phys_attachment *importer)
{
	phys_holder_fini(&importer->holder);
	kfree(importer);
}

/**
 * dma_buf_phys_importer_attach - attach to a buffer
 * @dmabuf: any dma-buf; one that is not of the class gives a DMA view, and a
 *	CPU view if its exporter has a vmap operation
 * @dev: the device that will access the memory. Without %DMA_BUF_PHYS_VIEW_DMA
 *	any device will do: a domain's devices are not checked, and a CPU view
 *	has none.
 * @views: set of &enum dma_buf_phys_view that will be mapped, not empty
 * @ops: the importer, must outlive the attachment
 * @priv: importer's own pointer
 *
 * Context: process context, without &dma_buf.resv.
 * Return: the attachment, or an ERR_PTR: -EINVAL if @views is empty or unknown,
 * -EOPNOTSUPP if a view is wanted that a buffer outside the class cannot give;
 * or as dma_buf_phys_attach(), or what the attach of an exporter outside the
 * class returned.
 */
struct dma_buf_phys_attachment *
dma_buf_phys_importer_attach(struct dma_buf *dmabuf, struct device *dev,
			     unsigned int views,
			     const struct dma_buf_phys_importer_ops *ops,
			     void *priv)
{
	struct dma_buf_phys_attachment *importer;
	struct dma_buf_attachment *attach;
	int ret;

	ret = phys_check_views(dmabuf, dev, views);
	if (ret)
		return ERR_PTR(ret);

	importer = phys_importer_alloc(dmabuf, views, ops, priv);
	if (!importer)
		return ERR_PTR(-ENOMEM);

	attach = dma_buf_dynamic_attach(dmabuf, dev,
					phys_pick_thunk(views, ops), importer);
	if (IS_ERR(attach)) {
		phys_importer_free(importer);
		return ERR_CAST(attach);
	}
	importer->attach = attach;
	return importer;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_importer_attach, "DMA_BUF");

/**
 * dma_buf_phys_importer_detach - end an attachment
 * @attach: every view of it is unmapped
 *
 * Once this returns, the importer's invalidate() is not called any more.
 *
 * Context: process context, without &dma_buf.resv. Any state.
 */
void dma_buf_phys_importer_detach(struct dma_buf_phys_attachment *attach)
{
	WARN_ON(!list_empty(&attach->domain_maps));
	WARN_ON(!list_empty(&attach->cpu_maps));

	dma_buf_detach(attach->dmabuf, attach->attach);
	phys_importer_free(attach);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_importer_detach, "DMA_BUF");

/**
 * dma_buf_phys_pin_dma_buf - &dma_buf_ops.pin of memory that moves
 * @attach: an attachment to a buffer of the class
 *
 * Lets the exporter bring the memory to where this importer reaches it, if
 * nobody has pinned it before. From then on it stays there until the last
 * dma_buf_phys_unpin_dma_buf().
 *
 * Context: &dma_buf.resv held.
 * Return: 0, -ENODEV if the buffer is suspended or revoked, or what the
 * exporter's prepare() returned.
 */
int dma_buf_phys_pin_dma_buf(struct dma_buf_attachment *attach)
{
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!phys_is_live(attach->dmabuf))
		return -ENODEV;
	ret = phys_prepare(attach);
	if (ret)
		return ret;
	to_phys(attach->dmabuf)->nr_pins++;
	to_holder(attach)->nr_pins++;
	trace_dma_buf_phys_pin(attach, to_importer_name(attach),
			       to_views(attach));
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_pin_dma_buf, "DMA_BUF");

/**
 * dma_buf_phys_unpin_dma_buf - &dma_buf_ops.unpin of memory that moves
 * @attach: an attachment to a buffer of the class
 *
 * Context: &dma_buf.resv held. Any state of the buffer.
 */
void dma_buf_phys_unpin_dma_buf(struct dma_buf_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	to_holder(attach)->nr_pins--;
	to_phys(attach->dmabuf)->nr_pins--;
	trace_dma_buf_phys_unpin(attach, to_importer_name(attach),
				 to_views(attach));
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_unpin_dma_buf, "DMA_BUF");

/* Pins of a buffer that does not move are noted for the importer only. */
static bool phys_pin_is_counted(const struct dma_buf *dmabuf)
{
	return is_dma_buf_phys(dmabuf) &&
	       phys_counts_pins(to_phys_ops(dmabuf));
}

/**
 * dma_buf_phys_pin - keep the memory where it is
 * @attach: the attachment
 *
 * A pinned buffer is not moved, but may still be suspended or revoked. An
 * importer without invalidate() must pin before it maps, and so must every
 * importer before it maps into a domain.
 *
 * Context: &dma_buf.resv held.
 * Return: 0, -ENODEV if the buffer is suspended or revoked, or what the
 * exporter's pin returned.
 */
int dma_buf_phys_pin(struct dma_buf_phys_attachment *attach)
{
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (is_dma_buf_phys(attach->dmabuf) && !phys_is_live(attach->dmabuf))
		return -ENODEV;
	ret = dma_buf_pin(attach->attach);
	if (!ret && !phys_pin_is_counted(attach->dmabuf)) {
		attach->holder.nr_pins++;
		trace_dma_buf_phys_pin(attach->attach, attach->ops->name,
				       attach->views);
	}
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_pin, "DMA_BUF");

/**
 * dma_buf_phys_unpin - undo dma_buf_phys_pin()
 * @attach: the attachment; before the last unpin, no domain view is registered
 *
 * Context: &dma_buf.resv held. Any state.
 */
void dma_buf_phys_unpin(struct dma_buf_phys_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	if (!phys_pin_is_counted(attach->dmabuf)) {
		attach->holder.nr_pins--;
		trace_dma_buf_phys_unpin(attach->attach, attach->ops->name,
					 attach->views);
	}
	dma_buf_unpin(attach->attach);
	WARN_ON(!attach->holder.nr_pins && !list_empty(&attach->domain_maps));
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_unpin, "DMA_BUF");

/*
 * States
 */

/*
 * The fences of all accesses that were under way when the views were
 * invalidated. Later ones do not count: whoever holds the fd can add them for
 * ever, and no access comes with them. Without memory for the array, wait for
 * whatever is there.
 */
static struct dma_fence *phys_snapshot_fences(struct dma_buf *dmabuf)
{
	struct dma_fence *fence;

	dma_resv_assert_held(dmabuf->resv);

	if (dma_resv_get_singleton(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP,
				   &fence))
		return ERR_PTR(-ENOMEM);
	return fence;
}

static bool phys_wait_fences(struct dma_buf *dmabuf, struct dma_fence *fence)
{
	if (IS_ERR(fence))
		return dma_resv_wait_timeout(dmabuf->resv,
					     DMA_RESV_USAGE_BOOKKEEP, false,
					     HZ) > 0;
	return !fence || dma_fence_wait_timeout(fence, false, HZ) > 0;
}

static bool phys_fences_are_done(struct dma_buf *dmabuf, struct dma_fence *fence)
{
	if (IS_ERR(fence))
		return dma_resv_test_signaled(dmabuf->resv,
					      DMA_RESV_USAGE_BOOKKEEP);
	return !fence || dma_fence_is_signaled(fence);
}

static void phys_report_holder(const struct dma_buf_attachment *attach,
			       const struct dma_buf_phys_holder *holder)
{
	struct dma_buf_phys_attachment *importer = to_importer(attach);

	if (importer)
		pr_warn("  %s of %s[%d] on %s holds %u\n", importer->ops->name,
			holder->comm, holder->pid, dev_name(attach->dev),
			holder->nr_maps);
	else
		pr_warn("  %ps of %s[%d] on %s holds %u\n",
			attach->importer_ops->invalidate_mappings,
			holder->comm, holder->pid, dev_name(attach->dev),
			holder->nr_maps);
}

/* User space decides how many there are. */
#define PHYS_REPORT_MAX	16

/* Name those who have not let go yet. */
static void phys_report_stall(struct dma_buf *dmabuf, struct dma_fence *fence,
			      unsigned int seconds)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);
	struct dma_buf_phys_holder *holder;
	struct dma_buf_attachment *attach;
	unsigned int named = 0;

	dma_resv_lock(dmabuf->resv, NULL);
	pr_warn("%s ino %llu: waiting %u s for %u mappings%s\n",
		dmabuf->exp_name, phys->ino, seconds, phys->nr_maps,
		phys_fences_are_done(dmabuf, fence) ? "" : " and fences");
	list_for_each_entry(attach, &dmabuf->attachments, node) {
		holder = to_holder(attach);
		if (!holder || !holder->nr_maps)
			continue;
		if (named++ == PHYS_REPORT_MAX) {
			pr_warn("  and others\n");
			break;
		}
		phys_report_holder(attach, holder);
	}
	dma_resv_unlock(dmabuf->resv);
}

/* Both ways in which an importer says that it is done, each for up to 1 s. */
static bool phys_wait_second(struct dma_buf *dmabuf, struct dma_fence *fence)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);

	return phys_wait_fences(dmabuf, fence) &&
	       wait_event_timeout(phys->idle, !READ_ONCE(phys->nr_maps), HZ);
}

/*
 * Wait, never silently, until the memory cannot be reached any more. The state
 * must be such that no new mapping is made.
 */
static int phys_wait_unreachable(struct dma_buf *dmabuf,
				 struct dma_fence *fence, bool killable)
{
	struct phys_stall stall = { .start = jiffies };

	while (!phys_wait_second(dmabuf, fence)) {
		if (killable && fatal_signal_pending(current))
			return -EINTR;
		if (phys_stall_is_due(&stall))
			phys_report_stall(dmabuf, fence, stall.said);
	}

	/* The last unmap may still be inside its critical section. */
	dma_resv_lock(dmabuf->resv, NULL);
	trace_dma_buf_phys_stopped(to_phys(dmabuf));
	dma_resv_unlock(dmabuf->resv);
	return 0;
}

/* Nobody uses the memory from now on as it is mapped; importers are told. */
static void phys_invalidate(struct dma_buf *dmabuf)
{
	phys_mmap_zap(dmabuf);
	dma_buf_invalidate_mappings(dmabuf);
}

static void phys_set_state(struct dma_buf_phys *phys, unsigned long suspended,
			   bool revoked)
{
	dma_resv_assert_held(phys->dmabuf->resv);

	if (phys->suspended == suspended && phys->revoked == revoked)
		return;
	phys->suspended = suspended;
	phys->revoked = revoked;
	phys->changed = ktime_get();
}

/* Enter a state in which the buffer is not live, and make that true. */
static int phys_stop(struct dma_buf *dmabuf, unsigned long suspend,
		     bool revoke, bool killable)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);
	struct dma_fence *fence;
	bool was_live;
	int ret;

	might_sleep();
	if (WARN_ON(!to_phys_ops(dmabuf)->may_revoke))
		return -EINVAL;

	dma_resv_lock(dmabuf->resv, NULL);
	was_live = phys_is_live(dmabuf);
	phys_set_state(phys, phys->suspended | suspend,
		       phys->revoked || revoke);
	trace_dma_buf_phys_stop(phys);
	if (was_live)
		phys_invalidate(dmabuf);
	fence = phys_snapshot_fences(dmabuf);
	dma_resv_unlock(dmabuf->resv);

	ret = phys_wait_unreachable(dmabuf, fence, killable);
	if (!IS_ERR(fence))
		dma_fence_put(fence);
	return ret;
}

/**
 * dma_buf_phys_suspend - take the memory away for a while
 * @dmabuf: a phys dma-buf that may be revoked
 * @reason: why; the buffer stays suspended until every reason is restored
 *
 * Once this returns, every mapping of every view is gone and no new one is
 * made before dma_buf_phys_restore(). Idempotent per reason. Waits for the
 * importers, and names in the log those that take longer than a second. The
 * exporter must not restore the same reason meanwhile.
 *
 * Context: process context, without &dma_buf.resv. Sleeps uninterruptibly.
 */
void dma_buf_phys_suspend(struct dma_buf *dmabuf,
			  enum dma_buf_phys_reason reason)
{
	phys_stop(dmabuf, reason, false, false);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_suspend, "DMA_BUF");

/**
 * dma_buf_phys_suspend_killable - dma_buf_phys_suspend() where a user waits
 * @dmabuf: a phys dma-buf that may be revoked
 * @reason: why
 *
 * A fatal signal ends the wait for importers within seconds, though not that for
 * &dma_buf.resv. The buffer is suspended all the same and no map succeeds, but only
 * a return of 0 promises that every mapping is gone. The exporter must not restore
 * the same reason meanwhile.
 *
 * Context: process context, without &dma_buf.resv.
 * Return: 0, -EINTR if a fatal signal ended the wait, -EINVAL if the buffer may
 * not be revoked.
 */
int dma_buf_phys_suspend_killable(struct dma_buf *dmabuf,
				  enum dma_buf_phys_reason reason)
{
	return phys_stop(dmabuf, reason, false, true);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_suspend_killable, "DMA_BUF");

/**
 * dma_buf_phys_revoke - take the memory away for good
 * @dmabuf: a phys dma-buf that may be revoked
 *
 * Once this returns, every mapping of every view is gone, no new one is made,
 * and the exporter's get_ranges() is not called any more. Idempotent. Waits as
 * dma_buf_phys_suspend() does.
 *
 * Context: process context, without &dma_buf.resv. Sleeps uninterruptibly.
 */
void dma_buf_phys_revoke(struct dma_buf *dmabuf)
{
	phys_stop(dmabuf, 0, true, false);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_revoke, "DMA_BUF");

/**
 * dma_buf_phys_revoke_killable - dma_buf_phys_revoke() where a user waits
 * @dmabuf: a phys dma-buf that may be revoked
 *
 * A fatal signal ends the wait for importers within seconds, though not that for
 * &dma_buf.resv. The buffer is revoked all the same and no map succeeds, but only a
 * return of 0 promises that every mapping is gone. Calling again waits again.
 *
 * Context: process context, without &dma_buf.resv.
 * Return: 0, -EINTR if a fatal signal ended the wait, -EINVAL if the buffer may
 * not be revoked.
 */
int dma_buf_phys_revoke_killable(struct dma_buf *dmabuf)
{
	return phys_stop(dmabuf, 0, true, true);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_revoke_killable, "DMA_BUF");

/* As any map, a refill waits until the memory has arrived. */
static void phys_refill(struct dma_buf *dmabuf)
{
	struct dma_buf_phys_attachment *importer;
	struct dma_buf_attachment *attach;

	phys_wait_resv(dmabuf, DMA_RESV_USAGE_KERNEL, false);
	list_for_each_entry(attach, &dmabuf->attachments, node) {
		importer = to_importer(attach);
		if (importer)
			phys_domain_refill_all(importer);
	}
}

/**
 * dma_buf_phys_restore - a reason to suspend has ended
 * @dmabuf: a phys dma-buf
 * @reason: as given to dma_buf_phys_suspend()
 *
 * If it was the last one and the buffer is not revoked, the memory is live
 * again: the core has refilled every domain view at its old address when this
 * returns. DMA and CPU views stay gone until their importers map them again.
 * Idempotent per reason. Not to be called while dma_buf_phys_suspend() waits for
 * the same one. Waits for the KERNEL fences of the buffer.
 *
 * Context: process context, without &dma_buf.resv. Sleeps uninterruptibly.
 */
void dma_buf_phys_restore(struct dma_buf *dmabuf,
			  enum dma_buf_phys_reason reason)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);

	might_sleep();

	dma_resv_lock(dmabuf->resv, NULL);
	phys_set_state(phys, phys->suspended & ~reason, phys->revoked);
	trace_dma_buf_phys_restore(phys);
	if (phys_is_live(dmabuf))
		phys_refill(dmabuf);
	dma_resv_unlock(dmabuf->resv);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_restore, "DMA_BUF");

/**
 * dma_buf_phys_move - make way for the memory to move
 * @dmabuf: a phys dma-buf that may move
 *
 * Tells every importer that what it has mapped is at the wrong place from now on,
 * and waits, interruptibly, until no access is under way: CPU views have ended,
 * and every fence in &dma_buf.resv has signalled, also those of users of the old
 * contents. Does not wait for unmap: an importer may still read there and discard
 * what it reads. So the old place is in use until put_ranges() was called for
 * each array that describes it.
 *
 * Once this returns 0, and before it releases &dma_buf.resv, the exporter changes
 * what get_ranges() hands out, and adds the fence of its copy as
 * %DMA_RESV_USAGE_KERNEL; importers that map wait for it. On error nothing has
 * changed for the exporter; importers may have to map again.
 *
 * A buffer that is not live is not moved, because its memory cannot be copied. Of
 * one for which dma_buf_phys_suspend() has returned there is no view, so its
 * exporter may hand out other ranges as it likes.
 *
 * Context: &dma_buf.resv held, may sleep. Also from prepare().
 * Return: 0, -EINVAL if the buffer may not move, -ENODEV if it is suspended or
 * revoked, -EBUSY if an importer has pinned it, -ERESTARTSYS if a signal ended
 * the wait.
 */
int dma_buf_phys_move(struct dma_buf *dmabuf)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);

	dma_resv_assert_held(dmabuf->resv);
	might_sleep();

	if (WARN_ON(!to_phys_ops(dmabuf)->may_move))
		return -EINVAL;
	if (!phys_is_live(dmabuf))
		return -ENODEV;
	if (phys->nr_pins)
		return -EBUSY;

	trace_dma_buf_phys_move(phys);
	phys_invalidate(dmabuf);
	return phys_wait_resv(dmabuf, DMA_RESV_USAGE_BOOKKEEP, true);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_move, "DMA_BUF");

/**
 * dma_buf_phys_peer_reaches - can an importer use memory of a BAR
 * @peer: the importer
 * @provider: of the BAR
 *
 * For an exporter that chooses where to put its memory. Of a domain view the
 * importer knows more than anybody else, and a CPU view needs no path.
 *
 * Context: any.
 * Return: false if there is no way for its DMA. If there is, a map may still be
 * refused, for the device's DMA mask or the IOMMU's granule.
 */
bool dma_buf_phys_peer_reaches(const struct dma_buf_phys_peer *peer,
			       struct p2pdma_provider *provider)
{
	if (!(peer->views & DMA_BUF_PHYS_VIEW_DMA))
		return true;
	return peer->peer2peer && dev_is_pci(peer->dev) &&
	       phys_dma_has_path(provider, peer->dev);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_peer_reaches, "DMA_BUF");

#ifdef CONFIG_LOCKDEP
/*
 * The part of the lock order that has to do with this class, so that who breaks
 * it is told the first time, and not when it deadlocks. dma_resv_lockdep() has
 * the rest of what is below mmap_lock and resv: fs_reclaim, i_mmap_rwsem, waiting
 * for fences. The locks of VFIO, iommufd and importers have no class before they
 * exist; lockdep learns their place when they are first taken.
 */
static int __init phys_lockdep(void)
{
	struct mm_struct *mm = mm_alloc();
	struct rw_semaphore section;
	struct dma_resv resv;

	if (!mm)
		return -ENOMEM;
	dma_resv_init(&resv);
	phys_cpu_init_lock(&section);

	mmap_read_lock(mm);
	dma_resv_lock(&resv, NULL);
	down_write(&section);
	up_write(&section);
	dma_resv_unlock(&resv);
	mmap_read_unlock(mm);

	dma_resv_fini(&resv);
	mmput(mm);
	return 0;
}
subsys_initcall_sync(phys_lockdep);
#endif

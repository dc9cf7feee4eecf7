// SPDX-License-Identifier: GPL-2.0-only
/*
 * An exporter of memory that moves: the example for drivers of GPUs and the like
 *
 * It takes the BAR of a device that QEMU emulates for video memory, which is
 * made too small for all objects. Objects begin in system RAM and come to video
 * memory when user space says so, as a GPU does before it works on them; those
 * that were used least recently make room. Importers see it all through
 * dma-buf-phys and go on, wherever the memory is.
 *
 * What there is:
 *
 *   object	what user space has an fd of. Its size and policy are fixed.
 *   place	where the bytes of an object are: pages of RAM, or of video memory.
 *		Immutable; an object that moves gets another one. Everybody who
 *		uses a place holds a reference, and the memory of a place is free
 *		when the last one is gone. So nothing is given to somebody else
 *		while an importer, or a copy, may still look at it.
 *   copy	brings the bytes from one place to another, in a worker, and ends by
 *		signalling a fence.
 *
 * The rules that keep it alive:
 *
 *  - An object changes its place under its dma_buf::resv, see vram_move(): first
 *    everything that can fail, then dma_buf_phys_move(), which ends the access of
 *    importers, then what cannot fail. The fence of the copy goes to
 *    DMA_RESV_USAGE_KERNEL. It is the promise that the bytes will have arrived,
 *    and whoever maps waits for it.
 *  - From the moment on when a fence can be seen, nothing on its way to being
 *    signalled allocates memory or takes resv: those who wait for it hold resv,
 *    or are about to free memory.
 *  - One resv at a time. prepare() is called with the resv of one object, so it
 *    takes what is free and does not evict another. Who evicts for the sake of an
 *    object does so before it locks that (vram_make_room()).
 *  - Who holds resv may wait in a move for what others still do with the memory,
 *    so an ioctl takes it interruptibly.
 *  - Nobody waits for importers to unmap, but dma_buf_phys_revoke() does.
 *  - Who finds an object on a list has no reference to it, and takes none: the
 *    file may be freed already, because the release is that of the dentry, which
 *    a file descriptor of O_PATH keeps. vram_device::objects_lock keeps what is on
 *    the list from being released, and with it the dma-buf and its resv.
 *
 * Lock order:
 *
 *   vram_device::objects_lock > dma_buf::resv > vram_device::lock
 *
 * The release takes objects_lock, so it would not do to drop the last reference
 * to a dma-buf under it; but fput() leaves the release to a context without locks.
 * Callbacks of dma-buf-phys come with resv held, and cannot take objects_lock. A
 * wait for importers and their fences is possible under it, as it is under resv: so
 * it is not taken on the way to signalling a fence. For a copy that was started
 * under it, wait when it is released, see vram_make_room().
 *
 * A file descriptor may outlive the device. remove() revokes every object, and
 * what is left after that is memory that belongs to nobody's device.
 *
 * The driver binds by driver_override only.
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-phys.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "dma-buf-test-uapi.h"

#define VRAM_BAR	2
#define VRAM_MAX_SIZE	SZ_16M

static unsigned int vram_kb = 1024;
module_param(vram_kb, uint, 0644);
MODULE_PARM_DESC(vram_kb, "size of the video memory of devices to come, in KiB");

struct vram_device {
	struct kref ref;		/* of the driver, files, objects, places */
	struct miscdevice misc;

	/* Immutable; valid until remove() has ended every access. */
	struct pci_dev *pdev;
	struct p2pdma_provider *provider;
	void __iomem *bar;
	phys_addr_t start;		/* of the BAR */
	struct workqueue_struct *wq;	/* ordered: the copy engine */

	u64 context;			/* immutable: of the copies' fences */
	u32 copy_ms;			/* any time, by READ_ONCE() */

	struct mutex objects_lock;	/* protects the next three */
	unsigned long suspended;	/* set of enum dma_buf_phys_reason; may be
					 * read without the lock as a hint
					 */
	bool gone;			/* no new objects */
	struct list_head objects;	/* all that are not being released */

	spinlock_t lock;		/* protects the rest */
	struct list_head lru;		/* of @objects, what is in video memory */
	u64 seqno;			/* of the last copy that was queued */
	unsigned long nr_free;		/* pages */
	unsigned long nr_pages;		/* immutable */
	unsigned long *used;		/* bit per page */
};

/* All fields but the reference are immutable. */
struct vram_place {
	struct kref ref;
	struct vram_device *dev;
	enum dma_buf_phys_kind kind;
	size_t nr;
	struct phys_vec vec[] __counted_by(nr);
};

struct vram_object {
	struct dma_buf_phys phys;	/* dma_buf::priv points here */
	struct dma_buf *dmabuf;		/* immutable, as the next two */
	struct vram_device *dev;
	u32 flags;			/* set of DBV_* */
	struct mem_cgroup *memcg;	/* immutable: charged for RAM */
	struct list_head node;		/* under vram_device::objects_lock */
	struct list_head lru;		/* under vram_device::lock */

	/* Under dma_buf::resv. */
	struct vram_place *place;	/* NULL once the device is gone */
	u32 nr_moves;
	u32 nr_evictions;
};

/* The fence is first, because dma_fence_free() frees all of it. */
struct vram_copy {
	struct dma_fence fence;
	struct work_struct work;
	struct vram_place *from;
	struct vram_place *to;
};

static struct vram_object *to_vram_object(const struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct vram_object, phys);
}

static void vram_device_free(struct kref *ref)
{
	struct vram_device *dev = container_of(ref, struct vram_device, ref);

	mutex_destroy(&dev->objects_lock);
	bitmap_free(dev->used);
	kfree(dev);
}

static void vram_device_put(struct vram_device *dev)
{
	kref_put(&dev->ref, vram_device_free);
}

/*
 * Places
 */

static void vram_free_ram(struct vram_place *place)
{
	size_t i;

	for (i = 0; i < place->nr; i++)
		__free_page(pfn_to_page(PHYS_PFN(place->vec[i].paddr)));
}

static void vram_free_vram(struct vram_place *place)
{
	struct vram_device *dev = place->dev;
	const struct phys_vec *vec;
	size_t i;

	guard(spinlock)(&dev->lock);
	for (i = 0; i < place->nr; i++) {
		vec = &place->vec[i];
		bitmap_clear(dev->used, PHYS_PFN(vec->paddr - dev->start),
			     PHYS_PFN(vec->len));
		dev->nr_free += PHYS_PFN(vec->len);
	}
}

/* Nobody uses the place any more: no object, no map, no copy. */
static void vram_place_free(struct kref *ref)
{
	struct vram_place *place = container_of(ref, struct vram_place, ref);
	struct vram_device *dev = place->dev;

	if (place->kind == DMA_BUF_PHYS_MMIO)
		vram_free_vram(place);
	else
		vram_free_ram(place);
	kvfree(place);
	vram_device_put(dev);
}

static void vram_place_put(struct vram_place *place)
{
	kref_put(&place->ref, vram_place_free);
}

static struct vram_place *vram_place_get(struct vram_place *place)
{
	kref_get(&place->ref);
	return place;
}

static struct vram_place *vram_place_alloc(struct vram_device *dev, size_t size,
					   enum dma_buf_phys_kind kind)
{
	struct vram_place *place;

	place = kvzalloc_flex(*place, vec, PHYS_PFN(size), GFP_KERNEL_ACCOUNT);
	if (!place)
		return NULL;
	kref_init(&place->ref);
	kref_get(&dev->ref);
	place->dev = dev;
	place->kind = kind;
	place->nr = 0;
	return place;
}

static void vram_place_add(struct vram_place *place, phys_addr_t paddr,
			   size_t len)
{
	size_t i = place->nr++;

	place->vec[i].paddr = paddr;
	place->vec[i].len = len;
}

static struct vram_place *vram_place_in_ram(struct vram_device *dev,
					    size_t size)
{
	struct vram_place *place;
	struct page *page;

	place = vram_place_alloc(dev, size, DMA_BUF_PHYS_RAM);
	if (!place)
		return ERR_PTR(-ENOMEM);

	for (; size; size -= PAGE_SIZE) {
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!page) {
			vram_place_put(place);
			return ERR_PTR(-ENOMEM);
		}
		vram_place_add(place, page_to_phys(page), PAGE_SIZE);
	}
	return place;
}

/* Whatever is free will do, in as many pieces as it takes. */
static int vram_take(struct vram_place *place, unsigned long pages)
{
	struct vram_device *dev = place->dev;
	unsigned long at = 0, end;

	guard(spinlock)(&dev->lock);
	if (dev->nr_free < pages)
		return -ENOSPC;

	dev->nr_free -= pages;
	for (; pages; pages -= end - at, at = end) {
		at = find_next_zero_bit(dev->used, dev->nr_pages, at);
		end = min(find_next_bit(dev->used, dev->nr_pages, at),
			  at + pages);
		bitmap_set(dev->used, at, end - at);
		vram_place_add(place, dev->start + PFN_PHYS(at),
			       PFN_PHYS(end - at));
	}
	return 0;
}

static struct vram_place *vram_place_in_vram(struct vram_device *dev,
					     size_t size)
{
	struct vram_place *place;
	int ret;

	place = vram_place_alloc(dev, size, DMA_BUF_PHYS_MMIO);
	if (!place)
		return ERR_PTR(-ENOMEM);
	ret = vram_take(place, PHYS_PFN(size));
	if (ret) {
		vram_place_put(place);
		return ERR_PTR(ret);
	}
	return place;
}

/*
 * Copies
 */

/* Page after page of a place */
struct vram_walk {
	const struct phys_vec *vec;
	size_t done;
};

static phys_addr_t vram_walk_next(struct vram_walk *walk)
{
	phys_addr_t paddr = walk->vec->paddr + walk->done;

	walk->done += PAGE_SIZE;
	if (walk->done == walk->vec->len) {
		walk->vec++;
		walk->done = 0;
	}
	return paddr;
}

/* One of the two is in RAM, the other one is not. */
static void vram_copy_page(struct vram_copy *copy, phys_addr_t from,
			   phys_addr_t to)
{
	struct vram_device *dev = copy->to->dev;
	void *page;

	if (copy->to->kind == DMA_BUF_PHYS_MMIO) {
		page = kmap_local_page(pfn_to_page(PHYS_PFN(from)));
		memcpy_toio(dev->bar + (to - dev->start), page, PAGE_SIZE);
	} else {
		page = kmap_local_page(pfn_to_page(PHYS_PFN(to)));
		memcpy_fromio(page, dev->bar + (from - dev->start), PAGE_SIZE);
	}
	kunmap_local(page);
}

static void vram_copy_all(struct vram_copy *copy)
{
	struct vram_walk from = { .vec = copy->from->vec };
	struct vram_walk to = { .vec = copy->to->vec };
	const struct phys_vec *end = copy->to->vec + copy->to->nr;

	while (to.vec < end) {
		vram_copy_page(copy, vram_walk_next(&from),
			       vram_walk_next(&to));
		cond_resched();
	}

	/* Posted writes have arrived once something behind them was read. */
	ioread8(copy->to->dev->bar);
}

/*
 * What lies between the two annotations is what others wait for. lockdep
 * complains if it takes a lock under which somebody waits for a fence, or
 * allocates memory.
 */
static void vram_copy_work(struct work_struct *work)
{
	struct vram_copy *copy = container_of(work, struct vram_copy, work);
	bool cookie = dma_fence_begin_signalling();

	msleep(READ_ONCE(copy->to->dev->copy_ms));
	vram_copy_all(copy);
	/*
	 * Before the signal: who waits for it wants the memory, of the old place
	 * now, of the new one when the object is closed.
	 */
	vram_place_put(copy->from);
	vram_place_put(copy->to);
	dma_fence_signal(&copy->fence);
	dma_fence_end_signalling(cookie);

	dma_fence_put(&copy->fence);
}

static const char *vram_fence_name(struct dma_fence *fence)
{
	return "dma-buf-test-vram";
}

/*
 * No lock: it would have to live as long as the last fence that somebody keeps.
 */
static const struct dma_fence_ops vram_fence_ops = {
	.get_driver_name = vram_fence_name,
	.get_timeline_name = vram_fence_name,
};

static struct vram_copy *vram_copy_alloc(struct vram_place *from,
					 struct vram_place *to)
{
	struct vram_copy *copy;

	copy = kzalloc_obj(*copy);
	if (!copy)
		return NULL;
	INIT_WORK(&copy->work, vram_copy_work);
	copy->from = vram_place_get(from);
	copy->to = vram_place_get(to);
	return copy;
}

/* It was not started, so nobody has seen its fence. */
static void vram_copy_free(struct vram_copy *copy)
{
	vram_place_put(copy->from);
	vram_place_put(copy->to);
	kfree(copy);
}

/* Fences of one context signal in the order of their numbers, so queue in it. */
static struct dma_fence *vram_copy_queue(struct vram_device *dev,
					 struct vram_copy *copy)
{
	guard(spinlock)(&dev->lock);
	dma_fence_init(&copy->fence, &vram_fence_ops, NULL, dev->context,
		       ++dev->seqno);
	dma_fence_get(&copy->fence);
	queue_work(dev->wq, &copy->work);
	return &copy->fence;
}

/*
 * Start the copy, which belongs to the worker from then on. Its fence, which may
 * have signalled already, is what importers wait for when resv is released.
 */
static void vram_copy_start(struct vram_object *obj, struct vram_copy *copy)
{
	struct dma_fence *fence = vram_copy_queue(obj->dev, copy);

	dma_resv_add_fence(obj->dmabuf->resv, fence, DMA_RESV_USAGE_KERNEL);
	dma_fence_put(fence);
}

/*
 * Moving
 */

static bool vram_is_inside(const struct vram_object *obj)
{
	dma_resv_assert_held(obj->dmabuf->resv);

	return obj->place && obj->place->kind == DMA_BUF_PHYS_MMIO;
}

/* Used just now, so it is the last to be evicted. */
static void vram_touch(struct vram_object *obj)
{
	guard(spinlock)(&obj->dev->lock);
	if (vram_is_inside(obj))
		list_move_tail(&obj->lru, &obj->dev->lru);
	else
		list_del_init(&obj->lru);
}

/*
 * Give the object another place, which takes over the reference to @to. The
 * order is the point of this file: nothing that can fail comes after
 * dma_buf_phys_move(), and nothing that importers can see comes before.
 */
static int vram_move(struct vram_object *obj, struct vram_place *to)
{
	struct dma_resv *resv = obj->dmabuf->resv;
	struct vram_copy *copy;
	int ret = -ENOMEM;

	dma_resv_assert_held(resv);

	copy = vram_copy_alloc(obj->place, to);
	if (!copy)
		goto err_put;
	ret = dma_resv_reserve_fences(resv, 1);
	if (ret)
		goto err_free;
	ret = dma_buf_phys_move(obj->dmabuf);
	if (ret)
		goto err_free;

	/* Importers may still have the old place mapped, and hold it then. */
	vram_place_put(obj->place);
	obj->place = to;
	obj->nr_moves++;
	vram_copy_start(obj, copy);
	vram_touch(obj);
	return 0;

err_free:
	vram_copy_free(copy);
err_put:
	vram_place_put(to);
	return ret;
}

/* Whoever needs the room, the RAM is the creator's. */
static int vram_move_out(struct vram_object *obj)
{
	struct mem_cgroup *old = set_active_memcg(obj->memcg);
	struct vram_place *to;

	to = vram_place_in_ram(obj->dev, obj->dmabuf->size);
	set_active_memcg(old);
	return IS_ERR(to) ? PTR_ERR(to) : vram_move(obj, to);
}

/* If there is room without evicting another object, whose resv is not ours. */
static int vram_move_in(struct vram_object *obj)
{
	struct vram_place *to;

	to = vram_place_in_vram(obj->dev, obj->dmabuf->size);
	return IS_ERR(to) ? PTR_ERR(to) : vram_move(obj, to);
}

/* Make the memory of an object free for others. */
static int vram_evict(struct vram_object *obj)
{
	int ret;

	dma_resv_assert_held(obj->dmabuf->resv);

	if (!obj->place)
		return -ENODEV;
	if (!vram_is_inside(obj))
		return 0;
	ret = vram_move_out(obj);
	if (!ret)
		obj->nr_evictions++;
	return ret;
}

/*
 * The exporter's side of dma-buf-phys
 */

static int vram_get_ranges(struct dma_buf *dmabuf,
			   struct dma_buf_phys_ranges *ranges)
{
	struct vram_object *obj = to_vram_object(dmabuf);
	struct vram_place *place = vram_place_get(obj->place);

	*ranges = (struct dma_buf_phys_ranges) {
		.vec = place->vec,
		.nr = place->nr,
		.kind = place->kind,
	};
	if (place->kind == DMA_BUF_PHYS_MMIO)
		ranges->provider = obj->dev->provider;
	return 0;
}

/* What is given back may be where the object was long ago. */
static void vram_put_ranges(struct dma_buf *dmabuf,
			    struct dma_buf_phys_ranges *ranges)
{
	vram_place_put(container_of(ranges->vec, struct vram_place, vec[0]));
}

/* An object that never leaves the device is of no use to who cannot go there. */
static int vram_attach_peer(struct dma_buf *dmabuf,
			    const struct dma_buf_phys_peer *peer)
{
	struct vram_object *obj = to_vram_object(dmabuf);

	if (obj->flags & DBV_NO_RAM &&
	    !dma_buf_phys_peer_reaches(peer, obj->dev->provider))
		return -EOPNOTSUPP;
	return 0;
}

/*
 * An importer is about to map. Where the object is will do if the importer gets
 * there; so two importers of different reach do not make it go to and fro. The
 * last resort is RAM, which everybody reaches.
 */
static int vram_prepare(struct dma_buf *dmabuf,
			const struct dma_buf_phys_peer *peer)
{
	struct vram_object *obj = to_vram_object(dmabuf);
	bool reaches = dma_buf_phys_peer_reaches(peer, obj->dev->provider);
	bool fetch = obj->flags & (DBV_FETCH | DBV_NO_RAM);
	int ret = 0;

	/* The core looks at the memory itself, and refuses what cannot be. */
	if (obj->flags & DBV_STAY)
		return 0;
	if (vram_is_inside(obj) && !reaches)
		return vram_move_out(obj);
	if (!vram_is_inside(obj) && reaches && fetch)
		ret = vram_move_in(obj);
	else
		vram_touch(obj);
	return ret == -ENOSPC && !(obj->flags & DBV_NO_RAM) ? 0 : ret;
}

static void vram_del(struct vram_object *obj)
{
	struct vram_device *dev = obj->dev;

	guard(mutex)(&dev->objects_lock);
	list_del(&obj->node);
	guard(spinlock)(&dev->lock);
	list_del(&obj->lru);
}

/*
 * The last reference is gone. Once the object is on no list, nobody has its resv,
 * and nobody calls the core for it.
 */
static void vram_release(struct dma_buf *dmabuf)
{
	struct vram_object *obj = to_vram_object(dmabuf);
	struct vram_device *dev = obj->dev;

	vram_del(obj);
	dma_buf_phys_fini(&obj->phys);
	if (obj->place)
		vram_place_put(obj->place);
	mem_cgroup_put(obj->memcg);
	kfree(obj);
	vram_device_put(dev);
}

static const struct dma_buf_phys_ops vram_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.pin = dma_buf_phys_pin_dma_buf,
		.unpin = dma_buf_phys_unpin_dma_buf,
		.map_dma_buf = dma_buf_phys_map_dma_buf,
		.unmap_dma_buf = dma_buf_phys_unmap_dma_buf,
		.mmap = dma_buf_phys_mmap,
		.release = vram_release,
	},
	.may_revoke = true,
	.may_move = true,
	.get_ranges = vram_get_ranges,
	.put_ranges = vram_put_ranges,
	.attach_peer = vram_attach_peer,
	.prepare = vram_prepare,
};

/*
 * Objects
 */

static struct vram_object *vram_object_alloc(struct vram_device *dev,
					     size_t size, u32 flags)
{
	struct vram_object *obj;
	struct vram_place *place;

	obj = kzalloc_obj(*obj, GFP_KERNEL_ACCOUNT);
	if (!obj)
		return ERR_PTR(-ENOMEM);
	place = vram_place_in_ram(dev, size);
	if (IS_ERR(place)) {
		kfree(obj);
		return ERR_CAST(place);
	}

	kref_get(&dev->ref);
	obj->dev = dev;
	obj->flags = flags;
	obj->memcg = get_mem_cgroup_from_mm(current->mm);
	obj->place = place;
	INIT_LIST_HEAD(&obj->node);
	INIT_LIST_HEAD(&obj->lru);
	return obj;
}

static void vram_object_free(struct vram_object *obj)
{
	struct vram_device *dev = obj->dev;

	vram_place_put(obj->place);
	mem_cgroup_put(obj->memcg);
	kfree(obj);
	vram_device_put(dev);
}

/* The device is gone: nobody has anything mapped, and nobody will. */
static void vram_lose(struct vram_object *obj)
{
	dma_buf_phys_revoke(obj->dmabuf);

	dma_resv_lock(obj->dmabuf->resv, NULL);
	if (obj->place)
		vram_place_put(obj->place);
	obj->place = NULL;
	dma_resv_unlock(obj->dmabuf->resv);
}

/*
 * Either remove() finds the object on the list, or it was here before. The same
 * goes for a reset, which a new object may be born into.
 */
static struct dma_buf *vram_export(struct vram_object *obj, size_t size)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct vram_device *dev = obj->dev;
	struct dma_buf *dmabuf;
	int ret;

	ACQUIRE(mutex_intr, lock)(&dev->objects_lock);
	ret = ACQUIRE_ERR(mutex_intr, &lock);
	if (ret)
		return ERR_PTR(ret);
	if (dev->gone)
		return ERR_PTR(-ENODEV);

	dma_buf_phys_init(&obj->phys, dev->suspended);
	info.ops = &vram_ops.ops;
	info.size = size;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = &obj->phys;
	dmabuf = dma_buf_phys_export(&info);
	if (IS_ERR(dmabuf))
		return dmabuf;

	/* From here on the release does all that is needed. */
	obj->dmabuf = dmabuf;
	list_add_tail(&obj->node, &dev->objects);
	return dmabuf;
}

static struct dma_buf *vram_create(struct vram_device *dev, size_t size,
				   u32 flags)
{
	struct vram_object *obj;
	struct dma_buf *dmabuf;

	obj = vram_object_alloc(dev, size, flags);
	if (IS_ERR(obj))
		return ERR_CAST(obj);
	dmabuf = vram_export(obj, size);
	if (IS_ERR(dmabuf))
		vram_object_free(obj);
	return dmabuf;
}

/*
 * The least recently used object. It goes to the end of the line, so that the next
 * call has another one if this cannot be evicted.
 */
static struct vram_object *vram_next_victim(struct vram_device *dev)
{
	struct vram_object *obj;

	lockdep_assert_held(&dev->objects_lock);

	guard(spinlock)(&dev->lock);
	obj = list_first_entry_or_null(&dev->lru, struct vram_object, lru);
	if (obj)
		list_move_tail(&obj->lru, &dev->lru);
	return obj;
}

/*
 * Evict an object. The copy lets go of the memory before it signals the fence, so
 * if there is one, the memory is free after that.
 */
static int vram_evict_start(struct vram_object *obj, struct dma_fence **fence)
{
	struct dma_resv *resv = obj->dmabuf->resv;
	int ret;

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	ret = vram_evict(obj);
	if (!ret)
		ret = dma_resv_get_singleton(resv, DMA_RESV_USAGE_KERNEL,
					     fence);
	dma_resv_unlock(resv);
	return ret;
}

/* -ENOSPC: there is no victim. */
static int vram_evict_one(struct vram_device *dev, struct dma_fence **fence)
{
	struct vram_object *victim;
	int ret;

	ACQUIRE(mutex_intr, lock)(&dev->objects_lock);
	ret = ACQUIRE_ERR(mutex_intr, &lock);
	if (ret)
		return ret;
	victim = vram_next_victim(dev);
	return victim ? vram_evict_start(victim, fence) : -ENOSPC;
}

/*
 * Returns when the memory is free, unless an importer is late with its unmap. The
 * victim may be released during the wait, the fence not.
 */
static int vram_evict_and_wait(struct vram_device *dev)
{
	struct dma_fence *fence = NULL;
	long ret;

	ret = vram_evict_one(dev, &fence);
	if (ret || !fence)
		return ret;
	ret = dma_fence_wait(fence, true);
	dma_fence_put(fence);
	return ret;
}

static size_t vram_count_victims(struct vram_device *dev)
{
	guard(spinlock)(&dev->lock);
	return list_count_nodes(&dev->lru);
}

/*
 * A place in video memory for an object that has none, at the expense of others.
 * No resv is held, so they can be locked one by one.
 */
static struct vram_place *vram_make_room(struct vram_device *dev, size_t size)
{
	size_t tries = vram_count_victims(dev);
	struct vram_place *place;
	int ret;

	for (;;) {
		place = vram_place_in_vram(dev, size);
		if (PTR_ERR_OR_ZERO(place) != -ENOSPC || !tries--)
			return place;
		ret = vram_evict_and_wait(dev);
		/* Pinned, or lost: then it is another one's turn. */
		if (ret && ret != -EBUSY && ret != -ENODEV)
			return ERR_PTR(ret);
	}
}

/* An errno if the object would not move now. */
static int vram_may_move(const struct vram_object *obj)
{
	dma_resv_assert_held(obj->dmabuf->resv);

	if (!obj->place || READ_ONCE(obj->dev->suspended))
		return -ENODEV;
	return dma_buf_phys_nr_pins(obj->dmabuf) ? -EBUSY : 0;
}

/*
 * Nobody has to go for an object that does not come: 1 if room is needed, 0 if the
 * object is there already. vram_move() has the last word.
 */
static int vram_wants_room(struct vram_object *obj)
{
	struct dma_resv *resv = obj->dmabuf->resv;
	int ret;

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	if (vram_is_inside(obj))
		vram_touch(obj);
	else
		ret = vram_may_move(obj) ?: 1;
	dma_resv_unlock(resv);
	return ret;
}

/* The device is about to use the object. */
static int vram_bring(struct vram_object *obj)
{
	struct dma_resv *resv = obj->dmabuf->resv;
	struct vram_place *to;
	int ret;

	ret = vram_wants_room(obj);
	if (ret <= 0)
		return ret;
	to = vram_make_room(obj->dev, obj->dmabuf->size);
	if (IS_ERR(to))
		return PTR_ERR(to);

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret) {
		vram_place_put(to);
		return ret;
	}
	ret = obj->place ? 0 : -ENODEV;
	if (ret || vram_is_inside(obj))
		vram_place_put(to);
	else
		ret = vram_move(obj, to);
	dma_resv_unlock(resv);
	return ret;
}

/*
 * What user space can ask for
 */

static long ioctl_create(struct vram_device *dev, void __user *user)
{
	struct dbv_create arg;
	struct dma_buf *dmabuf;
	int fd;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.pad || arg.flags & ~DBV_FLAGS || !arg.size ||
	    !PAGE_ALIGNED(arg.size) || arg.size > VRAM_MAX_SIZE)
		return -EINVAL;

	dmabuf = vram_create(dev, arg.size, arg.flags);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

static int vram_evict_unlocked(struct vram_object *obj)
{
	int ret;

	ret = dma_resv_lock_interruptible(obj->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = vram_evict(obj);
	dma_resv_unlock(obj->dmabuf->resv);
	return ret;
}

static int vram_query(struct vram_object *obj, void __user *user)
{
	struct dbv_query arg;
	int ret;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	ret = dma_resv_lock_interruptible(obj->dmabuf->resv, NULL);
	if (ret)
		return ret;
	arg.where = !obj->place ? DBV_NOWHERE :
		    vram_is_inside(obj) ? DBV_VRAM : DBV_RAM;
	arg.offset = vram_is_inside(obj) ?
			     obj->place->vec[0].paddr - obj->dev->start : 0;
	arg.pins = dma_buf_phys_nr_pins(obj->dmabuf);
	arg.moves = obj->nr_moves;
	arg.evictions = obj->nr_evictions;
	arg.pad = 0;
	dma_resv_unlock(obj->dmabuf->resv);
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : 0;
}

/* All of these begin with the file descriptor of an object. */
static long ioctl_object(struct vram_device *dev, unsigned int cmd,
			 void __user *user)
{
	struct dma_buf *dmabuf;
	long ret = -EINVAL;
	__s32 fd;

	if (copy_from_user(&fd, user, sizeof(fd)))
		return -EFAULT;
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (dmabuf->ops != &vram_ops.ops || to_vram_object(dmabuf)->dev != dev)
		goto out_put;

	if (cmd == DBV_EVICT)
		ret = vram_evict_unlocked(to_vram_object(dmabuf));
	else if (cmd == DBV_PLACE)
		ret = vram_bring(to_vram_object(dmabuf));
	else
		ret = vram_query(to_vram_object(dmabuf), user);
out_put:
	dma_buf_put(dmabuf);
	return ret;
}

static long vram_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct vram_device *dev = file->private_data;
	void __user *arg = (void __user *)user;
	u32 ms;

	switch (cmd) {
	case DBV_CREATE:
		return ioctl_create(dev, arg);
	case DBV_EVICT:
	case DBV_PLACE:
	case DBV_QUERY:
		return ioctl_object(dev, cmd, arg);
	case DBV_COPY_MS:
		if (get_user(ms, (u32 __user *)arg))
			return -EFAULT;
		WRITE_ONCE(dev->copy_ms, min(ms, 10U * MSEC_PER_SEC));
		return 0;
	default:
		return -ENOTTY;
	}
}

static int vram_open(struct inode *inode, struct file *file)
{
	struct vram_device *dev =
		container_of(file->private_data, struct vram_device, misc);

	kref_get(&dev->ref);
	file->private_data = dev;
	return 0;
}

static int vram_close(struct inode *inode, struct file *file)
{
	vram_device_put(file->private_data);
	return 0;
}

static const struct file_operations vram_fops = {
	.owner = THIS_MODULE,
	.open = vram_open,
	.release = vram_close,
	.unlocked_ioctl = vram_ioctl,
};

/*
 * The device
 */

static struct vram_device *vram_device_alloc(struct pci_dev *pdev)
{
	u64 size = min_t(u64, pci_resource_len(pdev, VRAM_BAR),
			 (u64)READ_ONCE(vram_kb) * SZ_1K);
	struct vram_device *dev;

	dev = kzalloc_obj(*dev);
	if (!dev)
		return NULL;
	kref_init(&dev->ref);
	mutex_init(&dev->objects_lock);
	spin_lock_init(&dev->lock);
	INIT_LIST_HEAD(&dev->objects);
	INIT_LIST_HEAD(&dev->lru);
	dev->pdev = pdev;
	dev->context = dma_fence_context_alloc(1);
	dev->start = pci_resource_start(pdev, VRAM_BAR);
	dev->nr_pages = PHYS_PFN(size);
	dev->nr_free = dev->nr_pages;
	dev->misc.minor = MISC_DYNAMIC_MINOR;
	dev->misc.fops = &vram_fops;
	dev->misc.name = "dma_buf_test_vram";
	dev->used = bitmap_zalloc(dev->nr_pages, GFP_KERNEL);
	if (!dev->used) {
		vram_device_put(dev);
		return NULL;
	}
	return dev;
}

static int vram_device_init(struct vram_device *dev)
{
	struct pci_dev *pdev = dev->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = pcim_p2pdma_init(pdev);
	if (ret)
		return ret;
	dev->provider = pcim_p2pdma_provider(pdev, VRAM_BAR);
	/* Cached as the CPU views of importers are. */
	dev->bar = pcim_iomap(pdev, VRAM_BAR, 0);
	if (!dev->provider || !dev->bar)
		return -ENODEV;

	/* Who frees memory may wait for a copy. */
	dev->wq = alloc_ordered_workqueue("dma-buf-test-vram", WQ_MEM_RECLAIM);
	return dev->wq ? 0 : -ENOMEM;
}

static int vram_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vram_device *dev;
	int ret;

	if (!pci_resource_len(pdev, VRAM_BAR))
		return -ENODEV;
	dev = vram_device_alloc(pdev);
	if (!dev)
		return -ENOMEM;
	ret = vram_device_init(dev);
	if (ret)
		goto err_put;
	pci_set_drvdata(pdev, dev);
	ret = misc_register(&dev->misc);
	if (ret)
		goto err_wq;
	return 0;

err_wq:
	destroy_workqueue(dev->wq);
err_put:
	vram_device_put(dev);
	return ret;
}

static void vram_for_each(struct vram_device *dev,
			  void (*act)(struct vram_object *obj))
{
	struct vram_object *obj;

	lockdep_assert_held(&dev->objects_lock);

	list_for_each_entry(obj, &dev->objects, node)
		act(obj);
}

/*
 * Once this returns, nobody accesses the device, however many file descriptors
 * there still are. A copy that is under way comes to its end first: either its
 * fence is one that revoke waits for, or its object is released already and the
 * copy goes with the workqueue.
 */
static void vram_remove(struct pci_dev *pdev)
{
	struct vram_device *dev = pci_get_drvdata(pdev);

	misc_deregister(&dev->misc);
	scoped_guard(mutex, &dev->objects_lock) {
		dev->gone = true;
		vram_for_each(dev, vram_lose);
	}
	destroy_workqueue(dev->wq);
	vram_device_put(dev);
}

static void vram_suspend_object(struct vram_object *obj)
{
	dma_buf_phys_suspend(obj->dmabuf, DMA_BUF_PHYS_RESET);
}

static void vram_restore_object(struct vram_object *obj)
{
	dma_buf_phys_restore(obj->dmabuf, DMA_BUF_PHYS_RESET);
}

/*
 * This device keeps its memory across a reset. A driver whose device does not
 * evicts before it suspends.
 */
static void vram_reset_prepare(struct pci_dev *pdev)
{
	struct vram_device *dev = pci_get_drvdata(pdev);

	scoped_guard(mutex, &dev->objects_lock) {
		WRITE_ONCE(dev->suspended, DMA_BUF_PHYS_RESET);
		vram_for_each(dev, vram_suspend_object);
	}

	/* Suspend waits for the copies of its object, but not of released ones. */
	flush_workqueue(dev->wq);
}

static void vram_reset_done(struct pci_dev *pdev)
{
	struct vram_device *dev = pci_get_drvdata(pdev);

	guard(mutex)(&dev->objects_lock);
	vram_for_each(dev, vram_restore_object);
	WRITE_ONCE(dev->suspended, 0);
}

static const struct pci_error_handlers vram_err_handlers = {
	.reset_prepare = vram_reset_prepare,
	.reset_done = vram_reset_done,
};

static struct pci_driver vram_driver = {
	.name = "dma-buf-test-vram",
	.probe = vram_probe,
	.remove = vram_remove,
	.err_handler = &vram_err_handlers,
};
module_pci_driver(vram_driver);

MODULE_DESCRIPTION("Test exporter of video memory, which moves its objects");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");

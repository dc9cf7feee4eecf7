// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO exports slices of a BAR as dma-bufs
 *
 * The buffers are of the class dma-buf-phys: this file describes the memory and
 * says when it can be reached, the class does the rest.
 *
 * A device's buffers are on vfio_pci_core_device::dmabufs from export until
 * their release, or until the device is closed and they are revoked. While a
 * buffer is on the list it holds a registration of the device, so that the
 * device outlives it; and while dmabufs_lock is held, a buffer on the list is
 * not freed, even if its last reference is gone.
 *
 * Three reasons suspend all of a device's buffers:
 *
 *   DECODE	the memory cannot be reached: decoding is off, low power, or a
 *		VFIO reset is under way. Every path that changes it holds
 *		memory_lock for writing.
 *   RESET	the PCI core resets the function, on behalf of VFIO or behind
 *		its back through sysfs. memory_lock may or may not be held.
 *   POWER	the reset is over, but the memory is not ready for use yet.
 *
 * A fourth, OWNER, is one buffer's: whoever has the device takes it back from
 * those who have the dma-buf.
 *
 * vfio_pci_core_device::dmabufs_suspended has RESET and POWER while they hold, for
 * buffers yet to be exported. It and the list are under dmabufs_lock.
 *
 * Lock order: memory_lock > dmabufs_lock > dma_buf::resv
 *				       > vfio_pci_dma_buf_vdev_lock
 *	       vfio_pci_dma_buf::owner_lock > dma_buf::resv
 */
#include <linux/dma-buf-phys.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-resv.h>
#include <linux/pci-p2pdma.h>

#include "vfio_pci_priv.h"

MODULE_IMPORT_NS("DMA_BUF");

/* Bounds what a buffer makes the kernel keep: 2 MiB, charged to the caller. */
#define VFIO_PCI_DMABUF_MAX_RANGES	131072

struct vfio_pci_dma_buf {
	struct dma_buf_phys phys;	/* dma_buf::priv points here */
	struct dma_buf *dmabuf;		/* immutable */
	struct list_head node;		/* in dmabufs, under dmabufs_lock */
	struct vfio_pci_core_device *vdev; /* NULL once off the list, see below */

	/* Immutable. @provider is valid until the buffer is revoked. */
	struct p2pdma_provider *provider;
	bool no_cpu;			/* a variant driver maps it its own way */

	bool write_combine;		/* under dma_buf::resv */

	/* The owner takes the buffer back or gives it again, one at a time. */
	struct mutex owner_lock;
	bool owner_revoked;		/* took it back for good; under owner_lock */
	bool owner_done;		/* and waited for the end; same */

	/* Immutable. The array is on its own: often its size is a power of two. */
	u32 nr_ranges;
	struct phys_vec *vec;
};

/*
 * Guards vfio_pci_dma_buf::vdev for release, which comes without any lock of
 * the device. Changed under both this and dmabufs_lock.
 */
static DEFINE_MUTEX(vfio_pci_dma_buf_vdev_lock);

static struct vfio_pci_dma_buf *to_vfio_dma_buf(struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct vfio_pci_dma_buf, phys);
}

static int vfio_pci_dma_buf_get_ranges(struct dma_buf *dmabuf,
				       struct dma_buf_phys_ranges *ranges)
{
	struct vfio_pci_dma_buf *vbuf = to_vfio_dma_buf(dmabuf);

	*ranges = (struct dma_buf_phys_ranges) {
		.vec = vbuf->vec,
		.nr = vbuf->nr_ranges,
		.provider = vbuf->provider,
		.kind = DMA_BUF_PHYS_MMIO,
		.write_combine = vbuf->write_combine,
		.no_cpu = vbuf->no_cpu,
	};
	return 0;
}

static void vfio_pci_dma_buf_free(struct vfio_pci_dma_buf *vbuf)
{
	mutex_destroy(&vbuf->owner_lock);
	kvfree(vbuf->vec);
	kfree(vbuf);
}

/* Take a buffer off its device's list. It may be the last to hold the device. */
static void vfio_pci_dma_buf_unlink(struct vfio_pci_dma_buf *vbuf)
{
	struct vfio_pci_core_device *vdev = vbuf->vdev;

	lockdep_assert_held(&vdev->dmabufs_lock);

	list_del(&vbuf->node);
	mutex_lock(&vfio_pci_dma_buf_vdev_lock);
	vbuf->vdev = NULL;
	mutex_unlock(&vfio_pci_dma_buf_vdev_lock);
	vfio_device_put_registration(&vdev->vdev);
}

/* The device with a registration of its own, NULL if the buffer is off. */
static struct vfio_pci_core_device *
vfio_pci_dma_buf_get_vdev(struct vfio_pci_dma_buf *vbuf)
{
	struct vfio_pci_core_device *vdev;

	mutex_lock(&vfio_pci_dma_buf_vdev_lock);
	vdev = vbuf->vdev;
	if (vdev && !vfio_device_try_get_registration(&vdev->vdev))
		vdev = NULL;
	mutex_unlock(&vfio_pci_dma_buf_vdev_lock);
	return vdev;
}

static void vfio_pci_dma_buf_release(struct dma_buf *dmabuf)
{
	struct vfio_pci_dma_buf *vbuf = to_vfio_dma_buf(dmabuf);
	struct vfio_pci_core_device *vdev = vfio_pci_dma_buf_get_vdev(vbuf);

	if (vdev) {
		mutex_lock(&vdev->dmabufs_lock);
		/* vfio_pci_dma_buf_cleanup() may have been first. */
		if (vbuf->vdev)
			vfio_pci_dma_buf_unlink(vbuf);
		mutex_unlock(&vdev->dmabufs_lock);
		vfio_device_put_registration(&vdev->vdev);
	}
	dma_buf_phys_fini(&vbuf->phys);
	vfio_pci_dma_buf_free(vbuf);
}

/* As for VFIO's own mappings of a BAR, KVM may choose how guests map it. */
static int vfio_pci_dma_buf_mmap(struct dma_buf *dmabuf,
				 struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED);
	return dma_buf_phys_mmap(dmabuf, vma);
}

static const struct dma_buf_phys_ops vfio_pci_dma_buf_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.map_dma_buf = dma_buf_phys_map_dma_buf,
		.unmap_dma_buf = dma_buf_phys_unmap_dma_buf,
		.mmap = vfio_pci_dma_buf_mmap,
		.release = vfio_pci_dma_buf_release,
	},
	.may_revoke = true,
	.get_ranges = vfio_pci_dma_buf_get_ranges,
};

/**
 * vfio_pci_core_fill_phys_vec - turn a user's ranges into physical ones
 * @phys_vec: array of @nr_ranges entries, filled in
 * @dma_ranges: offsets into the region and lengths, in bytes
 * @nr_ranges: number of ranges
 * @start: physical address of the region
 * @len: length of the region in bytes
 *
 * Context: any.
 * Return: 0, -EOVERFLOW if a range wraps around, -EINVAL if one is empty or
 * ends behind the region.
 */
int vfio_pci_core_fill_phys_vec(struct phys_vec *phys_vec,
				struct vfio_region_dma_range *dma_ranges,
				size_t nr_ranges, phys_addr_t start,
				phys_addr_t len)
{
	const struct vfio_region_dma_range *range = dma_ranges;
	struct phys_vec *vec = phys_vec;
	phys_addr_t end;

	for (; nr_ranges; nr_ranges--, range++, vec++) {
		if (!range->length)
			return -EINVAL;
		if (check_add_overflow(start, range->offset, &vec->paddr) ||
		    check_add_overflow(vec->paddr, range->length, &end))
			return -EOVERFLOW;
		if (end > start + len)
			return -EINVAL;
		vec->len = range->length;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_fill_phys_vec);

/**
 * vfio_pci_core_get_dmabuf_phys - ranges of a BAR, for get_dmabuf_phys()
 * @vdev: the device
 * @provider: filled in with the BAR's peer-to-peer provider, which lives as
 *	long as the device is bound
 * @region_index: number of the BAR
 * @phys_vec: array of @nr_ranges entries, filled in
 * @dma_ranges: offsets into the BAR and lengths, in bytes
 * @nr_ranges: number of ranges
 *
 * Context: process context, while the device is open.
 * Return: 0, -EINVAL if the BAR is not memory or a range does not lie in it,
 * -EOVERFLOW if a range wraps around.
 */
int vfio_pci_core_get_dmabuf_phys(struct vfio_pci_core_device *vdev,
				  struct p2pdma_provider **provider,
				  unsigned int region_index,
				  struct phys_vec *phys_vec,
				  struct vfio_region_dma_range *dma_ranges,
				  size_t nr_ranges)
{
	struct pci_dev *pdev = vdev->pdev;

	*provider = pcim_p2pdma_provider(pdev, region_index);
	if (!*provider)
		return -EINVAL;

	return vfio_pci_core_fill_phys_vec(phys_vec, dma_ranges, nr_ranges,
					   pci_resource_start(pdev,
							      region_index),
					   pci_resource_len(pdev,
							    region_index));
}
EXPORT_SYMBOL_GPL(vfio_pci_core_get_dmabuf_phys);

/*
 * What can be said of the ranges without looking at the device. Sets @size to
 * their sum, which stays clear of the bit that dma_iova_state keeps in it.
 */
static int vfio_pci_dma_buf_check(const struct vfio_region_dma_range *ranges,
				  u32 nr_ranges, size_t *size)
{
	size_t sum = 0;
	u32 i;

	for (i = 0; i < nr_ranges; i++) {
		if (!ranges[i].length ||
		    !PAGE_ALIGNED(ranges[i].offset | ranges[i].length))
			return -EINVAL;
		if (check_add_overflow(sum, ranges[i].length, &sum))
			return -EINVAL;
	}
	if ((u64)sum & DMA_IOVA_USE_SWIOTLB)
		return -EINVAL;
	*size = sum;
	return 0;
}

/* A buffer that is not exported yet. */
static struct vfio_pci_dma_buf *
vfio_pci_dma_buf_alloc(struct vfio_pci_core_device *vdev, u32 region_index,
		       struct vfio_region_dma_range *ranges, u32 nr_ranges)
{
	struct vfio_pci_dma_buf *vbuf;
	int ret;

	vbuf = kzalloc_obj(*vbuf, GFP_KERNEL_ACCOUNT);
	if (!vbuf)
		return ERR_PTR(-ENOMEM);
	mutex_init(&vbuf->owner_lock);
	vbuf->nr_ranges = nr_ranges;
	vbuf->vec = kvzalloc_objs(*vbuf->vec, nr_ranges, GFP_KERNEL_ACCOUNT);
	ret = -ENOMEM;
	if (!vbuf->vec)
		goto err_free;
	vbuf->no_cpu = vdev->pci_ops->get_dmabuf_phys !=
		       vfio_pci_core_get_dmabuf_phys;

	ret = vdev->pci_ops->get_dmabuf_phys(vdev, &vbuf->provider,
					     region_index, vbuf->vec, ranges,
					     nr_ranges);
	if (ret)
		goto err_free;
	return vbuf;

err_free:
	vfio_pci_dma_buf_free(vbuf);
	return ERR_PTR(ret);
}

/* Under memory_lock. A device in low power may still have decoding enabled. */
static bool vfio_pci_dma_buf_reachable(struct vfio_pci_core_device *vdev)
{
	return __vfio_pci_memory_enabled(vdev) && !vdev->pm_runtime_engaged;
}

/*
 * Export @vbuf and put it on the device's list, in the state the device is in.
 * On success dma_buf_put() frees it.
 */
static int vfio_pci_dma_buf_publish(struct vfio_pci_core_device *vdev,
				    struct vfio_pci_dma_buf *vbuf, size_t size,
				    int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	unsigned long suspended;

	lockdep_assert_held(&vdev->memory_lock);
	lockdep_assert_held(&vdev->dmabufs_lock);

	suspended = vdev->dmabufs_suspended;
	if (!vfio_pci_dma_buf_reachable(vdev))
		suspended |= DMA_BUF_PHYS_DECODE;

	dma_buf_phys_init(&vbuf->phys, suspended);
	info.ops = &vfio_pci_dma_buf_ops.ops;
	info.size = size;
	info.flags = flags;
	info.priv = &vbuf->phys;
	vbuf->dmabuf = dma_buf_phys_export(&info);
	if (IS_ERR(vbuf->dmabuf))
		return PTR_ERR(vbuf->dmabuf);

	vbuf->vdev = vdev;
	list_add_tail(&vbuf->node, &vdev->dmabufs);
	return 0;
}

static int vfio_pci_dma_buf_export(struct vfio_pci_core_device *vdev,
				   const struct vfio_device_feature_dma_buf *get,
				   struct vfio_region_dma_range *ranges,
				   size_t size)
{
	struct vfio_pci_dma_buf *vbuf;
	struct dma_buf *dmabuf;
	int ret;

	vbuf = vfio_pci_dma_buf_alloc(vdev, get->region_index, ranges,
				      get->nr_ranges);
	if (IS_ERR(vbuf))
		return PTR_ERR(vbuf);

	if (!vfio_device_try_get_registration(&vdev->vdev)) {
		ret = -ENODEV;
		goto err_free;
	}

	down_read(&vdev->memory_lock);
	mutex_lock(&vdev->dmabufs_lock);
	ret = vfio_pci_dma_buf_publish(vdev, vbuf, size, get->open_flags);
	dmabuf = vbuf->dmabuf;
	mutex_unlock(&vdev->dmabufs_lock);
	up_read(&vdev->memory_lock);
	if (ret)
		goto err_put_registration;

	ret = dma_buf_fd(dmabuf, get->open_flags);
	if (ret < 0)
		dma_buf_put(dmabuf);
	return ret;

err_put_registration:
	vfio_device_put_registration(&vdev->vdev);
err_free:
	vfio_pci_dma_buf_free(vbuf);
	return ret;
}

int vfio_pci_core_feature_dma_buf(struct vfio_pci_core_device *vdev, u32 flags,
				  struct vfio_device_feature_dma_buf __user *arg,
				  size_t argsz)
{
	struct vfio_device_feature_dma_buf get;
	struct vfio_region_dma_range *ranges;
	size_t size;
	int ret;

	if (!vdev->pci_ops || !vdev->pci_ops->get_dmabuf_phys)
		return -EOPNOTSUPP;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				 sizeof(get));
	if (ret != 1)
		return ret;

	if (copy_from_user(&get, arg, sizeof(get)))
		return -EFAULT;
	if (get.flags || !get.nr_ranges ||
	    get.nr_ranges > VFIO_PCI_DMABUF_MAX_RANGES)
		return -EINVAL;

	/* Region numbers of BARs come first; the BAR must be there and ours. */
	if (get.region_index >= VFIO_PCI_ROM_REGION_INDEX ||
	    IS_ERR(vfio_pci_core_get_iomap(vdev, get.region_index)))
		return -ENODEV;

	ranges = kvmalloc_objs(*ranges, get.nr_ranges, GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return -ENOMEM;

	ret = -EFAULT;
	if (!copy_from_user(ranges, &arg->dma_ranges,
			    array_size(get.nr_ranges, sizeof(*ranges))))
		ret = vfio_pci_dma_buf_check(ranges, get.nr_ranges, &size);
	if (!ret)
		ret = vfio_pci_dma_buf_export(vdev, &get, ranges, size);
	kvfree(ranges);
	return ret;
}

/*
 * What the owner of the device does with one of its buffers
 */

/* The buffer behind @fd, if this device has exported it since it was opened. */
static struct vfio_pci_dma_buf *
vfio_pci_dma_buf_get_own(struct vfio_pci_core_device *vdev, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct vfio_pci_dma_buf *vbuf;
	bool own;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	if (dmabuf->ops != &vfio_pci_dma_buf_ops.ops)
		goto err_put;

	vbuf = to_vfio_dma_buf(dmabuf);
	mutex_lock(&vfio_pci_dma_buf_vdev_lock);
	own = vbuf->vdev == vdev;
	mutex_unlock(&vfio_pci_dma_buf_vdev_lock);
	if (own)
		return vbuf;

err_put:
	dma_buf_put(dmabuf);
	return ERR_PTR(-ENODEV);
}

static int vfio_pci_dma_buf_revoke(struct vfio_pci_dma_buf *vbuf)
{
	int ret;

	lockdep_assert_held(&vbuf->owner_lock);

	vbuf->owner_revoked = true;
	ret = dma_buf_phys_revoke_killable(vbuf->dmabuf);
	if (!ret)
		vbuf->owner_done = true;
	return ret;
}

static int vfio_pci_dma_buf_set_status(struct vfio_pci_dma_buf *vbuf,
				       u32 status)
{
	lockdep_assert_held(&vbuf->owner_lock);

	if (vbuf->owner_done)
		return -EBADFD;
	/* Who was killed while it waited for the end, may have a successor. */
	if (vbuf->owner_revoked &&
	    status != VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM)
		return -EBADFD;

	switch (status) {
	case VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM:
		return vfio_pci_dma_buf_revoke(vbuf);
	case VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_TEMP:
		return dma_buf_phys_suspend_killable(vbuf->dmabuf,
						     DMA_BUF_PHYS_OWNER);
	case VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK:
		dma_buf_phys_restore(vbuf->dmabuf, DMA_BUF_PHYS_OWNER);
		return 0;
	default:
		return -EINVAL;
	}
}

int vfio_pci_core_feature_dma_buf_revoke(struct vfio_pci_core_device *vdev,
					 u32 flags, void __user *arg,
					 size_t argsz)
{
	struct vfio_device_feature_dma_buf_revoke revoke = {
		.status = VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM,
	};
	size_t minsz = offsetofend(typeof(revoke), dmabuf_fd);
	struct vfio_pci_dma_buf *vbuf;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, minsz);
	if (ret != 1)
		return ret;
	if (argsz < sizeof(revoke) && argsz != minsz)
		return -EINVAL;
	if (copy_from_user(&revoke, arg, argsz < sizeof(revoke) ?
			   minsz : sizeof(revoke)))
		return -EFAULT;
	if (revoke.status > VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK)
		return -EINVAL;

	vbuf = vfio_pci_dma_buf_get_own(vdev, revoke.dmabuf_fd);
	if (IS_ERR(vbuf))
		return PTR_ERR(vbuf);
	ret = mutex_lock_killable(&vbuf->owner_lock);
	if (!ret) {
		ret = vfio_pci_dma_buf_set_status(vbuf, revoke.status);
		mutex_unlock(&vbuf->owner_lock);
	}
	dma_buf_put(vbuf->dmabuf);
	return ret;
}

int vfio_pci_core_feature_dma_buf_memattr(struct vfio_pci_core_device *vdev,
					  u32 flags, void __user *arg,
					  size_t argsz)
{
	struct vfio_device_feature_dma_buf_memattr attr;
	struct vfio_pci_dma_buf *vbuf;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET,
				 sizeof(attr));
	if (ret != 1)
		return ret;
	if (copy_from_user(&attr, arg, sizeof(attr)))
		return -EFAULT;

	vbuf = vfio_pci_dma_buf_get_own(vdev, attr.dmabuf_fd);
	if (IS_ERR(vbuf))
		return PTR_ERR(vbuf);
	if (attr.memattr <= VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC) {
		dma_resv_lock(vbuf->dmabuf->resv, NULL);
		vbuf->write_combine = attr.memattr;
		dma_resv_unlock(vbuf->dmabuf->resv);
		ret = 0;
	} else {
		ret = -ENOENT;
	}
	dma_buf_put(vbuf->dmabuf);
	return ret;
}

/*
 * What happens to the device
 */

/* Suspend every buffer of the device, or restore it. */
static void vfio_pci_dma_buf_set(struct vfio_pci_core_device *vdev,
				 enum dma_buf_phys_reason reason, bool suspend)
{
	struct vfio_pci_dma_buf *vbuf;

	lockdep_assert_held(&vdev->dmabufs_lock);

	list_for_each_entry(vbuf, &vdev->dmabufs, node) {
		if (suspend)
			dma_buf_phys_suspend(vbuf->dmabuf, reason);
		else
			dma_buf_phys_restore(vbuf->dmabuf, reason);
	}
}

/* The same for a reason that buffers yet to be exported must know of. */
static void vfio_pci_dma_buf_set_device(struct vfio_pci_core_device *vdev,
					enum dma_buf_phys_reason reason,
					bool suspend)
{
	mutex_lock(&vdev->dmabufs_lock);
	if (suspend)
		vdev->dmabufs_suspended |= reason;
	else
		vdev->dmabufs_suspended &= ~reason;
	vfio_pci_dma_buf_set(vdev, reason, suspend);
	mutex_unlock(&vdev->dmabufs_lock);
}

/**
 * vfio_pci_dma_buf_move - the BARs become unreachable, or reachable again
 * @vdev: the device
 * @revoked: true before they become unreachable, false after they are back
 *
 * Once this returns with @revoked, no importer reaches the BARs any more.
 *
 * Context: memory_lock held for writing. Waits for the importers.
 */
void vfio_pci_dma_buf_move(struct vfio_pci_core_device *vdev, bool revoked)
{
	lockdep_assert_held_write(&vdev->memory_lock);

	/* Callers look at the decode bit only. */
	if (!revoked && !vfio_pci_dma_buf_reachable(vdev))
		return;

	mutex_lock(&vdev->dmabufs_lock);
	vfio_pci_dma_buf_set(vdev, DMA_BUF_PHYS_DECODE, revoked);
	mutex_unlock(&vdev->dmabufs_lock);
}

/**
 * vfio_pci_core_reset_prepare - the function is about to be reset
 * @pdev: a device bound to VFIO
 *
 * For &pci_error_handlers.reset_prepare of every VFIO PCI driver. Once this
 * returns, no importer reaches the BARs any more. This is the only notice of a
 * reset that user space asks for through sysfs.
 *
 * Context: device lock held, memory_lock held or not. Waits for the importers.
 */
void vfio_pci_core_reset_prepare(struct pci_dev *pdev)
{
	vfio_pci_dma_buf_set_device(dev_get_drvdata(&pdev->dev),
				    DMA_BUF_PHYS_RESET, true);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_prepare);

/**
 * vfio_pci_core_reset_done - the reset is over
 * @pdev: a device bound to VFIO
 *
 * For &pci_error_handlers.reset_done of every VFIO PCI driver. If the memory is
 * not ready for use yet, call vfio_pci_core_memory_ready() before.
 *
 * Context: process context, memory_lock held or not.
 */
void vfio_pci_core_reset_done(struct pci_dev *pdev)
{
	vfio_pci_dma_buf_set_device(dev_get_drvdata(&pdev->dev),
				    DMA_BUF_PHYS_RESET, false);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_done);

/**
 * vfio_pci_core_memory_ready - a device's memory can be used, or not yet
 * @vdev: the device
 * @ready: whether it can be used
 *
 * For drivers of devices whose memory takes a while to become ready. Once this
 * returns with @ready false, no importer reaches the memory.
 *
 * Context: process context, memory_lock held or not. Waits for the importers
 * unless @ready.
 */
void vfio_pci_core_memory_ready(struct vfio_pci_core_device *vdev, bool ready)
{
	vfio_pci_dma_buf_set_device(vdev, DMA_BUF_PHYS_POWER, !ready);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_memory_ready);

/**
 * vfio_pci_dma_buf_cleanup - the device is being closed
 * @vdev: the device
 *
 * Once this returns, no importer reaches the BARs any more, and never will
 * through a buffer exported before.
 *
 * Context: process context. Waits for the importers.
 */
void vfio_pci_dma_buf_cleanup(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_dma_buf *vbuf, *next;

	mutex_lock(&vdev->dmabufs_lock);
	list_for_each_entry_safe(vbuf, next, &vdev->dmabufs, node) {
		dma_buf_phys_revoke(vbuf->dmabuf);
		vfio_pci_dma_buf_unlink(vbuf);
	}
	mutex_unlock(&vdev->dmabufs_lock);
}

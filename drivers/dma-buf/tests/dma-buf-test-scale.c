// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers of made-up addresses, and an IOMMU that only counts
 *
 * To measure what a map costs at a million ranges, or at terabytes, the memory is
 * not needed: views hold addresses, and nobody accesses them here. So a buffer is
 * any number of ranges of any size; the PCI device to which the driver is bound
 * lends the peer-to-peer provider of its BAR, and nothing else. A buffer is of
 * the class, or one of the old kind, whose scatterlists are made by
 * dma_buf_phys_vec_to_sgt().
 *
 * The IOMMU counts what it is asked for and keeps no page table, so that what is
 * left is the work of who asks. It is there for "edu" devices, whose DMA views are
 * made by dma-buf-test-importer; a domain view is made by this driver, in a
 * domain that no device uses.
 *
 * The driver binds by driver_override only. Unbinding waits until every file is
 * closed and every buffer is gone. The module stays, as drivers of IOMMUs do.
 */
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-buf-phys.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "dma-buf-test-uapi.h"

/* Both are aligned to the largest page. */
#define MADE_UP_BASE	BIT_ULL(46)		/* of physical addresses */
#define MADE_UP_IOVA	BIT_ULL(44)		/* of each domain view */
#define MADE_UP_MAX	BIT_ULL(45)		/* bytes of a buffer */
#define MADE_UP_RANGES	SZ_16M			/* ranges of a buffer */

#define PROVIDER_BAR	2
#define PROT		(IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO)

struct scale_device {
	struct miscdevice misc;
	struct pci_dev *pdev;
	struct p2pdma_provider *provider;
	atomic_t users;		/* open files and buffers; 0 wakes remove() */
};

/* Immutable, but for @phys. */
struct made_up {
	struct dma_buf_phys phys;	/* dma_buf::priv, of the class or not */
	struct scale_device *dev;
	size_t nr;
	struct phys_vec vec[] __counted_by(nr);
};

struct scale_importer {
	struct scale_device *dev;	/* immutable */
	struct mutex lock;		/* one ioctl at a time */

	/* Under @lock. */
	struct dma_buf *dmabuf;		/* NULL: not attached */
	struct dma_buf_phys_attachment *attach;
	struct dma_buf_phys_domain_map map;	/* valid while @mapped */
	struct iommu_domain domain;
	u64 len;			/* of the mapping */
	bool floor;			/* @map is not used */
	bool mapped;
};

static void scale_put(struct scale_device *dev)
{
	if (atomic_dec_and_test(&dev->users))
		wake_up_var(&dev->users);
}

/*
 * The IOMMU
 */

static struct {
	atomic64_t maps, entries, map_syncs, unmaps, flushes;
} counts;

static int count_attach(struct iommu_domain *domain, struct device *dev,
			struct iommu_domain *old)
{
	return 0;
}

static int count_map(struct iommu_domain *domain, unsigned long iova,
		     phys_addr_t paddr, size_t pgsize, size_t pgcount, int prot,
		     gfp_t gfp, size_t *mapped)
{
	atomic64_inc(&counts.maps);
	atomic64_add(pgcount, &counts.entries);
	*mapped = pgsize * pgcount;
	return 0;
}

static size_t count_unmap(struct iommu_domain *domain, unsigned long iova,
			  size_t pgsize, size_t pgcount,
			  struct iommu_iotlb_gather *gather)
{
	atomic64_inc(&counts.unmaps);
	return pgsize * pgcount;
}

static int count_map_sync(struct iommu_domain *domain, unsigned long iova,
			  size_t size)
{
	atomic64_inc(&counts.map_syncs);
	return 0;
}

static void count_flush(struct iommu_domain *domain,
			struct iommu_iotlb_gather *gather)
{
	atomic64_inc(&counts.flushes);
}

static phys_addr_t count_iova_to_phys(struct iommu_domain *domain,
				      dma_addr_t iova)
{
	return 0;
}

static void count_free(struct iommu_domain *domain)
{
	kfree(domain);
}

static const struct iommu_domain_ops count_domain_ops = {
	.attach_dev = count_attach,
	.map_pages = count_map,
	.unmap_pages = count_unmap,
	.iotlb_sync_map = count_map_sync,
	.iotlb_sync = count_flush,
	.iova_to_phys = count_iova_to_phys,
	.free = count_free,
};

/* iommu_map() makes each range visible, which could be done for all at once. */
static const struct iommu_domain_ops floor_domain_ops = {
	.map_pages = count_map,
	.unmap_pages = count_unmap,
	.iotlb_sync = count_flush,
};

static void count_domain_init(struct iommu_domain *domain)
{
	domain->pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G;
	domain->geometry.aperture_end = DMA_BIT_MASK(57);
	domain->geometry.force_aperture = true;
}

static struct iommu_domain *count_domain_alloc(struct device *dev)
{
	struct iommu_domain *domain = kzalloc_obj(*domain);

	if (domain)
		count_domain_init(domain);
	return domain;
}

static struct iommu_device count_iommu;

static struct iommu_device *count_probe_device(struct device *dev)
{
	if (!dev_is_pci(dev) || to_pci_dev(dev)->vendor != 0x1234 ||
	    to_pci_dev(dev)->device != 0x11e8)
		return ERR_PTR(-ENODEV);
	return &count_iommu;
}

static bool count_capable(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_CACHE_COHERENCY;
}

/* Strict: access has ended when unmap returns. */
static int count_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_DMA;
}

static const struct iommu_ops count_iommu_ops = {
	.owner = THIS_MODULE,
	.capable = count_capable,
	.domain_alloc_paging = count_domain_alloc,
	.probe_device = count_probe_device,
	.device_group = generic_device_group,
	.def_domain_type = count_def_domain_type,
	.default_domain_ops = &count_domain_ops,
};

/*
 * The buffers
 */

static struct made_up *to_made_up(const struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct made_up, phys);
}

static int made_up_get_ranges(struct dma_buf *dmabuf,
			      struct dma_buf_phys_ranges *ranges)
{
	struct made_up *buffer = to_made_up(dmabuf);

	*ranges = (struct dma_buf_phys_ranges){
		.vec = buffer->vec,
		.nr = buffer->nr,
		.provider = buffer->dev->provider,
		.kind = DMA_BUF_PHYS_MMIO,
		.no_cpu = true,
	};
	return 0;
}

static void made_up_free(struct made_up *buffer)
{
	struct scale_device *dev = buffer->dev;

	kvfree(buffer);
	scale_put(dev);
}

static void made_up_release(struct dma_buf *dmabuf)
{
	struct made_up *buffer = to_made_up(dmabuf);

	dma_buf_phys_fini(&buffer->phys);
	made_up_free(buffer);
}

static const struct dma_buf_phys_ops made_up_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.map_dma_buf = dma_buf_phys_map_dma_buf,
		.unmap_dma_buf = dma_buf_phys_unmap_dma_buf,
		.release = made_up_release,
	},
	.may_revoke = true,
	.get_ranges = made_up_get_ranges,
};

static struct sg_table *mainline_map(struct dma_buf_attachment *attach,
				     enum dma_data_direction dir)
{
	struct made_up *buffer = to_made_up(attach->dmabuf);

	return dma_buf_phys_vec_to_sgt(attach, buffer->dev->provider,
				       buffer->vec, buffer->nr,
				       attach->dmabuf->size, dir);
}

static void mainline_unmap(struct dma_buf_attachment *attach,
			   struct sg_table *sgt, enum dma_data_direction dir)
{
	dma_buf_free_sgt(attach, sgt, dir);
}

static void mainline_release(struct dma_buf *dmabuf)
{
	made_up_free(to_made_up(dmabuf));
}

static const struct dma_buf_ops mainline_ops = {
	.map_dma_buf = mainline_map,
	.unmap_dma_buf = mainline_unmap,
	.release = mainline_release,
};

/* In an order of its own. Multiples of a prime hit each index once. */
static void made_up_fill(struct made_up *buffer, u64 len)
{
	u64 index;
	size_t i;

	for (i = 0; i < buffer->nr; i++) {
		index = buffer->nr % 229 ? i * 229ULL % buffer->nr : i;
		buffer->vec[i].paddr = MADE_UP_BASE + (2 * index + 1) * len;
		buffer->vec[i].len = len;
	}
}

static struct made_up *made_up_create(struct scale_device *dev,
				      const struct dbt_made_up *arg)
{
	struct made_up *buffer;
	u64 size;

	if (arg->flags & ~DBT_MADE_UP_FLAGS || !arg->nr || !arg->len ||
	    arg->nr > MADE_UP_RANGES || !PAGE_ALIGNED(arg->len) ||
	    check_mul_overflow(arg->len, (u64)arg->nr, &size) ||
	    size > MADE_UP_MAX)
		return ERR_PTR(-EINVAL);
	buffer = kvzalloc_flex(*buffer, vec, arg->nr);
	if (!buffer)
		return ERR_PTR(-ENOMEM);
	buffer->nr = arg->nr;
	buffer->dev = dev;
	atomic_inc(&dev->users);
	made_up_fill(buffer, arg->len);
	return buffer;
}

static struct dma_buf *made_up_export(struct made_up *buffer, u64 size,
				      bool mainline)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	info.size = size;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = &buffer->phys;
	if (mainline) {
		info.ops = &mainline_ops;
		return dma_buf_export(&info);
	}
	info.ops = &made_up_ops.ops;
	dma_buf_phys_init(&buffer->phys, 0);
	return dma_buf_phys_export(&info);
}

static long ioctl_make_up(struct scale_device *dev, void __user *user)
{
	struct dbt_made_up arg;
	struct made_up *buffer;
	struct dma_buf *dmabuf;
	int fd;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	buffer = made_up_create(dev, &arg);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	dmabuf = made_up_export(buffer, arg.len * arg.nr,
				arg.flags & DBT_MADE_UP_MAINLINE);
	if (IS_ERR(dmabuf)) {
		made_up_free(buffer);
		return PTR_ERR(dmabuf);
	}
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

/* As vfio_pci_dma_buf_move() of Linux 7.3; nobody leaves a fence here. */
static void mainline_stop(struct dma_buf *dmabuf)
{
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(dmabuf);
	dma_resv_wait_timeout(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	dma_resv_unlock(dmabuf->resv);
}

static int change_state(struct dma_buf *dmabuf, unsigned int cmd)
{
	if (dmabuf->ops == &mainline_ops) {
		if (cmd != DBT_RESTORE)
			mainline_stop(dmabuf);
		return 0;
	}
	if (dmabuf->ops != &made_up_ops.ops)
		return -EINVAL;

	if (cmd == DBT_SUSPEND)
		dma_buf_phys_suspend(dmabuf, DMA_BUF_PHYS_RESET);
	else if (cmd == DBT_RESTORE)
		dma_buf_phys_restore(dmabuf, DMA_BUF_PHYS_RESET);
	else
		dma_buf_phys_revoke(dmabuf);
	return 0;
}

static long ioctl_state(unsigned int cmd, void __user *user)
{
	struct dma_buf *dmabuf;
	s32 fd;
	int ret;

	if (copy_from_user(&fd, user, sizeof(fd)))
		return -EFAULT;
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = change_state(dmabuf, cmd);
	dma_buf_put(dmabuf);
	return ret;
}

/*
 * The importer
 */

static const struct dma_buf_phys_importer_ops scale_importer_ops = {
	.name = "dma-buf-test-scale",
};

static void unmap_floor(struct scale_importer *importer, u64 len)
{
	if (len)
		iommu_unmap(&importer->domain, MADE_UP_IOVA, len);
}

static int map_floor(struct scale_importer *importer)
{
	struct made_up *buffer = to_made_up(importer->dmabuf);
	u64 done = 0;
	size_t i;
	int ret;

	for (i = 0; i < buffer->nr; i++) {
		ret = iommu_map(&importer->domain, MADE_UP_IOVA + done,
				buffer->vec[i].paddr, buffer->vec[i].len, PROT,
				GFP_KERNEL_ACCOUNT);
		if (ret)
			goto err_unmap;
		done += buffer->vec[i].len;
	}
	return 0;

err_unmap:
	unmap_floor(importer, done);
	return ret;
}

static int map_locked(struct scale_importer *importer, u64 offset)
{
	dma_resv_assert_held(importer->dmabuf->resv);

	if (importer->floor)
		return map_floor(importer);
	return dma_buf_phys_map_domain(importer->attach, &importer->map,
				       &importer->domain, MADE_UP_IOVA, offset,
				       importer->len, PROT, false);
}

static long ioctl_map(struct scale_importer *importer, void __user *user)
{
	struct dbt_map arg;
	int ret;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (!importer->dmabuf)
		return -ENOTCONN;
	if (importer->mapped)
		return -EBUSY;
	if (importer->floor && (arg.offset || arg.len))
		return -EINVAL;

	importer->len = arg.len ?: importer->dmabuf->size;
	dma_resv_lock(importer->dmabuf->resv, NULL);
	ret = map_locked(importer, arg.offset);
	dma_resv_unlock(importer->dmabuf->resv);
	importer->mapped = !ret;
	return ret;
}

static void unmap(struct scale_importer *importer)
{
	if (!importer->mapped)
		return;
	dma_resv_lock(importer->dmabuf->resv, NULL);
	if (importer->floor)
		unmap_floor(importer, importer->len);
	else
		dma_buf_phys_unmap_domain(&importer->map);
	dma_resv_unlock(importer->dmabuf->resv);
	importer->mapped = false;
}

static int pin(struct scale_importer *importer)
{
	int ret;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	ret = dma_buf_phys_pin(importer->attach);
	dma_resv_unlock(importer->dmabuf->resv);
	return ret;
}

static void detach(struct scale_importer *importer)
{
	struct dma_buf *dmabuf = importer->dmabuf;

	if (!dmabuf)
		return;
	unmap(importer);
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_phys_unpin(importer->attach);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_phys_importer_detach(importer->attach);
	importer->dmabuf = NULL;
	dma_buf_put(dmabuf);
}

/* Takes @dmabuf over. */
static int attach(struct scale_importer *importer, struct dma_buf *dmabuf)
{
	int ret;

	importer->attach =
		dma_buf_phys_importer_attach(dmabuf, &importer->dev->pdev->dev,
					     DMA_BUF_PHYS_VIEW_DOMAIN,
					     &scale_importer_ops, importer);
	ret = PTR_ERR_OR_ZERO(importer->attach);
	if (ret)
		goto err_put;
	importer->dmabuf = dmabuf;
	ret = pin(importer);
	if (ret)
		goto err_detach;
	return 0;

err_detach:
	dma_buf_phys_importer_detach(importer->attach);
	importer->dmabuf = NULL;
err_put:
	dma_buf_put(dmabuf);
	return ret;
}

static long ioctl_attach(struct scale_importer *importer, void __user *user)
{
	struct dma_buf *dmabuf;
	struct dbt_attach arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~DBT_ATTACH_FLOOR || arg.delay_ms || arg.pad)
		return -EINVAL;
	if (importer->dmabuf)
		return -EBUSY;
	dmabuf = dma_buf_get(arg.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	importer->floor = arg.flags & DBT_ATTACH_FLOOR;
	if (importer->floor && dmabuf->ops != &made_up_ops.ops) {
		dma_buf_put(dmabuf);
		return -EINVAL;
	}
	importer->domain.ops = importer->floor ? &floor_domain_ops :
						 &count_domain_ops;
	return attach(importer, dmabuf);
}

static long ioctl_counts(void __user *user)
{
	struct dbt_counts told = {
		.maps = atomic64_xchg(&counts.maps, 0),
		.entries = atomic64_xchg(&counts.entries, 0),
		.map_syncs = atomic64_xchg(&counts.map_syncs, 0),
		.unmaps = atomic64_xchg(&counts.unmaps, 0),
		.flushes = atomic64_xchg(&counts.flushes, 0),
	};

	return copy_to_user(user, &told, sizeof(told)) ? -EFAULT : 0;
}

static long scale_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct scale_importer *importer = file->private_data;
	void __user *arg = (void __user *)user;

	guard(mutex)(&importer->lock);
	switch (cmd) {
	case DBT_MAKE_UP:
		return ioctl_make_up(importer->dev, arg);
	case DBT_COUNTS:
		return ioctl_counts(arg);
	case DBT_SUSPEND:
	case DBT_RESTORE:
	case DBT_REVOKE:
		return ioctl_state(cmd, arg);
	case DBT_ATTACH:
		return ioctl_attach(importer, arg);
	case DBT_MAP:
		return ioctl_map(importer, arg);
	case DBT_UNMAP:
		unmap(importer);
		return 0;
	case DBT_DETACH:
		detach(importer);
		return 0;
	default:
		return -ENOTTY;
	}
}

static int scale_open(struct inode *inode, struct file *file)
{
	struct scale_device *dev =
		container_of(file->private_data, struct scale_device, misc);
	struct scale_importer *importer;

	importer = kzalloc_obj(*importer);
	if (!importer)
		return -ENOMEM;
	importer->dev = dev;
	importer->domain.type = IOMMU_DOMAIN_UNMANAGED;
	count_domain_init(&importer->domain);
	mutex_init(&importer->lock);
	atomic_inc(&dev->users);
	file->private_data = importer;
	return 0;
}

static int scale_release(struct inode *inode, struct file *file)
{
	struct scale_importer *importer = file->private_data;
	struct scale_device *dev = importer->dev;

	detach(importer);
	mutex_destroy(&importer->lock);
	kfree(importer);
	scale_put(dev);
	return 0;
}

static const struct file_operations scale_fops = {
	.owner = THIS_MODULE,
	.open = scale_open,
	.release = scale_release,
	.unlocked_ioctl = scale_ioctl,
};

/*
 * The device
 */

static int scale_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct scale_device *dev;
	int ret;

	dev = devm_kzalloc(&pdev->dev, sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	dev->pdev = pdev;
	dev->misc.minor = MISC_DYNAMIC_MINOR;
	dev->misc.fops = &scale_fops;
	dev->misc.name = devm_kasprintf(&pdev->dev, GFP_KERNEL,
					"dma-buf-test-scale-%s",
					pci_name(pdev));
	if (!dev->misc.name)
		return -ENOMEM;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = pcim_p2pdma_init(pdev);
	if (ret)
		return ret;
	dev->provider = pcim_p2pdma_provider(pdev, PROVIDER_BAR);
	if (!dev->provider)
		return -ENODEV;

	pci_set_drvdata(pdev, dev);
	return misc_register(&dev->misc);
}

/* Once this returns, the provider has no user any more. */
static void scale_remove(struct pci_dev *pdev)
{
	struct scale_device *dev = pci_get_drvdata(pdev);

	misc_deregister(&dev->misc);
	wait_var_event(&dev->users, !atomic_read(&dev->users));
}

static struct pci_driver scale_driver = {
	.name = "dma-buf-test-scale",
	.probe = scale_probe,
	.remove = scale_remove,
};

/* There is no exit: each device behind the IOMMU holds the module. */
static int __init scale_init(void)
{
	int ret;

	ret = iommu_device_sysfs_add(&count_iommu, NULL, NULL,
				     "dma-buf-test-scale");
	if (ret)
		return ret;
	ret = iommu_device_register(&count_iommu, &count_iommu_ops, NULL);
	if (ret)
		goto err_sysfs;
	ret = pci_register_driver(&scale_driver);
	if (ret)
		goto err_unregister;
	return 0;

err_unregister:
	iommu_device_unregister(&count_iommu);
err_sysfs:
	iommu_device_sysfs_remove(&count_iommu);
	return ret;
}
module_init(scale_init);

MODULE_DESCRIPTION("Buffers of made-up addresses and an IOMMU that counts, to measure");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");

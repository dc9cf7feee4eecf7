// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers memory of a dma-buf as RDMA drivers do, to measure what it costs
 *
 * The device is any PCI device: no access is made. There is an ib_device only as
 * far as the RDMA core looks at it. Each open file has one region at most, the
 * whole of a dma-buf: pinned, revocable, and made by the RDMA core as it is
 * built or by mainline's code.
 *
 * The driver binds by driver_override only. Unbinding waits until every file is
 * closed.
 */
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/iter.h>

#include "dma-buf-test-uapi.h"
#include "dma-buf-test-umem.h"

#define ACCESS		IB_ACCESS_LOCAL_WRITE
#define BLOCK_SIZES	(SZ_4K | SZ_2M | SZ_1G)

struct test_hca {
	struct miscdevice misc;
	struct ib_device ib;		/* immutable: dma_device */
	atomic_t users;			/* open files; 0 wakes remove() */
};

struct test_mr {
	struct test_hca *hca;		/* immutable */
	struct mutex lock;		/* one ioctl at a time */
	struct ib_umem *umem;		/* under @lock; NULL: none */
	bool mainline;			/* how @umem was made */
};

static struct ib_umem *ours_umem_get(struct ib_device *device, size_t size,
				     int fd, int access)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = ib_umem_dmabuf_get_pinned_revocable_and_lock(device, 0,
								   size, fd,
								   access);
	if (IS_ERR(umem_dmabuf))
		return ERR_CAST(umem_dmabuf);
	ib_umem_dmabuf_set_revoke_locked(umem_dmabuf, NULL, NULL);
	ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
	return &umem_dmabuf->umem;
}

static int reg(struct test_mr *mr, const struct dbt_reg *arg)
{
	struct ib_device *device = &mr->hca->ib;
	struct ib_umem *umem;

	if (mr->umem)
		return -EBUSY;
	mr->mainline = arg->flags & DBT_REG_MAINLINE;
	if (mr->mainline)
		umem = mainline_umem_get(device, arg->len, arg->fd, ACCESS);
	else
		umem = ours_umem_get(device, arg->len, arg->fd, ACCESS);
	if (IS_ERR(umem))
		return PTR_ERR(umem);
	mr->umem = umem;
	return 0;
}

static void dereg(struct test_mr *mr)
{
	if (!mr->umem)
		return;
	if (mr->mainline)
		mainline_umem_put(mr->umem);
	else
		ib_umem_release(mr->umem);
	mr->umem = NULL;
}

static long ioctl_reg(struct test_mr *mr, void __user *user)
{
	struct dbt_reg arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~DBT_REG_FLAGS || arg.pad)
		return -EINVAL;
	return reg(mr, &arg);
}

/* As a driver fills its page table: look for a size, then read every block. */
static long ioctl_blocks(struct test_mr *mr, void __user *user)
{
	struct dbt_blocks blocks = {};
	struct ib_block_iter biter;

	if (!mr->umem)
		return -ENOTCONN;
	blocks.size = ib_umem_find_best_pgsz(mr->umem, BLOCK_SIZES, 0);
	if (!blocks.size)
		return -EINVAL;
	rdma_umem_for_each_dma_block(mr->umem, &biter, blocks.size) {
		blocks.sum += rdma_block_iter_dma_address(&biter);
		blocks.nr++;
	}
	return copy_to_user(user, &blocks, sizeof(blocks)) ? -EFAULT : 0;
}

static long test_mr_ioctl(struct file *file, unsigned int cmd,
			  unsigned long user)
{
	struct test_mr *mr = file->private_data;
	void __user *arg = (void __user *)user;

	guard(mutex)(&mr->lock);
	switch (cmd) {
	case DBT_REG:
		return ioctl_reg(mr, arg);
	case DBT_BLOCKS:
		return ioctl_blocks(mr, arg);
	case DBT_DEREG:
		dereg(mr);
		return 0;
	default:
		return -ENOTTY;
	}
}

static int test_mr_open(struct inode *inode, struct file *file)
{
	struct test_hca *hca =
		container_of(file->private_data, struct test_hca, misc);
	struct test_mr *mr;

	mr = kzalloc_obj(*mr);
	if (!mr)
		return -ENOMEM;
	mr->hca = hca;
	mutex_init(&mr->lock);
	atomic_inc(&hca->users);
	file->private_data = mr;
	return 0;
}

static int test_mr_release(struct inode *inode, struct file *file)
{
	struct test_mr *mr = file->private_data;
	struct test_hca *hca = mr->hca;

	dereg(mr);
	mutex_destroy(&mr->lock);
	kfree(mr);
	if (atomic_dec_and_test(&hca->users))
		wake_up_var(&hca->users);
	return 0;
}

static const struct file_operations test_mr_fops = {
	.owner = THIS_MODULE,
	.open = test_mr_open,
	.release = test_mr_release,
	.unlocked_ioctl = test_mr_ioctl,
};

static int test_hca_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct test_hca *hca;
	int ret;

	hca = devm_kzalloc(&pdev->dev, sizeof(*hca), GFP_KERNEL);
	if (!hca)
		return -ENOMEM;
	hca->ib.dma_device = &pdev->dev;
	hca->misc.minor = MISC_DYNAMIC_MINOR;
	hca->misc.fops = &test_mr_fops;
	hca->misc.name = devm_kasprintf(&pdev->dev, GFP_KERNEL,
					"dma-buf-test-umem-%s", pci_name(pdev));
	if (!hca->misc.name)
		return -ENOMEM;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	pci_set_drvdata(pdev, hca);
	return misc_register(&hca->misc);
}

/* Once this returns, the device has no memory region any more. */
static void test_hca_remove(struct pci_dev *pdev)
{
	struct test_hca *hca = pci_get_drvdata(pdev);

	misc_deregister(&hca->misc);
	wait_var_event(&hca->users, !atomic_read(&hca->users));
}

static struct pci_driver test_hca_driver = {
	.name = "dma-buf-test-umem",
	.probe = test_hca_probe,
	.remove = test_hca_remove,
};
module_pci_driver(test_hca_driver);

MODULE_DESCRIPTION("Registers memory of dma-bufs as RDMA drivers do, to measure it");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exports ranges of a BAR as dma-bufs, the way drivers did before dma-buf-phys
 *
 * The scatterlist comes from dma_buf_phys_vec_to_sgt(), and the buffers are
 * never taken back. Tests use this to show what that helper does, and as an
 * exporter outside the class for importers of it.
 *
 * The driver binds by driver_override only. Unbinding waits until every buffer
 * is gone, because the peer-to-peer provider goes with the driver.
 */
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait_bit.h>

#include "dma-buf-test-uapi.h"

#define MAX_RANGES	131072

struct test_exporter {
	struct miscdevice misc;
	struct pci_dev *pdev;
	atomic_t users;		/* open files and buffers; 0 wakes remove() */
};

/* All fields are immutable. */
struct test_buffer {
	struct test_exporter *exporter;
	struct p2pdma_provider *provider;
	size_t size;
	u32 nr;
	struct phys_vec vec[] __counted_by(nr);
};

static void test_exporter_put(struct test_exporter *exporter)
{
	if (atomic_dec_and_test(&exporter->users))
		wake_up_var(&exporter->users);
}

static int test_buffer_attach(struct dma_buf *dmabuf,
			      struct dma_buf_attachment *attach)
{
	return attach->peer2peer ? 0 : -EOPNOTSUPP;
}

static struct sg_table *test_buffer_map(struct dma_buf_attachment *attach,
					enum dma_data_direction dir)
{
	struct test_buffer *buffer = attach->dmabuf->priv;

	return dma_buf_phys_vec_to_sgt(attach, buffer->provider, buffer->vec,
				       buffer->nr, buffer->size, dir);
}

static void test_buffer_unmap(struct dma_buf_attachment *attach,
			      struct sg_table *sgt, enum dma_data_direction dir)
{
	dma_buf_free_sgt(attach, sgt, dir);
}

static void test_buffer_release(struct dma_buf *dmabuf)
{
	struct test_buffer *buffer = dmabuf->priv;

	test_exporter_put(buffer->exporter);
	kvfree(buffer);
}

static const struct dma_buf_ops test_buffer_ops = {
	.attach = test_buffer_attach,
	.map_dma_buf = test_buffer_map,
	.unmap_dma_buf = test_buffer_unmap,
	.release = test_buffer_release,
};

static int test_buffer_fill(struct test_buffer *buffer,
			    const struct dbt_range *ranges, u32 bar)
{
	struct pci_dev *pdev = buffer->exporter->pdev;
	u64 size = pci_resource_len(pdev, bar);
	u64 end;
	u32 i;

	for (i = 0; i < buffer->nr; i++) {
		if (!ranges[i].len ||
		    !PAGE_ALIGNED(ranges[i].offset | ranges[i].len) ||
		    check_add_overflow(ranges[i].offset, ranges[i].len, &end) ||
		    end > size)
			return -EINVAL;
		buffer->vec[i].paddr = pci_resource_start(pdev, bar) +
				       ranges[i].offset;
		buffer->vec[i].len = ranges[i].len;
		buffer->size += ranges[i].len;
	}
	buffer->provider = pcim_p2pdma_provider(pdev, bar);
	return buffer->provider ? 0 : -EINVAL;
}

static struct test_buffer *test_buffer_create(struct test_exporter *exporter,
					      const struct dbt_export *arg)
{
	struct test_buffer *buffer;
	struct dbt_range *ranges;
	int ret;

	ranges = vmemdup_array_user(u64_to_user_ptr(arg->ranges),
				    arg->nr_ranges, sizeof(*ranges));
	if (IS_ERR(ranges))
		return ERR_CAST(ranges);

	ret = -ENOMEM;
	buffer = kvzalloc_flex(*buffer, vec, arg->nr_ranges);
	if (!buffer)
		goto out;
	buffer->nr = arg->nr_ranges;
	buffer->exporter = exporter;
	ret = test_buffer_fill(buffer, ranges, arg->bar);
	if (ret)
		kvfree(buffer);
out:
	kvfree(ranges);
	return ret ? ERR_PTR(ret) : buffer;
}

/* Once the buffer is exported, its release does all that is needed. */
static int test_buffer_export(struct test_buffer *buffer)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	int fd;

	info.ops = &test_buffer_ops;
	info.size = buffer->size;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		kvfree(buffer);
		return PTR_ERR(dmabuf);
	}
	atomic_inc(&buffer->exporter->users);

	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

static long test_exporter_ioctl(struct file *file, unsigned int cmd,
				unsigned long user)
{
	struct test_exporter *exporter = file->private_data;
	struct test_buffer *buffer;
	struct dbt_export arg;

	if (cmd != DBT_EXPORT)
		return -ENOTTY;
	if (copy_from_user(&arg, (void __user *)user, sizeof(arg)))
		return -EFAULT;
	if (!arg.nr_ranges || arg.nr_ranges > MAX_RANGES ||
	    arg.bar >= PCI_STD_NUM_BARS)
		return -EINVAL;

	buffer = test_buffer_create(exporter, &arg);
	return IS_ERR(buffer) ? PTR_ERR(buffer) : test_buffer_export(buffer);
}

static int test_exporter_open(struct inode *inode, struct file *file)
{
	struct test_exporter *exporter =
		container_of(file->private_data, struct test_exporter, misc);

	atomic_inc(&exporter->users);
	file->private_data = exporter;
	return 0;
}

static int test_exporter_release(struct inode *inode, struct file *file)
{
	test_exporter_put(file->private_data);
	return 0;
}

static const struct file_operations test_exporter_fops = {
	.owner = THIS_MODULE,
	.open = test_exporter_open,
	.release = test_exporter_release,
	.unlocked_ioctl = test_exporter_ioctl,
};

static int test_exporter_probe(struct pci_dev *pdev,
			       const struct pci_device_id *id)
{
	struct test_exporter *exporter;
	int ret;

	exporter = devm_kzalloc(&pdev->dev, sizeof(*exporter), GFP_KERNEL);
	if (!exporter)
		return -ENOMEM;
	exporter->pdev = pdev;
	exporter->misc.minor = MISC_DYNAMIC_MINOR;
	exporter->misc.fops = &test_exporter_fops;
	exporter->misc.name = devm_kasprintf(&pdev->dev, GFP_KERNEL,
					     "dma-buf-test-exporter-%s",
					     pci_name(pdev));
	if (!exporter->misc.name)
		return -ENOMEM;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = pcim_p2pdma_init(pdev);
	if (ret)
		return ret;

	pci_set_drvdata(pdev, exporter);
	return misc_register(&exporter->misc);
}

/* Once this returns, no buffer of the device exists any more. */
static void test_exporter_remove(struct pci_dev *pdev)
{
	struct test_exporter *exporter = pci_get_drvdata(pdev);

	misc_deregister(&exporter->misc);
	wait_var_event(&exporter->users, !atomic_read(&exporter->users));
}

static struct pci_driver test_exporter_driver = {
	.name = "dma-buf-test-exporter",
	.probe = test_exporter_probe,
	.remove = test_exporter_remove,
};
module_pci_driver(test_exporter_driver);

MODULE_DESCRIPTION("Test exporter of PCI BARs, outside the class dma-buf-phys");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exports ranges of a BAR as dma-bufs, the way drivers did before dma-buf-phys
 *
 * The scatterlist comes from dma_buf_phys_vec_to_sgt(), and the buffers are
 * never taken back; those that move, as a GPU driver's do, are elsewhere in the
 * BAR afterwards. Tests use this to show what that helper does, and as an
 * exporter outside the class for importers of it.
 *
 * The driver binds by driver_override only. Unbinding waits until every buffer
 * is gone, because the peer-to-peer provider goes with the driver.
 */
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-resv.h>
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

/* Immutable. */
struct test_place {
	u32 nr;
	struct phys_vec vec[] __counted_by(nr);
};

struct test_buffer {
	struct test_exporter *exporter;	/* immutable, as the next three */
	struct p2pdma_provider *provider;
	u32 bar;
	size_t size;

	/* Under dma_buf::resv once exported; a scatterlist is made of a copy. */
	struct test_place *place;
	unsigned int nr_pins;		/* of a buffer that moves */
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

	return dma_buf_phys_vec_to_sgt(attach, buffer->provider,
				       buffer->place->vec, buffer->place->nr,
				       buffer->size, dir);
}

static void test_buffer_unmap(struct dma_buf_attachment *attach,
			      struct sg_table *sgt, enum dma_data_direction dir)
{
	dma_buf_free_sgt(attach, sgt, dir);
}

static int test_buffer_pin(struct dma_buf_attachment *attach)
{
	struct test_buffer *buffer = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	buffer->nr_pins++;
	return 0;
}

static void test_buffer_unpin(struct dma_buf_attachment *attach)
{
	struct test_buffer *buffer = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	buffer->nr_pins--;
}

static void test_buffer_free(struct test_buffer *buffer)
{
	kvfree(buffer->place);
	kfree(buffer);
}

static void test_buffer_release(struct dma_buf *dmabuf)
{
	struct test_buffer *buffer = dmabuf->priv;

	test_exporter_put(buffer->exporter);
	test_buffer_free(buffer);
}

static const struct dma_buf_ops test_buffer_ops = {
	.attach = test_buffer_attach,
	.map_dma_buf = test_buffer_map,
	.unmap_dma_buf = test_buffer_unmap,
	.release = test_buffer_release,
};

static const struct dma_buf_ops test_moving_ops = {
	.attach = test_buffer_attach,
	.pin = test_buffer_pin,
	.unpin = test_buffer_unpin,
	.map_dma_buf = test_buffer_map,
	.unmap_dma_buf = test_buffer_unmap,
	.release = test_buffer_release,
};

/*
 * Where a buffer is
 */

static int test_place_fill(struct test_place *place,
			   const struct dbt_range *ranges,
			   struct pci_dev *pdev, u32 bar)
{
	u64 size = pci_resource_len(pdev, bar);
	u64 end;
	u32 i;

	for (i = 0; i < place->nr; i++) {
		if (!ranges[i].len ||
		    !PAGE_ALIGNED(ranges[i].offset | ranges[i].len) ||
		    check_add_overflow(ranges[i].offset, ranges[i].len, &end) ||
		    end > size)
			return -EINVAL;
		place->vec[i].paddr = pci_resource_start(pdev, bar) +
				      ranges[i].offset;
		place->vec[i].len = ranges[i].len;
	}
	return 0;
}

static struct test_place *test_place_create(struct test_exporter *exporter,
					    u64 user, u32 nr, u32 bar)
{
	struct dbt_range *ranges;
	struct test_place *place;
	int ret = -ENOMEM;

	if (!nr || nr > MAX_RANGES)
		return ERR_PTR(-EINVAL);
	ranges = vmemdup_array_user(u64_to_user_ptr(user), nr, sizeof(*ranges));
	if (IS_ERR(ranges))
		return ERR_CAST(ranges);

	place = kvzalloc_flex(*place, vec, nr);
	if (!place)
		goto out;
	place->nr = nr;
	ret = test_place_fill(place, ranges, exporter->pdev, bar);
	if (ret)
		kvfree(place);
out:
	kvfree(ranges);
	return ret ? ERR_PTR(ret) : place;
}

static size_t test_place_size(const struct test_place *place)
{
	size_t size = 0;
	u32 i;

	for (i = 0; i < place->nr; i++)
		size += place->vec[i].len;
	return size;
}

/*
 * What user space can ask for
 */

static struct test_buffer *test_buffer_create(struct test_exporter *exporter,
					      const struct dbt_export *arg)
{
	struct test_buffer *buffer;
	struct test_place *place;

	place = test_place_create(exporter, arg->ranges, arg->nr_ranges,
				  arg->bar);
	if (IS_ERR(place))
		return ERR_CAST(place);

	buffer = kzalloc_obj(*buffer);
	if (!buffer) {
		kvfree(place);
		return ERR_PTR(-ENOMEM);
	}
	buffer->exporter = exporter;
	buffer->place = place;
	buffer->size = test_place_size(place);
	buffer->bar = arg->bar;
	buffer->provider = pcim_p2pdma_provider(exporter->pdev, arg->bar);
	if (!buffer->provider) {
		test_buffer_free(buffer);
		return ERR_PTR(-EINVAL);
	}
	return buffer;
}

/* Once the buffer is exported, its release does all that is needed. */
static int test_buffer_export(struct test_buffer *buffer,
			      const struct dma_buf_ops *ops)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	int fd;

	info.ops = ops;
	info.size = buffer->size;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		test_buffer_free(buffer);
		return PTR_ERR(dmabuf);
	}
	atomic_inc(&buffer->exporter->users);

	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

static long ioctl_export(struct test_exporter *exporter, void __user *user,
			 const struct dma_buf_ops *ops)
{
	struct test_buffer *buffer;
	struct dbt_export arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.bar >= PCI_STD_NUM_BARS)
		return -EINVAL;
	buffer = test_buffer_create(exporter, &arg);
	return IS_ERR(buffer) ? PTR_ERR(buffer) :
				test_buffer_export(buffer, ops);
}

/* Importers are told, and whoever has begun is waited for. Takes @place over. */
static int test_buffer_move(struct dma_buf *dmabuf, struct test_place *place)
{
	struct test_buffer *buffer = dmabuf->priv;
	int ret = 0;

	dma_resv_lock(dmabuf->resv, NULL);
	if (buffer->nr_pins) {
		ret = -EBUSY;
	} else {
		dma_buf_invalidate_mappings(dmabuf);
		dma_resv_wait_timeout(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP,
				      false, MAX_SCHEDULE_TIMEOUT);
		swap(buffer->place, place);
	}
	dma_resv_unlock(dmabuf->resv);
	kvfree(place);
	return ret;
}

static int move_to(struct test_exporter *exporter, struct dma_buf *dmabuf,
		   const struct dbt_move *arg)
{
	struct test_buffer *buffer = dmabuf->priv;
	struct test_place *place;

	if (dmabuf->ops != &test_moving_ops || buffer->exporter != exporter)
		return -EOPNOTSUPP;
	place = test_place_create(exporter, arg->ranges, arg->nr_ranges,
				  buffer->bar);
	if (IS_ERR(place))
		return PTR_ERR(place);
	if (test_place_size(place) != buffer->size) {
		kvfree(place);
		return -EINVAL;
	}
	return test_buffer_move(dmabuf, place);
}

static long ioctl_move(struct test_exporter *exporter, void __user *user)
{
	struct dma_buf *dmabuf;
	struct dbt_move arg;
	int ret;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	dmabuf = dma_buf_get(arg.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = move_to(exporter, dmabuf, &arg);
	dma_buf_put(dmabuf);
	return ret;
}

static long test_exporter_ioctl(struct file *file, unsigned int cmd,
				unsigned long user)
{
	struct test_exporter *exporter = file->private_data;
	void __user *arg = (void __user *)user;

	switch (cmd) {
	case DBT_EXPORT:
		return ioctl_export(exporter, arg, &test_buffer_ops);
	case DBT_EXPORT_MOVING:
		return ioctl_export(exporter, arg, &test_moving_ops);
	case DBT_MOVE:
		return ioctl_move(exporter, arg);
	default:
		return -ENOTTY;
	}
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

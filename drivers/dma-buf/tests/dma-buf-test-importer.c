// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lets the DMA engine of QEMU's "edu" device read and write any dma-buf
 *
 * The importer is told by user space how to behave: to know dma-buf-phys or
 * only scatterlists, to be unable to stop, to be slow. As a rule it is what the
 * contract calls a pinned importer that can be revoked: it stops the engine and
 * unmaps inside invalidate. With a delay it stops using the mapping inside
 * invalidate and unmaps later, by a worker, without help from user space.
 *
 * It can also leave the device alone and access the memory by the CPU view, in
 * sections that last as long as user space says.
 *
 * User space's data pass through a bounce page, see dma-buf-test-edu.h.
 *
 * Lock order: test_importer::lock > dbt_edu::lock > dma_buf::resv.
 * A move of a dma-buf starts under resv, so that invalidate, which holds it,
 * has to wait for one move at most.
 *
 * The driver binds by driver_override only. Unbinding waits until every file is
 * closed.
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-phys.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "dma-buf-test-edu.h"
#include "dma-buf-test-uapi.h"

/* The CPU copies so much in one section. */
#define CPU_BLOCK	SZ_1M

struct test_device {
	struct miscdevice misc;
	struct dbt_edu edu;
	atomic_t users;			/* open files; 0 wakes remove() */

	/* Whose dma-buf is being moved; written under @edu.lock and its resv. */
	struct test_importer *moving;
};

struct test_importer {
	struct test_device *dev;	/* immutable */
	struct mutex lock;		/* one ioctl at a time */

	/* Under @lock; do not change while attached. */
	struct dma_buf *dmabuf;		/* NULL: not attached */
	struct dma_buf_attachment *attach;	/* NULL: attached by the class */
	struct dma_buf_phys_attachment *phys;
	bool cpu;			/* @phys is for the CPU view */
	bool pinned;
	u32 delay_ms;
	u64 cpu_len;			/* of @cpu_map while @mapped */

	/* Under dma_buf::resv. */
	struct sg_table *sgt;		/* valid while @mapped */
	struct dma_buf_phys_dma_map map;	/* the same, of the class */
	struct dma_buf_phys_cpu_map cpu_map;	/* the same, for the CPU */
	bool mapped;			/* written under @lock, too, with @cpu */
	bool stopped;			/* invalidated, not yet unmapped */
	u64 addr;			/* of the last mapping's first byte */
	u32 invalidated;
	struct delayed_work unmap;	/* queued by invalidate */
};

/*
 * The mapping
 */

/* Find @offset in the scatterlist. */
static void find_in_sgt(const struct test_importer *importer, u64 offset,
			u64 *addr, u64 *len)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(importer->sgt, sg, i) {
		if (offset < sg_dma_len(sg)) {
			*addr = sg_dma_address(sg) + offset;
			*len = sg_dma_len(sg) - offset;
			return;
		}
		offset -= sg_dma_len(sg);
	}
}

static void find_in_view(const struct test_importer *importer, u64 offset,
			 u64 *addr, u64 *len)
{
	struct dma_buf_phys_dma_iter iter;

	dma_buf_phys_dma_iter_start(&iter, &importer->map);
	while (dma_buf_phys_dma_iter_next(&iter)) {
		if (offset < iter.len) {
			*addr = iter.addr + offset;
			*len = iter.len - offset;
			return;
		}
		offset -= iter.len;
	}
}

/* DMA address of byte @offset, and how many bytes follow it in one piece. */
static int find_piece(const struct test_importer *importer, u64 offset,
		      u64 *addr, u64 *len)
{
	dma_resv_assert_held(importer->dmabuf->resv);

	if (!importer->mapped || importer->stopped)
		return -ENODEV;
	*len = 0;
	if (importer->phys)
		find_in_view(importer, offset, addr, len);
	else
		find_in_sgt(importer, offset, addr, len);
	return *len ? 0 : -ERANGE;
}

/* Pieces and bytes of the mapping, each piece looked at once. */
static void count_pieces(const struct test_importer *importer,
			 struct dbt_state *state)
{
	struct dma_buf_phys_dma_iter iter;
	struct scatterlist *sg;
	unsigned int i;

	dma_resv_assert_held(importer->dmabuf->resv);

	if (!importer->mapped || importer->cpu)
		return;
	if (!importer->phys) {
		for_each_sgtable_dma_sg(importer->sgt, sg, i) {
			state->runs++;
			state->len += sg_dma_len(sg);
		}
		return;
	}
	dma_buf_phys_dma_iter_start(&iter, &importer->map);
	while (dma_buf_phys_dma_iter_next(&iter)) {
		state->runs++;
		state->len += iter.len;
	}
}

static int map_sgt(struct test_importer *importer)
{
	struct dma_buf_attachment *attach = importer->attach;
	struct sg_table *sgt;
	long ret;

	sgt = dma_buf_map_attachment(attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	ret = dma_resv_wait_timeout(importer->dmabuf->resv,
				    DMA_RESV_USAGE_KERNEL, true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0) {
		dma_buf_unmap_attachment(attach, sgt, DMA_BIDIRECTIONAL);
		return ret;
	}
	importer->sgt = sgt;
	return 0;
}

static int map_cpu(struct test_importer *importer, u64 offset, u64 len)
{
	int ret = dma_buf_phys_map_cpu(importer->phys, &importer->cpu_map,
				       offset, len);

	importer->mapped = !ret;
	importer->cpu_len = len;
	return ret;
}

static int map_locked(struct test_importer *importer, const struct dbt_map *arg)
{
	u64 len = arg->len ?: importer->dmabuf->size;
	u64 piece;
	int ret;

	dma_resv_assert_held(importer->dmabuf->resv);

	if (importer->mapped)
		return -EBUSY;
	if (importer->cpu)
		return map_cpu(importer, arg->offset, len);
	if (!importer->phys && (arg->offset || arg->len))
		return -EINVAL;

	ret = importer->phys ? dma_buf_phys_map_dma(importer->phys,
						    &importer->map, arg->offset,
						    len, DMA_BIDIRECTIONAL) :
			       map_sgt(importer);
	if (ret)
		return ret;
	importer->mapped = true;
	return find_piece(importer, 0, &importer->addr, &piece);
}

static void unmap_locked(struct test_importer *importer)
{
	dma_resv_assert_held(importer->dmabuf->resv);

	if (!importer->mapped)
		return;
	if (importer->cpu)
		dma_buf_phys_unmap_cpu(&importer->cpu_map);
	else if (importer->phys)
		dma_buf_phys_unmap_dma(importer->phys, &importer->map);
	else
		dma_buf_unmap_attachment(importer->attach, importer->sgt,
					 DMA_BIDIRECTIONAL);
	importer->mapped = false;
	importer->stopped = false;
}

/* Wait for the move that was started under resv, which is held again. */
static void stop_engine(struct test_importer *importer)
{
	dma_resv_assert_held(importer->dmabuf->resv);

	if (READ_ONCE(importer->dev->moving) == importer)
		dbt_edu_wait_idle(&importer->dev->edu);
}

static void invalidate(struct test_importer *importer)
{
	importer->invalidated++;
	if (!importer->mapped || importer->stopped)
		return;

	stop_engine(importer);
	if (importer->delay_ms) {
		importer->stopped = true;
		schedule_delayed_work(&importer->unmap,
				      msecs_to_jiffies(importer->delay_ms));
	} else {
		unmap_locked(importer);
	}
}

static void unmap_late(struct work_struct *work)
{
	struct test_importer *importer =
		container_of(work, struct test_importer, unmap.work);

	dma_resv_lock(importer->dmabuf->resv, NULL);
	if (importer->stopped)
		unmap_locked(importer);
	dma_resv_unlock(importer->dmabuf->resv);
}

/*
 * The attachment
 */

static void test_importer_invalidate(struct dma_buf_attachment *attach)
{
	invalidate(attach->importer_priv);
}

static const struct dma_buf_attach_ops test_importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = test_importer_invalidate,
};

static const struct dma_buf_attach_ops test_importer_no_peer2peer_ops = {
	.invalidate_mappings = test_importer_invalidate,
};

static const struct dma_buf_attach_ops test_importer_no_invalidate_ops = {
	.allow_peer2peer = true,
};

static void test_importer_phys_invalidate(struct dma_buf_phys_attachment *phys)
{
	invalidate(phys->priv);
}

static const struct dma_buf_phys_importer_ops test_importer_phys_ops = {
	.name = "dma-buf-test-importer",
	.invalidate = test_importer_phys_invalidate,
};

static const struct dma_buf_phys_importer_ops test_importer_phys_static_ops = {
	.name = "dma-buf-test-importer",
};

static int attach_phys(struct test_importer *importer, struct dma_buf *dmabuf,
		       u32 flags)
{
	struct device *dev = &importer->dev->edu.pdev->dev;
	bool cpu = flags & DBT_ATTACH_CPU;
	struct dma_buf_phys_attachment *phys;

	/* The core ends a CPU view by itself. */
	phys = dma_buf_phys_importer_attach(dmabuf, dev,
					    cpu ? DMA_BUF_PHYS_VIEW_CPU :
						  DMA_BUF_PHYS_VIEW_DMA,
					    cpu ||
					    flags & DBT_ATTACH_NO_INVALIDATE ?
						    &test_importer_phys_static_ops :
						    &test_importer_phys_ops,
					    importer);
	if (IS_ERR(phys))
		return PTR_ERR(phys);
	importer->phys = phys;
	importer->cpu = cpu;
	return 0;
}

static int attach_old(struct test_importer *importer, struct dma_buf *dmabuf,
		      u32 flags)
{
	const struct dma_buf_attach_ops *ops = &test_importer_ops;
	struct device *dev = &importer->dev->edu.pdev->dev;
	struct dma_buf_attachment *attach;

	if (flags & DBT_ATTACH_NO_PEER2PEER)
		ops = &test_importer_no_peer2peer_ops;
	else if (flags & DBT_ATTACH_NO_INVALIDATE)
		ops = &test_importer_no_invalidate_ops;

	attach = flags & DBT_ATTACH_STATIC ?
			 dma_buf_attach(dmabuf, dev) :
			 dma_buf_dynamic_attach(dmabuf, dev, ops, importer);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	importer->attach = attach;
	return 0;
}

static int pin(struct test_importer *importer)
{
	int ret;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	ret = importer->phys ? dma_buf_phys_pin(importer->phys) :
			       dma_buf_pin(importer->attach);
	dma_resv_unlock(importer->dmabuf->resv);
	importer->pinned = !ret;
	return ret;
}

static void unpin_locked(struct test_importer *importer)
{
	if (!importer->pinned)
		return;
	if (importer->phys)
		dma_buf_phys_unpin(importer->phys);
	else
		dma_buf_unpin(importer->attach);
	importer->pinned = false;
}

/* Undo everything since attach, in any state. */
static void detach(struct test_importer *importer)
{
	struct dma_buf *dmabuf = importer->dmabuf;

	if (!dmabuf)
		return;

	dma_resv_lock(dmabuf->resv, NULL);
	unmap_locked(importer);
	unpin_locked(importer);
	dma_resv_unlock(dmabuf->resv);

	if (importer->phys)
		dma_buf_phys_importer_detach(importer->phys);
	else
		dma_buf_detach(dmabuf, importer->attach);
	importer->phys = NULL;
	importer->cpu = false;
	importer->attach = NULL;

	/* Nobody queues it any more; it must still find the dma-buf. */
	cancel_delayed_work_sync(&importer->unmap);
	importer->dmabuf = NULL;
	dma_buf_put(dmabuf);
}

static int attach(struct test_importer *importer, struct dma_buf *dmabuf,
		  const struct dbt_attach *arg)
{
	int ret;

	importer->delay_ms = arg->delay_ms;
	importer->invalidated = 0;
	/* Set first: invalidate may be called before attach has returned. */
	importer->dmabuf = dmabuf;
	ret = arg->flags & DBT_ATTACH_CLASS ?
		      attach_phys(importer, dmabuf, arg->flags) :
		      attach_old(importer, dmabuf, arg->flags);
	if (ret) {
		importer->dmabuf = NULL;
		dma_buf_put(dmabuf);
		return ret;
	}

	if (arg->flags & DBT_ATTACH_PIN)
		ret = pin(importer);
	if (ret)
		detach(importer);
	return ret;
}

/*
 * Transfers
 */

/* Move one piece of the dma-buf, up to @len bytes. Returns how many. */
static ssize_t move_piece(struct test_importer *importer, u64 offset,
			  size_t pos, size_t len, bool to_memory)
{
	struct test_device *dev = importer->dev;
	u64 addr, piece;
	int ret;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	ret = find_piece(importer, offset, &addr, &piece);
	if (!ret) {
		len = min_t(u64, len, piece);
		WRITE_ONCE(dev->moving, importer);
		dbt_edu_start_move(&dev->edu, addr, pos, len, to_memory);
	}
	dma_resv_unlock(importer->dmabuf->resv);
	if (ret)
		return ret;

	ret = dbt_edu_wait_idle(&dev->edu);
	WRITE_ONCE(dev->moving, NULL);
	return ret ?: len;
}

/* Use the addresses of the last mapping, whether it is still there or not. */
static ssize_t move_stale(struct test_importer *importer, u64 offset,
			  size_t pos, size_t len, bool to_memory)
{
	int ret;

	dbt_edu_start_move(&importer->dev->edu, importer->addr + offset, pos,
			   len, to_memory);
	ret = dbt_edu_wait_idle(&importer->dev->edu);
	return ret ?: len;
}

/* Returns how many bytes of the block were moved before it went wrong. */
static ssize_t move_block(struct test_importer *importer,
			  const struct dbt_transfer *arg, u64 offset,
			  size_t len)
{
	bool write = arg->flags & DBT_TRANSFER_WRITE;
	ssize_t ret = 0;
	size_t done;

	for (done = 0; done < len; done += ret) {
		ret = arg->flags & DBT_TRANSFER_STALE ?
			      move_stale(importer, offset + done, done,
					 len - done, write) :
			      move_piece(importer, offset + done, done,
					 len - done, write);
		if (ret < 0)
			break;
	}
	return done ?: ret;
}

static ssize_t write_block(struct test_importer *importer,
			   const struct dbt_transfer *arg, u64 done, size_t len)
{
	struct test_device *dev = importer->dev;
	int ret;

	if (copy_from_user(dev->edu.bounce, u64_to_user_ptr(arg->data + done),
			   len))
		return -EFAULT;
	ret = dbt_edu_move_bounce(&dev->edu, len, false);
	return ret ?: move_block(importer, arg, arg->offset + done, len);
}

static ssize_t read_block(struct test_importer *importer,
			  const struct dbt_transfer *arg, u64 done, size_t len)
{
	struct test_device *dev = importer->dev;
	ssize_t moved;
	int ret;

	moved = move_block(importer, arg, arg->offset + done, len);
	if (moved < 0)
		return moved;
	ret = dbt_edu_move_bounce(&dev->edu, moved, true);
	if (ret)
		return ret;
	if (copy_to_user(u64_to_user_ptr(arg->data + done), dev->edu.bounce,
			 moved))
		return -EFAULT;
	return moved;
}

static long transfer(struct test_importer *importer,
		     const struct dbt_transfer *arg)
{
	ssize_t ret = 0;
	size_t len;
	u64 done;

	guard(mutex)(&importer->dev->edu.lock);
	for (done = 0; done < arg->len; done += ret) {
		len = min_t(u64, arg->len - done, DBT_EDU_BLOCK);
		ret = arg->flags & DBT_TRANSFER_WRITE ?
			      write_block(importer, arg, done, len) :
			      read_block(importer, arg, done, len);
		if (ret < 0)
			break;
	}
	return done ?: ret;
}

/*
 * The CPU view
 */

/* One section. User memory is touched outside of it. */
static int access_block(struct test_importer *importer,
			const struct dbt_transfer *arg, u64 offset, void *data,
			size_t len)
{
	struct dma_buf_phys_cpu_map *map = &importer->cpu_map;
	bool write = arg->flags & DBT_TRANSFER_WRITE;
	int ret;

	ret = dma_buf_phys_cpu_begin(map);
	if (ret)
		return ret;
	if (arg->flags & DBT_TRANSFER_EIGHT)
		ret = write ? dma_buf_phys_cpu_write64(map, offset,
						       *(u64 *)data) :
			      dma_buf_phys_cpu_read64(map, offset, data);
	else
		ret = write ? dma_buf_phys_cpu_write(map, offset, data, len) :
			      dma_buf_phys_cpu_read(map, offset, data, len);
	if (!ret && arg->flags & DBT_TRANSFER_FLUSH)
		ret = dma_buf_phys_cpu_flush(map, offset, len);
	if (importer->delay_ms)
		msleep(importer->delay_ms);
	dma_buf_phys_cpu_end(map);
	return ret;
}

static ssize_t transfer_block(struct test_importer *importer,
			      const struct dbt_transfer *arg, u64 done,
			      void *data, size_t len)
{
	void __user *user = u64_to_user_ptr(arg->data + done);
	bool write = arg->flags & DBT_TRANSFER_WRITE;
	int ret;

	if (write && copy_from_user(data, user, len))
		return -EFAULT;
	ret = access_block(importer, arg, arg->offset + done, data, len);
	if (ret)
		return ret;
	return !write && copy_to_user(user, data, len) ? -EFAULT : len;
}

static long transfer_by_cpu(struct test_importer *importer,
			    const struct dbt_transfer *arg)
{
	size_t block = min_t(u64, arg->len, CPU_BLOCK);
	ssize_t ret = 0;
	void *data;
	u64 done;

	if (!importer->mapped)
		return -ENODEV;
	if (arg->flags & DBT_TRANSFER_EIGHT && arg->len != sizeof(u64))
		return -EINVAL;
	data = kvmalloc(block, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	for (done = 0; done < arg->len; done += ret) {
		ret = transfer_block(importer, arg, done, data,
				     min_t(u64, arg->len - done, block));
		if (ret < 0)
			break;
	}
	kvfree(data);
	return done ?: ret;
}

static long remap_cpu(struct test_importer *importer)
{
	int ret;

	if (!importer->cpu || !importer->mapped)
		return -ENOTCONN;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	ret = dma_buf_phys_remap_cpu(&importer->cpu_map);
	dma_resv_unlock(importer->dmabuf->resv);
	return ret;
}

static bool cpu_view_is_live(struct test_importer *importer)
{
	if (!importer->mapped || dma_buf_phys_cpu_begin(&importer->cpu_map))
		return false;
	dma_buf_phys_cpu_end(&importer->cpu_map);
	return true;
}

/*
 * What user space can ask for
 */

static long ioctl_attach(struct test_importer *importer, void __user *user)
{
	struct dma_buf *dmabuf;
	struct dbt_attach arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~DBT_ATTACH_FLAGS || arg.pad)
		return -EINVAL;
	if (arg.flags & DBT_ATTACH_CPU && !(arg.flags & DBT_ATTACH_CLASS))
		return -EINVAL;
	if (importer->dmabuf)
		return -EBUSY;

	dmabuf = dma_buf_get(arg.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	return attach(importer, dmabuf, &arg);
}

static long ioctl_map(struct test_importer *importer, void __user *user)
{
	struct dbt_map arg;
	int ret;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (!importer->dmabuf)
		return -ENOTCONN;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	ret = map_locked(importer, &arg);
	dma_resv_unlock(importer->dmabuf->resv);
	return ret;
}

static long ioctl_unmap(struct test_importer *importer)
{
	if (!importer->dmabuf)
		return -ENOTCONN;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	unmap_locked(importer);
	dma_resv_unlock(importer->dmabuf->resv);
	return 0;
}

static long ioctl_transfer(struct test_importer *importer, void __user *user)
{
	struct dbt_transfer arg;
	u64 end;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~DBT_TRANSFER_FLAGS || arg.pad || arg.len > SZ_1G ||
	    check_add_overflow(arg.offset, arg.len, &end))
		return -EINVAL;
	if (!importer->dmabuf)
		return -ENOTCONN;
	return importer->cpu ? transfer_by_cpu(importer, &arg) :
			       transfer(importer, &arg);
}

static long ioctl_state(struct test_importer *importer, void __user *user)
{
	struct dbt_state state = {};

	if (!importer->dmabuf)
		return -ENOTCONN;

	/* Not under resv. */
	if (importer->cpu && cpu_view_is_live(importer))
		state.len = importer->cpu_len;
	dma_resv_lock(importer->dmabuf->resv, NULL);
	state.addr = importer->addr;
	count_pieces(importer, &state);
	state.invalidated = importer->invalidated;
	dma_resv_unlock(importer->dmabuf->resv);
	return copy_to_user(user, &state, sizeof(state)) ? -EFAULT : 0;
}

static long ioctl_set_mask(struct test_importer *importer, void __user *user)
{
	u64 mask;

	if (copy_from_user(&mask, user, sizeof(mask)))
		return -EFAULT;
	return dma_set_mask(&importer->dev->edu.pdev->dev, mask);
}

static long test_importer_ioctl(struct file *file, unsigned int cmd,
				unsigned long user)
{
	struct test_importer *importer = file->private_data;
	void __user *arg = (void __user *)user;

	guard(mutex)(&importer->lock);
	switch (cmd) {
	case DBT_ATTACH:
		return ioctl_attach(importer, arg);
	case DBT_DETACH:
		detach(importer);
		return 0;
	case DBT_MAP:
		return ioctl_map(importer, arg);
	case DBT_UNMAP:
		return ioctl_unmap(importer);
	case DBT_TRANSFER:
		return ioctl_transfer(importer, arg);
	case DBT_STATE:
		return ioctl_state(importer, arg);
	case DBT_REMAP:
		return remap_cpu(importer);
	case DBT_SET_MASK:
		return ioctl_set_mask(importer, arg);
	default:
		return -ENOTTY;
	}
}

static int test_importer_open(struct inode *inode, struct file *file)
{
	struct test_device *dev =
		container_of(file->private_data, struct test_device, misc);
	struct test_importer *importer;

	importer = kzalloc_obj(*importer);
	if (!importer)
		return -ENOMEM;
	importer->dev = dev;
	mutex_init(&importer->lock);
	INIT_DELAYED_WORK(&importer->unmap, unmap_late);
	atomic_inc(&dev->users);
	file->private_data = importer;
	return 0;
}

static int test_importer_release(struct inode *inode, struct file *file)
{
	struct test_importer *importer = file->private_data;
	struct test_device *dev = importer->dev;

	detach(importer);
	mutex_destroy(&importer->lock);
	kfree(importer);
	if (atomic_dec_and_test(&dev->users))
		wake_up_var(&dev->users);
	return 0;
}

static const struct file_operations test_importer_fops = {
	.owner = THIS_MODULE,
	.open = test_importer_open,
	.release = test_importer_release,
	.unlocked_ioctl = test_importer_ioctl,
};

/*
 * The device
 */

static int test_device_probe(struct pci_dev *pdev,
			     const struct pci_device_id *id)
{
	struct test_device *dev;
	int ret;

	dev = devm_kzalloc(&pdev->dev, sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	dev->misc.minor = MISC_DYNAMIC_MINOR;
	dev->misc.fops = &test_importer_fops;
	dev->misc.name = devm_kasprintf(&pdev->dev, GFP_KERNEL,
					"dma-buf-test-importer-%s",
					pci_name(pdev));
	if (!dev->misc.name)
		return -ENOMEM;

	ret = dbt_edu_init(&dev->edu, pdev);
	if (ret)
		return ret;
	pci_set_drvdata(pdev, dev);
	return misc_register(&dev->misc);
}

/* Once this returns, the device has no attachment any more. */
static void test_device_remove(struct pci_dev *pdev)
{
	struct test_device *dev = pci_get_drvdata(pdev);

	misc_deregister(&dev->misc);
	wait_var_event(&dev->users, !atomic_read(&dev->users));
	pci_clear_master(pdev);
}

static struct pci_driver test_importer_driver = {
	.name = "dma-buf-test-importer",
	.probe = test_device_probe,
	.remove = test_device_remove,
};
module_pci_driver(test_importer_driver);

MODULE_DESCRIPTION("Test importer that drives the DMA engine of QEMU's edu device");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("DMA_BUF_TEST");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * An RDMA device for tests, on the DMA engine of QEMU's "edu" device
 *
 * It registers memory as drivers of RDMA hardware do: the MR's memory is an
 * ib_umem, the best page size is chosen for it, and the DMA address of each
 * block goes into a table of the device. From then on the device knows nothing
 * but the table. dma-bufs are taken in the three ways that drivers have:
 *
 *   revocable	pinned; revoke ends the access for good, as in irdma
 *   static	pinned; cannot stop, as in efa
 *   dynamic	mapped by the first access, until it is invalidated, as in mlx5
 *
 * There are no queue pairs. User space names an MR and an address in it, and the
 * engine moves bytes there, see struct dbt_ib_move.
 *
 * It also has memory that user space can export, the start of its registers: an
 * mmap entry in each context, that can be taken back at any time.
 *
 * Lock order: dbt_edu::lock > dma_buf::resv. A move of a dma-buf starts under
 * resv, so that revoke, which holds it, has to wait for one move at most. An MR
 * found under dbt_edu::lock stays until it is unlocked.
 *
 * The driver binds by driver_override only. Unbinding deregisters every MR and
 * waits until the files of the misc device are closed.
 */
#include <linux/cleanup.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/xarray.h>
#include <rdma/ib_mad.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/iter.h>

#include "dma-buf-test-edu.h"
#include "dma-buf-test-uapi.h"

#define PGSZ_DEFAULT		(SZ_4K | SZ_64K | SZ_2M)
#define ACCESS_SUPPORTED	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | \
				 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC | \
				 IB_ACCESS_OPTIONAL)
#define MOVE_FLAGS		(DBT_TRANSFER_WRITE | DBT_TRANSFER_STALE)

struct test_ibdev {
	struct ib_device ibdev;
	struct miscdevice misc;
	struct dbt_edu edu;
	atomic_t users;		/* open files; 0 wakes remove() */

	struct xarray mrs;	/* by lkey; erased from under @edu.lock */
	u32 last_lkey;		/* under the xarray's lock */

	/* Of MRs to come; any time, by WRITE_ONCE() and READ_ONCE(). */
	u32 how;
	unsigned long pgsz_bitmap;

	/* Whose memory is being moved; written under @edu.lock and its resv. */
	struct test_mr *moving;

	struct mutex contexts_lock;	/* the next, and what each has */
	struct list_head contexts;
};

struct test_ucontext {
	struct ib_ucontext ibucontext;

	/* Under test_ibdev::contexts_lock */
	struct list_head node;			/* in test_ibdev::contexts */
	struct rdma_user_mmap_entry *entry;	/* NULL: taken back */
};

struct test_pd {
	struct ib_pd ibpd;
};

struct test_mr {
	struct ib_mr ibmr;
	struct test_ibdev *dev;		/* immutable, as the next four */
	struct ib_umem *umem;
	unsigned long pgsz_bitmap;
	int access;
	bool dynamic;

	/* Under dma_buf::resv; immutable if the memory is no dma-buf. */
	dma_addr_t *blocks;		/* NULL: no access */
	size_t nr_blocks;
	unsigned long pgsz;
	u64 addr;			/* of the first byte, once mapped */
};

static struct test_ibdev *to_test_ibdev(struct ib_device *ibdev)
{
	return container_of(ibdev, struct test_ibdev, ibdev);
}

static struct test_mr *to_test_mr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct test_mr, ibmr);
}

/*
 * The table of blocks
 */

static void lock_mr(struct test_mr *mr)
{
	if (mr->umem->is_dmabuf)
		ib_umem_dmabuf_revoke_lock(to_ib_umem_dmabuf(mr->umem));
}

static void unlock_mr(struct test_mr *mr)
{
	if (mr->umem->is_dmabuf)
		ib_umem_dmabuf_revoke_unlock(to_ib_umem_dmabuf(mr->umem));
}

static void clear_table(struct test_mr *mr)
{
	kvfree(mr->blocks);
	mr->blocks = NULL;
	mr->nr_blocks = 0;
	mr->pgsz = 0;
}

/* Each block once, and as many as were promised. */
static int read_blocks(struct test_mr *mr, unsigned long pgsz)
{
	struct ib_block_iter iter;
	size_t i = 0;

	rdma_umem_for_each_dma_block(mr->umem, &iter, pgsz) {
		if (i == mr->nr_blocks)
			return -EIO;
		mr->blocks[i++] = rdma_block_iter_dma_address(&iter);
	}
	return i == mr->nr_blocks ? 0 : -EIO;
}

/* The memory is mapped, and stays so. */
static int fill_table(struct test_mr *mr)
{
	unsigned long pgsz;
	int ret;

	pgsz = ib_umem_find_best_pgsz(mr->umem, mr->pgsz_bitmap, mr->ibmr.iova);
	if (!pgsz)
		return -EINVAL;

	mr->nr_blocks = ib_umem_num_dma_blocks(mr->umem, pgsz);
	mr->blocks = kvmalloc_objs(*mr->blocks, mr->nr_blocks,
				   GFP_KERNEL_ACCOUNT);
	if (!mr->blocks)
		return -ENOMEM;
	ret = read_blocks(mr, pgsz);
	if (ret) {
		clear_table(mr);
		return ret;
	}
	mr->pgsz = pgsz;
	mr->addr = mr->blocks[0] + (mr->ibmr.iova & (pgsz - 1));
	return 0;
}

/* DMA address of @iova, and how many bytes follow it in its block. */
static u64 find_in_table(const struct test_mr *mr, u64 iova, u64 *len)
{
	u64 in_block = iova & (mr->pgsz - 1);
	u64 first = ALIGN_DOWN(mr->ibmr.iova, mr->pgsz);

	*len = mr->pgsz - in_block;
	return mr->blocks[(iova - first) / mr->pgsz] + in_block;
}

/*
 * The three ways of taking a dma-buf
 */

/*
 * Wait for the move that was started under resv, which is held again. Once this
 * returns, the device accesses the MR no more.
 */
static void revoke(struct test_mr *mr)
{
	if (READ_ONCE(mr->dev->moving) == mr)
		dbt_edu_wait_idle(&mr->dev->edu);
	clear_table(mr);
}

static void revoke_pinned(void *priv)
{
	revoke(priv);
}

static int init_revocable(struct test_mr *mr, u64 offset, u64 len, int fd)
{
	struct ib_device *ibdev = &mr->dev->ibdev;
	struct ib_umem_dmabuf *umem_dmabuf;
	int ret;

	umem_dmabuf =
		ib_umem_dmabuf_get_pinned_revocable_and_lock(ibdev, offset, len,
							     fd, mr->access);
	if (IS_ERR(umem_dmabuf))
		return PTR_ERR(umem_dmabuf);

	mr->umem = &umem_dmabuf->umem;
	ret = fill_table(mr);
	if (!ret)
		ib_umem_dmabuf_set_revoke_locked(umem_dmabuf, revoke_pinned,
						 mr);
	ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
	return ret;
}

static int init_static(struct test_mr *mr, u64 offset, u64 len, int fd)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = ib_umem_dmabuf_get_pinned(&mr->dev->ibdev, offset, len,
						fd, mr->access);
	if (IS_ERR(umem_dmabuf))
		return PTR_ERR(umem_dmabuf);
	mr->umem = &umem_dmabuf->umem;
	return fill_table(mr);
}

static void invalidate_dynamic(struct dma_buf_attachment *attach)
{
	struct ib_umem_dmabuf *umem_dmabuf = ib_umem_dmabuf_from_attach(attach);
	struct test_mr *mr = umem_dmabuf->private;

	dma_resv_assert_held(attach->dmabuf->resv);

	/* Before the first access there is nothing to stop. */
	if (!mr)
		return;
	revoke(mr);
	ib_umem_dmabuf_unmap_pages(umem_dmabuf);
}

static const struct dma_buf_attach_ops dynamic_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = invalidate_dynamic,
};

static int init_dynamic(struct test_mr *mr, u64 offset, u64 len, int fd)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = ib_umem_dmabuf_get(&mr->dev->ibdev, offset, len, fd,
					 mr->access, &dynamic_ops);
	if (IS_ERR(umem_dmabuf))
		return PTR_ERR(umem_dmabuf);
	mr->umem = &umem_dmabuf->umem;
	mr->dynamic = true;
	lock_mr(mr);
	umem_dmabuf->private = mr;
	unlock_mr(mr);
	return 0;
}

/* What a page fault of the device would do. */
static int map_dynamic(struct test_mr *mr)
{
	struct ib_umem_dmabuf *umem_dmabuf = to_ib_umem_dmabuf(mr->umem);
	int ret;

	ret = ib_umem_dmabuf_map_pages(umem_dmabuf);
	if (ret)
		return ret;
	ret = fill_table(mr);
	if (ret)
		ib_umem_dmabuf_unmap_pages(umem_dmabuf);
	return ret;
}

/*
 * Memory regions
 */

static struct test_mr *alloc_mr(struct ib_pd *pd, u64 len, u64 iova, int access)
{
	struct test_ibdev *dev = to_test_ibdev(pd->device);
	struct test_mr *mr;

	mr = kzalloc_obj(*mr);
	if (!mr)
		return NULL;
	mr->dev = dev;
	mr->pgsz_bitmap = READ_ONCE(dev->pgsz_bitmap);
	mr->access = access;
	mr->ibmr.device = pd->device;
	mr->ibmr.iova = iova;
	mr->ibmr.length = len;
	return mr;
}

/* In any state; nobody else knows the MR, or no longer. */
static void free_mr(struct test_mr *mr)
{
	if (mr->umem)
		ib_umem_release(mr->umem);
	clear_table(mr);
	kfree(mr);
}

/* From now on the device can use the MR. Takes the MR over if @ret is an error. */
static struct ib_mr *finish_mr(struct test_mr *mr, int ret)
{
	struct test_ibdev *dev = mr->dev;

	if (!ret)
		ret = xa_alloc_cyclic(&dev->mrs, &mr->ibmr.lkey, mr,
				      xa_limit_31b, &dev->last_lkey,
				      GFP_KERNEL);
	if (ret < 0) {
		free_mr(mr);
		return ERR_PTR(ret);
	}
	mr->ibmr.rkey = mr->ibmr.lkey;
	return &mr->ibmr;
}

static struct ib_mr *
test_reg_user_mr_dmabuf(struct ib_pd *pd, u64 offset, u64 len, u64 iova, int fd,
			int access, struct ib_dmah *dmah,
			struct uverbs_attr_bundle *attrs)
{
	static int (*const inits[])(struct test_mr *mr, u64 offset, u64 len,
				    int fd) = {
		[DBT_IB_REVOCABLE] = init_revocable,
		[DBT_IB_STATIC] = init_static,
		[DBT_IB_DYNAMIC] = init_dynamic,
	};
	struct test_ibdev *dev = to_test_ibdev(pd->device);
	struct test_mr *mr;
	u64 last;

	if (dmah || access & ~ACCESS_SUPPORTED)
		return ERR_PTR(-EOPNOTSUPP);
	if (!len || check_add_overflow(iova, len - 1, &last))
		return ERR_PTR(-EINVAL);
	mr = alloc_mr(pd, len, iova, access);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	return finish_mr(mr, inits[READ_ONCE(dev->how)](mr, offset, len, fd));
}

static int init_va(struct test_mr *mr, u64 start, u64 len)
{
	struct ib_umem *umem;

	umem = ib_umem_get_va(&mr->dev->ibdev, start, len, mr->access);
	if (IS_ERR(umem))
		return PTR_ERR(umem);
	mr->umem = umem;
	return fill_table(mr);
}

static struct ib_mr *test_reg_user_mr(struct ib_pd *pd, u64 start, u64 len,
				      u64 iova, int access,
				      struct ib_dmah *dmah,
				      struct ib_udata *udata)
{
	struct test_mr *mr;

	if (dmah || access & ~ACCESS_SUPPORTED)
		return ERR_PTR(-EOPNOTSUPP);
	mr = alloc_mr(pd, len, iova, access);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	return finish_mr(mr, init_va(mr, start, len));
}

/* Once this returns, the device does not know the MR any more. */
static int test_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct test_mr *mr = to_test_mr(ibmr);
	struct test_ibdev *dev = mr->dev;

	mutex_lock(&dev->edu.lock);
	xa_erase(&dev->mrs, ibmr->lkey);
	mutex_unlock(&dev->edu.lock);
	free_mr(mr);
	return 0;
}

/*
 * Moves
 */

static struct test_mr *find_mr(struct test_ibdev *dev, u32 lkey)
{
	lockdep_assert_held(&dev->edu.lock);

	return xa_load(&dev->mrs, lkey);
}

static int check_move(const struct test_mr *mr, u64 iova, u64 len, u32 flags)
{
	if (iova < mr->ibmr.iova || len > mr->ibmr.length ||
	    iova - mr->ibmr.iova > mr->ibmr.length - len)
		return -ERANGE;
	if (flags & DBT_TRANSFER_WRITE && !(mr->access & IB_ACCESS_LOCAL_WRITE))
		return -EPERM;
	return 0;
}

static int need_table(struct test_mr *mr)
{
	if (mr->blocks)
		return 0;
	return mr->dynamic ? map_dynamic(mr) : -EACCES;
}

/* Move up to @len bytes, to the end of a block. Returns how many. */
static ssize_t move_piece(struct test_mr *mr, u64 iova, size_t pos, size_t len,
			  bool write)
{
	struct test_ibdev *dev = mr->dev;
	u64 addr, piece;
	int ret;

	lock_mr(mr);
	ret = need_table(mr);
	if (!ret) {
		addr = find_in_table(mr, iova, &piece);
		len = min_t(u64, len, piece);
		WRITE_ONCE(dev->moving, mr);
		dbt_edu_start_move(&dev->edu, addr, pos, len, write);
	}
	unlock_mr(mr);
	if (ret)
		return ret;

	ret = dbt_edu_wait_idle(&dev->edu);
	WRITE_ONCE(dev->moving, NULL);
	return ret ?: len;
}

/* Use the first address of the last table, whether that is there or not. */
static ssize_t move_stale(struct test_mr *mr, u64 iova, size_t pos, size_t len,
			  bool write)
{
	struct dbt_edu *edu = &mr->dev->edu;
	int ret;

	dbt_edu_start_move(edu, mr->addr + (iova - mr->ibmr.iova), pos, len,
			   write);
	ret = dbt_edu_wait_idle(edu);
	return ret ?: len;
}

/* Returns how many bytes of the device's buffer were moved. */
static ssize_t move_buffer(struct test_mr *mr, u64 iova, size_t len, u32 flags)
{
	bool write = flags & DBT_TRANSFER_WRITE;
	ssize_t ret = 0;
	size_t done;

	for (done = 0; done < len; done += ret) {
		ret = flags & DBT_TRANSFER_STALE ?
			      move_stale(mr, iova + done, done, len - done,
					 write) :
			      move_piece(mr, iova + done, done, len - done,
					 write);
		if (ret < 0)
			break;
	}
	return done ?: ret;
}

static ssize_t write_block(struct test_mr *mr, const struct dbt_ib_move *arg,
			   u64 done, size_t len)
{
	struct dbt_edu *edu = &mr->dev->edu;
	int ret;

	if (copy_from_user(edu->bounce, u64_to_user_ptr(arg->data + done), len))
		return -EFAULT;
	ret = dbt_edu_move_bounce(edu, len, false);
	return ret ?: move_buffer(mr, arg->iova + done, len, arg->flags);
}

static ssize_t read_block(struct test_mr *mr, const struct dbt_ib_move *arg,
			  u64 done, size_t len)
{
	struct dbt_edu *edu = &mr->dev->edu;
	ssize_t moved;
	int ret;

	moved = move_buffer(mr, arg->iova + done, len, arg->flags);
	if (moved < 0)
		return moved;
	ret = dbt_edu_move_bounce(edu, moved, true);
	if (ret)
		return ret;
	if (copy_to_user(u64_to_user_ptr(arg->data + done), edu->bounce, moved))
		return -EFAULT;
	return moved;
}

/* The lock is dropped between blocks, so that dereg waits for one at most. */
static ssize_t move_block(struct test_ibdev *dev, const struct dbt_ib_move *arg,
			  u64 done, size_t len)
{
	struct test_mr *mr;
	int ret;

	guard(mutex)(&dev->edu.lock);
	mr = find_mr(dev, arg->lkey);
	if (!mr)
		return -ENOENT;
	ret = check_move(mr, arg->iova, arg->len, arg->flags);
	if (ret)
		return ret;
	return arg->flags & DBT_TRANSFER_WRITE ?
		       write_block(mr, arg, done, len) :
		       read_block(mr, arg, done, len);
}

/*
 * What user space can ask for
 */

static long ioctl_config(struct test_ibdev *dev, void __user *user)
{
	struct dbt_ib_config arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.how > DBT_IB_DYNAMIC || arg.pad || !arg.pgsz_bitmap)
		return -EINVAL;
	WRITE_ONCE(dev->how, arg.how);
	WRITE_ONCE(dev->pgsz_bitmap, arg.pgsz_bitmap);
	return 0;
}

/* Once this returns, nobody reaches the registers through a dma-buf. */
static long ioctl_forget(struct test_ibdev *dev)
{
	struct test_ucontext *context;

	guard(mutex)(&dev->contexts_lock);
	list_for_each_entry(context, &dev->contexts, node) {
		rdma_user_mmap_entry_remove(context->entry);
		context->entry = NULL;
	}
	return 0;
}

static long ioctl_move(struct test_ibdev *dev, void __user *user)
{
	struct dbt_ib_move arg;
	ssize_t ret = 0;
	u64 done;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~MOVE_FLAGS || !arg.len || arg.len > SZ_1G)
		return -EINVAL;

	for (done = 0; done < arg.len; done += ret) {
		ret = fatal_signal_pending(current) ? -EINTR :
		      move_block(dev, &arg, done,
				 min_t(u64, arg.len - done, DBT_EDU_BLOCK));
		if (ret < 0)
			break;
	}
	return done ?: ret;
}

static long ioctl_state(struct test_ibdev *dev, void __user *user)
{
	struct dbt_ib_state arg;
	struct test_mr *mr;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;

	scoped_guard(mutex, &dev->edu.lock) {
		mr = find_mr(dev, arg.lkey);
		if (!mr)
			return -ENOENT;
		lock_mr(mr);
		arg.pgsz = mr->pgsz;
		arg.nr_blocks = mr->nr_blocks;
		arg.addr = mr->addr;
		unlock_mr(mr);
	}
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static long test_ibdev_ioctl(struct file *file, unsigned int cmd,
			     unsigned long user)
{
	struct test_ibdev *dev = file->private_data;
	void __user *arg = (void __user *)user;

	switch (cmd) {
	case DBT_IB_CONFIG:
		return ioctl_config(dev, arg);
	case DBT_IB_MOVE:
		return ioctl_move(dev, arg);
	case DBT_IB_STATE:
		return ioctl_state(dev, arg);
	case DBT_IB_FORGET:
		return ioctl_forget(dev);
	default:
		return -ENOTTY;
	}
}

static int test_ibdev_open(struct inode *inode, struct file *file)
{
	struct test_ibdev *dev =
		container_of(file->private_data, struct test_ibdev, misc);

	atomic_inc(&dev->users);
	file->private_data = dev;
	return 0;
}

static int test_ibdev_release(struct inode *inode, struct file *file)
{
	struct test_ibdev *dev = file->private_data;

	if (atomic_dec_and_test(&dev->users))
		wake_up_var(&dev->users);
	return 0;
}

static const struct file_operations test_ibdev_fops = {
	.owner = THIS_MODULE,
	.open = test_ibdev_open,
	.release = test_ibdev_release,
	.unlocked_ioctl = test_ibdev_ioctl,
};

/*
 * What the RDMA core wants to know
 */

static int test_query_device(struct ib_device *ibdev,
			     struct ib_device_attr *attr,
			     struct ib_udata *udata)
{
	attr->max_mr_size = U64_MAX;
	attr->page_size_cap = PGSZ_DEFAULT;
	attr->max_mr = INT_MAX;
	attr->max_pd = INT_MAX;
	attr->max_pkeys = 1;
	return 0;
}

static int test_query_port(struct ib_device *ibdev, u32 port,
			   struct ib_port_attr *attr)
{
	attr->state = IB_PORT_ACTIVE;
	attr->phys_state = IB_PORT_PHYS_STATE_LINK_UP;
	attr->max_mtu = IB_MTU_4096;
	attr->active_mtu = IB_MTU_4096;
	attr->active_speed = IB_SPEED_SDR;
	attr->active_width = IB_WIDTH_1X;
	attr->gid_tbl_len = 1;
	attr->pkey_tbl_len = 1;
	return 0;
}

static int test_get_port_immutable(struct ib_device *ibdev, u32 port,
				   struct ib_port_immutable *immutable)
{
	immutable->gid_tbl_len = 1;
	immutable->pkey_tbl_len = 1;
	return 0;
}

static enum rdma_link_layer test_get_link_layer(struct ib_device *ibdev,
						u32 port)
{
	return IB_LINK_LAYER_UNSPECIFIED;
}

static int test_query_gid(struct ib_device *ibdev, u32 port, int index,
			  union ib_gid *gid)
{
	*gid = (union ib_gid){};
	return 0;
}

static int test_query_pkey(struct ib_device *ibdev, u32 port, u16 index,
			   u16 *pkey)
{
	*pkey = IB_DEFAULT_PKEY_FULL;
	return 0;
}

static struct test_ucontext *to_test_ucontext(struct ib_ucontext *ibucontext)
{
	return container_of(ibucontext, struct test_ucontext, ibucontext);
}

static int test_alloc_ucontext(struct ib_ucontext *ibucontext,
			       struct ib_udata *udata)
{
	struct test_ucontext *context = to_test_ucontext(ibucontext);
	struct test_ibdev *dev = to_test_ibdev(ibucontext->device);
	struct rdma_user_mmap_entry *entry = kzalloc_obj(*entry);
	int ret;

	if (!entry)
		return -ENOMEM;
	ret = rdma_user_mmap_entry_insert_exact(ibucontext, entry,
						DBT_IB_DOORBELLS_LEN,
						DBT_IB_DOORBELLS >> PAGE_SHIFT);
	if (ret) {
		kfree(entry);
		return ret;
	}

	guard(mutex)(&dev->contexts_lock);
	context->entry = entry;
	list_add_tail(&context->node, &dev->contexts);
	return 0;
}

static void test_dealloc_ucontext(struct ib_ucontext *ibucontext)
{
	struct test_ucontext *context = to_test_ucontext(ibucontext);
	struct test_ibdev *dev = to_test_ibdev(ibucontext->device);

	guard(mutex)(&dev->contexts_lock);
	list_del(&context->node);
	rdma_user_mmap_entry_remove(context->entry);
}

static void test_mmap_free(struct rdma_user_mmap_entry *entry)
{
	kfree(entry);
}

static struct rdma_user_mmap_entry *
test_pgoff_to_mmap_entry(struct ib_ucontext *ibucontext, off_t offset)
{
	return rdma_user_mmap_entry_get_pgoff(ibucontext, offset >> PAGE_SHIFT);
}

static int test_mmap_get_pfns(struct rdma_user_mmap_entry *entry,
			      struct phys_vec *vec,
			      struct p2pdma_provider **provider)
{
	struct test_ibdev *dev = to_test_ibdev(entry->ucontext->device);

	vec->paddr = pci_resource_start(dev->edu.pdev, 0);
	vec->len = entry->npages * PAGE_SIZE;
	*provider = pcim_p2pdma_provider(dev->edu.pdev, 0);
	return *provider ? 0 : -EOPNOTSUPP;
}

/* Its presence says that the device may go while files are open. */
static void test_disassociate_ucontext(struct ib_ucontext *ibucontext)
{
}

static int test_alloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	return 0;
}

static int test_dealloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	return 0;
}

static const struct ib_device_ops test_ops = {
	.owner = THIS_MODULE,
	.driver_id = RDMA_DRIVER_UNKNOWN,
	.uverbs_abi_ver = 1,

	.alloc_pd = test_alloc_pd,
	.alloc_ucontext = test_alloc_ucontext,
	.dealloc_pd = test_dealloc_pd,
	.dealloc_ucontext = test_dealloc_ucontext,
	.dereg_mr = test_dereg_mr,
	.disassociate_ucontext = test_disassociate_ucontext,
	.get_link_layer = test_get_link_layer,
	.get_port_immutable = test_get_port_immutable,
	.mmap_free = test_mmap_free,
	.mmap_get_pfns = test_mmap_get_pfns,
	.pgoff_to_mmap_entry = test_pgoff_to_mmap_entry,
	.query_device = test_query_device,
	.query_gid = test_query_gid,
	.query_pkey = test_query_pkey,
	.query_port = test_query_port,
	.reg_user_mr = test_reg_user_mr,
	.reg_user_mr_dmabuf = test_reg_user_mr_dmabuf,

	INIT_RDMA_OBJ_SIZE(ib_pd, test_pd, ibpd),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, test_ucontext, ibucontext),
};

/*
 * The PCI device
 */

static void test_ibdev_free(void *dev)
{
	struct test_ibdev *test = dev;

	xa_destroy(&test->mrs);
	ib_dealloc_device(&test->ibdev);
}

/* Freed when the driver is unbound, after all that is asked for later on. */
static struct test_ibdev *test_ibdev_alloc(struct pci_dev *pdev)
{
	struct test_ibdev *dev = ib_alloc_device(test_ibdev, ibdev);

	if (!dev)
		return NULL;
	xa_init_flags(&dev->mrs, XA_FLAGS_ALLOC1);
	mutex_init(&dev->contexts_lock);
	INIT_LIST_HEAD(&dev->contexts);
	dev->pgsz_bitmap = PGSZ_DEFAULT;
	dev->ibdev.node_type = RDMA_NODE_UNSPECIFIED;
	dev->ibdev.phys_port_cnt = 1;
	dev->ibdev.num_comp_vectors = 1;
	dev->ibdev.dev.parent = &pdev->dev;
	ib_set_device_ops(&dev->ibdev, &test_ops);
	if (devm_add_action_or_reset(&pdev->dev, test_ibdev_free, dev))
		return NULL;
	return dev;
}

static int test_ibdev_register(struct test_ibdev *dev, struct pci_dev *pdev)
{
	int ret;

	dev->misc.minor = MISC_DYNAMIC_MINOR;
	dev->misc.fops = &test_ibdev_fops;
	dev->misc.name = devm_kasprintf(&pdev->dev, GFP_KERNEL,
					"dma-buf-test-ibdev-%s",
					pci_name(pdev));
	if (!dev->misc.name)
		return -ENOMEM;
	ret = ib_register_device(&dev->ibdev, "dbt%d", &pdev->dev);
	if (ret)
		return ret;
	ret = misc_register(&dev->misc);
	if (ret)
		ib_unregister_device(&dev->ibdev);
	return ret;
}

static int test_ibdev_probe(struct pci_dev *pdev,
			    const struct pci_device_id *id)
{
	struct test_ibdev *dev;
	int ret;

	dev = test_ibdev_alloc(pdev);
	if (!dev)
		return -ENOMEM;
	ret = dbt_edu_init(&dev->edu, pdev);
	if (ret)
		return ret;
	ret = pcim_p2pdma_init(pdev);
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, SZ_2G);
	pci_set_drvdata(pdev, dev);
	return test_ibdev_register(dev, pdev);
}

/* Once this returns, no MR of the device exists any more. */
static void test_ibdev_remove(struct pci_dev *pdev)
{
	struct test_ibdev *dev = pci_get_drvdata(pdev);

	misc_deregister(&dev->misc);
	ib_unregister_device(&dev->ibdev);
	wait_var_event(&dev->users, !atomic_read(&dev->users));
	pci_clear_master(pdev);
}

static struct pci_driver test_ibdev_driver = {
	.name = "dma-buf-test-ibdev",
	.probe = test_ibdev_probe,
	.remove = test_ibdev_remove,
};
module_pci_driver(test_ibdev_driver);

MODULE_DESCRIPTION("Test RDMA device on the DMA engine of QEMU's edu device");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF_TEST");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * rxe: memory regions backed by a dma-buf
 *
 * rxe moves bytes by the CPU, so it needs a mapping of the memory in the kernel,
 * and has to stop using it when the exporter takes the memory away. Both is the
 * CPU view of dma-buf-phys. A region has one view, of its slice of the buffer.
 *
 * There are two kinds:
 *
 *   pinned	The memory stays in place. Once the view was ended, by suspend
 *		or revoke, the region is invalid for good, and its keys find
 *		nothing, as if it had been deregistered. They stay taken until
 *		it is.
 *   on demand	(IB_ACCESS_ON_DEMAND) Not pinned. An access that finds the view
 *		dead makes it anew, which fails while the buffer is suspended.
 *
 * The rules that every function here keeps:
 *
 *  - Each access is one section of the view: at most one packet long (a flush
 *    is cut into steps), and nothing is waited for inside. That is all that a revoke waits for.
 *  - Sections begin in a work item or a system call, never in atomic context.
 *    Inside, atomic_ops_lock is the only lock taken.
 *  - dma_buf::resv is not taken in a section, because suspend and revoke wait
 *    for sections while they hold it.
 *  - -EFAULT says that the memory is not there. For the caller that is the same
 *    as a key that finds nothing.
 *
 * The region against invalidate. rxe_mr::state is read without a lock, so a key
 * may be accepted just before the state changes. Then the section that follows
 * does not begin:
 *
 *   CPU 0: responder			CPU 1: exporter
 *
 *   lookup_mr()			dma_buf_phys_revoke()
 *     state == VALID			  // resv held
 *					  end the view: wait for sections
 *					  rxe_dmabuf_invalidate()
 *					    state = INVALID, unpin
 *   dma_buf_phys_cpu_begin()
 *     -ENODEV
 *
 * Registration is one critical section of resv, from pin to VALID. An invalidate
 * that comes before finds nothing pinned, and does nothing: if the memory is
 * gone, pin and map say so.
 */
#include <linux/dma-buf-phys.h>
#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "rxe.h"
#include "rxe_loc.h"

/* Flushed in one section. */
#define RXE_DMABUF_FLUSH_STEP	SZ_1M

/**
 * struct rxe_dmabuf - what backs a memory region
 * @mr: the region, immutable
 * @on_demand: neither pinned nor dead for good, immutable
 * @attach: at the buffer, set before the region can be found
 * @map: the view of the region
 * @pinned: under &dma_buf.resv
 */
struct rxe_dmabuf {
	struct rxe_mr *mr;
	bool on_demand;
	struct dma_buf_phys_attachment *attach;
	struct dma_buf_phys_cpu_map map;
	bool pinned;
};

static void rxe_dmabuf_unpin(struct rxe_dmabuf *backing,
			     struct dma_buf_phys_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	if (!backing->pinned)
		return;
	backing->pinned = false;
	dma_buf_phys_unpin(attach);
}

/* The core has ended the view. May come before @attach is known to us. */
static void rxe_dmabuf_invalidate(struct dma_buf_phys_attachment *attach)
{
	struct rxe_dmabuf *backing = attach->priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!backing->pinned)
		return;
	WRITE_ONCE(backing->mr->state, RXE_MR_STATE_INVALID);
	rxe_dmabuf_unpin(backing, attach);
}

static const struct dma_buf_phys_importer_ops rxe_dmabuf_importer_ops = {
	.name = "rxe",
	.invalidate = rxe_dmabuf_invalidate,
};

/*
 * Registration
 */

/* Pin, map, and make the region valid; all of it or nothing. */
static int rxe_dmabuf_map(struct rxe_dmabuf *backing, u64 offset, u64 length)
{
	struct dma_buf_phys_attachment *attach = backing->attach;
	struct dma_resv *resv = attach->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	if (!backing->on_demand) {
		ret = dma_buf_phys_pin(attach);
		if (ret)
			goto out_unlock;
		backing->pinned = true;
	}
	ret = dma_buf_phys_map_cpu(attach, &backing->map, offset, length);
	if (ret)
		rxe_dmabuf_unpin(backing, attach);
	else
		WRITE_ONCE(backing->mr->state, RXE_MR_STATE_VALID);
out_unlock:
	dma_resv_unlock(resv);
	return ret;
}

static int rxe_dmabuf_open(struct rxe_mr *mr, int fd, u64 offset, u64 length)
{
	struct rxe_dev *rxe = to_rdev(mr->ibmr.device);
	struct rxe_dmabuf *backing;
	struct dma_buf *dmabuf;
	int ret;

	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	backing = kzalloc_obj(*backing, GFP_KERNEL_ACCOUNT);
	if (!backing) {
		ret = -ENOMEM;
		goto err_put;
	}
	backing->mr = mr;
	backing->on_demand = mr->access & IB_ACCESS_ON_DEMAND;
	backing->attach =
		dma_buf_phys_importer_attach(dmabuf, &rxe->ib_dev.dev,
					     DMA_BUF_PHYS_VIEW_CPU,
					     &rxe_dmabuf_importer_ops, backing);
	if (IS_ERR(backing->attach)) {
		ret = PTR_ERR(backing->attach);
		goto err_free;
	}
	ret = rxe_dmabuf_map(backing, offset, length);
	if (ret)
		goto err_detach;

	mr->dmabuf = backing;
	return 0;

err_detach:
	dma_buf_phys_importer_detach(backing->attach);
err_free:
	kfree(backing);
err_put:
	dma_buf_put(dmabuf);
	return ret;
}

/*
 * The region is unused and cannot be found any more. Once this returns, nothing
 * of it is left at the buffer.
 */
void rxe_dmabuf_release(struct rxe_mr *mr)
{
	struct rxe_dmabuf *backing = mr->dmabuf;
	struct dma_buf *dmabuf = backing->attach->dmabuf;

	/* The pool gives up waiting at last, but a packet may still be at it. */
	while (rxe_read(mr))
		msleep(20);

	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_phys_unmap_cpu(&backing->map);
	rxe_dmabuf_unpin(backing, backing->attach);
	dma_resv_unlock(dmabuf->resv);

	dma_buf_phys_importer_detach(backing->attach);
	dma_buf_put(dmabuf);
	kfree(backing);
	mr->dmabuf = NULL;
}

static int rxe_dmabuf_check(u64 length, u64 iova, int access,
			    const struct ib_dmah *dmah)
{
	u64 end;

	if (dmah || access & ~RXE_ACCESS_SUPPORTED_MR)
		return -EOPNOTSUPP;
	/* Same answer as for pages that are not persistent memory. */
	if (access & IB_ACCESS_FLUSH_PERSISTENT)
		return -EINVAL;
	if (!length || check_add_overflow(iova, length, &end))
		return -EINVAL;
	return 0;
}

/* Only one of the ways to register sets these fields afterwards. */
static void rxe_dmabuf_init_mr(struct rxe_mr *mr, struct ib_pd *ibpd,
			       u64 length, u64 iova, int access)
{
	mr->ibmr.pd = ibpd;
	mr->ibmr.device = ibpd->device;
	rxe_mr_init(access, mr);
	mr->ibmr.type = IB_MR_TYPE_USER;
	mr->ibmr.iova = iova;
	mr->ibmr.length = length;
}

/*
 * ib_device_ops::reg_user_mr_dmabuf. The caller has checked that @offset and
 * @iova are at the same place in their pages, and what ib_check_mr_access() does.
 */
struct ib_mr *rxe_reg_user_mr_dmabuf(struct ib_pd *ibpd, u64 offset, u64 length,
				     u64 iova, int fd, int access,
				     struct ib_dmah *dmah,
				     struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = to_rdev(ibpd->device);
	struct rxe_mr *mr;
	int ret;

	ret = rxe_dmabuf_check(length, iova, access, dmah);
	if (ret)
		return ERR_PTR(ret);

	mr = kzalloc_obj(*mr);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	ret = rxe_add_to_pool(&rxe->mr_pool, mr);
	if (ret)
		goto err_free;

	/* rxe_cleanup() puts it. */
	rxe_get(to_rpd(ibpd));
	rxe_dmabuf_init_mr(mr, ibpd, length, iova, access);
	ret = rxe_dmabuf_open(mr, fd, offset, length);
	if (ret)
		goto err_cleanup;

	/* From here on its keys find it. */
	rxe_finalize(mr);
	return &mr->ibmr;

err_cleanup:
	rxe_cleanup(mr);
err_free:
	kfree(mr);
	return ERR_PTR(ret);
}

/*
 * Access
 */

static int rxe_dmabuf_remap(struct rxe_dmabuf *backing)
{
	struct dma_resv *resv = backing->attach->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = dma_buf_phys_remap_cpu(&backing->map);
	dma_resv_unlock(resv);
	return ret;
}

/*
 * Start a section; dma_buf_phys_cpu_end() ends it. On demand, the view is made
 * anew as often as it is ended in between. Returns 0 or -EFAULT.
 */
static int rxe_dmabuf_begin(struct rxe_dmabuf *backing)
{
	int ret;

	for (;;) {
		ret = dma_buf_phys_cpu_begin(&backing->map);
		if (ret != -ENODEV || !backing->on_demand)
			break;
		ret = rxe_dmabuf_remap(backing);
		if (ret)
			break;
	}
	return ret ? -EFAULT : 0;
}

/* @iova and @length were checked against the region. */
int rxe_dmabuf_copy(struct rxe_mr *mr, u64 iova, void *addr,
		    unsigned int length, enum rxe_mr_copy_dir dir)
{
	struct dma_buf_phys_cpu_map *map = &mr->dmabuf->map;
	u64 offset = iova - mr->ibmr.iova;
	int ret;

	ret = rxe_dmabuf_begin(mr->dmabuf);
	if (ret)
		return ret;
	if (dir == RXE_TO_MR_OBJ)
		ret = dma_buf_phys_cpu_write(map, offset, addr, length);
	else
		ret = dma_buf_phys_cpu_read(map, offset, addr, length);
	dma_buf_phys_cpu_end(map);
	return ret;
}

static int rxe_dmabuf_flush_section(struct rxe_mr *mr, u64 iova, u64 length)
{
	struct dma_buf_phys_cpu_map *map = &mr->dmabuf->map;
	int ret;

	ret = rxe_dmabuf_begin(mr->dmabuf);
	if (ret)
		return ret;
	if (length)
		ret = dma_buf_phys_cpu_flush(map, iova - mr->ibmr.iova, length);
	dma_buf_phys_cpu_end(map);
	return ret;
}

/*
 * What was written before has reached the memory when this returns. An empty
 * flush must find the memory there, too. The peer may flush the whole region,
 * which is too much for one section.
 */
int rxe_dmabuf_flush(struct rxe_mr *mr, u64 iova, u64 length)
{
	u64 step;
	int ret;

	do {
		step = min_t(u64, length, RXE_DMABUF_FLUSH_STEP);
		ret = rxe_dmabuf_flush_section(mr, iova, step);
		if (ret)
			return ret;
		iova += step;
		length -= step;
		cond_resched();
	} while (length);
	return 0;
}

/* Start the section of an 8 byte access, or say which error it is. */
static enum resp_states rxe_dmabuf_begin_atomic(struct rxe_mr *mr, u64 iova)
{
	if (mr_check_range(mr, iova, sizeof(u64)))
		return RESPST_ERR_RKEY_VIOLATION;
	/* In the buffer it is aligned the same. */
	if (!IS_ALIGNED(iova, sizeof(u64)))
		return RESPST_ERR_MISALIGNED_ATOMIC;
	if (rxe_dmabuf_begin(mr->dmabuf))
		return RESPST_ERR_RKEY_VIOLATION_EVENT;
	return RESPST_NONE;
}

/*
 * Atomic among those who come through rxe: MMIO has no atomics for the CPU, so
 * it is a read and a write under rxe's lock. Not atomic against the memory's own
 * device, other CPUs and other importers.
 */
enum resp_states rxe_dmabuf_atomic_op(struct rxe_mr *mr, u64 iova, int opcode,
				      u64 compare, u64 swap_add, u64 *orig_val)
{
	struct dma_buf_phys_cpu_map *map = &mr->dmabuf->map;
	u64 offset = iova - mr->ibmr.iova;
	enum resp_states state;
	u64 value;
	int ret;

	state = rxe_dmabuf_begin_atomic(mr, iova);
	if (state)
		return state;

	spin_lock_bh(&atomic_ops_lock);
	ret = dma_buf_phys_cpu_read64(map, offset, &value);
	if (!ret) {
		*orig_val = value;
		if (opcode != IB_OPCODE_RC_COMPARE_SWAP)
			swap_add += value;
		if (opcode != IB_OPCODE_RC_COMPARE_SWAP || value == compare)
			ret = dma_buf_phys_cpu_write64(map, offset, swap_add);
	}
	/* Write-combining memory does not follow the lock. */
	wmb();
	spin_unlock_bh(&atomic_ops_lock);

	dma_buf_phys_cpu_end(map);
	return ret ? RESPST_ERR_RKEY_VIOLATION_EVENT : RESPST_NONE;
}

/* Under the lock, or it could be lost between the two halves of an atomic. */
enum resp_states rxe_dmabuf_atomic_write(struct rxe_mr *mr, u64 iova, u64 value)
{
	struct dma_buf_phys_cpu_map *map = &mr->dmabuf->map;
	enum resp_states state;
	int ret;

	state = rxe_dmabuf_begin_atomic(mr, iova);
	if (state)
		return state;

	/* After all that was accessed before, whatever the memory is. */
	mb();
	spin_lock_bh(&atomic_ops_lock);
	ret = dma_buf_phys_cpu_write64(map, iova - mr->ibmr.iova, value);
	/* Write-combining memory does not follow the lock. */
	wmb();
	spin_unlock_bh(&atomic_ops_lock);

	dma_buf_phys_cpu_end(map);
	return ret ? RESPST_ERR_RKEY_VIOLATION_EVENT : RESPST_NONE;
}

MODULE_IMPORT_NS("DMA_BUF");

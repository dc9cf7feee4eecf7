// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory regions of RDMA devices in dma-bufs
 *
 * A dma-buf umem holds a DMA view of the pages that the memory region touches.
 * It has no scatterlist: whoever wants the addresses walks the view, as DMA
 * blocks of one size (rdma_umem_for_each_dma_block()) or to find out which size
 * is best. Exporters that know scatterlists only come in through dma-buf-phys,
 * so there is one path for all of them.
 *
 * There are three kinds of importers. They differ in what happens when the
 * memory is taken away:
 *
 *   static	pinned, cannot be told. Exporters that may revoke refuse it.
 *   revocable	pinned. The driver's callback stops the device; then the view
 *		and the pin are gone, for good.
 *   dynamic	not pinned. The driver stops the device and unmaps by itself,
 *		and maps again when the device asks for the memory.
 *
 * Everything that changes in a umem after it was attached, and everything that
 * looks at the view, is under dma_buf::resv; but a static importer's view stays
 * from registration to release, so its driver may walk it without.
 *
 * The exporter may invalidate as soon as the attachment is on its list, which is
 * before umem_dmabuf_get() knows it. So the callback of a dynamic importer first
 * sets ib_umem_dmabuf::attach, to what umem_dmabuf_get() sets it to, too. A
 * revocable importer has nothing to stop before it is pinned.
 */
#include <linux/dma-buf.h>
#include <linux/dma-buf-phys.h>
#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <rdma/iter.h>

#include "uverbs.h"

MODULE_IMPORT_NS("DMA_BUF");

static struct dma_resv *umem_resv(const struct ib_umem_dmabuf *umem_dmabuf)
{
	return umem_dmabuf->attach->dmabuf->resv;
}

/*
 * The view
 */

static int umem_dmabuf_wait(struct ib_umem_dmabuf *umem_dmabuf)
{
	long ret;

	ret = dma_resv_wait_timeout(umem_resv(umem_dmabuf),
				    DMA_RESV_USAGE_KERNEL, true,
				    MAX_SCHEDULE_TIMEOUT);
	return ret < 0 ? ret : 0;
}

/* All pages that the memory region touches, as far as there is a buffer. */
static int umem_dmabuf_map(struct ib_umem_dmabuf *umem_dmabuf)
{
	const struct ib_umem *umem = &umem_dmabuf->umem;
	u64 start = ALIGN_DOWN(umem->address, PAGE_SIZE);
	u64 end = min_t(u64, umem_dmabuf->attach->dmabuf->size,
			ALIGN((u64)umem->address + umem->length, PAGE_SIZE));
	struct dma_buf_phys_dma_iter run;
	int ret;

	ret = dma_buf_phys_map_dma(umem_dmabuf->attach, &umem_dmabuf->map,
				   start, end - start, DMA_BIDIRECTIONAL);
	if (ret)
		return ret;

	dma_buf_phys_dma_iter_start(&run, &umem_dmabuf->map);
	dma_buf_phys_dma_iter_next(&run);
	umem_dmabuf->start = run.addr;
	umem_dmabuf->mapped = 1;
	return 0;
}

/**
 * ib_umem_dmabuf_map_pages - map the memory of a dma-buf umem for its device
 * @umem_dmabuf: the umem, mapped already or not
 *
 * Waits, interruptibly, for the KERNEL fences of the buffer: the memory may
 * still be on its way to where the addresses point.
 *
 * Context: &dma_buf.resv held.
 * Return: 0; -EINVAL if the umem is revoked or the exporter handed out a bad
 * list; -ENODEV if the buffer is suspended or revoked; -EOPNOTSUPP if the device
 * cannot reach the memory; -ENOMEM; -EINTR or -ERESTARTSYS if a signal ended the
 * wait; or what the exporter returned. If an error ends the wait of a umem that
 * was mapped, it stays mapped; on any other error it is not.
 */
int ib_umem_dmabuf_map_pages(struct ib_umem_dmabuf *umem_dmabuf)
{
	dma_resv_assert_held(umem_resv(umem_dmabuf));

	if (umem_dmabuf->revoked)
		return -EINVAL;
	if (umem_dmabuf->mapped)
		return umem_dmabuf_wait(umem_dmabuf);
	return umem_dmabuf_map(umem_dmabuf);
}
EXPORT_SYMBOL(ib_umem_dmabuf_map_pages);

/**
 * ib_umem_dmabuf_unmap_pages - undo ib_umem_dmabuf_map_pages()
 * @umem_dmabuf: the umem, mapped or not
 *
 * The driver has stopped its device before. Once this returns, and where an
 * IOMMU translates, the device cannot reach the memory any more.
 *
 * Context: &dma_buf.resv held. Any state of the buffer.
 */
void ib_umem_dmabuf_unmap_pages(struct ib_umem_dmabuf *umem_dmabuf)
{
	dma_resv_assert_held(umem_resv(umem_dmabuf));

	if (!umem_dmabuf->mapped)
		return;
	dma_buf_phys_unmap_dma(umem_dmabuf->attach, &umem_dmabuf->map);
	umem_dmabuf->mapped = 0;
}
EXPORT_SYMBOL(ib_umem_dmabuf_unmap_pages);

/*
 * Walking the view
 */

/**
 * __rdma_dmabuf_block_iter_start - start walking a dma-buf umem
 * @biter: set up for the umem and the block size, but without a scatterlist
 * @umem_dmabuf: the umem, mapped
 *
 * Context: any in which the umem stays mapped.
 */
void __rdma_dmabuf_block_iter_start(struct ib_block_iter *biter,
				    struct ib_umem_dmabuf *umem_dmabuf)
{
	if (WARN_ON_ONCE(!umem_dmabuf->mapped))
		return;
	dma_buf_phys_dma_iter_start(&biter->__run, &umem_dmabuf->map);
	biter->__skip = biter->__sg_advance;
	biter->__is_dmabuf = true;
}
EXPORT_SYMBOL(__rdma_dmabuf_block_iter_start);

/**
 * __rdma_dmabuf_block_iter_next - step to the next block of a dma-buf umem
 * @biter: started with __rdma_dmabuf_block_iter_start()
 *
 * Blocks end at multiples of their size. If the caller chose it well, a block
 * does not reach beyond a run that the next one does not continue.
 *
 * Context: any in which the umem stays mapped.
 * Return: false once the view is exhausted.
 */
bool __rdma_dmabuf_block_iter_next(struct ib_block_iter *biter)
{
	struct dma_buf_phys_dma_iter *run = &biter->__run;
	const u64 size = BIT_ULL(biter->__pg_bit);
	u64 len;

	while (biter->__skip >= run->len) {
		len = run->len;
		if (!dma_buf_phys_dma_iter_next(run))
			return false;
		biter->__skip -= len;
	}
	biter->__dma_addr = run->addr + biter->__skip;
	biter->__skip += size - (biter->__dma_addr & (size - 1));
	return true;
}

/**
 * ib_umem_dmabuf_pgsz_mask - what speaks against large blocks
 * @umem_dmabuf: the umem
 * @virt: address by which the device knows the first byte of the region
 *
 * A block size serves if addresses on both sides agree in all bits below it
 * wherever a piece of memory begins that the one before does not lead to; and
 * if such a place, other than the first, is where a block begins.
 *
 * Context: any in which the umem stays mapped.
 * Return: a mask; block sizes up to its lowest bit that is set serve. All ones
 * if the umem is not mapped.
 */
unsigned long ib_umem_dmabuf_pgsz_mask(struct ib_umem_dmabuf *umem_dmabuf,
				       u64 virt)
{
	u64 va = virt - ib_umem_offset(&umem_dmabuf->umem);
	struct dma_buf_phys_dma_iter run;
	dma_addr_t end = 0;
	bool first = true;
	u64 mask = 0;

	if (!umem_dmabuf->mapped)
		return ~0UL;

	dma_buf_phys_dma_iter_start(&run, &umem_dmabuf->map);
	while (dma_buf_phys_dma_iter_next(&run)) {
		if (first)
			mask = run.addr ^ va;
		else if (run.addr != end || !end)
			mask |= run.addr | va;
		first = false;
		end = run.addr + run.len;
		va += run.len;
	}
	return mask;
}

/*
 * When the memory is taken away
 */

static void umem_dmabuf_revoke(struct ib_umem_dmabuf *umem_dmabuf)
{
	dma_resv_assert_held(umem_resv(umem_dmabuf));

	if (umem_dmabuf->revoked)
		return;

	if (umem_dmabuf->pinned_revoke)
		umem_dmabuf->pinned_revoke(umem_dmabuf->private);
	ib_umem_dmabuf_unmap_pages(umem_dmabuf);
	if (umem_dmabuf->pinned)
		dma_buf_phys_unpin(umem_dmabuf->attach);
	umem_dmabuf->pinned = 0;
	umem_dmabuf->revoked = 1;
}

/* Before it is pinned, the memory may move; if it is gone, pin says so. */
static void umem_revocable_invalidate(struct dma_buf_phys_attachment *attach)
{
	struct ib_umem_dmabuf *umem_dmabuf = attach->priv;

	if (!umem_dmabuf->pinned)
		return;
	umem_dmabuf_revoke(umem_dmabuf);
}

static void umem_dynamic_invalidate(struct dma_buf_phys_attachment *attach)
{
	struct ib_umem_dmabuf *umem_dmabuf = attach->priv;

	umem_dmabuf->attach = attach;
	umem_dmabuf->ops->invalidate_mappings(dma_buf_phys_to_attachment(attach));
}

static const struct dma_buf_phys_importer_ops umem_static = {
	.name = "rdma-static",
};

static const struct dma_buf_phys_importer_ops umem_revocable = {
	.name = "rdma-revocable",
	.invalidate = umem_revocable_invalidate,
};

static const struct dma_buf_phys_importer_ops umem_dynamic = {
	.name = "rdma-dynamic",
	.invalidate = umem_dynamic_invalidate,
};

/*
 * From registration to release
 */

static int umem_dmabuf_attach(struct ib_umem_dmabuf *umem_dmabuf,
			      struct dma_buf *dmabuf, struct device *dma_device,
			      const struct dma_buf_phys_importer_ops *importer)
{
	struct dma_buf_phys_attachment *attach;

	attach = dma_buf_phys_importer_attach(dmabuf, dma_device,
					      DMA_BUF_PHYS_VIEW_DMA, importer,
					      umem_dmabuf);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	umem_dmabuf->attach = attach;
	return 0;
}

static struct ib_umem_dmabuf *
umem_dmabuf_alloc(struct ib_device *device, unsigned long offset, size_t size,
		  int access, const struct dma_buf_attach_ops *ops)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = kzalloc_obj(*umem_dmabuf, GFP_KERNEL_ACCOUNT);
	if (!umem_dmabuf)
		return NULL;
	umem_dmabuf->umem.ibdev = device;
	umem_dmabuf->umem.address = offset;
	umem_dmabuf->umem.length = size;
	umem_dmabuf->umem.writable = ib_access_writable(access);
	umem_dmabuf->umem.is_dmabuf = 1;
	umem_dmabuf->ops = ops;
	return umem_dmabuf;
}

/* Attached, neither pinned nor mapped; @ops of a dynamic importer only. */
static struct ib_umem_dmabuf *
umem_dmabuf_get(struct ib_device *device, struct device *dma_device,
		unsigned long offset, size_t size, int fd, int access,
		const struct dma_buf_phys_importer_ops *importer,
		const struct dma_buf_attach_ops *ops)
{
	struct ib_umem_dmabuf *umem_dmabuf;
	struct dma_buf *dmabuf;
	unsigned long end;
	int ret = -EINVAL;

	/* A software device has none, and accesses memory by the CPU. */
	if (!dma_device)
		return ERR_PTR(-EOPNOTSUPP);
	if (check_add_overflow(offset, size, &end))
		return ERR_PTR(-EINVAL);

	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	if (!size || end > dmabuf->size)
		goto err_put;

	ret = -ENOMEM;
	umem_dmabuf = umem_dmabuf_alloc(device, offset, size, access, ops);
	if (!umem_dmabuf)
		goto err_put;
	ret = umem_dmabuf_attach(umem_dmabuf, dmabuf, dma_device, importer);
	if (ret)
		goto err_free;
	return umem_dmabuf;

err_free:
	kfree(umem_dmabuf);
err_put:
	dma_buf_put(dmabuf);
	return ERR_PTR(ret);
}

/**
 * ib_umem_dmabuf_get - a umem that is mapped on demand
 * @device: the RDMA device
 * @offset: first byte of the region in the dma-buf
 * @size: bytes in the region
 * @fd: file descriptor of the dma-buf
 * @access: set of &enum ib_access_flags
 * @ops: the driver; its invalidate_mappings() is called under &dma_buf.resv when
 *	the memory goes or moves, perhaps before this returns. It stops the device
 *	and unmaps, see ib_umem_dmabuf_from_attach().
 *
 * The umem is neither pinned nor mapped.
 *
 * Context: process context, without &dma_buf.resv.
 * Return: the umem, or an ERR_PTR: -EBADF if @fd is not open; -EINVAL if it is
 * no dma-buf, if the region is empty or ends behind it, or if the exporter
 * handed out a bad list; -ENODEV if the buffer is revoked; -EOPNOTSUPP if
 * importer and memory do not fit (the log has the reason) or @device has no DMA;
 * -ENOMEM; or what the exporter returned.
 */
struct ib_umem_dmabuf *ib_umem_dmabuf_get(struct ib_device *device,
					  unsigned long offset, size_t size,
					  int fd, int access,
					  const struct dma_buf_attach_ops *ops)
{
	if (WARN_ON(!ops->allow_peer2peer || !ops->invalidate_mappings))
		return ERR_PTR(-EINVAL);

	return umem_dmabuf_get(device, device->dma_device, offset, size, fd,
			       access, &umem_dynamic, ops);
}
EXPORT_SYMBOL(ib_umem_dmabuf_get);

static int umem_dmabuf_pin_and_map(struct ib_umem_dmabuf *umem_dmabuf)
{
	int ret;

	ret = dma_buf_phys_pin(umem_dmabuf->attach);
	if (ret)
		return ret;
	umem_dmabuf->pinned = 1;
	return ib_umem_dmabuf_map_pages(umem_dmabuf);
}

/* Pinned, mapped and locked. */
static struct ib_umem_dmabuf *
umem_dmabuf_get_pinned_and_lock(struct ib_device *device,
				struct device *dma_device, unsigned long offset,
				size_t size, int fd, int access,
				const struct dma_buf_phys_importer_ops *importer)
{
	struct ib_umem_dmabuf *umem_dmabuf;
	int ret;

	umem_dmabuf = umem_dmabuf_get(device, dma_device, offset, size, fd,
				      access, importer, NULL);
	if (IS_ERR(umem_dmabuf))
		return umem_dmabuf;

	ib_umem_dmabuf_revoke_lock(umem_dmabuf);
	ret = umem_dmabuf_pin_and_map(umem_dmabuf);
	if (ret) {
		ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
		ib_umem_dmabuf_release(umem_dmabuf);
		return ERR_PTR(ret);
	}
	return umem_dmabuf;
}

/**
 * ib_umem_dmabuf_get_pinned_with_dma_device - a umem that stays mapped, for a
 *	device that does DMA in the name of the RDMA device
 * @device: the RDMA device
 * @dma_device: who accesses the memory
 * @offset: first byte of the region in the dma-buf
 * @size: bytes in the region
 * @fd: file descriptor of the dma-buf
 * @access: set of &enum ib_access_flags
 *
 * As ib_umem_dmabuf_get_pinned().
 *
 * Context: process context, without &dma_buf.resv.
 * Return: the umem, or an ERR_PTR as ib_umem_dmabuf_get_pinned().
 */
struct ib_umem_dmabuf *
ib_umem_dmabuf_get_pinned_with_dma_device(struct ib_device *device,
					  struct device *dma_device,
					  unsigned long offset, size_t size,
					  int fd, int access)
{
	struct ib_umem_dmabuf *umem_dmabuf;

	umem_dmabuf = umem_dmabuf_get_pinned_and_lock(device, dma_device,
						      offset, size, fd, access,
						      &umem_static);
	if (!IS_ERR(umem_dmabuf))
		ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
	return umem_dmabuf;
}
EXPORT_SYMBOL(ib_umem_dmabuf_get_pinned_with_dma_device);

/**
 * ib_umem_dmabuf_get_pinned - a umem that stays mapped
 * @device: the RDMA device
 * @offset: first byte of the region in the dma-buf
 * @size: bytes in the region
 * @fd: file descriptor of the dma-buf
 * @access: set of &enum ib_access_flags
 *
 * For devices that cannot stop. Exporters that may take their memory away
 * refuse them.
 *
 * Context: process context, without &dma_buf.resv.
 * Return: the umem, or an ERR_PTR: -EBADF if @fd is not open; -EINVAL if it is
 * no dma-buf, if the region is empty or ends behind it, or if the exporter
 * handed out a bad list; -ENODEV if the buffer is suspended or revoked;
 * -EOPNOTSUPP if importer and memory do not fit (the log has the reason) or
 * @device has no DMA; -ENOMEM; -EINTR or -ERESTARTSYS if a signal came while the
 * memory was on its way; or what the exporter returned.
 */
struct ib_umem_dmabuf *ib_umem_dmabuf_get_pinned(struct ib_device *device,
						 unsigned long offset,
						 size_t size, int fd,
						 int access)
{
	return ib_umem_dmabuf_get_pinned_with_dma_device(device,
							 device->dma_device,
							 offset, size, fd,
							 access);
}
EXPORT_SYMBOL(ib_umem_dmabuf_get_pinned);

/**
 * ib_umem_dmabuf_get_pinned_revocable_and_lock - a umem that stays mapped until
 *	the memory is taken away
 * @device: the RDMA device
 * @offset: first byte of the region in the dma-buf
 * @size: bytes in the region
 * @fd: file descriptor of the dma-buf
 * @access: set of &enum ib_access_flags
 *
 * On success &dma_buf.resv is held, so that nothing is taken away while the
 * driver sets up its device. It calls ib_umem_dmabuf_set_revoke_locked() and
 * then ib_umem_dmabuf_revoke_unlock(). From then on its callback may come, and
 * when it returns, the device does not access the region any more. It comes
 * once at most, at the latest in ib_umem_release().
 *
 * The driver must not use the key of a memory region again before the region is
 * deregistered, which may be long after its memory was taken away.
 *
 * Context: process context, without &dma_buf.resv.
 * Return: the umem, locked; or an ERR_PTR as ib_umem_dmabuf_get_pinned(),
 * unlocked.
 */
struct ib_umem_dmabuf *
ib_umem_dmabuf_get_pinned_revocable_and_lock(struct ib_device *device,
					     unsigned long offset, size_t size,
					     int fd, int access)
{
	return umem_dmabuf_get_pinned_and_lock(device, device->dma_device,
					       offset, size, fd, access,
					       &umem_revocable);
}
EXPORT_SYMBOL(ib_umem_dmabuf_get_pinned_revocable_and_lock);

/**
 * ib_umem_dmabuf_set_revoke_locked - who stops the device
 * @umem_dmabuf: from ib_umem_dmabuf_get_pinned_revocable_and_lock()
 * @revoke: called under &dma_buf.resv when the memory is taken away or the umem
 *	released, whichever is first; neither calls back into the umem nor sleeps
 *	for longer than its device takes
 * @priv: for @revoke
 *
 * Context: &dma_buf.resv held since the umem was made.
 */
void ib_umem_dmabuf_set_revoke_locked(struct ib_umem_dmabuf *umem_dmabuf,
				      void (*revoke)(void *priv), void *priv)
{
	dma_resv_assert_held(umem_resv(umem_dmabuf));

	umem_dmabuf->pinned_revoke = revoke;
	umem_dmabuf->private = priv;
}
EXPORT_SYMBOL(ib_umem_dmabuf_set_revoke_locked);

/**
 * ib_umem_dmabuf_revoke_lock - keep the memory from being taken away
 * @umem_dmabuf: the umem
 *
 * Context: process context. Takes &dma_buf.resv.
 */
void ib_umem_dmabuf_revoke_lock(struct ib_umem_dmabuf *umem_dmabuf)
{
	dma_resv_lock(umem_resv(umem_dmabuf), NULL);
}
EXPORT_SYMBOL(ib_umem_dmabuf_revoke_lock);

/**
 * ib_umem_dmabuf_revoke_unlock - undo ib_umem_dmabuf_revoke_lock()
 * @umem_dmabuf: the umem
 *
 * Context: &dma_buf.resv held; releases it.
 */
void ib_umem_dmabuf_revoke_unlock(struct ib_umem_dmabuf *umem_dmabuf)
{
	dma_resv_unlock(umem_resv(umem_dmabuf));
}
EXPORT_SYMBOL(ib_umem_dmabuf_revoke_unlock);

/**
 * ib_umem_dmabuf_revoke - give the memory back before the umem is released
 * @umem_dmabuf: the umem; its driver has stopped the device, or does so in its
 *	callback
 *
 * Once this returns, the umem is neither mapped nor pinned and never will be.
 * Idempotent.
 *
 * Context: process context, without &dma_buf.resv. Any state of the buffer.
 */
void ib_umem_dmabuf_revoke(struct ib_umem_dmabuf *umem_dmabuf)
{
	ib_umem_dmabuf_revoke_lock(umem_dmabuf);
	umem_dmabuf_revoke(umem_dmabuf);
	ib_umem_dmabuf_revoke_unlock(umem_dmabuf);
}
EXPORT_SYMBOL(ib_umem_dmabuf_revoke);

/**
 * ib_umem_dmabuf_release - ib_umem_release() of a dma-buf umem
 * @umem_dmabuf: the umem
 *
 * Once this returns, no callback of the driver is called any more.
 *
 * Context: process context, without &dma_buf.resv. Any state of the buffer.
 */
void ib_umem_dmabuf_release(struct ib_umem_dmabuf *umem_dmabuf)
{
	struct dma_buf *dmabuf = umem_dmabuf->attach->dmabuf;

	ib_umem_dmabuf_revoke(umem_dmabuf);
	dma_buf_phys_importer_detach(umem_dmabuf->attach);
	dma_buf_put(dmabuf);
	kfree(umem_dmabuf);
}

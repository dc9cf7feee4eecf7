// SPDX-License-Identifier: GPL-2.0-only
/*
 * uverbs exports memory of an RDMA device, such as its doorbells, as dma-bufs
 *
 * What user space can mmap from the device by an offset, it can also have as a
 * dma-buf. The buffers are of the class dma-buf-phys: one range of a BAR, that is
 * revoked when the driver takes the mmap entry back, when the context is closed,
 * or when the device goes, whichever is first.
 *
 * The file descriptor is a uobject. Two things end at different times:
 *
 *   the uobject	is destroyed when the file is closed for the last time, or
 *			before, with the context. It leaves the list of the mmap
 *			entry then, and revokes the buffer.
 *   the dma-buf	is released when the file is closed for the last time,
 *			importers included. It holds a reference to the memory of
 *			the uobject, in which its state is.
 *
 * Lock order: hw_destroy_rwsem > rdma_user_mmap_entry::dmabufs_lock >
 * dmabuf_release_lock > dma_buf::resv. The first three are held while a revoke
 * waits for importers, none of which takes them to unmap.
 */
#include <linux/dma-buf-phys.h>
#include <linux/pci-p2pdma.h>
#include <rdma/uverbs_std_types.h>

#include "rdma_core.h"
#include "uverbs.h"

MODULE_IMPORT_NS("DMA_BUF");

static struct ib_uverbs_dmabuf_file *to_dmabuf_file(const struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct ib_uverbs_dmabuf_file, phys);
}

/* Drivers do not say how their own mmap caches it, so the CPU stays out. */
static int uverbs_dmabuf_get_ranges(struct dma_buf *dmabuf,
				    struct dma_buf_phys_ranges *ranges)
{
	struct ib_uverbs_dmabuf_file *file = to_dmabuf_file(dmabuf);

	*ranges = (struct dma_buf_phys_ranges) {
		.vec = &file->phys_vec,
		.nr = 1,
		.provider = file->provider,
		.kind = DMA_BUF_PHYS_MMIO,
		.no_cpu = true,
	};
	return 0;
}

/* A buffer without mmap entry was never given to anybody. */
static void uverbs_dmabuf_release(struct dma_buf *dmabuf)
{
	struct ib_uverbs_dmabuf_file *file = to_dmabuf_file(dmabuf);

	if (file->mmap_entry)
		uverbs_uobject_release(&file->uobj);

	/* Whoever revokes it has finished, or finds that there is nothing. */
	mutex_lock(&file->dmabuf_release_lock);
	file->dmabuf = NULL;
	mutex_unlock(&file->dmabuf_release_lock);

	dma_buf_phys_fini(&file->phys);
	uverbs_uobject_put(&file->uobj);
}

static const struct dma_buf_phys_ops uverbs_dmabuf_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.map_dma_buf = dma_buf_phys_map_dma_buf,
		.unmap_dma_buf = dma_buf_phys_unmap_dma_buf,
		.release = uverbs_dmabuf_release,
	},
	.may_revoke = true,
	.get_ranges = uverbs_dmabuf_get_ranges,
};

/* The entry, with a reference, and where its memory is. */
static struct rdma_user_mmap_entry *
uverbs_dmabuf_find(struct uverbs_attr_bundle *attrs,
		   struct ib_uverbs_dmabuf_file *file)
{
	const struct ib_device_ops *ops = &attrs->context->device->ops;
	struct rdma_user_mmap_entry *entry;
	off_t offset;
	int ret;

	ret = uverbs_get_const(&offset, attrs, UVERBS_ATTR_ALLOC_DMABUF_PGOFF);
	if (ret)
		return ERR_PTR(ret);
	entry = ops->pgoff_to_mmap_entry(attrs->context, offset);
	if (!entry)
		return ERR_PTR(-EINVAL);
	ret = ops->mmap_get_pfns(entry, &file->phys_vec, &file->provider);
	if (ret) {
		rdma_user_mmap_entry_put(entry);
		return ERR_PTR(ret);
	}
	return entry;
}

static int uverbs_dmabuf_export(struct ib_uverbs_dmabuf_file *file)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;

	dma_buf_phys_init(&file->phys, 0);
	info.ops = &uverbs_dmabuf_ops.ops;
	info.size = file->phys_vec.len;
	info.flags = O_CLOEXEC;
	info.priv = &file->phys;
	dmabuf = dma_buf_phys_export(&info);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	file->dmabuf = dmabuf;
	uverbs_uobject_get(&file->uobj);
	return 0;
}

/* From now on, whoever removes the entry revokes the buffer. */
static int uverbs_dmabuf_publish(struct ib_uverbs_dmabuf_file *file,
				 struct rdma_user_mmap_entry *entry)
{
	guard(mutex)(&entry->dmabufs_lock);
	if (entry->driver_removed)
		return -EIO;
	list_add_tail(&file->dmabufs_elm, &entry->dmabufs);
	file->mmap_entry = entry;
	return 0;
}

static int UVERBS_HANDLER(UVERBS_METHOD_DMABUF_ALLOC)(struct uverbs_attr_bundle *attrs)
{
	struct ib_uobject *uobj =
		uverbs_attr_get_uobject(attrs, UVERBS_ATTR_ALLOC_DMABUF_HANDLE);
	struct ib_uverbs_dmabuf_file *file =
		container_of(uobj, struct ib_uverbs_dmabuf_file, uobj);
	struct rdma_user_mmap_entry *entry;
	int ret;

	mutex_init(&file->dmabuf_release_lock);
	entry = uverbs_dmabuf_find(attrs, file);
	if (IS_ERR(entry))
		return PTR_ERR(entry);
	ret = uverbs_dmabuf_export(file);
	if (ret)
		goto err_put_entry;
	ret = uverbs_dmabuf_publish(file, entry);
	if (ret)
		goto err_put_dmabuf;

	uobj->object = file->dmabuf->file;
	uverbs_finalize_uobj_create(attrs, UVERBS_ATTR_ALLOC_DMABUF_HANDLE);
	return 0;

err_put_dmabuf:
	/* The file may go later than the device. */
	dma_buf_phys_revoke(file->dmabuf);
	dma_buf_put(file->dmabuf);
err_put_entry:
	rdma_user_mmap_entry_put(entry);
	return ret;
}

/* Once this returns, the entry does not know the buffer any more. */
static void uverbs_dmabuf_destroy_uobj(struct ib_uobject *uobj,
				       enum rdma_remove_reason why)
{
	struct ib_uverbs_dmabuf_file *file =
		container_of(uobj, struct ib_uverbs_dmabuf_file, uobj);
	struct rdma_user_mmap_entry *entry = file->mmap_entry;

	mutex_lock(&entry->dmabufs_lock);
	if (!file->revoked) {
		list_del(&file->dmabufs_elm);
		ib_uverbs_dmabuf_revoke(file);
	}
	mutex_unlock(&entry->dmabufs_lock);

	/* From pgoff_to_mmap_entry() */
	rdma_user_mmap_entry_put(entry);
}

DECLARE_UVERBS_NAMED_METHOD(UVERBS_METHOD_DMABUF_ALLOC,
			    UVERBS_ATTR_FD(UVERBS_ATTR_ALLOC_DMABUF_HANDLE,
					   UVERBS_OBJECT_DMABUF,
					   UVERBS_ACCESS_NEW, UA_MANDATORY),
			    UVERBS_ATTR_PTR_IN(UVERBS_ATTR_ALLOC_DMABUF_PGOFF,
					       UVERBS_ATTR_TYPE(u64),
					       UA_MANDATORY));

DECLARE_UVERBS_NAMED_OBJECT(UVERBS_OBJECT_DMABUF,
			    UVERBS_TYPE_ALLOC_FD(sizeof(struct ib_uverbs_dmabuf_file),
						 uverbs_dmabuf_destroy_uobj,
						 NULL, NULL, O_RDONLY),
			    &UVERBS_METHOD(UVERBS_METHOD_DMABUF_ALLOC));

const struct uapi_definition uverbs_def_obj_dmabuf[] = {
	UAPI_DEF_CHAIN_OBJ_TREE_NAMED(UVERBS_OBJECT_DMABUF,
				      UAPI_DEF_OBJ_NEEDS_FN(mmap_get_pfns),
				      UAPI_DEF_OBJ_NEEDS_FN(pgoff_to_mmap_entry)),
	{}
};

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Areas of an io_pagetable that are backed by a dma-buf
 *
 * Other areas read PFNs, pin them and store them in a domain. An area backed by
 * a dma-buf does none of that: iommufd says which slice of the buffer belongs
 * at which IOVA of which domain, and dma-buf-phys keeps it mapped there while
 * the memory can be reached. So there is no callback here, and nothing to do
 * when the memory goes away or comes back.
 *
 * The buffer is attached once per iopt_pages, which IOAS_COPY shares, and pinned
 * for as long. There is one iopt_dmabuf_map per area and domain; an area is
 * mapped into every domain of its io_pagetable, and is never split.
 *
 * Lock order: iopt_pages::mutex (a lock class of its own) > dma_buf::resv. The
 * mutex of other iopt_pages is held across mmap_lock, which is taken before
 * dma_buf::resv; this one never is.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/slab.h>

#include "io_pagetable.h"

struct iopt_dmabuf_map {
	struct dma_buf_phys_domain_map map;
	struct iopt_area *area;
	struct iommu_domain *domain;
	struct list_head node;	/* in iopt_pages_dmabuf::maps, under pages->mutex */
};

static const struct dma_buf_phys_importer_ops iopt_dmabuf_importer = {
	.name = "iommufd",
};

static int iopt_dmabuf_attach(struct iopt_pages *pages, struct dma_buf *dmabuf)
{
	struct dma_buf_phys_attachment *attach;
	int rc;

	attach = dma_buf_phys_importer_attach(dmabuf, iommufd_global_device(),
					      DMA_BUF_PHYS_VIEW_DOMAIN,
					      &iopt_dmabuf_importer, pages);
	if (IS_ERR(attach))
		return PTR_ERR(attach);

	/* A buffer that is not live now is refused; later it may come and go. */
	dma_resv_lock(dmabuf->resv, NULL);
	rc = dma_buf_phys_pin(attach);
	dma_resv_unlock(dmabuf->resv);
	if (rc) {
		dma_buf_phys_importer_detach(attach);
		return rc;
	}
	pages->dmabuf.attach = attach;
	return 0;
}

/**
 * iopt_alloc_dmabuf_pages - pages that stand for a slice of a dma-buf
 * @ictx: context the pages are for
 * @dmabuf: the buffer; on success its reference moves into the pages
 * @start_byte: bytes from the page boundary below @start to @start
 * @start: first byte of the slice
 * @length: bytes in the slice
 * @writable: whether devices may write
 *
 * Return: the pages, or an ERR_PTR: -EINVAL if the slice does not lie in the
 * buffer, -ENODEV if the buffer is suspended or revoked, -EOPNOTSUPP if its
 * exporter does not describe its memory by ranges, -ENOMEM.
 */
struct iopt_pages *iopt_alloc_dmabuf_pages(struct iommufd_ctx *ictx,
					   struct dma_buf *dmabuf,
					   unsigned long start_byte,
					   unsigned long start,
					   unsigned long length, bool writable)
{
	static struct lock_class_key iopt_dmabuf_mutex_key;
	struct iopt_pages *pages;
	unsigned long end;
	int rc;

	if (!length || check_add_overflow(start, length, &end) ||
	    end > dmabuf->size)
		return ERR_PTR(-EINVAL);

	pages = iopt_alloc_pages(start_byte, length, writable);
	if (IS_ERR(pages))
		return pages;
	lockdep_set_class(&pages->mutex, &iopt_dmabuf_mutex_key);

	/* The exporter accounts for its memory, nothing is pinned here. */
	pages->account_mode = IOPT_PAGES_ACCOUNT_NONE;
	pages->type = IOPT_ADDRESS_DMABUF;
	pages->dmabuf.start = start - start_byte;
	INIT_LIST_HEAD(&pages->dmabuf.maps);

	rc = iopt_dmabuf_attach(pages, dmabuf);
	if (rc) {
		iopt_put_pages(pages);
		return ERR_PTR(rc);
	}
	return pages;
}

/**
 * iopt_dmabuf_release - the last reference to the pages is gone
 * @pages: pages of a dma-buf, attached or not
 */
void iopt_dmabuf_release(struct iopt_pages *pages)
{
	struct dma_buf_phys_attachment *attach = pages->dmabuf.attach;
	struct dma_buf *dmabuf;

	WARN_ON(!list_empty(&pages->dmabuf.maps));
	if (!attach)
		return;

	dmabuf = attach->dmabuf;
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_phys_unpin(attach);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_phys_importer_detach(attach);
	dma_buf_put(dmabuf);
}

static bool iopt_dmabuf_domain_refused(const struct iommu_domain *domain)
{
	/* It would tell user space the physical address, see iopt_get_phys(). */
	return IS_ENABLED(CONFIG_IOMMUFD_NOIOMMU) &&
	       domain->owner == &iommufd_noiommu_ops;
}

/**
 * iopt_dmabuf_fill_domain - map an area into a domain
 * @area: area backed by @pages
 * @pages: pages of a dma-buf
 * @domain: where the area is not mapped yet
 *
 * Return: 0, also while the buffer cannot be reached; -EOPNOTSUPP if the domain
 * must not have it; or as dma_buf_phys_map_domain().
 */
int iopt_dmabuf_fill_domain(struct iopt_area *area, struct iopt_pages *pages,
			    struct iommu_domain *domain)
{
	struct dma_buf_phys_attachment *attach = pages->dmabuf.attach;
	struct dma_resv *resv = attach->dmabuf->resv;
	struct iopt_dmabuf_map *dmap;
	unsigned long offset;
	int rc;

	lockdep_assert_held(&pages->mutex);

	if (iopt_dmabuf_domain_refused(domain)) {
		pr_info_ratelimited("iommufd: %s refused to a no-IOMMU domain: it shows physical addresses\n",
				    attach->dmabuf->exp_name);
		return -EOPNOTSUPP;
	}

	dmap = kzalloc_obj(*dmap, GFP_KERNEL_ACCOUNT);
	if (!dmap)
		return -ENOMEM;
	dmap->area = area;
	dmap->domain = domain;

	offset = pages->dmabuf.start +
		 iopt_area_start_byte(area, iopt_area_iova(area));
	dma_resv_lock(resv, NULL);
	rc = dma_buf_phys_map_domain(attach, &dmap->map, domain,
				     iopt_area_iova(area), offset,
				     iopt_area_length(area), area->iommu_prot,
				     area->iopt->disable_large_pages);
	dma_resv_unlock(resv);
	if (rc) {
		kfree(dmap);
		return rc;
	}
	list_add_tail(&dmap->node, &pages->dmabuf.maps);
	return 0;
}

static void iopt_dmabuf_unmap(struct iopt_pages *pages,
			      struct iopt_dmabuf_map *dmap)
{
	struct dma_resv *resv = pages->dmabuf.attach->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	dma_buf_phys_unmap_domain(&dmap->map);
	dma_resv_unlock(resv);
	list_del(&dmap->node);
	kfree(dmap);
}

/**
 * iopt_dmabuf_unfill_domain - undo iopt_dmabuf_fill_domain()
 * @area: area backed by @pages
 * @pages: pages of a dma-buf
 * @domain: where the area was mapped
 *
 * Once this returns, the domain does not translate the area any more.
 */
void iopt_dmabuf_unfill_domain(struct iopt_area *area, struct iopt_pages *pages,
			       struct iommu_domain *domain)
{
	struct iopt_dmabuf_map *dmap;

	lockdep_assert_held(&pages->mutex);

	list_for_each_entry(dmap, &pages->dmabuf.maps, node) {
		if (dmap->area == area && dmap->domain == domain) {
			iopt_dmabuf_unmap(pages, dmap);
			return;
		}
	}
	WARN_ON(true);
}

static void iopt_dmabuf_unfill_domains(struct iopt_area *area,
				       struct iopt_pages *pages)
{
	struct iopt_dmabuf_map *dmap, *next;

	list_for_each_entry_safe(dmap, next, &pages->dmabuf.maps, node)
		if (dmap->area == area)
			iopt_dmabuf_unmap(pages, dmap);
}

/**
 * iopt_dmabuf_fill_domains - map an area into every domain of its io_pagetable
 * @area: area backed by @pages, mapped nowhere yet
 * @pages: pages of a dma-buf
 *
 * Return: as iopt_dmabuf_fill_domain(). On error the area is mapped nowhere.
 */
int iopt_dmabuf_fill_domains(struct iopt_area *area, struct iopt_pages *pages)
{
	struct iommu_domain *domain;
	unsigned long index;
	int rc;

	lockdep_assert_held(&area->iopt->domains_rwsem);
	lockdep_assert_held(&pages->mutex);

	xa_for_each(&area->iopt->domains, index, domain) {
		rc = iopt_dmabuf_fill_domain(area, pages, domain);
		if (rc) {
			iopt_dmabuf_unfill_domains(area, pages);
			return rc;
		}
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: mmap of the file descriptor
 *
 * A mapping begins empty, its pages come by fault. A fault takes dma_buf::resv
 * and nothing of the exporter's: the device may be gone for long. It maps what a
 * live buffer has; for any other the answer is SIGBUS.
 *
 * Whoever ends access changes the state under resv and then takes every page out
 * of every process, under the same lock. So of a fault and a suspend one is
 * first: either the page is there to be taken out, or the fault sees the state.
 * That is complete when it returns, and needs nobody's help; so a mapping is not
 * on the books, holds no ranges, and keeps no memory where it is.
 *
 * The page protection of a VMA is that of MMIO, as its exporter wanted it when
 * mmap() was called. RAM, where memory that moves may be, gets its own.
 */
#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "dma-buf-phys-internal.h"

/* A page, or as many as an entry of the next level maps. */
struct phys_page {
	unsigned long addr;	/* in the address space of the process */
	unsigned int order;
};

static size_t phys_page_size(const struct phys_page *page)
{
	return PAGE_SIZE << page->order;
}

static bool phys_page_in_vma(const struct phys_page *page,
			     const struct vm_area_struct *vma)
{
	return page->addr >= vma->vm_start && page->addr < vma->vm_end &&
	       vma->vm_end - page->addr >= phys_page_size(page);
}

/* Where the memory of the page is, if it is in one piece and aligned. */
static bool phys_page_find(const struct phys_page *page,
			   const struct vm_area_struct *vma,
			   const struct dma_buf_phys_ranges *ranges,
			   unsigned long *pfn)
{
	u64 offset = (u64)linear_page_index(vma, page->addr) << PAGE_SHIFT;
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;

	phys_cursor_start(&cursor, ranges, offset, phys_page_size(page));
	if (!phys_cursor_next(&cursor, &run) ||
	    run.len < phys_page_size(page) ||
	    !IS_ALIGNED(run.paddr, phys_page_size(page)))
		return false;
	*pfn = PHYS_PFN(run.paddr);
	return true;
}

static vm_fault_t phys_page_insert(struct vm_fault *vmf,
				   const struct phys_page *page,
				   const struct dma_buf_phys_ranges *ranges)
{
	struct vm_area_struct *vma = vmf->vma;
	pgprot_t prot = vma->vm_page_prot;
	unsigned long pfn;

	if (!phys_page_find(page, vma, ranges, &pfn))
		return VM_FAULT_FALLBACK;

	if (ranges->kind == DMA_BUF_PHYS_RAM)
		prot = vm_get_page_prot(vma->vm_flags);
	if (!page->order)
		return vmf_insert_pfn_prot(vma, page->addr, pfn, prot);

	/*
	 * A larger page knows no protection but the VMA's. There are none of
	 * PUD_SIZE: Linux 7.3 cannot move or split a mapping of one, it leaves a
	 * translation behind.
	 */
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) &&
	    page->order == PMD_ORDER && ranges->kind == DMA_BUF_PHYS_MMIO)
		return vmf_insert_pfn_pmd(vmf, pfn,
					  vmf->flags & FAULT_FLAG_WRITE);
	return VM_FAULT_FALLBACK;
}

/* Whether a fault may wait without the lock of the address space, and begin anew. */
static bool phys_fault_may_retry(const struct vm_fault *vmf)
{
	return fault_flag_allow_retry_first(vmf->flags) &&
	       !(vmf->flags & FAULT_FLAG_RETRY_NOWAIT);
}

/*
 * Whoever holds resv may wait for others, and memory that has moved may still be
 * on its way: wait for both, while other threads use the address space. There is
 * one retry only.
 */
static vm_fault_t phys_fault_retry(struct vm_fault *vmf, struct dma_buf *dmabuf)
{
	/* Without the lock the VMA may go, and its reference to the buffer. */
	get_dma_buf(dmabuf);
	release_fault_lock(vmf);
	if (!dma_resv_lock_interruptible(dmabuf->resv, NULL)) {
		if (phys_is_live(dmabuf))
			phys_wait_kernel_fences(dmabuf);
		dma_resv_unlock(dmabuf->resv);
	}
	dma_buf_put(dmabuf);
	return VM_FAULT_RETRY;
}

/*
 * Take resv, and what memory there is has arrived. Not 0: resv is not held, return
 * this.
 */
static vm_fault_t phys_fault_lock(struct vm_fault *vmf, struct dma_buf *dmabuf)
{
	bool retry = phys_fault_may_retry(vmf);

	if (!dma_resv_trylock(dmabuf->resv)) {
		if (retry)
			return phys_fault_retry(vmf, dmabuf);
		if (dma_resv_lock_interruptible(dmabuf->resv, NULL))
			return VM_FAULT_NOPAGE;
	}
	if (!phys_is_live(dmabuf) ||
	    dma_resv_test_signaled(dmabuf->resv, DMA_RESV_USAGE_KERNEL))
		return 0;
	if (!retry && !phys_wait_kernel_fences(dmabuf))
		return 0;

	dma_resv_unlock(dmabuf->resv);
	return retry ? phys_fault_retry(vmf, dmabuf) : VM_FAULT_NOPAGE;
}

static vm_fault_t phys_fault_insert(struct vm_fault *vmf,
				    struct dma_buf *dmabuf,
				    const struct phys_page *page)
{
	struct dma_buf_phys_ranges ranges;
	vm_fault_t ret;

	dma_resv_assert_held(dmabuf->resv);

	if (phys_ranges_get(dmabuf, &ranges))
		return VM_FAULT_SIGBUS;
	ret = ranges.no_cpu ? VM_FAULT_SIGBUS :
			      phys_page_insert(vmf, page, &ranges);
	phys_ranges_put(dmabuf, &ranges);
	return ret;
}

static vm_fault_t phys_vm_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct dma_buf *dmabuf = vmf->vma->vm_private_data;
	struct phys_page page = {
		.addr = ALIGN_DOWN(vmf->address, PAGE_SIZE << order),
		.order = order,
	};
	vm_fault_t ret;

	if (order > PMD_ORDER || !phys_page_in_vma(&page, vmf->vma))
		return VM_FAULT_FALLBACK;

	ret = phys_fault_lock(vmf, dmabuf);
	if (ret)
		return ret;
	ret = phys_fault_insert(vmf, dmabuf, &page);
	dma_resv_unlock(dmabuf->resv);
	return ret;
}

static vm_fault_t phys_vm_fault(struct vm_fault *vmf)
{
	return phys_vm_huge_fault(vmf, 0);
}

/*
 * What becomes of a present page is up to the architecture: some would give it the
 * attributes of the VMA, which are those of MMIO. So there is none.
 */
static int phys_vm_mprotect(struct vm_area_struct *vma, unsigned long start,
			    unsigned long end, unsigned long newflags)
{
	zap_special_vma_range(vma, start, end - start);
	return 0;
}

/* No access(): a debugger does not read device memory behind its owner's back. */
static const struct vm_operations_struct phys_vm_ops = {
	.fault = phys_vm_fault,
	.mprotect = phys_vm_mprotect,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = phys_vm_huge_fault,
#endif
};

static void phys_mmap_prot(struct vm_area_struct *vma,
			   const struct dma_buf_phys_ranges *ranges)
{
	pgprot_t prot = vma->vm_page_prot;

	prot = ranges->write_combine ? pgprot_writecombine(prot) :
				       pgprot_noncached(prot);
	vma->vm_page_prot = pgprot_decrypted(prot);
}

/* The buffer is not revoked, and its memory is for CPUs. */
static int phys_mmap_look(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct dma_buf_phys_ranges ranges;
	int ret;

	ret = phys_ranges_peek(dmabuf, &ranges);
	if (ret)
		return ret;
	if (ranges.no_cpu)
		ret = -EOPNOTSUPP;
	else
		phys_mmap_prot(vma, &ranges);
	phys_ranges_put(dmabuf, &ranges);
	return ret;
}

/**
 * dma_buf_phys_mmap - &dma_buf_ops.mmap of a buffer of the class
 * @dmabuf: the buffer
 * @vma: what user space wants to map, within the buffer
 *
 * Works while the buffer is suspended, too: accesses decide. MMIO is mapped
 * uncached, or write-combining if the exporter says so now. The mapping does not
 * keep the memory where it is, nor the exporter from suspending or revoking.
 *
 * Context: called by dma-buf with the mmap_lock of the process held for writing,
 * without &dma_buf.resv.
 * Return: 0, -EINVAL if the mapping is private, or the exporter handed out a bad
 * list; -EPERM if it is to be executed; -ENODEV if the buffer is revoked;
 * -EOPNOTSUPP if the exporter does not say how CPUs may map the memory; -EINTR if
 * a signal came; or what its get_ranges() returned.
 */
int dma_buf_phys_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	int ret;

	/* Not VM_SHARED: of a file open for reading only, that is taken away. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;

	/* Others wait for the lock of the address space meanwhile. */
	ret = dma_resv_lock_interruptible(dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = phys_mmap_look(dmabuf, vma);
	dma_resv_unlock(dmabuf->resv);
	if (ret)
		return ret;

	vm_flags_mod(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYEXEC);
	vma->vm_private_data = dmabuf;
	vma->vm_ops = &phys_vm_ops;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_mmap, "DMA_BUF");

/**
 * is_dma_buf_phys_vma - does a process have a buffer of the class mapped here
 * @vma: any
 *
 * For whoever looks up pages of processes without struct page, and would keep
 * them without being told that they go. That must not be done here.
 *
 * Context: the VMA is locked.
 * Return: true if dma_buf_phys_mmap() made the mapping.
 */
bool is_dma_buf_phys_vma(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &phys_vm_ops;
}
EXPORT_SYMBOL_NS_GPL(is_dma_buf_phys_vma, "DMA_BUF");

/**
 * phys_mmap_zap - no process has a page of the buffer any more
 * @dmabuf: a phys dma-buf whose state or ranges change
 *
 * Once this returns, the next access of a process is a fault, and waits for
 * &dma_buf.resv.
 *
 * Context: &dma_buf.resv held.
 */
void phys_mmap_zap(struct dma_buf *dmabuf)
{
	dma_resv_assert_held(dmabuf->resv);

	unmap_mapping_range(to_phys(dmabuf)->inode->i_mapping, 0, 0, true);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dma-buf-phys: what the parts of the core share
 *
 *   dma-buf-phys.c		class, attachments, states
 *   dma-buf-phys-ranges.c	range lists: validation, walking a slice
 *   dma-buf-phys-ram.c		ranges of exporters that have pages
 *   dma-buf-phys-charge.c	charging for what others allocate
 *   dma-buf-phys-dma.c		DMA view, and the scatterlist for old importers
 *   dma-buf-phys-domain.c	domain view
 *   dma-buf-phys-cpu.c		CPU view
 *   dma-buf-phys-mmap.c	user space maps the buffer
 *   dma-buf-phys-debugfs.c	what there is, for people and tools
 */
#ifndef _DMA_BUF_PHYS_INTERNAL_H
#define _DMA_BUF_PHYS_INTERNAL_H

#include <linux/dma-buf-phys.h>

/* User space chooses the size: a limit answers -ENOMEM, nobody is killed for it. */
#define PHYS_GFP_MAYFAIL \
	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* dma-buf-phys.c */
static inline struct dma_buf_phys *to_phys(const struct dma_buf *dmabuf)
{
	return dmabuf->priv;
}

extern const struct dma_buf_attach_ops phys_thunk_stoppable;
extern const struct dma_buf_attach_ops phys_thunk_static;

/* NULL if the importer does not know the class. */
static inline struct dma_buf_phys_attachment *
to_importer(const struct dma_buf_attachment *attach)
{
	if (attach->importer_ops != &phys_thunk_stoppable &&
	    attach->importer_ops != &phys_thunk_static)
		return NULL;
	return attach->importer_priv;
}

/*
 * Exporters of device memory leave the scatterlist to the class. Where it is not
 * the class's, the exporter neither suspends, revokes nor moves.
 */
static inline bool phys_owns_sgt(const struct dma_buf *dmabuf)
{
	return dmabuf->ops->map_dma_buf == dma_buf_phys_map_dma_buf;
}

/* NULL if the exporter maps by itself for an importer that is not ours. */
static inline struct dma_buf_phys_holder *
to_holder(const struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_attachment *importer = to_importer(attach);

	if (importer)
		return &importer->holder;
	return phys_owns_sgt(attach->dmabuf) ? attach->priv : NULL;
}

static inline const char *
to_importer_name(const struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_attachment *importer = to_importer(attach);

	return importer ? importer->ops->name : "dma-buf";
}

/* Set of enum dma_buf_phys_view; an importer of scatterlists has none. */
static inline unsigned int to_views(const struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_attachment *importer = to_importer(attach);

	return importer ? importer->views : 0;
}

/* Nobody would tell such an importer that the memory moves. */
static inline bool phys_lacks_pin(const struct dma_buf_phys_attachment *attach)
{
	return attach->attach->importer_ops == &phys_thunk_static &&
	       !attach->holder.nr_pins;
}

static inline const struct dma_buf_phys_ops *
to_phys_ops(const struct dma_buf *dmabuf)
{
	return container_of(dmabuf->ops, struct dma_buf_phys_ops, ops);
}

bool phys_is_live(const struct dma_buf *dmabuf);
void phys_hold(struct dma_buf *dmabuf, struct dma_buf_phys_holder *holder);
void phys_drop(struct dma_buf *dmabuf, struct dma_buf_phys_holder *holder);
int phys_wait_kernel_fences(struct dma_buf *dmabuf);
int phys_ranges_borrow(struct dma_buf_attachment *attach,
		       struct dma_buf_phys_ranges *ranges);
void phys_refuse(struct dma_buf *dmabuf, struct device *importer,
		 const struct dma_buf_phys_ranges *ranges, const char *reason);

/* dma-buf-phys-ranges.c */

/* Ranges per entry of the index: it takes 1/128 of what the list takes. */
#define PHYS_INDEX_STEP		64

int phys_ranges_check(const struct dma_buf_phys_ranges *ranges, size_t size);
int phys_ranges_peek(struct dma_buf *dmabuf,
		     struct dma_buf_phys_ranges *ranges);
int phys_ranges_get(struct dma_buf *dmabuf, struct dma_buf_phys_ranges *ranges);
void phys_ranges_put(struct dma_buf *dmabuf,
		     struct dma_buf_phys_ranges *ranges);
int phys_slice_check(const struct dma_buf *dmabuf, u64 offset, u64 len);
void phys_cursor_start(struct dma_buf_phys_cursor *cursor,
		       const struct dma_buf_phys_ranges *ranges, u64 offset,
		       u64 len);

/**
 * phys_cursor_next - step to the next run
 * @cursor: started with phys_cursor_start()
 * @run: filled in with a longest physically contiguous piece of the slice
 *
 * Every map of every view goes through this, once or twice per range.
 *
 * Context: any.
 * Return: false, with @run unchanged, once the slice is exhausted.
 */
static inline bool phys_cursor_next(struct dma_buf_phys_cursor *cursor,
				    struct phys_vec *run)
{
	const struct phys_vec *vec = cursor->vec;
	u64 left = cursor->left;
	phys_addr_t start, end;

	if (!left)
		return false;

	start = vec->paddr + cursor->skip;
	end = vec->paddr + vec->len;
	while (end - start < left && (++vec)->paddr == end)
		end += vec->len;

	run->paddr = start;
	run->len = min_t(u64, end - start, left);
	cursor->vec = vec;
	cursor->skip = 0;
	cursor->left = left - run->len;
	return true;
}

/* dma-buf-phys-charge.c */
#ifdef CONFIG_MEMCG
int phys_charge(struct dma_buf_phys_charge *charge,
		const struct dma_buf_phys_holder *holder, size_t bytes);
void phys_uncharge_objcg(struct dma_buf_phys_charge *charge);
#else
static inline int phys_charge(struct dma_buf_phys_charge *charge,
			      const struct dma_buf_phys_holder *holder,
			      size_t bytes)
{
	return 0;
}

static inline void phys_uncharge_objcg(struct dma_buf_phys_charge *charge)
{
}
#endif

/* Small views are not charged for, so that this is for nothing mostly. */
static inline void phys_uncharge(struct dma_buf_phys_charge *charge)
{
	if (charge->objcg)
		phys_uncharge_objcg(charge);
}

/* dma-buf-phys-dma.c */
bool phys_dma_has_path(struct p2pdma_provider *provider, struct device *dev);
int phys_dma_reachable(struct dma_buf_attachment *attach,
		       const struct dma_buf_phys_ranges *ranges);

/* dma-buf-phys-domain.c */
#ifdef CONFIG_IOMMU_API
void phys_domain_unmap_all(struct dma_buf_phys_attachment *attach);
void phys_domain_refill_all(struct dma_buf_phys_attachment *attach);
#else
static inline void phys_domain_unmap_all(struct dma_buf_phys_attachment *attach)
{
}

static inline void
phys_domain_refill_all(struct dma_buf_phys_attachment *attach)
{
}
#endif

/* dma-buf-phys-mmap.c */
#ifdef CONFIG_MMU
void phys_mmap_zap(struct dma_buf *dmabuf);
#else
static inline void phys_mmap_zap(struct dma_buf *dmabuf)
{
}
#endif

/* dma-buf-phys-cpu.c */

struct dma_buf_phys_cpu_piece {
	u64 first;		/* offset in the slice */
	struct iosys_map map;
};

/* Address space that all CPU views together may take. */
#define PHYS_CPU_MAX	(VMALLOC_TOTAL / 8)

#if IS_ENABLED(CONFIG_KUNIT)
extern u64 phys_cpu_space;
#endif

#ifdef CONFIG_HAS_IOMEM
void phys_cpu_init_lock(struct rw_semaphore *lock);
void phys_cpu_unmap_all(struct dma_buf_phys_attachment *attach);
#else
static inline void phys_cpu_init_lock(struct rw_semaphore *lock)
{
	init_rwsem(lock);
}

static inline void phys_cpu_unmap_all(struct dma_buf_phys_attachment *attach)
{
}
#endif

#endif

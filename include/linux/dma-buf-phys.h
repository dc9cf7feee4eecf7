/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dma-buf-phys: dma-bufs whose exporter describes physical ranges
 *
 * An exporter embeds struct dma_buf_phys, points dma_buf::priv at it and fills
 * struct dma_buf_phys_ops. An importer attaches with
 * dma_buf_phys_importer_attach(), naming the views it wants, and then maps:
 *
 *   DMA view	  DMA addresses for its device, see dma_buf_phys_map_dma()
 *   domain view  the core maps the ranges into an iommu_domain and keeps them
 *		  there, see dma_buf_phys_map_domain()
 *   CPU view	  the kernel reads and writes the memory, see
 *		  dma_buf_phys_map_cpu()
 *
 * No view hands a physical address to the importer. The contract between the
 * two sides is in Documentation/driver-api/dma-buf-phys.rst.
 */
#ifndef _LINUX_DMA_BUF_PHYS_H
#define _LINUX_DMA_BUF_PHYS_H

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iosys-map.h>
#include <linux/ktime.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/wait.h>

struct inode;
struct iommu_domain;
struct mem_cgroup;
struct obj_cgroup;
struct p2pdma_provider;
struct page;
struct sg_table;
struct vm_area_struct;

/**
 * enum dma_buf_phys_kind - what kind of memory the ranges are
 * @DMA_BUF_PHYS_MMIO: device memory; no struct page, needs peer-to-peer
 * @DMA_BUF_PHYS_RAM: system memory
 */
enum dma_buf_phys_kind {
	DMA_BUF_PHYS_MMIO,
	DMA_BUF_PHYS_RAM,
};

/**
 * enum dma_buf_phys_reason - why a buffer is suspended
 * @DMA_BUF_PHYS_RESET: the device is being reset
 * @DMA_BUF_PHYS_POWER: the device is in a low power state, or its memory is
 *	not ready for use yet
 * @DMA_BUF_PHYS_DECODE: the device does not decode memory accesses
 * @DMA_BUF_PHYS_OWNER: the owner of the device took the memory back
 *
 * Bits of a set: the buffer is live only while the set is empty.
 */
enum dma_buf_phys_reason {
	DMA_BUF_PHYS_RESET	= BIT(0),
	DMA_BUF_PHYS_POWER	= BIT(1),
	DMA_BUF_PHYS_DECODE	= BIT(2),
	DMA_BUF_PHYS_OWNER	= BIT(3),
};

/**
 * enum dma_buf_phys_view - what an importer can ask for
 * @DMA_BUF_PHYS_VIEW_DMA: DMA addresses for the attached device
 * @DMA_BUF_PHYS_VIEW_DOMAIN: a mapping in an iommu_domain
 * @DMA_BUF_PHYS_VIEW_CPU: a mapping in the kernel's address space
 *
 * Bits of a set, see dma_buf_phys_importer_attach().
 */
enum dma_buf_phys_view {
	DMA_BUF_PHYS_VIEW_DMA		= BIT(0),
	DMA_BUF_PHYS_VIEW_DOMAIN	= BIT(1),
	DMA_BUF_PHYS_VIEW_CPU		= BIT(2),
};

/**
 * struct dma_buf_phys_ranges - the memory of a buffer, lent by its exporter
 * @vec: array of physical ranges in buffer order, at least one; addresses and
 *	lengths in bytes, multiples of PAGE_SIZE; the lengths sum up to
 *	dma_buf::size
 * @nr: number of entries in @vec
 * @provider: peer-to-peer provider of the BAR, NULL for system memory
 * @kind: what the memory is
 * @write_combine: CPUs map the MMIO write-combining, as the exporter's own
 *	mappings of it; otherwise uncached
 * @no_cpu: there is no CPU view, because the exporter does not know how other
 *	mappings of the memory are cached
 */
struct dma_buf_phys_ranges {
	const struct phys_vec *vec;
	size_t nr;
	struct p2pdma_provider *provider;
	enum dma_buf_phys_kind kind;
	bool write_combine;
	bool no_cpu;

	/* private: not the exporter's */
	const size_t *index;		/* dma_buf_phys::index */
};

/**
 * struct dma_buf_phys_peer - an importer, as its exporter sees it
 * @dev: the device that attached; means something for DMA views only
 * @views: set of &enum dma_buf_phys_view; an importer outside the class has
 *	%DMA_BUF_PHYS_VIEW_DMA
 * @peer2peer: it can handle MMIO
 * @stoppable: it can be told that the memory moves or goes. One that cannot
 *	pins before it maps.
 *
 * Lent for the time of one call, see dma_buf_phys_peer_reaches().
 */
struct dma_buf_phys_peer {
	struct device *dev;
	unsigned int views;
	bool peer2peer;
	bool stoppable;
};

/**
 * struct dma_buf_phys_ops - operations of an exporter
 * @ops: the dma-buf operations. @ops.attach must be dma_buf_phys_attach() and
 *	@ops.detach dma_buf_phys_detach(): they mark the class. An exporter of
 *	device memory also uses dma_buf_phys_map_dma_buf() and
 *	dma_buf_phys_unmap_dma_buf(). One of system memory may make the
 *	scatterlists by itself; then DMA views are read out of these, and it is
 *	the exporter that knows which devices can map it.
 * @may_revoke: the exporter suspends or revokes; importers that cannot stop
 *	when told to are refused, and scatterlists are the class's. There is no
 *	begin_cpu_access() and no end_cpu_access() then: they are called without
 *	&dma_buf.resv, when the memory may be gone.
 * @may_move: the exporter calls dma_buf_phys_move(). @ops.pin must be
 *	dma_buf_phys_pin_dma_buf() and @ops.unpin dma_buf_phys_unpin_dma_buf(),
 *	so that the class knows who must not be moved; scatterlists are the
 *	class's, there is a @put_ranges, and no begin_cpu_access() or
 *	end_cpu_access(). Where the memory lies is no reason to refuse an
 *	importer at attach; map decides.
 * @get_ranges: hand out the ranges, called under &dma_buf.resv. What it hands
 *	out stays unchanged and valid until its own @put_ranges, across move,
 *	revoke and unbind. Called while the buffer is suspended, too, but not
 *	once it is revoked; and as soon as dma_buf_phys_export() is called, for
 *	debugfs. An exporter that makes scatterlists by itself is asked only
 *	when somebody wants a domain or CPU view; -EOPNOTSUPP refuses these.
 * @put_ranges: take one array back, called under &dma_buf.resv. May be NULL
 *	only if the array is fixed for the life of the dma-buf.
 * @attach_peer: an importer attaches; an errno refuses it. Called under
 *	&dma_buf.resv while the buffer is not revoked. Optional.
 * @prepare: this importer is about to map, or to pin a buffer that nobody has
 *	pinned. Called under &dma_buf.resv while the buffer is live and not
 *	pinned. May call dma_buf_phys_move() and put the memory where the importer
 *	can reach it, or answer with an errno other than -EBUSY, which the
 *	importer gets. Optional; only if scatterlists are the class's.
 * @attach_sgt: an importer attaches that may map the scatterlist of an exporter
 *	that makes it by itself; others never do. &dma_buf_attachment.priv is
 *	the exporter's. As &dma_buf_ops.attach, without &dma_buf.resv. Optional.
 * @detach_sgt: undo @attach_sgt; there are both or none.
 */
struct dma_buf_phys_ops {
	struct dma_buf_ops ops;
	bool may_revoke;
	bool may_move;
	int (*get_ranges)(struct dma_buf *dmabuf,
			  struct dma_buf_phys_ranges *ranges);
	void (*put_ranges)(struct dma_buf *dmabuf,
			   struct dma_buf_phys_ranges *ranges);
	int (*attach_peer)(struct dma_buf *dmabuf,
			   const struct dma_buf_phys_peer *peer);
	int (*prepare)(struct dma_buf *dmabuf,
		       const struct dma_buf_phys_peer *peer);
	int (*attach_sgt)(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attach);
	void (*detach_sgt)(struct dma_buf *dmabuf,
			   struct dma_buf_attachment *attach);
};

/**
 * struct dma_buf_phys - state of a buffer, embedded by its exporter
 *
 * dma_buf::priv points at it. All fields are private to the core.
 */
struct dma_buf_phys {
	/* private: */
	struct dma_buf *dmabuf;		/* immutable once exported */
	u64 ino;			/* same; tells buffers apart in the log */
	ktime_t since;			/* same; when it was exported */
	struct inode *inode;		/* same; has the mappings of processes. Held,
					 * because the dma-buf's file may go before
					 * the buffer does
					 */
	wait_queue_head_t idle;		/* woken when @nr_maps becomes 0 */

	/* The rest is written under dma_buf::resv. */
	unsigned long suspended;	/* set of enum dma_buf_phys_reason */
	bool revoked;			/* never cleared */
	ktime_t changed;		/* when either of them last did */
	bool checked;			/* the ranges passed validation */
	size_t *index;			/* made then, of ranges fixed for life: where
					 * every 64th begins. NULL: none
					 */
	unsigned int nr_pins;		/* counted if the buffer may move */
	unsigned int nr_maps;		/* mappings that can reach the memory; read
					 * without resv by who waits for 0
					 */
};

/**
 * struct dma_buf_phys_holder - who holds mappings and pins
 *
 * All fields are private to the core.
 */
struct dma_buf_phys_holder {
	/* private: */
	char comm[TASK_COMM_LEN];	/* immutable: who attached */
	pid_t pid;			/* immutable */
	struct mem_cgroup *memcg;	/* immutable: charged for views */
	ktime_t since;			/* immutable */
	unsigned int nr_maps;		/* under dma_buf::resv */
	unsigned int nr_pins;		/* under dma_buf::resv */
};

/* What is charged to a memory cgroup. Private to the core. */
struct dma_buf_phys_charge {
	struct obj_cgroup *objcg;	/* NULL: nothing is */
	size_t bytes;
};

/**
 * struct dma_buf_phys_ram - state of a buffer of pages, embedded by its exporter
 * @phys: the rest of the state; dma_buf::priv points here
 *
 * For exporters of system memory that stays where it is. The ranges are made of
 * the pages when they are first wanted, and kept for the life of the buffer.
 */
struct dma_buf_phys_ram {
	struct dma_buf_phys phys;

	/* private: under dma_buf::resv */
	struct phys_vec *vec;		/* NULL: not wanted yet */
	size_t nr;
};

struct dma_buf_phys_attachment;

/**
 * struct dma_buf_phys_importer_ops - what an importer is
 * @name: shown in the log and in debugfs
 * @invalidate: stop using every DMA view of this attachment, called under
 *	&dma_buf.resv. The importer may access the memory until the fences it
 *	left in &dma_buf.resv signal, and unmaps in bounded time without help
 *	from user space; a pinned importer unmaps here. It may come before
 *	dma_buf_phys_importer_attach() has returned, again while nothing is
 *	mapped, and inside the importer's own map or pin, if the exporter moves
 *	the memory for it: so no lock that it takes is held there. May be
 *	NULL for an importer that uses domain and CPU views only (the core ends
 *	those itself), or that cannot stop: it must pin before it maps, and
 *	exporters that may revoke refuse it.
 */
struct dma_buf_phys_importer_ops {
	const char *name;
	void (*invalidate)(struct dma_buf_phys_attachment *attach);
};

/**
 * struct dma_buf_phys_attachment - one importer at one buffer
 * @dmabuf: the buffer, immutable
 * @priv: importer's own pointer, immutable
 */
struct dma_buf_phys_attachment {
	struct dma_buf *dmabuf;
	void *priv;

	/* private: */
	struct dma_buf_attachment *attach;		/* set once */
	const struct dma_buf_phys_importer_ops *ops;	/* immutable */
	unsigned int views;				/* immutable */
	struct list_head domain_maps;			/* under dma_buf::resv */
	struct list_head cpu_maps;			/* under dma_buf::resv */
	struct dma_buf_phys_holder holder;
};

/**
 * struct dma_buf_phys_cursor - walks a slice of the ranges
 *
 * All fields are private to the core.
 */
struct dma_buf_phys_cursor {
	/* private: */
	const struct phys_vec *vec;	/* range the next run starts in */
	u64 skip;			/* bytes before it in that range */
	u64 left;			/* bytes of the slice not yet consumed */
};

/**
 * struct dma_buf_phys_dma_map - a DMA view, embedded by the importer
 *
 * All fields are private to the core and immutable while mapped.
 */
struct dma_buf_phys_dma_map {
	/* private: */
	struct dma_buf *dmabuf;
	struct device *dev;
	struct dma_buf_phys_holder *holder;
	struct dma_buf_phys_ranges ranges;
	unsigned long attrs;		/* set of DMA_ATTR_* */
	u64 offset;			/* first byte of the slice */
	u64 len;			/* bytes in the slice */
	u64 start;			/* @offset rounded down to the granule */
	u64 mapped;			/* bytes mapped from @start on */
	enum dma_data_direction dir;
	u8 how;				/* enum phys_dma_how */
	struct dma_buf_phys_charge charge;	/* the IOMMU's page tables */
	size_t nr_runs;			/* entries in @states or @addrs */
	union {
		struct dma_iova_state state;
		struct dma_iova_state *states;
		dma_addr_t *addrs;
		struct sg_table *sgt;
	};
};

/**
 * struct dma_buf_phys_dma_iter - position in a DMA view
 * @addr: DMA address of the current run
 * @len: its length in bytes
 */
struct dma_buf_phys_dma_iter {
	dma_addr_t addr;
	u64 len;

	/* private: */
	const struct dma_buf_phys_dma_map *map;
	struct dma_buf_phys_cursor cursor;
	size_t run;
	struct scatterlist *sg;
	u64 skip;
	u64 left;
};

/**
 * struct dma_buf_phys_domain_map - a domain view, embedded by the importer
 *
 * All fields are private to the core.
 */
struct dma_buf_phys_domain_map {
	/* private: immutable while registered */
	struct dma_buf_phys_attachment *attach;
	struct iommu_domain *domain;
	struct mem_cgroup *memcg;	/* charged for the IOMMU's page tables */
	unsigned long iova;
	u64 offset;
	u64 len;
	int prot;			/* IOMMU_READ, IOMMU_WRITE, .. */
	bool small_pages;

	/* private: under dma_buf::resv */
	struct list_head node;		/* in dma_buf_phys_attachment::domain_maps */
	struct dma_buf_phys_ranges ranges;	/* valid while @live */
	bool live;			/* the domain translates the slice */
};

struct dma_buf_phys_cpu_piece;

/**
 * struct dma_buf_phys_cpu_map - a CPU view, embedded by the importer
 *
 * All fields are private to the core.
 */
struct dma_buf_phys_cpu_map {
	/* private: immutable while registered */
	struct dma_buf_phys_attachment *attach;
	u64 offset;
	u64 len;

	/* private: under dma_buf::resv */
	struct list_head node;		/* in dma_buf_phys_attachment::cpu_maps */

	/*
	 * private: held for reading in a section. What follows is written under
	 * dma_buf::resv, and does not change while @live. @live is written
	 * under @lock as well.
	 */
	struct rw_semaphore lock;
	bool live;			/* the kernel has the slice mapped */
	struct dma_buf_phys_ranges ranges;
	struct dma_buf_phys_cpu_piece *pieces;	/* in the order of the slice */
	size_t nr_pieces;
	struct iosys_map vmap;		/* of an exporter outside the class */
	struct dma_buf_phys_charge charge;	/* page tables and the like */
	size_t space;			/* bytes of address space */
};

/* For exporters */
void dma_buf_phys_init(struct dma_buf_phys *phys, unsigned long suspended);
struct dma_buf *dma_buf_phys_export(const struct dma_buf_export_info *info);
void dma_buf_phys_fini(struct dma_buf_phys *phys);
int dma_buf_phys_attach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attach);
void dma_buf_phys_detach(struct dma_buf *dmabuf,
			 struct dma_buf_attachment *attach);
struct sg_table *dma_buf_phys_map_dma_buf(struct dma_buf_attachment *attach,
					  enum dma_data_direction dir);
void dma_buf_phys_unmap_dma_buf(struct dma_buf_attachment *attach,
				struct sg_table *sgt,
				enum dma_data_direction dir);
int dma_buf_phys_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);
int dma_buf_phys_pin_dma_buf(struct dma_buf_attachment *attach);
void dma_buf_phys_unpin_dma_buf(struct dma_buf_attachment *attach);
bool dma_buf_phys_peer_reaches(const struct dma_buf_phys_peer *peer,
			       struct p2pdma_provider *provider);
int dma_buf_phys_move(struct dma_buf *dmabuf);
void dma_buf_phys_suspend(struct dma_buf *dmabuf,
			  enum dma_buf_phys_reason reason);
void dma_buf_phys_restore(struct dma_buf *dmabuf,
			  enum dma_buf_phys_reason reason);
void dma_buf_phys_revoke(struct dma_buf *dmabuf);
int dma_buf_phys_suspend_killable(struct dma_buf *dmabuf,
				  enum dma_buf_phys_reason reason);
int dma_buf_phys_revoke_killable(struct dma_buf *dmabuf);

/* For exporters of pages */
int dma_buf_phys_ram_get_sgt(struct dma_buf *dmabuf, struct sg_table *sgt,
			     struct dma_buf_phys_ranges *ranges);
int dma_buf_phys_ram_get_pages(struct dma_buf *dmabuf, struct page **pages,
			       struct dma_buf_phys_ranges *ranges);
void dma_buf_phys_ram_fini(struct dma_buf *dmabuf);

/* For importers */
bool is_dma_buf_phys(const struct dma_buf *dmabuf);
struct dma_buf_phys_attachment *
dma_buf_phys_importer_attach(struct dma_buf *dmabuf, struct device *dev,
			     unsigned int views,
			     const struct dma_buf_phys_importer_ops *ops,
			     void *priv);
void dma_buf_phys_importer_detach(struct dma_buf_phys_attachment *attach);
int dma_buf_phys_pin(struct dma_buf_phys_attachment *attach);
void dma_buf_phys_unpin(struct dma_buf_phys_attachment *attach);

int dma_buf_phys_map_dma(struct dma_buf_phys_attachment *attach,
			 struct dma_buf_phys_dma_map *map, u64 offset, u64 len,
			 enum dma_data_direction dir);
void dma_buf_phys_unmap_dma(struct dma_buf_phys_attachment *attach,
			    struct dma_buf_phys_dma_map *map);
void dma_buf_phys_dma_iter_start(struct dma_buf_phys_dma_iter *iter,
				 const struct dma_buf_phys_dma_map *map);
bool dma_buf_phys_dma_iter_next(struct dma_buf_phys_dma_iter *iter);

int dma_buf_phys_map_domain(struct dma_buf_phys_attachment *attach,
			    struct dma_buf_phys_domain_map *map,
			    struct iommu_domain *domain, unsigned long iova,
			    u64 offset, u64 len, int prot, bool small_pages);
void dma_buf_phys_unmap_domain(struct dma_buf_phys_domain_map *map);

int dma_buf_phys_map_cpu(struct dma_buf_phys_attachment *attach,
			 struct dma_buf_phys_cpu_map *map, u64 offset, u64 len);
int dma_buf_phys_remap_cpu(struct dma_buf_phys_cpu_map *map);
void dma_buf_phys_unmap_cpu(struct dma_buf_phys_cpu_map *map);
int dma_buf_phys_cpu_begin(struct dma_buf_phys_cpu_map *map);
void dma_buf_phys_cpu_end(struct dma_buf_phys_cpu_map *map);
int dma_buf_phys_cpu_read(struct dma_buf_phys_cpu_map *map, u64 offset,
			  void *dst, size_t len);
int dma_buf_phys_cpu_write(struct dma_buf_phys_cpu_map *map, u64 offset,
			   const void *src, size_t len);
int dma_buf_phys_cpu_read64(struct dma_buf_phys_cpu_map *map, u64 offset,
			    u64 *value);
int dma_buf_phys_cpu_write64(struct dma_buf_phys_cpu_map *map, u64 offset,
			     u64 value);
int dma_buf_phys_cpu_flush(struct dma_buf_phys_cpu_map *map, u64 offset,
			   u64 len);

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER) && IS_ENABLED(CONFIG_MMU)
bool is_dma_buf_phys_vma(const struct vm_area_struct *vma);
#else
static inline bool is_dma_buf_phys_vma(const struct vm_area_struct *vma)
{
	return false;
}
#endif

/**
 * dma_buf_phys_nr_pins - how many hold the memory where it is
 * @dmabuf: a phys dma-buf that may move
 *
 * Context: &dma_buf.resv held.
 * Return: the number of pins of all importers.
 */
static inline unsigned int dma_buf_phys_nr_pins(const struct dma_buf *dmabuf)
{
	const struct dma_buf_phys *phys = dmabuf->priv;

	return phys->nr_pins;
}

/**
 * dma_buf_phys_dev - the device an importer attached
 * @attach: the attachment
 *
 * Return: the device given to dma_buf_phys_importer_attach().
 */
static inline struct device *
dma_buf_phys_dev(const struct dma_buf_phys_attachment *attach)
{
	return attach->attach->dev;
}

/**
 * dma_buf_phys_to_attachment - what the rest of dma-buf calls an attachment
 * @attach: the attachment
 *
 * For an importer that has callbacks of its own which take the other kind.
 *
 * Return: the attachment as dma_buf_dynamic_attach() made it.
 */
static inline struct dma_buf_attachment *
dma_buf_phys_to_attachment(const struct dma_buf_phys_attachment *attach)
{
	return attach->attach;
}

/**
 * dma_buf_phys_from_attachment - undo dma_buf_phys_to_attachment()
 * @attach: from dma_buf_phys_to_attachment()
 *
 * Return: the attachment as dma_buf_phys_importer_attach() made it.
 */
static inline struct dma_buf_phys_attachment *
dma_buf_phys_from_attachment(const struct dma_buf_attachment *attach)
{
	return attach->importer_priv;
}

#endif

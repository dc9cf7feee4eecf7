/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dma-buf-phys KUnit: mocks that stand around the core
 *
 *   mock_exporter	a buffer of the class over made-up addresses
 *   mock_importer	an importer of the class
 *   mock_domain	an iommu_domain that records what is mapped
 *
 * Every mock is created for a test and taken down by a KUnit action, in the
 * reverse order of creation. The exporter checks there that every get_ranges()
 * had its put_ranges() and that none came after revoke; the domain, that it is
 * empty. So each case proves these too.
 *
 * An importer that wants domain views pins when it attaches, if the buffer is
 * live, or by mock_pin_for_domain(), and unpins when it is taken down.
 */
#ifndef _DMA_BUF_PHYS_MOCK_H
#define _DMA_BUF_PHYS_MOCK_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/dma-buf-phys.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/maple_tree.h>
#include <linux/pci-p2pdma.h>
#include <linux/workqueue.h>

#include "../dma-buf-phys-internal.h"

#define MOCK_ALL_REASONS						\
	(DMA_BUF_PHYS_RESET | DMA_BUF_PHYS_POWER |			\
	 DMA_BUF_PHYS_DECODE | DMA_BUF_PHYS_OWNER)
#define MOCK_NR_REASONS		4
#define MOCK_PROT		(IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE)

/**
 * struct mock_buffer - what the mock exporter exports
 * @vec: ranges
 * @nr: their number
 * @kind: of memory
 * @suspended: reasons that hold from the start
 * @fixed: the exporter never revokes, and its array is for life
 * @moves: the exporter may move the memory
 */
struct mock_buffer {
	const struct phys_vec *vec;
	size_t nr;
	enum dma_buf_phys_kind kind;
	unsigned long suspended;
	bool fixed;
	bool moves;
};

struct mock_exporter {
	struct kunit *test;
	struct dma_buf *dmabuf;
	struct dma_buf_phys phys;
	struct dma_buf_phys_ops ops;
	struct p2pdma_provider provider;
	struct dma_buf_phys_ranges ranges;	/* for the next get_ranges() */
	int get_error;				/* or this */
	bool gone;				/* revoke has returned */
	unsigned int nr_get, nr_put;		/* successful calls */
	unsigned int nr_late;			/* get_ranges() after revoke */
	unsigned int nr_pin;
	struct completion released;
};

struct mock_importer {
	struct dma_buf_phys_attachment *attach;
	struct dma_buf_phys_dma_map map;
	bool mapped;				/* @map is a mapping */
	bool pinned;				/* for domain views */
	unsigned int nr_invalidate;
	unsigned int delay_ms;			/* unmap later, by @work */
	bool lazy;				/* unmap on nobody's behalf */
	struct delayed_work work;
};

struct mock_domain {
	struct iommu_domain domain;
	struct maple_tree maps;			/* IOVA to struct mock_extent */
	u64 mapped;				/* bytes */
	size_t max_pgsize;			/* largest page ever mapped */
	unsigned int nr_map, nr_unmap;		/* driver calls */
	unsigned int nr_sync_map, nr_sync;
	unsigned int fail_map;			/* this call of map fails */
	bool fail_partly;			/* after half of its pages */
	bool fail_sync_map;
	unsigned int nr_errors;			/* the core did wrong */
	struct kunit *test;
};

u64 mock_sum(const struct phys_vec *vec, size_t nr);
size_t mock_runs(const struct phys_vec *vec, size_t nr, u64 offset, u64 len,
		 struct phys_vec *runs);
phys_addr_t mock_paddr(const struct phys_vec *vec, u64 byte);

struct mock_exporter *mock_export(struct kunit *test,
				  const struct mock_buffer *buffer);
void mock_lend(struct mock_exporter *exp, const struct phys_vec *vec,
	       size_t nr, enum dma_buf_phys_kind kind);
void mock_revoke(struct mock_exporter *exp);

struct device *mock_device(struct kunit *test, const char *name);
struct mock_importer *
mock_try_attach(struct kunit *test, struct dma_buf *dmabuf, struct device *dev,
		unsigned int views,
		const struct dma_buf_phys_importer_ops *ops);
struct mock_importer *mock_attach(struct kunit *test, struct dma_buf *dmabuf,
				  unsigned int views);
int mock_pin_for_domain(struct mock_importer *imp);
int mock_map_dma(struct mock_importer *imp, u64 offset, u64 len);
void mock_unmap_dma(struct mock_importer *imp);
struct dma_fence *mock_fence(struct kunit *test, struct dma_buf *dmabuf,
			     enum dma_resv_usage usage);
struct dma_fence *mock_fence_in(struct kunit *test, struct dma_buf *dmabuf,
				enum dma_resv_usage usage, unsigned int ms);

struct mock_domain *mock_domain(struct kunit *test, unsigned long pgsizes);
struct dma_buf_phys_domain_map *
mock_map_domain(struct mock_importer *imp, struct mock_domain *dom, u64 iova,
		u64 offset, u64 len, int prot, bool small_pages);
void mock_unmap_domain(struct kunit *test, struct dma_buf_phys_domain_map *map);
void mock_expect_translates(struct mock_domain *dom, const struct phys_vec *vec,
			    u64 iova, u64 offset, u64 len, int prot);

extern const struct dma_buf_phys_importer_ops mock_stoppable;
extern const struct dma_buf_phys_importer_ops mock_unstoppable;

#endif

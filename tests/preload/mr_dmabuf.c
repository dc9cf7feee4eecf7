// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: an application's memory regions become dma-bufs.
 *
 * Where the application registers memory of its own that begins on a page or is
 * larger than one, the pages are replaced by those of a dma-buf with the same
 * content, of the kind that MR_DMABUF names (see tests/lib/backing.h), and the
 * dma-buf is registered at the same address. The application notices nothing. At
 * its end a line on standard error says how many regions that were.
 *
 * shared: yes
 * libs: ibverbs
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <infiniband/verbs.h>

#include "backing.h"

#define NR_AREAS	256
#define PAGE		4096UL

void *__libc_malloc(size_t size);
void *__libc_memalign(size_t alignment, size_t size);

#undef ibv_reg_mr
#undef ibv_reg_mr_iova

/* Pages that were replaced. They stay so, even if the region goes. */
static struct area {
	uintptr_t start;
	struct backing backing;
} areas[NR_AREAS];

static unsigned int nr_areas, nr_done, nr_regions;

#define NEXT(function)	((typeof(function) *)dlsym(RTLD_NEXT, #function))

static bool overlaps(const struct area *area, uintptr_t start, uintptr_t end)
{
	return area->start < end && start < area->start + area->backing.size;
}

/* Copy what is there, then put the new pages in its place. */
static int replace(struct area *area, size_t len)
{
	void *there = (void *)area->start;
	void *copy = backing_map(&area->backing, NULL, 0);

	if (copy == MAP_FAILED)
		return -errno;
	memcpy(copy, there, len);
	munmap(copy, len);
	if (backing_map(&area->backing, there, MAP_FIXED) == MAP_FAILED)
		return -errno;
	return 0;
}

/* The area that holds these whole pages. */
static struct area *area_for(uintptr_t start, uintptr_t end)
{
	struct area *area = areas + nr_areas;
	unsigned int i;
	int err = -ENOSPC;

	for (i = 0; i < nr_areas; i++) {
		if (overlaps(areas + i, start, end))
			return start >= areas[i].start &&
			       end <= areas[i].start + areas[i].backing.size ?
			       areas + i : NULL;
	}
	if (nr_areas < NR_AREAS)
		err = backing_new(&area->backing, getenv("MR_DMABUF"), end - start);
	area->start = start;
	if (!err)
		err = replace(area, end - start);
	if (err) {
		fprintf(stderr, "mr_dmabuf: no memory: %s\n", strerror(-err));
		return NULL;
	}
	nr_areas++;
	return area;
}

/* NULL: it has to be registered as it is. */
static struct area *to_replace(void *addr, size_t len)
{
	uintptr_t start = (uintptr_t)addr & -PAGE;

	nr_regions++;
	if (!getenv("MR_DMABUF") || (len < PAGE && (uintptr_t)addr % PAGE))
		return NULL;
	return area_for(start, ((uintptr_t)addr + len + PAGE - 1) & -PAGE);
}

static struct ibv_mr *reg(struct area *area, struct ibv_pd *pd, void *addr,
			  size_t len, unsigned long iova, unsigned int access)
{
	unsigned long offset = (uintptr_t)addr - area->start;
	struct ibv_mr *mr;

	mr = ibv_reg_dmabuf_mr(pd, offset, len, iova, area->backing.dmabuf,
			       access);
	if (!mr)
		return NULL;
	mr->addr = addr;
	nr_done++;
	return mr;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t len, int access)
{
	struct area *area = to_replace(addr, len);

	if (!area)
		return NEXT(ibv_reg_mr)(pd, addr, len, access);
	return reg(area, pd, addr, len, (uintptr_t)addr, access);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t len,
				unsigned long iova, unsigned int access)
{
	struct area *area = to_replace(addr, len);

	if (!area)
		return NEXT(ibv_reg_mr_iova2)(pd, addr, len, iova, access);
	return reg(area, pd, addr, len, iova, access);
}

struct ibv_mr *ibv_reg_buf_mr(struct ibv_pd *pd, struct ibv_buf *buf,
			      void *addr, size_t len, int access)
{
	struct area *area = to_replace(addr, len);

	if (!area)
		return NEXT(ibv_reg_buf_mr)(pd, buf, addr, len, access);
	return reg(area, pd, addr, len, (uintptr_t)addr, access);
}

/* Larger buffers share no page with others. dlsym() is no help here: it calls us. */
void *malloc(size_t size)
{
	if (size < PAGE)
		return __libc_malloc(size);
	return __libc_memalign(PAGE, (size + PAGE - 1) & -PAGE);
}

static void __attribute__((destructor)) tell(void)
{
	if (nr_regions)
		fprintf(stderr, "\nmr_dmabuf: %u of %u memory regions in a dma-buf (%s)\n",
			nr_done, nr_regions, getenv("MR_DMABUF"));
}

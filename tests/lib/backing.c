// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that a dma-buf is made of. See backing.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "backing.h"
#include "pci.h"
#include "vfio.h"

#define BAR_NR		2
#define BAR_PAGES	16384
#define PAGE		4096UL

static struct {
	struct vfio_dev dev;
	struct vfio_region_info info;
	bool open;
	bool used[BAR_PAGES];
} bar;

static int new_heap(struct backing *backing)
{
	struct dma_heap_allocation_data data = {
		.len = backing->size,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	int err = 0;

	if (heap < 0)
		return -errno;
	if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) < 0)
		err = -errno;
	close(heap);
	backing->dmabuf = data.fd;
	return err;
}

static int new_memfd(size_t size, unsigned int flags)
{
	int fd = memfd_create("backing",
			      MFD_ALLOW_SEALING | MFD_CLOEXEC | flags);

	if (fd >= 0 && (ftruncate(fd, size) < 0 ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int new_udmabuf(struct backing *backing, unsigned int flags)
{
	struct udmabuf_create create = {
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = backing->size,
	};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int err = 0;

	create.memfd = new_memfd(backing->size, flags);
	backing->dmabuf = ioctl(device, UDMABUF_CREATE, &create);
	if (backing->dmabuf < 0)
		err = -errno;
	close(create.memfd);
	close(device);
	return err;
}

/* Every other page of a file, in an order of their own. */
static void scatter(struct udmabuf_create_list *list, int memfd)
{
	__u32 i;

	for (i = 0; i < list->count; i++)
		list->list[i] = (struct udmabuf_create_item){
			.memfd = memfd,
			.offset = (__u64)i * 1229 % list->count * 2 * PAGE,
			.size = PAGE,
		};
}

static int new_scattered(struct backing *backing)
{
	__u32 nr = backing->size / PAGE;
	struct udmabuf_create_list *list =
		calloc(1, sizeof(*list) + nr * sizeof(*list->list));
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int memfd = new_memfd(backing->size * 2, 0);
	int err = 0;

	if (!list)
		return -ENOMEM;
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = nr;
	/* In the order of the file, or the pages would lie as in the list. */
	if (fallocate(memfd, 0, 0, backing->size * 2))
		err = -errno;
	scatter(list, memfd);
	backing->dmabuf = ioctl(device, UDMABUF_CREATE_LIST, list);
	if (backing->dmabuf < 0)
		err = -errno;
	close(memfd);
	close(device);
	free(list);
	return err;
}

static int open_bar(void)
{
	int iommufd, err;

	if (bar.open)
		return 0;
	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (iommufd < 0)
		return -errno;
	err = vfio_open_id(&bar.dev, PCI_ID_IVSHMEM, 0, iommufd);
	if (!err)
		err = vfio_region(&bar.dev, BAR_NR, &bar.info);
	close(iommufd);
	bar.open = !err;
	return err;
}

/* The first free pages of the BAR, or -ENOSPC. */
static long find_pages(unsigned long nr)
{
	unsigned long page, run = 0;

	for (page = 0; page < BAR_PAGES && page < bar.info.size / PAGE; page++) {
		run = bar.used[page] ? 0 : run + 1;
		if (run == nr)
			return page + 1 - nr;
	}
	return -ENOSPC;
}

static int new_bar(struct backing *backing)
{
	struct vfio_region_dma_range range = { .length = backing->size };
	int err = open_bar();
	long first;

	if (err)
		return err;
	first = find_pages(backing->size / PAGE);
	if (first < 0)
		return first;
	range.offset = first * PAGE;
	backing->dmabuf = vfio_export(&bar.dev, BAR_NR, &range, 1);
	if (backing->dmabuf < 0)
		return backing->dmabuf;
	memset(bar.used + first, true, backing->size / PAGE);
	backing->map_fd = bar.dev.fd;
	backing->map_offset = bar.info.offset + range.offset;
	return 0;
}

int backing_new(struct backing *backing, const char *kind, size_t size)
{
	int err = -EINVAL;

	*backing = (struct backing){
		.dmabuf = -1,
		.map_fd = -1,
		.size = (size + PAGE - 1) & -PAGE,
	};
	if (!strcmp(kind, "heap"))
		err = new_heap(backing);
	else if (!strcmp(kind, "udmabuf"))
		err = new_udmabuf(backing, 0);
	else if (!strcmp(kind, "huge"))
		err = new_udmabuf(backing, MFD_HUGETLB);
	else if (!strcmp(kind, "scattered"))
		err = new_scattered(backing);
	else if (!strcmp(kind, "bar"))
		err = new_bar(backing);
	if (!err && backing->map_fd < 0)
		backing->map_fd = backing->dmabuf;
	return err;
}

void backing_free(struct backing *backing)
{
	if (backing->map_fd != backing->dmabuf)
		memset(bar.used + (backing->map_offset - bar.info.offset) / PAGE,
		       false, backing->size / PAGE);
	close(backing->dmabuf);
	backing->dmabuf = -1;
}

void *backing_map(const struct backing *backing, void *addr, int flags)
{
	return mmap(addr, backing->size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | flags, backing->map_fd, backing->map_offset);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A BAR mapped through its dma-buf by pages of 2 MiB, and its cache type.
 *
 * How large a page is tell the faults that it takes to touch all of it, and the
 * kernel's dump of the page tables. The BAR has room for pages of 1 GiB, which are
 * not to be used.
 *
 * flavour: plain
 * topology: big
 * tier: check
 * timeout: 120
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iommufd.h"
#include "leaks.h"
#include "mapping.h"
#include "vfio.h"

#include "kselftest_harness.h"

#define LIMIT		60	/* seconds per test */
#define BAR		2
#define PAGE		0x1000ULL
#define LARGE		0x200000ULL
#define HUGE		0x40000000ULL
#define RW		(PROT_READ | PROT_WRITE)
#define MEMTYPES	"/sys/kernel/debug/x86/pat_memtype_list"

/*
 * The BAR is larger than what QEMU has memory for: each place that is looked at
 * holds its own offset in the BAR, written through VFIO.
 */
FIXTURE(huge)
{
	struct vfio_dev dev;
	__u8 *bar;
	size_t bar_size;
	unsigned int dmabufs;
	int iommufd;
};

FIXTURE_SETUP(huge)
{
	void *map;

	self->dmabufs = count_dmabufs();
	self->iommufd = iommufd_open();
	ASSERT_LE(0, self->iommufd);
	ASSERT_EQ(0, vfio_open_id(&self->dev, PCI_ID_IVSHMEM, 0, self->iommufd));
	ASSERT_EQ(0, vfio_map_bar(&self->dev, BAR, &map, &self->bar_size));
	self->bar = map;
}

FIXTURE_TEARDOWN(huge)
{
	if (self->bar)
		munmap(self->bar, self->bar_size);
	vfio_close(&self->dev);
	close(self->iommufd);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

static void put(__u8 *at, __u64 value)
{
	__atomic_store_n((__u64 *)at, value, __ATOMIC_RELAXED);
}

static __u64 get(const __u8 *at)
{
	return __atomic_load_n((const __u64 *)at, __ATOMIC_RELAXED);
}

/*
 * The BAR from @at, byte by byte: each @stride has its offset, as seen through
 * @map. Counts the faults that it takes.
 */
static int holds(__u8 *bar, __u64 at, __u8 *map, __u64 len, __u64 stride,
		 __u64 *nr_faults)
{
	__u64 i, value, begin;

	for (i = 0; i < len; i += stride)
		put(bar + at + i, at + i);
	/* The first time, the stack and the like come by faults, too. */
	touch_load(&value, &value);
	begin = count_page_faults();
	for (i = 0; i < len; i += stride)
		if (touch_load(map + i, &value))
			return -EFAULT;
		else if (value != at + i)
			return -EILSEQ;
	*nr_faults = count_page_faults() - begin;
	for (i = 0; i < len; i += stride)
		if (touch_store(map + i, ~(at + i)))
			return -EFAULT;
		else if (get(bar + at + i) != ~(at + i))
			return -EILSEQ;
	return 0;
}

static int export(struct vfio_dev *dev, __u64 offset, __u64 len)
{
	const struct vfio_region_dma_range range = {
		.offset = offset, .length = len,
	};

	return vfio_export(dev, BAR, &range, 1);
}

/* A page of @size is one fault; the dump has the same size. */
static void check_pages(struct __test_metadata *_metadata, struct vfio_dev *dev,
			__u8 *bar, __u64 size, __u64 nr)
{
	struct cpu_page page = {};
	__u64 faults = 0;
	__u8 *map;
	int fd = export(dev, size, nr * size);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, nr * size, RW, size, 0, &map));
	EXPECT_EQ(0, holds(bar, size, map, nr * size, size / 8, &faults));
	EXPECT_EQ(nr, faults);
	ASSERT_EQ(0, cpu_page_at(map + size / 2, &page));
	EXPECT_EQ(size, page.size);
	EXPECT_TRUE(page.uncached);
	EXPECT_FALSE(page.write_combining);
	EXPECT_TRUE(page.writable);

	/* Gone and back as a whole. */
	ASSERT_EQ(0, vfio_set_memory(dev, false));
	EXPECT_EQ(-ENOENT, cpu_page_at(map + size / 2, &page));
	EXPECT_EQ(SIGBUS, touch_load(map + nr * size - 8, &faults));
	ASSERT_EQ(0, vfio_set_memory(dev, true));
	EXPECT_EQ(0, holds(bar, size, map, nr * size, size / 8, &faults));
	EXPECT_EQ(nr, faults);
	munmap(map, nr * size);
	close(fd);
}

TEST_F_TIMEOUT(huge, pages_of_4k, LIMIT)
{
	struct cpu_page page = {};
	__u64 faults = 0;
	__u8 *map;
	int fd = export(&self->dev, 0, 2 * LARGE);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, 2 * LARGE, RW, LARGE, PAGE, &map));
	EXPECT_EQ(0, holds(self->bar, 0, map, 2 * LARGE, PAGE, &faults));
	EXPECT_EQ(2 * LARGE / PAGE, faults);
	ASSERT_EQ(0, cpu_page_at(map, &page));
	EXPECT_EQ(PAGE, page.size);
	EXPECT_TRUE(page.uncached);
	munmap(map, 2 * LARGE);
	close(fd);
}

TEST_F_TIMEOUT(huge, pages_of_2m, LIMIT)
{
	check_pages(_metadata, &self->dev, self->bar, LARGE, 8);
}

/* Linux would lose one that is moved by mremap() out of sight. */
TEST_F_TIMEOUT(huge, no_pages_of_1g, LIMIT)
{
	struct cpu_page page = {};
	__u64 faults = 0;
	__u8 *map;
	int fd = export(&self->dev, HUGE, HUGE);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, HUGE, RW, HUGE, 0, &map));
	EXPECT_EQ(0, holds(self->bar, HUGE, map, HUGE, LARGE, &faults));
	EXPECT_EQ(HUGE / LARGE, faults);
	ASSERT_EQ(0, cpu_page_at(map, &page));
	EXPECT_EQ(LARGE, page.size);
	munmap(map, HUGE);
	close(fd);
}

/* After the move a suspend takes it from the new place, and leaves nothing. */
TEST_F_TIMEOUT(huge, moved_by_1g, LIMIT)
{
	__u64 faults, value;
	__u8 *map, *to;
	int fd = export(&self->dev, HUGE, HUGE);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, HUGE, RW, HUGE, 0, &map));
	EXPECT_EQ(0, holds(self->bar, HUGE, map, HUGE, LARGE, &faults));
	to = (void *)((size_t)map - 4 * HUGE);
	ASSERT_EQ(to, mremap(map, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(SIGSEGV, touch_load(map, &value));
	EXPECT_EQ(0, holds(self->bar, HUGE, to, HUGE, LARGE, &faults));
	ASSERT_EQ(0, vfio_set_memory(&self->dev, false));
	EXPECT_EQ(SIGSEGV, touch_load(map, &value));
	EXPECT_EQ(SIGBUS, touch_load(to, &value));
	EXPECT_EQ(SIGBUS, touch_load(to + HUGE - 8, &value));
	ASSERT_EQ(0, vfio_set_memory(&self->dev, true));
	EXPECT_EQ(0, holds(self->bar, HUGE, to, HUGE, LARGE, &faults));
	munmap(to, HUGE);
	close(fd);
}

/* Memory that begins and ends within large pages: these are mapped by 4 KiB. */
TEST_F_TIMEOUT(huge, edges, LIMIT)
{
	const __u64 at = LARGE - 3 * PAGE, len = LARGE + 5 * PAGE;
	struct cpu_page page = {};
	__u64 faults = 0;
	__u8 *map;
	int fd = export(&self->dev, at, len);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, len, RW, LARGE, at, &map));
	EXPECT_EQ(0, holds(self->bar, at, map, len, PAGE, &faults));
	EXPECT_EQ(6, faults);
	ASSERT_EQ(0, cpu_page_at(map, &page));
	EXPECT_EQ(PAGE, page.size);
	ASSERT_EQ(0, cpu_page_at(map + 3 * PAGE, &page));
	EXPECT_EQ(LARGE, page.size);
	ASSERT_EQ(0, cpu_page_at(map + len - 8, &page));
	EXPECT_EQ(PAGE, page.size);
	munmap(map, len);
	close(fd);
}

/* Large pages end where a range does, also if the next one fits. */
TEST_F_TIMEOUT(huge, ranges, LIMIT)
{
	static const struct vfio_region_dma_range three[] = {
		{ .offset = 6 * LARGE, .length = LARGE },
		{ .offset = 3 * LARGE, .length = 2 * LARGE },
		{ .offset = HUGE - LARGE / 2, .length = LARGE },
	};
	__u64 faults = 0, at = 0;
	__u8 *map;
	int fd, i;

	fd = vfio_export(&self->dev, BAR, three, 3);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, 4 * LARGE, RW, HUGE, 0, &map));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, holds(self->bar, three[i].offset, map + at,
				   three[i].length, LARGE / 16, &faults));
		EXPECT_EQ(i == 2 ? 16 : three[i].length / LARGE, faults);
		at += three[i].length;
	}
	munmap(map, 4 * LARGE);
	close(fd);
}

/* A mapping may begin anywhere in the buffer, and end anywhere. */
TEST_F_TIMEOUT(huge, parts, LIMIT)
{
	__u64 faults = 0;
	__u8 *map;
	int fd = export(&self->dev, LARGE, 4 * LARGE);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, LARGE, 2 * LARGE, RW, LARGE, 0,
					&map));
	EXPECT_EQ(0, holds(self->bar, 2 * LARGE, map, 2 * LARGE, PAGE, &faults));
	EXPECT_EQ(2, faults);
	munmap(map, 2 * LARGE);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, LARGE - PAGE, LARGE + 2 * PAGE, RW,
					LARGE, LARGE - PAGE, &map));
	EXPECT_EQ(0, holds(self->bar, 2 * LARGE - PAGE, map, LARGE + 2 * PAGE,
			   PAGE, &faults));
	EXPECT_EQ(3, faults);
	munmap(map, LARGE + 2 * PAGE);
	close(fd);
}

/*
 * What is done to a part of a mapping of @size is done to that part only, whatever
 * pages it has.
 */
static void check_split(struct __test_metadata *_metadata, struct vfio_dev *dev,
			__u8 *bar, __u64 size)
{
	const __u64 hole = size / 2, locked = size / 4;
	__u64 faults, value;
	__u8 *map;
	int status;
	pid_t pid;
	int fd = export(dev, 0, size);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, size, RW, size, 0, &map));
	EXPECT_EQ(0, holds(bar, 0, map, size, size / 8, &faults));
	ASSERT_EQ(0, munmap(map + hole, PAGE));
	ASSERT_EQ(0, mprotect(map + locked, PAGE, PROT_READ));
	EXPECT_EQ(SIGSEGV, touch_load(map + hole, &value));
	EXPECT_EQ(SIGSEGV, touch_store(map + locked, 0));
	EXPECT_EQ(0, touch_load(map + locked, &value));
	EXPECT_EQ(~locked, value);
	EXPECT_EQ(0, holds(bar, 0, map, PAGE, 64, &faults));
	EXPECT_EQ(0, holds(bar, hole + PAGE, map + hole + PAGE, PAGE, 64,
			   &faults));
	EXPECT_EQ(0, holds(bar, size - PAGE, map + size - PAGE, PAGE, 64,
			   &faults));
	pid = fork();
	if (!pid)
		_exit(touch_load(map + PAGE, &value) ||
		      touch_load(map + size - PAGE, &value) ?
		      EXIT_FAILURE : EXIT_SUCCESS);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	ASSERT_EQ(0, vfio_set_memory(dev, false));
	EXPECT_EQ(SIGBUS, touch_load(map, &value));
	EXPECT_EQ(SIGBUS, touch_load(map + locked, &value));
	EXPECT_EQ(SIGBUS, touch_load(map + size - 8, &value));
	ASSERT_EQ(0, vfio_set_memory(dev, true));
	EXPECT_EQ(0, holds(bar, 0, map, PAGE, 64, &faults));
	munmap(map, size);
	close(fd);
}

TEST_F_TIMEOUT(huge, split_2m, LIMIT)
{
	check_split(_metadata, &self->dev, self->bar, LARGE);
}

TEST_F_TIMEOUT(huge, split_1g, LIMIT)
{
	check_split(_metadata, &self->dev, self->bar, HUGE);
}

TEST_F_TIMEOUT(huge, read_only, LIMIT)
{
	struct cpu_page page = {};
	__u64 value;
	__u8 *map;
	int fd = export(&self->dev, 0, LARGE);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, LARGE, PROT_READ, LARGE, 0, &map));
	EXPECT_EQ(0, touch_load(map, &value));
	ASSERT_EQ(0, cpu_page_at(map, &page));
	EXPECT_EQ(LARGE, page.size);
	EXPECT_FALSE(page.writable);
	EXPECT_EQ(SIGSEGV, touch_store(map, 0));
	ASSERT_EQ(0, mprotect(map, LARGE, RW));
	EXPECT_EQ(0, touch_store(map, 1));
	EXPECT_EQ(1, get(self->bar));
	munmap(map, LARGE);
	close(fd);
}

/* Half of a large page elsewhere, where it does not fit. */
TEST_F_TIMEOUT(huge, moved, LIMIT)
{
	__u64 faults = 0;
	__u8 *map, *to;
	int fd = export(&self->dev, 0, 2 * LARGE);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dmabuf_map_aligned(fd, 0, 2 * LARGE, RW, LARGE, 0, &map));
	EXPECT_EQ(0, holds(self->bar, 0, map, 2 * LARGE, PAGE, &faults));
	to = mmap(NULL, 3 * LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, to);
	to += PAGE;
	ASSERT_EQ(to, mremap(map, 2 * LARGE, 2 * LARGE,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, holds(self->bar, 0, to, 2 * LARGE, PAGE, &faults));
	ASSERT_EQ(map, mremap(to + LARGE / 2, LARGE, LARGE,
			      MREMAP_MAYMOVE | MREMAP_FIXED, map));
	EXPECT_EQ(0, holds(self->bar, LARGE / 2, map, LARGE, PAGE, &faults));
	munmap(map, LARGE);
	munmap(to - PAGE, 3 * LARGE);
	close(fd);
}

/*
 * Cache type
 */

/* Has the kernel reserved the place @at of the BAR for another type? */
static bool reserved_uncached(struct vfio_dev *dev, __u64 at)
{
	const __u64 address = pci_bar_address(dev->name, BAR) + at;
	unsigned long begin, end;
	bool reserved = false;
	char line[128];
	FILE *file;

	file = fopen(MEMTYPES, "r");
	while (file && fgets(line, sizeof(line), file)) {
		printf("# %s", line);
		if (sscanf(line, "PAT: [mem 0x%lx-0x%lx", &begin, &end) == 2 &&
		    address >= begin && address < end)
			reserved = strstr(line, "uncached");
	}
	if (file)
		fclose(file);
	return reserved;
}

FIXTURE(type)
{
	struct vfio_dev dev;
	unsigned int dmabufs;
	int iommufd, dmabuf;
};

FIXTURE_SETUP(type)
{
	self->dmabufs = count_dmabufs();
	self->iommufd = iommufd_open();
	ASSERT_LE(0, self->iommufd);
	ASSERT_EQ(0, vfio_open_id(&self->dev, PCI_ID_IVSHMEM, 0, self->iommufd));
	self->dmabuf = export(&self->dev, 0, 2 * LARGE);
	ASSERT_LE(0, self->dmabuf);
}

FIXTURE_TEARDOWN(type)
{
	close(self->dmabuf);
	vfio_close(&self->dev);
	close(self->iommufd);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

static int type_of_new_map(int dmabuf, size_t skew, struct cpu_page *page)
{
	__u64 value;
	__u8 *map;
	int err;

	err = dmabuf_map_aligned(dmabuf, 0, 2 * LARGE, RW, LARGE, skew, &map);
	if (err)
		return err;
	if (touch_store(map + 64, 0x1234) || touch_load(map + 64, &value))
		return -EFAULT;
	err = cpu_page_at(map + 64, page);
	if (value != 0x1234)
		err = -EILSEQ;
	munmap(map, 2 * LARGE);
	return err;
}

/*
 * x86 has one type for one place: what was reserved first. The kernel's own
 * mapping of the BAR is one that VFIO makes for every device.
 */
TEST_F_TIMEOUT(type, write_combining, LIMIT)
{
	const bool uncached = reserved_uncached(&self->dev, 64);
	struct cpu_page page = {};
	size_t skew;

	ASSERT_EQ(0, vfio_memattr(&self->dev, self->dmabuf,
				  VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC));
	for (skew = 0; skew <= PAGE; skew += PAGE) {
		ASSERT_EQ(0, type_of_new_map(self->dmabuf, skew, &page));
		EXPECT_EQ(skew ? PAGE : LARGE, page.size);
		EXPECT_EQ(uncached, page.uncached);
		EXPECT_EQ(!uncached, page.write_combining);
	}
	ASSERT_EQ(0, vfio_memattr(&self->dev, self->dmabuf,
				  VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_NC));
	ASSERT_EQ(0, type_of_new_map(self->dmabuf, 0, &page));
	EXPECT_TRUE(page.uncached);
}

/* Mappings that there are keep theirs, also when they come back. */
TEST_F_TIMEOUT(type, for_new_maps, LIMIT)
{
	struct cpu_page page = {};
	__u64 value;
	__u8 *map;

	ASSERT_EQ(0, dmabuf_map(self->dmabuf, 0, LARGE, RW, &map));
	ASSERT_EQ(0, touch_load(map, &value));
	ASSERT_EQ(0, vfio_memattr(&self->dev, self->dmabuf,
				  VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC));
	ASSERT_EQ(0, vfio_reset(&self->dev));
	ASSERT_EQ(0, touch_load(map, &value));
	ASSERT_EQ(0, cpu_page_at(map, &page));
	EXPECT_TRUE(page.uncached);
	munmap(map, LARGE);
}

TEST_HARNESS_MAIN

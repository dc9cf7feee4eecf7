// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to find a byte, when a CPU accesses it: pages at random offsets
 * of a BAR in up to 65536 ranges, by mmap() and by the kernel's CPU view.
 *
 * fault: the first access to a page of mmap(). Mainline's is that of VFIO's file
 * of the device, for the same page of the BAR, where nothing is looked for.
 * touch: map all of it, access each page once in the buffer's order, unmap. Either
 * mapping is a page off alignment, so that no larger page hides what a fault costs.
 *
 * CPU view: map 4 KiB, unmap it. Linux has nothing of the kind for a BAR, so in
 * the place of mainline's figure is that of a buffer of one range.
 *
 * summary: pages at random offsets of many ranges
 * topology: big
 * icount: yes
 * timeout: 600
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bar.h"
#include "bench.h"
#include "iommufd.h"
#include "mapping.h"
#include "report.h"
#include "table.h"
#include "testdrv.h"

#define BAR		2
#define PAGE		0x1000ULL
#define LARGE		0x200000ULL
#define LOOKUPS		63

#define FAULT		"fault, instructions"
#define TOUCH		"touch all, instructions"
#define MAP		"map, instructions"
#define UNMAP		"unmap, instructions"

static const __u32 sizes[] = { 1, 64, 4096, 65536 };
static const char * const mmap_row = "4 KiB at random, mmap";
static const char * const cpu_row = "4 KiB at random, CPU view";

static struct vfio_dev dev;
static __u64 region;		/* where the BAR is in VFIO's file */
static int importer;

/* Where the pages of @layout are, in the buffer or in the BAR. */
static __u64 place(enum bench_path path, struct layout layout, __u32 index)
{
	return path == OURS ? index * PAGE : layout.ranges[index].offset;
}

static __u8 *map(enum bench_path path, struct layout layout, int dmabuf)
{
	__u64 len = path == OURS ? layout.nr * PAGE : 2 * layout.nr * PAGE;
	__u8 *at;

	must("mmap", dmabuf_map_aligned(path == OURS ? dmabuf : dev.fd,
					path == OURS ? 0 : region, len,
					PROT_READ | PROT_WRITE, LARGE, PAGE,
					&at));
	return at;
}

static void unmap(enum bench_path path, struct layout layout, __u8 *at)
{
	munmap(at, path == OURS ? layout.nr * PAGE : 2 * layout.nr * PAGE);
}

/* Anew each time, or a page would be there already. */
static void fault(enum bench_path path, struct layout layout, int dmabuf)
{
	const __u8 *page;
	__u64 faults, begin, took;
	__u8 *at = map(path, layout, dmabuf);

	page = at + place(path, layout, rand() % layout.nr);
	faults = count_page_faults();
	begin = measure_instructions();
	__atomic_load_n(page, __ATOMIC_RELAXED);
	took = measure_instructions() - begin;
	if (count_page_faults() != faults + 1)
		die("not one page fault");
	unmap(path, layout, at);
	table_add(mmap_row, layout.nr, FAULT, path, took, 0);
}

static void touch(enum bench_path path, struct layout layout, int dmabuf)
{
	__u64 begin = measure_instructions();
	__u8 *at = map(path, layout, dmabuf);
	__u32 i;

	for (i = 0; i < layout.nr; i++)
		__atomic_load_n(at + place(path, layout, i), __ATOMIC_RELAXED);
	unmap(path, layout, at);
	table_add(mmap_row, layout.nr, TOUCH, path,
		  measure_instructions() - begin, 0);
}

static void measure_mmap(enum bench_path path, struct layout layout, int dmabuf)
{
	int i;

	unmap(path, layout, map(path, layout, dmabuf));
	srand(layout.nr);
	for (i = 0; i < LOOKUPS; i++)
		fault(path, layout, dmabuf);
	touch(path, layout, dmabuf);
}

static void measure_cpu(struct layout layout, int dmabuf)
{
	__u64 begin;
	int i;

	must("DBT_ATTACH", importer_attach(importer, dmabuf, DBT_ATTACH_CLASS |
					   DBT_ATTACH_CPU, 0));
	must("DBT_MAP", importer_map(importer, 0, PAGE));
	must("DBT_UNMAP", importer_unmap(importer));
	srand(layout.nr);
	for (i = 0; i < LOOKUPS; i++) {
		__u64 offset = rand() % layout.nr * PAGE;

		begin = measure_instructions();
		must("DBT_MAP", importer_map(importer, offset, PAGE));
		table_add(cpu_row, layout.nr, MAP, OURS,
			  measure_instructions() - begin, 0);
		begin = measure_instructions();
		must("DBT_UNMAP", importer_unmap(importer));
		table_add(cpu_row, layout.nr, UNMAP, OURS,
			  measure_instructions() - begin, 0);
	}
	must("DBT_DETACH", importer_detach(importer));
}

static void compare_cpu(__u32 ranges, const char *what)
{
	*table_at(cpu_row, ranges, what, MAINLINE) =
		*table_at(cpu_row, sizes[0], what, OURS);
}

static void measure(__u32 ranges)
{
	struct vfio_region_dma_range *list = calloc(ranges, sizeof(*list));
	struct layout layout;
	int dmabuf;

	if (!list)
		die("no memory");
	layout = layout_scattered(list, ranges);
	dmabuf = must("export", vfio_export(&dev, BAR, list, ranges));
	measure_mmap(OURS, layout, dmabuf);
	measure_mmap(MAINLINE, layout, dmabuf);
	measure_cpu(layout, dmabuf);
	compare_cpu(ranges, MAP);
	compare_cpu(ranges, UNMAP);
	close(dmabuf);
	free(list);
}

int main(void)
{
	struct vfio_region_info info;
	char name[PCI_NAME_LEN];
	unsigned int i;
	int iommufd;

	measure_calibrate();
	iommufd = must("open /dev/iommu", iommufd_open());
	must("open the exporter",
	     vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	must("the BAR", vfio_region(&dev, BAR, &info));
	region = info.offset;
	importer = must("open the importer", importer_open(0, name));

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		measure(sizes[i]);
	table_report();

	close(importer);
	must("release the importer", testdrv_release(name));
	vfio_close(&dev);
	close(iommufd);
	return EXIT_SUCCESS;
}

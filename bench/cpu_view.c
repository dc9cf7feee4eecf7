// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a CPU view of all of a BAR's dma-buf costs, by the number of its ranges.
 *
 * It is the view by which rxe accesses a BAR. Each range is mapped for the kernel by
 * itself, so here instructions and bytes grow with the ranges. Linux has nothing of
 * the kind for a BAR: in the place of mainline's figure is that of a buffer of one
 * range, of the same length.
 *
 * Counted is the importer's ioctl, less what the same ioctl costs when there is
 * nothing to do. Bytes are those of attach and map; page tables of the kernel, which
 * are kept once they are there, count the first time only.
 *
 * summary: CPU view of many ranges
 * topology: big
 * icount: yes
 * timeout: 300
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bar.h"
#include "bench.h"
#include "iommufd.h"
#include "report.h"
#include "table.h"
#include "testdrv.h"

#define BAR		2
#define PAGE		0x1000ULL
#define MANY		4096
#define ROUNDS		3	/* of bytes one, if more were to take minutes */
#define MAP		"map, instructions"
#define UNMAP		"unmap, instructions"
#define BYTES		"attach and map, bytes"

static const __u32 sizes[] = { 1, 64, 4096, 65536 };
static const char * const row = "CPU view";

static struct vfio_dev dev;
static int importer;

static int export(enum bench_path path, __u32 nr)
{
	const struct vfio_region_dma_range one = { .length = nr * PAGE };
	struct vfio_region_dma_range *ranges;
	int dmabuf;

	if (path == MAINLINE)
		return must("export", vfio_export(&dev, BAR, &one, 1));
	ranges = calloc(nr, sizeof(*ranges));
	if (!ranges)
		die("no memory");
	layout_scattered(ranges, nr);
	dmabuf = must("export", vfio_export(&dev, BAR, ranges, nr));
	free(ranges);
	return dmabuf;
}

static void attach_and_map(int dmabuf)
{
	must("DBT_ATTACH", importer_attach(importer, dmabuf, DBT_ATTACH_CLASS |
					   DBT_ATTACH_CPU, 0));
	must("DBT_MAP", importer_map_all(importer));
}

/* Instructions that @act takes; it must return @want. */
static __u64 cost(int (*act)(int importer), int want)
{
	__u64 begin = measure_instructions();
	int ret = act(importer);
	__u64 took = measure_instructions() - begin;

	if (ret != want)
		die("an ioctl returned %d, not %d", ret, want);
	return took;
}

static void round_instructions(enum bench_path path, __u32 nr)
{
	__u64 map, unmap, idle_map, idle_unmap;

	idle_unmap = cost(importer_unmap, 0);
	map = cost(importer_map_all, 0);
	idle_map = cost(importer_map_all, -EBUSY);
	unmap = cost(importer_unmap, 0);
	table_add(row, nr, MAP, path, map, idle_map);
	table_add(row, nr, UNMAP, path, unmap, idle_unmap);
}

static void round_bytes(enum bench_path path, __u32 nr, int dmabuf)
{
	char title[64];

	snprintf(title, sizeof(title), "%s, %u ranges%s", row, nr,
		 path == OURS ? "" : " as one");
	measure_bytes_begin();
	attach_and_map(dmabuf);
	table_add(row, nr, BYTES, path, measure_bytes_end(title), 0);
	must("DBT_DETACH", importer_detach(importer));
}

static void measure(enum bench_path path, __u32 nr)
{
	int rounds = nr > MANY ? 1 : ROUNDS;
	int dmabuf = export(path, nr);
	int i;

	attach_and_map(dmabuf);
	must("DBT_UNMAP", importer_unmap(importer));
	for (i = 0; i < ROUNDS; i++)
		round_instructions(path, nr);
	must("DBT_DETACH", importer_detach(importer));
	for (i = 0; i < rounds; i++)
		round_bytes(path, nr, dmabuf);
	close(dmabuf);
}

int main(void)
{
	char name[PCI_NAME_LEN];
	enum bench_path path;
	unsigned int i;
	int iommufd;

	measure_calibrate();
	iommufd = must("open /dev/iommu", iommufd_open());
	must("open the exporter",
	     vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	importer = must("open the importer", importer_open(0, name));

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (path = 0; path < BENCH_NR_PATHS; path++)
			measure(path, sizes[i]);
	table_report();

	close(importer);
	must("release the importer", testdrv_release(name));
	vfio_close(&dev);
	close(iommufd);
	return EXIT_SUCCESS;
}

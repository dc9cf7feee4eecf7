// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to find a byte: 4 KiB at random offsets of buffers of up to a
 * million ranges, by the views that DMA goes through.
 *
 * Buffers, IOMMU and importers are those of scale.c, so that what is left is the
 * work of who looks. The figures of a row are of many offsets, of which the median
 * is that of a byte in the middle.
 *
 * There is no scatterlist of a part: mainline's figure is that of all of the
 * buffer, mapped once.
 *
 * summary: 4 KiB at random offsets of many ranges
 * topology: root switch
 * params: intel_iommu=off
 * icount: yes
 * timeout: 300
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "report.h"
#include "table.h"
#include "testdrv.h"

#define PAGE		0x1000ULL
#define LOOKUPS		63
#define MAP		"map, instructions"

static const __u32 sizes[] = { 1, 64, 4096, 65536, 1000000 };
static const char *dma_row = "4 KiB at random, DMA view, counted";
static const char * const domain_row = "4 KiB at random, domain view, counted";

static int scale, importer;

/* The same ones for each buffer of that size. */
static __u64 random_offset(__u32 ranges)
{
	return (__u64)rand() % ranges * PAGE;
}

/* Less what the ioctl costs when there is nothing to do. */
static void lookup(const char *row, int view, __u32 ranges, __u64 offset)
{
	__u64 begin, took, idle;

	begin = measure_instructions();
	must("DBT_MAP", importer_map(view, offset, PAGE));
	took = measure_instructions() - begin;

	begin = measure_instructions();
	if (importer_map(view, offset, PAGE) != -EBUSY)
		die("mapped twice");
	idle = measure_instructions() - begin;

	must("DBT_UNMAP", importer_unmap(view));
	table_add(row, ranges, MAP, OURS, took, idle);
}

static void measure_ours(const char *row, int view, __u32 flags, __u32 ranges)
{
	int dmabuf = must("make a buffer",
			  scale_make_up(scale, ranges, PAGE, 0));
	int i;

	must("DBT_ATTACH", importer_attach(view, dmabuf, flags, 0));
	must("DBT_MAP", importer_map(view, 0, PAGE));
	must("DBT_UNMAP", importer_unmap(view));
	srand(ranges);
	for (i = 0; i < LOOKUPS; i++)
		lookup(row, view, ranges, random_offset(ranges));
	must("DBT_DETACH", importer_detach(view));
	close(dmabuf);
}

/* Warmed up by one map, unless that takes seconds. */
static void measure_mainline(const char *row, __u32 ranges)
{
	int dmabuf = must("make a buffer",
			  scale_make_up(scale, ranges, PAGE,
					DBT_MADE_UP_MAINLINE));
	int i, rounds = ranges > 100000 ? 1 : 4;
	__u64 begin, took, idle;

	must("DBT_ATTACH", importer_attach(importer, dmabuf, 0, 0));
	for (i = 0; i < rounds; i++) {
		begin = measure_instructions();
		must("DBT_MAP", importer_map_all(importer));
		took = measure_instructions() - begin;
		begin = measure_instructions();
		if (importer_map_all(importer) != -EBUSY)
			die("mapped twice");
		idle = measure_instructions() - begin;
		must("DBT_UNMAP", importer_unmap(importer));
		if (i || rounds == 1)
			table_add(row, ranges, MAP, MAINLINE, took, idle);
	}
	must("DBT_DETACH", importer_detach(importer));
	close(dmabuf);
}

int main(void)
{
	char name[PCI_NAME_LEN], importer_name[PCI_NAME_LEN];
	bool by_bus = topology_is("switch");
	unsigned int i;

	if (by_bus)
		dma_row = "4 KiB at random, DMA view, bus addresses";
	measure_calibrate();

	/* First: devices get the IOMMU only while they have no driver. */
	scale = must("open the exporter", scale_open(name));
	importer = must("open the importer", importer_open(0, importer_name));

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		measure_ours(dma_row, importer, DBT_ATTACH_CLASS, sizes[i]);
		measure_mainline(dma_row, sizes[i]);
		if (by_bus)
			continue;
		measure_ours(domain_row, scale, 0, sizes[i]);
		table_copy(MAINLINE, domain_row, dma_row, sizes[i], MAP);
	}
	table_report();

	close(importer);
	close(scale);
	must("release the importer", testdrv_release(importer_name));
	must("release the exporter", testdrv_release(name));
	return EXIT_SUCCESS;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an RDMA memory region costs at scale: in buffers of up to a million ranges,
 * compared with mainline's umem_dmabuf.c.
 *
 * As mr_reg.c, with the buffers and the IOMMU of scale.c, since no BAR of the
 * other topologies has so many pages below a switch.
 *
 * summary: RDMA memory region of a million ranges
 * topology: root switch
 * params: intel_iommu=off
 * icount: yes
 * timeout: 600
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "report.h"
#include "table.h"
#include "testdrv.h"

#define PAGE		0x1000ULL
#define REGISTER	"register, instructions"
#define BLOCKS		"read blocks, instructions"
#define DEREGISTER	"deregister, instructions"
#define BYTES		"register, bytes"

static const char * const path_names[BENCH_NR_PATHS] = { "ours", "mainline" };
static const __u32 sizes[] = { 1, 64, 4096, 65536, 1000000 };
static const char *row = "memory region, counted";

static int scale, umem;

/* All of one buffer. */
struct region {
	enum bench_path path;
	__u32 ranges;
	int dmabuf;
};

static void reg(const struct region *region)
{
	must("DBT_REG", umem_reg(umem, region->dmabuf, region->ranges * PAGE,
				 region->path == OURS ? 0 : DBT_REG_MAINLINE));
}

/* No two pages are adjacent, so each that has an address of its own is a block. */
static void blocks(const struct region *region)
{
	struct dbt_blocks got;

	must("DBT_BLOCKS", umem_blocks(umem, &got));
	if (got.nr * got.size < region->ranges * PAGE || !got.sum)
		die("%u ranges are %llu blocks of %llu bytes", region->ranges,
		    got.nr, got.size);
}

static void dereg(const struct region *region)
{
	must("DBT_DEREG", umem_dereg(umem));
}

static __u64 cost(void (*act)(const struct region *region),
		  const struct region *region)
{
	__u64 begin = measure_instructions();

	act(region);
	return measure_instructions() - begin;
}

static void round_instructions(const struct region *region)
{
	__u64 idle = cost(dereg, region);

	table_add(row, region->ranges, REGISTER, region->path,
		  cost(reg, region), idle);
	table_add(row, region->ranges, BLOCKS, region->path,
		  cost(blocks, region), idle);
	table_add(row, region->ranges, DEREGISTER, region->path,
		  cost(dereg, region), idle);
}

static void round_bytes(const struct region *region)
{
	char title[64];

	snprintf(title, sizeof(title), "%s, %u ranges, %s", row, region->ranges,
		 path_names[region->path]);
	measure_bytes_begin();
	reg(region);
	table_add(row, region->ranges, BYTES, region->path,
		  measure_bytes_end(title), 0);
	dereg(region);
}

/* Figures hardly differ, and a million ranges take seconds. */
static void measure(struct region region)
{
	int i, rounds = region.ranges > 100000 ? 1 : 3;

	region.dmabuf =
		must("make a buffer",
		     scale_make_up(scale, region.ranges, PAGE,
				   region.path == OURS ?
					   0 : DBT_MADE_UP_MAINLINE));
	reg(&region);
	dereg(&region);
	/* The allocator takes a page for itself now and then. */
	for (i = 0; i < 3; i++)
		round_bytes(&region);
	for (i = 0; i < rounds; i++)
		round_instructions(&region);
	close(region.dmabuf);
}

/* What the driver does with its own table comes on top, for either. */
static void check_third(__u32 ranges)
{
	__u64 ours = table_median(row, ranges, REGISTER, OURS);
	__u64 mainline = table_median(row, ranges, REGISTER, MAINLINE);

	promise(ours * 3 <= mainline,
		"%s, %s: %llu at %u ranges, a third of mainline's %llu or less",
		row, REGISTER, ours, ranges, mainline);
}

int main(void)
{
	char name[PCI_NAME_LEN], umem_name[PCI_NAME_LEN];
	bool by_bus = topology_is("switch");
	enum bench_path path;
	unsigned int i;

	if (by_bus)
		row = "memory region, bus addresses";
	measure_calibrate();

	/* First: devices get the IOMMU only while they have no driver. */
	scale = must("open the exporter", scale_open(name));
	umem = must("open the test driver", umem_open(0, umem_name));

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (path = 0; path < BENCH_NR_PATHS; path++)
			measure((struct region){
				.path = path,
				.ranges = sizes[i],
			});
	table_report();
	if (by_bus)
		check_third(65536);
	promises_verdict();

	close(umem);
	close(scale);
	must("release the test driver", testdrv_release(umem_name));
	must("release the exporter", testdrv_release(name));
	return EXIT_SUCCESS;
}

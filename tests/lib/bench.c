// SPDX-License-Identifier: GPL-2.0-only
/*
 * A row of the benchmark. See bench.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "bar.h"
#include "bench.h"
#include "report.h"
#include "testdrv.h"

#define BAR	2
#define PAGE	0x1000ULL
#define TURNS	3

static const char * const path_names[BENCH_NR_PATHS] = { "ours", "mainline" };
static const __u32 sizes[BENCH_NR_SIZES] = { 1, 64, 4096, 65536 };
static unsigned int nr_sizes;	/* that fit into the BAR */

int must(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

void figure_add(struct figure *figure, const struct bench_case *now,
		__u64 value, __u64 overhead)
{
	series_add(&figure->series[now->path][now->size], value, overhead);
}

void figure_report(struct figure *figure, const char *row)
{
	unsigned int path, size;

	for (size = 0; size < nr_sizes; size++)
		for (path = 0; path < BENCH_NR_PATHS; path++)
			series_report(&figure->series[path][size], row,
				      sizes[size], path_names[path],
				      figure->what);
}

/* Every other page of the BAR may be used. */
static void find_sizes(void)
{
	char name[PCI_NAME_LEN], path[PATH_MAX];
	struct stat stat_buf;

	must("find the exporter", pci_find(PCI_ID_IVSHMEM, 0, name));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%u", name,
		 BAR);
	if (stat(path, &stat_buf))
		die("%s: %s", path, strerror(errno));
	while (nr_sizes < BENCH_NR_SIZES &&
	       sizes[nr_sizes] * 2 * PAGE <= (__u64)stat_buf.st_size)
		nr_sizes++;
}

/* Free the ranges. */
static struct layout scattered_pages(__u32 nr)
{
	struct vfio_region_dma_range *ranges = calloc(nr, sizeof(*ranges));

	if (!ranges)
		die("no memory");
	return layout_scattered(ranges, nr);
}

/* Measure each size, exported from @exporter: VFIO's, or the test exporter. */
static void measure_sizes(const char *row, enum bench_path path,
			  struct vfio_dev *vfio, int exporter,
			  void (*measure)(const struct bench_case *now))
{
	struct bench_case now = { .path = path };
	struct layout layout;
	int dmabuf;

	for (now.size = 0; now.size < nr_sizes; now.size++) {
		layout = scattered_pages(sizes[now.size]);
		dmabuf = vfio ? vfio_export(vfio, BAR, layout.ranges,
					    layout.nr) :
				exporter_export(exporter, BAR, layout);
		now.dmabuf = must("export", dmabuf);
		now.bytes = layout_size(layout);
		snprintf(now.title, sizeof(now.title), "%s, %u ranges, %s", row,
			 sizes[now.size], path_names[path]);
		measure(&now);
		close(now.dmabuf);
		free((void *)layout.ranges);
	}
}

static void turn_ours(const char *row, int iommufd,
		      void (*measure)(const struct bench_case *now))
{
	struct vfio_dev dev;

	must("open the exporter",
	     vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	measure_sizes(row, OURS, &dev, -1, measure);
	vfio_close(&dev);
}

static void turn_mainline(const char *row,
			  void (*measure)(const struct bench_case *now))
{
	char name[PCI_NAME_LEN];
	int exporter;

	exporter = must("open the test exporter",
			exporter_open(PCI_ID_IVSHMEM, name));
	measure_sizes(row, MAINLINE, NULL, exporter, measure);
	close(exporter);
	must("release the exporter", testdrv_release(name));
}

void bench_run(const char *row, int iommufd,
	       void (*measure)(const struct bench_case *now))
{
	int i;

	find_sizes();
	for (i = 0; i < TURNS; i++) {
		turn_ours(row, iommufd, measure);
		turn_mainline(row, measure);
	}
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the domain view costs, compared with mainline's scatterlist.
 *
 * Ours is IOMMU_IOAS_MAP_FILE and IOMMU_IOAS_UNMAP, in an IOAS to which a device
 * is attached, so that a domain of the real IOMMU driver is filled. Mainline's
 * iommufd takes one range only. What it has for more is the scatterlist: a
 * driver attaches to the dma-buf and maps it for DMA, which fills a domain of
 * the same IOMMU driver with the same ranges.
 *
 * Counted are whole system calls. MAP_FILE attaches to the dma-buf each time and
 * UNMAP detaches, so mainline's attach and detach count, too.
 *
 * Then the same with 1 GiB of made-up addresses, of which the IOMMU can make one
 * page, pages of 2 MiB, or none larger than 4 KiB: what is allocated is what its
 * page tables take.
 *
 * summary: domain view against scatterlist
 * topology: root
 * icount: yes
 * timeout: 300
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "edu.h"
#include "iommufd.h"
#include "report.h"
#include "testdrv.h"

#define IOVA	0x40000000ULL		/* aligned to the largest page */
#define GIB	0x40000000U

static struct figure map_cost = { .what = "map, instructions" };
static struct figure unmap_cost = { .what = "unmap, instructions" };
static struct figure map_bytes = { .what = "map, bytes" };

static int importer, iommufd;
static __u32 ioas;

static void map(const struct bench_case *now)
{
	if (now->path == OURS) {
		must("IOMMU_IOAS_MAP_FILE",
		     ioas_map_file_at(iommufd, ioas, now->dmabuf,
				      now->bytes, IOVA));
	} else {
		must("DBT_ATTACH",
		     importer_attach(importer, now->dmabuf, 0, 0));
		must("DBT_MAP", importer_map_all(importer));
	}
}

static void unmap(const struct bench_case *now)
{
	__u64 unmapped;

	if (now->path == OURS) {
		must("IOMMU_IOAS_UNMAP",
		     ioas_unmap(iommufd, ioas, IOVA, now->bytes, &unmapped));
		if (unmapped != now->bytes)
			die("%s: %llu bytes were mapped", now->title, unmapped);
	} else {
		must("DBT_UNMAP", importer_unmap(importer));
		must("DBT_DETACH", importer_detach(importer));
	}
}

static __u64 cost(void (*act)(const struct bench_case *now),
		  const struct bench_case *now)
{
	__u64 begin = measure_instructions();

	act(now);
	return measure_instructions() - begin;
}

static void measure(const struct bench_case *now)
{
	int i;

	for (i = 0; i < BENCH_WARM_UP; i++) {
		map(now);
		unmap(now);
	}
	for (i = 0; i < BENCH_ROUNDS; i++) {
		figure_add(&map_cost, now, cost(map, now), 0);
		figure_add(&unmap_cost, now, cost(unmap, now), 0);

		measure_bytes_begin();
		map(now);
		figure_add(&map_bytes, now, measure_bytes_end(now->title), 0);
		unmap(now);
	}
}

/*
 * 1 GiB
 */

static const struct page_size {
	const char *row;
	__u32 size;
	__u64 most;			/* bytes: what is not page tables is small */
} page_sizes[] = {
	{ "domain view, 1 GiB of 4 KiB", 0x1000, (GIB >> 9) + 0x2000 },
	{ "domain view, 1 GiB of 2 MiB", 0x200000, 0x2000 },
	{ "domain view, 1 GiB of 1 GiB", GIB, 0x1000 },
};

static void measure_pages(int scale, const struct page_size *page,
			  enum bench_path path)
{
	struct series map_series = {}, unmap_series = {}, bytes_series = {};
	const __u32 nr = GIB / page->size;
	struct bench_case now = { .path = path, .bytes = GIB };
	static const char * const names[] = { "ours", "mainline" };
	int i;

	snprintf(now.title, sizeof(now.title), "%s, %s", page->row,
		 names[path]);
	now.dmabuf = must("make a buffer",
			  scale_make_up(scale, nr, page->size,
					path == OURS ? 0 :
						       DBT_MADE_UP_MAINLINE));
	map(&now);
	unmap(&now);
	for (i = 0; i < 2; i++) {
		series_add(&map_series, cost(map, &now), 0);
		series_add(&unmap_series, cost(unmap, &now), 0);

		measure_bytes_begin();
		map(&now);
		series_add(&bytes_series, measure_bytes_end(now.title), 0);
		unmap(&now);
	}
	close(now.dmabuf);

	series_report(&map_series, page->row, nr, names[path],
		      "map, instructions");
	series_report(&unmap_series, page->row, nr, names[path],
		      "unmap, instructions");
	series_report(&bytes_series, page->row, nr, names[path], "map, bytes");
	if (path == OURS)
		promise(bytes_series.value[0] <= page->most,
			"%s: %llu bytes, page tables included", page->row,
			bytes_series.value[0]);
}

static void measure_all_pages(void)
{
	char name[PCI_NAME_LEN];
	int scale = must("open the exporter", scale_open(name));
	unsigned int i, path;

	for (i = 0; i < ARRAY_SIZE(page_sizes); i++)
		for (path = 0; path < BENCH_NR_PATHS; path++)
			measure_pages(scale, &page_sizes[i], path);
	close(scale);
	must("release the exporter", testdrv_release(name));
}

int main(void)
{
	const char *row = "domain view";
	char name[PCI_NAME_LEN];
	struct edu edu;

	measure_calibrate();
	iommufd = must("open /dev/iommu", iommufd_open());
	must("IOMMU_IOAS_ALLOC", ioas_alloc(iommufd, &ioas));
	must("open the second edu", edu_open(&edu, 1, iommufd, ioas));
	importer = must("open the importer", importer_open(0, name));

	bench_run(row, iommufd, measure);
	measure_all_pages();
	figure_report(&map_cost, row);
	figure_report(&unmap_cost, row);
	figure_report(&map_bytes, row);
	promises_verdict();

	close(importer);
	must("release the importer", testdrv_release(name));
	edu_close(&edu);
	close(iommufd);
	return EXIT_SUCCESS;
}

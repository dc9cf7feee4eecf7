// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the instructions go that it takes to map 4096 ranges, one page each, when
 * the IOMMU only counts: by function, in the place of a figure.
 *
 * Buffers, IOMMU and importers are those of scale.c, and so is what a domain view
 * is compared with: a loop of iommu_map().
 *
 * summary: profile of maps of 4096 ranges
 * topology: root
 * params: intel_iommu=off
 * icount: yes
 * profile: yes
 * timeout: 300
 */
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "report.h"
#include "testdrv.h"

#define PAGE	0x1000ULL
#define RANGES	4096

static const char * const dma_row = "profile of the DMA view, counted";
static const char * const domain_row = "profile of the domain view, floor";

static int scale;

static void profile(const char *row, enum bench_path path, int importer,
		    __u32 kind, __u32 flags)
{
	int dmabuf = must("make a buffer",
			  scale_make_up(scale, RANGES, PAGE, kind));
	int i;

	must("DBT_ATTACH", importer_attach(importer, dmabuf, flags, 0));
	for (i = 0; i < BENCH_WARM_UP; i++) {
		must("DBT_MAP", importer_map_all(importer));
		must("DBT_UNMAP", importer_unmap(importer));
	}
	profile_begin();
	must("DBT_MAP", importer_map_all(importer));
	profile_end(row, RANGES, path == OURS ? "ours" : "mainline");
	must("DBT_DETACH", importer_detach(importer));
	close(dmabuf);
}

int main(void)
{
	char name[PCI_NAME_LEN], importer_name[PCI_NAME_LEN];
	int importer;

	measure_calibrate();

	/* First: devices get the IOMMU only while they have no driver. */
	scale = must("open the exporter", scale_open(name));
	importer = must("open the importer", importer_open(0, importer_name));

	profile(dma_row, OURS, importer, 0, DBT_ATTACH_CLASS);
	profile(dma_row, MAINLINE, importer, DBT_MADE_UP_MAINLINE, 0);
	profile(domain_row, OURS, scale, 0, 0);
	profile(domain_row, MAINLINE, scale, 0, DBT_ATTACH_FLOOR);
	profile_symbols();

	close(importer);
	close(scale);
	must("release the importer", testdrv_release(importer_name));
	must("release the exporter", testdrv_release(name));
	return EXIT_SUCCESS;
}

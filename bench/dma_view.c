// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the DMA view costs, compared with mainline's scatterlist.
 *
 * One importer maps the same ranges of the same BAR: of a VFIO dma-buf through
 * dma-buf-phys (ours), and of a dma-buf of the test exporter, which maps by
 * dma_buf_phys_vec_to_sgt(), through dma_buf_map_attachment() (mainline, with
 * the bug fixes it needs to map several ranges). Both in turn; the BAR can have
 * one driver at a time, which is changed in between.
 *
 * Counted is the ioctl of the importer, less what it costs to be refused in the
 * same place. "walk" reads every address of the mapping once.
 *
 * summary: DMA view against scatterlist
 * topology: root switch
 * icount: yes
 * timeout: 300
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommufd.h"
#include "measure.h"
#include "report.h"
#include "testdrv.h"

#define BAR		2
#define TURNS		3
#define ROUNDS		5	/* per turn */
#define WARM_UP		2

enum path { OURS, MAINLINE, NR_PATHS };

static const char * const path_names[] = { "ours", "mainline" };
static const __u32 sizes[] = { 1, 64, 4096 };

#define NR_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

struct figures {
	struct series map, unmap, walk, bytes;
};

static struct figures figures[NR_PATHS][NR_SIZES];
static struct layout layouts[NR_SIZES];
static const char *row;

static int must(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

static int do_state(int importer)
{
	struct dbt_state state;

	return importer_state(importer, &state);
}

/* Instructions that @act takes; it must return @want. */
static __u64 cost(int (*act)(int importer), int importer, int want)
{
	__u64 begin = measure_instructions();
	int ret = act(importer);
	__u64 took = measure_instructions() - begin;

	if (ret != want)
		die("%s: an ioctl returned %d, not %d", row, ret, want);
	return took;
}

static void check_mapped(int importer, struct layout layout)
{
	struct dbt_state state;

	must("DBT_STATE", importer_state(importer, &state));
	if (state.len != layout_size(layout))
		die("%s: %llu bytes of %u ranges are mapped", row, state.len,
		    layout.nr);
}

static void round_instructions(int importer, struct figures *figures)
{
	__u64 map, unmap, walk, refused_map, refused_unmap, no_walk;

	refused_unmap = cost(importer_unmap, importer, 0);
	no_walk = cost(do_state, importer, 0);
	map = cost(importer_map_all, importer, 0);
	refused_map = cost(importer_map_all, importer, -EBUSY);
	walk = cost(do_state, importer, 0);
	unmap = cost(importer_unmap, importer, 0);

	series_add(&figures->map, map, refused_map);
	series_add(&figures->walk, walk, no_walk);
	series_add(&figures->unmap, unmap, refused_unmap);
}

static void round_bytes(int importer, struct figures *figures,
			const char *title)
{
	measure_bytes_begin();
	must("DBT_MAP", importer_map_all(importer));
	series_add(&figures->bytes, measure_bytes_end(title), 0);
	must("DBT_UNMAP", importer_unmap(importer));
}

static void measure(int importer, int dmabuf, enum path path, unsigned int size)
{
	const __u32 flags = path == OURS ? DBT_ATTACH_CLASS : 0;
	struct figures *result = &figures[path][size];
	char title[64];
	int i;

	snprintf(title, sizeof(title), "%s, %u ranges, %s", row, sizes[size],
		 path_names[path]);
	must("DBT_ATTACH", importer_attach(importer, dmabuf, flags, 0));
	for (i = 0; i < WARM_UP; i++) {
		must("DBT_MAP", importer_map_all(importer));
		check_mapped(importer, layouts[size]);
		must("DBT_UNMAP", importer_unmap(importer));
	}
	for (i = 0; i < ROUNDS; i++) {
		round_instructions(importer, result);
		round_bytes(importer, result, title);
	}
	must("DBT_DETACH", importer_detach(importer));
}

static void turn_ours(int importer, int iommufd)
{
	struct vfio_dev dev;
	unsigned int i;
	int dmabuf;

	must("open the exporter",
	     vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	for (i = 0; i < NR_SIZES; i++) {
		dmabuf = must("VFIO_DEVICE_FEATURE_DMA_BUF",
			      vfio_export(&dev, BAR, layouts[i].ranges,
					  layouts[i].nr));
		measure(importer, dmabuf, OURS, i);
		close(dmabuf);
	}
	vfio_close(&dev);
}

static void turn_mainline(int importer)
{
	char name[PCI_NAME_LEN];
	int exporter, dmabuf;
	unsigned int i;

	exporter = must("open the test exporter",
			exporter_open(PCI_ID_IVSHMEM, name));
	for (i = 0; i < NR_SIZES; i++) {
		dmabuf = must("DBT_EXPORT",
			      exporter_export(exporter, BAR, layouts[i]));
		measure(importer, dmabuf, MAINLINE, i);
		close(dmabuf);
	}
	close(exporter);
	must("release the exporter", testdrv_release(name));
}

static void report(void)
{
	enum path path;
	unsigned int i;

	for (path = 0; path < NR_PATHS; path++) {
		for (i = 0; i < NR_SIZES; i++) {
			struct figures *f = &figures[path][i];
			const char *name = path_names[path];

			series_report(&f->map, row, sizes[i], name,
				      "map, instructions");
			series_report(&f->walk, row, sizes[i], name,
				      "walk, instructions");
			series_report(&f->unmap, row, sizes[i], name,
				      "unmap, instructions");
			series_report(&f->bytes, row, sizes[i], name,
				      "map, bytes");
		}
	}
}

int main(void)
{
	const char *topology = getenv("TOPOLOGY");
	char name[PCI_NAME_LEN];
	int importer, iommufd;
	unsigned int i;

	row = "DMA view, IOMMU";
	if (topology && !strcmp(topology, "switch")) {
		row = "DMA view, switch";
		must("allow VFIO without an IOMMU", vfio_allow_noiommu());
	}
	measure_calibrate();
	for (i = 0; i < NR_SIZES; i++)
		layouts[i] = scattered_pages(sizes[i]);
	iommufd = must("open /dev/iommu", iommufd_open());
	importer = must("open the importer", importer_open(0, name));

	for (i = 0; i < TURNS; i++) {
		turn_ours(importer, iommufd);
		turn_mainline(importer);
	}
	report();

	close(importer);
	must("release the importer", testdrv_release(name));
	close(iommufd);
	return EXIT_SUCCESS;
}

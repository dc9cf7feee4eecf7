// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the domain view costs, compared with mainline's scatterlist.
 *
 * Ours is IOMMU_IOAS_MAP_FILE and IOMMU_IOAS_UNMAP of a VFIO dma-buf, in an IOAS
 * to which a device is attached, so that a domain of the real IOMMU driver is
 * filled. Mainline's iommufd takes one range only. What it has for more is the
 * scatterlist: a driver attaches to the dma-buf of the test exporter and maps
 * it for DMA, which fills a domain of the same IOMMU driver with the same ranges.
 *
 * Counted are whole system calls. MAP_FILE attaches to the dma-buf each time and
 * UNMAP detaches, so mainline's attach and detach count, too.
 *
 * summary: domain view against scatterlist
 * topology: root
 * icount: yes
 * timeout: 300
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edu.h"
#include "iommufd.h"
#include "measure.h"
#include "report.h"
#include "testdrv.h"

#define BAR		2
#define IOVA		0x40000000ULL
#define TURNS		3
#define ROUNDS		5	/* per turn */
#define WARM_UP		2

enum path { OURS, MAINLINE, NR_PATHS };

static const char * const path_names[] = { "ours", "mainline" };
static const char row[] = "domain view";
static const __u32 sizes[] = { 1, 64, 4096 };

#define NR_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

struct figures {
	struct series map, unmap, bytes;
};

/* What is mapped, by either path. */
struct target {
	enum path path;
	int fd;			/* iommufd or importer */
	__u32 ioas;
	int dmabuf;
	__u64 size;
};

static struct figures figures[NR_PATHS][NR_SIZES];
static struct layout layouts[NR_SIZES];

static int must(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

static void map(const struct target *target)
{
	if (target->path == OURS) {
		must("IOMMU_IOAS_MAP_FILE",
		     ioas_map_file_at(target->fd, target->ioas, target->dmabuf,
				      target->size, IOVA));
	} else {
		must("DBT_ATTACH",
		     importer_attach(target->fd, target->dmabuf, 0, 0));
		must("DBT_MAP", importer_map_all(target->fd));
	}
}

static void unmap(const struct target *target)
{
	__u64 unmapped;

	if (target->path == OURS) {
		must("IOMMU_IOAS_UNMAP",
		     ioas_unmap(target->fd, target->ioas, IOVA, target->size,
				&unmapped));
		if (unmapped != target->size)
			die("%llu bytes were mapped", unmapped);
	} else {
		must("DBT_UNMAP", importer_unmap(target->fd));
		must("DBT_DETACH", importer_detach(target->fd));
	}
}

static void round_instructions(const struct target *target,
			       struct figures *figures)
{
	__u64 begin;

	begin = measure_instructions();
	map(target);
	series_add(&figures->map, measure_instructions() - begin, 0);

	begin = measure_instructions();
	unmap(target);
	series_add(&figures->unmap, measure_instructions() - begin, 0);
}

static void round_bytes(const struct target *target, struct figures *figures,
			const char *title)
{
	measure_bytes_begin();
	map(target);
	series_add(&figures->bytes, measure_bytes_end(title), 0);
	unmap(target);
}

static void measure(struct target target, unsigned int size)
{
	struct figures *result = &figures[target.path][size];
	char title[64];
	int i;

	target.size = layout_size(layouts[size]);
	snprintf(title, sizeof(title), "%s, %u ranges, %s", row, sizes[size],
		 path_names[target.path]);
	for (i = 0; i < WARM_UP; i++) {
		map(&target);
		unmap(&target);
	}
	for (i = 0; i < ROUNDS; i++) {
		round_instructions(&target, result);
		round_bytes(&target, result, title);
	}
}

static void turn_ours(int iommufd, __u32 ioas)
{
	struct target target = { OURS, iommufd, ioas };
	struct vfio_dev dev;
	unsigned int i;

	must("open the exporter",
	     vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	for (i = 0; i < NR_SIZES; i++) {
		target.dmabuf = must("VFIO_DEVICE_FEATURE_DMA_BUF",
				     vfio_export(&dev, BAR, layouts[i].ranges,
						 layouts[i].nr));
		measure(target, i);
		close(target.dmabuf);
	}
	vfio_close(&dev);
}

static void turn_mainline(int importer)
{
	struct target target = { MAINLINE, importer };
	char name[PCI_NAME_LEN];
	unsigned int i;
	int exporter;

	exporter = must("open the test exporter",
			exporter_open(PCI_ID_IVSHMEM, name));
	for (i = 0; i < NR_SIZES; i++) {
		target.dmabuf = must("DBT_EXPORT",
				     exporter_export(exporter, BAR,
						     layouts[i]));
		measure(target, i);
		close(target.dmabuf);
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
			series_report(&f->unmap, row, sizes[i], name,
				      "unmap, instructions");
			series_report(&f->bytes, row, sizes[i], name,
				      "map, bytes");
		}
	}
}

int main(void)
{
	char name[PCI_NAME_LEN];
	int importer, iommufd;
	struct edu edu;
	unsigned int i;
	__u32 ioas;

	measure_calibrate();
	for (i = 0; i < NR_SIZES; i++)
		layouts[i] = scattered_pages(sizes[i]);
	iommufd = must("open /dev/iommu", iommufd_open());
	must("IOMMU_IOAS_ALLOC", ioas_alloc(iommufd, &ioas));
	must("open the second edu", edu_open(&edu, 1, iommufd, ioas));
	importer = must("open the importer", importer_open(0, name));

	for (i = 0; i < TURNS; i++) {
		turn_ours(iommufd, ioas);
		turn_mainline(importer);
	}
	report();

	close(importer);
	must("release the importer", testdrv_release(name));
	edu_close(&edu);
	close(iommufd);
	return EXIT_SUCCESS;
}

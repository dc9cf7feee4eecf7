// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to export a BAR: VFIO_DEVICE_FEATURE_DMA_BUF of up to 65536
 * ranges, and to close what it returns.
 *
 * The same program runs on both kernels; on the unpatched one, what it measures is
 * mainline's. Counted are whole system calls.
 *
 * summary: export of a BAR against mainline's
 * flavour: plain unpatched
 * topology: big
 * icount: yes
 * timeout: 120
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "bar.h"
#include "bench.h"
#include "iommufd.h"
#include "report.h"
#include "table.h"

#define BAR		2
#define EXPORT		"export, instructions"
#define CLOSE		"close, instructions"
#define BYTES		"export, bytes"

static const __u32 sizes[] = { 1, 64, 4096, 65536 };
static const char * const row = "export";

static enum bench_path path;
static struct vfio_dev dev;

/* What the system call is told. Free it. */
static struct vfio_device_feature *request(__u32 nr)
{
	size_t len = nr * sizeof(struct vfio_region_dma_range);
	struct vfio_device_feature_dma_buf *get;
	struct vfio_device_feature *feature;

	len += sizeof(*feature) + sizeof(*get);
	feature = calloc(1, len);
	if (!feature)
		die("no memory");
	feature->argsz = len;
	feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	get = (void *)feature->data;
	get->region_index = BAR;
	get->open_flags = O_RDWR | O_CLOEXEC;
	get->nr_ranges = nr;
	layout_scattered(get->dma_ranges, nr);
	return feature;
}

static void round_instructions(__u32 nr, struct vfio_device_feature *feature)
{
	__u64 begin, exported, closed;
	int dmabuf;

	begin = measure_instructions();
	dmabuf = vfio_feature(&dev, feature);
	exported = measure_instructions();
	must("export", dmabuf);
	close(dmabuf);
	closed = measure_instructions();
	table_add(row, nr, EXPORT, path, exported, begin);
	table_add(row, nr, CLOSE, path, closed, exported);
}

static void round_bytes(__u32 nr, struct vfio_device_feature *feature)
{
	char title[64];
	int dmabuf;

	snprintf(title, sizeof(title), "%s, %u ranges", row, nr);
	measure_bytes_begin();
	dmabuf = must("export", vfio_feature(&dev, feature));
	table_add(row, nr, BYTES, path, measure_bytes_end(title), 0);
	close(dmabuf);
}

static void measure(__u32 nr)
{
	struct vfio_device_feature *feature = request(nr);
	int i;

	for (i = 0; i < BENCH_WARM_UP; i++)
		close(must("export", vfio_feature(&dev, feature)));
	for (i = 0; i < BENCH_ROUNDS; i++) {
		round_instructions(nr, feature);
		round_bytes(nr, feature);
	}
	free(feature);
}

int main(void)
{
	const char *flavour = getenv("FLAVOUR");
	unsigned int i;
	int iommufd;

	path = flavour && !strcmp(flavour, "unpatched") ? MAINLINE : OURS;
	measure_calibrate();
	iommufd = must("open /dev/iommu", iommufd_open());
	must("open the exporter",
	     vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		measure(sizes[i]);
	table_report();
	vfio_close(&dev);
	close(iommufd);
	return EXIT_SUCCESS;
}

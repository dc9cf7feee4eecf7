// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOAS, an initiator, an exporter. See scene.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "iommufd.h"
#include "report.h"
#include "scene.h"

#define BLOCK	EDU_BLOCK

static void must(const char *what, int err)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

void scene_open(struct scene *scene, struct pci_id exporter, size_t window)
{
	*scene = (struct scene){ .exporter.fd = -1, .edu.dev.fd = -1 };
	scene->iommufd = iommufd_open();
	must("open /dev/iommu", scene->iommufd);
	must("IOMMU_IOAS_ALLOC", ioas_alloc(scene->iommufd, &scene->ioas));
	must("open the edu device",
	     edu_open(&scene->edu, 0, scene->iommufd, scene->ioas));
	must("open the exporter", vfio_open_id(&scene->exporter, exporter, 0,
					       scene->iommufd));
	must("mmap BAR2 of the exporter", bar_open(&scene->bar, &scene->exporter,
						   SCENE_BAR, window));
	bar_fill(&scene->bar, ++scene->seed);
}

void scene_close(struct scene *scene)
{
	bar_close(&scene->bar);
	vfio_close(&scene->exporter);
	edu_close(&scene->edu);
	if (scene->iommufd >= 0)
		close(scene->iommufd);
	scene->iommufd = -1;
}

int scene_export(struct scene *scene, struct layout layout)
{
	int fd = vfio_export(&scene->exporter, SCENE_BAR, layout.ranges,
			     layout.nr);

	must("VFIO_DEVICE_FEATURE_DMA_BUF", fd);
	return fd;
}

void scene_close_exporter(struct scene *scene)
{
	bar_unmap(&scene->bar);
	vfio_close(&scene->exporter);
}

int scene_reopen_exporter(struct scene *scene)
{
	char name[PCI_NAME_LEN];
	int err;

	memcpy(name, scene->exporter.name, sizeof(name));
	err = vfio_open(&scene->exporter, name, scene->iommufd);
	return err ? err : bar_remap(&scene->bar, &scene->exporter);
}

void scene_pattern(struct scene *scene, void *data, size_t len)
{
	pattern(data, len, ++scene->seed);
}

int scene_judge(struct scene *scene)
{
	const struct bar *bar = &scene->bar;
	long where = bar_check(bar);

	if (where == BAR_SAME)
		return 0;
	printf("# byte 0x%lx of the BAR is 0x%02x, not 0x%02x\n", where,
	       bar->map[where], bar->want[where]);
	return -EILSEQ;
}

int scene_map_at(struct scene *scene, int dmabuf, struct layout layout,
		 __u64 iova)
{
	return ioas_map_file_at(scene->iommufd, scene->ioas, dmabuf,
				layout_size(layout), iova);
}

int scene_write_arrives(struct scene *scene, __u64 iova, struct layout layout,
			__u64 offset, size_t len)
{
	__u8 data[BLOCK];
	int err;

	scene_pattern(scene, data, len);
	bar_note(&scene->bar, layout, offset, data, len);
	err = edu_write(&scene->edu, iova, data, len);
	return err ? err : scene_judge(scene);
}

int scene_read_arrives(struct scene *scene, __u64 iova, struct layout layout,
		       __u64 offset, size_t len)
{
	__u8 got[BLOCK], want[BLOCK];
	int err;

	bar_expect(&scene->bar, layout, offset, want, len);
	err = edu_read(&scene->edu, iova, got, len);
	if (err)
		return err;
	if (!memcmp(got, want, len))
		return 0;
	printf("# a DMA read of IOVA 0x%llx got other bytes\n", iova);
	return -EILSEQ;
}

int scene_write_due(struct scene *scene, __u64 iova)
{
	__u8 data[BLOCK];
	int err;

	scene_pattern(scene, data, sizeof(data));
	err = edu_write_start(&scene->edu, iova, data, sizeof(data));
	if (err)
		return err;
	return edu_busy(&scene->edu) ? 0 : -ETIME;
}

int scene_write_stopped(struct scene *scene, __u64 iova)
{
	int err = scene_write_due(scene, iova);

	if (!err)
		err = edu_wait(&scene->edu);
	return err ? err : scene_judge(scene);
}

static int both_arrive(struct scene *scene, __u64 iova, struct layout layout,
		       __u64 offset)
{
	int err = scene_write_arrives(scene, iova + offset, layout, offset,
				      BLOCK);

	return err ? err : scene_read_arrives(scene, iova + offset, layout,
					      offset, BLOCK);
}

/* For the range that is bytes @begin to @end of the dma-buf. */
static int range_arrives(struct scene *scene, __u64 iova, struct layout layout,
			 __u64 begin, __u64 end)
{
	int err = both_arrive(scene, iova, layout, begin);

	if (!err && end - begin > BLOCK)
		err = both_arrive(scene, iova, layout, end - BLOCK);
	if (!err && end < layout_size(layout))
		err = both_arrive(scene, iova, layout, end - BLOCK / 2);
	return err;
}

int scene_all_arrives(struct scene *scene, __u64 iova, struct layout layout)
{
	__u32 stride = layout.nr / 8 + 1;
	__u64 begin = 0, end;
	int err = 0;
	__u32 i;

	for (i = 0; !err && i < layout.nr; i++) {
		end = begin + layout.ranges[i].length;
		if (i % stride == 0)
			err = range_arrives(scene, iova, layout, begin, end);
		begin = end;
	}
	return err;
}

void scene_repair(struct scene *scene, struct layout layout)
{
	__u64 offset = layout.ranges[0].offset;

	edu_wait(&scene->edu);
	memcpy(scene->bar.map + offset, scene->bar.want + offset, BLOCK);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Demo: a device DMAs into another device's BAR, through iommufd.
 *
 * The exporter is an ivshmem device, whose BAR2 is plain memory; the initiator
 * is an edu device, a small DMA engine. Each line printed is one step, with
 * the time it took; it says "ok" only if the program checked what it says. The
 * check is always the same: every byte of the BAR, also outside the exported
 * ranges, compared with what it should be.
 *
 * flavour: plain debug
 * topology: root
 * tier: check
 * timeout: 180
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "edu.h"
#include "iommufd.h"
#include "kmsg.h"
#include "report.h"
#include "scene.h"
#include "vfio.h"

#define IOVA		0x100000000ULL
#define OTHER_IOVA	0x200000000ULL
#define MAX_TRIES	30
#define NR_RANGES	4

/* Of different sizes, with gaps, not ascending. */
static const struct vfio_region_dma_range all_ranges[NR_RANGES] = {
	{ .offset = 0x2000000, .length = 0x200000 },
	{ .offset = 0x0100000, .length = 0x1000 },
	{ .offset = 0x3000000, .length = 0x10000 },
	{ .offset = 0x0804000, .length = 0x4000 },
};

struct act {
	struct scene scene;
	struct layout layout;
	int dmabuf;
	int kmsg;
};

static const char usage[] =
"usage: 10-iommufd [--ranges N]\n"
"\n"
"Exports N ranges (1 to 4, default 4) of the BAR of an ivshmem device as one\n"
"dma-buf, maps it for an edu device through iommufd, and shows that DMA\n"
"arrives in the right place, is stopped by suspend, works again after restore\n"
"and is stopped for good by close. Needs root and both devices.\n";

static bool verdict(const char *what, int err)
{
	if (!err)
		return step_ok();
	return step_failed("%s: %s", what, err == -EILSEQ ?
			   "wrong bytes, see above" : strerror(-err));
}

static bool export_ranges(struct act *act)
{
	step_begin("export these ranges of BAR%u as one dma-buf", SCENE_BAR);
	act->dmabuf = vfio_export(&act->scene.exporter, SCENE_BAR,
				  act->layout.ranges, act->layout.nr);
	return verdict("VFIO_DEVICE_FEATURE_DMA_BUF",
		       act->dmabuf < 0 ? act->dmabuf : 0);
}

static bool map_ranges(struct act *act)
{
	__u64 size = layout_size(act->layout);

	step_begin("map it at IOVA 0x%llx, 0x%llx bytes in a row", IOVA, size);
	return verdict("IOMMU_IOAS_MAP_FILE",
		       ioas_map_file_at(act->scene.iommufd, act->scene.ioas,
					act->dmabuf, size, IOVA));
}

static bool use_ranges(struct act *act)
{
	step_begin("DMA write and read, all ends and seams: in place, gaps intact");
	return verdict("DMA", scene_all_arrives(&act->scene, IOVA,
						act->layout));
}

/* The transfer comes due, and ends, while decode is off. */
static int disable_memory_under_dma(struct scene *scene)
{
	int err = scene_write_due(scene, IOVA);
	int err_on;

	if (!err)
		err = vfio_set_memory(&scene->exporter, false);
	if (!err)
		err = edu_wait(&scene->edu);
	err_on = vfio_set_memory(&scene->exporter, true);
	return err ? err : err_on;
}

static bool stop_by_memory_disable(struct act *act)
{
	int err;

	step_begin("decode off with a transfer due: IOMMU fault, no byte changed");
	kmsg_drain(act->kmsg);
	err = disable_memory_under_dma(&act->scene);
	if (!err && !kmsg_saw_fault(act->kmsg))
		return step_failed("no IOMMU fault in the kernel log");
	return verdict("decode off", err ? err : scene_judge(&act->scene));
}

static int reset_exporter(void *arg)
{
	return vfio_reset(arg);
}

/* Returns 1 if the transfer came due within the reset, 0 if not, or -errno. */
static int reset_under_dma(struct act *act, __u64 *took_us)
{
	struct scene *scene = &act->scene;
	int err = scene_write_due(scene, IOVA);

	kmsg_drain(act->kmsg);
	return err ? err : edu_aim(&scene->edu, reset_exporter,
				   &scene->exporter, took_us);
}

/* A reset takes 10 ms only, so hitting it with a transfer may take some tries. */
static bool stop_by_reset(struct act *act)
{
	__u64 took_us = 10000;
	unsigned int tries;
	int hit;

	step_begin("reset with a transfer due: IOMMU fault, no byte changed");
	for (tries = 0; tries < MAX_TRIES; tries++) {
		hit = reset_under_dma(act, &took_us);
		if (hit < 0)
			return verdict("VFIO_DEVICE_RESET", hit);
		if (hit && kmsg_saw_fault(act->kmsg))
			return verdict("DMA", scene_judge(&act->scene));
		scene_repair(&act->scene, act->layout);
	}
	return step_failed("none of %u transfers due within a reset was stopped",
			   MAX_TRIES);
}

/* What user space has to do on a kernel without restore. */
static void map_again_by_hand(struct act *act)
{
	__u64 size = layout_size(act->layout);
	struct scene *scene = &act->scene;
	int err;

	err = ioas_unmap(scene->iommufd, scene->ioas, IOVA, size, &size);
	if (!err)
		err = ioas_map_file_at(scene->iommufd, scene->ioas, act->dmabuf,
				       size, IOVA);
	printf("%16s (to go on, it was %s by hand)\n", "",
	       err ? "not even mapped" : "unmapped and mapped again");
}

static bool works_again(struct act *act, const char *when)
{
	struct scene *scene = &act->scene;
	__u8 data[EDU_BLOCK];
	int err;

	step_begin("%s: the same IOVA works again, no new ioctl", when);
	scene_pattern(scene, data, sizeof(data));
	err = edu_write(&scene->edu, IOVA, data, sizeof(data));
	if (err)
		return verdict("DMA", err);
	if (bar_check(&scene->bar) != BAR_SAME) {
		bar_note(&scene->bar, act->layout, 0, data, sizeof(data));
		return verdict("DMA", scene_judge(scene));
	}
	step_failed("DMA changed nothing: the mapping stayed dead");
	map_again_by_hand(act);
	return false;
}

/* A transfer due at the close; another one; one more when it is open again. */
static int close_under_dma(struct scene *scene)
{
	int err;

	err = scene_write_due(scene, IOVA);
	scene_close_exporter(scene);
	if (!err)
		err = edu_wait(&scene->edu);
	if (!err)
		err = scene_reopen_exporter(scene);
	if (!err)
		err = scene_judge(scene);
	return err ? err : scene_write_stopped(scene, IOVA);
}

static bool stop_by_close(struct act *act)
{
	step_begin("close: final, DMA changes no byte, also once reopened");
	return verdict("close", close_under_dma(&act->scene));
}

static bool no_new_map(struct act *act)
{
	__u64 size = layout_size(act->layout);
	int err;

	step_begin("a new map of the dma-buf is refused: %s", strerror(ENODEV));
	err = ioas_map_file_at(act->scene.iommufd, act->scene.ioas, act->dmabuf,
			       size, OTHER_IOVA);
	return err == -ENODEV ? step_ok() : verdict("IOMMU_IOAS_MAP_FILE", err);
}

static void introduce(const struct act *act)
{
	const struct vfio_region_dma_range *range = act->layout.ranges;
	__u32 i;

	printf("exporter   %s ivshmem, BAR%u of 0x%zx bytes\n",
	       act->scene.exporter.name, SCENE_BAR, act->scene.bar.size);
	for (i = 0; i < act->layout.nr; i++)
		printf("%-10s offset 0x%07llx  length 0x%06llx\n",
		       i ? "" : "ranges", range[i].offset, range[i].length);
	printf("initiator  %s edu, in an IOAS of iommufd\n\n",
	       act->scene.edu.dev.name);
}

static void perform(struct act *act)
{
	if (!export_ranges(act) || !map_ranges(act))
		return;
	use_ranges(act);
	stop_by_memory_disable(act);
	works_again(act, "decode on");
	stop_by_reset(act);
	works_again(act, "after the reset");
	stop_by_close(act);
	no_new_map(act);
}

static __u32 parse_args(int argc, char **argv)
{
	unsigned long nr = NR_RANGES;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		exit(EXIT_SUCCESS);
	}
	if (argc == 3 && !strcmp(argv[1], "--ranges"))
		nr = strtoul(argv[2], NULL, 0);
	else if (argc != 1)
		nr = 0;
	if (!nr || nr > NR_RANGES) {
		fputs(usage, stderr);
		exit(2);
	}
	return nr;
}

int main(int argc, char **argv)
{
	struct act act = {
		.layout = { .ranges = all_ranges, .nr = parse_args(argc, argv) },
	};

	act.kmsg = kmsg_open();
	if (act.kmsg < 0)
		die("open /dev/kmsg: %s", strerror(-act.kmsg));
	scene_open(&act.scene, PCI_ID_IVSHMEM, 0);
	introduce(&act);
	perform(&act);
	printf("\n");
	scene_close(&act.scene);
	return steps_verdict("demo iommufd");
}

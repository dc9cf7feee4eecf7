// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk that user space drives moves data between a BAR and itself, to the byte.
 *
 * That is the means of fire_rounds.c: transfers of every shape, several at once.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 60
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommufd.h"
#include "nvme.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define WINDOW		0x100000
#define IOVA		0x100000000ULL
#define SECTOR		512

static const struct vfio_region_dma_range three_ranges[] = {
	{ .offset = 0x80000, .length = 0x11000 },
	{ .offset = 0x01000, .length = 0x01000 },
	{ .offset = 0x10000, .length = 0x20000 },
};

static const struct layout layout = { three_ranges, 3 };

/* From the dma-buf to the disk, and from there to another place of it. */
struct shape {
	__u64 from, to;
	size_t len;
};

static const struct shape shapes[] = {
	{ 0, 0x20000, SECTOR },			/* one sector */
	{ 0x0e00, 0x20200, 2 * SECTOR },	/* across a page, so two PRPs */
	{ 0x1000, 0x21000, 0x1000 },		/* a page */
	{ 0x2200, 0x23000, 0x2000 },		/* parts of three: a list */
	{ 0x10e00, 0x26000, 0x1400 },		/* parts of three ranges */
	{ 0x00000, 0x13000, 0x13000 },		/* whole ranges */
};

FIXTURE(disk)
{
	struct scene scene;
	struct nvme nvme;
	int dmabuf;
};

FIXTURE_SETUP(disk)
{
	struct scene *scene = &self->scene;

	scene_open(scene, PCI_ID_IVSHMEM, WINDOW);
	self->dmabuf = scene_export(scene, layout);
	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, layout, IOVA));
	ASSERT_EQ(0, nvme_open(&self->nvme, scene->iommufd, scene->ioas));
}

FIXTURE_TEARDOWN(disk)
{
	nvme_close(&self->nvme);
	close(self->dmabuf);
	scene_close(&self->scene);
}

static int move(struct nvme *nvme, struct bar *bar, const struct shape *shape)
{
	__u8 *data = malloc(shape->len);
	int err;

	bar_expect(bar, layout, shape->from, data, shape->len);
	bar_note(bar, layout, shape->to, data, shape->len);
	free(data);
	err = nvme_move(nvme, true, 7, IOVA + shape->from, shape->len);
	if (!err)
		err = nvme_move(nvme, false, 7, IOVA + shape->to, shape->len);
	return err ? err : bar_judge(bar);
}

TEST_F(disk, every_shape_arrives)
{
	unsigned int i;

	EXPECT_EQ(64 << 20, self->nvme.blocks * NVME_BLOCK);
	for (i = 0; i < ARRAY_SIZE(shapes); i++)
		EXPECT_EQ(0, move(&self->nvme, &self->scene.bar, &shapes[i]))
			TH_LOG("shape %u", i);
}

/* Each slot has its own command in flight; they end in any order. */
TEST_F(disk, many_at_once_arrive)
{
	struct bar *bar = &self->scene.bar;
	struct nvme *nvme = &self->nvme;
	unsigned int i, done = 0;
	__u8 data[0x1000];
	__u16 status;

	for (i = 0; i < NVME_SLOTS; i++) {
		bar_expect(bar, layout, i * 0x1000, data, sizeof(data));
		bar_note(bar, layout, (NVME_SLOTS + i) * 0x1000, data,
			 sizeof(data));
	}
	ASSERT_EQ(0, nvme_move(nvme, true, 0, IOVA, NVME_SLOTS * 0x1000));
	for (i = 0; i < NVME_SLOTS; i++)
		ASSERT_EQ(0, nvme_start(nvme, i, false, i * 8,
					IOVA + (NVME_SLOTS + i) * 0x1000, 0x1000));
	while (done < NVME_SLOTS) {
		if (nvme_poll(nvme, &status) < 0)
			continue;
		EXPECT_EQ(0, status);
		done++;
	}
	EXPECT_EQ(0, bar_judge(bar));
}

TEST_F(disk, bad_input)
{
	const __u64 blocks = self->nvme.blocks;

	EXPECT_EQ(-EINVAL, nvme_start(&self->nvme, NVME_SLOTS, false, 0, IOVA,
				      SECTOR));
	EXPECT_EQ(-EINVAL, nvme_start(&self->nvme, 0, false, 0, IOVA, 0));
	EXPECT_EQ(-EINVAL, nvme_start(&self->nvme, 0, false, 0, IOVA + 1,
				      SECTOR));
	EXPECT_EQ(-EINVAL, nvme_start(&self->nvme, 0, false, blocks, IOVA,
				      SECTOR));
	EXPECT_EQ(-EINVAL, nvme_start(&self->nvme, 0, false, 0, IOVA,
				      NVME_MAX + SECTOR));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd maps VFIO's dma-bufs: DMA arrives where the ranges say, and only there.
 *
 * Every test lets an edu device DMA into the BAR of another device, and
 * compares every byte of the BAR with what it should be. The map tests run
 * with one range and with several out of order.
 *
 * flavour: plain
 * topology: root virtio-iommu
 * tier: check
 * timeout: 600
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommufd.h"
#include "leaks.h"
#include "scene.h"

#include "kselftest_harness.h"

#define IOVA		0x100000000ULL
#define IOVA2		0x200000000ULL
#define WINDOW		0x800000
#define PAGE		0x1000
#define NR_MANY		64
#define LIMIT		120	/* seconds per test */

static const struct vfio_region_dma_range one_range[] = {
	{ .offset = 0x203000, .length = 0x8000 },
};

/* The second continues the first, the third lies below both. */
static const struct vfio_region_dma_range several_ranges[] = {
	{ .offset = 0x240000, .length = 0x3000 },
	{ .offset = 0x243000, .length = 0x1000 },
	{ .offset = 0x010000, .length = 0x4000 },
};

static const struct layout one = { one_range, 1 };
static const struct layout several = { several_ranges, 3 };

/* Returns the number of bytes unmapped or -errno. */
static long long unmap_at(struct scene *scene, __u64 iova, __u64 len)
{
	__u64 unmapped;
	int err = ioas_unmap(scene->iommufd, scene->ioas, iova, len, &unmapped);

	return err ? err : (long long)unmapped;
}

/* DMA write to the first block. */
static int first_arrives(struct scene *scene, struct layout layout, __u64 iova)
{
	return scene_write_arrives(scene, iova, layout, 0, PAGE);
}

FIXTURE(map)
{
	struct scene scene;
	struct layout layout;
	long long size;
	unsigned int dmabufs;
	int dmabuf;
};

FIXTURE_VARIANT(map)
{
	const struct layout *layout;
};

FIXTURE_VARIANT_ADD(map, one) { .layout = &one };
FIXTURE_VARIANT_ADD(map, several) { .layout = &several };

FIXTURE_SETUP(map)
{
	self->layout = *variant->layout;
	self->size = layout_size(self->layout);
	self->dmabufs = count_dmabufs();
	scene_open(&self->scene, PCI_ID_IVSHMEM, WINDOW);
	self->dmabuf = scene_export(&self->scene, self->layout);
}

FIXTURE_TEARDOWN(map)
{
	close(self->dmabuf);
	scene_close(&self->scene);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

TEST_F_TIMEOUT(map, arrives, LIMIT)
{
	ASSERT_EQ(0, scene_map_at(&self->scene, self->dmabuf, self->layout, IOVA));
	EXPECT_EQ(0, scene_all_arrives(&self->scene, IOVA, self->layout));
	EXPECT_EQ(self->size, unmap_at(&self->scene, IOVA, self->size));
	EXPECT_EQ(0, scene_write_stopped(&self->scene, IOVA));
}

TEST_F_TIMEOUT(map, any_iova, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 iova = 0;

	ASSERT_EQ(0, ioas_map_file(scene->iommufd, scene->ioas, self->dmabuf, 0,
				   self->size, &iova, MAP_RW));
	EXPECT_EQ(0, first_arrives(scene, self->layout, iova));
	EXPECT_EQ(self->size, unmap_at(scene, iova, self->size));
}

TEST_F_TIMEOUT(map, taken_iova, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	EXPECT_EQ(-EEXIST, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
}

/* Maps a slice; its ends are reachable, the pages around it are not. */
static int try_slice(struct scene *scene, int dmabuf, struct layout layout,
		     __u64 start, __u64 len)
{
	__u64 iova = IOVA;
	int err;

	err = ioas_map_file(scene->iommufd, scene->ioas, dmabuf, start, len,
			    &iova, MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
	if (!err)
		err = scene_write_arrives(scene, IOVA, layout, start, PAGE);
	if (!err)
		err = scene_write_arrives(scene, IOVA + len - PAGE, layout,
					  start + len - PAGE, PAGE);
	if (!err)
		err = scene_write_stopped(scene, IOVA - PAGE);
	if (!err)
		err = scene_write_stopped(scene, IOVA + len);
	if (!err && unmap_at(scene, IOVA, len) != (long long)len)
		err = -EBUSY;
	return err;
}

TEST_F_TIMEOUT(map, slices, LIMIT)
{
	static const __u64 slices[][2] = {
		{ 0, 0x1000 }, { 0x2000, 0x2000 }, { 0x3000, 0x3000 },
		{ 0x1000, 0x7000 }, { 0x7000, 0x1000 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(slices); i++)
		EXPECT_EQ(0, try_slice(&self->scene, self->dmabuf, self->layout,
				       slices[i][0], slices[i][1]))
			TH_LOG("slice at 0x%llx of 0x%llx bytes", slices[i][0],
			       slices[i][1]);
}

static bool slice_gets(struct scene *scene, int dmabuf, __u64 start, __u64 len,
		       int want)
{
	__u64 iova = IOVA;
	int got = ioas_map_file(scene->iommufd, scene->ioas, dmabuf, start, len,
				&iova, MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);

	if (got != want)
		printf("# slice at 0x%llx of 0x%llx bytes: %d, not %d\n", start,
		       len, got, want);
	return got == want;
}

TEST_F_TIMEOUT(map, bad_slices, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 size = self->size;
	int fd = self->dmabuf;

	EXPECT_TRUE(slice_gets(scene, fd, 0, 0, -EINVAL));
	EXPECT_TRUE(slice_gets(scene, fd, 0, size + PAGE, -EINVAL));
	EXPECT_TRUE(slice_gets(scene, fd, size, PAGE, -EINVAL));
	EXPECT_TRUE(slice_gets(scene, fd, size - PAGE, 2 * PAGE, -EINVAL));
	EXPECT_TRUE(slice_gets(scene, fd, 0, PAGE / 2, -EINVAL));
	EXPECT_TRUE(slice_gets(scene, fd, PAGE / 2, PAGE, -EINVAL));
	EXPECT_TRUE(slice_gets(scene, fd, -PAGE, 2 * PAGE, -EOVERFLOW));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
}

TEST_F_TIMEOUT(map, read_only, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 iova = IOVA;

	ASSERT_EQ(0, ioas_map_file(scene->iommufd, scene->ioas, self->dmabuf, 0,
				   self->size, &iova,
				   MAP_RO | IOMMU_IOAS_MAP_FIXED_IOVA));
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA, self->layout, 0, PAGE));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
}

TEST_F_TIMEOUT(map, at_two_iovas, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA2));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA2));
	EXPECT_EQ(self->size, unmap_at(scene, IOVA, self->size));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA2));
}

TEST_F_TIMEOUT(map, unmap_of_a_part, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	EXPECT_EQ(-ENOENT, unmap_at(scene, IOVA, PAGE));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
}

TEST_F_TIMEOUT(map, outlives_the_fd, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	ASSERT_EQ(0, close(self->dmabuf));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	EXPECT_EQ(self->dmabufs + 1, count_dmabufs());
	EXPECT_EQ(self->size, unmap_at(scene, IOVA, self->size));
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

/* An IOAS without large pages maps page by page; the data do not notice. */
TEST_F_TIMEOUT(map, small_pages, LIMIT)
{
	struct scene *scene = &self->scene;
	__u32 ioas;

	ASSERT_EQ(0, ioas_alloc(scene->iommufd, &ioas));
	ASSERT_EQ(0, ioas_set_huge_pages(scene->iommufd, ioas, 0));
	ASSERT_EQ(0, ioas_map_file_at(scene->iommufd, ioas, self->dmabuf,
				      self->size, IOVA));
	ASSERT_EQ(0, edu_map_bounce(&scene->edu, ioas));
	ASSERT_EQ(0, vfio_attach(&scene->edu.dev, ioas));
	EXPECT_EQ(0, scene_all_arrives(scene, IOVA, self->layout));
}

/* Let the edu use another page table or IOAS, where the bounce page is known. */
static int switch_to(struct scene *scene, __u32 pt)
{
	return vfio_attach(&scene->edu.dev, pt);
}

TEST_F_TIMEOUT(map, several_domains, LIMIT)
{
	struct scene *scene = &self->scene;
	__u32 before, after;

	ASSERT_EQ(0, hwpt_alloc(scene->iommufd, scene->edu.dev.id, scene->ioas,
				&before));
	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	ASSERT_EQ(0, hwpt_alloc(scene->iommufd, scene->edu.dev.id, scene->ioas,
				&after));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	ASSERT_EQ(0, switch_to(scene, before));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	ASSERT_EQ(0, switch_to(scene, after));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));

	EXPECT_EQ(0, iommufd_destroy(scene->iommufd, before));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	EXPECT_EQ(self->size, unmap_at(scene, IOVA, self->size));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	ASSERT_EQ(0, switch_to(scene, scene->ioas));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
}

/* No domain at all, then one, then none, then one. */
TEST_F_TIMEOUT(map, last_domain_removed, LIMIT)
{
	struct scene *scene = &self->scene;
	__u32 ioas;

	ASSERT_EQ(0, ioas_alloc(scene->iommufd, &ioas));
	ASSERT_EQ(0, edu_map_bounce(&scene->edu, ioas));
	ASSERT_EQ(0, ioas_map_file_at(scene->iommufd, ioas, self->dmabuf,
				      self->size, IOVA));
	ASSERT_EQ(0, switch_to(scene, ioas));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	ASSERT_EQ(0, vfio_detach(&scene->edu.dev));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	ASSERT_EQ(0, switch_to(scene, ioas));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
}

/* A second IOAS with a copy of the mapping; @ioas is set. */
static int copy_to_new_ioas(struct scene *scene, __u64 len, __u32 *ioas)
{
	__u64 iova = IOVA2;
	int err = ioas_alloc(scene->iommufd, ioas);

	if (!err)
		err = edu_map_bounce(&scene->edu, *ioas);
	return err ? err : ioas_copy(scene->iommufd, *ioas, &iova, scene->ioas,
				     IOVA, len,
				     MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
}

TEST_F_TIMEOUT(map, copy_original_unmapped_first, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 unmapped;
	__u32 ioas;

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	ASSERT_EQ(0, copy_to_new_ioas(scene, self->size, &ioas));
	EXPECT_EQ(self->size, unmap_at(scene, IOVA, self->size));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	ASSERT_EQ(0, switch_to(scene, ioas));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA2));
	EXPECT_EQ(0, ioas_unmap(scene->iommufd, ioas, IOVA2, self->size,
				&unmapped));
	EXPECT_EQ(self->size, (long long)unmapped);
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA2));
}

TEST_F_TIMEOUT(map, copy_unmapped_first, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 unmapped;
	__u32 ioas;

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	ASSERT_EQ(0, copy_to_new_ioas(scene, self->size, &ioas));
	ASSERT_EQ(0, switch_to(scene, ioas));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA2));
	EXPECT_EQ(0, ioas_unmap(scene->iommufd, ioas, IOVA2, self->size,
				&unmapped));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA2));
	ASSERT_EQ(0, switch_to(scene, scene->ioas));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
}

TEST_F_TIMEOUT(map, revoked_by_close, LIMIT)
{
	struct scene *scene = &self->scene;
	int other = scene_export(scene, self->layout);

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	ASSERT_EQ(0, scene_write_due(scene, IOVA));
	scene_close_exporter(scene);
	ASSERT_EQ(0, edu_wait(&scene->edu));
	EXPECT_EQ(-ENODEV, scene_map_at(scene, self->dmabuf, self->layout, IOVA2));
	EXPECT_EQ(-ENODEV, scene_map_at(scene, other, self->layout, IOVA2));
	ASSERT_EQ(0, scene_reopen_exporter(scene));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	EXPECT_EQ(-ENODEV, scene_map_at(scene, self->dmabuf, self->layout, IOVA2));
	EXPECT_EQ(self->size, unmap_at(scene, IOVA, self->size));
	close(other);

	other = scene_export(scene, self->layout);
	EXPECT_EQ(0, scene_map_at(scene, other, self->layout, IOVA));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	close(other);
}

/* Two devices, each with a page table of its own, one mapping. */
TEST_F_TIMEOUT(map, two_initiators, LIMIT)
{
	struct scene *scene = &self->scene;
	struct edu first = scene->edu;
	struct edu second;
	__u32 ioas;
	int err;

	ASSERT_EQ(0, ioas_alloc(scene->iommufd, &ioas));
	err = edu_open(&second, 1, scene->iommufd, ioas);
	if (err == -ENODEV)
		SKIP(return, "only one edu device");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	ASSERT_EQ(0, ioas_map_file_at(scene->iommufd, ioas, self->dmabuf,
				      self->size, IOVA));
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	scene->edu = second;
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	scene->edu = first;
	EXPECT_EQ(self->size, unmap_at(scene, IOVA, self->size));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	scene->edu = second;
	EXPECT_EQ(0, first_arrives(scene, self->layout, IOVA));
	scene->edu = first;
	edu_close(&second);
}

/* What is not a dma-buf, and ranges that are large. */
FIXTURE(other)
{
	struct scene scene;
};

FIXTURE_SETUP(other)
{
	scene_open(&self->scene, PCI_ID_IVSHMEM, 0);
}

FIXTURE_TEARDOWN(other)
{
	scene_close(&self->scene);
}

static int map_fd(struct scene *scene, int fd)
{
	return ioas_map_file_at(scene->iommufd, scene->ioas, fd, PAGE, IOVA);
}

TEST_F_TIMEOUT(other, fds, LIMIT)
{
	struct scene *scene = &self->scene;
	int eventfd_fd = eventfd(0, EFD_CLOEXEC);

	EXPECT_EQ(-EBADF, map_fd(scene, -1));
	EXPECT_EQ(-EINVAL, map_fd(scene, eventfd_fd));
	EXPECT_EQ(-EINVAL, map_fd(scene, scene->iommufd));
	EXPECT_EQ(-EINVAL, map_fd(scene, scene->exporter.fd));
	close(eventfd_fd);
}

/* The other half of MAP_FILE still does what it did. */
TEST_F_TIMEOUT(other, memfd, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 data[PAGE], *memory;
	int fd = memfd_create("other", MFD_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, map_fd(scene, fd));
	scene_pattern(scene, data, sizeof(data));
	ASSERT_EQ(0, edu_write(&scene->edu, IOVA, data, sizeof(data)));
	EXPECT_EQ(0, memcmp(data, memory, sizeof(data)));
	EXPECT_EQ(0, scene_judge(scene));
	close(fd);
}

/* One to four pages each, a gap behind each, shuffled. */
static void make_many(struct vfio_region_dma_range *ranges)
{
	unsigned int i;

	for (i = 0; i < NR_MANY; i++) {
		ranges[i].offset = (i * 37 % NR_MANY) * 5 * PAGE + PAGE;
		ranges[i].length = (1 + i % 4) * PAGE;
	}
}

TEST_F_TIMEOUT(other, many_ranges, LIMIT)
{
	struct vfio_region_dma_range ranges[NR_MANY];
	const struct layout layout = { ranges, NR_MANY };
	struct scene *scene = &self->scene;
	int dmabuf;

	make_many(ranges);
	dmabuf = scene_export(scene, layout);
	ASSERT_EQ(0, scene_map_at(scene, dmabuf, layout, IOVA));
	EXPECT_EQ(0, scene_all_arrives(scene, IOVA, layout));
	ASSERT_LT(0, unmap_at(scene, IOVA, layout_size(layout)));
	EXPECT_EQ(0, try_slice(scene, dmabuf, layout, 0x5000, 0x20000));
	close(dmabuf);
}

TEST_F_TIMEOUT(other, large_ranges, LIMIT)
{
	static const struct vfio_region_dma_range ranges[] = {
		{ .offset = 0x2000000, .length = 0x1400000 },
		{ .offset = 0x0001000, .length = 0x0600000 },
	};
	const struct layout layout = { ranges, ARRAY_SIZE(ranges) };
	struct scene *scene = &self->scene;
	int dmabuf = scene_export(scene, layout);

	ASSERT_EQ(0, scene_map_at(scene, dmabuf, layout, IOVA));
	EXPECT_EQ(0, scene_all_arrives(scene, IOVA, layout));
	close(dmabuf);
}

/* The same bytes twice in one dma-buf. */
TEST_F_TIMEOUT(other, ranges_that_alias, LIMIT)
{
	static const struct vfio_region_dma_range ranges[] = {
		{ .offset = 0x5000, .length = 0x2000 },
		{ .offset = 0x6000, .length = 0x2000 },
	};
	const struct layout layout = { ranges, ARRAY_SIZE(ranges) };
	struct scene *scene = &self->scene;
	int dmabuf = scene_export(scene, layout);

	ASSERT_EQ(0, scene_map_at(scene, dmabuf, layout, IOVA));
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA + PAGE, layout, PAGE,
					 PAGE));
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA + 2 * PAGE, layout,
					2 * PAGE, PAGE));
	close(dmabuf);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: MIT
/*
 * iommufd as importer of dma-bufs that are described by physical ranges.
 *
 * The DMA is that of QEMU's edu device. Every comparison is of the whole window on
 * the BAR, so a byte that changes elsewhere is seen as well.
 *
 * libs: igt
 */
#include <errno.h>
#include <unistd.h>

#include "igt.h"
#include "iommufd.h"
#include "stage.h"

/**
 * TEST: iommufd dmabuf
 * Description: A BAR of one device, mapped for the DMA of another by iommufd.
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: dma-buf
 * Functionality: import
 *
 * SUBTEST: one-range-arrives
 * Description: DMA to and from a range arrives there and nowhere else.
 *
 * SUBTEST: several-ranges-are-one-mapping
 * Description: Ranges follow each other at the IOVA, also across their seams.
 *
 * SUBTEST: slice-begins-anywhere
 * Description: A slice of the buffer can be mapped by itself.
 *
 * SUBTEST: read-only-is-not-written
 * Description: DMA cannot write through a mapping that only reads.
 *
 * SUBTEST: decode-off-stops-dma
 * Description: Once memory decode is off, DMA changes no byte.
 *
 * SUBTEST: dma-in-flight-ends
 * Description: Nor does DMA that was under way.
 *
 * SUBTEST: restore-is-at-the-same-iova
 * Description: With decode on again DMA arrives, without mapping anew.
 *
 * SUBTEST: reset-ends-mapped
 * Description: After a reset DMA arrives, without mapping anew.
 *
 * SUBTEST: suspended-buffer-is-not-mapped
 * Description: A suspended buffer is refused, a restored one is mapped.
 *
 * SUBTEST: unmap-while-suspended
 * Description: What was unmapped meanwhile does not come back.
 *
 * SUBTEST: every-domain-follows
 * Description: Three domains are emptied and filled.
 *
 * SUBTEST: domain-added-while-suspended
 * Description: A domain that is added meanwhile is filled at restore.
 *
 * SUBTEST: revoke-is-for-good
 * Description: Once the device was closed, DMA changes no byte any more.
 *
 * SUBTEST: mapping-is-not-split
 * Description: Only all of a mapping can be unmapped.
 *
 * SUBTEST: unmap-detaches
 * Description: Nothing of the importer is left after unmap.
 *
 * SUBTEST: importer-keeps-buffer
 * Description: A mapping works when the file descriptor is closed.
 */

IGT_TEST_DESCRIPTION("iommufd as importer of dma-bufs described by physical ranges");

#define IOVA2	0x200000000ULL

static int export_and_map(struct scene *scene, struct layout layout)
{
	int fd = scene_export(scene, layout);

	igt_assert_eq(scene_map_at(scene, fd, layout, IOVA), 0);
	return fd;
}

static void set_memory(struct scene *scene, bool on)
{
	igt_assert_eq(vfio_set_memory(&scene->exporter, on), 0);
}

static void arrives(struct scene *scene, __u64 iova)
{
	igt_assert_eq(scene_write_arrives(scene, iova, one_range, 0, PAGE), 0);
}

/* DMA that nobody can watch now; the window shows later that it did nothing. */
static void try_dma(struct scene *scene, __u64 iova)
{
	igt_assert_eq(scene_write_due(scene, iova), 0);
	igt_assert_eq(edu_wait(&scene->edu), 0);
}

static void one_range_arrives(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);

	igt_assert_eq(scene_all_arrives(scene, IOVA, one_range), 0);
	close(fd);
}

static void several_ranges(struct scene *scene)
{
	int fd = export_and_map(scene, three_ranges);

	igt_assert_eq(scene_all_arrives(scene, IOVA, three_ranges), 0);
	close(fd);
}

static void slice(struct scene *scene)
{
	int fd = scene_export(scene, three_ranges);
	__u64 iova = IOVA;

	igt_assert_eq(ioas_map_file(scene->iommufd, scene->ioas, fd, PAGE,
				    3 * PAGE, &iova,
				    MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA), 0);
	igt_assert_eq(scene_write_arrives(scene, IOVA, three_ranges, PAGE,
					  PAGE), 0);
	igt_assert_eq(scene_read_arrives(scene, IOVA + 2 * PAGE, three_ranges,
					 3 * PAGE, PAGE), 0);
	igt_assert_eq(scene_write_stopped(scene, IOVA + 3 * PAGE), 0);
	close(fd);
}

static void read_only(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	__u64 iova = IOVA;

	igt_assert_eq(ioas_map_file(scene->iommufd, scene->ioas, fd, 0,
				    layout_size(one_range), &iova,
				    MAP_RO | IOMMU_IOAS_MAP_FIXED_IOVA), 0);
	igt_assert_eq(scene_read_arrives(scene, IOVA, one_range, 0, PAGE), 0);
	igt_assert_eq(scene_write_stopped(scene, IOVA), 0);
	close(fd);
}

static void decode_off(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);

	arrives(scene, IOVA);
	set_memory(scene, false);
	try_dma(scene, IOVA);
	set_memory(scene, true);
	igt_assert_eq(scene_judge(scene), 0);
	close(fd);
}

static void in_flight(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);

	arrives(scene, IOVA);
	igt_assert_eq(scene_write_due(scene, IOVA), 0);
	set_memory(scene, false);
	igt_assert_eq(edu_wait(&scene->edu), 0);
	set_memory(scene, true);
	igt_assert_eq(scene_judge(scene), 0);
	close(fd);
}

static void restore(struct scene *scene)
{
	int fd = export_and_map(scene, three_ranges);

	set_memory(scene, false);
	assert_holds(fd, 1, 0);
	set_memory(scene, true);
	assert_holds(fd, 1, 1);
	igt_assert_eq(scene_all_arrives(scene, IOVA, three_ranges), 0);
	close(fd);
}

static void reset(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);

	igt_assert_eq(vfio_reset(&scene->exporter), 0);
	arrives(scene, IOVA);
	close(fd);
}

static void not_mapped(struct scene *scene)
{
	int fd = scene_export(scene, one_range);

	set_memory(scene, false);
	igt_assert_eq(scene_map_at(scene, fd, one_range, IOVA), -ENODEV);
	assert_holds(fd, 0, 0);
	set_memory(scene, true);
	igt_assert_eq(scene_map_at(scene, fd, one_range, IOVA), 0);
	arrives(scene, IOVA);
	close(fd);
}

static void unmap_all(struct scene *scene, __u32 ioas, __u64 iova)
{
	__u64 unmapped;

	igt_assert_eq(ioas_unmap(scene->iommufd, ioas, iova,
				 layout_size(one_range), &unmapped), 0);
	igt_assert_eq_u64(unmapped, layout_size(one_range));
}

static void unmap_meanwhile(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);

	set_memory(scene, false);
	unmap_all(scene, scene->ioas, IOVA);
	set_memory(scene, true);
	assert_holds(fd, 0, 0);
	igt_assert_eq(scene_write_stopped(scene, IOVA), 0);
	close(fd);
}

/* A copy of the mapping, at IOVA2 of an IOAS of its own. */
static __u32 copy_ioas(struct scene *scene)
{
	__u64 iova = IOVA2;
	__u32 ioas;

	igt_assert_eq(ioas_alloc(scene->iommufd, &ioas), 0);
	igt_assert_eq(edu_map_bounce(&scene->edu, ioas), 0);
	igt_assert_eq(ioas_copy(scene->iommufd, ioas, &iova, scene->ioas, IOVA,
				layout_size(one_range),
				MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA), 0);
	return ioas;
}

static void every_domain(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);
	__u32 ioas = copy_ioas(scene), in_first, in_second;

	igt_assert_eq(hwpt_alloc(scene->iommufd, scene->edu.dev.id, scene->ioas,
				 &in_first), 0);
	igt_assert_eq(hwpt_alloc(scene->iommufd, scene->edu.dev.id, ioas,
				 &in_second), 0);
	assert_holds(fd, 1, 3);
	set_memory(scene, false);
	assert_holds(fd, 1, 0);
	set_memory(scene, true);
	assert_holds(fd, 1, 3);
	arrives(scene, IOVA);
	igt_assert_eq(vfio_attach(&scene->edu.dev, in_first), 0);
	arrives(scene, IOVA);
	igt_assert_eq(vfio_attach(&scene->edu.dev, in_second), 0);
	arrives(scene, IOVA2);
	igt_assert_eq(scene_write_stopped(scene, IOVA), 0);
	close(fd);
}

static void domain_added(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);
	__u32 hwpt;

	set_memory(scene, false);
	igt_assert_eq(hwpt_alloc(scene->iommufd, scene->edu.dev.id, scene->ioas,
				 &hwpt), 0);
	igt_assert_eq(vfio_attach(&scene->edu.dev, hwpt), 0);
	set_memory(scene, true);
	arrives(scene, IOVA);
	close(fd);
}

static void revoked_for_good(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);

	arrives(scene, IOVA);
	scene_close_exporter(scene);
	try_dma(scene, IOVA);
	igt_assert_eq(scene_reopen_exporter(scene), 0);
	igt_assert_eq(scene_judge(scene), 0);
	igt_assert_eq(scene_write_stopped(scene, IOVA), 0);
	igt_assert_eq(scene_map_at(scene, fd, one_range, IOVA2), -ENODEV);
	unmap_all(scene, scene->ioas, IOVA);
	close(fd);
}

static void not_split(struct scene *scene)
{
	int fd = export_and_map(scene, one_range);
	__u64 unmapped;

	igt_assert(ioas_unmap(scene->iommufd, scene->ioas, IOVA, PAGE,
			      &unmapped) < 0);
	arrives(scene, IOVA);
	unmap_all(scene, scene->ioas, IOVA);
	igt_assert_eq(scene_write_stopped(scene, IOVA), 0);
	close(fd);
}

static void unmap_detaches(struct scene *scene)
{
	int fd = export_and_map(scene, three_ranges);
	__u64 unmapped;

	assert_holds(fd, 1, 1);
	igt_assert_eq(ioas_unmap(scene->iommufd, scene->ioas, IOVA,
				 layout_size(three_ranges), &unmapped), 0);
	assert_holds(fd, 0, 0);
	close(fd);
}

static void keeps_buffer(struct scene *scene)
{
	close(export_and_map(scene, one_range));
	arrives(scene, IOVA);
	set_memory(scene, false);
	set_memory(scene, true);
	arrives(scene, IOVA);
}

igt_main()
{
	igt_fixture()
		phys_require();

	igt_describe("DMA to and from a range arrives there and nowhere else");
	igt_subtest("one-range-arrives")
		with_dma(one_range_arrives);

	igt_describe("ranges follow each other at the IOVA, seams included");
	igt_subtest("several-ranges-are-one-mapping")
		with_dma(several_ranges);

	igt_describe("a slice of the buffer can be mapped by itself");
	igt_subtest("slice-begins-anywhere")
		with_dma(slice);

	igt_describe("DMA cannot write through a mapping that only reads");
	igt_subtest("read-only-is-not-written")
		with_dma(read_only);

	igt_describe("once memory decode is off, DMA changes no byte");
	igt_subtest("decode-off-stops-dma")
		with_dma(decode_off);

	igt_describe("nor does DMA that was under way");
	igt_subtest("dma-in-flight-ends")
		with_dma(in_flight);

	igt_describe("with decode on again DMA arrives, without mapping anew");
	igt_subtest("restore-is-at-the-same-iova")
		with_dma(restore);

	igt_describe("after a reset DMA arrives, without mapping anew");
	igt_subtest("reset-ends-mapped")
		with_dma(reset);

	igt_describe("a suspended buffer is refused, a restored one is mapped");
	igt_subtest("suspended-buffer-is-not-mapped")
		with_dma(not_mapped);

	igt_describe("what was unmapped meanwhile does not come back");
	igt_subtest("unmap-while-suspended")
		with_dma(unmap_meanwhile);

	igt_describe("three domains are emptied and filled");
	igt_subtest("every-domain-follows")
		with_dma(every_domain);

	igt_describe("a domain that is added meanwhile is filled at restore");
	igt_subtest("domain-added-while-suspended")
		with_dma(domain_added);

	igt_describe("once the device was closed, DMA changes no byte any more");
	igt_subtest("revoke-is-for-good")
		with_dma(revoked_for_good);

	igt_describe("only all of a mapping can be unmapped");
	igt_subtest("mapping-is-not-split")
		with_dma(not_split);

	igt_describe("nothing of the importer is left after unmap");
	igt_subtest("unmap-detaches")
		with_dma(unmap_detaches);

	igt_describe("a mapping works when the file descriptor is closed");
	igt_subtest("importer-keeps-buffer")
		with_dma(keeps_buffer);
}

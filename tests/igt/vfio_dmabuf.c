// SPDX-License-Identifier: MIT
/*
 * VFIO as exporter of dma-bufs that are described by physical ranges.
 *
 * libs: igt
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "igt.h"
#include "leaks.h"
#include "stage.h"

/**
 * TEST: vfio dmabuf
 * Description: BARs that VFIO exports: what is accepted, and the states.
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: dma-buf
 * Functionality: export
 *
 * SUBTEST: size-is-the-sum-of-the-ranges
 * Description: One or more ranges of a BAR become one live buffer of that size.
 *
 * SUBTEST: ranges-may-alias
 * Description: The same range twice is twice in the buffer.
 *
 * SUBTEST: mmap-shows-the-ranges
 * Description: The CPU sees the BAR at the ranges, shared, and never privately.
 *
 * SUBTEST: refuses-%s
 * Description: Bad input has one errno and leaves no buffer behind.
 * arg[1].values: no-range, empty-range, unaligned-offset, unaligned-length,
 *	range-behind-the-bar, offset-that-overflows, absent-bar, config-space,
 *	unknown-flags, too-many-ranges
 *
 * SUBTEST: decode-off-suspends
 * Description: Suspended while memory decode is off, live when it is on again.
 *
 * SUBTEST: low-power-suspends
 * Description: The same for a low power state.
 *
 * SUBTEST: reset-ends-live
 * Description: After a reset the buffer is live again.
 *
 * SUBTEST: reasons-add-up
 * Description: A reset does not bring back what decode off took away.
 *
 * SUBTEST: all-buffers-of-the-device-follow
 * Description: Every buffer of the device is suspended, and restored.
 *
 * SUBTEST: export-while-suspended-begins-suspended
 * Description: A buffer that is exported meanwhile is not live.
 *
 * SUBTEST: close-revokes
 * Description: The last close of the device revokes, for good.
 *
 * SUBTEST: closed-buffer-is-forgotten
 * Description: When the last reference is gone nothing is left.
 */

IGT_TEST_DESCRIPTION("VFIO as exporter of dma-bufs described by physical ranges");

#define BAR_SIZE	(64ULL << 20)
#define MANY		131073		/* one more than documented */

static int export(struct scene *scene, struct layout layout)
{
	int fd = vfio_export(&scene->exporter, SCENE_BAR, layout.ranges,
			     layout.nr);

	igt_assert_lte(0, fd);
	return fd;
}

static void size_is_the_sum(struct scene *scene)
{
	const struct layout *layouts[] = { &one_range, &three_ranges };
	struct phys_buffer buffer;
	unsigned int i;
	int fd;

	for (i = 0; i < 2; i++) {
		fd = export(scene, *layouts[i]);
		igt_assert_eq_u64(lseek(fd, 0, SEEK_END),
				  layout_size(*layouts[i]));
		igt_assert(phys_buffer(fd, &buffer));
		igt_assert_eq_u64(buffer.size, layout_size(*layouts[i]));
		assert_state(fd, "live");
		close(fd);
	}
}

static void ranges_may_alias(struct scene *scene)
{
	const struct vfio_region_dma_range twice[] = {
		{ .offset = PAGE, .length = PAGE },
		{ .offset = PAGE, .length = PAGE },
	};
	int fd = export(scene, (struct layout){ twice, 2 });

	igt_assert_eq_u64(lseek(fd, 0, SEEK_END), 2 * PAGE);
	close(fd);
}

static void shows_the_ranges(struct scene *scene)
{
	int fd = export(scene, one_range);
	__u8 *map;

	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	igt_assert(map != MAP_FAILED);
	igt_assert_eq(memcmp(map, scene->bar.want + one_range.ranges[0].offset,
			     PAGE), 0);
	munmap(map, PAGE);
	map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	igt_assert(map == MAP_FAILED);
	igt_assert_eq(errno, EINVAL);
	close(fd);
}

static const struct refusal {
	const char *what;
	int want;
	__u32 bar;
	__u32 nr;
	struct vfio_region_dma_range range;
} refusals[] = {
	{ "no-range", -EINVAL, SCENE_BAR, 0 },
	{ "empty-range", -EINVAL, SCENE_BAR, 1, { 0, 0 } },
	{ "unaligned-offset", -EINVAL, SCENE_BAR, 1, { 512, PAGE } },
	{ "unaligned-length", -EINVAL, SCENE_BAR, 1, { 0, PAGE + 512 } },
	{ "range-behind-the-bar", -EINVAL, SCENE_BAR, 1,
	  { BAR_SIZE - PAGE, 2 * PAGE } },
	{ "offset-that-overflows", -EOVERFLOW, SCENE_BAR, 1,
	  { -PAGE, 2 * PAGE } },
	{ "absent-bar", -ENODEV, 1, 1, { 0, PAGE } },
	{ "config-space", -ENODEV, VFIO_PCI_CONFIG_REGION_INDEX, 1, { 0, PAGE } },
};

static const struct refusal *refused;

static void refuses(struct scene *scene)
{
	const unsigned int before = count_dmabufs();

	igt_assert_eq(vfio_export(&scene->exporter, refused->bar,
				  &refused->range, refused->nr), refused->want);
	igt_assert_eq(count_dmabufs(), before);
}

static void refuses_flags(struct scene *scene)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf dma_buf;
		struct vfio_region_dma_range range;
	} request = {
		.feature = {
			.argsz = sizeof(request),
			.flags = VFIO_DEVICE_FEATURE_GET |
				 VFIO_DEVICE_FEATURE_DMA_BUF,
		},
		.dma_buf = {
			.region_index = SCENE_BAR,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = 1,
		},
		.range = { .length = PAGE },
	};
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		request.dma_buf.flags = 1U << bit;
		igt_assert_eq(vfio_feature(&scene->exporter, &request), -EINVAL);
	}
}

static void refuses_many(struct scene *scene)
{
	struct vfio_region_dma_range *ranges = calloc(MANY, sizeof(*ranges));
	unsigned int i;

	igt_assert(ranges);
	for (i = 0; i < MANY; i++)
		ranges[i].length = PAGE;
	igt_assert_eq(vfio_export(&scene->exporter, SCENE_BAR, ranges, MANY),
		      -EINVAL);
	free(ranges);
}

static void decode_off_suspends(struct scene *scene)
{
	int fd = export(scene, three_ranges);

	igt_assert_eq(vfio_set_memory(&scene->exporter, false), 0);
	assert_state(fd, "suspended: decode");
	igt_assert_eq(vfio_set_memory(&scene->exporter, true), 0);
	assert_state(fd, "live");
	close(fd);
}

static void low_power_suspends(struct scene *scene)
{
	int fd = export(scene, one_range);

	igt_assert_eq(vfio_low_power(&scene->exporter, true), 0);
	assert_state(fd, "suspended: decode");
	igt_assert_eq(vfio_low_power(&scene->exporter, false), 0);
	assert_state(fd, "live");
	close(fd);
}

static void reset_ends_live(struct scene *scene)
{
	int fd = export(scene, one_range);

	igt_assert_eq(vfio_reset(&scene->exporter), 0);
	assert_state(fd, "live");
	close(fd);
}

static void reasons_add_up(struct scene *scene)
{
	int fd = export(scene, one_range);

	igt_assert_eq(vfio_set_memory(&scene->exporter, false), 0);
	igt_assert_eq(pci_sysfs_reset(scene->exporter.name), 0);
	assert_state(fd, "suspended: decode");
	igt_assert_eq(vfio_set_memory(&scene->exporter, true), 0);
	assert_state(fd, "live");
	close(fd);
}

static void all_follow(struct scene *scene)
{
	int fds[8];
	unsigned int i;

	for (i = 0; i < 8; i++)
		fds[i] = export(scene, i % 2 ? one_range : three_ranges);
	igt_assert_eq(vfio_set_memory(&scene->exporter, false), 0);
	for (i = 0; i < 8; i++)
		assert_state(fds[i], "suspended: decode");
	igt_assert_eq(vfio_set_memory(&scene->exporter, true), 0);
	for (i = 0; i < 8; i++) {
		assert_state(fds[i], "live");
		close(fds[i]);
	}
}

static void begins_suspended(struct scene *scene)
{
	int fd;

	igt_assert_eq(vfio_set_memory(&scene->exporter, false), 0);
	fd = export(scene, one_range);
	assert_state(fd, "suspended: decode");
	igt_assert_eq(vfio_set_memory(&scene->exporter, true), 0);
	assert_state(fd, "live");
	close(fd);
}

static void close_revokes(struct scene *scene)
{
	int fd = export(scene, one_range);

	scene_close_exporter(scene);
	assert_state(fd, "revoked");
	igt_assert_eq(scene_reopen_exporter(scene), 0);
	assert_state(fd, "revoked");
	close(fd);
}

static void forgotten(struct scene *scene)
{
	const struct holdings before = count_holdings();
	int fd = export(scene, one_range);

	igt_assert_eq(count_holdings().buffers, before.buffers + 1);
	scene_close_exporter(scene);
	igt_assert_eq(count_holdings().buffers, before.buffers + 1);
	close(fd);
	igt_assert(same_holdings(settle_holdings(before), before));
}

igt_main()
{
	unsigned int i;

	igt_fixture()
		phys_require();

	igt_describe("one or more ranges become one live buffer of that size");
	igt_subtest("size-is-the-sum-of-the-ranges")
		with_exporter(size_is_the_sum);

	igt_describe("the same range twice is twice in the buffer");
	igt_subtest("ranges-may-alias")
		with_exporter(ranges_may_alias);

	igt_describe("the CPU sees the BAR at the ranges");
	igt_subtest("mmap-shows-the-ranges")
		with_exporter(shows_the_ranges);

	igt_describe("bad input has one errno and leaves no buffer behind");
	igt_subtest_group() {
		for (i = 0; i < ARRAY_SIZE(refusals); i++) {
			igt_subtest_f("refuses-%s", refusals[i].what) {
				refused = &refusals[i];
				with_exporter(refuses);
			}
		}
		igt_subtest("refuses-unknown-flags")
			with_exporter(refuses_flags);
		igt_subtest("refuses-too-many-ranges")
			with_exporter(refuses_many);
	}

	igt_describe("suspended while memory decode is off, then live");
	igt_subtest("decode-off-suspends")
		with_exporter(decode_off_suspends);

	igt_describe("suspended in a low power state, then live");
	igt_subtest("low-power-suspends")
		with_exporter(low_power_suspends);

	igt_describe("after a reset the buffer is live");
	igt_subtest("reset-ends-live")
		with_exporter(reset_ends_live);

	igt_describe("a reset does not bring back what decode off took away");
	igt_subtest("reasons-add-up")
		with_exporter(reasons_add_up);

	igt_describe("every buffer of the device is suspended, and restored");
	igt_subtest("all-buffers-of-the-device-follow")
		with_exporter(all_follow);

	igt_describe("a buffer that is exported meanwhile is not live");
	igt_subtest("export-while-suspended-begins-suspended")
		with_exporter(begins_suspended);

	igt_describe("the last close of the device revokes, for good");
	igt_subtest("close-revokes")
		with_exporter(close_revokes);

	igt_describe("when the last reference is gone nothing is left");
	igt_subtest("closed-buffer-is-forgotten")
		with_exporter(forgotten);
}

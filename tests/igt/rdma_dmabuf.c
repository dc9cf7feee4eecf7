// SPDX-License-Identifier: MIT
/*
 * RDMA as importer of dma-bufs that are described by physical ranges.
 *
 * The software RDMA device (rxe) through libibverbs. Every comparison is of the
 * whole window on the BAR, so a byte that changes elsewhere is seen as well.
 *
 * libs: igt ibverbs
 */
#include <errno.h>
#include <unistd.h>

#include "igt.h"
#include "leaks.h"
#include "loop.h"
#include "stage.h"

/**
 * TEST: rdma dmabuf
 * Description: A BAR as RDMA memory region of the software device.
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: dma-buf
 * Functionality: import
 *
 * SUBTEST: write-arrives-in-the-bar
 * Description: An RDMA write changes these bytes of the BAR and no other.
 *
 * SUBTEST: read-comes-from-the-bar
 * Description: An RDMA read returns what the BAR holds.
 *
 * SUBTEST: atomic-works-on-the-bar
 * Description: A fetch and add changes 8 bytes of the BAR.
 *
 * SUBTEST: several-ranges-are-one-region
 * Description: Accesses cross the seams between the ranges.
 *
 * SUBTEST: slice-begins-anywhere
 * Description: A region may begin and end inside of a page.
 *
 * SUBTEST: outside-the-region-is-refused
 * Description: The bytes around the region cannot be reached.
 *
 * SUBTEST: slice-behind-the-buffer-is-refused
 * Description: Nothing is registered that the buffer does not have.
 *
 * SUBTEST: suspended-buffer-is-not-registered
 * Description: Registration fails until the memory is back.
 *
 * SUBTEST: suspend-ends-access
 * Description: Once memory decode is off, RDMA changes no byte.
 *
 * SUBTEST: pinned-region-stays-dead
 * Description: A pinned region does not come back, but a new one can be made.
 *
 * SUBTEST: on-demand-region-comes-back
 * Description: A region on demand works again, with the same key.
 *
 * SUBTEST: revoke-is-for-good
 * Description: Once the device was closed, neither kind of region works again.
 *
 * SUBTEST: region-keeps-buffer
 * Description: A region works when the file descriptor is closed.
 *
 * SUBTEST: deregistering-detaches
 * Description: Nothing of the importer is left, dead or alive.
 *
 * SUBTEST: beside-iommufd
 * Description: Two importers of one buffer see the same bytes and stop together.
 */

IGT_TEST_DESCRIPTION("RDMA as importer of dma-bufs described by physical ranges");

#define MR_IOVA		0x7e0000000000ULL
#define ON_DEMAND	(LOOP_ALL | IBV_ACCESS_ON_DEMAND)

static struct ibv_mr *reg(int fd, struct layout layout, int access)
{
	struct ibv_mr *mr = loop_reg(fd, 0, layout_size(layout), MR_IOVA, access);

	igt_assert_f(mr, "ibv_reg_dmabuf_mr: %m\n");
	return mr;
}

static void assert_refused(int fd, __u64 offset, size_t len, int want)
{
	igt_assert(!loop_reg(fd, offset, len, MR_IOVA, LOOP_ALL));
	igt_assert_eq(errno, want);
}

/* @len bytes, written to byte @offset of the buffer, are there. */
static void writes_at(struct scene *scene, struct layout layout,
		      struct ibv_mr *mr, __u64 offset, size_t len)
{
	scene_pattern(scene, loop_memory, len);
	bar_note(&scene->bar, layout, offset, loop_memory, len);
	igt_assert_eq(loop_write(MR_IOVA + offset, mr->rkey, len),
		      IBV_WC_SUCCESS);
	igt_assert_eq(scene_judge(scene), 0);
}

static void reads_at(struct scene *scene, struct layout layout,
		     struct ibv_mr *mr, __u64 offset, size_t len)
{
	__u8 want[4 * PAGE];

	bar_expect(&scene->bar, layout, offset, want, len);
	memset(loop_memory, 0, len);
	igt_assert_eq(loop_read(MR_IOVA + offset, mr->rkey, len),
		      IBV_WC_SUCCESS);
	igt_assert(!memcmp(loop_memory, want, len));
}

static void fails(struct scene *scene, struct ibv_mr *mr)
{
	scene_pattern(scene, loop_memory, PAGE);
	igt_assert_eq(loop_write(MR_IOVA, mr->rkey, PAGE),
		      IBV_WC_REM_ACCESS_ERR);
}

static void set_memory(struct scene *scene, bool on)
{
	igt_assert_eq(vfio_set_memory(&scene->exporter, on), 0);
}

static void write_arrives(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, LOOP_ALL);

	writes_at(scene, one_range, mr, 0, PAGE);
	writes_at(scene, one_range, mr, 3 * PAGE + 5, 777);
	writes_at(scene, one_range, mr, layout_size(one_range) - 1, 1);
	loop_dereg(mr);
	close(fd);
}

static void read_comes(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, LOOP_ALL);

	reads_at(scene, one_range, mr, 0, PAGE);
	reads_at(scene, one_range, mr, 5, 3 * PAGE + 77);
	loop_dereg(mr);
	close(fd);
}

static void atomic_works(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, LOOP_ALL);
	__u64 before, after, got;

	bar_expect(&scene->bar, one_range, PAGE, &before, sizeof(before));
	after = before + 42;
	bar_note(&scene->bar, one_range, PAGE, &after, sizeof(after));
	igt_assert_eq(loop_fetch_add(MR_IOVA + PAGE, mr->rkey, 42),
		      IBV_WC_SUCCESS);
	memcpy(&got, loop_memory, sizeof(got));
	igt_assert_eq_u64(got, before);
	igt_assert_eq(scene_judge(scene), 0);
	loop_dereg(mr);
	close(fd);
}

static void several_ranges(struct scene *scene)
{
	int fd = scene_export(scene, three_ranges);
	struct ibv_mr *mr = reg(fd, three_ranges, LOOP_ALL);

	writes_at(scene, three_ranges, mr, PAGE + 9, 3 * PAGE);
	reads_at(scene, three_ranges, mr, PAGE + 9, 3 * PAGE);
	loop_dereg(mr);
	close(fd);
}

static void slice(struct scene *scene)
{
	int fd = scene_export(scene, three_ranges);
	struct ibv_mr *mr = loop_reg(fd, PAGE + 100, 2 * PAGE, MR_IOVA + 100,
				     LOOP_ALL);

	igt_assert_f(mr, "ibv_reg_dmabuf_mr: %m\n");
	scene_pattern(scene, loop_memory, 2 * PAGE);
	bar_note(&scene->bar, three_ranges, PAGE + 100, loop_memory, 2 * PAGE);
	igt_assert_eq(loop_write(MR_IOVA + 100, mr->rkey, 2 * PAGE),
		      IBV_WC_SUCCESS);
	igt_assert_eq(scene_judge(scene), 0);
	loop_dereg(mr);
	close(fd);
}

static void outside(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = loop_reg(fd, PAGE, PAGE, MR_IOVA, LOOP_ALL);

	igt_assert(mr);
	igt_assert_eq(loop_write(MR_IOVA - 1, mr->rkey, 2),
		      IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(loop_write(MR_IOVA + PAGE - 1, mr->rkey, 2),
		      IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(scene_judge(scene), 0);
	loop_dereg(mr);
	close(fd);
}

static void behind(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	size_t size = layout_size(one_range);

	assert_refused(fd, 0, size + PAGE, EINVAL);
	assert_refused(fd, size, PAGE, EINVAL);
	assert_holds(fd, 0, 0);
	close(fd);
}

static void not_registered(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr;

	set_memory(scene, false);
	assert_refused(fd, 0, PAGE, ENODEV);
	assert_holds(fd, 0, 0);
	set_memory(scene, true);
	mr = reg(fd, one_range, LOOP_ALL);
	writes_at(scene, one_range, mr, 0, PAGE);
	loop_dereg(mr);
	close(fd);
}

static void suspend_ends(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, LOOP_ALL);

	writes_at(scene, one_range, mr, 0, PAGE);
	set_memory(scene, false);
	fails(scene, mr);
	set_memory(scene, true);
	igt_assert_eq(scene_judge(scene), 0);
	loop_dereg(mr);
	close(fd);
}

static void stays_dead(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, LOOP_ALL), *anew;

	set_memory(scene, false);
	set_memory(scene, true);
	fails(scene, mr);
	igt_assert_eq(scene_judge(scene), 0);
	anew = reg(fd, one_range, LOOP_ALL);
	writes_at(scene, one_range, anew, 0, PAGE);
	loop_dereg(anew);
	loop_dereg(mr);
	close(fd);
}

static void comes_back(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, ON_DEMAND);

	writes_at(scene, one_range, mr, 0, PAGE);
	set_memory(scene, false);
	fails(scene, mr);
	set_memory(scene, true);
	igt_assert_eq(scene_judge(scene), 0);
	writes_at(scene, one_range, mr, 0, PAGE);
	loop_dereg(mr);
	close(fd);
}

static void revoked_for_good(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *pinned = reg(fd, one_range, LOOP_ALL);
	struct ibv_mr *on_demand = reg(fd, one_range, ON_DEMAND);

	scene_close_exporter(scene);
	fails(scene, pinned);
	fails(scene, on_demand);
	igt_assert_eq(scene_reopen_exporter(scene), 0);
	fails(scene, pinned);
	fails(scene, on_demand);
	igt_assert_eq(scene_judge(scene), 0);
	assert_refused(fd, 0, PAGE, ENODEV);
	loop_dereg(on_demand);
	loop_dereg(pinned);
	close(fd);
}

static void keeps_buffer(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, LOOP_ALL);

	close(fd);
	writes_at(scene, one_range, mr, 0, PAGE);
	loop_dereg(mr);
}

static void detaches(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *alive = reg(fd, one_range, LOOP_ALL), *dead = alive;

	assert_holds(fd, 1, 1);
	loop_dereg(alive);
	assert_holds(fd, 0, 0);
	dead = reg(fd, one_range, LOOP_ALL);
	set_memory(scene, false);
	assert_holds(fd, 1, 0);
	loop_dereg(dead);
	assert_holds(fd, 0, 0);
	set_memory(scene, true);
	close(fd);
}

static void beside_iommufd(struct scene *scene)
{
	int fd = scene_export(scene, one_range);
	struct ibv_mr *mr = reg(fd, one_range, LOOP_ALL);

	igt_assert_eq(scene_map_at(scene, fd, one_range, IOVA), 0);
	assert_holds(fd, 2, 2);
	writes_at(scene, one_range, mr, 0, PAGE);
	igt_assert_eq(scene_read_arrives(scene, IOVA, one_range, 0, PAGE), 0);
	igt_assert_eq(scene_write_arrives(scene, IOVA + PAGE, one_range, PAGE,
					  PAGE), 0);
	reads_at(scene, one_range, mr, PAGE, PAGE);
	set_memory(scene, false);
	assert_holds(fd, 2, 0);
	set_memory(scene, true);
	fails(scene, mr);
	igt_assert_eq(scene_write_arrives(scene, IOVA, one_range, 0, PAGE), 0);
	loop_dereg(mr);
	close(fd);
}

igt_main()
{
	igt_fixture() {
		phys_require();
		loop_open();
	}

	igt_describe("an RDMA write changes these bytes of the BAR and no other");
	igt_subtest("write-arrives-in-the-bar")
		with_exporter(write_arrives);

	igt_describe("an RDMA read returns what the BAR holds");
	igt_subtest("read-comes-from-the-bar")
		with_exporter(read_comes);

	igt_describe("a fetch and add changes 8 bytes of the BAR");
	igt_subtest("atomic-works-on-the-bar")
		with_exporter(atomic_works);

	igt_describe("accesses cross the seams between the ranges");
	igt_subtest("several-ranges-are-one-region")
		with_exporter(several_ranges);

	igt_describe("a region may begin and end inside of a page");
	igt_subtest("slice-begins-anywhere")
		with_exporter(slice);

	igt_describe("the bytes around the region cannot be reached");
	igt_subtest("outside-the-region-is-refused")
		with_exporter(outside);

	igt_describe("nothing is registered that the buffer does not have");
	igt_subtest("slice-behind-the-buffer-is-refused")
		with_exporter(behind);

	igt_describe("registration fails until the memory is back");
	igt_subtest("suspended-buffer-is-not-registered")
		with_exporter(not_registered);

	igt_describe("once memory decode is off, RDMA changes no byte");
	igt_subtest("suspend-ends-access")
		with_exporter(suspend_ends);

	igt_describe("a pinned region does not come back, a new one can be made");
	igt_subtest("pinned-region-stays-dead")
		with_exporter(stays_dead);

	igt_describe("a region on demand works again, with the same key");
	igt_subtest("on-demand-region-comes-back")
		with_exporter(comes_back);

	igt_describe("once the device was closed, neither kind works again");
	igt_subtest("revoke-is-for-good")
		with_exporter(revoked_for_good);

	igt_describe("a region works when the file descriptor is closed");
	igt_subtest("region-keeps-buffer")
		with_exporter(keeps_buffer);

	igt_describe("nothing of the importer is left, dead or alive");
	igt_subtest("deregistering-detaches")
		with_exporter(detaches);

	igt_describe("two importers see the same bytes and stop together");
	igt_subtest("beside-iommufd")
		with_dma(beside_iommufd);

	igt_fixture()
		loop_close();
}

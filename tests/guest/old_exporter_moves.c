// SPDX-License-Identifier: GPL-2.0-only
/*
 * An exporter outside the class moves its memory, as drivers of GPUs do.
 *
 * The test exporter moves a buffer from some ranges of a BAR to others. Who has
 * mapped it is told, unmaps, and maps again: then its DMA arrives at the new
 * place, and not one byte of the old one changes.
 *
 * flavour: plain debug
 * topology: root switch
 * tier: check
 * timeout: 200
 * leak: yes
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "iommufd.h"
#include "leaks.h"
#include "testdrv.h"
#include "uverbs.h"

#include "kselftest_harness.h"

#define BAR	2
#define PAGE	0x1000ULL
#define WINDOW	0x80000
#define SIZE	0x6000
#define LIMIT	60	/* seconds per test */

static const struct vfio_region_dma_range far_ranges[] = {
	{ .offset = 0x60000, .length = 0x1000 },
	{ .offset = 0x50000, .length = 0x5000 },
};

static const struct layout far = { far_ranges, 2 };

FIXTURE(moves)
{
	int importer;
	int exporter;
	int dmabuf;
	struct bar bar;
	unsigned int dmabufs;
	char importer_name[PCI_NAME_LEN];
	char exporter_name[PCI_NAME_LEN];
};

FIXTURE_SETUP(moves)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->dmabufs = count_dmabufs();
	self->importer = importer_open(0, self->importer_name);
	ASSERT_LE(0, self->importer);
	self->exporter = exporter_open(PCI_ID_IVSHMEM, self->exporter_name);
	ASSERT_LE(0, self->exporter);
	ASSERT_EQ(0, bar_open_sysfs(&self->bar, self->exporter_name, BAR,
				    WINDOW));
	bar_fill(&self->bar, 1);
	self->dmabuf = exporter_export_moving(self->exporter, BAR,
					      layout_three);
	ASSERT_LE(0, self->dmabuf);
}

FIXTURE_TEARDOWN(moves)
{
	close(self->importer);
	close(self->dmabuf);
	bar_close(&self->bar);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	close(self->exporter);
	EXPECT_EQ(0, testdrv_release(self->exporter_name));
	EXPECT_EQ(0, testdrv_release(self->importer_name));
}

FIXTURE_VARIANT(moves)
{
	__u32 flags;
	__u32 delay_ms;
};

FIXTURE_VARIANT_ADD(moves, of_the_class) { .flags = DBT_ATTACH_CLASS };

FIXTURE_VARIANT_ADD(moves, of_the_class_slow) {
	.flags = DBT_ATTACH_CLASS, .delay_ms = 300,
};

FIXTURE_VARIANT_ADD(moves, outside) { .flags = 0 };

/* Told once, and then there is nothing mapped. */
static bool was_told(int importer, __u32 times)
{
	struct dbt_state state;

	return !importer_state(importer, &state) &&
	       state.invalidated == times && !state.len;
}

TEST_F_TIMEOUT(moves, importer_follows, LIMIT)
{
	const struct layout places[] = { far, layout_three, far };
	unsigned int i;

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
				     variant->flags, variant->delay_ms));
	ASSERT_EQ(0, importer_map_all(self->importer));
	EXPECT_EQ(0, importer_all_arrives(self->importer, &self->bar,
					  layout_three));
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		ASSERT_EQ(0, exporter_move(self->exporter, self->dmabuf,
					   places[i]));
		EXPECT_EQ(-ENODEV, importer_write(self->importer, 0, "x", 1));
		usleep(2 * 1000 * variant->delay_ms);
		EXPECT_TRUE(was_told(self->importer, i + 1));
		ASSERT_EQ(0, importer_map_all(self->importer));
		EXPECT_EQ(0, importer_arrives(self->importer, &self->bar,
					      places[i], 0, 0x800, PAGE));
		EXPECT_EQ(0, bar_judge(&self->bar));
	}
	ASSERT_EQ(0, importer_unmap(self->importer));
}

/* A slice is cut out of the new scatterlist. */
TEST_F_TIMEOUT(moves, slice_follows, LIMIT)
{
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
				     variant->flags, variant->delay_ms));
	ASSERT_EQ(0, exporter_move(self->exporter, self->dmabuf, far));
	if (!(variant->flags & DBT_ATTACH_CLASS)) {
		EXPECT_EQ(-EINVAL, importer_map(self->importer, 0x800, PAGE));
		return;
	}
	ASSERT_EQ(0, importer_map(self->importer, 0x800, 2 * PAGE));
	EXPECT_EQ(0, importer_arrives(self->importer, &self->bar, far, 0x800,
				      0, PAGE));
	EXPECT_EQ(0, importer_arrives(self->importer, &self->bar, far, 0x800,
				      PAGE, PAGE));
	EXPECT_EQ(-ERANGE, importer_write(self->importer, 2 * PAGE, "x", 1));
	ASSERT_EQ(0, importer_unmap(self->importer));
}

TEST_F_TIMEOUT(moves, pin_holds_it, LIMIT)
{
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
				     variant->flags | DBT_ATTACH_PIN,
				     variant->delay_ms));
	ASSERT_EQ(0, importer_map_all(self->importer));
	EXPECT_EQ(-EBUSY, exporter_move(self->exporter, self->dmabuf, far));
	EXPECT_EQ(0, importer_arrives(self->importer, &self->bar, layout_three,
				      0, 0, PAGE));
	ASSERT_EQ(0, importer_unmap(self->importer));
	ASSERT_EQ(0, importer_detach(self->importer));
	EXPECT_EQ(0, exporter_move(self->exporter, self->dmabuf, far));
}

FIXTURE(region)
{
	int ibdev;
	int exporter;
	int dmabuf;
	struct bar bar;
	struct uverbs verbs;
	char ibdev_name[PCI_NAME_LEN];
	char exporter_name[PCI_NAME_LEN];
};

FIXTURE_SETUP(region)
{
	char name[IBDEV_NAME_LEN];

	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->ibdev = ibdev_open(0, self->ibdev_name);
	ASSERT_LE(0, self->ibdev);
	ASSERT_EQ(0, ibdev_of_pci(self->ibdev_name, name));
	ASSERT_EQ(0, uverbs_open(&self->verbs, name, RDMA_DRIVER_UNKNOWN));
	self->exporter = exporter_open(PCI_ID_IVSHMEM, self->exporter_name);
	ASSERT_LE(0, self->exporter);
	ASSERT_EQ(0, bar_open_sysfs(&self->bar, self->exporter_name, BAR,
				    WINDOW));
	bar_fill(&self->bar, 1);
	self->dmabuf = exporter_export_moving(self->exporter, BAR,
					      layout_three);
	ASSERT_LE(0, self->dmabuf);
}

FIXTURE_TEARDOWN(region)
{
	uverbs_close(&self->verbs);
	close(self->dmabuf);
	bar_close(&self->bar);
	close(self->exporter);
	close(self->ibdev);
	EXPECT_EQ(0, testdrv_release(self->exporter_name));
	EXPECT_EQ(0, testdrv_release(self->ibdev_name));
}

static int region_writes(int ibdev, __u32 lkey, struct bar *bar,
			 struct layout layout, __u32 seed)
{
	__u8 data[PAGE];
	ssize_t done;

	pattern(data, sizeof(data), seed);
	bar_note(bar, layout, 0x800, data, sizeof(data));
	done = ibdev_write(ibdev, lkey, 0x800, data, sizeof(data));
	if (done != sizeof(data))
		return done < 0 ? done : -EIO;
	return bar_judge(bar);
}

/* The key stays, and the next access goes to the new place. */
TEST_F_TIMEOUT(region, on_demand_follows, LIMIT)
{
	struct uverbs_dmabuf arg = {
		.fd = self->dmabuf, .length = SIZE, .access = ACCESS_LOCAL,
	};
	struct uverbs_mr mr;

	ASSERT_EQ(0, ibdev_config(self->ibdev, DBT_IB_DYNAMIC, PAGE));
	ASSERT_EQ(0, uverbs_alloc_pd(&self->verbs, &arg.pd));
	ASSERT_EQ(0, uverbs_reg_dmabuf(&self->verbs, DOOR_REG_DMABUF_MR, &arg,
				       &mr));
	EXPECT_EQ(0, region_writes(self->ibdev, mr.lkey, &self->bar,
				   layout_three, 2));
	ASSERT_EQ(0, exporter_move(self->exporter, self->dmabuf, far));
	EXPECT_EQ(0, region_writes(self->ibdev, mr.lkey, &self->bar, far, 3));
	ASSERT_EQ(0, exporter_move(self->exporter, self->dmabuf, layout_three));
	EXPECT_EQ(0, region_writes(self->ibdev, mr.lkey, &self->bar,
				   layout_three, 4));
}

TEST_F_TIMEOUT(region, pinned_holds_it, LIMIT)
{
	struct uverbs_dmabuf arg = {
		.fd = self->dmabuf, .length = SIZE, .access = ACCESS_LOCAL,
	};
	struct uverbs_mr mr;

	ASSERT_EQ(0, ibdev_config(self->ibdev, DBT_IB_REVOCABLE, PAGE));
	ASSERT_EQ(0, uverbs_alloc_pd(&self->verbs, &arg.pd));
	ASSERT_EQ(0, uverbs_reg_dmabuf(&self->verbs, DOOR_REG_DMABUF_MR, &arg,
				       &mr));
	EXPECT_EQ(-EBUSY, exporter_move(self->exporter, self->dmabuf, far));
	EXPECT_EQ(0, region_writes(self->ibdev, mr.lkey, &self->bar,
				   layout_three, 2));
	ASSERT_EQ(0, uverbs_dereg(&self->verbs, &mr));
	EXPECT_EQ(0, exporter_move(self->exporter, self->dmabuf, far));
}

TEST_F_TIMEOUT(region, bad_moves, LIMIT)
{
	static const struct vfio_region_dma_range past_end = {
		.offset = 64 << 20, .length = SIZE,
	};
	int fixed = exporter_export(self->exporter, BAR, layout_one);

	EXPECT_EQ(-EINVAL, exporter_move(self->exporter, self->dmabuf,
					 layout_one));
	EXPECT_EQ(-EINVAL, exporter_move(self->exporter, self->dmabuf,
					 (struct layout){ &past_end, 1 }));
	EXPECT_EQ(-EOPNOTSUPP, exporter_move(self->exporter, fixed,
					     layout_one));
	EXPECT_EQ(-EBADF, exporter_move(self->exporter, -1, layout_one));
	close(fixed);
}

TEST_HARNESS_MAIN

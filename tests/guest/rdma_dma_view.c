// SPDX-License-Identifier: GPL-2.0-only
/*
 * An RDMA device registers what VFIO exports, and its DMA engine moves bytes
 * between itself and the peer's BAR.
 *
 * The device is an edu device with the driver dma-buf-test-ibdev, which uses the
 * RDMA core as drivers of hardware do: ib_umem_dmabuf_get_*(), the best page
 * size, a table of blocks. Bytes move by that table alone, addressed by IOVA.
 * Registration is by raw uverbs ioctls, through both doors in turn. What arrived
 * is read through VFIO's mmap of the BAR, and every other byte of the window is
 * compared, too.
 *
 * flavour: plain
 * topology: root virtio-iommu switch
 * tier: check
 * timeout: 300
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommufd.h"
#include "kmsg.h"
#include "leaks.h"
#include "report.h"
#include "testdrv.h"
#include "uverbs.h"

#include "kselftest_harness.h"

#define BAR		2
#define PAGE		0x1000ULL
#define SZ_64K		0x10000ULL
#define SZ_2M		0x200000ULL
#define WINDOW		0x800000ULL
#define IOVA		0x7000000000ULL
#define ALL_PAGES	(PAGE | SZ_64K | SZ_2M)
#define LIMIT		120	/* seconds per test */
#define NR_MANY		32
#define BLOCKS		8

static const struct vfio_region_dma_range large_ranges[] = {
	{ .offset = SZ_2M, .length = 2 * SZ_2M },
};

static const struct vfio_region_dma_range medium_ranges[] = {
	{ .offset = 0x50000, .length = 2 * SZ_64K },
	{ .offset = 0x10000, .length = SZ_64K },
	{ .offset = 0x30000, .length = SZ_64K },
};

static const struct layout large = { large_ranges, 1 };
static const struct layout medium = { medium_ranges, 3 };

/* The device and what it uses */
struct view {
	int iommufd;
	int ibdev;
	int dmabuf;
	int kmsg;
	unsigned int nr_regs;
	__u32 pd;
	struct uverbs verbs;
	struct layout layout;		/* of @dmabuf */
	struct vfio_dev exporter;
	struct bar bar;
	char name[PCI_NAME_LEN];	/* of the RDMA device */
};

FIXTURE(view)
{
	struct view view;
};

FIXTURE_SETUP(view)
{
	struct view *view = &self->view;
	char ibdev[IBDEV_NAME_LEN];

	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	view->dmabuf = -1;
	if (topology_is("switch"))
		ASSERT_EQ(0, vfio_allow_noiommu());
	view->kmsg = kmsg_open();
	ASSERT_LE(0, view->kmsg);
	view->iommufd = iommufd_open();
	ASSERT_LE(0, view->iommufd);
	view->ibdev = ibdev_open(0, view->name);
	ASSERT_LE(0, view->ibdev);
	ASSERT_EQ(0, ibdev_of_pci(view->name, ibdev));
	ASSERT_EQ(0, uverbs_open(&view->verbs, ibdev, RDMA_DRIVER_UNKNOWN));
	ASSERT_EQ(0, uverbs_alloc_pd(&view->verbs, &view->pd));
	ASSERT_EQ(0, vfio_open_id(&view->exporter, PCI_ID_IVSHMEM, 0,
				  view->iommufd));
	ASSERT_EQ(0, bar_open(&view->bar, &view->exporter, BAR, WINDOW));
	bar_fill(&view->bar, 1);
}

FIXTURE_TEARDOWN(view)
{
	struct view *view = &self->view;

	bar_close(&view->bar);
	uverbs_close(&view->verbs);
	close(view->ibdev);
	if (view->dmabuf >= 0)
		close(view->dmabuf);
	vfio_close(&view->exporter);
	close(view->iommufd);
	close(view->kmsg);
	EXPECT_EQ(0, settle_dmabufs(0));
	EXPECT_EQ(0, testdrv_release(view->name));
}

/*
 * A memory region and where it is in the dma-buf
 */

struct region {
	struct uverbs_mr mr;
	__u64 iova;
	__u64 offset;
	__u64 length;
};

static int export(struct view *view, struct layout layout)
{
	view->layout = layout;
	view->dmabuf = vfio_export(&view->exporter, BAR, layout.ranges,
				   layout.nr);
	return view->dmabuf < 0 ? view->dmabuf : 0;
}

static int reg(struct view *view, struct region *region, __u64 offset,
	       __u64 length, __u64 iova)
{
	const struct uverbs_dmabuf arg = {
		.pd = view->pd,
		.fd = view->dmabuf,
		.offset = offset,
		.length = length,
		.iova = iova,
		.access = ACCESS_LOCAL,
	};

	*region = (struct region){ {}, iova, offset, length };
	return uverbs_reg_dmabuf(&view->verbs, view->nr_regs++ % 2, &arg,
				 &region->mr);
}

static int reg_all(struct view *view, struct region *region)
{
	return reg(view, region, 0, layout_size(view->layout), IOVA);
}

static int dereg(struct view *view, const struct region *region)
{
	return uverbs_dereg(&view->verbs, &region->mr);
}

#define EXPORT_AND_REG(layout, region)					\
	do {								\
		ASSERT_EQ(0, export(view, layout));			\
		ASSERT_EQ(0, reg_all(view, region));			\
	} while (0)

static ssize_t write_at(struct view *view, const struct region *region,
			__u64 pos, const void *data, size_t len)
{
	return ibdev_write(view->ibdev, region->mr.lkey, region->iova + pos,
			   data, len);
}

/* What a write of one page gives, which is to give nothing. */
static ssize_t try_write(struct view *view, const struct region *region)
{
	__u8 data[PAGE];

	pattern(data, sizeof(data), 77);
	return write_at(view, region, 0, data, sizeof(data));
}

static int all_done(ssize_t done, size_t len)
{
	if (done < 0)
		return done;
	return (size_t)done == len ? 0 : -EIO;
}

/* The device writes at byte @pos of the MR. */
static int write_arrives(struct view *view, const struct region *region,
			 __u64 pos, size_t len)
{
	static __u32 seed = 2000;
	void *data = malloc(len);
	int err;

	if (!data)
		return -ENOMEM;
	pattern(data, len, ++seed);
	bar_note(&view->bar, view->layout, region->offset + pos, data, len);
	err = all_done(write_at(view, region, pos, data, len), len);
	free(data);
	return err ? err : bar_judge(&view->bar);
}

static int read_arrives(struct view *view, const struct region *region,
			__u64 pos, size_t len)
{
	__u8 *want = calloc(2, len);
	__u8 *got = want + len;
	int err;

	if (!want)
		return -ENOMEM;
	bar_expect(&view->bar, view->layout, region->offset + pos, want, len);
	err = all_done(ibdev_read(view->ibdev, region->mr.lkey,
				  region->iova + pos, got, len), len);
	if (!err && memcmp(want, got, len)) {
		printf("# a read at 0x%llx of the MR got other bytes\n", pos);
		err = -EILSEQ;
	}
	free(want);
	return err;
}

/* Both, here and nowhere else. */
static int arrives(struct view *view, const struct region *region,
		   __u64 pos, size_t len)
{
	int err = write_arrives(view, region, pos, len);

	return err ? err : read_arrives(view, region, pos, len);
}

/* At the first and the last bytes of the MR and on both sides of each seam. */
static int ends_and_seams_arrive(struct view *view,
				 const struct region *region)
{
	const struct vfio_region_dma_range *range = view->layout.ranges;
	__u64 seam = 0;
	int err = arrives(view, region, 0, 64);
	__u32 i;

	for (i = 0; !err && i + 1 < view->layout.nr; i++) {
		seam += range[i].length;
		err = arrives(view, region, seam - 32, 64);
	}
	return err ? err : arrives(view, region, region->length - 64, 64);
}

/*
 * The MR is dead. The device, told to write to where it was, finds nothing there
 * (without an IOMMU only the driver can see to that). The caller looks at the
 * BAR when that is back.
 */
static int is_dead(struct view *view, const struct region *region,
		   int error)
{
	struct dbt_ib_state state;
	__u8 data[PAGE];
	int err = ibdev_state(view->ibdev, region->mr.lkey, &state);

	if (err)
		return err;
	if (state.pgsz || state.nr_blocks)
		return -EBUSY;
	if (try_write(view, region) != error)
		return -EIO;
	if (!pci_translated(view->name))
		return 0;
	pattern(data, sizeof(data), 78);
	return all_done(ibdev_write_stale(view->ibdev, region->mr.lkey,
					  region->iova, data, sizeof(data)),
			sizeof(data));
}

/*
 * Bytes arrive
 */

TEST_F_TIMEOUT(view, one_range, LIMIT)
{
	struct view *view = &self->view;
	struct region region;

	EXPORT_AND_REG(layout_one, &region);
	EXPECT_EQ(0, arrives(view, &region, 0, layout_size(layout_one)));
	EXPECT_EQ(0, dereg(view, &region));
	EXPECT_EQ(-ENOENT, try_write(view, &region));
}

TEST_F_TIMEOUT(view, three_ranges, LIMIT)
{
	struct view *view = &self->view;
	struct region region;

	EXPORT_AND_REG(layout_three, &region);
	EXPECT_EQ(0, ends_and_seams_arrive(view, &region));
	EXPECT_EQ(0, arrives(view, &region, 0x1801, PAGE));
}

TEST_F_TIMEOUT(view, many_ranges, LIMIT)
{
	struct view *view = &self->view;
	struct vfio_region_dma_range ranges[NR_MANY];
	struct region region;

	EXPORT_AND_REG(layout_scattered(ranges, NR_MANY), &region);
	EXPECT_EQ(0, write_arrives(view, &region, 0, NR_MANY * PAGE));
}

/* Both doors give an MR of the same bytes. */
TEST_F_TIMEOUT(view, two_doors, LIMIT)
{
	struct view *view = &self->view;
	struct region first, second;
	__u64 length, iova;

	EXPORT_AND_REG(layout_three, &first);
	ASSERT_EQ(0, reg(view, &second, 0x1000, 0x3000, 2 * IOVA));
	EXPECT_NE(first.mr.lkey, second.mr.lkey);
	EXPECT_EQ(0, uverbs_query_mr(&view->verbs, &second.mr, &length, &iova));
	EXPECT_EQ(0x3000, length);
	EXPECT_EQ(2 * IOVA, iova);
	EXPECT_EQ(0, write_arrives(view, &first, 0x1ff0, 32));
	EXPECT_EQ(0, read_arrives(view, &second, 0xff0, 32));
	EXPECT_EQ(0, dereg(view, &first));
	EXPECT_EQ(0, arrives(view, &second, 0x2ff0, 16));
}

/*
 * QEMU's virtio-iommu looks an address up as if it were two bytes, and may find
 * the next mapping instead if it is the last byte of one.
 */
static bool emulated_right(__u64 start)
{
	return !topology_is("virtio-iommu") ||
	       (start + 1) % PAGE;
}

static int outside_is_refused(struct view *view,
			      const struct region *region)
{
	__u8 byte = 0;

	if (write_at(view, region, -1, &byte, 1) != -ERANGE ||
	    write_at(view, region, region->length, &byte, 1) != -ERANGE ||
	    write_at(view, region, -1, &byte, -1) != -EINVAL)
		return -EILSEQ;
	return 0;
}

TEST_F_TIMEOUT(view, slices, LIMIT)
{
	struct view *view = &self->view;
	const __u64 size = layout_size(layout_three);
	const struct {
		__u64 start, len;
	} slices[] = {
		{ 0, 1 },			/* first byte */
		{ size - 1, 1 },		/* last byte */
		{ size - PAGE, PAGE },		/* last page */
		{ 0x2000, 1 },			/* first byte of a range */
		{ 0x1fff, 2 },			/* seam */
		{ 0x1801, 0x37fe },		/* parts of three ranges */
		{ 0x2000, 0x3000 },		/* a range */
		{ 0x0123, 0x0345 },		/* within one page */
	};
	struct region region;
	unsigned int i;

	ASSERT_EQ(0, export(view, layout_three));
	for (i = 0; i < ARRAY_SIZE(slices); i++) {
		const __u64 start = slices[i].start, len = slices[i].len;

		if (!emulated_right(start))
			continue;
		ASSERT_EQ(0, reg(view, &region, start, len,
				 IOVA + start % PAGE));
		EXPECT_EQ(0, arrives(view, &region, 0, len))
			TH_LOG("at 0x%llx, 0x%llx bytes", start, len);
		EXPECT_EQ(0, outside_is_refused(view, &region));
		ASSERT_EQ(0, dereg(view, &region));
	}
}

/*
 * The table
 */

static int has_pages(struct view *view, const struct region *region,
		     __u64 pgsz)
{
	__u64 end = (region->iova + region->length + pgsz - 1) & -pgsz;
	struct dbt_ib_state state;
	int err = ibdev_state(view->ibdev, region->mr.lkey, &state);

	if (err)
		return err;
	if (state.pgsz == pgsz &&
	    state.nr_blocks == (end - (region->iova & -pgsz)) / pgsz)
		return 0;
	printf("# %llu blocks of 0x%llx bytes\n", state.nr_blocks, state.pgsz);
	return -EILSEQ;
}

/* Of the sizes that the device has, the largest that fits. */
TEST_F_TIMEOUT(view, page_sizes, LIMIT)
{
	struct view *view = &self->view;
	const __u64 sizes[] = { PAGE, SZ_64K, SZ_2M };
	__u64 bitmap = 0;
	struct region region;
	unsigned int i;

	ASSERT_EQ(0, export(view, large));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		bitmap |= sizes[i];
		ASSERT_EQ(0, ibdev_config(view->ibdev, DBT_IB_REVOCABLE,
					  bitmap));
		ASSERT_EQ(0, reg_all(view, &region));
		EXPECT_EQ(0, has_pages(view, &region, sizes[i]));
		EXPECT_EQ(0, arrives(view, &region, SZ_2M - 32, 64));
		EXPECT_EQ(0, arrives(view, &region, 2 * SZ_2M - 1, 1));
		ASSERT_EQ(0, dereg(view, &region));
	}

	/* The IOVA is no multiple of any size but the smallest. */
	ASSERT_EQ(0, reg(view, &region, 0, 2 * SZ_2M, IOVA + PAGE));
	EXPECT_EQ(0, has_pages(view, &region, PAGE));
	EXPECT_EQ(0, arrives(view, &region, SZ_2M - 32, 64));
	ASSERT_EQ(0, dereg(view, &region));

	/* No size fits. */
	ASSERT_EQ(0, ibdev_config(view->ibdev, DBT_IB_REVOCABLE, SZ_2M));
	EXPECT_EQ(-EINVAL, reg(view, &region, 0, 2 * SZ_2M, IOVA + PAGE));
}

/* Ranges of 64 KiB in one MR, and slices of it that do not begin with one. */
TEST_F_TIMEOUT(view, page_sizes_of_several_ranges, LIMIT)
{
	struct view *view = &self->view;
	struct region region;

	ASSERT_EQ(0, export(view, medium));
	ASSERT_EQ(0, ibdev_config(view->ibdev, DBT_IB_REVOCABLE,
				  PAGE | SZ_64K));
	ASSERT_EQ(0, reg_all(view, &region));
	EXPECT_EQ(0, has_pages(view, &region, SZ_64K));
	EXPECT_EQ(0, ends_and_seams_arrive(view, &region));
	ASSERT_EQ(0, dereg(view, &region));

	ASSERT_EQ(0, reg(view, &region, 0x1ff01, 0x10200, IOVA + 0x1ff01));
	EXPECT_EQ(0, arrives(view, &region, 0, 0x200));
	EXPECT_EQ(0, arrives(view, &region, 0x100ff, 0x101));
}

TEST_F_TIMEOUT(view, address_is_of_the_right_kind, LIMIT)
{
	struct view *view = &self->view;
	__u64 bar = pci_bar_address(view->exporter.name, BAR);
	struct dbt_ib_state state;
	struct region region;

	ASSERT_NE(0, bar);
	ASSERT_EQ(0, export(view, layout_three));
	ASSERT_EQ(0, reg(view, &region, 0x2004, 0x1000, IOVA + 4));
	ASSERT_EQ(0, ibdev_state(view->ibdev, region.mr.lkey, &state));
	EXPECT_EQ(!pci_translated(view->name),
		  state.addr == bar + layout_three.ranges[1].offset + 4);
}

/* Ordinary memory is registered as before. */
TEST_F_TIMEOUT(view, plain_memory, LIMIT)
{
	struct view *view = &self->view;
	__u8 *memory = aligned_alloc(PAGE, 4 * PAGE);
	__u8 data[2 * PAGE], got[2 * PAGE];
	struct uverbs_mr mr;

	ASSERT_NE(NULL, memory);
	pattern(memory, 4 * PAGE, 5);
	ASSERT_EQ(0, uverbs_reg(&view->verbs, view->pd, memory + 0x801,
				3 * PAGE, IOVA + 0x801, ACCESS_LOCAL, &mr));
	EXPECT_EQ(sizeof(got), ibdev_read(view->ibdev, mr.lkey, IOVA + 0x901,
					  got, sizeof(got)));
	EXPECT_EQ(0, memcmp(got, memory + 0x901, sizeof(got)));
	pattern(data, sizeof(data), 6);
	EXPECT_EQ(sizeof(data), ibdev_write(view->ibdev, mr.lkey, IOVA + 0x901,
					    data, sizeof(data)));
	EXPECT_EQ(0, memcmp(data, memory + 0x901, sizeof(data)));
	EXPECT_EQ(0, uverbs_dereg(&view->verbs, &mr));
	free(memory);
}

TEST_F_TIMEOUT(view, write_needs_local_write, LIMIT)
{
	struct view *view = &self->view;
	const struct uverbs_dmabuf arg = {
		.pd = view->pd,
		.length = PAGE,
		.iova = IOVA,
	};
	struct uverbs_dmabuf read_only = arg;
	struct uverbs_mr mr;
	__u8 data[16] = {};

	ASSERT_EQ(0, export(view, layout_one));
	read_only.fd = view->dmabuf;
	ASSERT_EQ(0, uverbs_reg_dmabuf(&view->verbs, DOOR_REG_MR, &read_only,
				       &mr));
	EXPECT_EQ(-EPERM, ibdev_write(view->ibdev, mr.lkey, IOVA, data,
				      sizeof(data)));
	EXPECT_EQ(sizeof(data), ibdev_read(view->ibdev, mr.lkey, IOVA, data,
					   sizeof(data)));
	EXPECT_EQ(0, memcmp(data, view->bar.map + layout_three.ranges[0].offset,
			    sizeof(data)));
	EXPECT_EQ(0, bar_judge(&view->bar));
}

/*
 * An exporter that knows scatterlists only, and never takes its memory back, so
 * it also takes importers that cannot stop.
 */
TEST_F_TIMEOUT(view, driver_outside_the_class, LIMIT)
{
	struct view *view = &self->view;
	const __u32 ways[] = { DBT_IB_STATIC, DBT_IB_REVOCABLE };
	char name[PCI_NAME_LEN];
	struct region region;
	unsigned int i;
	int exporter;

	bar_close(&view->bar);
	vfio_close(&view->exporter);
	exporter = exporter_open(PCI_ID_IVSHMEM, name);
	ASSERT_LE(0, exporter);
	ASSERT_EQ(0, bar_open_sysfs(&view->bar, name, BAR, WINDOW));
	bar_fill(&view->bar, 3);
	view->layout = layout_three;
	view->dmabuf = exporter_export(exporter, BAR, layout_three);
	ASSERT_LE(0, view->dmabuf);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		ASSERT_EQ(0, ibdev_config(view->ibdev, ways[i], ALL_PAGES));
		ASSERT_EQ(0, reg(view, &region, 0x1801, 0x3000, IOVA + 0x801));
		EXPECT_EQ(0, arrives(view, &region, 0x7f0, 32));
		EXPECT_EQ(0, arrives(view, &region, 0x2fff, 1));
		ASSERT_EQ(0, dereg(view, &region));
	}
	close(view->dmabuf);
	view->dmabuf = -1;
	close(exporter);
	EXPECT_EQ(0, testdrv_release(name));
}

/*
 * Revoke: the memory goes, and the device has lost it
 */

TEST_F_TIMEOUT(view, memory_disable, LIMIT)
{
	struct view *view = &self->view;
	struct region first, second;

	EXPORT_AND_REG(layout_three, &first);
	ASSERT_EQ(0, reg(view, &second, 0x1800, 0x1000, 2 * IOVA + 0x800));
	EXPECT_EQ(0, write_arrives(view, &first, 0x1ff0, 32));
	ASSERT_EQ(0, vfio_set_memory(&view->exporter, false));
	EXPECT_EQ(0, is_dead(view, &first, -EACCES));
	EXPECT_EQ(-EACCES, try_write(view, &second));

	/* A pinned MR stays dead, a new one is not. */
	ASSERT_EQ(0, vfio_set_memory(&view->exporter, true));
	EXPECT_EQ(0, is_dead(view, &first, -EACCES));
	EXPECT_EQ(-EACCES, try_write(view, &second));
	EXPECT_EQ(0, bar_judge(&view->bar));
	EXPECT_EQ(0, dereg(view, &second));
	EXPECT_EQ(0, dereg(view, &first));
	ASSERT_EQ(0, reg_all(view, &first));
	EXPECT_EQ(0, arrives(view, &first, 0x1ff0, 32));
}

TEST_F_TIMEOUT(view, reset, LIMIT)
{
	struct view *view = &self->view;
	struct region region;

	EXPORT_AND_REG(layout_three, &region);
	EXPECT_EQ(0, write_arrives(view, &region, 0x1ff0, 32));
	ASSERT_EQ(0, vfio_reset(&view->exporter));
	EXPECT_EQ(0, is_dead(view, &region, -EACCES));
	EXPECT_EQ(0, bar_judge(&view->bar));
}

TEST_F_TIMEOUT(view, close, LIMIT)
{
	struct view *view = &self->view;
	struct region region, late;

	EXPORT_AND_REG(layout_three, &region);
	EXPECT_EQ(0, write_arrives(view, &region, 0x1ff0, 32));
	bar_unmap(&view->bar);
	vfio_close(&view->exporter);
	EXPECT_EQ(0, is_dead(view, &region, -EACCES));
	EXPECT_EQ(-ENODEV, reg_all(view, &late));
	EXPECT_EQ(0, dereg(view, &region));

	ASSERT_EQ(0, vfio_open_id(&view->exporter, PCI_ID_IVSHMEM, 0,
				  view->iommufd));
	ASSERT_EQ(0, bar_remap(&view->bar, &view->exporter));
	EXPECT_EQ(0, bar_judge(&view->bar));
	EXPECT_EQ(-ENODEV, reg_all(view, &late));
}

/* The opposite of pinned: the next access finds the memory again. */
TEST_F_TIMEOUT(view, dynamic_comes_back, LIMIT)
{
	struct view *view = &self->view;
	struct region region;

	ASSERT_EQ(0, ibdev_config(view->ibdev, DBT_IB_DYNAMIC, ALL_PAGES));
	EXPORT_AND_REG(layout_three, &region);
	EXPECT_EQ(0, arrives(view, &region, 0x1ff0, 32));
	ASSERT_EQ(0, vfio_set_memory(&view->exporter, false));
	EXPECT_EQ(0, is_dead(view, &region, -ENODEV));
	ASSERT_EQ(0, vfio_set_memory(&view->exporter, true));
	EXPECT_EQ(0, bar_judge(&view->bar));
	EXPECT_EQ(0, arrives(view, &region, 0x1ff0, 32));

	ASSERT_EQ(0, vfio_reset(&view->exporter));
	EXPECT_EQ(0, arrives(view, &region, 0x4ff0, 32));

	bar_unmap(&view->bar);
	vfio_close(&view->exporter);
	EXPECT_EQ(0, is_dead(view, &region, -ENODEV));
}

struct long_write {
	struct view *view;
	const struct region *region;
	ssize_t done;
	__u8 data[BLOCKS * PAGE];
};

static void *do_long_write(void *arg)
{
	struct long_write *write = arg;

	write->done = write_at(write->view, write->region, 0, write->data,
			       sizeof(write->data));
	return NULL;
}

/* Some blocks arrive, the one under way is waited for, the rest does not. */
static int revoke_while_writing(struct view *view, useconds_t delay_us)
{
	struct region region;
	struct long_write write = { .view = view, .region = &region };
	pthread_t thread;
	int err;

	pattern(write.data, sizeof(write.data), delay_us);
	err = reg_all(view, &region);
	if (err)
		return err;
	if (pthread_create(&thread, NULL, do_long_write, &write))
		return -EAGAIN;
	usleep(delay_us);
	err = vfio_set_memory(&view->exporter, false);
	pthread_join(thread, NULL);
	if (!err)
		err = vfio_set_memory(&view->exporter, true);
	if (err)
		return err;

	if (write.done <= 0 || write.done >= (ssize_t)sizeof(write.data))
		return -ETIME;
	bar_note(&view->bar, view->layout, 0, write.data, write.done);
	err = bar_judge(&view->bar);
	if (!err && try_write(view, &region) != -EACCES)
		err = -EIO;
	return err ? err : dereg(view, &region);
}

/* ROUNDS=n: so often, each time at another moment */
TEST_F_TIMEOUT(view, memory_disable_while_the_device_writes, 600)
{
	const struct layout layout = {
		&(struct vfio_region_dma_range){ 0x8000, BLOCKS * PAGE }, 1
	};
	const char *rounds = getenv("ROUNDS");
	struct view *view = &self->view;
	int i, nr = rounds ? atoi(rounds) : 1;
	int err = 0;

	ASSERT_EQ(0, export(view, layout));
	for (i = 0; !err && i < nr; i++)
		err = revoke_while_writing(view, 500000 + i * 37000 % 600000);
	EXPECT_EQ(0, err)
		TH_LOG("round %d", i);
}

/* A driver that could not stop is refused, and the log says why. */
TEST_F_TIMEOUT(view, static_pinned_is_refused, LIMIT)
{
	struct view *view = &self->view;
	struct region region;

	ASSERT_EQ(0, export(view, layout_three));
	ASSERT_EQ(0, ibdev_config(view->ibdev, DBT_IB_STATIC, ALL_PAGES));
	kmsg_drain(view->kmsg);
	EXPECT_EQ(-EOPNOTSUPP, reg_all(view, &region));
	EXPECT_TRUE(kmsg_has(view->kmsg, view->name, "cannot stop"));
	ASSERT_EQ(0, ibdev_config(view->ibdev, DBT_IB_REVOCABLE, ALL_PAGES));
	ASSERT_EQ(0, reg_all(view, &region));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device driver imports what VFIO exports, through the DMA API.
 *
 * The importer is an edu device's own driver. As "unconverted" it knows
 * scatterlists only: dma_buf_map_attachment() and the whole buffer. As "class"
 * it knows dma-buf-phys and maps any slice, to the byte. Behind an IOMMU its
 * addresses are IOVAs, below a switch bus addresses.
 *
 * flavour: plain debug
 * topology: root virtio-iommu switch
 * tier: check
 * timeout: 480
 * leak: yes
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "import.h"
#include "leaks.h"
#include "report.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ULL
#define LIMIT		120	/* seconds per test */
#define NR_MANY		64
#define DELAY_MS	1800
#define BLOCKS		8

FIXTURE(import)
{
	struct import in;
};

FIXTURE_VARIANT(import)
{
	__u32 flags;
	const char *shown_as;		/* in the kernel log */
};

FIXTURE_VARIANT_ADD(import, unconverted)
{
	.flags = DBT_ATTACH_PIN,
	.shown_as = "test_importer_invalidate",
};

FIXTURE_VARIANT_ADD(import, class)
{
	.flags = DBT_ATTACH_CLASS,
	.shown_as = "dma-buf-test-importer",
};

FIXTURE_SETUP(import)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	ASSERT_EQ(0, import_open(&self->in));
}

FIXTURE_TEARDOWN(import)
{
	EXPECT_EQ(0, import_close(&self->in));
}

#define ATTACH(layout, delay_ms)					\
	ASSERT_EQ(0, import_attach(&self->in, layout, variant->flags,	\
				   delay_ms))

#define ATTACH_AND_MAP(layout, delay_ms)				\
	do {								\
		ATTACH(layout, delay_ms);				\
		ASSERT_EQ(0, importer_map_all(self->in.importer));	\
	} while (0)

#define EXPECT_MAPPED(bytes)						\
	do {								\
		struct dbt_state state_;				\
									\
		ASSERT_EQ(0, importer_state(self->in.importer, &state_));	\
		EXPECT_EQ(bytes, state_.len);				\
	} while (0)

#define EXPECT_ARRIVES(layout)						\
	EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar,	\
				      layout, 0, 0, PAGE))

/*
 * The importer has no mapping and cannot use it. Its device, told to write to
 * where it was, finds nothing there: the caller looks at the BAR later. Without
 * an IOMMU only the importer can see to that.
 */
static int mapping_is_gone(int importer, const char *name)
{
	struct dbt_state state;
	__u8 data[PAGE];
	int err;

	pattern(data, sizeof(data), 77);
	err = importer_state(importer, &state);
	if (err)
		return err;
	if (state.len)
		return -EBUSY;
	if (importer_write(importer, 0, data, PAGE) != -ENODEV)
		return -EIO;
	if (pci_translated(name) &&
	    importer_write_stale(importer, 0, data, PAGE) != (ssize_t)PAGE)
		return -EIO;
	return 0;
}

TEST_F_TIMEOUT(import, one_range_arrives, LIMIT)
{
	ATTACH_AND_MAP(layout_one, 0);
	EXPECT_MAPPED(layout_size(layout_one));
	EXPECT_EQ(0, importer_all_arrives(self->in.importer, &self->in.bar, layout_one));
}

TEST_F_TIMEOUT(import, three_ranges_arrive, LIMIT)
{
	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_MAPPED(layout_size(layout_three));
	EXPECT_EQ(0, importer_all_arrives(self->in.importer, &self->in.bar, layout_three));
}

TEST_F_TIMEOUT(import, many_ranges_arrive, LIMIT)
{
	struct vfio_region_dma_range ranges[NR_MANY];
	struct layout layout = layout_scattered(ranges, NR_MANY);

	ATTACH_AND_MAP(layout, 0);
	EXPECT_EQ(0, importer_write_arrives(self->in.importer, &self->in.bar, layout,
					    0, 0, layout_size(layout)));
}

TEST_F_TIMEOUT(import, address_is_of_the_right_kind, LIMIT)
{
	__u64 bar = pci_bar_address(self->in.exporter.name, IMPORT_BAR);
	struct dbt_state state;

	ASSERT_NE(0, bar);
	ATTACH_AND_MAP(layout_three, 0);
	ASSERT_EQ(0, importer_state(self->in.importer, &state));
	if (pci_translated(self->in.name)) {
		EXPECT_EQ(1, state.runs);
		EXPECT_NE(bar + layout_three.ranges[0].offset, state.addr);
	} else {
		EXPECT_EQ(3, state.runs);
		EXPECT_EQ(bar + layout_three.ranges[0].offset, state.addr);
	}
}

TEST_F_TIMEOUT(import, maps_again_and_again, LIMIT)
{
	int i;

	ATTACH(layout_three, 0);
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, importer_map_all(self->in.importer));
		ASSERT_EQ(0, importer_unmap(self->in.importer));
	}
	EXPECT_EQ(0, importer_map_all(self->in.importer));
	EXPECT_ARRIVES(layout_three);
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

/* The class maps just the slice, the unconverted importer everything. */
TEST_F_TIMEOUT(import, slices_arrive, LIMIT)
{
	const bool class = variant->flags & DBT_ATTACH_CLASS;
	const __u64 size = layout_size(layout_three);
	const struct {
		__u64 start, len;
	} slices[] = {
		{ 0, 1 },			/* first byte */
		{ size - 1, 1 },		/* last byte */
		{ 0x1fff, 1 },			/* last byte of a range */
		{ 0x2000, 1 },			/* first byte of the next */
		{ 0x1fff, 2 },			/* both */
		{ 0x1ffe, 4 },			/* two of each */
		{ 0x1801, 0x37fe },		/* parts of three ranges */
		{ 0x2000, 0x3000 },		/* a range */
		{ 0x0123, 0x0345 },		/* within one page */
	};
	unsigned int i;

	ATTACH(layout_three, 0);
	for (i = 0; i < ARRAY_SIZE(slices); i++) {
		const __u64 start = class ? slices[i].start : 0;
		const __u64 len = class ? slices[i].len : 0;

		if (!emulated_right(slices[i].start))
			continue;
		ASSERT_EQ(0, importer_map(self->in.importer, start, len));
		EXPECT_MAPPED(len ? len : size);
		EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar, layout_three,
					      start, slices[i].start - start,
					      slices[i].len));
		ASSERT_EQ(0, importer_unmap(self->in.importer));
	}
	EXPECT_EQ(-EINVAL, importer_map(self->in.importer, size, 1));
	EXPECT_EQ(-EINVAL, importer_map(self->in.importer, size - 1, 2));
	EXPECT_EQ(-EINVAL, importer_map(self->in.importer, 1, ~0ULL));
}

TEST_F_TIMEOUT(import, memory_disable_ends_the_mapping, LIMIT)
{
	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_ARRIVES(layout_three);
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_EQ(0, mapping_is_gone(self->in.importer, self->in.name));
	EXPECT_EQ(-ENODEV, importer_map_all(self->in.importer));

	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, true));
	EXPECT_EQ(0, mapping_is_gone(self->in.importer, self->in.name));
	EXPECT_EQ(0, bar_judge(&self->in.bar));
	EXPECT_EQ(0, importer_map_all(self->in.importer));
	EXPECT_ARRIVES(layout_three);
}

TEST_F_TIMEOUT(import, reset_ends_the_mapping, LIMIT)
{
	struct dbt_state state;

	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_ARRIVES(layout_three);
	ASSERT_EQ(0, vfio_reset(&self->in.exporter));
	ASSERT_EQ(0, importer_state(self->in.importer, &state));
	EXPECT_LE(1, state.invalidated);
	EXPECT_EQ(0, mapping_is_gone(self->in.importer, self->in.name));
	EXPECT_EQ(0, bar_judge(&self->in.bar));
	EXPECT_EQ(0, importer_map_all(self->in.importer));
	EXPECT_ARRIVES(layout_three);
}

struct long_write {
	int importer;
	ssize_t done;
	__u8 data[BLOCKS * PAGE];
};

static void *do_long_write(void *arg)
{
	struct long_write *write = arg;

	write->done = importer_write(write->importer, 0, write->data,
				     sizeof(write->data));
	return NULL;
}

/* Some blocks arrive, the one under way is waited for, the rest does not. */
TEST_F_TIMEOUT(import, memory_disable_while_the_device_writes, LIMIT)
{
	const struct layout layout = {
		&(struct vfio_region_dma_range){ 0x8000, BLOCKS * PAGE }, 1
	};
	struct long_write write = { .importer = self->in.importer };
	pthread_t thread;

	ATTACH_AND_MAP(layout, 0);
	pattern(write.data, sizeof(write.data), 5);
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_long_write, &write));
	usleep(500000);
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, true));

	EXPECT_LT(0, write.done);
	EXPECT_GT(sizeof(write.data), write.done);
	if (write.done > 0)
		bar_note(&self->in.bar, layout, 0, write.data, write.done);
	EXPECT_EQ(0, bar_judge(&self->in.bar));
}

TEST_F_TIMEOUT(import, close_revokes_for_good, LIMIT)
{
	__u8 data[PAGE] = {};

	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_ARRIVES(layout_three);
	bar_unmap(&self->in.bar);
	vfio_close(&self->in.exporter);

	EXPECT_MAPPED(0);
	EXPECT_EQ(-ENODEV, importer_write(self->in.importer, 0, data, PAGE));
	EXPECT_EQ(-ENODEV, importer_map_all(self->in.importer));
	ASSERT_EQ(0, importer_detach(self->in.importer));
	EXPECT_EQ(-ENODEV, importer_attach(self->in.importer, self->in.dmabuf,
					   variant->flags, 0));
}

/* Suspend waits for a slow importer, and after a second the log names it. */
TEST_F_TIMEOUT(import, slow_importer_is_waited_for, LIMIT)
{
	__u64 begin, took;

	ATTACH_AND_MAP(layout_three, DELAY_MS);
	kmsg_drain(self->in.kmsg);
	begin = now_ms();
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	took = now_ms() - begin;
	EXPECT_LE(DELAY_MS - 100, took);
	EXPECT_GT(DELAY_MS + 2000, took);
	EXPECT_MAPPED(0);
	EXPECT_TRUE(kmsg_has(self->in.kmsg, variant->shown_as, self->in.name));
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, true));
	EXPECT_EQ(0, importer_map_all(self->in.importer));
	EXPECT_ARRIVES(layout_three);
}

TEST_F_TIMEOUT(import, close_waits_for_a_slow_importer, LIMIT)
{
	__u64 begin = now_ms();

	ATTACH_AND_MAP(layout_three, DELAY_MS);
	bar_unmap(&self->in.bar);
	vfio_close(&self->in.exporter);
	EXPECT_LE(DELAY_MS - 100, now_ms() - begin);
	EXPECT_MAPPED(0);
}

TEST_F_TIMEOUT(import, two_importers_share_a_buffer, LIMIT)
{
	int second = importer_reopen(self->in.name);

	ASSERT_LE(0, second);
	ATTACH_AND_MAP(layout_three, 0);
	ASSERT_EQ(0, importer_attach(second, self->in.dmabuf, DBT_ATTACH_CLASS,
				     0));
	ASSERT_EQ(0, importer_map(second, 0x1ffe, 4));
	EXPECT_EQ(0, importer_arrives(second, &self->in.bar, layout_three, 0x1ffe, 0, 4));
	EXPECT_ARRIVES(layout_three);
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_MAPPED(0);
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, true));
	EXPECT_EQ(-ENODEV, importer_write(second, 0, "ab", 2));
	EXPECT_EQ(0, importer_map(second, 0x1ffe, 4));
	EXPECT_EQ(0, importer_arrives(second, &self->in.bar, layout_three, 0x1ffe, 0, 4));
	close(second);
}

/* Importers that could not stop are refused, and the log says why. */
#define EXPECT_REFUSED(how, reason)					\
	do {								\
		kmsg_drain(self->in.kmsg);					\
		EXPECT_EQ(-EOPNOTSUPP,					\
			  importer_attach(self->in.importer, self->in.dmabuf,	\
					  how, 0));			\
		EXPECT_TRUE(kmsg_has(self->in.kmsg, self->in.name, reason));	\
	} while (0)

TEST_F_TIMEOUT(import, importer_that_cannot_stop_is_refused, LIMIT)
{
	const __u32 class = variant->flags & DBT_ATTACH_CLASS;

	ATTACH(layout_one, 0);
	ASSERT_EQ(0, importer_detach(self->in.importer));
	EXPECT_REFUSED(class | DBT_ATTACH_NO_INVALIDATE, "cannot stop");
	if (!class) {
		EXPECT_REFUSED(DBT_ATTACH_STATIC, "cannot stop");
		EXPECT_REFUSED(DBT_ATTACH_NO_PEER2PEER, "peer-to-peer");
	}
	EXPECT_EQ(0, importer_attach(self->in.importer, self->in.dmabuf,
				     variant->flags, 0));
}

/*
 * Page tables
 */

#define BAR_SIZE	(64ULL << 20)
#define NR_LONG		512

static bool writes_tables(const struct import *in)
{
	return topology_is("root") && pci_translated(in->name);
}

/* Ranges that alias, from @offset on. Other offsets than 0 take the smallest pages. */
static struct layout large_layout(__u64 offset, unsigned int nr)
{
	static struct vfio_region_dma_range ranges[NR_LONG];
	unsigned int i;

	for (i = 0; i < nr; i++)
		ranges[i] = (struct vfio_region_dma_range){
			.offset = offset,
			.length = BAR_SIZE - offset,
		};
	return (struct layout){ ranges, nr };
}

/* The wait status of a process that maps, and is killed meanwhile. */
static int map_and_kill(int importer)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(-importer_map_all(importer));
	usleep(50000);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return status;
}

/* User space chooses how long a map takes, so SIGKILL ends it. */
TEST_F_TIMEOUT(import, map_is_killable, LIMIT)
{
	int status;

	if (!writes_tables(&self->in))
		SKIP(return, "the kernel writes no page tables here");
	ATTACH(large_layout(PAGE, NR_LONG), 0);
	status = map_and_kill(self->in.importer);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		SKIP(return, "mapped before it could be killed");
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_MAPPED(0);

	ASSERT_EQ(0, importer_detach(self->in.importer));
	close(self->in.dmabuf);
	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_ARRIVES(layout_three);
}

#define NR_CHARGED	64
#define TABLES		(NR_CHARGED * (long long)(BAR_SIZE / PAGE) * 8)
#define SLACK		(512LL << 10)

#define CHECK(condition)	CGROUP_CHECK(condition, before)

/* In a process of the cgroup. Returns its exit status. */
static int charge_and_uncharge(int importer, int dmabuf, __u32 flags)
{
	long long before = 0;

	CHECK(!cgroup_enter());
	CHECK(!importer_attach(importer, dmabuf, flags, 0));
	before = cgroup_charged();
	CHECK(!cgroup_limit(before + TABLES / 2));
	CHECK(importer_map_all(importer) == -ENOMEM);
	CHECK(cgroup_charged() <= before + SLACK);

	CHECK(!cgroup_limit(-1));
	CHECK(!importer_map_all(importer));
	CHECK(cgroup_charged() >= before + TABLES - SLACK);
	CHECK(cgroup_charged() <= before + TABLES + SLACK);
	CHECK(!importer_unmap(importer));
	CHECK(cgroup_charged() <= before + SLACK);

	/* Whoever maps, who attached is charged. */
	CHECK(!cgroup_leave());
	CHECK(!importer_map_all(importer));
	CHECK(cgroup_charged() >= before + TABLES - SLACK);
	CHECK(!importer_unmap(importer));
	CHECK(!importer_detach(importer));
	return 0;
}

/* The same bytes in large pages. */
static int charge_little(int importer, int dmabuf, __u32 flags)
{
	long long before = 0;

	CHECK(!cgroup_enter());
	CHECK(!importer_attach(importer, dmabuf, flags, 0));
	before = cgroup_charged();
	CHECK(!importer_map_all(importer));
	CHECK(cgroup_charged() <= before + SLACK);
	CHECK(!importer_unmap(importer));
	CHECK(!importer_detach(importer));
	CHECK(!cgroup_leave());
	return 0;
}

static int wait_for(int (*work)(int importer, int dmabuf, __u32 flags),
		    const struct import *in, __u32 flags)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		status = work(in->importer, in->dmabuf, flags);
		fflush(NULL);
		_exit(status);
	}
	waitpid(pid, &status, 0);
	return status;
}

/* Nobody else charges for them, and ranges that alias cost user space nothing. */
TEST_F_TIMEOUT(import, tables_are_charged, LIMIT)
{
	if (!writes_tables(&self->in))
		SKIP(return, "the kernel writes no page tables here");
	ASSERT_EQ(0, cgroup_make());
	ASSERT_EQ(0, import_export(&self->in, large_layout(PAGE, NR_CHARGED)));
	EXPECT_EQ(0, wait_for(charge_and_uncharge, &self->in, variant->flags));
	close(self->in.dmabuf);
	ASSERT_EQ(0, import_export(&self->in, large_layout(0, NR_CHARGED)));
	EXPECT_EQ(0, wait_for(charge_little, &self->in, variant->flags));
	EXPECT_EQ(0, cgroup_remove());
}

TEST_HARNESS_MAIN

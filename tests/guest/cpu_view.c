// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel reads and writes a BAR that VFIO exports, through the CPU view.
 *
 * Every byte is compared with what VFIO's mmap of the same BAR shows. The view
 * is made and used by the test importer, whose device has no part in it.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "cgroup.h"
#include "import.h"
#include "leaks.h"
#include "report.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ULL
#define LIMIT		120	/* seconds per test */
#define NR_MANY		16
#define DELAY_MS	700
#define SLOW_MS		1700
#define CPU		(DBT_ATTACH_CLASS | DBT_ATTACH_CPU)

FIXTURE(cpu)
{
	struct import in;
};

FIXTURE_SETUP(cpu)
{
	ASSERT_EQ(0, import_open(&self->in));
}

FIXTURE_TEARDOWN(cpu)
{
	EXPECT_EQ(0, import_close(&self->in));
}

#define ATTACH(layout, delay_ms)					\
	ASSERT_EQ(0, import_attach(&self->in, layout, CPU, delay_ms))

#define ATTACH_AND_MAP(layout, delay_ms)				\
	do {								\
		ATTACH(layout, delay_ms);				\
		ASSERT_EQ(0, importer_map_all(self->in.importer));	\
	} while (0)

#define EXPECT_ARRIVES(layout)						\
	EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar,	\
				      layout, 0, 0, PAGE))

/* The view is dead, says so, and changes no byte. */
static int view_is_dead(int importer)
{
	struct dbt_state state;
	__u64 value = 0;
	int err;

	err = importer_state(importer, &state);
	if (err)
		return err;
	if (state.len)
		return -EBUSY;
	if (importer_write(importer, 0, "x", 1) != -ENODEV ||
	    importer_read(importer, 0, &value, 1) != -ENODEV ||
	    importer_write64(importer, 0, 1) != -ENODEV ||
	    importer_read64(importer, 0, &value) != -ENODEV ||
	    importer_write_flush(importer, 0, "x", 1) != -ENODEV)
		return -EIO;
	return value ? -EILSEQ : 0;
}

TEST_F_TIMEOUT(cpu, one_range_arrives, LIMIT)
{
	struct dbt_state state;

	ATTACH_AND_MAP(layout_one, 0);
	ASSERT_EQ(0, importer_state(self->in.importer, &state));
	EXPECT_EQ(layout_size(layout_one), state.len);
	EXPECT_EQ(0, state.invalidated);
	EXPECT_EQ(0, importer_all_arrives(self->in.importer, &self->in.bar, layout_one));
}

TEST_F_TIMEOUT(cpu, three_ranges_arrive, LIMIT)
{
	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_EQ(0, importer_all_arrives(self->in.importer, &self->in.bar, layout_three));
	EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar, layout_three, 0, 0,
				      layout_size(layout_three)));
}

TEST_F_TIMEOUT(cpu, many_ranges_arrive, LIMIT)
{
	struct vfio_region_dma_range ranges[NR_MANY];
	struct layout layout = layout_scattered(ranges, NR_MANY);

	ATTACH_AND_MAP(layout, 0);
	EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar, layout, 0, 0,
				      layout_size(layout)));
}

TEST_F_TIMEOUT(cpu, slices_arrive, LIMIT)
{
	const __u64 size = layout_size(layout_three);
	const struct {
		__u64 start, len;
	} slices[] = {
		{ 0, 1 },			/* first byte */
		{ size - 1, 1 },		/* last byte */
		{ 0x1fff, 1 },			/* last byte of a range */
		{ 0x2000, 1 },			/* first byte of the next */
		{ 0x1fff, 2 },			/* both */
		{ 0x1801, 0x37fe },		/* parts of three ranges */
		{ 0x2000, 0x3000 },		/* a range */
		{ 0x0123, 0x0345 },		/* within one page */
	};
	unsigned int i;

	ATTACH(layout_three, 0);
	for (i = 0; i < ARRAY_SIZE(slices); i++) {
		ASSERT_EQ(0, importer_map(self->in.importer, slices[i].start,
					  slices[i].len));
		EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar, layout_three,
					      slices[i].start, 0,
					      slices[i].len));
		ASSERT_EQ(0, importer_unmap(self->in.importer));
	}
}

/* Slices that start at every byte of 64, across a seam and within a range. */
TEST_F_TIMEOUT(cpu, every_start_mod_64, LIMIT)
{
	static const __u64 lens[] = { 1, 7, 8, 65 };
	unsigned int i, j;

	ATTACH(layout_three, 0);
	for (i = 0; i < 64; i++) {
		for (j = 0; j < ARRAY_SIZE(lens); j++) {
			__u64 start = (j % 2 ? 0x3fc0 : 0x1fc0) + i;

			ASSERT_EQ(0, importer_map(self->in.importer, start,
						  lens[j]));
			EXPECT_EQ(0, importer_arrives(self->in.importer,
						      &self->in.bar, layout_three, start,
						      0, lens[j]));
			ASSERT_EQ(0, importer_unmap(self->in.importer));
		}
	}
}

/* Accesses at every byte of 64 of one view, to every length up to 16. */
TEST_F_TIMEOUT(cpu, every_offset_mod_64, LIMIT)
{
	__u64 offset;
	size_t len;

	ATTACH(layout_three, 0);
	ASSERT_EQ(0, importer_map(self->in.importer, 0x1fc3, 0x100));
	for (offset = 0; offset < 64; offset++)
		for (len = 1; len <= 16; len += 1 + offset % 3)
			ASSERT_EQ(0, importer_arrives(self->in.importer,
						      &self->in.bar, layout_three, 0x1fc3,
						      offset, len));
}

TEST_F_TIMEOUT(cpu, eight_bytes_at_once, LIMIT)
{
	const __u64 start = 0x1fc3;
	__u64 offset, value, got;
	int want;

	ATTACH(layout_three, 0);
	ASSERT_EQ(0, importer_map(self->in.importer, start, 0x80));
	for (offset = 0; offset < 0x88; offset++) {
		value = 0x1122334455667788 * (offset + 1);
		want = (start + offset) % 8 || offset > 0x78 ? -EINVAL : 0;
		if (!want)
			bar_note(&self->in.bar, layout_three, start + offset, &value,
				 sizeof(value));
		EXPECT_EQ(want, importer_write64(self->in.importer, offset,
						 value));
		got = 0;
		EXPECT_EQ(want, importer_read64(self->in.importer, offset, &got));
		EXPECT_EQ(want ? 0 : value, got);
	}
	EXPECT_EQ(0, bar_judge(&self->in.bar));
}

TEST_F_TIMEOUT(cpu, flushed_bytes_are_there, LIMIT)
{
	const size_t len = 0x3456;
	__u8 *data = malloc(len);

	ASSERT_NE(NULL, data);
	pattern(data, len, 9);
	ATTACH_AND_MAP(layout_three, 0);
	bar_note(&self->in.bar, layout_three, 0x1111, data, len);
	EXPECT_EQ((ssize_t)len, importer_write_flush(self->in.importer, 0x1111,
						     data, len));
	EXPECT_EQ(0, bar_judge(&self->in.bar));
	free(data);
}

TEST_F_TIMEOUT(cpu, outside_is_refused, LIMIT)
{
	const __u64 size = layout_size(layout_three);
	__u8 data[16] = {};

	ATTACH(layout_three, 0);
	EXPECT_EQ(-EINVAL, importer_map(self->in.importer, size, 1));
	EXPECT_EQ(-EINVAL, importer_map(self->in.importer, size - 1, 2));
	EXPECT_EQ(-EINVAL, importer_map(self->in.importer, 1, ~0ULL));
	EXPECT_EQ(-EINVAL, importer_map(self->in.importer, ~0ULL, 2));

	/* There is more of the buffer, of the range and of the page. */
	ASSERT_EQ(0, importer_map(self->in.importer, 0x1010, 0x20));
	EXPECT_EQ(-EINVAL, importer_write(self->in.importer, 0x18, data, 9));
	EXPECT_EQ(-EINVAL, importer_write(self->in.importer, 0x20, data, 1));
	EXPECT_EQ(-EINVAL, importer_write(self->in.importer, ~0xfULL, data, 1));
	EXPECT_EQ(-EINVAL, importer_read(self->in.importer, 0x1f, data, 2));
	EXPECT_EQ(-EINVAL, importer_write_flush(self->in.importer, 0x20, data, 1));
	EXPECT_EQ(-EINVAL, importer_write64(self->in.importer, 0x20, 1));
	EXPECT_EQ(0, bar_judge(&self->in.bar));
	EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar, layout_three, 0x1010,
				      0x18, 8));
}

/* The DMA engine of a device and the CPU see each other's bytes. */
TEST_F_TIMEOUT(cpu, shared_with_a_device, LIMIT)
{
	__u8 data[256], got[256];
	int device;

	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	device = importer_reopen(self->in.name);
	ASSERT_LE(0, device);
	ATTACH_AND_MAP(layout_three, 0);
	ASSERT_EQ(0, importer_attach(device, self->in.dmabuf, DBT_ATTACH_CLASS,
				     0));
	ASSERT_EQ(0, importer_map(device, 0x1f80, sizeof(data)));
	pattern(data, sizeof(data), 31);
	EXPECT_EQ((ssize_t)sizeof(data),
		  importer_write(device, 0, data, sizeof(data)));
	EXPECT_EQ((ssize_t)sizeof(got),
		  importer_read(self->in.importer, 0x1f80, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(data, got, sizeof(got)));

	pattern(data, sizeof(data), 32);
	EXPECT_EQ((ssize_t)sizeof(data),
		  importer_write(self->in.importer, 0x1f80, data, sizeof(data)));
	EXPECT_EQ((ssize_t)sizeof(got),
		  importer_read(device, 0, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(data, got, sizeof(got)));
	close(device);
}

TEST_F_TIMEOUT(cpu, memory_disable_ends_the_view, LIMIT)
{
	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_ARRIVES(layout_three);
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_EQ(0, view_is_dead(self->in.importer));
	EXPECT_EQ(-ENODEV, importer_remap(self->in.importer));

	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, true));
	EXPECT_EQ(0, view_is_dead(self->in.importer));
	EXPECT_EQ(0, bar_judge(&self->in.bar));
	EXPECT_EQ(0, importer_remap(self->in.importer));
	EXPECT_ARRIVES(layout_three);
	EXPECT_EQ(0, importer_remap(self->in.importer));
	EXPECT_ARRIVES(layout_three);
}

/* A slice comes back as the same slice. */
TEST_F_TIMEOUT(cpu, reset_ends_the_view, LIMIT)
{
	ATTACH(layout_three, 0);
	ASSERT_EQ(0, importer_map(self->in.importer, 0x1ffd, 9));
	EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar, layout_three, 0x1ffd,
				      0, 9));
	ASSERT_EQ(0, vfio_reset(&self->in.exporter));
	EXPECT_EQ(0, view_is_dead(self->in.importer));
	EXPECT_EQ(0, bar_judge(&self->in.bar));
	EXPECT_EQ(0, importer_remap(self->in.importer));
	EXPECT_EQ(0, importer_arrives(self->in.importer, &self->in.bar, layout_three, 0x1ffd,
				      0, 9));
	EXPECT_EQ(-EINVAL, importer_write(self->in.importer, 9, "x", 1));
}

TEST_F_TIMEOUT(cpu, map_while_suspended_is_refused, LIMIT)
{
	ATTACH(layout_three, 0);
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_EQ(-ENODEV, importer_map_all(self->in.importer));
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, true));
	EXPECT_EQ(0, importer_map_all(self->in.importer));
	EXPECT_ARRIVES(layout_three);
}

/* Unmap and detach are right for a dead view, too. */
TEST_F_TIMEOUT(cpu, dead_view_is_unmapped, LIMIT)
{
	ATTACH_AND_MAP(layout_three, 0);
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_EQ(0, importer_unmap(self->in.importer));
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, true));
	EXPECT_EQ(0, importer_map_all(self->in.importer));
	EXPECT_ARRIVES(layout_three);
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_EQ(0, importer_detach(self->in.importer));
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, true));
}

TEST_F_TIMEOUT(cpu, close_revokes_for_good, LIMIT)
{
	ATTACH_AND_MAP(layout_three, 0);
	EXPECT_ARRIVES(layout_three);
	bar_unmap(&self->in.bar);
	vfio_close(&self->in.exporter);

	EXPECT_EQ(0, view_is_dead(self->in.importer));
	EXPECT_EQ(-ENODEV, importer_remap(self->in.importer));
	EXPECT_EQ(0, importer_unmap(self->in.importer));
	EXPECT_EQ(-ENODEV, importer_map_all(self->in.importer));
	ASSERT_EQ(0, importer_detach(self->in.importer));
	EXPECT_EQ(-ENODEV, importer_attach(self->in.importer, self->in.dmabuf, CPU,
					   0));
}

struct slow_write {
	int importer;
	ssize_t done;
	__u64 ended;
};

static void *do_slow_write(void *arg)
{
	struct slow_write *write = arg;

	write->done = importer_write(write->importer, 0, "slow", 4);
	write->ended = now_ms();
	return NULL;
}

/* The section in progress comes to its end, the next one does not begin. */
TEST_F_TIMEOUT(cpu, memory_disable_waits_for_a_section, LIMIT)
{
	struct slow_write write = { .importer = self->in.importer };
	pthread_t thread;
	__u64 begin;

	ATTACH_AND_MAP(layout_three, DELAY_MS);
	bar_note(&self->in.bar, layout_three, 0, "slow", 4);
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_slow_write, &write));
	usleep(200000);
	begin = now_ms();
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_LE(DELAY_MS / 4, now_ms() - begin);
	pthread_join(thread, NULL);
	EXPECT_EQ(4, write.done);
	EXPECT_EQ(0, view_is_dead(self->in.importer));
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, true));
	EXPECT_EQ(0, bar_judge(&self->in.bar));
}

/* After a second the log says whose section it is. */
TEST_F_TIMEOUT(cpu, slow_section_is_named, LIMIT)
{
	struct slow_write write = { .importer = self->in.importer };
	pthread_t thread;

	ATTACH_AND_MAP(layout_three, SLOW_MS);
	kmsg_drain(self->in.kmsg);
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_slow_write, &write));
	usleep(200000);
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	pthread_join(thread, NULL);
	EXPECT_TRUE(kmsg_has(self->in.kmsg,
			     "for a section of dma-buf-test-importer",
			     self->in.name));
	EXPECT_EQ(0, vfio_set_memory(&self->in.exporter, true));
}

/*
 * Memory cgroup
 */

#define NR_CHARGED	16384	/* ranges, of one page each */

/*
 * An area of address space, page table entries, and an array entry: what a
 * range costs is not an ABI, but it is not much less.
 */
#define LEAST_CHARGE	(NR_CHARGED * 128LL)
#define SLACK		(512LL << 10)

/* The same bytes many times: each is a piece of its own. */
static int export_charged(struct vfio_dev *dev, __u32 nr, __u64 length)
{
	struct vfio_region_dma_range *ranges = calloc(nr, sizeof(*ranges));
	__u32 i;
	int fd;

	for (i = 0; ranges && i < nr; i++)
		ranges[i].length = length;
	fd = ranges ? vfio_export(dev, IMPORT_BAR, ranges, nr) : -ENOMEM;
	free(ranges);
	return fd;
}

#define CHECK(condition)	CGROUP_CHECK(condition, before)

/* In a process of the cgroup. Returns its exit status. */
static int charge_and_uncharge(int importer, int dmabuf, struct vfio_dev *dev)
{
	long long before = 0;

	CHECK(!cgroup_enter());
	CHECK(!importer_attach(importer, dmabuf, CPU, 0));
	before = cgroup_charged();
	CHECK(!cgroup_limit(before + LEAST_CHARGE / 2));
	CHECK(importer_map_all(importer) == -ENOMEM);
	CHECK(cgroup_charged() <= before + SLACK);
	CHECK(importer_read(importer, 0, &before, 0) == -ENODEV);
	CHECK(!importer_map(importer, 0x1ff, 2));
	CHECK(!importer_unmap(importer));

	before = cgroup_charged();
	CHECK(!cgroup_limit(-1));
	CHECK(!importer_map_all(importer));
	CHECK(cgroup_charged() >= before + LEAST_CHARGE);

	/* A suspend gives all of it back. */
	CHECK(!vfio_set_memory(dev, false));
	CHECK(cgroup_charged() <= before + SLACK);
	CHECK(!vfio_set_memory(dev, true));

	/* Whoever remaps, who attached is charged. */
	CHECK(!cgroup_leave());
	CHECK(!cgroup_limit(cgroup_charged() + LEAST_CHARGE / 2));
	CHECK(importer_remap(importer) == -ENOMEM);
	CHECK(!cgroup_limit(-1));
	before = cgroup_charged();
	CHECK(!importer_remap(importer));
	CHECK(cgroup_charged() >= before + LEAST_CHARGE);
	CHECK(!importer_unmap(importer));
	CHECK(cgroup_charged() <= before + SLACK);
	CHECK(!importer_detach(importer));
	return 0;
}

TEST_F_TIMEOUT(cpu, charged_to_who_attached, LIMIT)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, cgroup_make());
	self->in.dmabuf = export_charged(&self->in.exporter, NR_CHARGED, PAGE);
	ASSERT_LE(0, self->in.dmabuf);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		status = charge_and_uncharge(self->in.importer, self->in.dmabuf,
					     &self->in.exporter);
		fflush(NULL);
		_exit(status);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, cgroup_remove());
}

/* So many pieces of 16 MiB with their guard page take 4 GiB of page tables. */
#define NR_OVER_4G	131072
#define LEN_OVER_4G	((16ULL << 20) - PAGE)
#define LIMIT_OVER_4G	(64LL << 20)

static int charge_over_4g(int importer, int dmabuf)
{
	long long before = 0;

	CHECK(!cgroup_enter());
	CHECK(!importer_attach(importer, dmabuf, CPU, 0));
	before = cgroup_charged();
	CHECK(!cgroup_limit(before + LIMIT_OVER_4G));
	/* If it were let through, it would take minutes, and all memory. */
	alarm(10);
	CHECK(importer_map_all(importer) == -ENOMEM);
	alarm(0);
	CHECK(cgroup_charged() <= before + SLACK);
	CHECK(!importer_detach(importer));
	return 0;
}

/* The memory controller counts in 32 bits: no charge may wrap there. */
TEST_F_TIMEOUT(cpu, charge_over_4g, LIMIT)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, cgroup_make());
	self->in.dmabuf = export_charged(&self->in.exporter, NR_OVER_4G, LEN_OVER_4G);
	ASSERT_LE(0, self->in.dmabuf);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		status = charge_over_4g(self->in.importer, self->in.dmabuf);
		fflush(NULL);
		_exit(status);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, cgroup_remove());
}

/*
 * Exporters of the kernel whose memory is system memory
 */

FIXTURE(ram)
{
	int importer;
	int dmabuf;
	__u8 *map;
	char name[PCI_NAME_LEN];
};

FIXTURE_VARIANT(ram)
{
	int (*export)(void);
};

#define RAM_SIZE	(16 * PAGE)

static int export_heap(void)
{
	struct dma_heap_allocation_data arg = {
		.len = RAM_SIZE,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	int err = 0;

	if (heap < 0)
		return -errno;
	if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &arg) < 0)
		err = -errno;
	close(heap);
	return err ? err : (int)arg.fd;
}

static int export_memfd(void)
{
	struct udmabuf_create arg = {
		.memfd = memfd_create("cpu_view", MFD_ALLOW_SEALING),
		.size = RAM_SIZE,
	};
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int fd;

	if (dev < 0 || (int)arg.memfd < 0 || ftruncate(arg.memfd, RAM_SIZE) ||
	    fcntl(arg.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -errno;
	fd = ioctl(dev, UDMABUF_CREATE, &arg);
	if (fd < 0)
		fd = -errno;
	close(arg.memfd);
	close(dev);
	return fd;
}

FIXTURE_VARIANT_ADD(ram, system_heap)
{
	.export = export_heap,
};

FIXTURE_VARIANT_ADD(ram, udmabuf)
{
	.export = export_memfd,
};

FIXTURE_SETUP(ram)
{
	self->importer = importer_open(0, self->name);
	ASSERT_LE(0, self->importer);
	self->dmabuf = variant->export();
	ASSERT_LE(0, self->dmabuf);
	self->map = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->dmabuf, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(ram)
{
	munmap(self->map, RAM_SIZE);
	close(self->importer);
	close(self->dmabuf);
	EXPECT_EQ(0, settle_dmabufs(0));
	EXPECT_EQ(0, testdrv_release(self->name));
}

TEST_F_TIMEOUT(ram, slices_arrive, LIMIT)
{
	__u8 want[RAM_SIZE] = {}, got[RAM_SIZE];
	const struct {
		__u64 start, len;
	} slices[] = {
		{ 0, RAM_SIZE }, { 1, 1 }, { RAM_SIZE - 1, 1 },
		{ PAGE - 1, 2 }, { 0x123, 3 * PAGE },
	};
	unsigned int i;

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, CPU, 0));
	memset(self->map, 0, RAM_SIZE);
	for (i = 0; i < ARRAY_SIZE(slices); i++) {
		const __u64 start = slices[i].start, len = slices[i].len;

		ASSERT_EQ(0, importer_map(self->importer, start, len));
		pattern(want + start, len, 40 + i);
		EXPECT_EQ((ssize_t)len, importer_write(self->importer, 0,
						       want + start, len));
		EXPECT_EQ(0, memcmp(self->map, want, RAM_SIZE));
		EXPECT_EQ((ssize_t)len,
			  importer_read(self->importer, 0, got, len));
		EXPECT_EQ(0, memcmp(got, want + start, len));
		EXPECT_EQ(-EINVAL,
			  importer_write(self->importer, len, "x", 1));
		ASSERT_EQ(0, importer_unmap(self->importer));
	}
	EXPECT_EQ(-EINVAL, importer_map(self->importer, RAM_SIZE, 1));
}

TEST_HARNESS_MAIN

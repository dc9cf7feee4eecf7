// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO dma-buf export: bad input gets the documented errno and changes nothing.
 *
 * "Changes nothing" is counted in the teardown of every test: no dma-buf and
 * no file descriptor more than before.
 *
 * flavour: plain debug
 * topology: root
 * tier: check
 * timeout: 300
 * leak: yes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "iommufd.h"
#include "leaks.h"
#include "pci.h"
#include "vfio.h"

#include "kselftest_harness.h"

#define BAR		2
#define BAR_SIZE	(64ULL << 20)
#define PAGE		4096ULL
#define HALF		0x8000000000000000ULL	/* of the address space */

/* VFIO_PCI_DMABUF_MAX_RANGES, as the documentation promises. */
#define MAX_RANGES	131072

#define GET_DMA_BUF	(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF)

/* The ioctl's argument with room for two ranges. */
struct request {
	struct vfio_device_feature feature;
	struct vfio_device_feature_dma_buf dma_buf;
	struct vfio_region_dma_range ranges[2];
};

static const struct request good = {
	.feature = { .argsz = sizeof(struct request), .flags = GET_DMA_BUF },
	.dma_buf = {
		.region_index = BAR,
		.open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = 1,
	},
	.ranges = { { .offset = 0, .length = PAGE } },
};

struct device {
	struct vfio_dev dev;
	int iommufd;
	unsigned int dmabufs;
	unsigned int fds;
};

static int device_open(struct device *device)
{
	int err;

	device->iommufd = iommufd_open();
	if (device->iommufd < 0)
		return device->iommufd;
	err = vfio_open_id(&device->dev, PCI_ID_IVSHMEM, 0, device->iommufd);
	device->dmabufs = count_dmabufs();
	device->fds = count_fds();
	return err;
}

static void device_close(struct device *device)
{
	vfio_close(&device->dev);
	close(device->iommufd);
}

static const struct bad_ranges {
	const char *name;
	int want;
	__u32 bar;
	__u32 nr;
	struct vfio_region_dma_range ranges[2];
} bad_ranges[] = {
	{ "no range", -EINVAL, BAR, 0, { { 0, PAGE } } },
	{ "zero length", -EINVAL, BAR, 1, { { 0, 0 } } },
	{ "zero length, second", -EINVAL, BAR, 2, { { 0, PAGE }, { PAGE, 0 } } },
	{ "unaligned offset", -EINVAL, BAR, 1, { { 512, PAGE } } },
	{ "unaligned length", -EINVAL, BAR, 1, { { 0, PAGE + 512 } } },
	{ "begins at the end", -EINVAL, BAR, 1, { { BAR_SIZE, PAGE } } },
	{ "ends past the end", -EINVAL, BAR, 1, { { BAR_SIZE - PAGE, 2 * PAGE } } },
	{ "second ends past the end", -EINVAL, BAR, 2,
	  { { 0, PAGE }, { BAR_SIZE - PAGE, 2 * PAGE } } },
	{ "longer than the BAR", -EINVAL, BAR, 1, { { 0, BAR_SIZE + PAGE } } },
	{ "top bit of the length", -EINVAL, BAR, 1, { { 0, HALF } } },
	{ "sum overflows", -EINVAL, BAR, 2, { { 0, HALF }, { 0, HALF } } },
	{ "offset overflows", -EOVERFLOW, BAR, 1, { { -PAGE, 2 * PAGE } } },
	{ "end overflows", -EOVERFLOW, BAR, 1, { { HALF, HALF - PAGE } } },
	{ "BAR smaller than a page", -EINVAL, 0, 1, { { 0, PAGE } } },
	{ "absent BAR", -ENODEV, 1, 1, { { 0, PAGE } } },
	{ "upper half of a BAR", -ENODEV, 3, 1, { { 0, PAGE } } },
	{ "ROM", -ENODEV, VFIO_PCI_ROM_REGION_INDEX, 1, { { 0, PAGE } } },
	{ "config", -ENODEV, VFIO_PCI_CONFIG_REGION_INDEX, 1, { { 0, PAGE } } },
	{ "VGA", -ENODEV, VFIO_PCI_VGA_REGION_INDEX, 1, { { 0, PAGE } } },
	{ "no such region", -ENODEV, ~0U, 1, { { 0, PAGE } } },
};

FIXTURE(export)
{
	struct device device;
};

FIXTURE_SETUP(export)
{
	ASSERT_EQ(0, device_open(&self->device));
}

FIXTURE_TEARDOWN(export)
{
	EXPECT_EQ(self->device.fds, count_fds());
	EXPECT_EQ(self->device.dmabufs, settle_dmabufs(self->device.dmabufs));
	device_close(&self->device);
}

/* The one request that all bad ones differ from by one thing. */
TEST_F_TIMEOUT(export, good, 60)
{
	struct request request = good;
	struct stat stat;
	int fd;

	fd = vfio_feature(&self->device.dev, &request);
	ASSERT_LE(0, fd);
	EXPECT_EQ(self->device.dmabufs + 1, count_dmabufs());
	EXPECT_EQ(0, fstat(fd, &stat));
	EXPECT_EQ((off_t)PAGE, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, close(fd));
}

/* Ranges may be out of order, adjacent, and even the same. */
TEST_F_TIMEOUT(export, ranges_may_alias, 60)
{
	struct request request = good;
	int fd;

	request.dma_buf.nr_ranges = 2;
	request.ranges[1] = request.ranges[0];
	fd = vfio_feature(&self->device.dev, &request);
	ASSERT_LE(0, fd);
	EXPECT_EQ(2 * (off_t)PAGE, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, close(fd));
}

TEST_F_TIMEOUT(export, bad_ranges, 60)
{
	struct request request = good;
	const struct bad_ranges *bad;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_ranges); i++) {
		bad = &bad_ranges[i];
		request.dma_buf.region_index = bad->bar;
		request.dma_buf.nr_ranges = bad->nr;
		memcpy(request.ranges, bad->ranges, sizeof(request.ranges));
		EXPECT_EQ(bad->want, vfio_feature(&self->device.dev, &request))
			TH_LOG("%s", bad->name);
		EXPECT_EQ(self->device.dmabufs, count_dmabufs())
			TH_LOG("%s", bad->name);
	}
}

TEST_F_TIMEOUT(export, unknown_flags, 60)
{
	struct request request = good;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		request.dma_buf.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
	}
}

TEST_F_TIMEOUT(export, feature_flags, 60)
{
	struct request request = good;
	__u32 dma_buf = VFIO_DEVICE_FEATURE_DMA_BUF;

	request.feature.flags = dma_buf;
	EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
	request.feature.flags = dma_buf | VFIO_DEVICE_FEATURE_SET;
	EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
	request.feature.flags = GET_DMA_BUF | VFIO_DEVICE_FEATURE_SET;
	EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
	request.feature.flags = GET_DMA_BUF | 0x80000000;
	EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
	request.feature.flags = dma_buf | VFIO_DEVICE_FEATURE_PROBE;
	EXPECT_EQ(0, vfio_feature(&self->device.dev, &request));
	request.feature.flags = GET_DMA_BUF | VFIO_DEVICE_FEATURE_PROBE;
	EXPECT_EQ(0, vfio_feature(&self->device.dev, &request));
}

TEST_F_TIMEOUT(export, argsz_too_small, 60)
{
	struct request request = good;
	size_t least = sizeof(request.feature) + sizeof(request.dma_buf);

	request.feature.argsz = least - 1;
	EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
	request.feature.argsz = sizeof(request.feature);
	EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
	request.feature.argsz = 0;
	EXPECT_EQ(-EINVAL, vfio_feature(&self->device.dev, &request));
}

/* Access mode and O_NONBLOCK show in the file, O_CLOEXEC in the descriptor. */
TEST_F_TIMEOUT(export, open_flags, 60)
{
	struct request request = good;
	int fd;

	request.dma_buf.open_flags = O_RDONLY;
	fd = vfio_feature(&self->device.dev, &request);
	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, close(fd));
}

/* Linux 7.3 takes flags that mean nothing, and drops them. */
TEST_F_TIMEOUT(export, meaningless_open_flags, 60)
{
	int dropped = O_APPEND | O_DIRECT | O_TRUNC | O_CREAT;
	struct request request = good;
	int fd;

	request.dma_buf.open_flags |= dropped;
	fd = vfio_feature(&self->device.dev, &request);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFL) & dropped);
	EXPECT_EQ(0, close(fd));
}

/* Copies @request so that its last @len bytes are the first not readable. */
static void *cut_off(const struct request *request, size_t len)
{
	size_t kept = sizeof(*request) - len;
	__u8 *pages;

	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_NONE))
		return NULL;
	return memcpy(pages + PAGE - kept, request, kept);
}

TEST_F_TIMEOUT(export, copy_faults, 60)
{
	struct vfio_dev *dev = &self->device.dev;
	struct request request = good;
	size_t at_ranges = sizeof(request.ranges);

	request.dma_buf.nr_ranges = 2;
	EXPECT_EQ(-EFAULT, vfio_feature(dev, NULL));
	EXPECT_EQ(-EFAULT, vfio_feature(dev, cut_off(&request, at_ranges + 1)));
	EXPECT_EQ(-EFAULT, vfio_feature(dev, cut_off(&request, at_ranges)));
	EXPECT_EQ(-EFAULT, vfio_feature(dev, cut_off(&request, 1)));
}

TEST_F_TIMEOUT(export, no_free_fd, 60)
{
	struct request request = good;
	struct rlimit limit, none;
	int free_fd = dup(0);

	ASSERT_LE(0, free_fd);
	close(free_fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = free_fd;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, vfio_feature(&self->device.dev, &request));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

/* @nr times the first page of the BAR. */
static struct vfio_region_dma_range *many_ranges(__u32 nr)
{
	struct vfio_region_dma_range *ranges = calloc(nr, sizeof(*ranges));
	__u32 i;

	for (i = 0; ranges && i < nr; i++)
		ranges[i].length = PAGE;
	return ranges;
}

TEST_F_TIMEOUT(export, ranges_at_the_cap, 60)
{
	struct vfio_region_dma_range *ranges = many_ranges(MAX_RANGES + 1);
	struct vfio_dev *dev = &self->device.dev;
	struct request request = good;
	int fd;

	ASSERT_NE(NULL, ranges);
	fd = vfio_export(dev, BAR, ranges, MAX_RANGES);
	ASSERT_LE(0, fd);
	EXPECT_EQ((off_t)(MAX_RANGES * PAGE), lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, close(fd));

	fd = vfio_export(dev, BAR, ranges, MAX_RANGES + 1);
	EXPECT_EQ(-EINVAL, fd);
	if (fd >= 0)
		close(fd);
	request.dma_buf.nr_ranges = ~0U;
	EXPECT_EQ(-EINVAL, vfio_feature(dev, &request));
	free(ranges);
}

static int find_io_bar(char *name, __u32 *bar)
{
	/* q35's AHCI controller: BAR4 is an I/O BAR, and no driver has it. */
	*bar = 4;
	return pci_find((struct pci_id){ 0x8086, 0x2922 }, 0, name);
}

TEST_F_TIMEOUT(export, io_bar, 60)
{
	const struct vfio_region_dma_range range = { 0, PAGE };
	struct vfio_region_info info;
	char name[PCI_NAME_LEN];
	struct vfio_dev dev;
	__u32 bar;
	int err;

	if (find_io_bar(name, &bar))
		SKIP(return, "no device with an I/O BAR");
	err = vfio_open(&dev, name, self->device.iommufd);
	if (err)
		SKIP(return, "VFIO cannot open %s: %s", name, strerror(-err));
	EXPECT_EQ(0, vfio_region(&dev, bar, &info));
	EXPECT_NE(0ULL, info.size);
	EXPECT_EQ(-EINVAL, vfio_export(&dev, bar, &range, 1));
	vfio_close(&dev);
}

/* Buffers that debugfs shows, or -1. */
static int count_shown(void)
{
	FILE *file = fopen("/sys/kernel/debug/dma_buf_phys", "r");
	char line[512];
	int count = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		count += !strncmp(line, "buffer ", strlen("buffer "));
	fclose(file);
	return count;
}

/*
 * Who has only the path open keeps the dma-buf, but not its file, whose memory
 * becomes that of another one. Nobody may take that for a reference.
 */
TEST_F(export, path_outlives_file)
{
	struct vfio_region_dma_range range = { .length = PAGE };
	int fd, path, others[16];
	char name[32];
	unsigned int i;

	fd = vfio_export(&self->device.dev, BAR, &range, 1);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, count_shown());
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	path = open(name, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, path);
	close(fd);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(0, count_shown());
	for (i = 0; i < ARRAY_SIZE(others); i++)
		close(others[i]);
	close(path);
	EXPECT_EQ(0, count_shown());
}

#define MEMORY_MAX	(32 << 20)
#define MAX_EXPORTS	64

/* Exports and keeps, 2 MiB each, until it fails or was allowed 128 MiB. */
static noreturn void export_without_end(struct vfio_dev *dev)
{
	struct vfio_region_dma_range *ranges = many_ranges(MAX_RANGES);
	unsigned int i;
	int fd = 0;

	if (!ranges || cgroup_enter())
		_exit(EINVAL);
	for (i = 0; i < MAX_EXPORTS && fd >= 0; i++)
		fd = vfio_export(dev, BAR, ranges, MAX_RANGES);
	_exit(fd < 0 ? -fd : 0);
}

/* The child is refused memory, or killed for it, long before 128 MiB. */
TEST_F_TIMEOUT(export, charged_to_memcg, 120)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, cgroup_make());
	ASSERT_EQ(0, cgroup_limit(MEMORY_MAX));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		export_without_end(&self->device.dev);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == ENOMEM))
		TH_LOG("wait status 0x%x", status);
	EXPECT_EQ(0, cgroup_remove());
}

TEST_HARNESS_MAIN

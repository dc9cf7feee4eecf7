// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO's older interface to the IOMMU reads page tables of processes.
 *
 * A container of type 1 maps whatever a process has mapped, looks its pages up
 * once, and is not told when they go. So a process that got a slice of a BAR as a
 * dma-buf, and has a device of its own, could keep access for that device beyond
 * a revoke. Mappings of dma-bufs of the class are refused. What the owner of a
 * device may do with its own BAR is as before.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 60
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "leaks.h"
#include "pci.h"
#include "report.h"
#include "scene.h"

#include "kselftest_harness.h"

#define LIMIT		40	/* seconds per test */
#define WINDOW		0x40000
#define PAGE		0x1000
#define IOVA		0x100000000ULL

/* Of a device that is bound to vfio-pci; a file descriptor or -errno. */
static int group_open(const char *name)
{
	char path[PATH_MAX], link[PATH_MAX], *group;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return -errno;
	link[len] = '\0';
	group = strrchr(link, '/') + 1;
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* With one group in it, ready to map. */
static int container_open(int group)
{
	int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!ioctl(group, VFIO_GROUP_SET_CONTAINER, &fd) &&
	    !ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return fd;
	close(fd);
	return -errno;
}

static int container_map(int container, const void *memory, __u32 flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (__u64)memory,
		.iova = IOVA,
		.size = PAGE,
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = IOVA,
		.size = PAGE,
	};

	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		return -errno;
	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

static const struct vfio_region_dma_range ranges[] = {
	{ .offset = 0x13000, .length = 2 * PAGE },
};

static const struct layout layout = { ranges, 1 };

FIXTURE(type1)
{
	struct scene scene;
	char name[PCI_NAME_LEN];
	int dmabuf;
	int group, container;
	unsigned int dmabufs;
	__u8 *map;
};

FIXTURE_SETUP(type1)
{
	self->dmabufs = count_dmabufs();
	scene_open(&self->scene, PCI_ID_IVSHMEM, WINDOW);
	self->dmabuf = scene_export(&self->scene, layout);
	self->map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->dmabuf, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->map);
	ASSERT_EQ(0, pci_find(PCI_ID_EDU, 1, self->name));
	ASSERT_EQ(0, pci_bind_vfio(self->name));
	self->group = group_open(self->name);
	ASSERT_LE(0, self->group);
	self->container = container_open(self->group);
	ASSERT_LE(0, self->container);
}

FIXTURE_TEARDOWN(type1)
{
	munmap(self->map, 2 * PAGE);
	close(self->dmabuf);
	close(self->container);
	close(self->group);
	scene_close(&self->scene);
	EXPECT_EQ(0, settle_dmabufs(self->dmabufs));
}

TEST_F_TIMEOUT(type1, dmabuf_is_refused, LIMIT)
{
	const __u32 rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

	/* Faulted in or not */
	EXPECT_EQ(-EFAULT, container_map(self->container, self->map, rw));
	EXPECT_EQ(self->scene.bar.want[ranges[0].offset], self->map[0]);
	EXPECT_EQ(-EFAULT, container_map(self->container, self->map, rw));
	EXPECT_EQ(-EFAULT, container_map(self->container, self->map,
					 VFIO_DMA_MAP_FLAG_READ));
	EXPECT_EQ(0, scene_judge(&self->scene));
}

TEST_F_TIMEOUT(type1, bar_is_mapped_as_before, LIMIT)
{
	const __u32 rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

	EXPECT_EQ(0, container_map(self->container, self->scene.bar.map, rw));
}

TEST_F_TIMEOUT(type1, memory_is_mapped_as_before, LIMIT)
{
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_EQ(0, container_map(self->container, memory,
				   VFIO_DMA_MAP_FLAG_READ));
	munmap(memory, PAGE);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Importers of the class and real exporters outside of it: vgem, vkms, virtio-gpu.
 *
 * A dumb buffer of each is read and written by an edu device through a DMA view,
 * and by the kernel through a CPU view; the CPU sees the same bytes in the
 * buffer's own mmap. There is no domain view.
 *
 * flavour: plain
 * topology: gpu
 * tier: check
 * timeout: 120
 * leak: yes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <drm/drm.h>
#include <drm/drm_mode.h>

#include "bar.h"
#include "iommufd.h"
#include "leaks.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define PAGE	0x1000ULL
#define SIZE	0x10000ULL
#define IOVA	0x100000000ULL
#define LIMIT	60	/* seconds per test */
#define NR_CARDS 16

FIXTURE(gpu)
{
	int card;
	int importer;
	int dmabuf;
	__u32 handle;
	struct bar bar;		/* the buffer, in the place of a BAR */
	struct vfio_region_dma_range range;
	struct layout layout;
	unsigned int dmabufs;
	char name[PCI_NAME_LEN];
};

FIXTURE_VARIANT(gpu)
{
	const char *driver;
	const char *module;
};

FIXTURE_VARIANT_ADD(gpu, vgem) { .driver = "vgem", .module = "vgem" };
FIXTURE_VARIANT_ADD(gpu, vkms) { .driver = "vkms", .module = "vkms" };

FIXTURE_VARIANT_ADD(gpu, virtio_gpu) {
	.driver = "virtio_gpu", .module = "virtio-gpu",
};

static bool is_driver(int card, const char *driver)
{
	char name[32] = "";
	struct drm_version version = {
		.name = name, .name_len = sizeof(name) - 1,
	};

	return !ioctl(card, DRM_IOCTL_VERSION, &version) &&
	       !strcmp(name, driver);
}

static int open_card(const char *driver, const char *module)
{
	char text[64];
	unsigned int i;
	int card;

	snprintf(text, sizeof(text), "modprobe %s", module);
	if (system(text))
		return -ENOPKG;
	for (i = 0; i < NR_CARDS; i++) {
		snprintf(text, sizeof(text), "/dev/dri/card%u", i);
		card = open(text, O_RDWR | O_CLOEXEC);
		if (card >= 0 && is_driver(card, driver))
			return card;
		close(card);
	}
	return -ENODEV;
}

static int create_dumb(int card, __u32 *handle)
{
	struct drm_mode_create_dumb create = {
		.width = 1024, .height = 16, .bpp = 32,
	};

	if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &create))
		return -errno;
	*handle = create.handle;
	return create.size == SIZE ? 0 : -EIO;
}

static int map_dumb(int card, __u32 handle, struct bar *bar)
{
	struct drm_mode_map_dumb map = { .handle = handle };

	if (ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &map))
		return -errno;
	*bar = (struct bar){
		.map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    card, map.offset),
		.want = malloc(SIZE),
		.size = SIZE,
		.map_size = SIZE,
	};
	return bar->map == MAP_FAILED || !bar->want ? -ENOMEM : 0;
}

static int export_dumb(int card, __u32 handle)
{
	struct drm_prime_handle prime = {
		.handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR,
	};

	return ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) ? -errno :
								    prime.fd;
}

static void destroy_dumb(int card, __u32 handle)
{
	struct drm_mode_destroy_dumb destroy = { .handle = handle };

	ioctl(card, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
}

FIXTURE_SETUP(gpu)
{
	self->dmabufs = count_dmabufs();
	self->card = open_card(variant->driver, variant->module);
	ASSERT_LE(0, self->card);
	ASSERT_EQ(0, create_dumb(self->card, &self->handle));
	ASSERT_EQ(0, map_dumb(self->card, self->handle, &self->bar));
	bar_fill(&self->bar, 1);
	self->dmabuf = export_dumb(self->card, self->handle);
	ASSERT_LE(0, self->dmabuf);
	self->range.length = SIZE;
	self->layout = (struct layout){ &self->range, 1 };
	self->importer = importer_open(0, self->name);
	ASSERT_LE(0, self->importer);
}

FIXTURE_TEARDOWN(gpu)
{
	close(self->importer);
	EXPECT_EQ(0, testdrv_release(self->name));
	bar_close(&self->bar);
	if (self->dmabuf >= 0)
		close(self->dmabuf);
	destroy_dumb(self->card, self->handle);
	close(self->card);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

TEST_F_TIMEOUT(gpu, dma_view, LIMIT)
{
	const __u32 flags[] = { DBT_ATTACH_CLASS,
				DBT_ATTACH_CLASS | DBT_ATTACH_PIN,
				DBT_ATTACH_STATIC };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
					     flags[i], 0));
		ASSERT_EQ(0, importer_map_all(self->importer));
		EXPECT_EQ(0, importer_all_arrives(self->importer, &self->bar,
						  self->layout));
		EXPECT_EQ(0, importer_arrives(self->importer, &self->bar,
					      self->layout, 0, 0x2800, PAGE));
		ASSERT_EQ(0, importer_unmap(self->importer));
		ASSERT_EQ(0, importer_detach(self->importer));
	}
}

TEST_F_TIMEOUT(gpu, dma_view_of_a_slice, LIMIT)
{
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
				     DBT_ATTACH_CLASS, 0));
	ASSERT_EQ(0, importer_map(self->importer, 0x3800, 2 * PAGE));
	EXPECT_EQ(0, importer_arrives(self->importer, &self->bar, self->layout,
				      0x3800, PAGE, PAGE));
	EXPECT_EQ(-ERANGE, importer_write(self->importer, 2 * PAGE, "x", 1));
	ASSERT_EQ(0, importer_unmap(self->importer));
	EXPECT_EQ(-EINVAL, importer_map(self->importer, 0, SIZE + 1));
	EXPECT_EQ(-EINVAL, importer_map(self->importer, SIZE, 1));
}

/* With write combining, if the exporter's mmap has it: the bytes are the same. */
TEST_F_TIMEOUT(gpu, cpu_view, LIMIT)
{
	__u8 data[3 * PAGE], got[3 * PAGE];

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
				     DBT_ATTACH_CLASS | DBT_ATTACH_CPU, 0));
	ASSERT_EQ(0, importer_map(self->importer, 0x123, 4 * PAGE));
	pattern(data, sizeof(data), 7);
	bar_note(&self->bar, self->layout, 0x123 + 0x10, data, sizeof(data));
	EXPECT_EQ((ssize_t)sizeof(data),
		  importer_write_flush(self->importer, 0x10, data,
				       sizeof(data)));
	EXPECT_EQ(0, bar_judge(&self->bar));
	EXPECT_EQ((ssize_t)sizeof(got),
		  importer_read(self->importer, 0x10, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(data, got, sizeof(got)));
	EXPECT_EQ(-EINVAL, importer_write(self->importer, 4 * PAGE, "x", 1));
	ASSERT_EQ(0, importer_unmap(self->importer));
}

TEST_F_TIMEOUT(gpu, no_domain_view, LIMIT)
{
	int iommufd = iommufd_open();
	__u32 ioas;

	ASSERT_LE(0, iommufd);
	ASSERT_EQ(0, ioas_alloc(iommufd, &ioas));
	EXPECT_EQ(-EOPNOTSUPP, ioas_map_file_at(iommufd, ioas, self->dmabuf,
						SIZE, IOVA));
	close(iommufd);
}

/* The importer holds the memory, whatever its exporter's user lets go of. */
TEST_F_TIMEOUT(gpu, outlives_its_names, LIMIT)
{
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
				     DBT_ATTACH_CLASS, 0));
	ASSERT_EQ(0, importer_map_all(self->importer));
	close(self->dmabuf);
	self->dmabuf = -1;
	destroy_dumb(self->card, self->handle);
	EXPECT_EQ(0, importer_arrives(self->importer, &self->bar, self->layout,
				      0, SIZE - PAGE, PAGE));
	ASSERT_EQ(0, importer_unmap(self->importer));
	ASSERT_EQ(0, importer_detach(self->importer));
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: MIT
/*
 * Devices and debugfs. See stage.h.
 *
 * libs: igt
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "igt.h"
#include "iommufd.h"
#include "leaks.h"
#include "stage.h"

static const struct vfio_region_dma_range one[] = {
	{ .offset = 0x13000, .length = 0x8000 },
};

static const struct vfio_region_dma_range three[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x26000, .length = 0x1000 },
	{ .offset = 0x01000, .length = 0x3000 },
};

const struct layout one_range = { one, 1 };
const struct layout three_ranges = { three, 3 };

/* A subtest that fails leaves it open; the next one closes it. */
static struct {
	struct scene scene;
	bool open;
} stage;

void phys_require(void)
{
	igt_require_f(!access(PHYS_DEBUGFS, R_OK),
		      "no " PHYS_DEBUGFS ": no dma-buf-phys, or no debugfs\n");
	igt_require_f(!access("/sys/kernel/debug/dma_buf/bufinfo", R_OK),
		      "no dma_buf/bufinfo in debugfs\n");
}

static void require_device(const char *what, struct pci_id id)
{
	char name[PCI_NAME_LEN];

	igt_require_f(!pci_find(id, 0, name),
		      "no PCI device %04x:%04x, QEMU's %s\n", id.vendor,
		      id.device, what);
}

static void stage_close(void)
{
	scene_close(&stage.scene);
	stage.open = false;
}

static struct scene *stage_open(void)
{
	struct scene *scene = &stage.scene;

	if (stage.open)
		stage_close();
	igt_require_f(!access("/dev/iommu", F_OK), "no /dev/iommu: no iommufd\n");
	require_device("ivshmem", PCI_ID_IVSHMEM);
	*scene = (struct scene){ .exporter.fd = -1, .edu.dev.fd = -1 };
	scene->iommufd = iommufd_open();
	igt_assert_lte(0, scene->iommufd);
	stage.open = true;
	return scene;
}

static void open_exporter(struct scene *scene)
{
	igt_assert_eq(vfio_open_id(&scene->exporter, PCI_ID_IVSHMEM, 0,
				   scene->iommufd), 0);
	igt_assert_eq(bar_open(&scene->bar, &scene->exporter, SCENE_BAR,
			       WINDOW), 0);
	bar_fill(&scene->bar, ++scene->seed);
}

static void open_dma(struct scene *scene)
{
	require_device("edu", PCI_ID_EDU);
	igt_require_f(!access("/sys/kernel/iommu_groups/0", F_OK),
		      "no IOMMU\n");
	igt_assert_eq(ioas_alloc(scene->iommufd, &scene->ioas), 0);
	igt_assert_eq(edu_open(&scene->edu, 0, scene->iommufd, scene->ioas), 0);
}

static void with(void (*test)(struct scene *scene), bool dma)
{
	unsigned int dmabufs = count_dmabufs(), fds;
	struct scene *scene = stage_open();

	fds = count_fds();
	if (dma)
		open_dma(scene);
	open_exporter(scene);
	test(scene);
	stage_close();
	igt_assert_eq(settle_dmabufs(dmabufs), dmabufs);
	igt_assert_eq(count_fds(), fds - 1);
}

void with_exporter(void (*test)(struct scene *scene))
{
	with(test, false);
}

void with_dma(void (*test)(struct scene *scene))
{
	with(test, true);
}

/* The first line of a block. */
static bool parse_buffer(const char *line, unsigned long long want,
			 struct phys_buffer *buffer)
{
	char state[32], reasons[64] = "";
	unsigned long long ino;

	*buffer = (struct phys_buffer){};
	if (sscanf(line, "buffer %llu exporter %63s size %zu maps %u state %31s reasons %63s",
		   &ino, buffer->exporter, &buffer->size, &buffer->maps, state,
		   reasons) < 5 || ino != want)
		return false;
	snprintf(buffer->state, sizeof(buffer->state), "%s%s%s", state,
		 *reasons ? ": " : "", reasons);
	return true;
}

/* The lines below it: ranges, importers, and the views of each. */
static void parse_importers(FILE *file, struct phys_buffer *buffer)
{
	char line[256];

	while (fgets(line, sizeof(line), file) && line[0] == ' ') {
		if (strncmp(line, "  importer ", 11))
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (!buffer->importers++)
			snprintf(buffer->first_importer,
				 sizeof(buffer->first_importer), "%.127s", line);
	}
}

bool phys_buffer(int dmabuf, struct phys_buffer *buffer)
{
	FILE *file = fopen(PHYS_DEBUGFS, "r");
	char line[512];
	struct stat stat;
	bool found = false;

	igt_assert(file && !fstat(dmabuf, &stat));
	while (!found && fgets(line, sizeof(line), file))
		found = parse_buffer(line, stat.st_ino, buffer);
	if (found)
		parse_importers(file, buffer);
	fclose(file);
	return found;
}

void assert_state(int dmabuf, const char *state)
{
	struct phys_buffer buffer;

	igt_assert(phys_buffer(dmabuf, &buffer));
	igt_assert_f(!strcmp(buffer.state, state), "\"%s\", not \"%s\"\n",
		     buffer.state, state);
}

void assert_holds(int dmabuf, unsigned int importers, unsigned int maps)
{
	struct phys_buffer buffer;

	igt_assert(phys_buffer(dmabuf, &buffer));
	igt_assert_eq(buffer.importers, importers);
	igt_assert_eq(buffer.maps, maps);
}

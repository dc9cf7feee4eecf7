// SPDX-License-Identifier: MIT
/*
 * DRM drivers and dma-bufs that are described by physical ranges.
 *
 * A DRM buffer as RDMA memory region and for iommufd; a BAR that VFIO exports,
 * imported into DRM drivers. These cannot stop when the memory is taken away, so
 * they have to be refused.
 *
 * libs: igt drm ibverbs
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <drm.h>
#include <drm_mode.h>
#include <xf86drm.h>

#include "backing.h"
#include "igt.h"
#include "igt_kmod.h"
#include "iommufd.h"
#include "leaks.h"
#include "loop.h"
#include "stage.h"

/**
 * TEST: prime phys
 * Description: DRM drivers as exporters and importers beside dma-buf-phys.
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: dma-buf
 * Functionality: prime
 *
 * SUBTEST: %s-buffer-is-an-rdma-region
 * Description: RDMA writes and reads what the CPU sees in a dumb buffer.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: %s-buffer-outlives-its-handle
 * Description: A region works when handle and file descriptor are closed.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: %s-buffer-has-no-domain-view
 * Description: iommufd needs ranges, which the exporter does not describe.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: %s-is-refused-a-bar
 * Description: Import of a BAR fails with EOPNOTSUPP and changes nothing.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: %s-is-refused-a-suspended-bar
 * Description: A suspended BAR is refused by the same errno.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: %s-is-refused-a-revoked-bar
 * Description: A revoked BAR is refused because it is gone.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: %s-refusal-says-why
 * Description: The kernel log names the exporter and the reason.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: %s-imports-system-memory
 * Description: The driver takes a dma-buf that nobody can take away.
 * arg[1].values: vgem, vkms, virtio_gpu
 *
 * SUBTEST: rdma-is-seen-through-two-drivers
 * Description: What RDMA writes to a buffer of vgem is seen through vkms.
 */

IGT_TEST_DESCRIPTION("DRM drivers beside dma-bufs described by physical ranges");

#define MAX_CARDS	16
#define WIDTH		64
#define HEIGHT		64
#define SIZE		(WIDTH * HEIGHT * 4)
#define MR_IOVA		0x7e0000000000ULL

static const struct driver {
	const char *name;
	const char *module;
	bool imports;		/* dma-bufs of others */
} drivers[] = {
	{ "vgem", "vgem", true },
	{ "vkms", "vkms", true },
	{ "virtio_gpu", "virtio-gpu", false },
};

#define VGEM	(&drivers[0])
#define VKMS	(&drivers[1])

/* The driver of the subtest, and its device. */
static const struct driver *driver;
static int card = -1;

static bool is_driver(int fd, const char *name)
{
	drmVersionPtr version = drmGetVersion(fd);
	bool is = version && !strcmp(version->name, name);

	drmFreeVersion(version);
	return is;
}

static int find_card(const char *name)
{
	char path[32];
	int fd, i;

	for (i = 0; i < MAX_CARDS; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && is_driver(fd, name))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENODEV;
}

static int open_card(const struct driver *wanted)
{
	int fd;

	igt_require_f(!igt_kmod_load(wanted->module, NULL),
		      "no module %s\n", wanted->module);
	fd = find_card(wanted->name);
	igt_require_f(fd >= 0, "no DRM device of %s\n", wanted->name);
	return fd;
}

/* A dumb buffer, and what the CPU sees of it. */
struct dumb {
	int card;
	__u32 handle;
	int dmabuf;
	__u8 *map;
};

static __u8 *map_handle(int fd, __u32 handle)
{
	struct drm_mode_map_dumb map = { .handle = handle };
	__u8 *mapped;

	igt_assert_eq(drmIoctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &map), 0);
	mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      map.offset);
	igt_assert_f(mapped != MAP_FAILED, "mmap: %m\n");
	return mapped;
}

static struct dumb dumb_new(int fd)
{
	struct drm_mode_create_dumb create = {
		.width = WIDTH, .height = HEIGHT, .bpp = 32,
	};
	struct dumb dumb = { .card = fd };

	igt_assert_eq(drmIoctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create), 0);
	igt_assert_eq_u64(create.size, SIZE);
	dumb.handle = create.handle;
	dumb.map = map_handle(fd, dumb.handle);
	igt_assert_eq(drmPrimeHandleToFD(fd, dumb.handle, DRM_CLOEXEC | DRM_RDWR,
					 &dumb.dmabuf), 0);
	return dumb;
}

static void dumb_close_names(struct dumb *dumb)
{
	igt_assert_eq(drmCloseBufferHandle(dumb->card, dumb->handle), 0);
	close(dumb->dmabuf);
}

static void dumb_free(struct dumb *dumb)
{
	munmap(dumb->map, SIZE);
	dumb_close_names(dumb);
}

/* Write by RDMA and look by the CPU; write by the CPU and read by RDMA. */
static void check_both_ways(struct ibv_mr *mr, __u8 *map)
{
	__u8 data[SIZE];

	pattern(loop_memory, SIZE, 1);
	memcpy(data, loop_memory, SIZE);
	igt_assert_eq(loop_write(MR_IOVA, mr->rkey, SIZE), IBV_WC_SUCCESS);
	igt_assert(!memcmp(map, data, SIZE));
	pattern(map, SIZE, 2);
	memcpy(data, map, SIZE);
	igt_assert_eq(loop_read(MR_IOVA, mr->rkey, SIZE), IBV_WC_SUCCESS);
	igt_assert(!memcmp(loop_memory, data, SIZE));
}

static struct ibv_mr *reg(int dmabuf)
{
	struct ibv_mr *mr = loop_reg(dmabuf, 0, SIZE, MR_IOVA, LOOP_ALL);

	igt_assert_f(mr, "ibv_reg_dmabuf_mr: %m\n");
	return mr;
}

static void rdma_region(struct scene *scene)
{
	struct dumb dumb = dumb_new(card);
	struct ibv_mr *mr = reg(dumb.dmabuf);

	check_both_ways(mr, dumb.map);
	loop_dereg(mr);
	dumb_free(&dumb);
}

static void outlives_handle(struct scene *scene)
{
	struct dumb dumb = dumb_new(card);
	struct ibv_mr *mr = reg(dumb.dmabuf);

	dumb_close_names(&dumb);
	check_both_ways(mr, dumb.map);
	munmap(dumb.map, SIZE);
	pattern(loop_memory, SIZE, 3);
	igt_assert_eq(loop_write(MR_IOVA, mr->rkey, SIZE), IBV_WC_SUCCESS);
	memset(loop_memory, 0, SIZE);
	igt_assert_eq(loop_read(MR_IOVA, mr->rkey, SIZE), IBV_WC_SUCCESS);
	igt_assert_neq(loop_memory[0], 0);
	igt_assert_neq(loop_memory[SIZE - 1], 0);
	loop_dereg(mr);
}

static void no_domain_view(struct scene *scene)
{
	struct dumb dumb = dumb_new(card);

	igt_assert_eq(ioas_map_file_at(scene->iommufd, scene->ioas, dumb.dmabuf,
				       SIZE, IOVA), -EOPNOTSUPP);
	dumb_free(&dumb);
}

static void assert_refused(int dmabuf, int want)
{
	__u32 handle = 0;

	igt_assert(drmPrimeFDToHandle(card, dmabuf, &handle) < 0);
	igt_assert_eq(errno, want);
	igt_assert_eq(handle, 0);
}

static void refused(struct scene *scene)
{
	int fd = scene_export(scene, one_range);

	igt_assert_eq(scene_map_at(scene, fd, one_range, IOVA), 0);
	assert_refused(fd, EOPNOTSUPP);
	assert_holds(fd, 1, 1);
	assert_state(fd, "live");
	igt_assert_eq(scene_write_arrives(scene, IOVA, one_range, 0, PAGE), 0);
	close(fd);
}

static void refused_suspended(struct scene *scene)
{
	int fd = scene_export(scene, one_range);

	igt_assert_eq(vfio_set_memory(&scene->exporter, false), 0);
	assert_refused(fd, EOPNOTSUPP);
	assert_holds(fd, 0, 0);
	igt_assert_eq(vfio_set_memory(&scene->exporter, true), 0);
	assert_state(fd, "live");
	close(fd);
}

static void refused_revoked(struct scene *scene)
{
	int fd = scene_export(scene, one_range);

	scene_close_exporter(scene);
	assert_refused(fd, ENODEV);
	assert_holds(fd, 0, 0);
	assert_state(fd, "revoked");
	close(fd);
}

/* A line of the log since @log was opened has both texts. */
static bool log_has(int log, const char *one, const char *other)
{
	char line[1024];
	bool has = false;
	ssize_t got;

	while ((got = read(log, line, sizeof(line) - 1)) > 0 ||
	       (got < 0 && errno == EPIPE)) {
		line[got > 0 ? got : 0] = '\0';
		has |= strstr(line, one) && strstr(line, other);
	}
	return has;
}

static void says_why(struct scene *scene)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int fd = scene_export(scene, one_range);
	unsigned int tries = 0;

	igt_assert_lte(0, log);
	lseek(log, 0, SEEK_END);
	/* The log is rate limited. */
	do {
		igt_assert_lte(tries++, 6);
		usleep((tries - 1) * 1000000);
		assert_refused(fd, EOPNOTSUPP);
	} while (!log_has(log, scene->exporter.name,
			  "importer cannot stop when the memory is revoked"));
	close(log);
	close(fd);
}

static void imports(struct scene *scene)
{
	struct backing backing;
	__u32 handle;

	igt_require_f(!backing_new(&backing, "heap", SIZE),
		      "no system heap of dma-bufs\n");
	if (!driver->imports) {
		igt_assert(drmPrimeFDToHandle(card, backing.dmabuf, &handle) < 0);
		backing_free(&backing);
		igt_require_f(driver->imports, "%s takes no dma-bufs of others here\n",
			      driver->name);
	}
	igt_assert_eq(drmPrimeFDToHandle(card, backing.dmabuf, &handle), 0);
	igt_assert_eq(drmCloseBufferHandle(card, handle), 0);
	backing_free(&backing);
}

/* The dma-buf that comes out of vkms is the one that went in. */
static void two_drivers(struct scene *scene)
{
	struct dumb dumb = dumb_new(card);
	int other = open_card(VKMS);
	struct ibv_mr *mr;
	__u32 handle;
	__u8 *map;
	int again;

	igt_assert_eq(drmPrimeFDToHandle(other, dumb.dmabuf, &handle), 0);
	igt_assert_eq(drmPrimeHandleToFD(other, handle, DRM_CLOEXEC | DRM_RDWR,
					 &again), 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
	igt_assert_f(map != MAP_FAILED, "mmap: %m\n");
	mr = reg(again);
	check_both_ways(mr, map);
	igt_assert(!memcmp(map, dumb.map, SIZE));
	loop_dereg(mr);
	munmap(map, SIZE);
	close(again);
	drmCloseBufferHandle(other, handle);
	close(other);
	dumb_free(&dumb);
}

static const struct {
	const char *name;
	const char *text;
	void (*test)(struct scene *scene);
	bool dma;
} subtests[] = {
	{ "buffer-is-an-rdma-region",
	  "RDMA writes and reads what the CPU sees", rdma_region },
	{ "buffer-outlives-its-handle",
	  "a region works when handle and file descriptor are closed",
	  outlives_handle },
	{ "buffer-has-no-domain-view",
	  "iommufd needs ranges, which the exporter does not describe",
	  no_domain_view, true },
	{ "is-refused-a-bar",
	  "import of a BAR fails with EOPNOTSUPP and changes nothing",
	  refused, true },
	{ "is-refused-a-suspended-bar",
	  "a suspended BAR is refused by the same errno", refused_suspended },
	{ "is-refused-a-revoked-bar",
	  "a revoked BAR is refused because it is gone", refused_revoked },
	{ "refusal-says-why",
	  "the kernel log names the exporter and the reason", says_why },
	{ "imports-system-memory",
	  "the driver takes a dma-buf that nobody can take away", imports },
};

static void run(void (*test)(struct scene *scene), bool dma)
{
	if (card >= 0)
		close(card);
	card = open_card(driver);
	(dma ? with_dma : with_exporter)(test);
}

static void subtests_of(const struct driver *one)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		igt_describe(subtests[i].text);
		igt_subtest_f("%s-%s", one->name, subtests[i].name) {
			driver = one;
			run(subtests[i].test, subtests[i].dma);
		}
	}
}

igt_main()
{
	unsigned int i;

	igt_fixture() {
		phys_require();
		loop_open();
	}

	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		subtests_of(&drivers[i]);

	igt_describe("what RDMA writes to a buffer of vgem is seen through vkms");
	igt_subtest("rdma-is-seen-through-two-drivers") {
		driver = VGEM;
		run(two_drivers, false);
	}

	igt_fixture()
		loop_close();
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd maps system memory: the system heap and udmabuf, by their dma-buf fds.
 *
 * An edu device writes and reads there; the CPU sees the same bytes through mmap
 * of the fd, and no others change. Slices, several domains, several importers,
 * the memory after its fd is closed, bad input, and who is charged.
 *
 * flavour: plain
 * topology: root virtio-iommu
 * tier: check
 * timeout: 300
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "backing.h"
#include "cgroup.h"
#include "iommufd.h"
#include "leaks.h"
#include "scene.h"
#include "testdrv.h"
#include "uverbs.h"

#include "kselftest_harness.h"

#define IOVA	0x100000000ULL
#define IOVA2	0x200000000ULL
#define PAGE	0x1000ULL
#define LIMIT	60	/* seconds per test */

/* The scene with memory in the place of the BAR. */
FIXTURE(ram)
{
	struct scene scene;
	struct backing backing;
	struct vfio_region_dma_range range;
	struct layout layout;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(ram)
{
	const char *kind;
	size_t size;
};

FIXTURE_VARIANT_ADD(ram, heap_page) { .kind = "heap", .size = PAGE };
FIXTURE_VARIANT_ADD(ram, heap) { .kind = "heap", .size = 0x313000 };
FIXTURE_VARIANT_ADD(ram, udmabuf) { .kind = "udmabuf", .size = 0x113000 };
FIXTURE_VARIANT_ADD(ram, scattered) { .kind = "scattered", .size = 0x80000 };
FIXTURE_VARIANT_ADD(ram, huge_pages) { .kind = "huge", .size = 0x400000 };

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("# %s: %s\n", path, strerror(errno));
	close(fd);
}

static bool open_scene(struct scene *scene)
{
	*scene = (struct scene){ .exporter.fd = -1, .edu.dev.fd = -1 };
	scene->iommufd = iommufd_open();
	return scene->iommufd >= 0 &&
	       !ioas_alloc(scene->iommufd, &scene->ioas) &&
	       !edu_open(&scene->edu, 0, scene->iommufd, scene->ioas);
}

/* The whole buffer is what is watched. */
static bool watch(struct bar *bar, const struct backing *backing)
{
	*bar = (struct bar){
		.map = backing_map(backing, NULL, 0),
		.want = malloc(backing->size),
		.size = backing->size,
		.map_size = backing->size,
	};
	return bar->map != MAP_FAILED && bar->want;
}

FIXTURE_SETUP(ram)
{
	write_file("/proc/sys/vm/nr_hugepages", "8");
	self->dmabufs = count_dmabufs();
	ASSERT_TRUE(open_scene(&self->scene));
	ASSERT_EQ(0, backing_new(&self->backing, variant->kind, variant->size));
	ASSERT_TRUE(watch(&self->scene.bar, &self->backing));
	bar_fill(&self->scene.bar, ++self->scene.seed);
	self->range.length = variant->size;
	self->layout = (struct layout){ &self->range, 1 };
}

FIXTURE_TEARDOWN(ram)
{
	backing_free(&self->backing);
	scene_close(&self->scene);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

static int map_slice(struct scene *scene, int fd, __u64 start, __u64 len,
		     __u32 flags)
{
	__u64 iova = IOVA;

	return ioas_map_file(scene->iommufd, scene->ioas, fd, start, len, &iova,
			     flags | IOMMU_IOAS_MAP_FIXED_IOVA);
}

/* Returns the number of bytes unmapped or -errno. */
static long long unmap(struct scene *scene, __u64 iova, __u64 len)
{
	__u64 unmapped;
	int err = ioas_unmap(scene->iommufd, scene->ioas, iova, len, &unmapped);

	return err ? err : (long long)unmapped;
}

/* Both ways, at both ends and in the middle; nothing once it is unmapped. */
TEST_F_TIMEOUT(ram, arrives, LIMIT)
{
	const __u64 size = self->backing.size;
	const __u64 middle = size / 2 & -PAGE;
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, scene_map_at(scene, self->backing.dmabuf, self->layout,
				  IOVA));
	EXPECT_EQ(0, scene_all_arrives(scene, IOVA, self->layout));
	if (middle >= PAGE / 2)
		EXPECT_EQ(0, scene_write_arrives(scene, IOVA + middle - PAGE / 2,
						 self->layout,
						 middle - PAGE / 2, PAGE));
	/* What the CPU writes while it is mapped. */
	bar_fill(&scene->bar, ++scene->seed);
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA + middle, self->layout,
					middle, PAGE));
	EXPECT_EQ((long long)size, unmap(scene, IOVA, size));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
}

/* Its ends are reachable, the pages around it are not. */
static int try_slice(struct scene *scene, int dmabuf, struct layout layout,
		     __u64 start, __u64 len)
{
	int err = map_slice(scene, dmabuf, start, len, MAP_RW);

	if (!err)
		err = scene_write_arrives(scene, IOVA, layout, start, PAGE);
	if (!err)
		err = scene_write_arrives(scene, IOVA + len - PAGE, layout,
					  start + len - PAGE, PAGE);
	if (!err)
		err = scene_write_stopped(scene, IOVA - PAGE);
	if (!err)
		err = scene_write_stopped(scene, IOVA + len);
	if (!err && unmap(scene, IOVA, len) != (long long)len)
		err = -EBUSY;
	return err;
}

TEST_F_TIMEOUT(ram, slices, LIMIT)
{
	struct scene *scene = &self->scene;
	int fd = self->backing.dmabuf;
	__u64 size = self->backing.size;

	EXPECT_EQ(0, try_slice(scene, fd, self->layout, 0, PAGE));
	EXPECT_EQ(0, try_slice(scene, fd, self->layout, size - PAGE, PAGE));
	if (size == PAGE)
		return;
	EXPECT_EQ(0, try_slice(scene, fd, self->layout, 3 * PAGE, 0x11000));
	EXPECT_EQ(0, try_slice(scene, fd, self->layout, PAGE, size - PAGE));
}

TEST_F_TIMEOUT(ram, bad_slices, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 size = self->backing.size;
	int fd = self->backing.dmabuf;

	EXPECT_EQ(-EINVAL, map_slice(scene, fd, 0, 0, MAP_RW));
	EXPECT_EQ(-EINVAL, map_slice(scene, fd, 0, size + PAGE, MAP_RW));
	EXPECT_EQ(-EINVAL, map_slice(scene, fd, size, PAGE, MAP_RW));
	EXPECT_EQ(-EINVAL, map_slice(scene, fd, size - PAGE, 2 * PAGE, MAP_RW));
	EXPECT_EQ(-EINVAL, map_slice(scene, fd, 0, PAGE / 2, MAP_RW));
	EXPECT_EQ(-EINVAL, map_slice(scene, fd, PAGE / 2, PAGE, MAP_RW));
	EXPECT_EQ(-EOVERFLOW, map_slice(scene, fd, -PAGE, 2 * PAGE, MAP_RW));
	fd = dup(fd);
	close(fd);
	EXPECT_EQ(-EBADF, map_slice(scene, fd, 0, PAGE, MAP_RW));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
}

TEST_F_TIMEOUT(ram, read_only, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, map_slice(scene, self->backing.dmabuf, 0, PAGE, MAP_RO));
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA, self->layout, 0, PAGE));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
}

/* Two devices in two IOASes, and one more page table that comes later. */
TEST_F_TIMEOUT(ram, several_domains, LIMIT)
{
	struct scene *scene = &self->scene;
	struct edu first = scene->edu;
	__u64 size = self->backing.size;
	int fd = self->backing.dmabuf;
	__u32 ioas, hwpt;
	struct edu second;

	ASSERT_EQ(0, ioas_alloc(scene->iommufd, &ioas));
	ASSERT_EQ(0, edu_open(&second, 1, scene->iommufd, ioas));
	ASSERT_EQ(0, scene_map_at(scene, fd, self->layout, IOVA));
	ASSERT_EQ(0, ioas_map_file_at(scene->iommufd, ioas, fd, size, IOVA2));
	ASSERT_EQ(0, hwpt_alloc(scene->iommufd, first.dev.id, scene->ioas,
				&hwpt));
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA, self->layout, 0, PAGE));
	scene->edu = second;
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA2, self->layout, 0, PAGE));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	scene->edu = first;
	ASSERT_EQ(0, vfio_attach(&scene->edu.dev, hwpt));
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA, self->layout, 0, PAGE));

	EXPECT_EQ((long long)size, unmap(scene, IOVA, size));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	scene->edu = second;
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA2, self->layout, 0, PAGE));
	scene->edu = first;
	edu_close(&second);
}

/* Take what the kernel has to give, and fill it. */
static void use_memory(void)
{
	size_t size = 64 << 20;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory != MAP_FAILED) {
		memset(memory, 0x55, size);
		munmap(memory, size);
	}
}

/* Only iommufd holds the memory: it is still there, and nobody else gets it. */
TEST_F_TIMEOUT(ram, outlives_the_fd, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 size = self->backing.size;

	ASSERT_EQ(0, scene_map_at(scene, self->backing.dmabuf, self->layout,
				  IOVA));
	bar_unmap(&scene->bar);
	backing_free(&self->backing);
	use_memory();
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA, self->layout, 0, PAGE));
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA + size - PAGE, self->layout,
					size - PAGE, PAGE));
	EXPECT_EQ(self->dmabufs + 1, count_dmabufs());
	EXPECT_EQ((long long)size, unmap(scene, IOVA, size));
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

/* iommufd, and a driver that maps the exporter's scatterlist. */
TEST_F_TIMEOUT(ram, with_a_driver, LIMIT)
{
	const __u32 flags[] = { DBT_ATTACH_CLASS, DBT_ATTACH_STATIC };
	struct scene *scene = &self->scene;
	int fd = self->backing.dmabuf;
	char name[PCI_NAME_LEN];
	unsigned int i;
	int importer;

	ASSERT_EQ(0, scene_map_at(scene, fd, self->layout, IOVA));
	importer = importer_open(1, name);
	ASSERT_LE(0, importer);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_EQ(0, importer_attach(importer, fd, flags[i], 0));
		ASSERT_EQ(0, importer_map_all(importer));
		EXPECT_EQ(0, importer_arrives(importer, &scene->bar,
					      self->layout, 0, 0, PAGE));
		EXPECT_EQ(0, scene_read_arrives(scene, IOVA, self->layout, 0,
						PAGE));
		EXPECT_EQ(0, scene_write_arrives(scene, IOVA, self->layout, 0,
						 PAGE));
		EXPECT_EQ(0, importer_arrives(importer, &scene->bar,
					      self->layout, 0,
					      self->backing.size - PAGE, PAGE));
		ASSERT_EQ(0, importer_unmap(importer));
		ASSERT_EQ(0, importer_detach(importer));
	}
	close(importer);
	EXPECT_EQ(0, testdrv_release(name));
}

/* iommufd, and the kernel by a CPU view. */
TEST_F_TIMEOUT(ram, with_a_cpu_view, LIMIT)
{
	const __u64 middle = self->backing.size / 2;
	struct scene *scene = &self->scene;
	__u8 data[PAGE / 2], got[PAGE / 2];
	char name[PCI_NAME_LEN];
	int importer;

	ASSERT_EQ(0, scene_map_at(scene, self->backing.dmabuf, self->layout,
				  IOVA));
	importer = importer_open(1, name);
	ASSERT_LE(0, importer);
	ASSERT_EQ(0, importer_attach(importer, self->backing.dmabuf,
				     DBT_ATTACH_CLASS | DBT_ATTACH_CPU, 0));
	ASSERT_EQ(0, importer_map_all(importer));
	scene_pattern(scene, data, sizeof(data));
	bar_note(&scene->bar, self->layout, middle, data, sizeof(data));
	EXPECT_EQ((ssize_t)sizeof(data),
		  importer_write(importer, middle, data, sizeof(data)));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, scene_read_arrives(scene, IOVA + middle, self->layout,
					middle, sizeof(data)));
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA, self->layout, 0,
					 sizeof(got)));
	EXPECT_EQ((ssize_t)sizeof(got),
		  importer_read(importer, 0, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(got, scene->bar.want, sizeof(got)));
	close(importer);
	EXPECT_EQ(0, testdrv_release(name));
}

/* A part of it by the scatterlist. */
TEST_F_TIMEOUT(ram, driver_maps_a_slice, LIMIT)
{
	const __u64 start = self->backing.size > PAGE ? PAGE : 0;
	struct scene *scene = &self->scene;
	char name[PCI_NAME_LEN];
	int importer;

	importer = importer_open(1, name);
	ASSERT_LE(0, importer);
	ASSERT_EQ(0, importer_attach(importer, self->backing.dmabuf,
				     DBT_ATTACH_CLASS, 0));
	ASSERT_EQ(0, importer_map(importer, start, PAGE));
	EXPECT_EQ(0, importer_arrives(importer, &scene->bar, self->layout,
				      start, 0, PAGE));
	EXPECT_EQ(-ERANGE, importer_write(importer, PAGE, "x", 1));
	ASSERT_EQ(0, importer_unmap(importer));
	EXPECT_EQ(-EINVAL, importer_map(importer, self->backing.size, PAGE));
	close(importer);
	EXPECT_EQ(0, testdrv_release(name));
}

/* Into the first block by RDMA; the last bytes by iommufd. */
static int both_write(struct scene *scene, struct layout layout, int ibdev,
		      __u32 lkey)
{
	__u64 last = layout.ranges->length - PAGE;
	__u8 data[PAGE];
	ssize_t done;
	int err;

	scene_pattern(scene, data, sizeof(data));
	bar_note(&scene->bar, layout, 0, data, sizeof(data));
	done = ibdev_write(ibdev, lkey, 0, data, sizeof(data));
	if (done != sizeof(data))
		return done < 0 ? done : -EIO;
	err = scene_judge(scene);
	if (!err)
		err = scene_read_arrives(scene, IOVA, layout, 0, PAGE);
	if (!err)
		err = scene_write_arrives(scene, IOVA + last, layout, last,
					  PAGE);
	if (err)
		return err;
	bar_expect(&scene->bar, layout, last, data, sizeof(data));
	memset(scene->edu.bounce, 0, EDU_BLOCK);
	done = ibdev_read(ibdev, lkey, last, scene->edu.bounce, PAGE);
	if (done != (ssize_t)PAGE || memcmp(data, scene->edu.bounce, PAGE))
		return -EILSEQ;
	return 0;
}

/* iommufd, and memory regions of each kind that RDMA drivers have. */
TEST_F_TIMEOUT(ram, with_an_rdma_device, LIMIT)
{
	struct uverbs_dmabuf arg = {
		.fd = self->backing.dmabuf,
		.length = self->backing.size,
		.access = ACCESS_LOCAL,
	};
	char name[PCI_NAME_LEN], ibdev_name[IBDEV_NAME_LEN];
	struct scene *scene = &self->scene;
	struct uverbs verbs;
	struct uverbs_mr mr;
	int ibdev;
	__u32 how;

	ASSERT_EQ(0, scene_map_at(scene, arg.fd, self->layout, IOVA));
	ibdev = ibdev_open(1, name);
	ASSERT_LE(0, ibdev);
	ASSERT_EQ(0, ibdev_of_pci(name, ibdev_name));
	ASSERT_EQ(0, uverbs_open(&verbs, ibdev_name, RDMA_DRIVER_UNKNOWN));
	ASSERT_EQ(0, uverbs_alloc_pd(&verbs, &arg.pd));
	for (how = DBT_IB_REVOCABLE; how <= DBT_IB_DYNAMIC; how++) {
		ASSERT_EQ(0, ibdev_config(ibdev, how, PAGE));
		ASSERT_EQ(0, uverbs_reg_dmabuf(&verbs, DOOR_REG_DMABUF_MR, &arg,
					       &mr));
		EXPECT_EQ(0, both_write(scene, self->layout, ibdev, mr.lkey));
		ASSERT_EQ(0, uverbs_dereg(&verbs, &mr));
	}
	uverbs_close(&verbs);
	close(ibdev);
	EXPECT_EQ(0, testdrv_release(name));
}

/*
 * A memory cgroup
 */

#define NR_CHARGED	65536U	/* ranges of one page each */
#define NR_PAGES	64	/* that they are made of */
#define ARRAY_BYTES	(NR_CHARGED * 16LL)
#define SLACK		(256LL << 10)

/* Each page of a small file many times, never two neighbours in a row. */
static int many_ranges(void)
{
	struct udmabuf_create_list *list =
		calloc(1, sizeof(*list) + NR_CHARGED * sizeof(*list->list));
	int memfd = memfd_create("many", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	__u32 i;
	int fd;

	write_file("/sys/module/udmabuf/parameters/list_limit", "65536");
	/* Allocated in the order of the file, not of the list. */
	if (!list || fallocate(memfd, 0, 0, NR_PAGES * PAGE) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -errno;
	list->count = NR_CHARGED;
	for (i = 0; i < NR_CHARGED; i++)
		list->list[i] = (struct udmabuf_create_item){
			.memfd = memfd,
			.offset = i * 7 % NR_PAGES * PAGE,
			.size = PAGE,
		};
	fd = ioctl(device, UDMABUF_CREATE_LIST, list);
	if (fd < 0)
		fd = -errno;
	close(memfd);
	close(device);
	free(list);
	return fd;
}

#define CHECK(condition)	CGROUP_CHECK(condition, before)

/* A worker gives back what was allocated in part. */
static bool charge_falls_to(long long bytes)
{
	unsigned int i;

	for (i = 0; i < 50 && cgroup_charged() > bytes; i++) {
		cgroup_drain();
		usleep(100000);
	}
	return cgroup_charged() <= bytes;
}

/* In a process of the cgroup. Returns its exit status. */
static int map_in_cgroup(struct scene *scene, int dmabuf)
{
	const __u64 size = NR_CHARGED * PAGE;
	long long before = 0;

	CHECK(!cgroup_enter());
	before = cgroup_charged();
	CHECK(!cgroup_limit(before + ARRAY_BYTES / 2));
	CHECK(map_slice(scene, dmabuf, 0, size, MAP_RW) == -ENOMEM);
	CHECK(charge_falls_to(before + SLACK));
	CHECK(unmap(scene, IOVA, size) == -ENOENT);

	CHECK(!cgroup_limit(-1));
	CHECK(!map_slice(scene, dmabuf, 0, size, MAP_RW));
	CHECK(cgroup_charged() >= before + ARRAY_BYTES - SLACK);
	CHECK(unmap(scene, IOVA, size) == (long long)size);
	CHECK(!cgroup_leave());
	return 0;
}

TEST(charged_to_who_maps)
{
	struct scene scene;
	int dmabuf, status;
	pid_t pid;

	ASSERT_TRUE(open_scene(&scene));
	dmabuf = many_ranges();
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, cgroup_make());
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		status = map_in_cgroup(&scene, dmabuf);
		fflush(NULL);
		_exit(status);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(dmabuf);
	scene_close(&scene);
	EXPECT_EQ(0, settle_dmabufs(0));
	EXPECT_TRUE(charge_falls_to(SLACK));
	EXPECT_EQ(0, cgroup_remove());
}

TEST_HARNESS_MAIN

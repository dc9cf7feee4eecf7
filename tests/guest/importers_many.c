// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many importers of one dma-buf: all lose it, and one that is slow keeps nobody.
 *
 * iommufd has it in three domains, RDMA as a region, a driver by the class, and
 * the same driver by a scatterlist as if it did not know the class. The program
 * has it mapped, as any process may.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 180
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommufd.h"
#include "kmsg.h"
#include "leaks.h"
#include "mapping.h"
#include "nvme.h"
#include "phys_state.h"
#include "rdma.h"
#include "report.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define LIMIT		120	/* seconds per test */
#define WINDOW		0x40000
#define MEM		0x10000
#define PAGE		0x1000
#define IOVA		0x100000000ULL
#define DISK_IOVA	0x6000000ULL	/* ordinary memory for the disk */
#define DELAY_MS	5000
#define STALL_MS	4000		/* until the log has named it */

static const struct vfio_region_dma_range two_ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x08000, .length = 0x6000 },
};

static const struct layout layout = { two_ranges, 2 };

/* Places in the dma-buf, one for each importer. */
#define EDU_AT		0x0000
#define DISK_AT		0x1000
#define RDMA_AT		0x2000
#define CLASS_AT	0x3000
#define OLD_AT		0x4000
#define EDU1_AT		0x5000
#define CPU_AT		0x6000

static int must(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

struct many {
	struct scene scene;	/* its edu device is the first of iommufd's */
	struct bar watch;	/* the BAR, whatever VFIO says */
	struct nvme nvme;
	__u8 *disk_mem;		/* a page at DISK_IOVA */
	__u32 hwpts[3];		/* of the first edu, the disk, and one more */
	struct edu edu1;	/* of iommufd, or of the driver: */
	int class, old;		/* two files of the driver, or -1 */
	char driver[PCI_NAME_LEN];
	struct rdma_host a, b;
	struct rdma_mr mr;
	__u8 *map;		/* of all of it, for the CPU */
	int dmabuf;
	int kmsg;
};

/*
 * All of them
 */

static void attach_own(struct many *many, struct vfio_dev *dev, unsigned int nr)
{
	const struct scene *scene = &many->scene;

	must("IOMMU_HWPT_ALLOC", hwpt_alloc(scene->iommufd, dev->id,
					    scene->ioas, &many->hwpts[nr]));
	must("attach it", vfio_attach(dev, many->hwpts[nr]));
}

static void disk_open(struct many *many)
{
	const struct scene *scene = &many->scene;
	__u64 iova = DISK_IOVA;

	must("open the disk",
	     nvme_open(&many->nvme, scene->iommufd, scene->ioas));
	many->disk_mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (many->disk_mem == MAP_FAILED)
		die("no memory");
	must("IOMMU_IOAS_MAP", ioas_map(scene->iommufd, scene->ioas,
					many->disk_mem, PAGE, &iova,
					MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA));
}

static void rdma_open(struct many *many)
{
	const struct rdma_region region = {
		.dmabuf = many->dmabuf,
		.len = layout_size(layout),
		.access = RDMA_ALL,
	};

	must("register an MR", rdma_reg(&many->a, &region, &many->mr));
}

static void driver_open(struct many *many, __u32 class_ms, __u32 old_ms)
{
	many->class = must("open the driver", importer_open(1, many->driver));
	many->old = must("open it again", importer_reopen(many->driver));
	must("attach by the class",
	     importer_attach(many->class, many->dmabuf, DBT_ATTACH_CLASS,
			     class_ms));
	must("attach by scatterlist",
	     importer_attach(many->old, many->dmabuf, DBT_ATTACH_PIN, old_ms));
	must("map by the class", importer_map_all(many->class));
	must("map by scatterlist", importer_map_all(many->old));
}

/* In an IOAS of its own: its bounce page has the address of the other's. */
static void second_edu_open(struct many *many)
{
	const struct scene *scene = &many->scene;
	__u64 iova = IOVA;
	__u32 ioas;

	must("IOMMU_IOAS_ALLOC", ioas_alloc(scene->iommufd, &ioas));
	must("open the second edu device",
	     edu_open(&many->edu1, 1, scene->iommufd, ioas));
	must("IOMMU_IOAS_COPY",
	     ioas_copy(scene->iommufd, ioas, &iova, scene->ioas, IOVA,
		       layout_size(layout), MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA));
}

static void many_open(struct many *many)
{
	struct scene *scene = &many->scene;

	*many = (struct many){
		.class = -1, .old = -1, .edu1.dev.fd = -1, .nvme.dev.fd = -1,
	};
	many->kmsg = must("open the log", kmsg_open());
	rdma_host_start(&many->a, RDMA_A, MEM);
	rdma_host_start(&many->b, RDMA_B, MEM);
	scene_open(scene, PCI_ID_IVSHMEM, WINDOW);
	must("open the BAR by sysfs", bar_open_sysfs(&many->watch,
						     scene->exporter.name,
						     SCENE_BAR, WINDOW));
	many->dmabuf = scene_export(scene, layout);
	must("mmap", dmabuf_map(many->dmabuf, 0, layout_size(layout),
				PROT_READ | PROT_WRITE, &many->map));
	disk_open(many);
	must("IOMMU_IOAS_MAP_FILE",
	     scene_map_at(scene, many->dmabuf, layout, IOVA));
	attach_own(many, &scene->edu.dev, 0);
	attach_own(many, &many->nvme.dev, 1);
	rdma_open(many);
}

static void many_close(struct many *many)
{
	rdma_host_stop(&many->b);
	rdma_host_stop(&many->a);
	if (many->class >= 0) {
		close(many->class);
		close(many->old);
		must("release the edu device", testdrv_release(many->driver));
	}
	edu_close(&many->edu1);
	nvme_close(&many->nvme);
	munmap(many->disk_mem, PAGE);
	munmap(many->map, layout_size(layout));
	close(many->dmabuf);
	close(many->kmsg);
	bar_close(&many->watch);
	scene_close(&many->scene);
}

/*
 * What each does
 */

static void note(struct many *many, __u64 offset, const void *data)
{
	bar_note(&many->watch, layout, offset, data, PAGE);
}

/* Write new bytes to the disk, and from there to the BAR. */
static int by_disk(struct many *many)
{
	int err;

	scene_pattern(&many->scene, many->disk_mem, PAGE);
	err = nvme_move(&many->nvme, true, 0, DISK_IOVA, PAGE);
	return err ? err : nvme_move(&many->nvme, false, 0, IOVA + DISK_AT, PAGE);
}

static int by_edu(struct many *many, struct edu *edu, __u64 at, __u8 *data)
{
	scene_pattern(&many->scene, data, PAGE);
	return edu_write(edu, IOVA + at, data, PAGE);
}

static enum ibv_wc_status by_rdma(struct many *many)
{
	struct rdma_qp qa, qb;
	enum ibv_wc_status status;

	scene_pattern(&many->scene, many->b.mem, PAGE);
	rdma_qps_connect(&many->a, &qa, 0, &many->b, &qb, IBV_QPT_RC);
	status = rdma_do(&qb, rdma_wr_remote(IBV_WR_RDMA_WRITE, many->b.key, 0,
					     PAGE, many->mr.key, RDMA_AT));
	rdma_qps_destroy(&qa, &qb);
	return status;
}

static int by_iommufd_arrives(struct many *many)
{
	__u8 data[PAGE];
	int err;

	err = by_disk(many);
	note(many, DISK_AT, many->disk_mem);
	if (!err)
		err = by_edu(many, &many->scene.edu, EDU_AT, data);
	note(many, EDU_AT, data);
	if (!err && many->edu1.dev.fd >= 0) {
		err = by_edu(many, &many->edu1, EDU1_AT, data);
		note(many, EDU1_AT, data);
	}
	return err ? err : bar_judge(&many->watch);
}

static int by_rdma_arrives(struct many *many)
{
	if (by_rdma(many))
		return -EIO;
	note(many, RDMA_AT, many->b.mem);
	return bar_judge(&many->watch);
}

static int by_driver_arrives(struct many *many)
{
	int err = importer_write_arrives(many->class, &many->watch, layout, 0,
					 CLASS_AT, PAGE);

	return err ? err : importer_write_arrives(many->old, &many->watch,
						  layout, 0, OLD_AT, PAGE);
}

static int by_cpu_arrives(struct many *many)
{
	__u8 data[PAGE];

	scene_pattern(&many->scene, data, PAGE);
	if (touch_copy(many->map + CPU_AT, data, PAGE))
		return -EFAULT;
	note(many, CPU_AT, data);
	return bar_judge(&many->watch);
}

static int cpu_is_stopped(struct many *many)
{
	const __u64 size = layout_size(layout);
	__u64 at;

	for (at = 0; at < size; at += PAGE)
		if (touch_store(many->map + at, 0) != SIGBUS)
			return -EEXIST;
	return 0;
}

/* The BAR must be reachable, so that it shows what they do to it. */
static int iommufd_is_stopped(struct many *many)
{
	__u8 data[PAGE];
	int err;

	err = by_disk(many);
	if (!err)
		err = by_edu(many, &many->scene.edu, EDU_AT, data);
	if (!err && many->edu1.dev.fd >= 0)
		err = by_edu(many, &many->edu1, EDU1_AT, data);
	return err ? err : bar_judge(&many->watch);
}

static int driver_is_stopped(struct many *many, int importer)
{
	struct dbt_state state;
	__u8 data[PAGE] = {};
	int err = importer_state(importer, &state);

	if (err)
		return err;
	if (state.len || importer_write(importer, 0, data, PAGE) != -ENODEV)
		return -EEXIST;
	return bar_judge(&many->watch);
}

FIXTURE(many)
{
	struct many many;
	struct holdings held;
	unsigned int dmabufs;
	unsigned int fds;
};

FIXTURE_SETUP(many)
{
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	self->fds = count_fds();
	many_open(&self->many);
	bar_fill(&self->many.watch, 777);
}

FIXTURE_TEARDOWN(many)
{
	many_close(&self->many);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
	EXPECT_EQ(self->fds, count_fds());
}

/* Three devices of iommufd, each with a page table of its own, and RDMA. */
TEST_F_TIMEOUT(many, three_devices, LIMIT)
{
	struct many *many = &self->many;
	struct vfio_dev *exporter = &many->scene.exporter;

	second_edu_open(many);
	EXPECT_EQ(0, by_iommufd_arrives(many));
	EXPECT_EQ(0, by_rdma_arrives(many));
	EXPECT_EQ(0, by_cpu_arrives(many));
	ASSERT_EQ(0, vfio_set_memory(exporter, false));
	EXPECT_TRUE(phys_state_is("suspended decode"));
	EXPECT_EQ(0, cpu_is_stopped(many));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, by_rdma(many));
	ASSERT_EQ(0, vfio_set_memory(exporter, true));
	EXPECT_EQ(0, bar_judge(&many->watch));
	EXPECT_EQ(0, by_iommufd_arrives(many));
	EXPECT_EQ(0, by_cpu_arrives(many));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, by_rdma(many));
}

/* A driver in the two ways that drivers import, instead of the third device. */
TEST_F_TIMEOUT(many, three_domains_and_a_driver, LIMIT)
{
	struct many *many = &self->many;
	struct vfio_dev *exporter = &many->scene.exporter;

	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	driver_open(many, 0, 0);
	ASSERT_EQ(0, hwpt_alloc(many->scene.iommufd, many->scene.edu.dev.id,
				many->scene.ioas, &many->hwpts[2]));
	EXPECT_EQ(0, by_iommufd_arrives(many));
	EXPECT_EQ(0, by_rdma_arrives(many));
	EXPECT_EQ(0, by_driver_arrives(many));
	ASSERT_EQ(0, vfio_set_memory(exporter, false));
	EXPECT_TRUE(phys_state_is("suspended decode"));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, by_rdma(many));
	ASSERT_EQ(0, vfio_set_memory(exporter, true));
	EXPECT_EQ(0, driver_is_stopped(many, many->class));
	EXPECT_EQ(0, driver_is_stopped(many, many->old));

	EXPECT_EQ(0, by_iommufd_arrives(many));
	ASSERT_EQ(0, vfio_attach(&many->scene.edu.dev, many->hwpts[2]));
	EXPECT_EQ(0, by_iommufd_arrives(many));
	ASSERT_EQ(0, importer_map_all(many->class));
	ASSERT_EQ(0, importer_map_all(many->old));
	EXPECT_EQ(0, by_driver_arrives(many));
}

/*
 * One is slow
 */

struct taking {
	pthread_t thread;
	struct vfio_dev *dev;
	__u64 took_ms;
	bool done;
	int err;
};

static void *take(void *arg)
{
	struct taking *taking = arg;
	__u64 begin = now_ms();

	taking->err = vfio_set_memory(taking->dev, false);
	taking->took_ms = now_ms() - begin;
	__atomic_store_n(&taking->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool is_done(const struct taking *taking)
{
	return __atomic_load_n(&taking->done, __ATOMIC_SEQ_CST);
}

static bool named_in_time(int kmsg, const char *importer, const char *on)
{
	const __u64 limit = now_ms() + STALL_MS;
	bool named;

	do {
		usleep(20000);
		named = kmsg_has(kmsg, importer, on);
	} while (!named && now_ms() < limit);
	return named;
}

FIXTURE(slow)
{
	struct many many;
	struct holdings held;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(slow)
{
	__u32 class_ms, old_ms;
	const char *shown_as;
};

FIXTURE_VARIANT_ADD(slow, class)
{
	DELAY_MS, 0, "dma-buf-test-importer",
};

FIXTURE_VARIANT_ADD(slow, scatterlist)
{
	0, DELAY_MS, "test_importer_invalidate",
};

FIXTURE_SETUP(slow)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	many_open(&self->many);
	driver_open(&self->many, variant->class_ms, variant->old_ms);
	bar_fill(&self->many.watch, 888);
}

FIXTURE_TEARDOWN(slow)
{
	many_close(&self->many);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
}

/* Decode goes off when all have let go: until then the BAR can be looked at. */
TEST_F_TIMEOUT(slow, is_named_and_waited_for_alone, LIMIT)
{
	struct many *many = &self->many;
	struct vfio_dev *exporter = &many->scene.exporter;
	struct taking taking = { .dev = exporter };
	int quick = variant->class_ms ? many->old : many->class;

	kmsg_drain(many->kmsg);
	ASSERT_EQ(0, pthread_create(&taking.thread, NULL, take, &taking));
	EXPECT_TRUE(named_in_time(many->kmsg, variant->shown_as, many->driver));
	EXPECT_EQ(0, iommufd_is_stopped(many));
	EXPECT_EQ(0, cpu_is_stopped(many));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, by_rdma(many));
	EXPECT_EQ(0, driver_is_stopped(many, quick));
	EXPECT_FALSE(is_done(&taking));

	pthread_join(taking.thread, NULL);
	EXPECT_EQ(0, taking.err);
	EXPECT_LE(DELAY_MS - 100, taking.took_ms);
	EXPECT_GT(DELAY_MS + 3000, taking.took_ms);
	EXPECT_TRUE(phys_state_is("suspended decode"));
	ASSERT_EQ(0, vfio_set_memory(exporter, true));
	EXPECT_EQ(0, by_iommufd_arrives(many));
	EXPECT_EQ(0, by_cpu_arrives(many));
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

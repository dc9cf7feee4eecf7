// SPDX-License-Identifier: GPL-2.0-only
/*
 * A BAR is taken away under fire that never pauses: no byte of it changes.
 *
 * A disk writes to it by iommufd, a host by RDMA, both without end, and now and
 * then an edu device whose transfer comes due just then. When the call that takes
 * the BAR away has returned, it is made reachable again behind VFIO's back and
 * filled with a pattern. So whatever the kernel did not stop is seen. Then VFIO
 * gives it back, and the fire must arrive again, with no ioctl of an importer.
 *
 * FIRE_ROUNDS= sets how often this is done by memory decode, 500 else; FIRE_TIMES=
 * by each of the other ways, 5 else.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 300
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fire.h"
#include "iommufd.h"
#include "leaks.h"
#include "pci_raw.h"
#include "rdma.h"
#include "report.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define LIMIT		7200	/* seconds per test */
#define LAND_LIMIT	20000	/* ms until fire arrives */
#define WINDOW		0x80000
#define MEM		0x100000
#define PAGE		0x1000
#define HALF		0x800	/* no half of a command crosses a seam */
#define IOVA		0x100000000ULL
#define PROBE		64	/* bytes looked at, at either end of a place */
#define RENEW		50	/* rounds with one RC connection */
#define WITNESS		25	/* rounds between two with the edu device */

/* Adjacent to nothing, and neither in order; the disk fires across the seam. */
static const struct vfio_region_dma_range two_ranges[] = {
	{ .offset = 0x40000, .length = 0x14000 },
	{ .offset = 0x08000, .length = 0x10000 },
};

static const struct layout layout = { two_ranges, 2 };

/* Places in the dma-buf. */
#define DISK_AT		0x0f800	/* every command touches two pages */
#define RDMA_AT		0x1e000
#define RDMA_LEN	0x1000	/* one packet: each is a message, and may be lost */
#define EDU_AT		0x22000

static unsigned int number(const char *name, unsigned int preset)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : preset;
}

struct inferno {
	struct scene scene;
	struct bar watch;	/* the BAR as sysfs shows it, whatever VFIO says */
	bool disk;		/* it fires */
	struct nvme nvme;
	struct fire fire;
	struct rdma_host a, b;
	struct rdma_mr mr;
	struct rdma_qp rc_a, rc_b, uc_a, uc_b;
	int dmabuf;
	unsigned int late;	/* commands let through before */
	__u64 rc_done;
};

static int must(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

/*
 * The fire
 */

static void rdma_begin(struct inferno *in)
{
	rdma_qps_connect(&in->a, &in->rc_a, 0, &in->b, &in->rc_b, IBV_QPT_RC);
	rdma_qps_connect(&in->a, &in->uc_a, 0, &in->b, &in->uc_b, IBV_QPT_UC);
	rdma_flood_start(&in->rc_b, &in->uc_b, in->mr.key, RDMA_AT, RDMA_LEN);
}

static void rdma_end(struct inferno *in)
{
	in->rc_done += rdma_flood_stop(&in->rc_b).rc;
	rdma_qps_destroy(&in->rc_a, &in->rc_b);
	rdma_qps_destroy(&in->uc_a, &in->uc_b);
}

/* On demand: what is pinned would not come back. */
static void import(struct inferno *in)
{
	const struct rdma_region region = {
		.dmabuf = in->dmabuf,
		.len = layout_size(layout),
		.access = RDMA_ALL | IBV_ACCESS_ON_DEMAND,
	};

	must("IOMMU_IOAS_MAP_FILE",
	     scene_map_at(&in->scene, in->dmabuf, layout, IOVA));
	must("register an MR", rdma_reg(&in->a, &region, &in->mr));
	rdma_begin(in);
}

static void inferno_open(struct inferno *in, struct pci_id exporter, bool disk)
{
	struct scene *scene = &in->scene;

	*in = (struct inferno){ .disk = disk, .nvme.dev.fd = -1 };
	rdma_host_start(&in->a, RDMA_A, MEM);
	rdma_host_start(&in->b, RDMA_B, MEM);
	pattern(in->b.mem, MEM, 12345);
	scene_open(scene, exporter, WINDOW);
	must("open the BAR by sysfs", bar_open_sysfs(&in->watch,
						     scene->exporter.name,
						     SCENE_BAR, WINDOW));
	bar_fill(&in->watch, ++scene->seed);
	in->dmabuf = scene_export(scene, layout);
	import(in);
	if (!disk)
		return;
	must("open the disk", nvme_open(&in->nvme, scene->iommufd, scene->ioas));
	must("write to the disk", fire_lay(&in->nvme, scene->ioas));
	must("open fire", fire_start(&in->fire, &in->nvme, IOVA + DISK_AT));
}

/* Returns how the disk's fire ended. */
static int inferno_close(struct inferno *in)
{
	int err = fire_stop(&in->fire);

	rdma_end(in);
	printf("# %llu commands of the disk, %u pieces late; %llu writes by RC\n",
	       fire_count(&in->fire), in->late, in->rc_done);
	must("deregister", rdma_dereg(&in->mr));
	rdma_host_stop(&in->b);
	rdma_host_stop(&in->a);
	nvme_close(&in->nvme);
	close(in->dmabuf);
	bar_close(&in->watch);
	scene_close(&in->scene);
	return err;
}

/*
 * What it does
 */

/* Where byte @offset of the dma-buf is in the window. */
static size_t place(__u64 offset)
{
	__u64 first = two_ranges[0].length;

	return offset < first ? two_ranges[0].offset + offset :
	       two_ranges[1].offset + offset - first;
}

static bool changed(const struct inferno *in, __u64 offset)
{
	const struct bar *bar = &in->watch;

	return memcmp(bar->map + place(offset), bar->want + place(offset),
		      PROBE);
}

/* Both ends of a place have other bytes than the test wrote. */
static bool hit(const struct inferno *in, __u64 offset, __u64 len)
{
	return changed(in, offset) && changed(in, offset + len - PROBE);
}

static bool all_hit(const struct inferno *in)
{
	unsigned int slot;

	for (slot = 0; in->disk && slot < FIRE_SLOTS; slot++)
		if (!hit(in, DISK_AT + slot * FIRE_LEN, FIRE_LEN))
			return false;
	return hit(in, RDMA_AT, RDMA_LEN);
}

/* The fire arrives at every place that it is aimed at. */
static int lands(const struct inferno *in)
{
	const __u64 limit = now_ms() + LAND_LIMIT;

	while (!all_hit(in)) {
		if (now_ms() > limit) {
			printf("# the fire does not arrive\n");
			return -ETIME;
		}
		usleep(200);
	}
	return 0;
}

static bool within(__u64 offset, __u64 begin, __u64 len)
{
	return offset >= begin && offset - begin < len;
}

/* Does anything write to this page of the window? */
static bool aimed_at(const struct inferno *in, size_t where)
{
	const struct vfio_region_dma_range *range = two_ranges;
	__u64 offset = 0;

	if (within(where, range[0].offset, range[0].length))
		offset = where - range[0].offset;
	else if (within(where, range[1].offset, range[1].length))
		offset = where - range[1].offset + range[0].length;
	else
		return false;
	return (in->disk && within(offset, DISK_AT & -PAGE, FIRE_SIZE + PAGE)) ||
	       within(offset, RDMA_AT, RDMA_LEN) ||
	       within(offset, EDU_AT, PAGE);
}

static int judge_elsewhere(const struct inferno *in)
{
	const struct bar *bar = &in->watch;
	size_t where;

	for (where = 0; where < WINDOW; where += PAGE) {
		if (aimed_at(in, where) ||
		    !memcmp(bar->map + where, bar->want + where, PAGE))
			continue;
		printf("# page 0x%zx was changed by nobody's order\n", where);
		return -EILSEQ;
	}
	return 0;
}

static void fill(struct inferno *in)
{
	bar_fill(&in->watch, ++in->scene.seed);
}

/* It arrives there, and nowhere else. */
static int lands_well(struct inferno *in)
{
	int err;

	fill(in);
	err = lands(in);
	return err ? err : judge_elsewhere(in);
}

static int rdma_goes_on(struct inferno *in)
{
	const __u64 limit = now_ms() + LAND_LIMIT;
	const __u64 begin = rdma_flood_look(&in->rc_b).uc;

	/* The write under way, and two more. */
	while (rdma_flood_look(&in->rc_b).uc < begin + 3) {
		if (now_ms() > limit) {
			printf("# RDMA has stopped\n");
			return -ETIME;
		}
		usleep(500);
	}
	return 0;
}

/*
 * The command that was in flight may still have arrived, and no other. Put back
 * what was there.
 */
static int put_back_late(struct inferno *in, const struct fire_moment *moment,
			 unsigned int slot)
{
	const __u8 *data = fire_data(moment, slot);
	struct bar *bar = &in->watch;
	size_t where, done;

	for (done = 0; done < FIRE_LEN; done += HALF) {
		where = place(DISK_AT + slot * FIRE_LEN + done);
		if (!memcmp(bar->map + where, bar->want + where, HALF))
			continue;
		if (memcmp(bar->map + where, data + done, HALF)) {
			printf("# slot %u: not what was in flight\n", slot);
			return -EILSEQ;
		}
		in->late++;
		memcpy(bar->map + where, bar->want + where, HALF);
	}
	return 0;
}

static int disk_is_stopped(struct inferno *in, const struct fire_moment *moment)
{
	struct fire_moment now;
	unsigned int slot;
	int err;

	err = fire_wait(&in->fire, moment, 0);
	for (slot = 0; !err && slot < FIRE_SLOTS; slot++)
		err = put_back_late(in, moment, slot);
	now = fire_now(&in->fire);
	return err ? err : fire_wait(&in->fire, &now, 1);
}

/*
 * The BAR is reachable, and nothing reaches it: not what the disk has begun since
 * @moment, nor RDMA, nor a transfer of the edu device that is due.
 */
static int nothing_lands(struct inferno *in, const struct fire_moment *moment)
{
	int err = 0;

	fill(in);
	if (in->disk)
		err = disk_is_stopped(in, moment);
	if (!err)
		err = rdma_goes_on(in);
	if (!err)
		err = edu_wait(&in->scene.edu);
	return err ? err : bar_judge(&in->watch);
}

static int nothing_lands_from_now_on(struct inferno *in)
{
	const struct fire_moment now = fire_now(&in->fire);

	return nothing_lands(in, &now);
}

/*
 * Ways
 */

static int memory_off(struct inferno *in)
{
	return vfio_set_memory(&in->scene.exporter, false);
}

static int memory_on(struct inferno *in)
{
	return vfio_set_memory(&in->scene.exporter, true);
}

/* The device decodes again, and VFIO does not know. */
static int decode_anyway(struct inferno *in)
{
	return pci_raw_set_memory(in->scene.exporter.name, true);
}

static int low_power(struct inferno *in)
{
	return vfio_low_power(&in->scene.exporter, true);
}

static int full_power(struct inferno *in)
{
	return vfio_low_power(&in->scene.exporter, false);
}

static int d3hot(struct inferno *in)
{
	return vfio_set_power(&in->scene.exporter, 3);
}

static int d0(struct inferno *in)
{
	return vfio_set_power(&in->scene.exporter, 0);
}

static int wake_anyway(struct inferno *in)
{
	return pci_raw_set_d0(in->scene.exporter.name);
}

static int nothing(struct inferno *in)
{
	return 0;
}

/* Lasts until it is ended. @anyway makes the BAR reachable meanwhile. */
struct way {
	struct pci_id exporter;
	int (*go)(struct inferno *in);
	int (*anyway)(struct inferno *in);
	int (*come)(struct inferno *in);
};

static int one_round(struct inferno *in, const struct way *way, bool witness)
{
	struct fire_moment moment;
	__u64 faults;
	int err;

	err = lands(in);
	if (!err && witness)
		err = scene_write_due(&in->scene, IOVA + EDU_AT);
	faults = iommu_faults_settled();
	if (!err)
		err = way->go(in);
	moment = fire_now(&in->fire);
	if (!err)
		err = way->anyway(in);
	if (!err)
		err = nothing_lands(in, &moment);
	if (!err && in->disk && iommu_fault_count() == faults) {
		printf("# the IOMMU has stopped nothing\n");
		err = -ENOMSG;
	}
	return err ? err : way->come(in);
}

/* An RC connection ends with the first write that fails; make a new one. */
static void renew(struct inferno *in)
{
	rdma_end(in);
	rdma_begin(in);
}

static int rounds(struct inferno *in, const struct way *way, unsigned int nr)
{
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++) {
		if (i && i % RENEW == 0)
			renew(in);
		err = one_round(in, way, i % WITNESS == 0);
		if (err) {
			printf("# in round %u\n", i);
			return err;
		}
	}
	return lands_well(in);
}

FIXTURE(lasting)
{
	struct inferno inferno;
	struct holdings held;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(lasting)
{
	struct way way;
	const char *count;
	unsigned int preset;
};

FIXTURE_VARIANT_ADD(lasting, decode)
{
	{ PCI_ID_IVSHMEM, memory_off, decode_anyway, memory_on },
	"FIRE_ROUNDS", 500,
};

FIXTURE_VARIANT_ADD(lasting, low_power)
{
	{ PCI_ID_IVSHMEM, low_power, nothing, full_power }, "FIRE_TIMES", 5,
};

/* The disk cannot fire at itself. */
FIXTURE_VARIANT_ADD(lasting, d3hot)
{
	{ PCI_ID_NVME, d3hot, wake_anyway, d0 }, "FIRE_TIMES", 5,
};

FIXTURE_SETUP(lasting)
{
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	inferno_open(&self->inferno, variant->way.exporter,
		     variant->way.exporter.device == PCI_ID_IVSHMEM.device);
}

FIXTURE_TEARDOWN(lasting)
{
	EXPECT_EQ(0, inferno_close(&self->inferno));
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
}

TEST_F_TIMEOUT(lasting, nothing_lands, LIMIT)
{
	EXPECT_EQ(0, rounds(&self->inferno, &variant->way,
			    number(variant->count, variant->preset)));
}

/*
 * Ways that are over when the call returns.
 */

static int reset(struct inferno *in)
{
	return vfio_reset(&in->scene.exporter);
}

static int sysfs_reset(struct inferno *in)
{
	return pci_sysfs_reset(in->scene.exporter.name);
}

static int hot_reset(struct inferno *in)
{
	return vfio_hot_reset(&in->scene.exporter);
}

FIXTURE(passing)
{
	struct inferno inferno;
	struct holdings held;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(passing)
{
	int (*go)(struct inferno *in);
};

FIXTURE_VARIANT_ADD(passing, reset) { reset };
FIXTURE_VARIANT_ADD(passing, sysfs_reset) { sysfs_reset };
FIXTURE_VARIANT_ADD(passing, hot_reset) { hot_reset };

FIXTURE_SETUP(passing)
{
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	inferno_open(&self->inferno, PCI_ID_IVSHMEM, true);
}

FIXTURE_TEARDOWN(passing)
{
	EXPECT_EQ(0, inferno_close(&self->inferno));
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
}

/* On a busy machine the disk may be slower than the way: then once more. */
static int stops(struct inferno *in, int (*go)(struct inferno *in))
{
	const __u64 limit = now_ms() + LAND_LIMIT;
	struct fire_moment moment;
	__u64 faults;
	int err;

	do {
		err = lands_well(in);
		if (err)
			return err;
		faults = iommu_faults_settled();
		moment = fire_now(&in->fire);
		err = go(in);
		if (err || iommu_fault_count() > faults)
			return err;
	} while (!fire_reached(&in->fire, &moment, 1) && now_ms() < limit);
	printf("# the IOMMU has stopped nothing\n");
	return -ENOMSG;
}

/* The IOMMU stops the fire meanwhile; afterwards it arrives, and nowhere else. */
TEST_F_TIMEOUT(passing, stops_and_lands_again, LIMIT)
{
	struct inferno *in = &self->inferno;
	unsigned int i, times = number("FIRE_TIMES", 5);

	for (i = 0; i < times; i++) {
		ASSERT_EQ(0, stops(in, variant->go));
		ASSERT_EQ(0, lands_well(in));
	}
}

/* It gives nothing back that was taken for another reason. */
TEST_F_TIMEOUT(passing, while_decode_is_off, LIMIT)
{
	struct inferno *in = &self->inferno;
	unsigned int i, times = number("FIRE_TIMES", 5);

	for (i = 0; i < times; i++) {
		ASSERT_EQ(0, lands(in));
		ASSERT_EQ(0, memory_off(in));
		ASSERT_EQ(0, decode_anyway(in));
		ASSERT_EQ(0, nothing_lands_from_now_on(in));
		ASSERT_EQ(0, variant->go(in));
		ASSERT_EQ(0, decode_anyway(in));
		ASSERT_EQ(0, nothing_lands_from_now_on(in));
		ASSERT_EQ(0, memory_on(in));
	}
	EXPECT_EQ(0, lands_well(in));
}

/*
 * Ways that are final: a new export is needed.
 */

static int close_it(struct inferno *in)
{
	scene_close_exporter(&in->scene);
	return 0;
}

/* While it is open the device stays, and its memory can be reached. */
static int unplug(struct inferno *in)
{
	int err = slot_begin_unplug("exporter", in->scene.exporter.name);

	if (!err) {
		usleep(300000);
		err = lands_well(in);
	}
	bar_unmap(&in->watch);
	scene_close_exporter(&in->scene);
	return err ? err : slot_replug("exporter", in->scene.exporter.name);
}

static int open_again(struct inferno *in)
{
	int err = scene_reopen_exporter(&in->scene);

	if (!err && !in->watch.map) {
		bar_close(&in->watch);
		err = bar_open_sysfs(&in->watch, in->scene.exporter.name,
				     SCENE_BAR, WINDOW);
	}
	return err;
}

/* Without a pause of the disk, whose IOVA it is again. */
static int import_anew(struct inferno *in)
{
	__u64 unmapped;
	int err;

	err = ioas_unmap(in->scene.iommufd, in->scene.ioas, IOVA,
			 layout_size(layout), &unmapped);
	if (err)
		return err;
	rdma_end(in);
	err = rdma_dereg(&in->mr);
	close(in->dmabuf);
	in->dmabuf = scene_export(&in->scene, layout);
	import(in);
	return err;
}

FIXTURE(final)
{
	struct inferno inferno;
	struct holdings held;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(final)
{
	int (*go)(struct inferno *in);
};

FIXTURE_VARIANT_ADD(final, close) { close_it };
FIXTURE_VARIANT_ADD(final, unplug) { unplug };

FIXTURE_SETUP(final)
{
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	inferno_open(&self->inferno, PCI_ID_IVSHMEM, true);
}

FIXTURE_TEARDOWN(final)
{
	EXPECT_EQ(0, inferno_close(&self->inferno));
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
}

TEST_F_TIMEOUT(final, nothing_lands, LIMIT)
{
	struct inferno *in = &self->inferno;
	unsigned int i, times = number("FIRE_TIMES", 5);

	for (i = 0; i < times; i++) {
		ASSERT_EQ(0, lands_well(in));
		ASSERT_EQ(0, variant->go(in));
		ASSERT_EQ(0, open_again(in));
		ASSERT_EQ(0, nothing_lands_from_now_on(in));
		ASSERT_EQ(0, import_anew(in));
	}
	EXPECT_EQ(0, lands_well(in));
}

/*
 * The means
 */

FIXTURE(means)
{
	struct inferno inferno;
};

FIXTURE_SETUP(means)
{
	inferno_open(&self->inferno, PCI_ID_IVSHMEM, true);
}

FIXTURE_TEARDOWN(means)
{
	EXPECT_EQ(0, inferno_close(&self->inferno));
}

/* Had VFIO not been told, all of this would see it. */
TEST_F_TIMEOUT(means, see_what_is_not_stopped, LIMIT)
{
	struct inferno *in = &self->inferno;
	const char *name = in->scene.exporter.name;
	__u64 faults;

	ASSERT_EQ(0, lands(in));
	faults = iommu_faults_settled();
	ASSERT_EQ(0, pci_raw_set_memory(name, false));
	ASSERT_EQ(0, pci_raw_set_memory(name, true));
	EXPECT_EQ(-EILSEQ, nothing_lands_from_now_on(in));
	EXPECT_EQ(faults, iommu_fault_count());
	EXPECT_EQ(0, lands_well(in));
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

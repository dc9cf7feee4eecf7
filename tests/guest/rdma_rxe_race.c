// SPDX-License-Identifier: GPL-2.0-only
/*
 * A BAR is registered with rxe while it comes and goes.
 *
 * A registration that is under way when the memory goes either finds it gone, or
 * is done and ends with it. Nothing is left behind, and when the memory is back
 * it can be registered again.
 *
 * flavour: plain debug
 * topology: root
 * tier: check
 * timeout: 240
 * leak: yes
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommufd.h"
#include "leaks.h"
#include "report.h"
#include "uverbs.h"
#include "vfio.h"

#include "kselftest_harness.h"

#define LIMIT		100		/* seconds per test */
#define BAR		2
#define PAGE		0x1000ULL
#define IOVA		0x7000000000ULL
#define RXE		"rxe_race"
#define NETDEV		"race0"
#define NR_RACERS	4
#define RACE_MS		2000
#define NR_CLOSES	20

static const struct vfio_region_dma_range ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x01000, .length = 0x3000 },
};

#define SIZE		0x5000ULL	/* of them */

static void must(const char *what, int err)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

struct stage {
	int iommufd;
	int dmabuf;
	__u32 pd;
	struct uverbs verbs;
	struct vfio_dev exporter;
	struct holdings before;
	atomic_bool stop;
};

static void open_exporter(struct stage *stage)
{
	must("open the exporter", vfio_open_id(&stage->exporter, PCI_ID_IVSHMEM,
					       0, stage->iommufd));
	stage->dmabuf = vfio_export(&stage->exporter, BAR, ranges, 2);
	must("export", stage->dmabuf);
}

static void stage_open(struct stage *stage)
{
	stage->iommufd = iommufd_open();
	must("open iommufd", stage->iommufd);
	must("open uverbs", uverbs_open(&stage->verbs, RXE, RDMA_DRIVER_RXE));
	must("allocate a PD", uverbs_alloc_pd(&stage->verbs, &stage->pd));
	open_exporter(stage);
	stage->before = count_holdings();
}

static void stage_close(struct stage *stage)
{
	close(stage->dmabuf);
	vfio_close(&stage->exporter);
	must("free the PD", uverbs_dealloc_pd(&stage->verbs, stage->pd));
	uverbs_close(&stage->verbs);
	close(stage->iommufd);
}

/* Registers and deregisters the same slice, again and again. */
struct racer {
	struct stage *stage;
	pthread_t thread;
	enum uverbs_door door;
	__u32 access;
	unsigned long done;
	unsigned long gone;
	int wrong;		/* any other errno */
};

static int race_once(struct racer *racer)
{
	const struct uverbs_dmabuf slice = {
		.pd = racer->stage->pd,
		.fd = racer->stage->dmabuf,
		.offset = 0x800,
		.length = SIZE - PAGE,
		.iova = IOVA + 0x800,
		.access = ACCESS_ALL | racer->access,
	};
	struct uverbs_mr mr;
	int err;

	err = uverbs_reg_dmabuf(&racer->stage->verbs, racer->door, &slice, &mr);
	if (err)
		return err;
	racer->done++;
	return uverbs_dereg(&racer->stage->verbs, &mr);
}

static void *race(void *data)
{
	struct racer *racer = data;
	int err;

	while (!atomic_load(&racer->stage->stop) && !racer->wrong) {
		err = race_once(racer);
		if (err == -ENODEV)
			racer->gone++;
		else
			racer->wrong = err;
	}
	return NULL;
}

static void race_begin(struct stage *stage, struct racer *racers)
{
	unsigned int i;

	atomic_store(&stage->stop, false);
	for (i = 0; i < NR_RACERS; i++) {
		racers[i] = (struct racer){
			.stage = stage,
			.door = i & 1 ? DOOR_REG_MR : DOOR_REG_DMABUF_MR,
			.access = i & 2 ? IB_UVERBS_ACCESS_ON_DEMAND : 0,
		};
		must("make a thread", -pthread_create(&racers[i].thread, NULL,
						      race, &racers[i]));
	}
}

/* What they met in total. */
static struct racer race_end(struct stage *stage, struct racer *racers)
{
	struct racer sum = { };
	unsigned int i;

	atomic_store(&stage->stop, true);
	for (i = 0; i < NR_RACERS; i++) {
		pthread_join(racers[i].thread, NULL);
		sum.done += racers[i].done;
		sum.gone += racers[i].gone;
		if (racers[i].wrong)
			sum.wrong = racers[i].wrong;
	}
	return sum;
}

static void pause_at_random(void)
{
	usleep(rand() % 8000);
}

static int memory_off_and_on(struct stage *stage)
{
	int err = vfio_set_memory(&stage->exporter, false);

	pause_at_random();
	return err ? err : vfio_set_memory(&stage->exporter, true);
}

static int reset(struct stage *stage)
{
	return vfio_reset(&stage->exporter);
}

FIXTURE(race)
{
	struct stage stage;
	struct racer racers[NR_RACERS];
};

FIXTURE_VARIANT(race)
{
	int (*away_and_back)(struct stage *stage);
};

FIXTURE_VARIANT_ADD(race, memory) { memory_off_and_on };
FIXTURE_VARIANT_ADD(race, reset) { reset };

FIXTURE_SETUP(race)
{
	stage_open(&self->stage);
}

FIXTURE_TEARDOWN(race)
{
	stage_close(&self->stage);
}

TEST_F_TIMEOUT(race, suspend, LIMIT)
{
	const __u64 end = now_ms() + RACE_MS;
	struct stage *stage = &self->stage;
	struct racer sum;
	int err = 0;

	race_begin(stage, self->racers);
	while (!err && now_ms() < end) {
		err = variant->away_and_back(stage);
		pause_at_random();
	}
	sum = race_end(stage, self->racers);
	EXPECT_EQ(0, err);
	EXPECT_EQ(0, sum.wrong);
	EXPECT_NE(0, sum.done);
	EXPECT_NE(0, sum.gone);
	EXPECT_TRUE(same_holdings(count_holdings(), stage->before));
	EXPECT_EQ(0, race_once(&self->racers[0]));
}

FIXTURE(closed)
{
	struct stage stage;
	struct racer racers[NR_RACERS];
};

FIXTURE_SETUP(closed)
{
	stage_open(&self->stage);
}

FIXTURE_TEARDOWN(closed)
{
	stage_close(&self->stage);
}

/* The last time for good: what came later is refused. */
TEST_F_TIMEOUT(closed, revoke, LIMIT)
{
	struct stage *stage = &self->stage;
	struct racer sum;
	unsigned int i;

	for (i = 0; i < NR_CLOSES; i++) {
		race_begin(stage, self->racers);
		pause_at_random();
		vfio_close(&stage->exporter);
		EXPECT_EQ(-ENODEV, race_once(&(struct racer){ stage }));
		sum = race_end(stage, self->racers);
		ASSERT_EQ(0, sum.wrong);
		EXPECT_EQ(0, count_holdings().maps);
		EXPECT_EQ(stage->before.importers, count_holdings().importers);
		close(stage->dmabuf);
		open_exporter(stage);
	}
	EXPECT_EQ(0, race_once(&(struct racer){ stage }));
}

/* Its predecessor of this name may not be gone yet. */
static int add_rxe(void)
{
	int err = netdev_add(NETDEV, "dummy");
	unsigned int tries;

	if (err)
		return err;
	for (tries = 0; tries < 50; tries++) {
		err = rdma_link_add(RXE, "rxe", NETDEV);
		if (!err)
			break;
		usleep(100000);
	}
	return err;
}

int main(int argc, char **argv)
{
	int ret;

	must("make an rxe device", add_rxe());
	ret = test_harness_run(argc, argv);
	must("remove the network device", netdev_del(NETDEV));
	return ret;
}

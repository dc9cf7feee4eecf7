// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that moves between a BAR and system RAM, under importers of all kinds.
 *
 * The exporter is dma-buf-test-vram, the BAR its video memory. Bytes that an
 * importer wrote are there for every importer wherever the memory has gone, what
 * is pinned does not go, and each policy of the exporter gives what it says.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 200
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "leaks.h"
#include "report.h"
#include "testdrv.h"
#include "uverbs.h"

#include "kselftest_harness.h"

#define BAR		2
#define LIMIT		60	/* seconds per test */
#define SIZE		0x10000ULL
#define VRAM		(4 * SIZE)
#define PART		0x180	/* what the engine of edu moves at once */
#define SEAM		(0x4000 - PART / 2)
#define COPY_MS		100
#define SLOW_MS		700
#define IOVA		0x7000000000ULL
#define CPU		(DBT_ATTACH_CLASS | DBT_ATTACH_CPU)

/* The exporter, an object of it, and importers */
struct move {
	int vram;
	int edu;			/* importer with a DMA engine */
	int cpu;			/* importer by CPU view, on the same device */
	int dmabuf;
	char name[PCI_NAME_LEN];	/* of the exporter */
	char edu_name[PCI_NAME_LEN];
	__u8 want[SIZE];
	__u8 got[SIZE];
};

FIXTURE(vram)
{
	struct move move;
};

FIXTURE_SETUP(vram)
{
	struct move *move = &self->move;

	move->vram = vram_open(VRAM / 1024, move->name);
	ASSERT_LE(0, move->vram);
	move->edu = importer_open(0, move->edu_name);
	ASSERT_LE(0, move->edu);
	move->cpu = importer_reopen(move->edu_name);
	ASSERT_LE(0, move->cpu);
	move->dmabuf = vram_create(move->vram, SIZE, 0);
	ASSERT_LE(0, move->dmabuf);
	pattern(move->want, SIZE, 4711);
}

FIXTURE_TEARDOWN(vram)
{
	struct move *move = &self->move;

	close(move->edu);
	close(move->cpu);
	close(move->dmabuf);
	close(move->vram);
	EXPECT_EQ(0, settle_dmabufs(0));
	EXPECT_EQ(0, testdrv_release(move->edu_name));
	EXPECT_EQ(0, testdrv_release(move->name));
}

/* All bytes by the CPU view, which is made anew if the memory has moved. */
static ssize_t by_cpu(struct move *move, __u8 *data, bool write)
{
	ssize_t done = write ? importer_write(move->cpu, 0, data, SIZE) :
			       importer_read(move->cpu, 0, data, SIZE);
	int err;

	if (done != -ENODEV)
		return done;
	err = importer_remap(move->cpu);
	if (err)
		return err;
	return write ? importer_write(move->cpu, 0, data, SIZE) :
		       importer_read(move->cpu, 0, data, SIZE);
}

/* Everything is as it was written, and it is at @where. */
static int intact(struct move *move, int where)
{
	ssize_t done = by_cpu(move, move->got, false);

	if (done != (ssize_t)SIZE)
		return done < 0 ? done : -EIO;
	if (memcmp(move->want, move->got, SIZE))
		return -EILSEQ;
	return vram_where(move->vram, move->dmabuf) == where ? 0 : -EXDEV;
}

#define FILL()								\
	do {								\
		ASSERT_EQ(0, importer_attach(move->cpu, move->dmabuf, CPU, 0)); \
		ASSERT_EQ(0, importer_map_all(move->cpu));		\
		ASSERT_EQ((ssize_t)SIZE, by_cpu(move, move->want, true)); \
	} while (0)

/* The engine reads what is there, and writes something else. */
static int by_engine(struct move *move, __u32 seed)
{
	__u8 data[PART];

	if (importer_read(move->edu, SEAM, data, PART) != PART)
		return -EIO;
	if (memcmp(data, move->want + SEAM, PART))
		return -EILSEQ;
	pattern(move->want + SEAM, PART, seed);
	if (importer_write(move->edu, SEAM, move->want + SEAM, PART) != PART)
		return -EIO;
	return 0;
}

/* For tests where an importer does DMA to video memory. */
#define NEEDS_PEERS()							\
	do {								\
		if (!pci_peers_meet())					\
			SKIP(return, NO_WAY_TO_PEER);			\
	} while (0)

/*
 * Bytes stay
 */

TEST_F_TIMEOUT(vram, cpu_view_follows, LIMIT)
{
	struct move *move = &self->move;
	struct dbv_query query;
	struct bar bar;
	unsigned int i;

	FILL();
	EXPECT_EQ(0, intact(move, DBV_RAM));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
		EXPECT_EQ(0, intact(move, DBV_VRAM));
		ASSERT_EQ(0, vram_evict(move->vram, move->dmabuf));
		EXPECT_EQ(0, intact(move, DBV_RAM));
	}
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	ASSERT_EQ(0, vram_query(move->vram, move->dmabuf, &query));
	EXPECT_EQ(7, query.moves);
	EXPECT_EQ(3, query.evictions);
	EXPECT_EQ(0, query.pins);

	/* And they really are in the BAR. */
	EXPECT_EQ(0, intact(move, DBV_VRAM));
	ASSERT_EQ(0, bar_open_sysfs(&bar, move->name, BAR, VRAM));
	EXPECT_EQ(0, memcmp(bar.map + query.offset, move->want, SIZE));
	bar_close(&bar);
}

/* A process that has it mapped sees the bytes wherever they are. */
TEST_F_TIMEOUT(vram, mapping_follows, LIMIT)
{
	struct move *move = &self->move;
	unsigned int i;
	__u8 *map;

	FILL();
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   move->dmabuf, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	for (i = 0; i < 6; i++) {
		EXPECT_EQ(0, memcmp(map, move->want, SIZE));
		pattern(move->want + SEAM, PART, 20 + i);
		memcpy(map + SEAM, move->want + SEAM, PART);
		EXPECT_EQ(0, intact(move, i % 2 ? DBV_VRAM : DBV_RAM));
		ASSERT_EQ(0, i % 2 ? vram_evict(move->vram, move->dmabuf) :
				     vram_place(move->vram, move->dmabuf));
	}
	munmap(map, SIZE);
}

struct counter {
	__u64 *at;
	bool stop;
	__u64 count;
};

static void *count(void *arg)
{
	struct counter *counter = arg;

	while (!__atomic_load_n(&counter->stop, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(counter->at, __ATOMIC_RELAXED) !=
		    counter->count)
			return "a write was lost";
		counter->count++;
		__atomic_store_n(counter->at, counter->count, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* And no write is lost while they are on their way. */
TEST_F_TIMEOUT(vram, mapping_follows_while_written, LIMIT)
{
	struct move *move = &self->move;
	struct counter counter = {};
	void *wrong = "no thread";
	pthread_t thread;
	unsigned int i;
	__u8 *map;

	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   move->dmabuf, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	counter.at = (__u64 *)(map + 0x4000);
	ASSERT_EQ(0, pthread_create(&thread, NULL, count, &counter));
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(0, i % 2 ? vram_evict(move->vram, move->dmabuf) :
				     vram_place(move->vram, move->dmabuf));
		usleep(1000);
	}
	__atomic_store_n(&counter.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, &wrong));
	EXPECT_EQ(NULL, wrong) TH_LOG("%s", (char *)wrong);
	EXPECT_LT(100, counter.count);
	EXPECT_EQ(counter.count, *counter.at);
	munmap(map, SIZE);
}

/* What the device had mapped is gone, and comes back where the memory is. */
static int engine_follows(struct move *move, __u32 flags)
{
	struct dbt_state state;
	int err;

	err = importer_attach(move->edu, move->dmabuf, flags, 0);
	if (!err)
		err = importer_map_all(move->edu);
	if (!err)
		err = by_engine(move, 1);
	if (!err)
		err = vram_place(move->vram, move->dmabuf);
	if (!err)
		err = importer_state(move->edu, &state);
	if (err)
		return err;
	if (state.len || state.invalidated != 1)
		return -EBUSY;
	if (importer_read(move->edu, SEAM, move->got, PART) != -ENODEV)
		return -EBADE;
	err = importer_map_all(move->edu);
	if (!err)
		err = by_engine(move, 2);
	if (!err)
		err = intact(move, DBV_VRAM);
	if (!err)
		err = vram_evict(move->vram, move->dmabuf);
	if (!err)
		err = importer_map_all(move->edu);
	if (!err)
		err = by_engine(move, 3);
	return err ? err : intact(move, DBV_RAM);
}

TEST_F_TIMEOUT(vram, dma_view_follows, LIMIT)
{
	struct move *move = &self->move;

	NEEDS_PEERS();
	FILL();
	EXPECT_EQ(0, engine_follows(move, DBT_ATTACH_CLASS));
}

TEST_F_TIMEOUT(vram, scatterlist_follows, LIMIT)
{
	struct move *move = &self->move;

	NEEDS_PEERS();
	FILL();
	EXPECT_EQ(0, engine_follows(move, 0));
}

/* An MR on demand keeps its key; a pinned one keeps the memory in place. */
TEST_F_TIMEOUT(vram, on_demand_mr_follows, LIMIT)
{
	struct move *move = &self->move;
	struct uverbs_dmabuf arg = {
		.fd = move->dmabuf, .length = SIZE, .iova = IOVA,
		.access = ACCESS_LOCAL,
	};
	char name[PCI_NAME_LEN], ibname[IBDEV_NAME_LEN];
	struct uverbs_mr mr, pinned;
	struct uverbs verbs;
	unsigned int i;
	int ibdev;

	NEEDS_PEERS();
	FILL();
	ibdev = ibdev_open(1, name);
	ASSERT_LE(0, ibdev);
	ASSERT_EQ(0, ibdev_config(ibdev, DBT_IB_DYNAMIC, 0x1000));
	ASSERT_EQ(0, ibdev_of_pci(name, ibname));
	ASSERT_EQ(0, uverbs_open(&verbs, ibname, RDMA_DRIVER_UNKNOWN));
	ASSERT_EQ(0, uverbs_alloc_pd(&verbs, &arg.pd));
	ASSERT_EQ(0, uverbs_reg_dmabuf(&verbs, DOOR_REG_DMABUF_MR, &arg, &mr));

	for (i = 0; i < 3; i++) {
		pattern(move->want + SEAM, PART, 10 + i);
		EXPECT_EQ(PART, ibdev_write(ibdev, mr.lkey, IOVA + SEAM,
					    move->want + SEAM, PART));
		EXPECT_EQ(0, intact(move, i % 2 ? DBV_VRAM : DBV_RAM));
		ASSERT_EQ(0, i % 2 ? vram_evict(move->vram, move->dmabuf) :
				     vram_place(move->vram, move->dmabuf));
		EXPECT_EQ(PART, ibdev_read(ibdev, mr.lkey, IOVA + SEAM,
					   move->got, PART));
		EXPECT_EQ(0, memcmp(move->got, move->want + SEAM, PART));
	}

	ASSERT_EQ(0, ibdev_config(ibdev, DBT_IB_REVOCABLE, 0x1000));
	ASSERT_EQ(0, uverbs_reg_dmabuf(&verbs, DOOR_REG_DMABUF_MR, &arg,
				       &pinned));
	EXPECT_EQ(-EBUSY, vram_evict(move->vram, move->dmabuf));
	EXPECT_EQ(0, uverbs_dereg(&verbs, &pinned));
	EXPECT_EQ(0, vram_evict(move->vram, move->dmabuf));
	uverbs_close(&verbs);
	close(ibdev);
	EXPECT_EQ(0, testdrv_release(name));
}

/*
 * Pins
 */

static int pin_holds(struct move *move, __u32 flags)
{
	struct dbv_query query;
	int err;

	err = importer_attach(move->edu, move->dmabuf, flags | DBT_ATTACH_PIN, 0);
	if (!err)
		err = vram_query(move->vram, move->dmabuf, &query);
	if (err)
		return err;
	if (query.pins != 1)
		return -ENOLCK;
	if (vram_evict(move->vram, move->dmabuf) != -EBUSY)
		return -EBADE;
	if (vram_where(move->vram, move->dmabuf) != DBV_VRAM)
		return -EXDEV;
	err = importer_detach(move->edu);
	return err ? err : vram_evict(move->vram, move->dmabuf);
}

TEST_F_TIMEOUT(vram, pin_of_the_class_holds, LIMIT)
{
	struct move *move = &self->move;

	NEEDS_PEERS();
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	EXPECT_EQ(0, pin_holds(move, DBT_ATTACH_CLASS));
	EXPECT_EQ(DBV_RAM, vram_where(move->vram, move->dmabuf));
}

TEST_F_TIMEOUT(vram, pin_of_an_old_importer_holds, LIMIT)
{
	struct move *move = &self->move;

	NEEDS_PEERS();
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	EXPECT_EQ(0, pin_holds(move, 0));
	EXPECT_EQ(DBV_RAM, vram_where(move->vram, move->dmabuf));
}

/*
 * Policies
 */

/* An importer that cannot use video memory: by PCI, or because it says so. */
static __u32 out_of_reach(void)
{
	return pci_peers_meet() ? DBT_ATTACH_NO_PEER2PEER : DBT_ATTACH_CLASS;
}

/* It gets RAM. */
TEST_F_TIMEOUT(vram, out_of_reach_gets_ram, LIMIT)
{
	struct move *move = &self->move;

	FILL();
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	EXPECT_EQ(0, intact(move, DBV_VRAM));
	ASSERT_EQ(0, importer_attach(move->edu, move->dmabuf,
				     out_of_reach(), 0));
	ASSERT_EQ(0, importer_map_all(move->edu));
	EXPECT_EQ(0, by_engine(move, 5));
	EXPECT_EQ(0, intact(move, DBV_RAM));

	/* Once more: it mapped, so it can map again. */
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	ASSERT_EQ(0, importer_map_all(move->edu));
	EXPECT_EQ(0, by_engine(move, 6));
	EXPECT_EQ(0, intact(move, DBV_RAM));
}

TEST_F_TIMEOUT(vram, out_of_reach_is_refused, LIMIT)
{
	struct move *move = &self->move;
	int stay = vram_create(move->vram, SIZE, DBV_STAY);
	int no_ram = vram_create(move->vram, SIZE, DBV_NO_RAM);

	ASSERT_EQ(0, vram_place(move->vram, stay));
	ASSERT_EQ(0, importer_attach(move->edu, stay, out_of_reach(), 0));
	EXPECT_EQ(-EOPNOTSUPP, importer_map_all(move->edu));
	ASSERT_EQ(0, vram_evict(move->vram, stay));
	EXPECT_EQ(0, importer_map_all(move->edu));
	ASSERT_EQ(0, importer_detach(move->edu));

	EXPECT_EQ(-EOPNOTSUPP, importer_attach(move->edu, no_ram,
					       out_of_reach(), 0));
	if (out_of_reach() != DBT_ATTACH_NO_PEER2PEER)
		goto out_close;
	EXPECT_EQ(0, importer_attach(move->edu, no_ram, 0, 0));
	EXPECT_EQ(0, importer_map_all(move->edu));
	EXPECT_EQ(DBV_VRAM, vram_where(move->vram, no_ram));
	EXPECT_EQ(0, importer_detach(move->edu));
out_close:
	close(stay);
	close(no_ram);
}

/* The bytes of the object are where it is now. */
static int wait_for_copy(int obj)
{
	struct pollfd fence = { .fd = obj, .events = POLLIN };
	int ready = poll(&fence, 1, 1000 * LIMIT / 2);

	return ready == 1 ? 0 : ready ? -errno : -ETIMEDOUT;
}

/*
 * With video memory full, one importer makes do with RAM, the other does not. An
 * object that is closed leaves its place when it has come there.
 */
TEST_F_TIMEOUT(vram, full, LIMIT)
{
	struct move *move = &self->move;
	int fetch, no_ram, big, huge;

	NEEDS_PEERS();
	fetch = vram_create(move->vram, SIZE, DBV_FETCH);
	no_ram = vram_create(move->vram, SIZE, DBV_NO_RAM);
	big = vram_create(move->vram, VRAM, 0);
	huge = vram_create(move->vram, VRAM + SIZE, 0);
	ASSERT_EQ(0, vram_copy_ms(move->vram, COPY_MS));
	EXPECT_EQ(-ENOSPC, vram_place(move->vram, huge));
	ASSERT_EQ(0, vram_place(move->vram, big));
	ASSERT_EQ(0, importer_attach(move->edu, fetch, 0, 0));
	EXPECT_EQ(0, importer_map_all(move->edu));
	EXPECT_EQ(DBV_RAM, vram_where(move->vram, fetch));
	ASSERT_EQ(0, importer_attach(move->cpu, no_ram, CPU, 0));
	EXPECT_EQ(-ENOSPC, importer_map_all(move->cpu));

	ASSERT_EQ(0, wait_for_copy(big));
	close(big);
	ASSERT_EQ(4, settle_dmabufs(4));
	ASSERT_EQ(0, importer_unmap(move->edu));
	EXPECT_EQ(0, importer_map_all(move->edu));
	EXPECT_EQ(DBV_VRAM, vram_where(move->vram, fetch));
	EXPECT_EQ(0, importer_map_all(move->cpu));
	EXPECT_EQ(DBV_VRAM, vram_where(move->vram, no_ram));
	EXPECT_EQ(0, importer_detach(move->edu));
	EXPECT_EQ(0, importer_detach(move->cpu));
	close(huge);
	close(fetch);
	close(no_ram);
}

/* Who was used longest ago makes room, unless it is pinned. */
TEST_F_TIMEOUT(vram, least_recently_used, LIMIT)
{
	struct move *move = &self->move;
	int obj[6];
	unsigned int i;

	NEEDS_PEERS();
	for (i = 0; i < 6; i++) {
		obj[i] = vram_create(move->vram, SIZE, 0);
		ASSERT_LE(0, obj[i]);
	}
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, vram_place(move->vram, obj[i]));
	ASSERT_EQ(0, vram_place(move->vram, obj[0]));
	ASSERT_EQ(0, vram_place(move->vram, obj[4]));
	EXPECT_EQ(DBV_RAM, vram_where(move->vram, obj[1]));
	EXPECT_EQ(DBV_VRAM, vram_where(move->vram, obj[0]));

	ASSERT_EQ(0, importer_attach(move->edu, obj[2], DBT_ATTACH_PIN, 0));
	ASSERT_EQ(0, vram_place(move->vram, obj[5]));
	EXPECT_EQ(DBV_VRAM, vram_where(move->vram, obj[2]));
	EXPECT_EQ(DBV_RAM, vram_where(move->vram, obj[3]));
	EXPECT_EQ(DBV_VRAM, vram_where(move->vram, obj[0]));
	EXPECT_EQ(0, importer_detach(move->edu));
	for (i = 0; i < 6; i++)
		close(obj[i]);
}

/* Evicted memory is free when the wait for it ends. */
TEST_F_TIMEOUT(vram, in_a_row, LIMIT)
{
	struct move *move = &self->move;
	int big[2] = { vram_create(move->vram, VRAM, 0),
		       vram_create(move->vram, VRAM, 0) };
	unsigned int i;

	for (i = 0; i < 40; i++)
		ASSERT_EQ(0, vram_place(move->vram, big[i % 2]));
	close(big[0]);
	close(big[1]);
}

/* Nobody makes room for what does not come. */
TEST_F_TIMEOUT(vram, not_for_the_pinned, LIMIT)
{
	struct move *move = &self->move;
	int big = vram_create(move->vram, VRAM, 0);

	ASSERT_EQ(0, vram_place(move->vram, big));
	ASSERT_EQ(0, importer_attach(move->edu, move->dmabuf,
				     DBT_ATTACH_CLASS | DBT_ATTACH_PIN, 0));
	EXPECT_EQ(-EBUSY, vram_place(move->vram, move->dmabuf));
	EXPECT_EQ(DBV_VRAM, vram_where(move->vram, big));
	EXPECT_EQ(0, importer_detach(move->edu));
	close(big);
}

/*
 * Time
 */

/* A map waits for the copy, and finds all of it. */
TEST_F_TIMEOUT(vram, slow_copy_holds_map_back, LIMIT)
{
	struct move *move = &self->move;
	__u64 begin;

	NEEDS_PEERS();
	FILL();
	ASSERT_EQ(0, importer_attach(move->edu, move->dmabuf, DBT_ATTACH_CLASS,
				     0));
	ASSERT_EQ(0, vram_copy_ms(move->vram, SLOW_MS));
	begin = now_ms();
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	EXPECT_GT(SLOW_MS / 2, now_ms() - begin);
	ASSERT_EQ(0, importer_map_all(move->edu));
	EXPECT_LE(SLOW_MS, now_ms() - begin);
	EXPECT_EQ(0, by_engine(move, 7));
	EXPECT_EQ(0, intact(move, DBV_VRAM));
}

/* A move does not wait for unmap. */
TEST_F_TIMEOUT(vram, late_unmap_keeps_the_old_place, LIMIT)
{
	struct move *move = &self->move;
	struct dbt_state state;
	int other;

	NEEDS_PEERS();
	other = vram_create(move->vram, VRAM, 0);
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	ASSERT_EQ(0, importer_attach(move->edu, move->dmabuf, DBT_ATTACH_CLASS,
				     3 * SLOW_MS));
	ASSERT_EQ(0, importer_map_all(move->edu));
	ASSERT_EQ(0, vram_evict(move->vram, move->dmabuf));
	ASSERT_EQ(0, importer_state(move->edu, &state));
	EXPECT_EQ(SIZE, state.len);

	/* Its memory is nobody else's until it is unmapped. */
	EXPECT_EQ(-ENOSPC, vram_place(move->vram, other));
	usleep(4 * SLOW_MS * 1000);
	EXPECT_EQ(0, vram_place(move->vram, other));
	close(other);
}

/*
 * The end
 */

TEST_F_TIMEOUT(vram, reset_under_everything, LIMIT)
{
	struct move *move = &self->move;

	NEEDS_PEERS();
	FILL();
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	ASSERT_EQ(0, importer_attach(move->edu, move->dmabuf, DBT_ATTACH_CLASS,
				     0));
	ASSERT_EQ(0, importer_map_all(move->edu));
	ASSERT_EQ(0, pci_sysfs_reset(move->name));
	EXPECT_EQ(-ENODEV, importer_read(move->edu, 0, move->got, PART));
	ASSERT_EQ(0, importer_map_all(move->edu));
	EXPECT_EQ(0, by_engine(move, 8));
	EXPECT_EQ(0, intact(move, DBV_VRAM));
}

TEST_F_TIMEOUT(vram, unbind_under_everything, LIMIT)
{
	struct move *move = &self->move;
	struct dbt_state state;

	FILL();
	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	EXPECT_EQ(0, intact(move, DBV_VRAM));
	ASSERT_EQ(0, importer_attach(move->edu, move->dmabuf, 0, 0));
	ASSERT_EQ(0, importer_map_all(move->edu));
	ASSERT_EQ(0, vram_copy_ms(move->vram, SLOW_MS));
	ASSERT_EQ(0, vram_evict(move->vram, move->dmabuf));

	ASSERT_EQ(0, testdrv_release(move->name));
	ASSERT_EQ(0, importer_state(move->edu, &state));
	EXPECT_EQ(0, state.len);
	EXPECT_EQ(DBV_NOWHERE, vram_where(move->vram, move->dmabuf));
	EXPECT_EQ(-ENODEV, by_cpu(move, move->got, false));
	EXPECT_EQ(-ENODEV, importer_map_all(move->edu));
	EXPECT_EQ(-ENODEV, vram_place(move->vram, move->dmabuf));
	EXPECT_EQ(-ENODEV, vram_evict(move->vram, move->dmabuf));
	EXPECT_EQ(-ENODEV, vram_create(move->vram, SIZE, 0));
	close(move->vram);
	move->vram = vram_open(VRAM / 1024, move->name);
	EXPECT_LE(0, move->vram);
}

/* The file is gone, but an fd of O_PATH keeps the object. */
TEST_F_TIMEOUT(vram, without_a_file, LIMIT)
{
	struct move *move = &self->move;
	int big = vram_create(move->vram, VRAM, 0);
	char path[32];
	int keep;

	ASSERT_EQ(0, vram_place(move->vram, move->dmabuf));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", move->dmabuf);
	keep = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, keep);
	close(move->dmabuf);

	/* It makes room as any other, and sees the device go. */
	EXPECT_EQ(0, vram_place(move->vram, big));
	EXPECT_EQ(0, pci_sysfs_reset(move->name));
	EXPECT_EQ(0, testdrv_release(move->name));
	close(keep);
	close(big);
	close(move->vram);
	move->vram = vram_open(VRAM / 1024, move->name);
	ASSERT_LE(0, move->vram);
	move->dmabuf = vram_create(move->vram, SIZE, 0);
	ASSERT_LE(0, move->dmabuf);
}

TEST_F_TIMEOUT(vram, bad_input, LIMIT)
{
	struct move *move = &self->move;

	EXPECT_EQ(-EINVAL, vram_create(move->vram, 0, 0));
	EXPECT_EQ(-EINVAL, vram_create(move->vram, SIZE + 1, 0));
	EXPECT_EQ(-EINVAL, vram_create(move->vram, 1ULL << 40, 0));
	EXPECT_EQ(-EINVAL, vram_create(move->vram, SIZE, 0x80));
	EXPECT_EQ(-EBADF, vram_place(move->vram, -1));
	EXPECT_EQ(-EINVAL, vram_place(move->vram, move->vram));
}

TEST_HARNESS_MAIN

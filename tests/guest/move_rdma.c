// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory moves between a BAR and system RAM while an RDMA peer uses it.
 *
 * A region on demand keeps its key and its connection; a pinned region keeps the
 * memory where it is.
 *
 * flavour: plain debug
 * topology: root
 * tier: check
 * timeout: 300
 * leak: yes
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "leaks.h"
#include "rdma.h"
#include "report.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define LIMIT		120	/* seconds per test */
#define SIZE		0x10000ULL
#define MEM		0x100000
#define BACK		0x80000	/* where in its memory B reads to */
#define MR_IOVA		0x7e0000000000ULL
#define FLOOD		0x4000
#define ROUNDS		10
#define SLOW_MS		3000

/* Two hosts, and memory of the first that moves */
struct pair {
	struct rdma_host a, b;
	struct rdma_qp qa, qb;
	struct rdma_mr mr;
	int vram;
	int dmabuf;
	unsigned int dmabufs;
	char name[PCI_NAME_LEN];
};

FIXTURE(rdma)
{
	struct pair pair;
};

static int reg(struct pair *pair, int access, struct rdma_mr *mr)
{
	const struct rdma_region region = {
		.dmabuf = pair->dmabuf,
		.len = SIZE,
		.iova = MR_IOVA,
		.access = RDMA_ALL | access,
	};

	return rdma_reg(&pair->a, &region, mr);
}

FIXTURE_SETUP(rdma)
{
	struct pair *pair = &self->pair;

	pair->dmabufs = count_dmabufs();
	rdma_host_start(&pair->a, RDMA_A, MEM);
	rdma_host_start(&pair->b, RDMA_B, MEM);
	pair->vram = vram_open(SIZE / 1024, pair->name);
	ASSERT_LE(0, pair->vram);
	pair->dmabuf = vram_create(pair->vram, SIZE, 0);
	ASSERT_LE(0, pair->dmabuf);
	ASSERT_EQ(0, reg(pair, IBV_ACCESS_ON_DEMAND, &pair->mr));
	rdma_qps_connect(&pair->a, &pair->qa, 0, &pair->b, &pair->qb,
			 IBV_QPT_RC);
}

FIXTURE_TEARDOWN(rdma)
{
	struct pair *pair = &self->pair;

	rdma_host_stop(&pair->b);
	rdma_host_stop(&pair->a);
	close(pair->dmabuf);
	close(pair->vram);
	EXPECT_EQ(pair->dmabufs, settle_dmabufs(pair->dmabufs));
	EXPECT_EQ(0, testdrv_release(pair->name));
}

static int go(struct pair *pair, unsigned int round)
{
	return round % 2 ? vram_evict(pair->vram, pair->dmabuf) :
			   vram_place(pair->vram, pair->dmabuf);
}

static struct rdma_wr wr(struct pair *pair, enum ibv_wr_opcode opcode,
			 __u64 addr)
{
	return rdma_wr_remote(opcode, pair->b.key, addr, SIZE, pair->mr.key,
			      MR_IOVA);
}

/* B reads what it wrote last. */
static int reads_back(struct pair *pair)
{
	memset(pair->b.mem + BACK, 0, SIZE);
	if (rdma_do(&pair->qb, wr(pair, IBV_WR_RDMA_READ, BACK)))
		return -EIO;
	return memcmp(pair->b.mem, pair->b.mem + BACK, SIZE) ? -EILSEQ : 0;
}

TEST_F_TIMEOUT(rdma, same_key_everywhere, LIMIT)
{
	struct pair *pair = &self->pair;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		pattern(pair->b.mem, SIZE, i);
		ASSERT_EQ(IBV_WC_SUCCESS,
			  rdma_do(&pair->qb, wr(pair, IBV_WR_RDMA_WRITE, 0)));
		EXPECT_EQ(0, reads_back(pair));
		ASSERT_EQ(0, go(pair, i));
		EXPECT_EQ(0, reads_back(pair));
	}
	EXPECT_EQ(DBV_RAM, vram_where(pair->vram, pair->dmabuf));
	EXPECT_EQ(0, rdma_dereg(&pair->mr));
}

/* The stream goes on, and nobody gets an error. */
TEST_F_TIMEOUT(rdma, under_a_stream, LIMIT)
{
	struct pair *pair = &self->pair;
	struct rdma_qp uc_a, uc_b;
	struct rdma_flood before, flood;
	unsigned int i;

	rdma_qps_connect(&pair->a, &uc_a, 0, &pair->b, &uc_b, IBV_QPT_UC);
	rdma_flood_start(&pair->qb, &uc_b, pair->mr.key, MR_IOVA, FLOOD);
	before = rdma_flood_look(&pair->qb);
	for (i = 0; i < 2 * ROUNDS; i++) {
		ASSERT_EQ(0, go(pair, i));
		usleep(50000);
	}
	usleep(500000);
	flood = rdma_flood_stop(&pair->qb);
	EXPECT_EQ(IBV_WC_SUCCESS, (int)flood.status);
	EXPECT_LT(before.rc, flood.rc);
	EXPECT_EQ(IBV_QPS_RTS, (int)flood.state);
	rdma_qps_destroy(&uc_a, &uc_b);
}

TEST_F_TIMEOUT(rdma, pinned_stays, LIMIT)
{
	struct pair *pair = &self->pair;
	struct rdma_mr pinned;

	ASSERT_EQ(0, vram_place(pair->vram, pair->dmabuf));
	ASSERT_EQ(0, reg(pair, 0, &pinned));
	EXPECT_EQ(-EBUSY, vram_evict(pair->vram, pair->dmabuf));
	EXPECT_NE(-EIO, reads_back(pair));
	EXPECT_EQ(0, rdma_dereg(&pinned));
	EXPECT_EQ(0, vram_evict(pair->vram, pair->dmabuf));
}

/* A packet waits for a copy when the region is deregistered. */
TEST_F_TIMEOUT(rdma, deregistered_while_it_waits, LIMIT)
{
	struct pair *pair = &self->pair;
	struct rdma_wr write = wr(pair, IBV_WR_RDMA_WRITE, 0);

	ASSERT_EQ(IBV_WC_SUCCESS, rdma_do(&pair->qb, write));
	ASSERT_EQ(0, vram_copy_ms(pair->vram, SLOW_MS));
	ASSERT_EQ(0, vram_place(pair->vram, pair->dmabuf));
	ASSERT_EQ(0, rdma_post(&pair->qb, &write));
	usleep(300000);
	EXPECT_EQ(0, rdma_dereg(&pair->mr));
	rdma_qps_destroy(&pair->qa, &pair->qb);
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

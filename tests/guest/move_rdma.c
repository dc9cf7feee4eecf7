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

FIXTURE(rdma)
{
	struct rdma_host a, b;
	struct rdma_qp qa, qb;
	struct rdma_mr mr;
	int vram;
	int dmabuf;
	unsigned int dmabufs;
	char name[PCI_NAME_LEN];
};

static int reg(FIXTURE_DATA(rdma) *self, int access, struct rdma_mr *mr)
{
	const struct rdma_region region = {
		.dmabuf = self->dmabuf,
		.len = SIZE,
		.iova = MR_IOVA,
		.access = RDMA_ALL | access,
	};

	return rdma_reg(&self->a, &region, mr);
}

FIXTURE_SETUP(rdma)
{
	self->dmabufs = count_dmabufs();
	rdma_host_start(&self->a, RDMA_A, MEM);
	rdma_host_start(&self->b, RDMA_B, MEM);
	self->vram = vram_open(SIZE / 1024, self->name);
	ASSERT_LE(0, self->vram);
	self->dmabuf = vram_create(self->vram, SIZE, 0);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, reg(self, IBV_ACCESS_ON_DEMAND, &self->mr));
	rdma_qps_connect(&self->a, &self->qa, 0, &self->b, &self->qb,
			 IBV_QPT_RC);
}

FIXTURE_TEARDOWN(rdma)
{
	rdma_host_stop(&self->b);
	rdma_host_stop(&self->a);
	close(self->dmabuf);
	close(self->vram);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_EQ(0, testdrv_release(self->name));
}

static int go(FIXTURE_DATA(rdma) *self, unsigned int round)
{
	return round % 2 ? vram_evict(self->vram, self->dmabuf) :
			   vram_place(self->vram, self->dmabuf);
}

static struct rdma_wr wr(FIXTURE_DATA(rdma) *self, enum ibv_wr_opcode opcode,
			 __u64 addr)
{
	return rdma_wr_remote(opcode, self->b.key, addr, SIZE, self->mr.key,
			      MR_IOVA);
}

/* B reads what it wrote last. */
static int reads_back(FIXTURE_DATA(rdma) *self)
{
	memset(self->b.mem + BACK, 0, SIZE);
	if (rdma_do(&self->qb, wr(self, IBV_WR_RDMA_READ, BACK)))
		return -EIO;
	return memcmp(self->b.mem, self->b.mem + BACK, SIZE) ? -EILSEQ : 0;
}

TEST_F_TIMEOUT(rdma, same_key_everywhere, LIMIT)
{
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		pattern(self->b.mem, SIZE, i);
		ASSERT_EQ(IBV_WC_SUCCESS,
			  rdma_do(&self->qb, wr(self, IBV_WR_RDMA_WRITE, 0)));
		EXPECT_EQ(0, reads_back(self));
		ASSERT_EQ(0, go(self, i));
		EXPECT_EQ(0, reads_back(self));
	}
	EXPECT_EQ(DBV_RAM, vram_where(self->vram, self->dmabuf));
	EXPECT_EQ(0, rdma_dereg(&self->mr));
}

/* The stream goes on, and nobody gets an error. */
TEST_F_TIMEOUT(rdma, under_a_stream, LIMIT)
{
	struct rdma_qp uc_a, uc_b;
	struct rdma_flood before, flood;
	unsigned int i;

	rdma_qps_connect(&self->a, &uc_a, 0, &self->b, &uc_b, IBV_QPT_UC);
	rdma_flood_start(&self->qb, &uc_b, self->mr.key, MR_IOVA, FLOOD);
	before = rdma_flood_look(&self->qb);
	for (i = 0; i < 2 * ROUNDS; i++) {
		ASSERT_EQ(0, go(self, i));
		usleep(50000);
	}
	usleep(500000);
	flood = rdma_flood_stop(&self->qb);
	EXPECT_EQ(IBV_WC_SUCCESS, (int)flood.status);
	EXPECT_LT(before.rc, flood.rc);
	EXPECT_EQ(IBV_QPS_RTS, (int)flood.state);
	rdma_qps_destroy(&uc_a, &uc_b);
}

TEST_F_TIMEOUT(rdma, pinned_stays, LIMIT)
{
	struct rdma_mr pinned;

	ASSERT_EQ(0, vram_place(self->vram, self->dmabuf));
	ASSERT_EQ(0, reg(self, 0, &pinned));
	EXPECT_EQ(-EBUSY, vram_evict(self->vram, self->dmabuf));
	EXPECT_NE(-EIO, reads_back(self));
	EXPECT_EQ(0, rdma_dereg(&pinned));
	EXPECT_EQ(0, vram_evict(self->vram, self->dmabuf));
}

/* A packet waits for a copy when the region is deregistered. */
TEST_F_TIMEOUT(rdma, deregistered_while_it_waits, LIMIT)
{
	struct rdma_wr write = wr(self, IBV_WR_RDMA_WRITE, 0);

	ASSERT_EQ(IBV_WC_SUCCESS, rdma_do(&self->qb, write));
	ASSERT_EQ(0, vram_copy_ms(self->vram, SLOW_MS));
	ASSERT_EQ(0, vram_place(self->vram, self->dmabuf));
	ASSERT_EQ(0, rdma_post(&self->qb, &write));
	usleep(300000);
	EXPECT_EQ(0, rdma_dereg(&self->mr));
	rdma_qps_destroy(&self->qa, &self->qb);
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

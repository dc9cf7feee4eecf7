// SPDX-License-Identifier: GPL-2.0-only
/*
 * Host A registers a BAR, host B reads and writes it: every byte in its place.
 *
 * The BAR is exported by VFIO as a dma-buf, and registered by
 * ibv_reg_dmabuf_mr(). What arrives is checked through VFIO's mapping of the BAR,
 * bytes beside it included; what is refused is compared with plain memory.
 *
 * TWO_HOSTS_MIB= sets the largest transfer, 16 MiB else.
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
#include <arpa/inet.h>

#include "leaks.h"
#include "rdma.h"
#include "scene.h"

#include "kselftest_harness.h"

#define LIMIT		120	/* seconds per test */
#define WINDOW		0x100000
#define PAGE		0x1000
#define MEM		0x100000	/* plain memory of a host */
#define MIB		0x100000ULL
#define BAR_SIZE	(64 * MIB)
#define IMM		0xabcd1234

#define ACCESS	(RDMA_ALL | IBV_ACCESS_MW_BIND | IBV_ACCESS_FLUSH_GLOBAL)

static const struct vfio_region_dma_range one_range[] = {
	{ .offset = 0x13000, .length = 0x40000 },
};

/* Not ascending; the first two are adjacent. */
static const struct vfio_region_dma_range several_ranges[] = {
	{ .offset = 0x84000, .length = 0x2000 },
	{ .offset = 0x86000, .length = 0x1000 },
	{ .offset = 0x01000, .length = 0x3000 },
	{ .offset = 0xc0000, .length = 0x20000 },
};

static const struct layout one = { one_range, 1 };
static const struct layout several = { several_ranges, 4 };

/* Says what went wrong, if anything. */
static int good(enum ibv_wc_status status)
{
	if (status == IBV_WC_SUCCESS)
		return 0;
	printf("# completion: %s\n", ibv_wc_status_str(status));
	return -EIO;
}

/* Two hosts, a region, and an RC connection. */
struct two {
	struct scene scene;
	struct layout layout;
	struct rdma_host a, b;
	struct rdma_region region;
	struct rdma_mr mr;
	struct rdma_qp qa, qb;
};

static void two_open(struct two *two, struct layout layout, size_t window,
		     size_t mem)
{
	rdma_host_start(&two->a, RDMA_A, MEM);
	rdma_host_start(&two->b, RDMA_B, mem);
	two->layout = layout;
	scene_open(&two->scene, PCI_ID_IVSHMEM, window);
	two->region.dmabuf = scene_export(&two->scene, layout);
	two->region.len = layout_size(layout);
	two->region.access = ACCESS;
	rdma_qps_connect(&two->a, &two->qa, 0, &two->b, &two->qb, IBV_QPT_RC);
}

static void two_close(struct two *two)
{
	rdma_host_stop(&two->b);
	rdma_host_stop(&two->a);
	close(two->region.dmabuf);
	scene_close(&two->scene);
}

/* The address of byte @pos of the region. */
static __u64 at(const struct two *two, __u64 pos)
{
	return two->region.iova + pos;
}

/* A position from @pos on whose address is a multiple of 8. */
static __u64 aligned(const struct two *two, __u64 pos)
{
	return pos + (-at(two, pos) & 7);
}

/* What the region should hold. */
static void expect_at(const struct two *two, __u64 pos, void *data, size_t len)
{
	bar_expect(&two->scene.bar, two->layout, two->region.offset + pos, data,
		   len);
}

/* @data should be there now, and nothing else should have changed. */
static int arrived(struct two *two, __u64 pos, const void *data, size_t len)
{
	bar_note(&two->scene.bar, two->layout, two->region.offset + pos, data,
		 len);
	return scene_judge(&two->scene);
}

/* @data should be what is there. */
static int same(struct two *two, __u64 pos, const void *data, size_t len)
{
	__u8 *want = malloc(len);
	int err;

	expect_at(two, pos, want, len);
	err = memcmp(data, want, len) ? -EILSEQ : 0;
	if (err)
		printf("# other bytes than the %zu at 0x%llx\n", len, pos);
	free(want);
	return err;
}

/* B's request between its memory from byte @from and the region from @pos. */
static struct rdma_wr remote(struct two *two, enum ibv_wr_opcode opcode,
			     __u64 from, __u64 pos, size_t len)
{
	return rdma_wr_remote(opcode, two->b.key, from, len, two->mr.key,
			      at(two, pos));
}

static int write_at(struct two *two, __u64 pos, size_t len)
{
	int err;

	scene_pattern(&two->scene, two->b.mem, len);
	err = good(rdma_do(&two->qb, remote(two, IBV_WR_RDMA_WRITE, 0, pos,
					    len)));
	return err ? err : arrived(two, pos, two->b.mem, len);
}

static int read_at(struct two *two, __u64 pos, size_t len)
{
	int err;

	memset(two->b.mem, 0, len);
	err = good(rdma_do(&two->qb, remote(two, IBV_WR_RDMA_READ, 0, pos,
					    len)));
	return err ? err : same(two, pos, two->b.mem, len);
}

static int both_at(struct two *two, __u64 pos, size_t len)
{
	int err = write_at(two, pos, len);

	return err ? err : read_at(two, pos, len);
}

FIXTURE(hosts)
{
	struct two two;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(hosts)
{
	const struct layout *layout;
	__u64 offset;		/* of the region in the dma-buf */
	__u64 less;		/* than the rest of the dma-buf */
	__u64 iova;
	int access;		/* more of it */
};

FIXTURE_VARIANT_ADD(hosts, one) { &one };
FIXTURE_VARIANT_ADD(hosts, several) { &several, .iova = 0x7f0000000000 };
FIXTURE_VARIANT_ADD(hosts, slice)
{
	&several, .offset = 0x1345, .less = 0x777, .iova = 0x10000345,
};

FIXTURE_VARIANT_ADD(hosts, on_demand)
{
	&several, .access = IBV_ACCESS_ON_DEMAND,
};

FIXTURE_SETUP(hosts)
{
	struct rdma_region *region = &self->two.region;

	self->dmabufs = count_dmabufs();
	two_open(&self->two, *variant->layout, WINDOW, MEM);
	region->offset = variant->offset;
	region->len -= variant->offset + variant->less;
	region->iova = variant->iova;
	region->access |= variant->access;
	ASSERT_EQ(0, rdma_reg(&self->two.a, region, &self->two.mr));
}

FIXTURE_TEARDOWN(hosts)
{
	two_close(&self->two);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

/* Lengths vary as well, up to three packets. */
TEST_F_TIMEOUT(hosts, every_offset, LIMIT)
{
	struct two *two = &self->two;
	__u64 pos;

	for (pos = 0; pos < 64; pos++)
		ASSERT_EQ(0, both_at(two, pos, 1 + pos * 1237 % 9001))
			TH_LOG("offset %llu", pos);
}

TEST_F_TIMEOUT(hosts, every_length, LIMIT)
{
	static const size_t lens[] = {
		1, 2, 3, 7, 8, 9, 63, 64, 65, 4095, 4096, 4097, 8191, 8192,
		16383, 0x10001,
	};
	struct two *two = &self->two;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lens); i++)
		ASSERT_EQ(0, both_at(two, 13 + i, lens[i]))
			TH_LOG("%zu bytes", lens[i]);
	EXPECT_EQ(0, both_at(two, 0, two->region.len));
	EXPECT_EQ(0, both_at(two, 0, 1));
	EXPECT_EQ(0, both_at(two, two->region.len - 1, 1));
}

/* Across each border between two ranges: by little, and by packets. */
TEST_F_TIMEOUT(hosts, seams, LIMIT)
{
	struct two *two = &self->two;
	__u64 border = 0;
	__u32 i;

	for (i = 0; i + 1 < two->layout.nr; i++) {
		border += two->layout.ranges[i].length;
		if (border < two->region.offset + PAGE)
			continue;
		ASSERT_EQ(0, both_at(two, border - two->region.offset - 1, 2));
		ASSERT_EQ(0, both_at(two, border - two->region.offset - 5, 12));
		ASSERT_EQ(0, both_at(two, border - two->region.offset - 2222,
				     4444));
	}
}

/* The buffer that host A receives into is the BAR. */
TEST_F_TIMEOUT(hosts, send_into, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = rdma_wr(IBV_WR_SEND_WITH_IMM, two->b.key, 0, 9999);
	struct ibv_wc wc;

	wr.imm = htonl(IMM);
	scene_pattern(&two->scene, two->b.mem, 9999);
	ASSERT_EQ(0, rdma_qp_receive(&two->qa, two->mr.key, at(two, 77), 12345));
	ASSERT_EQ(0, good(rdma_do(&two->qb, wr)));
	wc = rdma_wait_recv(&two->qa);
	EXPECT_EQ(0, good(wc.status));
	EXPECT_EQ(IBV_WC_RECV, wc.opcode);
	EXPECT_EQ(9999, wc.byte_len);
	EXPECT_EQ(IMM, ntohl(wc.imm_data));
	EXPECT_EQ(0, arrived(two, 77, two->b.mem, 9999));
}

/* What host A sends, writes and reads is in the BAR: host B is passive. */
TEST_F_TIMEOUT(hosts, gather, LIMIT)
{
	static const size_t pos[] = { 5000, 3, 8190 };
	static const size_t len[] = { 4100, 1, 31 };
	struct two *two = &self->two;
	struct rdma_wr wr = { .opcode = IBV_WR_SEND, .nr_sge = 3 };
	__u8 *got = two->b.mem;
	unsigned int i;

	for (i = 0; i < 3; i++)
		wr.sge[i] = (struct ibv_sge){ at(two, pos[i]), len[i],
					      two->mr.key };
	ASSERT_EQ(0, rdma_qp_receive(&two->qb, two->b.key, 0, MEM));
	ASSERT_EQ(0, good(rdma_do(&two->qa, wr)));
	EXPECT_EQ(4132, rdma_wait_recv(&two->qb).byte_len);
	for (i = 0; i < 3; got += len[i++])
		EXPECT_EQ(0, same(two, pos[i], got, len[i]));
}

TEST_F_TIMEOUT(hosts, initiate, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = rdma_wr_remote(IBV_WR_RDMA_WRITE, two->mr.key,
					   at(two, 99), 8888, two->b.key, 1);

	ASSERT_EQ(0, good(rdma_do(&two->qa, wr)));
	EXPECT_EQ(0, same(two, 99, two->b.mem + 1, 8888));
	scene_pattern(&two->scene, two->b.mem, 8889);
	wr.opcode = IBV_WR_RDMA_READ;
	ASSERT_EQ(0, good(rdma_do(&two->qa, wr)));
	EXPECT_EQ(0, arrived(two, 99, two->b.mem + 1, 8888));
}

TEST_F_TIMEOUT(hosts, write_with_imm, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = remote(two, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 4095, 6);
	struct ibv_wc wc;

	wr.imm = htonl(IMM);
	scene_pattern(&two->scene, two->b.mem, 6);
	ASSERT_EQ(0, rdma_qp_receive(&two->qa, two->a.key, 0, 0));
	ASSERT_EQ(0, good(rdma_do(&two->qb, wr)));
	wc = rdma_wait_recv(&two->qa);
	EXPECT_EQ(IBV_WC_RECV_RDMA_WITH_IMM, wc.opcode);
	EXPECT_EQ(6, wc.byte_len);
	EXPECT_EQ(IMM, ntohl(wc.imm_data));
	EXPECT_EQ(0, arrived(two, 4095, two->b.mem, 6));
}

TEST_F_TIMEOUT(hosts, inline_data, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = remote(two, IBV_WR_RDMA_WRITE, 0, 4070, RDMA_INLINE);

	wr.flags = IBV_SEND_INLINE;
	scene_pattern(&two->scene, two->b.mem, RDMA_INLINE);
	ASSERT_EQ(0, good(rdma_do(&two->qb, wr)));
	EXPECT_EQ(0, arrived(two, 4070, two->b.mem, RDMA_INLINE));
}

/* Neither key nor address matters then. */
TEST_F_TIMEOUT(hosts, zero_length, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = remote(two, IBV_WR_RDMA_WRITE, 0, 0, 0);

	EXPECT_EQ(0, good(rdma_do(&two->qb, wr)));
	wr.rkey ^= 0x5a;
	wr.remote -= 1;
	EXPECT_EQ(0, good(rdma_do(&two->qb, wr)));
	wr.opcode = IBV_WR_RDMA_READ;
	EXPECT_EQ(0, good(rdma_do(&two->qb, wr)));
	ASSERT_EQ(0, rdma_qp_receive(&two->qa, two->mr.key, at(two, 0), 100));
	wr.opcode = IBV_WR_SEND;
	EXPECT_EQ(0, good(rdma_do(&two->qb, wr)));
	EXPECT_EQ(0, rdma_wait_recv(&two->qa).byte_len);
	EXPECT_EQ(0, scene_judge(&two->scene));
}

/* An atomic operation by B: what was there before, and whether that is right. */
static int atomic_at(struct two *two, struct rdma_qp *qp, __u64 pos,
		     struct rdma_wr wr, __u64 *old)
{
	__u64 *result = (__u64 *)two->b.mem;

	wr.nr_sge = 1;
	wr.sge[0] = (struct ibv_sge){ 0, 8, two->b.key };
	wr.remote = at(two, pos);
	wr.rkey = two->mr.key;
	expect_at(two, pos, old, sizeof(*old));
	*result = ~*old;
	if (good(rdma_do(qp, wr)))
		return -EIO;
	return *result == *old ? 0 : -EILSEQ;
}

TEST_F_TIMEOUT(hosts, fetch_and_add, LIMIT)
{
	struct rdma_wr wr = { .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD };
	struct two *two = &self->two;
	__u64 pos = aligned(two, 4088), value;

	wr.compare_add = 0x123456789abcdef;
	ASSERT_EQ(0, atomic_at(two, &two->qb, pos, wr, &value));
	value += wr.compare_add;
	EXPECT_EQ(0, arrived(two, pos, &value, sizeof(value)));
}

TEST_F_TIMEOUT(hosts, compare_and_swap, LIMIT)
{
	struct rdma_wr wr = { .opcode = IBV_WR_ATOMIC_CMP_AND_SWP };
	struct two *two = &self->two;
	__u64 pos = aligned(two, 0x2468), value;

	wr.swap = 0xfedcba987654321;
	expect_at(two, pos, &wr.compare_add, sizeof(value));
	ASSERT_EQ(0, atomic_at(two, &two->qb, pos, wr, &value));
	EXPECT_EQ(0, arrived(two, pos, &wr.swap, sizeof(wr.swap)));
	/* Now it is another value, which stays. */
	ASSERT_EQ(0, atomic_at(two, &two->qb, pos, wr, &value));
	EXPECT_EQ(0, scene_judge(&two->scene));
}

/* Two peers add at the same time, and none of it is lost. */
TEST_F_TIMEOUT(hosts, atomic_among_peers, LIMIT)
{
	struct two *two = &self->two;
	__u64 pos = aligned(two, 64), value;
	struct rdma_wr wr = remote(two, IBV_WR_ATOMIC_FETCH_AND_ADD, 0, pos, 8);
	struct rdma_qp qa, qb;
	unsigned int i;

	wr.compare_add = 3;
	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, IBV_QPT_RC);
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, rdma_post(&two->qb, &wr));
		ASSERT_EQ(0, rdma_post(&qb, &wr));
	}
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, good(rdma_wait(&two->qb).status));
		ASSERT_EQ(0, good(rdma_wait(&qb).status));
	}
	expect_at(two, pos, &value, sizeof(value));
	value += 2 * 40 * wr.compare_add;
	EXPECT_EQ(0, arrived(two, pos, &value, sizeof(value)));
	rdma_qps_destroy(&qa, &qb);
}

TEST_F_TIMEOUT(hosts, atomic_write, LIMIT)
{
	struct two *two = &self->two;
	__u64 pos = aligned(two, 8184), value = 0x1122334455667788;
	struct rdma_wr wr = remote(two, IBV_WR_ATOMIC_WRITE, 0, pos, 8);

	wr.compare_add = value;
	ASSERT_EQ(0, good(rdma_do(&two->qb, wr)));
	EXPECT_EQ(0, arrived(two, pos, &value, sizeof(value)));
}

TEST_F_TIMEOUT(hosts, flush, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = remote(two, IBV_WR_FLUSH, 0, 100, 5000);

	wr.flush_type = IBV_FLUSH_GLOBAL;
	wr.flush_level = IBV_FLUSH_RANGE;
	ASSERT_EQ(0, write_at(two, 100, 5000));
	EXPECT_EQ(0, good(rdma_do(&two->qb, wr)));
	wr.flush_level = IBV_FLUSH_MR;
	EXPECT_EQ(0, good(rdma_do(&two->qb, wr)));
	EXPECT_EQ(0, scene_judge(&two->scene));
}

/* Nothing is acknowledged: what host A sees tells when to look. */
TEST_F_TIMEOUT(hosts, unreliable_connection, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = remote(two, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 33, 9000);
	struct rdma_qp qa, qb;

	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, IBV_QPT_UC);
	scene_pattern(&two->scene, two->b.mem, 9000);
	ASSERT_EQ(0, rdma_qp_receive(&qa, two->a.key, 0, 0));
	ASSERT_EQ(0, rdma_qp_receive(&qa, two->mr.key, at(two, 11), 7000));
	ASSERT_EQ(0, good(rdma_do(&qb, wr)));
	EXPECT_EQ(9000, rdma_wait_recv(&qa).byte_len);
	EXPECT_EQ(0, arrived(two, 33, two->b.mem, 9000));

	scene_pattern(&two->scene, two->b.mem, 7000);
	ASSERT_EQ(0, good(rdma_do(&qb, rdma_wr(IBV_WR_SEND, two->b.key, 0, 7000))));
	EXPECT_EQ(7000, rdma_wait_recv(&qa).byte_len);
	EXPECT_EQ(0, arrived(two, 11, two->b.mem, 7000));
	rdma_qps_destroy(&qa, &qb);
}

/* The network header, which comes first, arrives in the BAR as well. */
TEST_F_TIMEOUT(hosts, datagram, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_qp qa, qb;
	struct ibv_wc wc;

	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, IBV_QPT_UD);
	ASSERT_EQ(0, rdma_qp_receive(&qa, two->mr.key, at(two, 4001), 4200));
	scene_pattern(&two->scene, two->b.mem, 4000);
	ASSERT_EQ(0, good(rdma_do(&qb, rdma_wr(IBV_WR_SEND, two->b.key, 0, 4000))));
	wc = rdma_wait_recv(&qa);
	EXPECT_EQ(4000 + RDMA_GRH, wc.byte_len);
	EXPECT_TRUE(wc.wc_flags & IBV_WC_GRH);
	bar_take(&two->scene.bar, two->layout, two->region.offset + 4001, RDMA_GRH);
	EXPECT_EQ(0, arrived(two, 4001 + RDMA_GRH, two->b.mem, 4000));

	/* And the other way: from the BAR. */
	ASSERT_EQ(0, rdma_qp_receive(&qb, two->b.key, 0, MEM));
	ASSERT_EQ(0, good(rdma_do(&qa, rdma_wr(IBV_WR_SEND, two->mr.key,
					       at(two, 123), 3456))));
	EXPECT_EQ(3456 + RDMA_GRH, rdma_wait_recv(&qb).byte_len);
	EXPECT_EQ(0, same(two, 123, two->b.mem + RDMA_GRH, 3456));
	rdma_qps_destroy(&qa, &qb);
}

/* Writes 16 bytes at @pos by the key of a window, over a connection of its own. */
static enum ibv_wc_status write_by(struct two *two, struct rdma_qp *qb,
				   __u32 key, __u64 pos)
{
	scene_pattern(&two->scene, two->b.mem, 16);
	return rdma_do(qb, rdma_wr_remote(IBV_WR_RDMA_WRITE, two->b.key, 0, 16,
					  key, at(two, pos)));
}

/* A window of 0x800 bytes from byte 0x1000 on. */
static struct rdma_bind window(struct two *two, __u64 len)
{
	return (struct rdma_bind){ &two->mr, at(two, 0x1000), len,
				   IBV_ACCESS_REMOTE_WRITE };
}

TEST_F_TIMEOUT(hosts, window_type_1, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_mw mw;
	__u32 old;

	ASSERT_EQ(0, rdma_mw_alloc(&two->a, IBV_MW_TYPE_1, &mw));
	ASSERT_EQ(0, good(rdma_mw_bind(&two->qa, &mw, window(two, 0x800))));
	EXPECT_EQ(0, good(write_by(two, &two->qb, mw.key, 0x17f0)));
	EXPECT_EQ(0, arrived(two, 0x17f0, two->b.mem, 16));
	EXPECT_EQ(-EINVAL, rdma_dereg(&two->mr));
	old = mw.key;
	ASSERT_EQ(0, good(rdma_mw_bind(&two->qa, &mw, window(two, 0))));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, write_by(two, &two->qb, old, 0x1000));
	EXPECT_EQ(0, scene_judge(&two->scene));
	EXPECT_EQ(0, rdma_mw_free(&mw));
	EXPECT_EQ(0, rdma_dereg(&two->mr));
}

TEST_F_TIMEOUT(hosts, window_is_a_border, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_mw mw;

	ASSERT_EQ(0, rdma_mw_alloc(&two->a, IBV_MW_TYPE_2, &mw));
	ASSERT_EQ(0, good(rdma_mw_bind(&two->qa, &mw, window(two, 0x800))));
	EXPECT_EQ(0, good(write_by(two, &two->qb, mw.key, 0x1000)));
	EXPECT_EQ(0, arrived(two, 0x1000, two->b.mem, 16));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR,
		  rdma_do(&two->qb, rdma_wr_remote(IBV_WR_RDMA_READ, two->b.key,
						   0, 16, mw.key,
						   at(two, 0x1000))));
	EXPECT_EQ(0, scene_judge(&two->scene));
	EXPECT_EQ(0, rdma_mw_free(&mw));
}

/* B takes the window away from itself, by its last message. */
TEST_F_TIMEOUT(hosts, window_invalidated, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = rdma_wr(IBV_WR_SEND_WITH_INV, two->b.key, 0, 5);
	struct rdma_mw mw;

	ASSERT_EQ(0, rdma_mw_alloc(&two->a, IBV_MW_TYPE_2, &mw));
	ASSERT_EQ(0, good(rdma_mw_bind(&two->qa, &mw, window(two, 0x800))));
	ASSERT_EQ(0, rdma_qp_receive(&two->qa, two->mr.key, at(two, 1), 5));
	wr.imm = mw.key;
	scene_pattern(&two->scene, two->b.mem, 5);
	ASSERT_EQ(0, good(rdma_do(&two->qb, wr)));
	EXPECT_EQ(mw.key, rdma_wait_recv(&two->qa).invalidated_rkey);
	EXPECT_EQ(0, arrived(two, 1, two->b.mem, 5));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, write_by(two, &two->qb, mw.key, 0x1000));
	EXPECT_EQ(0, scene_judge(&two->scene));
	EXPECT_EQ(0, rdma_mw_free(&mw));
}

/* The owner invalidates it; the region itself cannot be invalidated. */
TEST_F_TIMEOUT(hosts, local_invalidate, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_wr wr = { .opcode = IBV_WR_LOCAL_INV };
	struct rdma_mw mw;

	ASSERT_EQ(0, rdma_mw_alloc(&two->a, IBV_MW_TYPE_2, &mw));
	ASSERT_EQ(0, good(rdma_mw_bind(&two->qa, &mw, window(two, 0x800))));
	wr.imm = mw.key;
	EXPECT_EQ(0, good(rdma_do(&two->qa, wr)));
	EXPECT_EQ(0, rdma_mw_free(&mw));
	ASSERT_EQ(0, write_at(two, 0x1000, 16));
	wr.imm = two->mr.key;
	EXPECT_EQ(IBV_WC_LOC_QP_OP_ERR, rdma_do(&two->qa, wr));
	EXPECT_EQ(0, rdma_dereg(&two->mr));
}

/*
 * What is not allowed, by plain memory and by a BAR: the same completions.
 */
struct wrong {
	const char *name;
	int access;			/* of the region */
	enum ibv_wr_opcode opcode;
	long pos;
	size_t len;
	__u32 key;			/* xor the right one */
	__u32 pd;
	enum { B_TO_A, A_RECEIVES, A_READS } how;
	enum ibv_wc_status b;
	enum ibv_wc_status a;		/* of the local work, or the receive */
};

#define SLICE	0x4321		/* length of the region */
#define AT	0x123		/* begins here */

#define NOT(flag)	((ACCESS) & ~(flag))
#define REFUSED		.b = IBV_WC_REM_ACCESS_ERR, .a = IBV_WC_WR_FLUSH_ERR
#define WRITE		.opcode = IBV_WR_RDMA_WRITE
#define READ		.opcode = IBV_WR_RDMA_READ

static const struct wrong wrongs[] = {
	{ "write without permission", NOT(IBV_ACCESS_REMOTE_WRITE), WRITE,
	  .len = 5, REFUSED },
	{ "read without permission", NOT(IBV_ACCESS_REMOTE_READ), READ,
	  .len = 5, REFUSED },
	{ "atomic without permission", NOT(IBV_ACCESS_REMOTE_ATOMIC),
	  IBV_WR_ATOMIC_FETCH_AND_ADD, .pos = 5, .len = 8, REFUSED },
	{ "atomic write without permission", NOT(IBV_ACCESS_REMOTE_WRITE),
	  IBV_WR_ATOMIC_WRITE, .pos = 5, .len = 8, REFUSED },
	{ "flush without permission", NOT(IBV_ACCESS_FLUSH_GLOBAL),
	  IBV_WR_FLUSH, .len = 8, REFUSED },
	{ "receive into what is read-only", IBV_ACCESS_REMOTE_READ,
	  IBV_WR_SEND, .len = 8, .how = A_RECEIVES, .b = IBV_WC_REM_OP_ERR,
	  .a = IBV_WC_LOC_PROT_ERR },
	{ "read into what is read-only", IBV_ACCESS_REMOTE_READ, READ,
	  .len = 8, .how = A_READS, .b = IBV_WC_SUCCESS,
	  .a = IBV_WC_LOC_PROT_ERR },
	{ "write one byte before", ACCESS, WRITE, .pos = -1, .len = 2, REFUSED },
	{ "write one byte behind", ACCESS, WRITE, .pos = SLICE - 1, .len = 2,
	  REFUSED },
	{ "write one byte too many", ACCESS, WRITE, .len = SLICE + 1, REFUSED },
	{ "read one byte before", ACCESS, READ, .pos = -1, .len = 1, REFUSED },
	{ "read one byte behind", ACCESS, READ, .pos = SLICE, .len = 1,
	  REFUSED },
	{ "atomic across the end", ACCESS, IBV_WR_ATOMIC_FETCH_AND_ADD,
	  .pos = SLICE - 4, .len = 8, REFUSED },
	{ "atomic write across the end", ACCESS, IBV_WR_ATOMIC_WRITE,
	  .pos = SLICE - 4, .len = 8, REFUSED },
	{ "receive across the end", ACCESS, IBV_WR_SEND, .pos = SLICE - 4,
	  .len = 5, .how = A_RECEIVES, .b = IBV_WC_REM_OP_ERR,
	  .a = IBV_WC_LOC_QP_OP_ERR },
	{ "other key, same region", ACCESS, WRITE, .len = 2, .key = 1, REFUSED },
	{ "key of no region", ACCESS, WRITE, .len = 2, .key = 0x7f00, REFUSED },
	{ "other protection domain", ACCESS, WRITE, .len = 2, .pd = 1, REFUSED },
	{ "misaligned atomic write", ACCESS, IBV_WR_ATOMIC_WRITE, .pos = 6,
	  .len = 8, .b = IBV_WC_REM_INV_REQ_ERR, .a = IBV_WC_WR_FLUSH_ERR },
};

FIXTURE(access)
{
	struct two two;
};

FIXTURE_VARIANT(access)
{
	bool plain;
};

FIXTURE_VARIANT_ADD(access, plain) { true };
FIXTURE_VARIANT_ADD(access, dmabuf) { false };

FIXTURE_SETUP(access)
{
	two_open(&self->two, several, WINDOW, MEM);
	rdma_qps_destroy(&self->two.qa, &self->two.qb);
	self->two.region.offset = AT;
	self->two.region.iova = AT;
	self->two.region.len = SLICE;
}

FIXTURE_TEARDOWN(access)
{
	two_close(&self->two);
}

static struct rdma_wr wrong_wr(struct two *two, const struct wrong *wrong)
{
	__u64 pos = at(two, wrong->pos);
	struct rdma_wr wr = rdma_wr_remote(wrong->opcode, two->b.key, 0,
					   wrong->len, two->mr.key ^ wrong->key,
					   pos);

	wr.flush_type = IBV_FLUSH_GLOBAL;
	wr.compare_add = 1;
	if (wrong->how != A_READS)
		return wr;
	return rdma_wr_remote(wrong->opcode, two->mr.key, pos, wrong->len,
			      two->b.key, 0);
}

/* Do it, and see both completions; -EINVAL if they are other ones. */
static int complete_as(struct two *two, const struct wrong *wrong)
{
	struct rdma_wr wr = wrong_wr(two, wrong);
	enum ibv_wc_status a, b = IBV_WC_SUCCESS;

	if (wrong->how == A_RECEIVES)
		rdma_qp_receive(&two->qa, two->mr.key, wr.remote, wrong->len);
	else
		rdma_qp_receive(&two->qa, two->a.key, 0, 1);
	if (wrong->how == A_READS) {
		a = rdma_do(&two->qa, wr);
	} else {
		b = rdma_do(&two->qb, wr);
		a = rdma_wait_recv(&two->qa).status;
	}
	if (a == wrong->a && b == wrong->b)
		return 0;
	printf("# %s: A \"%s\", B \"%s\"\n", wrong->name, ibv_wc_status_str(a),
	       ibv_wc_status_str(b));
	return -EINVAL;
}

static int refused(struct two *two, const struct wrong *wrong)
{
	const struct rdma_region *region = &two->region;
	int err, ret;

	two->region.access = wrong->access;
	err = rdma_reg(&two->a, region, &two->mr);
	if (err)
		return err;
	rdma_qps_connect(&two->a, &two->qa, wrong->pd, &two->b, &two->qb, IBV_QPT_RC);
	ret = complete_as(two, wrong);
	if (!ret && rdma_state(&two->qa) != IBV_QPS_ERR)
		ret = -EBUSY;
	rdma_qps_destroy(&two->qa, &two->qb);
	err = rdma_dereg(&two->mr);
	return ret ? ret : err;
}

TEST_F_TIMEOUT(access, refused, LIMIT)
{
	struct two *two = &self->two;
	int dmabuf = two->region.dmabuf;
	unsigned int i;

	memset(two->a.mem, 0x5a, MEM);
	if (variant->plain)
		two->region.dmabuf = -1;
	for (i = 0; i < ARRAY_SIZE(wrongs); i++) {
		EXPECT_EQ(0, refused(two, &wrongs[i]))
			TH_LOG("%s", wrongs[i].name);
		EXPECT_EQ(0, scene_judge(&two->scene));
	}
	for (i = 0; i < MEM && two->a.mem[i] == 0x5a; i++)
		;
	EXPECT_EQ(MEM, i);
	two->region.dmabuf = dmabuf;
}

/* Much at once, at an odd address. */
static const struct vfio_region_dma_range all_of_it[] = {
	{ .offset = 0x2000000, .length = 0x1fff000 },
	{ .offset = 0x0000000, .length = 0x2000000 },
	{ .offset = 0x3fff000, .length = 0x1000 },
};

FIXTURE(large)
{
	struct two two;
	size_t size;
};

FIXTURE_SETUP(large)
{
	const char *mib = getenv("TWO_HOSTS_MIB");

	self->size = (mib ? strtoul(mib, NULL, 0) : 16) * MIB;
	two_open(&self->two, (struct layout){ all_of_it, 3 }, 0, self->size);
	ASSERT_EQ(0, rdma_reg(&self->two.a, &self->two.region, &self->two.mr));
}

FIXTURE_TEARDOWN(large)
{
	two_close(&self->two);
}

TEST_F_TIMEOUT(large, at_once, 2 * LIMIT)
{
	struct two *two = &self->two;
	bool all = self->size == BAR_SIZE;

	EXPECT_EQ(0, both_at(two, all ? 0 : BAR_SIZE / 2 - self->size / 3 + 1,
			     all ? BAR_SIZE : self->size - 0x801));
	EXPECT_EQ(0, both_at(two, 31 * MIB + 7, MIB + 3));
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

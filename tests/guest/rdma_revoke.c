// SPDX-License-Identifier: GPL-2.0-only
/*
 * A BAR that RDMA peers use is taken away: no byte of it changes any more.
 *
 * Host A registers a BAR, host B uses it. It goes by memory decode, by a reset, by
 * the device's close, or with a process; at rest and under a running transfer.
 * What both hosts see is what they see when ordinary memory is deregistered.
 *
 * REVOKE_ROUNDS= sets how often it is done under a transfer, 5 else.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 300
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "iommufd.h"
#include "leaks.h"
#include "rdma.h"
#include "report.h"
#include "scene.h"

#include "kselftest_harness.h"

#define LIMIT		120	/* seconds per test */
#define LONG_LIMIT	1800
#define WINDOW		0x40000
#define MEM		0x100000
#define PAGE		0x1000
#define FLOOD		0x4000	/* bytes that a flood writes to */
#define FLOOD_MS	300	/* how long it goes on */
#define REVOKE_MS	2000	/* how long taking away may take */
#define IOVA		0x100000000ULL
#define MR_IOVA		0x7e0000000000ULL
#define NOTHING_MS	100
#define ERROR_MS	20
#define MANY		300

#define ACCESS	(RDMA_ALL | IBV_ACCESS_MW_BIND | IBV_ACCESS_FLUSH_GLOBAL)

/* Adjacent to nothing, and neither in order. */
static const struct vfio_region_dma_range two_ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x08000, .length = 0x6000 },
};

static const struct layout layout = { two_ranges, 2 };

/*
 * Ways to take it away, and to have a look at it again
 */

static int memory_off(struct scene *scene)
{
	return vfio_set_memory(&scene->exporter, false);
}

static int memory_on(struct scene *scene)
{
	return vfio_set_memory(&scene->exporter, true);
}

static int reset(struct scene *scene)
{
	return vfio_reset(&scene->exporter);
}

static int nothing(struct scene *scene)
{
	return 0;
}

static int close_it(struct scene *scene)
{
	scene_close_exporter(scene);
	return 0;
}

struct way {
	int (*go)(struct scene *scene);
	int (*come)(struct scene *scene);
	bool final;
};

static const struct way by_memory = { memory_off, memory_on };
static const struct way by_reset = { reset, nothing };
static const struct way by_close = { close_it, scene_reopen_exporter, true };

static int away_and_back(struct scene *scene, const struct way *way)
{
	int err = way->go(scene);

	return err ? err : way->come(scene);
}

/*
 * Two hosts and a region
 */

struct two {
	struct scene scene;
	struct rdma_host a, b;
	int dmabuf;
	struct rdma_mr mr;
};

static void two_open(struct two *two)
{
	rdma_host_start(&two->a, RDMA_A, MEM);
	rdma_host_start(&two->b, RDMA_B, MEM);
	pattern(two->b.mem, MEM, 12345);
	scene_open(&two->scene, PCI_ID_IVSHMEM, WINDOW);
	two->dmabuf = scene_export(&two->scene, layout);
}

static void two_close(struct two *two)
{
	rdma_host_stop(&two->b);
	rdma_host_stop(&two->a);
	close(two->dmabuf);
	scene_close(&two->scene);
}

/* Begins in the middle of a page and ends in the other range. */
static int reg(struct two *two, int access)
{
	const struct rdma_region region = {
		.dmabuf = two->dmabuf,
		.offset = 0x800,
		.len = layout_size(layout) - 0x900,
		.iova = MR_IOVA + 0x800,
		.access = ACCESS | access,
	};

	return rdma_reg(&two->a, &region, &two->mr);
}

/* The same, in ordinary memory. */
static int reg_plain(struct two *two, struct rdma_mr *mr)
{
	const struct rdma_region region = {
		.dmabuf = -1,
		.offset = 0x800,
		.len = layout_size(layout) - 0x900,
		.iova = MR_IOVA + 0x800,
		.access = ACCESS,
	};

	return rdma_reg(&two->a, &region, mr);
}

/* From B, 64 bytes to or from the region's byte 0x1000 of the dma-buf. */
static struct rdma_wr request(struct two *two, enum ibv_wr_opcode opcode,
			      __u32 key)
{
	return rdma_wr_remote(opcode, two->b.key, 0, 64, key, MR_IOVA + PAGE);
}

static enum ibv_wc_status write_by(struct two *two, struct rdma_qp *qb, __u32 key)
{
	return rdma_do(qb, request(two, IBV_WR_RDMA_WRITE, key));
}

/* Over a connection of its own. */
static enum ibv_wc_status write_anew(struct two *two, __u32 key)
{
	struct rdma_qp qa, qb;
	enum ibv_wc_status status;

	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, IBV_QPT_RC);
	status = write_by(two, &qb, key);
	rdma_qps_destroy(&qa, &qb);
	return status;
}

/* What write_by() has written is there, and nowhere else. */
static int written(struct two *two)
{
	bar_note(&two->scene.bar, layout, PAGE, two->b.mem, 64);
	return scene_judge(&two->scene);
}

static int writes_arrive(struct two *two)
{
	scene_pattern(&two->scene, two->b.mem, 64);
	if (write_anew(two, two->mr.key))
		return -EIO;
	return written(two);
}

static int write_refused(struct two *two)
{
	enum ibv_wc_status status = write_anew(two, two->mr.key);

	if (status == IBV_WC_REM_ACCESS_ERR)
		return scene_judge(&two->scene);
	printf("# a write ends with: %s\n", ibv_wc_status_str(status));
	return -EINVAL;
}

/*
 * Taken away at rest: what each operation sees, compared with a region of plain
 * memory that was deregistered.
 */

enum how { BY_B, A_RECEIVES, BY_A };

struct op {
	const char *name;
	enum how how;
	enum ibv_wr_opcode opcode;
	__u32 flush_level;
	bool empty;
	enum ibv_qp_type type;		/* RC if 0 */
	enum ibv_wc_status status;	/* of whom it was sent by */
};

static const struct op ops[] = {
	{ "write", BY_B, IBV_WR_RDMA_WRITE, .status = IBV_WC_REM_ACCESS_ERR },
	{ "write with immediate", BY_B, IBV_WR_RDMA_WRITE_WITH_IMM,
	  .status = IBV_WC_REM_ACCESS_ERR },
	{ "empty write", BY_B, IBV_WR_RDMA_WRITE, .empty = true },
	{ "read", BY_B, IBV_WR_RDMA_READ, .status = IBV_WC_REM_ACCESS_ERR },
	{ "compare and swap", BY_B, IBV_WR_ATOMIC_CMP_AND_SWP,
	  .status = IBV_WC_REM_ACCESS_ERR },
	{ "fetch and add", BY_B, IBV_WR_ATOMIC_FETCH_AND_ADD,
	  .status = IBV_WC_REM_ACCESS_ERR },
	{ "atomic write", BY_B, IBV_WR_ATOMIC_WRITE,
	  .status = IBV_WC_REM_ACCESS_ERR },
	{ "flush", BY_B, IBV_WR_FLUSH, IBV_FLUSH_RANGE,
	  .status = IBV_WC_REM_ACCESS_ERR },
	{ "flush of all", BY_B, IBV_WR_FLUSH, IBV_FLUSH_MR,
	  .status = IBV_WC_REM_ACCESS_ERR },
	{ "send into it", A_RECEIVES, IBV_WR_SEND, .status = IBV_WC_REM_OP_ERR },
	{ "send from it", BY_A, IBV_WR_SEND, .status = IBV_WC_LOC_PROT_ERR },
	{ "write from it", BY_A, IBV_WR_RDMA_WRITE,
	  .status = IBV_WC_LOC_PROT_ERR },
	{ "read into it", BY_A, IBV_WR_RDMA_READ,
	  .status = IBV_WC_LOC_PROT_ERR },
	{ "fetch and add into it", BY_A, IBV_WR_ATOMIC_FETCH_AND_ADD,
	  .status = IBV_WC_LOC_PROT_ERR },
	{ "UC write", BY_B, IBV_WR_RDMA_WRITE, .type = IBV_QPT_UC },
	{ "UC send into it", A_RECEIVES, IBV_WR_SEND, .type = IBV_QPT_UC },
	{ "UC send from it", BY_A, IBV_WR_SEND, .type = IBV_QPT_UC,
	  .status = IBV_WC_LOC_PROT_ERR },
	{ "datagram into it", A_RECEIVES, IBV_WR_SEND, .type = IBV_QPT_UD },
	{ "datagram from it", BY_A, IBV_WR_SEND, .type = IBV_QPT_UD,
	  .status = IBV_WC_LOC_PROT_ERR },
};

/* How an operation ended on both sides. */
struct outcome {
	int sent;
	int received;		/* by the other side; -ETIMEDOUT: nothing */
	enum ibv_qp_state sender;
	enum ibv_qp_state receiver;
};

static struct rdma_wr op_wr(struct two *two, const struct op *op, __u32 key)
{
	struct rdma_wr wr = request(two, op->opcode, key);

	wr.flush_type = IBV_FLUSH_GLOBAL;
	wr.flush_level = op->flush_level;
	if (op->how == BY_A)
		wr = rdma_wr_remote(op->opcode, key, MR_IOVA + PAGE, 64,
				    two->b.key, 0);
	if (op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP ||
	    op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ||
	    op->opcode == IBV_WR_ATOMIC_WRITE)
		wr.sge[0].length = 8;
	if (op->empty)
		wr.sge[0].length = 0;
	return wr;
}

static struct outcome run(struct two *two, const struct op *op, __u32 key)
{
	struct rdma_qp qa, qb, *from = &qb, *to = &qa;
	struct outcome outcome;

	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, op->type ?: IBV_QPT_RC);
	if (op->how == BY_A) {
		from = &qa;
		to = &qb;
	}
	if (op->how == A_RECEIVES)
		rdma_qp_receive(&qa, key, MR_IOVA + PAGE, 64 + RDMA_GRH);
	else
		rdma_qp_receive(to, to->host->key, 0, 64 + RDMA_GRH);
	outcome.sent = rdma_do(from, op_wr(two, op, key));
	outcome.received = rdma_try_recv(to, NOTHING_MS);
	/* A QP gets into its error state after the completion that tells why. */
	if (outcome.sent || outcome.received > 0)
		usleep(ERROR_MS * 1000);
	outcome.sender = rdma_state(from);
	outcome.receiver = rdma_state(to);
	rdma_qps_destroy(&qa, &qb);
	return outcome;
}

static const char *status_name(int status)
{
	return status < 0 ? "nothing" : ibv_wc_status_str(status);
}

static void print_outcome(const char *why, const struct outcome *outcome)
{
	printf("#   %s: %s and %s, QP states %d and %d\n", why,
	       status_name(outcome->sent), status_name(outcome->received),
	       outcome->sender, outcome->receiver);
}

/* 0 if they are the same; prints both if not. */
static int differ(const struct op *op, const struct outcome *want,
		  const struct outcome *got)
{
	if (!memcmp(want, got, sizeof(*want)))
		return 0;
	printf("# %s\n", op->name);
	print_outcome("deregistered", want);
	print_outcome("taken away", got);
	return -EINVAL;
}

/*
 * The unmodified kernel leaves QPs in these states when the region was
 * deregistered: that of who is told of a failure, and that of whose memory it is.
 * Only a UC write is dropped without a trace.
 */
static bool right_states(const struct op *op, const struct outcome *got)
{
	bool told = op->status != IBV_WC_SUCCESS;
	bool receiver = op->how == A_RECEIVES || (op->how == BY_B && told);

	return got->sender == (told ? IBV_QPS_ERR : IBV_QPS_RTS) &&
	       got->receiver == (receiver ? IBV_QPS_ERR : IBV_QPS_RTS);
}

FIXTURE(rest)
{
	struct two two;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(rest)
{
	const struct way *way;
};

FIXTURE_VARIANT_ADD(rest, memory) { &by_memory };
FIXTURE_VARIANT_ADD(rest, reset) { &by_reset };
FIXTURE_VARIANT_ADD(rest, close) { &by_close };

FIXTURE_SETUP(rest)
{
	self->dmabufs = count_dmabufs();
	two_open(&self->two);
}

FIXTURE_TEARDOWN(rest)
{
	two_close(&self->two);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

TEST_F_TIMEOUT(rest, same_as_deregistered, LIMIT)
{
	struct two *two = &self->two;
	struct outcome want, got;
	struct rdma_mr plain;
	unsigned int i;

	ASSERT_EQ(0, reg_plain(two, &plain));
	ASSERT_EQ(0, reg(two, 0));
	ASSERT_EQ(0, writes_arrive(two));
	ASSERT_EQ(0, rdma_dereg(&plain));
	ASSERT_EQ(0, away_and_back(&two->scene, variant->way));
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		want = run(two, &ops[i], plain.key);
		got = run(two, &ops[i], two->mr.key);
		EXPECT_EQ(0, differ(&ops[i], &want, &got));
		EXPECT_EQ((int)ops[i].status, got.sent)
			TH_LOG("%s: %s", ops[i].name, status_name(got.sent));
		EXPECT_TRUE(right_states(&ops[i], &got))
			TH_LOG("%s: %d, %d", ops[i].name, got.sender,
			       got.receiver);
	}
	EXPECT_EQ(0, scene_judge(&two->scene));
	EXPECT_EQ(0, rdma_dereg(&two->mr));
}

/* While it is away, not only afterwards; then nothing can be registered. */
TEST_F_TIMEOUT(rest, meanwhile, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_mr mr;

	ASSERT_EQ(0, reg(two, 0));
	mr = two->mr;
	ASSERT_EQ(0, variant->way->go(&two->scene));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, write_anew(two, mr.key));
	if (variant->way != &by_reset) {
		EXPECT_EQ(-ENODEV, reg(two, 0));
		EXPECT_EQ(-ENODEV, reg(two, IBV_ACCESS_ON_DEMAND));
	}
	EXPECT_EQ(0, rdma_dereg(&mr));
	ASSERT_EQ(0, variant->way->come(&two->scene));
	EXPECT_EQ(0, scene_judge(&two->scene));
	EXPECT_EQ(variant->way->final ? -ENODEV : 0, reg(two, 0));
}

/* The connection and the other regions: plain memory, another device's BAR. */
TEST_F_TIMEOUT(rest, others_go_on, LIMIT)
{
	struct rdma_region region = { .len = PAGE, .access = RDMA_ALL };
	struct vfio_region_dma_range page = { .length = PAGE };
	struct two *two = &self->two;
	struct rdma_mr plain, other;
	struct rdma_qp qa, qb;
	struct vfio_dev nvme;
	struct bar bar;

	ASSERT_EQ(0, vfio_open_id(&nvme, PCI_ID_NVME, 0, two->scene.iommufd));
	ASSERT_EQ(0, bar_open(&bar, &nvme, SCENE_BAR, PAGE));
	region.dmabuf = vfio_export(&nvme, SCENE_BAR, &page, 1);
	ASSERT_LE(0, region.dmabuf);
	ASSERT_EQ(0, rdma_reg(&two->a, &region, &other));
	ASSERT_EQ(0, reg_plain(two, &plain));
	ASSERT_EQ(0, reg(two, 0));
	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, IBV_QPT_RC);
	ASSERT_EQ(IBV_WC_SUCCESS, write_by(two, &qb, two->mr.key));
	ASSERT_EQ(0, written(two));

	ASSERT_EQ(0, away_and_back(&two->scene, variant->way));
	EXPECT_EQ(IBV_WC_SUCCESS, write_by(two, &qb, plain.key));
	EXPECT_EQ(0, memcmp(two->a.mem + PAGE, two->b.mem, 64));
	EXPECT_EQ(IBV_WC_SUCCESS,
		  rdma_do(&qb, rdma_wr_remote(IBV_WR_RDMA_WRITE, two->b.key, 0,
					      777, other.key, 5)));
	EXPECT_EQ(0, memcmp(bar.map + 5, two->b.mem, 777));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, write_by(two, &qb, two->mr.key));
	EXPECT_EQ(0, scene_judge(&two->scene));

	rdma_qps_destroy(&qa, &qb);
	EXPECT_EQ(0, rdma_dereg(&other));
	close(region.dmabuf);
	bar_close(&bar);
	vfio_close(&nvme);
}

/* Its key is nobody else's until it is deregistered. */
TEST_F_TIMEOUT(rest, key_stays_taken, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_mr mr;
	unsigned int i;

	ASSERT_EQ(0, reg(two, 0));
	ASSERT_EQ(0, away_and_back(&two->scene, variant->way));
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(0, reg_plain(two, &mr));
		ASSERT_NE(two->mr.key >> 8, mr.key >> 8);
	}
	EXPECT_EQ(0, write_refused(two));
	EXPECT_EQ(0, rdma_dereg(&two->mr));
}

/* A window shows as little as what it is bound to, and keeps it registered. */
TEST_F_TIMEOUT(rest, window, LIMIT)
{
	struct two *two = &self->two;
	struct rdma_bind bind = { &two->mr, MR_IOVA + PAGE, PAGE,
				  IBV_ACCESS_REMOTE_WRITE };
	struct rdma_mw bound, late;
	struct rdma_qp qa, qb;

	ASSERT_EQ(0, reg(two, 0));
	ASSERT_EQ(0, rdma_mw_alloc(&two->a, IBV_MW_TYPE_1, &bound));
	ASSERT_EQ(0, rdma_mw_alloc(&two->a, IBV_MW_TYPE_1, &late));
	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, IBV_QPT_RC);
	ASSERT_EQ(IBV_WC_SUCCESS, rdma_mw_bind(&qa, &bound, bind));
	ASSERT_EQ(IBV_WC_SUCCESS, write_by(two, &qb, bound.key));
	ASSERT_EQ(0, written(two));

	ASSERT_EQ(0, away_and_back(&two->scene, variant->way));
	EXPECT_EQ(-EINVAL, rdma_dereg(&two->mr));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, write_by(two, &qb, bound.key));
	EXPECT_EQ(IBV_QPS_ERR, rdma_state(&qb));
	rdma_qps_destroy(&qa, &qb);
	rdma_qps_connect(&two->a, &qa, 0, &two->b, &qb, IBV_QPT_RC);
	EXPECT_EQ(IBV_WC_MW_BIND_ERR, rdma_mw_bind(&qa, &late, bind));
	EXPECT_EQ(0, scene_judge(&two->scene));
	EXPECT_EQ(0, rdma_mw_free(&bound));
	EXPECT_EQ(0, rdma_dereg(&two->mr));
}

/* What is not pinned comes back by itself, with the same key. */
TEST_F_TIMEOUT(rest, on_demand, LIMIT)
{
	struct two *two = &self->two;
	unsigned int i;

	ASSERT_EQ(0, reg(two, IBV_ACCESS_ON_DEMAND));
	ASSERT_EQ(0, writes_arrive(two));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, variant->way->go(&two->scene));
		if (variant->way != &by_reset)
			EXPECT_EQ(IBV_WC_REM_ACCESS_ERR,
				  write_anew(two, two->mr.key));
		ASSERT_EQ(0, variant->way->come(&two->scene));
		EXPECT_EQ(0, variant->way->final ? write_refused(two) :
			     writes_arrive(two));
	}
	EXPECT_EQ(0, rdma_dereg(&two->mr));
}

/* The mapping at IOVA works again, or is dead for ever. */
static int iommufd_is_right(struct scene *scene, const struct way *way)
{
	return way->final ? scene_write_stopped(scene, IOVA) :
	       scene_all_arrives(scene, IOVA, layout);
}

/* iommufd imports the same dma-buf: both stop, iommufd comes back. */
TEST_F_TIMEOUT(rest, beside_iommufd, LIMIT)
{
	struct two *two = &self->two;
	struct scene *scene = &two->scene;

	ASSERT_EQ(0, reg(two, 0));
	ASSERT_EQ(0, scene_map_at(scene, two->dmabuf, layout, IOVA));
	ASSERT_EQ(0, scene_write_arrives(scene, IOVA + PAGE, layout, PAGE,
					 PAGE));
	ASSERT_EQ(0, writes_arrive(two));
	if (variant->way != &by_reset)
		ASSERT_EQ(0, scene_write_due(scene, IOVA));
	ASSERT_EQ(0, variant->way->go(scene));
	EXPECT_EQ(0, edu_wait(&scene->edu));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, write_anew(two, two->mr.key));
	ASSERT_EQ(0, variant->way->come(scene));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, iommufd_is_right(scene, variant->way));
	EXPECT_EQ(0, write_refused(two));
}

/*
 * Taken away under a running transfer
 */

static unsigned int rounds(void)
{
	const char *rounds = getenv("REVOKE_ROUNDS");

	return rounds ? strtoul(rounds, NULL, 0) : 5;
}

/* An RC and a UC connection; B writes by both. */
struct transfer {
	struct rdma_qp rc_a, rc_b, uc_a, uc_b;
};

static void transfer_start(struct two *two, struct transfer *transfer)
{
	rdma_qps_connect(&two->a, &transfer->rc_a, 0, &two->b, &transfer->rc_b,
			 IBV_QPT_RC);
	rdma_qps_connect(&two->a, &transfer->uc_a, 0, &two->b, &transfer->uc_b,
			 IBV_QPT_UC);
	rdma_flood_start(&transfer->rc_b, &transfer->uc_b, two->mr.key,
			 MR_IOVA + PAGE, FLOOD);
}

/* The status of RC is right, and UC has gone on, for which it gets its time. */
static int transfer_result(struct transfer *transfer, enum ibv_wc_status want)
{
	const __u64 limit = now_ms() + 10000;
	struct rdma_flood flood;

	while (rdma_flood_look(&transfer->rc_b).uc_after < 2 &&
	       now_ms() < limit)
		usleep(1000);
	flood = rdma_flood_stop(&transfer->rc_b);
	if (flood.status == want && flood.state == IBV_QPS_ERR && flood.rc &&
	    flood.uc_after > 1)
		return 0;
	printf("# %llu writes by RC, then \"%s\", state %u; %llu by UC, %llu of them then\n",
	       flood.rc, ibv_wc_status_str(flood.status), flood.state, flood.uc,
	       flood.uc_after);
	return -EINVAL;
}

/* Afterwards nothing is under way. */
static int transfer_end(struct transfer *transfer, enum ibv_wc_status want)
{
	int err = transfer_result(transfer, want);

	rdma_qps_destroy(&transfer->rc_a, &transfer->rc_b);
	rdma_qps_destroy(&transfer->uc_a, &transfer->uc_b);
	return err;
}

/* Both connections carry data. */
static int runs(struct transfer *transfer)
{
	const __u64 limit = now_ms() + 20000;
	struct rdma_flood flood;

	while (now_ms() < limit) {
		flood = rdma_flood_look(&transfer->rc_b);
		if (flood.rc && flood.uc)
			return 0;
		usleep(1000);
	}
	printf("# the transfer does not begin\n");
	return -ETIME;
}

/* That, and the BAR is seen to change. */
static int changes(const struct bar *bar, struct transfer *transfer)
{
	const __u64 limit = now_ms() + 20000;
	const __u8 *there = bar->map + layout.ranges[0].offset + PAGE;
	__u8 first[PAGE], second[PAGE];

	memcpy(first, there, PAGE);
	while (now_ms() < limit) {
		memcpy(second, there, PAGE);
		if (memcmp(first, second, PAGE))
			return runs(transfer);
		usleep(1000);
	}
	printf("# the transfer changes nothing\n");
	return -ETIME;
}

/*
 * From now on no byte of the window changes, while B goes on sending. What it
 * was before is right, but for where B writes to.
 */
static int unchanged(struct scene *scene)
{
	struct bar *bar = &scene->bar;
	int err;

	bar_take(bar, layout, PAGE, FLOOD);
	err = scene_judge(scene);
	if (err)
		return err;
	usleep(FLOOD_MS * 1000);
	return scene_judge(scene);
}

/* Returns within the bound. */
static int in_time(int (*go)(struct scene *scene), struct scene *scene)
{
	__u64 begin = now_ms();
	int err = go(scene);

	if (err || now_ms() - begin < REVOKE_MS)
		return err;
	printf("# taking it away took %llu ms\n", now_ms() - begin);
	return -ETIME;
}

static int one_round(struct two *two, const struct way *way)
{
	struct transfer transfer;
	int err, err2;

	err = reg(two, 0);
	if (err)
		return err;
	transfer_start(two, &transfer);
	err = changes(&two->scene.bar, &transfer);
	if (!err)
		err = in_time(way->go, &two->scene);
	if (!err)
		err = way->come(&two->scene);
	if (!err)
		err = unchanged(&two->scene);
	err2 = transfer_end(&transfer, IBV_WC_REM_ACCESS_ERR);
	if (!err)
		err = err2;
	err2 = rdma_dereg(&two->mr);
	return err ? err : err2;
}

FIXTURE(transfer)
{
	struct two two;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(transfer)
{
	const struct way *way;
};

FIXTURE_VARIANT_ADD(transfer, memory) { &by_memory };
FIXTURE_VARIANT_ADD(transfer, reset) { &by_reset };
FIXTURE_VARIANT_ADD(transfer, close) { &by_close };

FIXTURE_SETUP(transfer)
{
	self->dmabufs = count_dmabufs();
	two_open(&self->two);
}

FIXTURE_TEARDOWN(transfer)
{
	two_close(&self->two);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

TEST_F_TIMEOUT(transfer, stops, LONG_LIMIT)
{
	struct two *two = &self->two;
	unsigned int i;

	for (i = 0; i < rounds(); i++) {
		ASSERT_EQ(0, one_round(two, variant->way))
			TH_LOG("round %u", i);
		if (variant->way->final) {
			close(two->dmabuf);
			two->dmabuf = scene_export(&two->scene, layout);
		}
	}
}

/* And DMA through iommufd, on the same dma-buf, does as ever. */
TEST_F_TIMEOUT(transfer, beside_iommufd, LIMIT)
{
	struct two *two = &self->two;
	struct scene *scene = &two->scene;

	ASSERT_EQ(0, scene_map_at(scene, two->dmabuf, layout, IOVA));
	ASSERT_EQ(0, one_round(two, variant->way));
	EXPECT_EQ(0, iommufd_is_right(scene, variant->way));
}

/*
 * Once is enough
 */

FIXTURE(once)
{
	struct two two;
	struct transfer transfer;
};

FIXTURE_SETUP(once)
{
	two_open(&self->two);
}

FIXTURE_TEARDOWN(once)
{
	two_close(&self->two);
}

/* On demand, a transfer ends as well, and the next one finds the memory. */
TEST_F_TIMEOUT(once, on_demand_transfer, LIMIT)
{
	struct two *two = &self->two;

	ASSERT_EQ(0, reg(two, IBV_ACCESS_ON_DEMAND));
	transfer_start(two, &self->transfer);
	ASSERT_EQ(0, changes(&two->scene.bar, &self->transfer));
	ASSERT_EQ(0, in_time(memory_off, &two->scene));
	usleep(FLOOD_MS * 1000);
	EXPECT_EQ(0, transfer_end(&self->transfer, IBV_WC_REM_ACCESS_ERR));
	ASSERT_EQ(0, memory_on(&two->scene));
	bar_take(&two->scene.bar, layout, PAGE, FLOOD);
	EXPECT_EQ(0, writes_arrive(two));
}

/* A process dies with the region: B cannot tell that from a host that is gone. */
TEST_F_TIMEOUT(once, importer_dies, LIMIT)
{
	struct two *two = &self->two;

	ASSERT_EQ(0, reg(two, 0));
	transfer_start(two, &self->transfer);
	ASSERT_EQ(0, changes(&two->scene.bar, &self->transfer));
	rdma_host_kill(&two->a);
	EXPECT_EQ(0, unchanged(&two->scene));
	sleep(RDMA_LOST);
	EXPECT_EQ(0, transfer_end(&self->transfer, IBV_WC_RETRY_EXC_ERR));
}

/* A process that has the device and gives a dma-buf of it to us. */
static void be_owner(int channel)
{
	struct vfio_dev dev;
	int iommufd, err, fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	iommufd = iommufd_open();
	if (iommufd < 0)
		die("open /dev/iommu: %s", strerror(-iommufd));
	err = vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd);
	if (err)
		die("open the exporter: %s", strerror(-err));
	fd = vfio_export(&dev, SCENE_BAR, layout.ranges, layout.nr);
	if (fd < 0 || !channel_send(channel, &err, sizeof(err), fd))
		die("export: %s", strerror(-fd));
	pause();
}

static pid_t owner_start(int *dmabuf)
{
	int ends[2], err;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		die("socketpair: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		close(ends[0]);
		be_owner(ends[1]);
	}
	close(ends[1]);
	if (!channel_receive(ends[0], &err, sizeof(err), dmabuf))
		die("there is no exporter");
	close(ends[0]);
	return pid;
}

FIXTURE(owner)
{
	struct two two;
	struct transfer transfer;
	pid_t pid;
};

FIXTURE_SETUP(owner)
{
	struct two *two = &self->two;

	rdma_host_start(&two->a, RDMA_A, MEM);
	rdma_host_start(&two->b, RDMA_B, MEM);
	pattern(two->b.mem, MEM, 12345);
	self->pid = owner_start(&two->dmabuf);
}

FIXTURE_TEARDOWN(owner)
{
	two_close(&self->two);
}

/* Only then can we have a look at the BAR, and fill it. */
TEST_F_TIMEOUT(owner, dies, LIMIT)
{
	struct two *two = &self->two;

	ASSERT_EQ(0, reg(two, 0));
	transfer_start(two, &self->transfer);
	ASSERT_EQ(0, runs(&self->transfer));
	kill(self->pid, SIGKILL);
	ASSERT_EQ(self->pid, waitpid(self->pid, NULL, 0));

	scene_open(&two->scene, PCI_ID_IVSHMEM, WINDOW);
	usleep(FLOOD_MS * 1000);
	EXPECT_EQ(0, scene_judge(&two->scene));
	EXPECT_EQ(0, transfer_end(&self->transfer, IBV_WC_REM_ACCESS_ERR));
	EXPECT_EQ(0, rdma_dereg(&two->mr));
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

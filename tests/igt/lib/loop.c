// SPDX-License-Identifier: MIT
/*
 * An RDMA device that talks to itself. See loop.h.
 *
 * libs: igt ibverbs
 */
#include <unistd.h>

#include "igt.h"
#include "loop.h"

#define DEPTH		16
#define GIDS		16
#define TRIES		2000		/* of 5 ms */

enum { HERE, THERE, NR_ENDS };

__u8 loop_memory[LOOP_SIZE] __attribute__((aligned(4096)));

static struct {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_mr *mr;		/* of loop_memory */
	struct ibv_cq *cq;
	struct ibv_qp *qp[NR_ENDS];
	union ibv_gid gid;
	__u8 gid_index;
} loop;

/* Only rxe tells in sysfs which network device it is on. */
static bool is_rxe(struct ibv_device *device)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/parent",
		 ibv_get_device_name(device));
	return !access(path, F_OK);
}

static struct ibv_context *open_device(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	struct ibv_device **device;

	for (device = list; list && *device && !context; device++) {
		if (is_rxe(*device))
			context = ibv_open_device(*device);
	}
	if (list)
		ibv_free_device_list(list);
	return context;
}

/* The GID of an IPv4 address, which is one that routes. */
static bool find_gid(void)
{
	static const __u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	int i;

	for (i = 0; i < GIDS; i++) {
		if (!ibv_query_gid(loop.context, 1, i, &loop.gid) &&
		    !memcmp(loop.gid.raw, mapped, sizeof(mapped))) {
			loop.gid_index = i;
			return true;
		}
	}
	return false;
}

static struct ibv_qp *new_qp(void)
{
	struct ibv_qp_init_attr attr = {
		.qp_type = IBV_QPT_RC,
		.send_cq = loop.cq,
		.recv_cq = loop.cq,
		.cap = {
			.max_send_wr = DEPTH,
			.max_recv_wr = DEPTH,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
	};

	return ibv_create_qp(loop.pd, &attr);
}

void loop_open(void)
{
	loop.context = open_device();
	igt_require_f(loop.context,
		      "no software RDMA device (rdma link add rxe0 type rxe netdev ...), or libibverbs lacks rxe\n");
	igt_require_f(find_gid(), "the software RDMA device has no IPv4 address\n");
	loop.pd = ibv_alloc_pd(loop.context);
	loop.cq = ibv_create_cq(loop.context, 2 * DEPTH, NULL, NULL, 0);
	igt_assert(loop.pd && loop.cq);
	loop.mr = ibv_reg_mr(loop.pd, loop_memory, LOOP_SIZE, LOOP_ALL);
	loop.qp[HERE] = new_qp();
	loop.qp[THERE] = new_qp();
	igt_assert(loop.mr && loop.qp[HERE] && loop.qp[THERE]);
}

void loop_close(void)
{
	if (!loop.context)
		return;
	ibv_destroy_qp(loop.qp[HERE]);
	ibv_destroy_qp(loop.qp[THERE]);
	ibv_dereg_mr(loop.mr);
	ibv_destroy_cq(loop.cq);
	ibv_dealloc_pd(loop.pd);
	ibv_close_device(loop.context);
	loop.context = NULL;
}

struct ibv_mr *loop_reg(int dmabuf, __u64 offset, size_t len, __u64 iova,
			int access)
{
	return ibv_reg_dmabuf_mr(loop.pd, offset, len, iova, dmabuf, access);
}

void loop_dereg(struct ibv_mr *mr)
{
	igt_assert_eq(ibv_dereg_mr(mr), 0);
}

static void to_ready(struct ibv_qp *qp, __u32 peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = LOOP_ALL,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = peer,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.timeout = 17,
		.retry_cnt = 6,
		.rnr_retry = 7,
		.max_rd_atomic = 1,
		.ah_attr = {
			.port_num = 1,
			.is_global = 1,
			.grh = {
				.dgid = loop.gid,
				.sgid_index = loop.gid_index,
				.hop_limit = 64,
			},
		},
	};

	igt_assert_eq(ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
				    IBV_QP_PORT | IBV_QP_ACCESS_FLAGS), 0);
	attr.qp_state = IBV_QPS_RTR;
	igt_assert_eq(ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_AV |
				    IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				    IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
				    IBV_QP_MIN_RNR_TIMER), 0);
	attr.qp_state = IBV_QPS_RTS;
	igt_assert_eq(ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN |
				    IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
				    IBV_QP_RNR_RETRY |
				    IBV_QP_MAX_QP_RD_ATOMIC), 0);
}

static void connect_anew(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	int end;

	for (end = HERE; end < NR_ENDS; end++)
		igt_assert_eq(ibv_modify_qp(loop.qp[end], &attr, IBV_QP_STATE), 0);
	to_ready(loop.qp[HERE], loop.qp[THERE]->qp_num);
	to_ready(loop.qp[THERE], loop.qp[HERE]->qp_num);
}

static enum ibv_wc_status run(struct ibv_send_wr *wr, size_t len)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)loop_memory,
		.length = len,
		.lkey = loop.mr->lkey,
	};
	struct ibv_send_wr *bad;
	unsigned int tries = 0;
	struct ibv_wc wc;

	connect_anew();
	wr->sg_list = &sge;
	wr->num_sge = 1;
	wr->send_flags = IBV_SEND_SIGNALED;
	igt_assert_eq(ibv_post_send(loop.qp[HERE], wr, &bad), 0);
	while (!ibv_poll_cq(loop.cq, 1, &wc)) {
		igt_assert_f(tries++ < TRIES, "no completion\n");
		usleep(5000);
	}
	return wc.status;
}

enum ibv_wc_status loop_write(__u64 remote, __u32 rkey, size_t len)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.wr.rdma = { .remote_addr = remote, .rkey = rkey },
	};

	return run(&wr, len);
}

enum ibv_wc_status loop_read(__u64 remote, __u32 rkey, size_t len)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_READ,
		.wr.rdma = { .remote_addr = remote, .rkey = rkey },
	};

	return run(&wr, len);
}

enum ibv_wc_status loop_fetch_add(__u64 remote, __u32 rkey, __u64 add)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD,
		.wr.atomic = {
			.remote_addr = remote,
			.rkey = rkey,
			.compare_add = add,
		},
	};

	return run(&wr, sizeof(__u64));
}

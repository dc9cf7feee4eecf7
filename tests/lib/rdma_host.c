// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that is a host. See rdma.h.
 *
 * libs: ibverbs
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "measure.h"
#include "rdma_host.h"
#include "report.h"

#define NR_MRS		512
#define NR_MWS		8
#define NR_QPS		16
#define DEPTH		64	/* of each queue */
#define GIDS		16	/* how far to look for ours */
#define GID_LIMIT	20000	/* ms to wait for it */
#define POLL_PAUSE	100	/* us */
#define FLOOD_RC	4	/* writes under way */

#define EX_OPS \
	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | \
	 IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM | \
	 IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP | \
	 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | IBV_QP_EX_WITH_LOCAL_INV | \
	 IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_SEND_WITH_INV | \
	 IBV_QP_EX_WITH_FLUSH | IBV_QP_EX_WITH_ATOMIC_WRITE)

struct end {
	struct ibv_qp *qp;
	struct ibv_cq *send_cq;
	struct ibv_cq *recv_cq;
	struct ibv_ah *ah;	/* of the peer, UD only */
	__u32 peer;
};

/* One QP of a flood. */
struct stream {
	struct end *end;
	unsigned int depth;
	unsigned int under_way;
	__u64 posted;
	__u64 done;
};

/* All of this belongs to the process and its only thread. */
static struct {
	struct rdma_host *self;
	struct ibv_context *context;
	__u8 gid_index;
	struct ibv_pd *pds[RDMA_NR_PDS];
	struct ibv_mr *mrs[NR_MRS];
	struct ibv_mw *mws[NR_MWS];
	struct end ends[NR_QPS];
	struct {
		struct stream rc;
		struct stream uc;
		struct rdma_wr wr;
		struct rdma_flood result;
	} flood;
} host;

static int find_free(void *const *table, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr && table[i])
		i++;
	if (i == nr)
		die("a host has room for %u of these", nr);
	return i;
}

/*
 * Regions and windows
 */

static void do_reg(const struct rdma_request *in, int fd, struct rdma_answer *out)
{
	const struct rdma_region *region = &in->region;
	struct ibv_pd *pd = host.pds[region->pd];
	int nr = find_free((void **)host.mrs, NR_MRS);

	if (fd >= 0)
		host.mrs[nr] = ibv_reg_dmabuf_mr(pd, region->offset,
						 region->len, region->iova, fd,
						 region->access);
	else
		host.mrs[nr] = ibv_reg_mr_iova(pd,
					       host.self->mem + region->offset,
					       region->len, region->iova,
					       region->access);
	if (!host.mrs[nr]) {
		out->err = -errno;
		return;
	}
	out->nr = nr;
	out->key = host.mrs[nr]->rkey;
}

static void do_dereg(const struct rdma_request *in, int fd,
		     struct rdma_answer *out)
{
	out->err = -ibv_dereg_mr(host.mrs[in->nr]);
	if (!out->err)
		host.mrs[in->nr] = NULL;
}

static void do_mw_alloc(const struct rdma_request *in, int fd,
			struct rdma_answer *out)
{
	int nr = find_free((void **)host.mws, NR_MWS);

	host.mws[nr] = ibv_alloc_mw(host.pds[0], in->other);
	if (!host.mws[nr]) {
		out->err = -errno;
		return;
	}
	out->nr = nr;
	out->key = host.mws[nr]->rkey;
}

static void do_mw_free(const struct rdma_request *in, int fd,
		       struct rdma_answer *out)
{
	out->err = -ibv_dealloc_mw(host.mws[in->nr]);
	if (!out->err)
		host.mws[in->nr] = NULL;
}

/* Of type 2 the new key is ours to choose. */
static int bind_type_2(struct ibv_qp *qp, struct ibv_mw *mw,
		       const struct ibv_mw_bind_info *info)
{
	__u32 key = ibv_inc_rkey(mw->rkey);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_mw = { .mw = mw, .rkey = key, .bind_info = *info },
	};
	struct ibv_send_wr *bad;
	int err = ibv_post_send(qp, &wr, &bad);

	if (!err)
		mw->rkey = key;
	return err;
}

static void do_mw_bind(const struct rdma_request *in, int fd,
		       struct rdma_answer *out)
{
	struct ibv_qp *qp = host.ends[in->nr].qp;
	struct ibv_mw *mw = host.mws[in->other];
	struct ibv_mw_bind bind = {
		.send_flags = IBV_SEND_SIGNALED,
		.bind_info = {
			.mr = host.mrs[in->bind.mr],
			.addr = in->bind.addr,
			.length = in->bind.len,
			.mw_access_flags = in->bind.access,
		},
	};

	out->err = mw->type == IBV_MW_TYPE_1 ? -ibv_bind_mw(qp, mw, &bind) :
		   -bind_type_2(qp, mw, &bind.bind_info);
	out->key = mw->rkey;
}

/*
 * Queue pairs
 */

static struct ibv_qp *create_qp(struct end *end, struct ibv_pd *pd,
				enum ibv_qp_type type)
{
	struct ibv_qp_init_attr_ex attr = {
		.qp_type = type,
		.send_cq = end->send_cq,
		.recv_cq = end->recv_cq,
		.pd = pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.cap = {
			.max_send_wr = DEPTH,
			.max_recv_wr = DEPTH,
			.max_send_sge = RDMA_MAX_SGE,
			.max_recv_sge = RDMA_MAX_SGE,
			.max_inline_data = RDMA_INLINE,
		},
	};

	if (type == IBV_QPT_RC) {
		attr.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		attr.send_ops_flags = EX_OPS;
	}
	return ibv_create_qp_ex(host.context, &attr);
}

static void do_qp_create(const struct rdma_request *in, int fd,
			 struct rdma_answer *out)
{
	struct end *end = host.ends;

	while (end < host.ends + NR_QPS && end->qp)
		end++;
	if (end == host.ends + NR_QPS)
		die("a host has room for %u QPs", NR_QPS);
	end->send_cq = ibv_create_cq(host.context, DEPTH, NULL, NULL, 0);
	end->recv_cq = ibv_create_cq(host.context, DEPTH, NULL, NULL, 0);
	if (end->send_cq && end->recv_cq)
		end->qp = create_qp(end, host.pds[in->nr], in->other);
	if (!end->qp) {
		out->err = -errno;
		return;
	}
	out->nr = end - host.ends;
	out->key = end->qp->qp_num;
}

static int to_init(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = RDMA_REMOTE | RDMA_FLUSH,
		.qkey = qp->qp_num,
	};
	int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT;

	mask |= qp->qp_type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;
	return -ibv_modify_qp(qp, &attr, mask);
}

static struct ibv_ah_attr path_to(const union ibv_gid *gid)
{
	return (struct ibv_ah_attr){
		.port_num = 1,
		.is_global = 1,
		.grh = {
			.dgid = *gid,
			.sgid_index = host.gid_index,
			.hop_limit = 64,
		},
	};
}

static int to_receive(struct ibv_qp *qp, const union ibv_gid *gid, __u32 peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_4096,
		.dest_qp_num = peer,
		.max_dest_rd_atomic = 16,
		.min_rnr_timer = 12,
		.ah_attr = path_to(gid),
	};
	int mask = IBV_QP_STATE;

	if (qp->qp_type != IBV_QPT_UD)
		mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			IBV_QP_RQ_PSN;
	if (qp->qp_type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	return -ibv_modify_qp(qp, &attr, mask);
}

/* A lost peer is given up after 7 times half a second. */
static int to_send(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.timeout = 17,
		.retry_cnt = 6,
		.rnr_retry = 7,
		.max_rd_atomic = 16,
	};
	int mask = IBV_QP_STATE | IBV_QP_SQ_PSN;

	if (qp->qp_type == IBV_QPT_RC)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_MAX_QP_RD_ATOMIC;
	return -ibv_modify_qp(qp, &attr, mask);
}

static void do_qp_connect(const struct rdma_request *in, int fd,
			  struct rdma_answer *out)
{
	struct ibv_ah_attr path = path_to(&in->peer.gid);
	struct end *end = &host.ends[in->nr];

	end->peer = in->peer.qp;
	if (end->qp->qp_type == IBV_QPT_UD) {
		end->ah = ibv_create_ah(host.pds[0], &path);
		if (!end->ah) {
			out->err = -errno;
			return;
		}
	}
	out->err = to_init(end->qp);
	if (!out->err)
		out->err = to_receive(end->qp, &in->peer.gid, end->peer);
	if (!out->err)
		out->err = to_send(end->qp);
}

static enum ibv_qp_state state_of(struct ibv_qp *qp)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	int err = ibv_query_qp(qp, &attr, IBV_QP_STATE, &init);

	if (err)
		die("ibv_query_qp: %s", strerror(err));
	return attr.qp_state;
}

static void do_qp_state(const struct rdma_request *in, int fd,
			struct rdma_answer *out)
{
	out->key = state_of(host.ends[in->nr].qp);
}

static int destroy_end(struct end *end)
{
	int err = 0;

	if (end->ah)
		err = ibv_destroy_ah(end->ah);
	if (!err)
		err = ibv_destroy_qp(end->qp);
	if (!err)
		err = ibv_destroy_cq(end->send_cq);
	if (!err)
		err = ibv_destroy_cq(end->recv_cq);
	*end = (struct end){};
	return -err;
}

static void do_qp_destroy(const struct rdma_request *in, int fd,
			  struct rdma_answer *out)
{
	out->err = destroy_end(&host.ends[in->nr]);
}

/*
 * Work requests
 */

/* These two exist in the newer interface only. */
static int post_new(struct ibv_qp *qp, const struct rdma_wr *wr)
{
	struct ibv_qp_ex *ex = ibv_qp_to_qp_ex(qp);

	ibv_wr_start(ex);
	ex->wr_flags = IBV_SEND_SIGNALED | wr->flags;
	if (wr->opcode == IBV_WR_FLUSH)
		ibv_wr_flush(ex, wr->rkey, wr->remote, wr->sge[0].length,
			     wr->flush_type, wr->flush_level);
	else
		ibv_wr_atomic_write(ex, wr->rkey, wr->remote, &wr->compare_add);
	return -ibv_wr_complete(ex);
}

static void set_remote(const struct end *end, const struct rdma_wr *wr,
		       struct ibv_send_wr *out)
{
	if (wr->opcode == IBV_WR_ATOMIC_CMP_AND_SWP ||
	    wr->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		out->wr.atomic.remote_addr = wr->remote;
		out->wr.atomic.rkey = wr->rkey;
		out->wr.atomic.compare_add = wr->compare_add;
		out->wr.atomic.swap = wr->swap;
	} else if (end->ah) {
		out->wr.ud.ah = end->ah;
		out->wr.ud.remote_qpn = end->peer;
		out->wr.ud.remote_qkey = end->peer;
	} else {
		out->wr.rdma.remote_addr = wr->remote;
		out->wr.rdma.rkey = wr->rkey;
	}
}

static int post(struct end *end, const struct rdma_wr *wr)
{
	struct ibv_sge sge[RDMA_MAX_SGE];
	struct ibv_send_wr out = {
		.opcode = wr->opcode,
		.send_flags = IBV_SEND_SIGNALED | wr->flags,
		.sg_list = sge,
		.num_sge = wr->nr_sge,
		.imm_data = wr->imm,
	};
	struct ibv_send_wr *bad;
	unsigned int i;
	int err;

	if (wr->opcode == IBV_WR_FLUSH || wr->opcode == IBV_WR_ATOMIC_WRITE)
		return post_new(end->qp, wr);
	memcpy(sge, wr->sge, sizeof(sge));
	for (i = 0; i < wr->nr_sge && wr->flags & IBV_SEND_INLINE; i++)
		sge[i].addr += (uintptr_t)host.self->mem;
	set_remote(end, wr, &out);
	err = ibv_post_send(end->qp, &out, &bad);
	return err < 0 ? err : -err;
}

static void do_post(const struct rdma_request *in, int fd,
		    struct rdma_answer *out)
{
	out->err = post(&host.ends[in->nr], &in->wr);
}

static void do_post_recv(const struct rdma_request *in, int fd,
			 struct rdma_answer *out)
{
	struct ibv_sge sge[RDMA_MAX_SGE];
	struct ibv_recv_wr wr = {
		.sg_list = sge,
		.num_sge = in->wr.nr_sge,
	};
	struct ibv_recv_wr *bad;

	memcpy(sge, in->wr.sge, sizeof(sge));
	out->err = -ibv_post_recv(host.ends[in->nr].qp, &wr, &bad);
}

/* Returns the number of completions. */
static int poll_one(struct ibv_cq *cq, struct ibv_wc *wc)
{
	int nr = ibv_poll_cq(cq, 1, wc);

	if (nr < 0)
		die("ibv_poll_cq failed");
	return nr;
}

static void do_poll(const struct rdma_request *in, int fd,
		    struct rdma_answer *out)
{
	struct end *end = &host.ends[in->nr];
	struct ibv_cq *cq = in->recv ? end->recv_cq : end->send_cq;
	__u64 limit = now_ms() + in->times;

	while (!poll_one(cq, &out->wc)) {
		if (now_ms() > limit) {
			out->err = -ETIMEDOUT;
			return;
		}
		usleep(POLL_PAUSE);
	}
}

/* The processor goes to whoever has work, so a clock of instructions is right. */
static enum ibv_wc_status do_once(struct end *end, const struct rdma_wr *wr)
{
	struct ibv_wc wc;
	int err = post(end, wr);

	if (err)
		die("ibv_post_send: %s", strerror(-err));
	while (!poll_one(end->send_cq, &wc))
		sched_yield();
	return wc.status;
}

static void do_measure(const struct rdma_request *in, int fd,
		       struct rdma_answer *out)
{
	struct end *end = &host.ends[in->nr];
	__u64 begin = measure_instructions();
	enum ibv_wc_status status;
	__u32 i;

	for (i = 0; i < in->times; i++) {
		status = do_once(end, &in->wr);
		if (status != IBV_WC_SUCCESS)
			die("%s", ibv_wc_status_str(status));
	}
	out->time = measure_instructions() - begin;
}

/*
 * The flood
 */

static void do_flood_start(const struct rdma_request *in, int fd,
			   struct rdma_answer *out)
{
	host.flood.rc = (struct stream){ &host.ends[in->nr], FLOOD_RC };
	host.flood.uc = (struct stream){ &host.ends[in->other], 1 };
	host.flood.wr = in->wr;
	host.flood.result = (struct rdma_flood){};
}

static void stream_post(struct stream *stream)
{
	__u32 len = host.flood.wr.sge[0].length;
	struct rdma_wr wr = host.flood.wr;

	while (stream->under_way < stream->depth) {
		wr.sge[0].addr = stream->posted * len % host.self->size;
		if (post(stream->end, &wr))
			die("the flood cannot be posted");
		stream->posted++;
		stream->under_way++;
	}
}

static void stream_poll(struct stream *stream)
{
	struct rdma_flood *result = &host.flood.result;
	struct ibv_wc wc;

	while (poll_one(stream->end->send_cq, &wc)) {
		stream->under_way--;
		if (wc.status == IBV_WC_SUCCESS)
			stream->done++;
		else if (!result->status)
			result->status = wc.status;
	}
}

static void flood(void)
{
	struct rdma_flood *result = &host.flood.result;

	stream_poll(&host.flood.rc);
	stream_poll(&host.flood.uc);
	if (!result->status)
		stream_post(&host.flood.rc);
	if (result->status && !host.flood.uc.under_way)
		result->uc_after++;
	stream_post(&host.flood.uc);
	usleep(POLL_PAUSE);
}

static void do_flood_look(const struct rdma_request *in, int fd,
			  struct rdma_answer *out)
{
	struct rdma_flood *result = &host.flood.result;

	result->state = state_of(host.flood.rc.end->qp);
	result->rc = host.flood.rc.done;
	result->uc = host.flood.uc.done;
	out->flood = *result;
}

static void do_flood_stop(const struct rdma_request *in, int fd,
			  struct rdma_answer *out)
{
	while (host.flood.rc.under_way || host.flood.uc.under_way) {
		stream_poll(&host.flood.rc);
		stream_poll(&host.flood.uc);
		usleep(POLL_PAUSE);
	}
	do_flood_look(in, fd, out);
	host.flood.rc.end = NULL;
}

/*
 * The process
 */

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	int i;

	for (i = 0; list && list[i] && !context; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			context = ibv_open_device(list[i]);
	if (!context)
		die("libibverbs does not open %s", name);
	ibv_free_device_list(list);
	return context;
}

/* The kernel enters it some time after the address was set. */
static __u8 find_gid(const union ibv_gid *want)
{
	__u64 limit = now_ms() + GID_LIMIT;
	union ibv_gid gid;
	int i;

	while (now_ms() < limit) {
		for (i = 0; i < GIDS; i++)
			if (!ibv_query_gid(host.context, 1, i, &gid) &&
			    !memcmp(&gid, want, sizeof(gid)))
				return i;
		usleep(10000);
	}
	die("%s has no GID of its IPv4 address", ibv_get_device_name(host.context->device));
}

static void begin(struct rdma_host *self, struct rdma_answer *out)
{
	int i;

	host.self = self;
	host.context = open_device(rdma_net_device(self->side));
	host.gid_index = find_gid(&self->gid);
	for (i = 0; i < RDMA_NR_PDS; i++) {
		host.pds[i] = ibv_alloc_pd(host.context);
		if (!host.pds[i])
			die("ibv_alloc_pd: %s", strerror(errno));
	}
	host.mrs[0] = ibv_reg_mr_iova(host.pds[0], self->mem, self->size, 0,
				      RDMA_ALL);
	if (!host.mrs[0])
		die("ibv_reg_mr: %s", strerror(errno));
	out->key = host.mrs[0]->rkey;
}

/* Windows first: destroying a QP waits for those of type 2 that are bound by it. */
static void end(void)
{
	int err = 0;
	int i;

	for (i = 0; i < NR_MWS; i++)
		if (host.mws[i])
			err |= ibv_dealloc_mw(host.mws[i]);
	for (i = 0; i < NR_QPS; i++)
		if (host.ends[i].qp)
			err |= destroy_end(&host.ends[i]);
	for (i = 0; i < NR_MRS; i++)
		if (host.mrs[i])
			err |= ibv_dereg_mr(host.mrs[i]);
	for (i = 0; i < RDMA_NR_PDS; i++)
		err |= ibv_dealloc_pd(host.pds[i]);
	err |= ibv_close_device(host.context);
	if (err)
		die("a host could not close everything");
}

static void do_stop(const struct rdma_request *in, int fd,
		    struct rdma_answer *out)
{
	end();
}

static void (*const handlers[RDMA_NR_WHAT])(const struct rdma_request *in,
					    int fd, struct rdma_answer *out) = {
	[RDMA_REG] = do_reg,
	[RDMA_DEREG] = do_dereg,
	[RDMA_MW_ALLOC] = do_mw_alloc,
	[RDMA_MW_FREE] = do_mw_free,
	[RDMA_MW_BIND] = do_mw_bind,
	[RDMA_QP_CREATE] = do_qp_create,
	[RDMA_QP_CONNECT] = do_qp_connect,
	[RDMA_QP_STATE] = do_qp_state,
	[RDMA_QP_DESTROY] = do_qp_destroy,
	[RDMA_POST] = do_post,
	[RDMA_POST_RECV] = do_post_recv,
	[RDMA_POLL] = do_poll,
	[RDMA_FLOOD_START] = do_flood_start,
	[RDMA_FLOOD_LOOK] = do_flood_look,
	[RDMA_FLOOD_STOP] = do_flood_stop,
	[RDMA_MEASURE] = do_measure,
	[RDMA_STOP] = do_stop,
};

/* Wait for the next request; a flood goes on meanwhile. */
static void wait_for_request(int channel)
{
	struct pollfd fd = { .fd = channel, .events = POLLIN };

	while (!poll(&fd, 1, host.flood.rc.end ? 0 : -1))
		flood();
}

void rdma_serve(struct rdma_host *self)
{
	struct rdma_request in = { .what = RDMA_NR_WHAT };
	struct rdma_answer out = {};
	int fd;

	begin(self, &out);
	while (channel_send(self->channel, &out, sizeof(out), -1) &&
	       in.what != RDMA_STOP) {
		wait_for_request(self->channel);
		if (!channel_receive(self->channel, &in, sizeof(in), &fd))
			return;
		out = (struct rdma_answer){};
		handlers[in.what](&in, fd, &out);
		if (fd >= 0)
			close(fd);
	}
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a program and its hosts tell each other; see rdma.h. A request is one
 * message of a channel, and is answered by one.
 */
#ifndef TESTS_LIB_RDMA_HOST_H
#define TESTS_LIB_RDMA_HOST_H

#include "rdma.h"

enum rdma_what {
	RDMA_REG,
	RDMA_DEREG,
	RDMA_MW_ALLOC,
	RDMA_MW_FREE,
	RDMA_MW_BIND,
	RDMA_QP_CREATE,
	RDMA_QP_CONNECT,
	RDMA_QP_STATE,
	RDMA_QP_DESTROY,
	RDMA_POST,
	RDMA_POST_RECV,
	RDMA_POLL,
	RDMA_FLOOD_START,
	RDMA_FLOOD_LOOK,
	RDMA_FLOOD_STOP,
	RDMA_MEASURE,
	RDMA_STOP,
	RDMA_NR_WHAT,
};

struct rdma_request {
	enum rdma_what what;
	__u32 nr;		/* of the object it is about */
	__u32 other;		/* number of another one, or a type */
	__u32 times;		/* how often, or how many ms */
	bool recv;
	union {
		struct rdma_region region;
		struct rdma_wr wr;
		struct {
			union ibv_gid gid;
			__u32 qp;
		} peer;
		struct {
			__u32 mr;
			__u64 addr;
			__u64 len;
			int access;
		} bind;
	};
};

struct rdma_answer {
	int err;
	__u32 nr;
	__u32 key;		/* or QP number, or state */
	__u64 time;
	union {
		struct ibv_wc wc;
		struct rdma_flood flood;
		union ibv_gid gid;
	};
};

/* Be the host until told to stop, or the program ends. */
void rdma_serve(struct rdma_host *self);

#endif

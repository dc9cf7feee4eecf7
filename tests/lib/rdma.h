/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two hosts that speak RDMA: software devices (rxe) in two network namespaces
 * joined by veth.
 *
 * Each host is a process in its own namespace. It holds the objects of libibverbs
 * and does what the program tells it, one request at a time, so a test reads
 * from top to bottom, and a host can be killed. The program keeps what is to be
 * shared between them, such as a BAR and its dma-buf.
 *
 * A host has plain memory, registered as one region: an address in it counts from
 * 0, and the program sees it as @mem.
 *
 * Functions return 0 or -errno. What can only fail if the scenery is broken ends
 * the program with a sentence, as does a completion that does not come in time.
 */
#ifndef TESTS_LIB_RDMA_H
#define TESTS_LIB_RDMA_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <infiniband/verbs.h>
#include <linux/types.h>

#include "rdma_net.h"

#define RDMA_MAX_SGE	4
#define RDMA_INLINE	64	/* bytes that a work request can carry itself */
#define RDMA_GRH	40	/* bytes before the data in what UD receives */
#define RDMA_NR_PDS	2
#define RDMA_LOST	6	/* seconds: by then a lost peer is given up */

#define RDMA_REMOTE	(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
			 IBV_ACCESS_REMOTE_ATOMIC)
#define RDMA_FLUSH	(IBV_ACCESS_FLUSH_GLOBAL | IBV_ACCESS_FLUSH_PERSISTENT)
#define RDMA_ALL	(IBV_ACCESS_LOCAL_WRITE | RDMA_REMOTE)

struct rdma_host {
	enum rdma_side side;
	__u8 *mem;
	size_t size;
	__u32 key;		/* of @mem, lkey and rkey */
	union ibv_gid gid;
	pid_t pid;
	int channel;
};

/* What to register: part of a dma-buf or, if that is negative, of @mem. */
struct rdma_region {
	int dmabuf;
	__u32 pd;
	__u64 offset;
	__u64 len;
	__u64 iova;
	int access;
};

/* Objects of a host. For rxe lkey and rkey are the same. */
struct rdma_mr {
	struct rdma_host *host;
	__u32 nr;
	__u32 key;
};

struct rdma_mw {
	struct rdma_host *host;
	__u32 nr;
	__u32 key;		/* changed by each bind */
};

struct rdma_qp {
	struct rdma_host *host;
	__u32 nr;
	__u32 number;
	__u32 peer;		/* the number of the other end */
	enum ibv_qp_type type;
};

/* A work request. Fill in what the opcode wants. */
struct rdma_wr {
	enum ibv_wr_opcode opcode;
	unsigned int flags;	/* enum ibv_send_flags */
	unsigned int nr_sge;
	struct ibv_sge sge[RDMA_MAX_SGE];
	__u64 remote;
	__u32 rkey;
	__u32 imm;		/* or the key to invalidate */
	__u64 compare_add;	/* or what an atomic write writes */
	__u64 swap;
	__u32 flush_type;
	__u32 flush_level;
};

/* What a window shows: @len bytes from address @addr of a region. */
struct rdma_bind {
	const struct rdma_mr *mr;
	__u64 addr;
	__u64 len;
	int access;
};

/* How a flood went, see below. */
struct rdma_flood {
	__u32 status;		/* the first bad one of RC, or success */
	__u32 state;		/* of the RC QP at the end */
	__u64 rc;		/* writes done */
	__u64 uc;
	__u64 uc_after;		/* of these, begun after the bad status */
};

/*
 * Start a host on the cable; @size bytes of plain memory. More than one per side is fine. It
 * inherits what is open and mapped: start it before the devices are opened, or
 * they are not closed when the program closes them.
 */
void rdma_host_start(struct rdma_host *host, enum rdma_side side, size_t size);

/* The same as another user, with no more rights than anybody has. */
void rdma_host_start_as(struct rdma_host *host, enum rdma_side side, size_t size,
			uid_t user);

/*
 * Close everything, in order; or die without a word. Either waits for it, and is
 * nothing for a host that was killed. QPs of one need not be destroyed.
 */
void rdma_host_stop(struct rdma_host *host);
void rdma_host_kill(struct rdma_host *host);

int rdma_reg(struct rdma_host *host, const struct rdma_region *region,
	     struct rdma_mr *mr);
int rdma_dereg(struct rdma_mr *mr);

int rdma_mw_alloc(struct rdma_host *host, enum ibv_mw_type type,
		  struct rdma_mw *mw);
int rdma_mw_free(struct rdma_mw *mw);

/* Returns the status of the completion, and waits for it. */
enum ibv_wc_status rdma_mw_bind(struct rdma_qp *qp, struct rdma_mw *mw,
				struct rdma_bind bind);

/*
 * Two QPs that talk to each other, ready to send, @a in protection domain @pd.
 * Destroying tears both down.
 */
void rdma_qps_connect(struct rdma_host *host_a, struct rdma_qp *a, __u32 pd,
		      struct rdma_host *host_b, struct rdma_qp *b,
		      enum ibv_qp_type type);
void rdma_qps_destroy(struct rdma_qp *a, struct rdma_qp *b);
void rdma_qp_destroy(struct rdma_qp *qp);
enum ibv_qp_state rdma_state(struct rdma_qp *qp);

/* @wr and its parts: a piece of local memory, and remote memory */
struct rdma_wr rdma_wr(enum ibv_wr_opcode opcode, __u32 key, __u64 addr,
		       __u32 len);
struct rdma_wr rdma_wr_remote(enum ibv_wr_opcode opcode, __u32 key, __u64 addr,
			      __u32 len, __u32 rkey, __u64 remote);

/* -errno of libibverbs, or 0: it was posted. */
int rdma_post(struct rdma_qp *qp, const struct rdma_wr *wr);
int rdma_qp_receive(struct rdma_qp *qp, __u32 key, __u64 addr, __u32 len);

/* The next completion of what was sent, or received. */
struct ibv_wc rdma_wait(struct rdma_qp *qp);
struct ibv_wc rdma_wait_recv(struct rdma_qp *qp);

/* The status of what was received, or -ETIMEDOUT: nothing came in @ms. */
int rdma_try_recv(struct rdma_qp *qp, unsigned int ms);

/* Post, and wait for the completion: its status. */
enum ibv_wc_status rdma_do(struct rdma_qp *qp, struct rdma_wr wr);

/*
 * Let a host write all of its plain memory, in pieces of @len bytes, to the same
 * @len bytes over and over: by an RC QP until that fails, and by a UC QP, which
 * never learns of an error, until the flood is stopped.
 */
void rdma_flood_start(struct rdma_qp *rc, struct rdma_qp *uc, __u32 rkey,
		      __u64 remote, __u32 len);
struct rdma_flood rdma_flood_look(struct rdma_qp *rc);
struct rdma_flood rdma_flood_stop(struct rdma_qp *rc);

/*
 * Time of @times requests like @wr, one after another and without telling the
 * program, by the clock of measure.h.
 */
__u64 rdma_measure(struct rdma_qp *qp, struct rdma_wr wr, __u32 times);

#endif

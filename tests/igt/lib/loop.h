/* SPDX-License-Identifier: MIT */
/*
 * A software RDMA device (rxe) that talks to itself: two connected queue pairs and
 * a piece of ordinary memory that is registered. There has to be one, on a network
 * device with an IPv4 address:
 *
 *   rdma link add rxe0 type rxe netdev NAME
 *
 * Whatever is missing skips the subtest, whatever goes wrong fails it.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stddef.h>
#include <infiniband/verbs.h>
#include <linux/types.h>

#define LOOP_SIZE	0x10000		/* of the ordinary memory */
#define LOOP_ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
			 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

extern __u8 loop_memory[LOOP_SIZE];

/* To be called in fixtures. */
void loop_open(void);
void loop_close(void);

/* Register a slice of a dma-buf. On failure NULL, and errno. */
struct ibv_mr *loop_reg(int dmabuf, __u64 offset, size_t len, __u64 iova,
			int access);
void loop_dereg(struct ibv_mr *mr);

/*
 * RDMA between the start of the ordinary memory and an address of a region: the
 * status of the completion. The connection is a new one each time.
 */
enum ibv_wc_status loop_write(__u64 remote, __u32 rkey, size_t len);
enum ibv_wc_status loop_read(__u64 remote, __u32 rkey, size_t len);
enum ibv_wc_status loop_fetch_add(__u64 remote, __u32 rkey, __u64 add);

#endif

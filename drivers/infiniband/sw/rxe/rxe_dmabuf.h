/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory regions backed by a dma-buf, see rxe_dmabuf.c
 */
#ifndef RXE_DMABUF_H
#define RXE_DMABUF_H

/* Such a region has no umem. */
static inline bool is_dmabuf_mr(const struct rxe_mr *mr)
{
	return IS_ENABLED(CONFIG_INFINIBAND_USER_MEM) && mr->dmabuf;
}

#if IS_ENABLED(CONFIG_INFINIBAND_USER_MEM)
struct ib_mr *rxe_reg_user_mr_dmabuf(struct ib_pd *ibpd, u64 offset, u64 length,
				     u64 iova, int fd, int access,
				     struct ib_dmah *dmah,
				     struct uverbs_attr_bundle *attrs);
#else
#define rxe_reg_user_mr_dmabuf NULL
#endif

/* The rest is called if is_dmabuf_mr() only. */
void rxe_dmabuf_release(struct rxe_mr *mr);
int rxe_dmabuf_copy(struct rxe_mr *mr, u64 iova, void *addr,
		    unsigned int length, enum rxe_mr_copy_dir dir);
int rxe_dmabuf_flush(struct rxe_mr *mr, u64 iova, u64 length);
enum resp_states rxe_dmabuf_atomic_op(struct rxe_mr *mr, u64 iova, int opcode,
				      u64 compare, u64 swap_add,
				      u64 *orig_val);
enum resp_states rxe_dmabuf_atomic_write(struct rxe_mr *mr, u64 iova,
					 u64 value);

#endif

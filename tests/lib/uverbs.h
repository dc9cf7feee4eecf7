/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RDMA devices through the kernel's verbs, without libibverbs: what reaches the
 * kernel is exactly what the test says, and the errno is the kernel's own.
 *
 * A struct uverbs is a context, that is an open file of /dev/infiniband/uverbsN.
 * Functions return 0 (or what is said) or -errno.
 */
#ifndef TESTS_LIB_UVERBS_H
#define TESTS_LIB_UVERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>

#define IBDEV_NAME_LEN	64

#define ACCESS_LOCAL	IB_UVERBS_ACCESS_LOCAL_WRITE
#define ACCESS_ALL	(IB_UVERBS_ACCESS_LOCAL_WRITE |		\
			 IB_UVERBS_ACCESS_REMOTE_WRITE |	\
			 IB_UVERBS_ACCESS_REMOTE_READ |		\
			 IB_UVERBS_ACCESS_REMOTE_ATOMIC)

/* Of rereg, as enum ib_mr_rereg_flags */
#define REREG_TRANS	1
#define REREG_PD	2
#define REREG_ACCESS	4

struct uverbs {
	int fd;
	__u32 driver_id;
};

struct uverbs_mr {
	__u32 handle;
	__u32 lkey;
	__u32 rkey;
};

/* The two ways to register a dma-buf. */
enum uverbs_door {
	DOOR_REG_DMABUF_MR,
	DOOR_REG_MR,		/* with a file descriptor */
};

/* What to register. Only DOOR_REG_MR has a DMA handle. */
struct uverbs_dmabuf {
	__u32 pd;
	int fd;
	__u64 offset;
	__u64 length;
	__u64 iova;
	__u32 access;
	bool has_dmah;
	__u32 dmah;
};

/*
 * Open the device that sysfs calls @ibdev and get a context. @driver_id is one
 * of enum rdma_driver_id. -ENODEV: no such device.
 */
int uverbs_open(struct uverbs *verbs, const char *ibdev, __u32 driver_id);
void uverbs_close(struct uverbs *verbs);

int uverbs_alloc_pd(const struct uverbs *verbs, __u32 *pd);
int uverbs_dealloc_pd(const struct uverbs *verbs, __u32 pd);

int uverbs_reg_dmabuf(const struct uverbs *verbs, enum uverbs_door door,
		      const struct uverbs_dmabuf *arg, struct uverbs_mr *mr);

/* Ordinary memory, at the IOVA @iova. */
int uverbs_reg(const struct uverbs *verbs, __u32 pd, void *start, __u64 length,
	       __u64 iova, __u32 access, struct uverbs_mr *mr);

int uverbs_rereg(const struct uverbs *verbs, const struct uverbs_mr *mr,
		 __u32 flags, __u32 pd, void *start, __u64 length, __u64 iova,
		 __u32 access);
int uverbs_query_mr(const struct uverbs *verbs, const struct uverbs_mr *mr,
		    __u64 *length, __u64 *iova);
int uverbs_dereg(const struct uverbs *verbs, const struct uverbs_mr *mr);

/* @advice: enum ib_uverbs_advise_mr_advice; waits for the end if @flush */
int uverbs_advise(const struct uverbs *verbs, __u32 pd, __u32 advice,
		  bool flush, __u32 lkey, __u64 addr, __u32 length);

/*
 * Export memory of the device, which is at @offset of an mmap of the context.
 * Returns the dma-buf or -errno.
 */
int uverbs_alloc_dmabuf(const struct uverbs *verbs, __u64 offset);

/* The first RDMA device of the PCI device @pci, or -ENODEV. */
int ibdev_of_pci(const char *pci, char ibdev[IBDEV_NAME_LEN]);

/*
 * Make a network device of this kind ("dummy", "veth") and bring it up; remove
 * it, and with it the software RDMA device on it.
 */
int netdev_add(const char *name, const char *kind);
int netdev_del(const char *name);

/* Make a software RDMA device @ibdev of type "rxe" on a network device. */
int rdma_link_add(const char *ibdev, const char *type, const char *netdev);

#endif

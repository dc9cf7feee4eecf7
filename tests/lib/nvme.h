/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small NVMe driver: one disk held through VFIO, one I/O queue, no interrupts.
 *
 * Commands move whole blocks between the disk and any IOVA of the IOAS that the
 * device is attached to, up to NVME_SLOTS of them at once. The queues and PRP
 * lists are in ordinary memory, mapped at NVME_IOVA. A command belongs to a slot,
 * from nvme_start() until nvme_poll() has returned the slot.
 *
 * The emulated disk tells of no error if the IOMMU stops a transfer: it takes the
 * bytes for delivered, or reads something. The data tell, so compare them.
 *
 * Functions return 0 (or what is said) or -errno.
 */
#ifndef TESTS_LIB_NVME_H
#define TESTS_LIB_NVME_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "vfio.h"

#define NVME_IOVA	0x2000000ULL
#define NVME_BLOCK	512
#define NVME_SLOTS	16
#define NVME_MAX	0x80000		/* bytes that one command can move */

struct nvme_queue {
	void *sq;
	__u32 *cq;		/* 4 words per entry */
	__u16 nr;		/* 0: admin */
	__u16 size;		/* entries */
	__u16 tail;		/* of the submission queue */
	__u16 head;		/* of the completion queue */
	__u16 phase;
};

struct nvme {
	struct vfio_dev dev;
	int iommufd;		/* borrowed */
	void *regs;		/* BAR0 */
	size_t regs_size;
	__u8 *mem;		/* what is mapped at NVME_IOVA */
	__u64 blocks;		/* of the disk */
	struct nvme_queue admin, io;
};

/* Open the disk and attach it to @ioas. */
int nvme_open(struct nvme *nvme, int iommufd, __u32 ioas);
void nvme_close(struct nvme *nvme);

/*
 * Begin to write @len bytes from @iova to the disk from block @lba on, or to
 * read them from there to @iova. @iova and @len are multiples of NVME_BLOCK.
 * The slot must be free.
 */
int nvme_start(struct nvme *nvme, unsigned int slot, bool write, __u64 lba,
	       __u64 iova, size_t len);

/*
 * The slot of a command that is done, or -EAGAIN. *@status is 0 or what the
 * device has to complain about.
 */
int nvme_poll(struct nvme *nvme, __u16 *status);

/* All of it, and wait. -EIO after a line that tells the status. */
int nvme_move(struct nvme *nvme, bool write, __u64 lba, __u64 iova, size_t len);

#endif

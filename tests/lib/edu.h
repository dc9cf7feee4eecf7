/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's "edu" device as a DMA engine that user space drives.
 *
 * The device has a buffer of 4 KiB, which only its own DMA engine can see, and
 * one transfer at a time between that buffer and an IOVA. A transfer happens
 * all at once, 100 ms after it was started: time enough to start one, take the
 * memory away, and see what it does. Data goes through a page of ordinary
 * memory (the bounce page) that is mapped at EDU_BOUNCE_IOVA of every IOAS the
 * device is used with. So writing or reading one block of up to 4 KiB is two
 * transfers, 200 ms.
 *
 * The device has no error status: a transfer that the IOMMU stops looks like
 * any other. The data tell, so compare them.
 */
#ifndef TESTS_LIB_EDU_H
#define TESTS_LIB_EDU_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "vfio.h"

#define EDU_BLOCK	4096
#define EDU_BOUNCE_IOVA	0x1000000ULL

struct edu {
	struct vfio_dev dev;
	int iommufd;		/* borrowed */
	__u64 *regs;		/* BAR0 */
	size_t regs_size;
	__u8 *bounce;		/* EDU_BLOCK bytes */
	__u64 due_us;		/* when the last transfer started happens */
};

/* Open the nth edu and attach it to @ioas. 0 or -errno. */
int edu_open(struct edu *edu, unsigned int nth, int iommufd, __u32 ioas);
void edu_close(struct edu *edu);

/* Make the bounce page known to one more IOAS. 0 or -errno. */
int edu_map_bounce(struct edu *edu, __u32 ioas);

/*
 * Write to or read from an IOVA, any length, block by block, and wait for the
 * end. 0, or -ETIMEDOUT if the device did not finish in 10 s.
 */
int edu_write(struct edu *edu, __u64 iova, const void *data, size_t len);
int edu_read(struct edu *edu, __u64 iova, void *data, size_t len);

/*
 * The same in two halves, for one block: edu_write_start() returns with the
 * transfer due in 100 ms, edu_wait() waits for its end.
 */
int edu_write_start(struct edu *edu, __u64 iova, const void *data, size_t len);
bool edu_busy(const struct edu *edu);
int edu_wait(const struct edu *edu);

/*
 * Call @act so that the transfer just started comes due in the middle of it,
 * if it takes *@took_us, as it did the last time; *@took_us is updated.
 * Returns 1 if the transfer was due just before and done just after the call,
 * 0 if the aim was bad, else the error of @act.
 */
int edu_aim(struct edu *edu, int (*act)(void *arg), void *arg, __u64 *took_us);

#endif

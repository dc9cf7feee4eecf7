/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fire: a disk that never stops writing to an IOVA.
 *
 * A thread keeps FIRE_SLOTS commands in flight, each of which reads FIRE_LEN
 * bytes from the disk to a place of its own: slot n to byte n * FIRE_LEN from the
 * IOVA. What is read differs from one time to the next. One that is done is
 * begun anew at once, whatever became of it. Only where a thread reads what the
 * IOMMU has to tell of it, that of arm-smmu-v3, it waits for this thread: QEMU's disk
 * faults every four bytes.
 *
 * The emulated IOMMU does not wait for transfers which it has let through. So a
 * command that was in flight when the memory was taken away may still arrive;
 * one begun later may not. Real hardware waits for the former.
 *
 * Functions return 0 or -errno, after a "# ..." line that says what is wrong.
 */
#ifndef TESTS_LIB_FIRE_H
#define TESTS_LIB_FIRE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "nvme.h"

#define FIRE_SLOTS	8
#define FIRE_LEN	0x1000
#define FIRE_SIZE	(FIRE_SLOTS * FIRE_LEN)

struct fire {
	struct nvme *nvme;
	__u64 iova;
	pthread_t thread;
	bool burns;			/* the thread is there */

	/* Atomic: written by the thread, but for @stop. */
	bool stop;
	int err;			/* why it ended before */
	__u64 turns[FIRE_SLOTS];	/* commands done */
};

/* A moment, as the number of commands that each slot had done. */
struct fire_moment {
	__u64 turns[FIRE_SLOTS];
};

/* Put data on the disk, through ordinary memory of the IOAS; once is enough. */
int fire_lay(struct nvme *nvme, __u32 ioas);

int fire_start(struct fire *fire, struct nvme *nvme, __u64 iova);

/* Wait for what is in flight, and end. Returns what went wrong meanwhile. */
int fire_stop(struct fire *fire);

struct fire_moment fire_now(const struct fire *fire);

/*
 * Every slot has done @more commands that it began after @moment, and the one that
 * it had in flight then.
 */
bool fire_reached(const struct fire *fire, const struct fire_moment *moment,
		  __u64 more);

/* Wait for that. */
int fire_wait(const struct fire *fire, const struct fire_moment *moment,
	      __u64 more);

/* What the command brings which @slot had in flight at @moment. */
const __u8 *fire_data(const struct fire_moment *moment, unsigned int slot);

/* Commands done in total. */
__u64 fire_count(const struct fire *fire);

/*
 * Interrupts by which the IOMMU has told of faults since boot; it need not tell
 * of each. Of intel-iommu and arm-smmu-v3; dies without.
 */
__u64 iommu_fault_count(void);

/*
 * The same while there are no faults, and none is left to tell of: the next one
 * counts. arm-smmu-v3 has no interrupts as long as its thread reads earlier ones.
 */
__u64 iommu_faults_settled(void);

#endif

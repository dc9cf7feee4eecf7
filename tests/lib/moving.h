/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Judging memory that moves, exported by dma-buf-test-vram, while others do what
 * they like to the rest of the video memory. The device is not unbound, reset or
 * suspended meanwhile.
 *
 * Functions return 0 or -errno, after a line that says what is wrong. Nothing
 * but that is an error: where there is no room, they do less.
 */
#ifndef TESTS_LIB_MOVING_H
#define TESTS_LIB_MOVING_H

#include <linux/types.h>

/* What was seen, added to what there is. */
struct moving {
	unsigned long moves;
	unsigned long compared;	/* all bytes, in another place than before */
	unsigned long held;	/* refused to move because of a pin */
};

/*
 * A new object with the policy @flags goes to and fro @rounds times. A CPU view,
 * of an importer on the test importer's device @name, has all of its bytes.
 */
int moving_walk(int vram, const char *name, __u64 size, __u32 flags,
		unsigned int rounds, struct moving *seen);

/* Somebody has it pinned: it goes nowhere, and says so. */
int moving_stays(int vram, int dmabuf, struct moving *seen);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device memory and what it should hold.
 *
 * A struct bar is a window on a BAR (through VFIO's mmap) with a copy in
 * ordinary memory of what the window should hold. Whoever lets a device write
 * into the BAR notes it in the copy; bar_check() compares every byte of the
 * window. So one comparison tells both that the data arrived and that nothing
 * else changed.
 *
 * A struct layout says which ranges of the BAR a dma-buf consists of, in
 * buffer order.
 */
#ifndef TESTS_LIB_BAR_H
#define TESTS_LIB_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "vfio.h"

#define BAR_SAME	(-1)

struct bar {
	__u8 *map;		/* the device's memory, NULL while unmapped */
	__u8 *want;		/* what it should hold */
	size_t size;		/* of the window */
	size_t map_size;	/* of the BAR */
	__u32 index;
};

struct layout {
	const struct vfio_region_dma_range *ranges;
	__u32 nr;
};

/* Map the first @limit bytes of a BAR (0: all) and remember their content. */
int bar_open(struct bar *bar, struct vfio_dev *dev, __u32 index, size_t limit);
void bar_close(struct bar *bar);

/* Drop the mapping, which keeps the device open, but not the memory of it. */
void bar_unmap(struct bar *bar);
int bar_remap(struct bar *bar, struct vfio_dev *dev);

/* Write the pattern of @seed into all of the window. */
void bar_fill(struct bar *bar, __u32 seed);

/* Note that @data were written at byte @offset of the dma-buf. */
void bar_note(struct bar *bar, struct layout layout, __u64 offset,
	      const void *data, size_t len);

/* Whatever is there from byte @offset of the dma-buf is as it should be. */
void bar_take(struct bar *bar, struct layout layout, __u64 offset, size_t len);

/* What the dma-buf should hold from byte @offset. */
void bar_expect(const struct bar *bar, struct layout layout, __u64 offset,
		void *data, size_t len);

/* First byte of the window that is not as it should be, or BAR_SAME. */
long bar_check(const struct bar *bar);

__u64 layout_size(struct layout layout);

/* Three ranges out of order and not adjacent; the first of them. */
extern const struct layout layout_three;
extern const struct layout layout_one;

/*
 * @nr ranges of one page, @nr a power of two, with a page between each two, in an
 * order of its own. Fills @ranges.
 */
struct layout layout_scattered(struct vfio_region_dma_range *ranges, __u32 nr);

/* Bytes that depend on @seed and their place, none of them zero. */
void pattern(void *data, size_t len, __u32 seed);

#endif

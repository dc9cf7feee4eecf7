/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measuring what the kernel does for this process: instructions and bytes.
 *
 * Instructions are counted by the guest's clock. With "icount: yes" in the
 * metadata QEMU lets one instruction of any kind take one nanosecond, so the
 * time stamp counter counts them; measure_calibrate() refuses any other clock.
 *
 * Bytes are what the trace events kmalloc, kmem_cache_alloc and mm_page_alloc
 * say for this process. So the pages of an IOMMU's page table count. What is
 * freed again meanwhile counts, too, and so do the pages of a slab that is new: the
 * median of some rounds is without these.
 *
 * What can be decided without a clock is a promise. A broken one fails the row.
 *
 * A struct series holds what one figure was in each round. scripts/bench reads
 * the lines that series_report() and promise() print.
 */
#ifndef TESTS_LIB_MEASURE_H
#define TESTS_LIB_MEASURE_H

#include <stdbool.h>
#include <linux/types.h>

#include "report.h"

#define SERIES_MAX	64

struct series {
	__u64 value[SERIES_MAX];
	unsigned int nr;
};

/* Add a value less what was measured around it, but not below zero. */
void series_add(struct series *series, __u64 value, __u64 overhead);

/* The path is "ours" or "mainline", @what ends in its unit. */
void series_report(struct series *series, const char *row, __u32 ranges,
		   const char *path, const char *what);

/* Tell whether it is kept; promises_verdict() dies if one was not. */
void promise(bool kept, const char *fmt, ...)
	attribute(format(gnu_printf, 2, 3));
void promises_verdict(void);

/* Instructions executed since boot. */
__u64 measure_instructions(void);

/* Compare the clock with a loop of known length; die if it is another one. */
void measure_calibrate(void);

/*
 * With "profile: yes" in the metadata, what is executed between begin and end is
 * counted by function, and becomes figures, in instructions for each range. It is
 * told apart by System.map, and by the symbols of modules, once they are loaded.
 */
void profile_begin(void);
void profile_end(const char *row, __u32 ranges, const char *path);
void profile_symbols(void);

/*
 * Bytes allocated between begin and end. The first time that end is told a
 * @title, it also prints which functions allocated them.
 */
void measure_bytes_begin(void);
__u64 measure_bytes_end(const char *title);

#endif

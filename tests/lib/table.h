/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The figures of a program, kept until all are measured.
 *
 * A figure has a row, a number of ranges, a quantity that ends in its unit, and a
 * path. Texts are compared; that of the row must stay.
 */
#ifndef TESTS_LIB_TABLE_H
#define TESTS_LIB_TABLE_H

#include "bench.h"

struct series *table_at(const char *row, __u32 ranges, const char *what,
			enum bench_path path);

/* What one round gave, less what was measured around it. */
void table_add(const char *row, __u32 ranges, const char *what,
	       enum bench_path path, __u64 value, __u64 overhead);

/* What was measured once is compared with more than one thing. */
void table_copy(enum bench_path path, const char *row, const char *from,
		__u32 ranges, const char *what);

/* Print the lines that scripts/bench reads, quantity by quantity, and sort. */
void table_report(void);

/* Once reported. */
__u64 table_median(const char *row, __u32 ranges, const char *what,
		   enum bench_path path);

#endif

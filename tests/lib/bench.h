/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A row of the benchmark: the same work on the same ranges of the same BAR by
 * our path and by mainline's, in turn, in one boot.
 *
 * Ours is a dma-buf that VFIO exports. Mainline's is one of the test exporter,
 * which makes scatterlists by dma_buf_phys_vec_to_sgt(), with the bug fixes that
 * it needs to map several ranges. A BAR can have one driver at a time, which is
 * changed at each turn.
 *
 * The ranges are pages of which no two are adjacent, in an order of its own, so
 * that nothing can be merged.
 */
#ifndef TESTS_LIB_BENCH_H
#define TESTS_LIB_BENCH_H

#include "measure.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define BENCH_WARM_UP	2
#define BENCH_ROUNDS	5	/* per turn, of which there are three */
#define BENCH_NR_SIZES	4	/* 1, 64, 4096, and 65536 ranges if they fit */

enum bench_path { OURS, MAINLINE, BENCH_NR_PATHS };

/* One dma-buf to measure. */
struct bench_case {
	enum bench_path path;
	unsigned int size;		/* index */
	int dmabuf;
	__u64 bytes;
	char title[64];
};

/* One quantity, for all cases. */
struct figure {
	const char *what;		/* ends in its unit */
	struct series series[BENCH_NR_PATHS][BENCH_NR_SIZES];
};

/* Returns @ret, or dies if it is an error. */
int must(const char *what, int ret);

/* Let @measure do its rounds with every dma-buf, both paths in turn. */
void bench_run(const char *row, int iommufd,
	       void (*measure)(const struct bench_case *now));

/* What one round gave, less @overhead. */
void figure_add(struct figure *figure, const struct bench_case *now,
		__u64 value, __u64 overhead);

/* Print the lines that scripts/bench reads. */
void figure_report(struct figure *figure, const char *row);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counting what a test must not leave behind.
 */
#ifndef TESTS_LIB_LEAKS_H
#define TESTS_LIB_LEAKS_H

#include <stdbool.h>

/* dma-bufs in the system, as debugfs tells; dies if it does not. */
unsigned int count_dmabufs(void);

/*
 * The same, but waits up to 5 s for the number to become @want: the last
 * reference to a dma-buf may be dropped by a worker.
 */
unsigned int settle_dmabufs(unsigned int want);

/* What the buffers of the class have in total, as debugfs tells. */
struct holdings {
	unsigned int buffers;
	unsigned int importers;
	unsigned int maps;
};

struct holdings count_holdings(void);
bool same_holdings(struct holdings a, struct holdings b);

/* The same, but waits up to 5 s for them to become @want. */
struct holdings settle_holdings(struct holdings want);

/* Open file descriptors of this process. */
unsigned int count_fds(void);

#endif

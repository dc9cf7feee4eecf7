/* SPDX-License-Identifier: MIT */
/*
 * What the IGT tests of dma-buf-phys share: the devices, and what debugfs says.
 *
 * Whatever is missing skips the subtest, whatever goes wrong fails it.
 */
#ifndef STAGE_H
#define STAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "scene.h"

#define PAGE		0x1000
#define WINDOW		0x40000		/* bytes of the BAR that are watched */
#define IOVA		0x100000000ULL
#define PHYS_DEBUGFS	"/sys/kernel/debug/dma_buf_phys"

/* One range; and three, the first two adjacent, out of order. */
extern const struct layout one_range;
extern const struct layout three_ranges;

/* The kernel has the class and tells about it. To be called in a fixture. */
void phys_require(void);

/*
 * Run a subtest with the device that exports, alone or with a DMA engine behind
 * an IOMMU. Afterwards there are as many dma-bufs and open files as before.
 */
void with_exporter(void (*test)(struct scene *scene));
void with_dma(void (*test)(struct scene *scene));

/* One block of debugfs. */
struct phys_buffer {
	char exporter[64];
	size_t size;
	unsigned int maps;
	unsigned int importers;
	char state[96];
	char first_importer[128];	/* its line */
};

/* What debugfs says of a dma-buf; false: nothing. */
bool phys_buffer(int dmabuf, struct phys_buffer *buffer);

/* That it is in this state: "live", "revoked", "suspended: decode". */
void assert_state(int dmabuf, const char *state);
void assert_holds(int dmabuf, unsigned int importers, unsigned int maps);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel log, from now on.
 */
#ifndef TESTS_LIB_KMSG_H
#define TESTS_LIB_KMSG_H

#include <stdbool.h>

/* Returns a file descriptor at the end of the log, or -errno. */
int kmsg_open(void);

/* Forget what was logged up to now. */
void kmsg_drain(int kmsg);

/*
 * Has an IOMMU driver logged a DMA fault since the last call, or does it in
 * the next 100 ms? Drivers limit the rate: intel-iommu logs three faults in
 * 5 s and is silent for the rest, so sleep before a count on it.
 */
bool kmsg_saw_fault(int kmsg);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State of a buffer of the class dma-buf-phys, as debugfs tells.
 */
#ifndef TESTS_LIB_PHYS_STATE_H
#define TESTS_LIB_PHYS_STATE_H

#include <stdbool.h>

/*
 * Has the oldest buffer this state, and if it is not live no mapping? @want is
 * "live", "revoked", or "suspended" and all reasons. Prints what it has, if not.
 */
bool phys_state_is(const char *want);

#endif

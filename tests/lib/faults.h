/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocations that fail on purpose, by /proc/self/fail-nth.
 *
 * It concerns the thread that asks for it only, and what it does in the kernel by
 * itself. Functions return 0 or -errno.
 */
#ifndef TESTS_LIB_FAULTS_H
#define TESTS_LIB_FAULTS_H

#include <stdbool.h>

/* Let every allocation fail that is asked for, silently. */
int faults_prepare(void);

/* Returns a file descriptor. Opened early, because opening it allocates. */
int faults_open(void);

/* Fail the nth allocation from now on; 0: none. */
int faults_set(int file, unsigned int nth);

/* Did the failure asked for happen? If not, forget it. */
bool faults_happened(int file);

#endif

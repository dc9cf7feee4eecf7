/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One memory cgroup below the root, to see what a process is charged for.
 *
 * Functions return 0 or -errno.
 */
#ifndef TESTS_LIB_CGROUP_H
#define TESTS_LIB_CGROUP_H

#include <stdio.h>

int cgroup_make(void);
int cgroup_remove(void);

/* This process is a member from now on; or of the root again. */
int cgroup_enter(void);
int cgroup_leave(void);

/* At most @bytes; negative: no limit. */
int cgroup_limit(long long bytes);

/*
 * Each CPU keeps up to 64 pages that nobody uses, and stay charged. Have them give
 * these back; they need a moment.
 */
int cgroup_drain(void);

/* Bytes charged, or -1. */
long long cgroup_charged(void);

/*
 * For a function that a process of the cgroup runs: say what is not so, and return 1.
 * @before: what was charged when it began
 */
#define CGROUP_CHECK(condition, before)					\
	do {								\
		if (!(condition)) {					\
			printf("# line %d: %s; charged %lld, before %lld\n", \
			       __LINE__, #condition, cgroup_charged(),	\
			       before);					\
			return 1;					\
		}							\
	} while (0)

#endif

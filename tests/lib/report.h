/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest program says: fatal errors with a clear sentence, and for the
 * demo one aligned line per step with the time it took.
 */
#ifndef TESTS_LIB_REPORT_H
#define TESTS_LIB_REPORT_H

#include <stdbool.h>
#include <stdnoreturn.h>
#include <linux/types.h>

#define attribute(x)	__attribute__((x))
#define like_printf	attribute(format(gnu_printf, 1, 2))

/* Print "# <sentence>", which TAP takes for a comment, and exit with 1. */
noreturn void die(const char *fmt, ...) like_printf;

/* CLOCK_MONOTONIC */
__u64 now_us(void);
__u64 now_ms(void);

/*
 * A step is announced, done, and judged. step_ok() and step_failed() print
 * the verdict, the time since step_begin() and the sentence given there;
 * step_failed() adds the reason. steps_verdict() prints the last line and
 * returns the exit status.
 */
void step_begin(const char *fmt, ...) like_printf;
bool step_ok(void);
bool step_failed(const char *fmt, ...) like_printf;
int steps_verdict(const char *name);

#endif

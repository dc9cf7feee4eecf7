// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fatal errors and the step lines of the demo. See report.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "report.h"

static struct {
	char text[160];
	__u64 start;
	unsigned int nr_ok;
	unsigned int nr_failed;
} step;

void die(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	exit(EXIT_FAILURE);
}

__u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

__u64 now_ms(void)
{
	return now_us() / 1000;
}

void step_begin(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(step.text, sizeof(step.text), fmt, args);
	va_end(args);
	step.start = now_ms();
}

static void step_print(const char *verdict)
{
	printf("%-6s %6llu ms  %s\n", verdict, now_ms() - step.start,
	       step.text);
	fflush(stdout);
}

bool step_ok(void)
{
	step.nr_ok++;
	step_print("ok");
	return true;
}

bool step_failed(const char *fmt, ...)
{
	va_list args;

	step.nr_failed++;
	step_print("FAILED");
	printf("%16s because ", "");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return false;
}

int steps_verdict(const char *name)
{
	bool passed = step.nr_ok && !step.nr_failed;

	printf("%s: %s, %u steps ok, %u failed\n", name,
	       passed ? "PASSED" : "FAILED", step.nr_ok, step.nr_failed);
	return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

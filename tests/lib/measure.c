// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions and bytes. See measure.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"
#include "report.h"

#define TRACING		"/sys/kernel/tracing/"
#define PAGE		0x1000ULL
#define LOOPS		1000000
#define LOOP_LENGTH	2	/* instructions */
#define TOLERANCE	1	/* per cent */
#define NR_SITES	64

/* Larger ones are whole pages, which mm_page_alloc counts. */
#define KMALLOC_MAX	(2 * PAGE)

/*
 * Series
 */

void series_add(struct series *series, __u64 value, __u64 overhead)
{
	if (series->nr == SERIES_MAX)
		die("more than %u rounds", SERIES_MAX);
	series->value[series->nr++] = value > overhead ? value - overhead : 0;
}

static int compare(const void *a, const void *b)
{
	const __u64 *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

void series_report(struct series *series, const char *row, __u32 ranges,
		   const char *path, const char *what)
{
	const unsigned int nr = series->nr;

	if (!nr)
		die("%s: %s of %u ranges, %s: not measured", row, what, ranges,
		    path);
	qsort(series->value, nr, sizeof(series->value[0]), compare);
	printf("bench\t%s\t%u\t%s\t%s\t%llu\t%llu\t%llu\t%u\n", row, ranges,
	       what, path, series->value[nr / 2], series->value[0],
	       series->value[nr - 1], nr);
}

/*
 * Promises
 */

static struct {
	char first[200];
	unsigned int nr;
} broken;

void promise(bool kept, const char *fmt, ...)
{
	char text[sizeof(broken.first)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	printf("promise\t%s\t%s\n", kept ? "kept" : "broken", text);
	if (!kept && !broken.nr++)
		memcpy(broken.first, text, sizeof(text));
}

void promises_verdict(void)
{
	if (broken.nr)
		die("%u promises are broken, the first: %s", broken.nr,
		    broken.first);
}

/*
 * Instructions
 */

#ifdef __x86_64__
#include <x86intrin.h>

__u64 measure_instructions(void)
{
	return __rdtsc();
}

static void loop(__u64 times)
{
	asm volatile("1: dec %0\n\tjnz 1b" : "+r" (times) : : "cc");
}

/* The NOPs tell scripts/harness/profile.c */
static void mark_begin(void)
{
	asm volatile("nopl 0x64627001(%%rax)" : : : "memory");
}

static void mark_end(void)
{
	asm volatile("nopl 0x64627002(%%rax)" : : : "memory");
}
#endif

#ifdef __aarch64__
/* The clock is slower, so they come in steps, of 16 in QEMU. */
__u64 measure_instructions(void)
{
	__u64 hz, ticks;

	asm volatile("mrs %0, cntfrq_el0" : "=r" (hz));
	asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r" (ticks));
	return ticks * (1000000000 / hz);
}

static void loop(__u64 times)
{
	asm volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r" (times) : : "cc");
}

static void mark_begin(void)
{
	die("there is no profile of this architecture");
}

static void mark_end(void)
{
}
#endif

void measure_calibrate(void)
{
	struct series series = {};
	double factor;
	__u64 begin;
	int i;

	for (i = 0; i < 9; i++) {
		begin = measure_instructions();
		loop(LOOPS);
		series_add(&series, measure_instructions() - begin, 0);
	}
	qsort(series.value, series.nr, sizeof(series.value[0]), compare);
	factor = (double)series.value[series.nr / 2] / (LOOPS * LOOP_LENGTH);
	printf("# calibration: %.4f ticks per instruction, %llu to %llu for %u instructions\n",
	       factor, series.value[0], series.value[series.nr - 1],
	       LOOPS * LOOP_LENGTH);
	if (factor < 1 - TOLERANCE / 100.0 || factor > 1 + TOLERANCE / 100.0)
		die("the clock does not count instructions");
}

/*
 * Profile
 */

static __u64 part_began;

void profile_begin(void)
{
	part_began = measure_instructions();
	mark_begin();
}

void profile_end(const char *row, __u32 ranges, const char *path)
{
	mark_end();
	printf("part\t%s\t%u\t%s\t%llu\n", row, ranges, path,
	       measure_instructions() - part_began);
}

void profile_symbols(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	char line[1024], name[256];
	__u64 addr;

	if (!symbols)
		die("/proc/kallsyms: %s", strerror(errno));
	while (fgets(line, sizeof(line), symbols))
		if (strchr(line, '[') &&
		    sscanf(line, "%llx %*c %255s", &addr, name) == 2)
			printf("symbol\t%llx\t%s\n", addr, name);
	fclose(symbols);
}

/*
 * Bytes
 */

struct site {
	char name[64];
	__u64 bytes;
	unsigned int nr;
};

static struct {
	int on;			/* the file tracing_on, kept open */
	bool prepared;
} trace_state;

static void trace_write(const char *file, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (*text && write(fd, text, strlen(text)) < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

/* Allocates nothing between on and off. */
static void trace_switch(const char *on)
{
	if (pwrite(trace_state.on, on, 1, 0) != 1)
		die(TRACING "tracing_on: %s", strerror(errno));
}

static void trace_enable(const char *on)
{
	trace_write("events/kmem/kmalloc/enable", on);
	trace_write("events/kmem/kmem_cache_alloc/enable", on);
	trace_write("events/kmem/mm_page_alloc/enable", on);
}

static void trace_prepare(void)
{
	char filter[32];

	if (trace_state.prepared)
		return;
	trace_state.prepared = true;
	trace_state.on = open(TRACING "tracing_on", O_WRONLY | O_CLOEXEC);
	if (trace_state.on < 0)
		die(TRACING "tracing_on: %s", strerror(errno));
	trace_switch("0");
	trace_write("buffer_size_kb", "32768");
	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	trace_write("events/kmem/kmalloc/filter", filter);
	trace_write("events/kmem/kmem_cache_alloc/filter", filter);
	trace_write("events/kmem/mm_page_alloc/filter", filter);
}

void measure_bytes_begin(void)
{
	trace_prepare();
	trace_enable("1");
	trace_write("trace", "");
	trace_switch("1");
}

/* The number after "@key=" in the line, 0 if there is none. */
static __u64 number(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* How much one line of the trace says was allocated, and by whom. */
static __u64 line_bytes(const char *line, char name[64])
{
	const char *site = strstr(line, "call_site=");
	__u64 bytes;

	if (strstr(line, " mm_page_alloc: ")) {
		snprintf(name, 64, "pages");
		return PAGE << number(line, " order=");
	}
	bytes = number(line, " bytes_alloc=");
	if (!site || (strstr(line, " kmalloc: ") && bytes > KMALLOC_MAX))
		return 0;
	site += strlen("call_site=");
	snprintf(name, 64, "%.*s", (int)strcspn(site, "+ "), site);
	return bytes;
}

/* "# entries-in-buffer/entries-written: 5/5   #P:1" */
static bool events_lost(const char *line)
{
	unsigned long kept, written;

	return sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu",
		      &kept, &written) == 2 && kept != written;
}

static void site_add(struct site sites[NR_SITES], const char *name, __u64 bytes)
{
	unsigned int i = 0;

	while (i < NR_SITES - 1 && sites[i].nr && strcmp(sites[i].name, name))
		i++;
	snprintf(sites[i].name, sizeof(sites[i].name), "%s", name);
	sites[i].bytes += bytes;
	sites[i].nr++;
}

static void sites_print(const char *title, const struct site sites[NR_SITES])
{
	static char told[NR_SITES][64];
	unsigned int i = 0;

	while (i < NR_SITES - 1 && told[i][0] && strcmp(told[i], title))
		i++;
	if (!strcmp(told[i], title))
		return;
	snprintf(told[i], sizeof(told[i]), "%s", title);
	for (i = 0; i < NR_SITES && sites[i].nr; i++)
		printf("# %s: %llu bytes in %u by %s\n", title, sites[i].bytes,
		       sites[i].nr, sites[i].name);
}

__u64 measure_bytes_end(const char *title)
{
	struct site sites[NR_SITES] = {};
	__u64 sum = 0, bytes;
	char line[1024], name[64];
	FILE *trace;

	trace_switch("0");
	trace_enable("0");
	trace = fopen(TRACING "trace", "r");
	if (!trace)
		die("read the trace: %s", strerror(errno));
	while (fgets(line, sizeof(line), trace)) {
		if (events_lost(line))
			die("%s: more was allocated than the trace has room for",
			    title);
		bytes = *line == '#' ? 0 : line_bytes(line, name);
		if (bytes)
			site_add(sites, name, bytes);
		sum += bytes;
	}
	fclose(trace);
	sites_print(title, sites);
	return sum;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The figures of a program. See table.h.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "report.h"
#include "table.h"

#define MAX_ENTRIES	256

static const char * const path_names[BENCH_NR_PATHS] = { "ours", "mainline" };

static struct entry {
	const char *row;
	char what[48];
	__u32 ranges;
	bool reported;
	struct series by[BENCH_NR_PATHS];
} entries[MAX_ENTRIES];
static unsigned int nr_entries;

static struct entry *entry(const char *row, __u32 ranges, const char *what)
{
	struct entry *e;

	for (e = entries; e < entries + nr_entries; e++)
		if (!strcmp(e->row, row) && e->ranges == ranges &&
		    !strcmp(e->what, what))
			return e;
	if (nr_entries == MAX_ENTRIES)
		die("more than %u figures", MAX_ENTRIES);
	nr_entries++;
	e->row = row;
	e->ranges = ranges;
	snprintf(e->what, sizeof(e->what), "%s", what);
	return e;
}

struct series *table_at(const char *row, __u32 ranges, const char *what,
			enum bench_path path)
{
	return &entry(row, ranges, what)->by[path];
}

void table_add(const char *row, __u32 ranges, const char *what,
	       enum bench_path path, __u64 value, __u64 overhead)
{
	series_add(table_at(row, ranges, what, path), value, overhead);
}

void table_copy(enum bench_path path, const char *row, const char *from,
		__u32 ranges, const char *what)
{
	*table_at(row, ranges, what, path) = *table_at(from, ranges, what, path);
}

static void report_entry(struct entry *e)
{
	unsigned int path;

	for (path = 0; path < BENCH_NR_PATHS; path++)
		if (e->by[path].nr)
			series_report(&e->by[path], e->row, e->ranges,
				      path_names[path], e->what);
	e->reported = true;
}

void table_report(void)
{
	struct entry *e, *other;

	for (e = entries; e < entries + nr_entries; e++)
		for (other = e; other < entries + nr_entries; other++)
			if (!other->reported && !strcmp(other->row, e->row) &&
			    !strcmp(other->what, e->what))
				report_entry(other);
}

__u64 table_median(const char *row, __u32 ranges, const char *what,
		   enum bench_path path)
{
	const struct series *series = table_at(row, ranges, what, path);

	if (!series->nr)
		die("%s: %s of %u ranges: not measured", row, what, ranges);
	return series->value[series->nr / 2];
}

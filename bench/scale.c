// SPDX-License-Identifier: GPL-2.0-only
/*
 * What views cost at scale: up to a million ranges, up to 16 TiB, up to a hundred
 * importers, compared with mainline's scatterlist.
 *
 * The buffers are of made-up addresses, and the IOMMU of the importers only counts
 * (dma-buf-test-scale), so what is measured is the work of who asks it. With
 * topology switch, DMA views are bus addresses and no IOMMU is asked.
 *
 * The importer of DMA views and scatterlists is one driver, as in dma_view.c. The
 * domain view is compared with the scatterlist, too, and with the floor: a loop
 * that calls iommu_map() for each range, which is what the IOMMU API wants of
 * everybody.
 *
 * What is promised and this can decide without a clock, it decides: the
 * calls, page table entries and flushes that the IOMMU counts, bytes per
 * importer, and that costs grow as they should.
 *
 * summary: views of many ranges, large ranges, many importers
 * topology: root switch
 * params: intel_iommu=off
 * icount: yes
 * timeout: 600
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "report.h"
#include "table.h"
#include "testdrv.h"

#define KIB		1024ULL
#define GIB		(KIB * KIB * KIB)
#define TIB		(KIB * GIB)
#define PAGE		(4 * KIB)
#define FEW		64		/* ranges, too long for the IOVA allocator's cache */
#define MANY		4096
#define MAX_IMPORTERS	100
#define SMALL_BYTES	512		/* less is allocated per importer */

#define MAP		"map, instructions"
#define UNMAP		"unmap, instructions"
#define WALK		"walk, instructions"
#define BYTES		"attach and map, bytes"

static const char * const path_names[BENCH_NR_PATHS] = { "ours", "mainline" };
static const __u32 sizes[] = { 1, 64, MANY, 65536, 1000000 };
static const unsigned int crowds[] = { 1, 10, MAX_IMPORTERS };

static const struct {
	const char *dma_row, *domain_row;
	__u64 len;
} lengths[] = {
	{ "DMA view of 4 KiB, counted", "domain view of 4 KiB, counted", PAGE },
	{ "DMA view of 1 GiB, counted", "domain view of 1 GiB, counted", GIB },
	{ "DMA view of 512 GiB, counted", "domain view of 512 GiB, counted",
	  512 * GIB },
	{ "DMA view of 16 TiB, counted", "domain view of 16 TiB, counted",
	  16 * TIB },
};

static bool by_bus;			/* no IOMMU is asked */
static const char *dma_row = "DMA view, counted";
static const char * const domain_row = "domain view, counted";
static const char * const floor_row = "domain view, floor";

static int scale;			/* makes the buffers */
static int dma[MAX_IMPORTERS], domain[MAX_IMPORTERS];

/*
 * One view
 */

static int make_up(__u32 nr, __u64 len, enum bench_path path)
{
	return must("make a buffer",
		    scale_make_up(scale, nr, len,
				  path == OURS ? 0 : DBT_MADE_UP_MAINLINE));
}

static void attach(int importer, int dmabuf, __u32 flags)
{
	must("DBT_ATTACH", importer_attach(importer, dmabuf, flags, 0));
}

static int do_state(int importer)
{
	struct dbt_state state;

	return importer_state(importer, &state);
}

/* Instructions that @act takes; it must return @want. */
static __u64 cost(int (*act)(int importer), int importer, int want)
{
	__u64 begin = measure_instructions();
	int ret = act(importer);
	__u64 took = measure_instructions() - begin;

	if (ret != want)
		die("an ioctl returned %d, not %d", ret, want);
	return took;
}

/* What one importer does with one kind of buffer. */
struct act {
	const char *row;
	__u32 ranges;
	__u64 len;			/* of each range */
	enum bench_path path;
	int importer;
	__u32 flags;			/* of attach */
	bool walk;			/* by an importer that can */
};

static void round_instructions(const struct act *act)
{
	__u64 map, unmap, idle_map, idle_unmap, walk = 0, idle_walk = 0;

	idle_unmap = cost(importer_unmap, act->importer, 0);
	if (act->walk)
		idle_walk = cost(do_state, act->importer, 0);
	map = cost(importer_map_all, act->importer, 0);
	idle_map = cost(importer_map_all, act->importer, -EBUSY);
	if (act->walk)
		walk = cost(do_state, act->importer, 0);
	unmap = cost(importer_unmap, act->importer, 0);

	table_add(act->row, act->ranges, MAP, act->path, map, idle_map);
	table_add(act->row, act->ranges, UNMAP, act->path, unmap, idle_unmap);
	if (act->walk)
		table_add(act->row, act->ranges, WALK, act->path, walk,
			  idle_walk);
}

/* Attaching counts, too: it is where most of what an importer takes comes from. */
static void round_bytes(const struct act *act, int dmabuf)
{
	char title[64];

	snprintf(title, sizeof(title), "%s, %u ranges, %s", act->row,
		 act->ranges, path_names[act->path]);
	measure_bytes_begin();
	attach(act->importer, dmabuf, act->flags);
	must("DBT_MAP", importer_map_all(act->importer));
	table_add(act->row, act->ranges, BYTES, act->path,
		  measure_bytes_end(title), 0);
	must("DBT_DETACH", importer_detach(act->importer));
}

/* Figures hardly differ, and a million ranges take seconds. */
static unsigned int rounds(const struct act *act)
{
	return act->ranges > 100000 ? 1 : act->ranges > MANY ? 3 : 5;
}

static void measure(const struct act *act)
{
	int dmabuf = make_up(act->ranges, act->len, act->path);
	unsigned int i;

	attach(act->importer, dmabuf, act->flags);
	must("DBT_MAP", importer_map_all(act->importer));
	must("DBT_UNMAP", importer_unmap(act->importer));
	for (i = 0; i < rounds(act); i++)
		round_instructions(act);
	must("DBT_DETACH", importer_detach(act->importer));
	for (i = 0; i < 2; i++)
		round_bytes(act, dmabuf);
	close(dmabuf);
}

static struct act dma_act(const char *row, __u32 ranges, __u64 len,
			  enum bench_path path)
{
	return (struct act){
		.row = row,
		.ranges = ranges,
		.len = len,
		.path = path,
		.importer = dma[0],
		.flags = path == OURS ? DBT_ATTACH_CLASS : 0,
		.walk = by_bus,		/* otherwise there is one address */
	};
}

static void measure_dma(const char *row, __u32 ranges, __u64 len)
{
	enum bench_path path;
	struct act act;

	for (path = 0; path < BENCH_NR_PATHS; path++) {
		act = dma_act(row, ranges, len, path);
		measure(&act);
	}
}

static void measure_domain(const char *row, const char *from, __u32 ranges,
			   __u64 len)
{
	struct act act = {
		.row = row,
		.ranges = ranges,
		.len = len,
		.path = OURS,
		.importer = domain[0],
	};

	measure(&act);
	table_copy(MAINLINE, row, from, ranges, MAP);
	table_copy(MAINLINE, row, from, ranges, UNMAP);
	table_copy(MAINLINE, row, from, ranges, BYTES);
}

/* The loop is in the place of mainline's path, and knows only buffers of the class. */
static void measure_floor(__u32 ranges)
{
	int dmabuf = make_up(ranges, PAGE, OURS);
	struct act act = {
		.row = floor_row,
		.ranges = ranges,
		.path = MAINLINE,
		.importer = domain[0],
	};
	unsigned int i;

	attach(act.importer, dmabuf, DBT_ATTACH_FLOOR);
	must("DBT_MAP", importer_map_all(act.importer));
	must("DBT_UNMAP", importer_unmap(act.importer));
	for (i = 0; i < rounds(&act); i++)
		round_instructions(&act);
	must("DBT_DETACH", importer_detach(act.importer));
	close(dmabuf);
	table_copy(OURS, floor_row, domain_row, ranges, MAP);
	table_copy(OURS, floor_row, domain_row, ranges, UNMAP);
}

/*
 * Many importers of one buffer
 */

static __u64 change(int dmabuf, unsigned long state)
{
	__u64 begin = measure_instructions();

	must("change the state", scale_state(scale, state, dmabuf));
	return measure_instructions() - begin;
}

static void map_crowd(const int *crowd, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		must("DBT_MAP", importer_map_all(crowd[i]));
}

/* What the importers must do by themselves to have the memory back counts. */
static __u64 restore(const int *crowd, unsigned int nr, int dmabuf, bool refills)
{
	__u64 begin = measure_instructions();

	must("DBT_RESTORE", scale_state(scale, DBT_RESTORE, dmabuf));
	if (!refills)
		map_crowd(crowd, nr);
	return measure_instructions() - begin;
}

static const char *crowd_what(const char *verb, unsigned int nr)
{
	static char what[48];

	snprintf(what, sizeof(what), "%s %u, instructions", verb, nr);
	return what;
}

static void round_crowd(const char *row, __u32 ranges, enum bench_path path,
			const int *crowd, unsigned int nr)
{
	int dmabuf = make_up(ranges, PAGE, path);
	bool refills = crowd == domain;
	unsigned int i;

	for (i = 0; i < nr; i++)
		attach(crowd[i], dmabuf,
		       path == OURS && !refills ? DBT_ATTACH_CLASS : 0);
	map_crowd(crowd, nr);
	table_add(row, ranges, crowd_what("suspend from", nr), path,
		  change(dmabuf, DBT_SUSPEND), 0);
	table_add(row, ranges, crowd_what("restore to", nr), path,
		  restore(crowd, nr, dmabuf, refills), 0);
	table_add(row, ranges, crowd_what("revoke from", nr), path,
		  change(dmabuf, DBT_REVOKE), 0);
	for (i = 0; i < nr; i++)
		must("DBT_DETACH", importer_detach(crowd[i]));
	close(dmabuf);
}

static void measure_crowd(__u32 ranges, unsigned int nr)
{
	unsigned int round;

	for (round = 0; round < 3; round++) {
		round_crowd(dma_row, ranges, OURS, dma, nr);
		round_crowd(dma_row, ranges, MAINLINE, dma, nr);
		if (!by_bus)
			round_crowd(domain_row, ranges, OURS, domain, nr);
	}
	if (by_bus)
		return;
	table_copy(MAINLINE, domain_row, dma_row, ranges,
		   crowd_what("suspend from", nr));
	table_copy(MAINLINE, domain_row, dma_row, ranges,
		   crowd_what("restore to", nr));
	table_copy(MAINLINE, domain_row, dma_row, ranges,
		   crowd_what("revoke from", nr));
}

/* The first ten importers of a buffer, one after the other. */
static void measure_queue(const char *row, enum bench_path path,
			  const int *queue, __u32 flags, bool bytes)
{
	int dmabuf = make_up(MANY, PAGE, path);
	char what[48];
	unsigned int i;
	__u64 value;

	for (i = 0; i < 10; i++) {
		snprintf(what, sizeof(what), "attach and map importer %u, %s",
			 i + 1, bytes ? "bytes" : "instructions");
		if (bytes)
			measure_bytes_begin();
		value = measure_instructions();
		attach(queue[i], dmabuf, flags);
		must("DBT_MAP", importer_map_all(queue[i]));
		value = bytes ? measure_bytes_end(what) :
				measure_instructions() - value;
		if (i < 2 || i == 9)
			table_add(row, MANY, what, path, value, 0);
	}
	while (i--)
		must("DBT_DETACH", importer_detach(queue[i]));
	close(dmabuf);
}

static void measure_queues(bool bytes)
{
	unsigned int round;

	for (round = 0; round < 3; round++) {
		measure_queue(dma_row, OURS, dma, DBT_ATTACH_CLASS, bytes);
		measure_queue(dma_row, MAINLINE, dma, 0, bytes);
		if (by_bus)
			continue;
		measure_queue(domain_row, OURS, domain, 0, bytes);
		measure_queue(domain_row, MAINLINE, dma, 0, bytes);
	}
}

/*
 * What can be decided
 */

static struct dbt_counts counted(void)
{
	struct dbt_counts counts;

	must("DBT_COUNTS", scale_counts(scale, &counts));
	return counts;
}

/* The IOMMU's pages are as large as they can be, and it is flushed once. */
static void check_calls(const char *row, int importer, __u32 flags,
			__u32 ranges, __u64 len, __u64 page)
{
	int dmabuf = make_up(ranges, len, OURS);
	const char *unit = len < GIB ? "KiB" : "GiB";
	__u64 size = len < GIB ? len / KIB : len / GIB;
	struct dbt_counts map, unmap;

	attach(importer, dmabuf, flags);
	counted();
	must("DBT_MAP", importer_map_all(importer));
	map = counted();
	must("DBT_UNMAP", importer_unmap(importer));
	unmap = counted();
	must("DBT_DETACH", importer_detach(importer));
	close(dmabuf);

	promise(map.maps == ranges && map.entries == ranges * (len / page) &&
		map.map_syncs == 1,
		"%s, %u x %llu %s: map in %llu calls, %llu entries, %llu sync",
		row, ranges, size, unit, map.maps, map.entries, map.map_syncs);
	promise(unmap.flushes == 1,
		"%s, %u x %llu %s: unmap in %llu calls, %llu flush of the IOTLB",
		row, ranges, size, unit, unmap.unmaps, unmap.flushes);
}

static void check_all_calls(const char *row, int importer, __u32 flags)
{
	check_calls(row, importer, flags, 1, PAGE, PAGE);
	check_calls(row, importer, flags, MANY, PAGE, PAGE);
	check_calls(row, importer, flags, 512, GIB, GIB);
	check_calls(row, importer, flags, 1, 16 * TIB, GIB);
}

/* One importer takes the same few bytes, however many ranges there are. */
static void check_bytes(const char *row)
{
	__u64 bytes, least = ~0ULL, most = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		bytes = table_median(row, sizes[i], BYTES, OURS);
		least = sizes[i] < FEW || bytes > least ? least : bytes;
		most = bytes > most ? bytes : most;
	}
	promise(most < SMALL_BYTES && least == most,
		"%s: %llu to %llu bytes per importer, from %u to %u ranges",
		row, least, most, FEW, sizes[ARRAY_SIZE(sizes) - 1]);
}

/* At one range the two are close; another compiler may move them by a little. */
static void check_one(const char *row)
{
	__u64 ours = table_median(row, 1, MAP, OURS);
	__u64 mainline = table_median(row, 1, MAP, MAINLINE);

	promise(ours * 100 <= mainline * 105,
		"%s, %s: %llu at 1 range, mainline's %llu and 5 %% at most", row,
		MAP, ours, mainline);
}

/* Where nothing has to be done for a range. */
static void check_tenth(const char *row, const char *what)
{
	__u64 ours = table_median(row, MANY, what, OURS);
	__u64 mainline = table_median(row, MANY, what, MAINLINE);

	promise(ours * 10 <= mainline,
		"%s, %s: %llu at %u ranges, a tenth of mainline's %llu or less",
		row, what, ours, MANY, mainline);
}

/* Every range costs a call of iommu_map(); what comes on top is small. */
static void check_floor(void)
{
	__u64 ours = table_median(floor_row, MANY, MAP, OURS);
	__u64 floor = table_median(floor_row, MANY, MAP, MAINLINE);

	promise(ours * 4 <= floor * 5,
		"%s, %s: %llu at %u, the floor of %llu and a quarter at most",
		domain_row, MAP, ours, MANY, floor);
}

static __u64 crowd_cost(const char *row, __u32 ranges, const char *verb,
			unsigned int nr)
{
	return table_median(row, ranges, crowd_what(verb, nr), OURS);
}

/* The hundredth importer costs what the tenth does, and no range costs anything. */
static void check_crowd(const char *row, const char *verb)
{
	__u64 one = crowd_cost(row, FEW, verb, 1);
	__u64 ten = crowd_cost(row, FEW, verb, 10);
	__u64 hundred = crowd_cost(row, FEW, verb, 100);
	__u64 many = crowd_cost(row, MANY, verb, 100);

	promise((hundred - ten) / 90 * 10 <= (ten - one) / 9 * 11,
		"%s, %s 1, 10, 100: %llu, %llu, %llu instructions, linear", row,
		verb, one, ten, hundred);
	promise(many * 10 <= hundred * 11,
		"%s, %s 100: %llu instructions at %u ranges, %llu at %u", row,
		verb, hundred, FEW, many, MANY);
}

static void check_view(const char *row)
{
	check_one(row);
	check_bytes(row);
	check_crowd(row, "suspend from");
	check_crowd(row, "revoke from");
}

static void check(void)
{
	check_view(dma_row);
	if (by_bus) {
		check_tenth(dma_row, MAP);
		check_tenth(dma_row, UNMAP);
		check_tenth(dma_row, BYTES);
		return;
	}
	check_view(domain_row);
	check_floor();
	check_all_calls(dma_row, dma[0], DBT_ATTACH_CLASS);
	check_all_calls(domain_row, domain[0], 0);
}

static void measure_all(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		measure_dma(dma_row, sizes[i], PAGE);
		if (by_bus)
			continue;
		measure_domain(domain_row, dma_row, sizes[i], PAGE);
		measure_floor(sizes[i]);
	}
	for (i = 0; i < ARRAY_SIZE(lengths) && !by_bus; i++) {
		measure_dma(lengths[i].dma_row, 1, lengths[i].len);
		measure_domain(lengths[i].domain_row, lengths[i].dma_row, 1,
			       lengths[i].len);
	}
	for (i = 0; i < ARRAY_SIZE(crowds); i++) {
		measure_crowd(FEW, crowds[i]);
		measure_crowd(MANY, crowds[i]);
	}
	measure_queues(false);
	measure_queues(true);
}

int main(void)
{
	char name[PCI_NAME_LEN], importer_name[PCI_NAME_LEN];
	unsigned int i;

	by_bus = topology_is("switch");
	if (by_bus)
		dma_row = "DMA view, bus addresses";
	measure_calibrate();

	/* First: devices get the IOMMU only while they have no driver. */
	scale = must("open the exporter", scale_open(name));
	dma[0] = must("open the importer", importer_open(0, importer_name));
	for (i = 0; i < MAX_IMPORTERS; i++) {
		domain[i] = must("open an importer", scale_reopen(name));
		if (i)
			dma[i] = must("open an importer",
				      importer_reopen(importer_name));
	}

	measure_all();
	table_report();
	check();
	promises_verdict();

	for (i = 0; i < MAX_IMPORTERS; i++) {
		close(dma[i]);
		close(domain[i]);
	}
	close(scale);
	must("release the importer", testdrv_release(importer_name));
	must("release the exporter", testdrv_release(name));
	return EXIT_SUCCESS;
}

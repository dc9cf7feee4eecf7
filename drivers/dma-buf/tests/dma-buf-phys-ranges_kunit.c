// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: validating range lists, walking slices, finding bytes
 *
 * Every walk is compared run by run with mock_runs(), which clips all ranges to
 * the slice and joins neighbours, and, where the buffer is small enough, byte
 * by byte with mock_paddr().
 */
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "dma-buf-phys-mock.h"

#define MAX_NR		64
#define TOP_PAGE	(~(phys_addr_t)0 - (PAGE_SIZE - 1))

/*
 * Validation
 */

enum { NO_VEC = 1, NO_PROVIDER = 2, WITH_PROVIDER = 4 };

struct check_param {
	const char *name;
	struct phys_vec vec[3];
	size_t nr;
	size_t size;
	enum dma_buf_phys_kind kind;
	unsigned int twist;
	int ret;
};

#define MMIO DMA_BUF_PHYS_MMIO
#define RAM DMA_BUF_PHYS_RAM

static const struct check_param check_params[] = {
	{ "one page", { { 0, SZ_4K } }, 1, SZ_4K, MMIO },
	{ "ram", { { SZ_1M, SZ_4K } }, 1, SZ_4K, RAM },
	{ "several, out of order", { { SZ_2M, SZ_4K }, { 0, SZ_8K },
	  { SZ_1M, SZ_4K } }, 3, SZ_16K, MMIO },
	{ "aliased", { { SZ_1M, SZ_8K }, { SZ_1M, SZ_8K } }, 2, SZ_16K, MMIO },
	{ "sixteen TiB", { { 1ULL << 45, 1ULL << 44 } }, 1, 1ULL << 44, MMIO },
	{ "no range", { }, 0, SZ_4K, MMIO, 0, -EINVAL },
	{ "no range of size 0", { }, 0, 0, MMIO, 0, -EINVAL },
	{ "no array", { { 0, SZ_4K } }, 1, SZ_4K, MMIO, NO_VEC, -EINVAL },
	{ "first empty", { { 0, 0 }, { 0, SZ_4K } }, 2, SZ_4K, MMIO, 0,
	  -EINVAL },
	{ "last empty", { { 0, SZ_4K }, { SZ_4K, 0 } }, 2, SZ_4K, MMIO, 0,
	  -EINVAL },
	{ "only empty", { { 0, 0 } }, 1, 0, MMIO, 0, -EINVAL },
	{ "unaligned address", { { SZ_2K, SZ_4K } }, 1, SZ_4K, MMIO, 0,
	  -EINVAL },
	{ "address off by one", { { SZ_4K, SZ_4K }, { 1, SZ_4K } }, 2, SZ_8K,
	  MMIO, 0, -EINVAL },
	{ "unaligned length", { { 0, SZ_2K } }, 1, SZ_2K, MMIO, 0, -EINVAL },
	{ "lengths unaligned, sum aligned", { { 0, SZ_2K }, { SZ_1M, SZ_2K } },
	  2, SZ_4K, MMIO, 0, -EINVAL },
	{ "length off by one", { { 0, SZ_4K + 1 } }, 1, SZ_4K + 1, MMIO, 0,
	  -EINVAL },
	{ "wraps", { { TOP_PAGE, SZ_8K } }, 1, SZ_8K, MMIO, 0, -EINVAL },
	{ "second wraps", { { 0, SZ_4K }, { TOP_PAGE, SZ_64K } }, 2,
	  SZ_64K + SZ_4K, MMIO, 0, -EINVAL },
	{ "sum too small", { { 0, SZ_4K }, { SZ_1M, SZ_4K } }, 2, SZ_16K, MMIO,
	  0, -EINVAL },
	{ "sum too large", { { 0, SZ_4K }, { SZ_1M, SZ_8K } }, 2, SZ_8K, MMIO,
	  0, -EINVAL },
	{ "sum overflows to 0", { { 0, 1ULL << 63 }, { 0, 1ULL << 63 } }, 2, 0,
	  MMIO, 0, -EINVAL },
	{ "sum overflows to the size", { { 0, 1ULL << 63 }, { 0, 1ULL << 63 },
	  { 0, SZ_4K } }, 3, SZ_4K, MMIO, 0, -EINVAL },
	{ "mmio without provider", { { 0, SZ_4K } }, 1, SZ_4K, MMIO,
	  NO_PROVIDER, -EINVAL },
	{ "ram with provider", { { 0, SZ_4K } }, 1, SZ_4K, RAM, WITH_PROVIDER,
	  -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(check, check_params, name);

static void check_list(struct kunit *test)
{
	const struct check_param *p = test->param_value;
	struct p2pdma_provider provider = {};
	struct dma_buf_phys_ranges ranges = {
		.vec = p->twist & NO_VEC ? NULL : p->vec,
		.nr = p->nr,
		.kind = p->kind,
		.provider = p->kind == MMIO ? &provider : NULL,
	};

	if (p->twist & NO_PROVIDER)
		ranges.provider = NULL;
	if (p->twist & WITH_PROVIDER)
		ranges.provider = &provider;
	KUNIT_EXPECT_EQ(test, phys_ranges_check(&ranges, p->size), p->ret);
}

/*
 * Walking
 */

/* False, quietly, if the walk and the model differ. */
static bool walk_agrees(const struct phys_vec *vec, size_t nr, u64 offset,
			u64 len, struct phys_vec *runs)
{
	struct dma_buf_phys_ranges ranges = { .vec = vec, .nr = nr };
	size_t count = mock_runs(vec, nr, offset, len, runs);
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run = { 1, 2 };
	size_t i;

	phys_cursor_start(&cursor, &ranges, offset, len);
	for (i = 0; i < count; i++)
		if (!phys_cursor_next(&cursor, &run) ||
		    run.paddr != runs[i].paddr || run.len != runs[i].len)
			return false;

	/* The end stays the end and leaves the last run alone. */
	for (i = 0; i < 2; i++)
		if (phys_cursor_next(&cursor, &run))
			return false;
	return !count || (run.paddr == runs[count - 1].paddr &&
			  run.len == runs[count - 1].len);
}

static void expect_walk(struct kunit *test, const struct phys_vec *vec,
			size_t nr, u64 offset, u64 len)
{
	struct phys_vec runs[MAX_NR];

	KUNIT_EXPECT_TRUE_MSG(test, walk_agrees(vec, nr, offset, len, runs),
			      "offset %#llx length %#llx", offset, len);
}

struct walk_param {
	const char *name;
	struct phys_vec vec[5];
	size_t nr;
};

static const struct walk_param walk_params[] = {
	{ "one page", { { SZ_1M, SZ_4K } }, 1 },
	{ "one range", { { SZ_1M, SZ_64K } }, 1 },
	{ "two apart", { { SZ_1M, SZ_8K }, { SZ_4M, SZ_4K } }, 2 },
	{ "backwards", { { SZ_4M, SZ_4K }, { SZ_4M - SZ_4K, SZ_4K },
	  { SZ_4M - SZ_8K, SZ_4K } }, 3 },
	{ "adjacent", { { SZ_1M, SZ_4K }, { SZ_1M + SZ_4K, SZ_8K },
	  { SZ_1M + SZ_8K + SZ_4K, SZ_4K } }, 3 },
	{ "adjacent, apart, adjacent", { { SZ_1M, SZ_4K },
	  { SZ_1M + SZ_4K, SZ_4K }, { SZ_4M, SZ_4K }, { SZ_4M + SZ_4K, SZ_8K },
	  { SZ_1M, SZ_4K } }, 5 },
	{ "aliased", { { SZ_1M, SZ_8K }, { SZ_1M, SZ_8K },
	  { SZ_1M + SZ_4K, SZ_4K } }, 3 },
	{ "aliased and adjacent", { { SZ_1M, SZ_4K }, { SZ_1M + SZ_4K, SZ_4K },
	  { SZ_1M, SZ_4K }, { SZ_1M + SZ_4K, SZ_4K } }, 4 },
	{ "from address 0", { { 0, SZ_4K }, { SZ_8K, SZ_4K }, { 0, SZ_8K } },
	  3 },
	{ "over 4 GiB", { { SZ_8G, 5ULL * SZ_1G }, { SZ_32G, SZ_4K },
	  { SZ_16G, 4ULL * SZ_1G } }, 3 },
	{ "4 GiB sharp, adjacent", { { SZ_8G, SZ_4G }, { SZ_8G + SZ_4G, SZ_4G },
	  { 0, SZ_4G } }, 3 },
	{ "2^44 bytes", { { 1ULL << 50, 1ULL << 44 } }, 1 },
	{ "2^44 bytes in pieces", { { 1ULL << 50, (1ULL << 44) - SZ_4K },
	  { SZ_1M, SZ_4K }, { 1ULL << 51, 1ULL << 44 },
	  { (1ULL << 51) + (1ULL << 44), SZ_1G } }, 4 },
	{ "at the top", { { TOP_PAGE - SZ_4K, SZ_4K }, { SZ_1M, SZ_4K } }, 2 },
};

KUNIT_ARRAY_PARAM_DESC(walk, walk_params, name);

#define MAX_EDGES	(7 * 6)

/* Places near which a walk could go wrong, in no order, some twice. */
static size_t collect_edges(const struct walk_param *p, u64 *edges)
{
	static const s64 near[] = { -(s64)PAGE_SIZE, -1, 0, 1, PAGE_SIZE - 1,
				    PAGE_SIZE, PAGE_SIZE + 1 };
	u64 size = mock_sum(p->vec, p->nr);
	u64 start = 0;
	size_t i, j, nr = 0;

	for (i = 0; i <= p->nr; i++) {
		for (j = 0; j < ARRAY_SIZE(near); j++)
			if (start + near[j] <= size)
				edges[nr++] = start + near[j];
		if (i < p->nr)
			start += p->vec[i].len;
	}
	return nr;
}

/* Every slice whose ends are near the edges of ranges. */
static void walk_edges(struct kunit *test)
{
	const struct walk_param *p = test->param_value;
	u64 edges[MAX_EDGES];
	size_t nr = collect_edges(p, edges);
	size_t i, j;

	for (i = 0; i < nr; i++)
		for (j = 0; j < nr; j++)
			if (edges[i] < edges[j])
				expect_walk(test, p->vec, p->nr, edges[i],
					    edges[j] - edges[i]);
}

/* Byte by byte: what the cursor says of each byte of the slice. */
static unsigned int count_wrong_bytes(const struct phys_vec *vec, size_t nr,
				      u64 offset, u64 len, u64 step)
{
	struct dma_buf_phys_ranges ranges = { .vec = vec, .nr = nr };
	struct dma_buf_phys_cursor cursor;
	unsigned int wrong = 0;
	struct phys_vec run;
	u64 pos = 0, at;

	phys_cursor_start(&cursor, &ranges, offset, len);
	while (phys_cursor_next(&cursor, &run)) {
		for (at = 0; at < run.len; at += step)
			wrong += run.paddr + at !=
				 mock_paddr(vec, offset + pos + at);
		pos += run.len;
	}
	return wrong + (pos != len);
}

static const struct phys_vec small_list[] = {
	{ SZ_1M, SZ_4K }, { SZ_1M + SZ_4K, SZ_4K }, { SZ_4M, SZ_4K },
	{ SZ_1M, SZ_4K },
};

static void walk_every_byte(struct kunit *test)
{
	static const u64 firsts[] = { 0, 1, 4095, 4096, 4097, 8191, 8192 };
	const u64 size = mock_sum(small_list, ARRAY_SIZE(small_list));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(firsts); i++)
		KUNIT_EXPECT_EQ(test, 0,
				count_wrong_bytes(small_list,
						  ARRAY_SIZE(small_list),
						  firsts[i], size - firsts[i],
						  1));
}

/* Every slice in steps that are no divisor of anything. */
static void walk_every_slice(struct kunit *test)
{
	const u64 size = mock_sum(small_list, ARRAY_SIZE(small_list));
	const u64 step = 127;
	u64 offset, len;

	for (offset = 0; offset < size; offset += step)
		for (len = 1; offset + len <= size; len += step)
			if (count_wrong_bytes(small_list,
					      ARRAY_SIZE(small_list), offset,
					      len, 1021))
				KUNIT_FAIL(test, "offset %llu length %llu",
					   offset, len);
}

static void walk_nothing(struct kunit *test)
{
	struct dma_buf_phys_ranges ranges = { .vec = small_list, .nr = 4 };
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;
	u64 offset;

	for (offset = 0; offset <= SZ_16K; offset += SZ_2K) {
		phys_cursor_start(&cursor, &ranges, offset, 0);
		KUNIT_EXPECT_FALSE(test, phys_cursor_next(&cursor, &run));
	}
}

/* A range up to the last byte, and one from byte 0, are not adjacent. */
static void walk_over_the_top(struct kunit *test)
{
	static const struct phys_vec vec[] = {
		{ TOP_PAGE, SZ_4K }, { 0, SZ_4K },
	};
	struct dma_buf_phys_ranges ranges = {
		.vec = vec,
		.nr = ARRAY_SIZE(vec),
		.kind = RAM,
	};
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;

	if (phys_ranges_check(&ranges, SZ_8K))
		return;		/* refused, just as well */

	phys_cursor_start(&cursor, &ranges, 0, SZ_8K);
	KUNIT_ASSERT_TRUE(test, phys_cursor_next(&cursor, &run));
	KUNIT_EXPECT_EQ(test, run.paddr, TOP_PAGE);
	KUNIT_EXPECT_EQ(test, run.len, SZ_4K);
}

/*
 * Random lists
 */

static u32 below(struct rnd_state *rnd, u32 ceil)
{
	return prandom_u32_state(rnd) % ceil;
}

/* One range in three continues the one before, some repeat an earlier one. */
static void random_list(struct rnd_state *rnd, struct phys_vec *vec, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		vec[i].len = (1 + below(rnd, 16)) * PAGE_SIZE;
		if (i && !below(rnd, 3))
			vec[i].paddr = vec[i - 1].paddr + vec[i - 1].len;
		else if (i && !below(rnd, 4))
			vec[i].paddr = vec[below(rnd, i)].paddr;
		else
			vec[i].paddr = (u64)below(rnd, 1U << 30) << PAGE_SHIFT;
	}
}

struct random_param {
	const char *name;
	u32 seed;
	u32 unit;	/* of offset and length */
};

static const struct random_param random_params[] = {
	{ "pages", 1, SZ_4K },
	{ "pages, another seed", 2, SZ_4K },
	{ "sectors", 3, 512 },
	{ "bytes", 4, 1 },
};

KUNIT_ARRAY_PARAM_DESC(random, random_params, name);

#define NR_LISTS	1000
#define NR_SLICES	8

static void walk_random(struct kunit *test)
{
	const struct random_param *p = test->param_value;
	struct phys_vec *vec, *runs;
	struct rnd_state rnd;
	u64 units, offset, len;
	unsigned int i, j;
	size_t nr;

	vec = kunit_kcalloc(test, 2 * MAX_NR, sizeof(*vec), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vec);
	runs = vec + MAX_NR;
	prandom_seed_state(&rnd, p->seed);

	for (i = 0; i < NR_LISTS; i++) {
		nr = 1 + below(&rnd, MAX_NR);
		random_list(&rnd, vec, nr);
		units = mock_sum(vec, nr) / p->unit;
		for (j = 0; j < NR_SLICES; j++) {
			offset = below(&rnd, units);
			len = 1 + below(&rnd, units - offset);
			if (!walk_agrees(vec, nr, offset * p->unit,
					 len * p->unit, runs))
				KUNIT_FAIL(test, "list %u slice %u", i, j);
		}
	}
}

/*
 * Finding a byte
 */

struct find_param {
	const char *name;
	size_t nr;
	bool fixed;	/* for the life of the buffer */
};

static const struct find_param find_params[] = {
	{ "one range", 1, true },
	{ "one less than a step", PHYS_INDEX_STEP - 1, true },
	{ "a step", PHYS_INDEX_STEP, true },
	{ "one more", PHYS_INDEX_STEP + 1, true },
	{ "two steps", 2 * PHYS_INDEX_STEP, true },
	{ "one more than two", 2 * PHYS_INDEX_STEP + 1, true },
	{ "many steps", 64 * PHYS_INDEX_STEP, true },
	{ "many, and a part of one", 79 * PHYS_INDEX_STEP - 13, true },
	{ "one more, lent anew each time", PHYS_INDEX_STEP + 1, false },
	{ "many, lent anew each time", 9 * PHYS_INDEX_STEP - 13, false },
};

KUNIT_ARRAY_PARAM_DESC(find, find_params, name);

static struct phys_vec *find_list(struct kunit *test, size_t nr)
{
	struct phys_vec *vec = kunit_kcalloc(test, nr, sizeof(*vec),
					     GFP_KERNEL);
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, vec);
	prandom_seed_state(&rnd, nr);
	random_list(&rnd, vec, nr);
	return vec;
}

/* What the core makes of a list. */
static struct dma_buf_phys_ranges find_ranges(struct kunit *test,
					      const struct phys_vec *vec,
					      size_t nr, bool fixed)
{
	const struct mock_buffer buffer = {
		.vec = vec,
		.nr = nr,
		.fixed = fixed,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);
	struct dma_buf_phys_ranges ranges;
	int ret;

	dma_resv_lock(exp->dmabuf->resv, NULL);
	ret = phys_ranges_peek(exp->dmabuf, &ranges);
	if (!ret && exp->ops.put_ranges)
		exp->ops.put_ranges(exp->dmabuf, &ranges);
	dma_resv_unlock(exp->dmabuf->resv);
	KUNIT_ASSERT_EQ(test, ret, 0);
	return ranges;
}

static bool find_is(const struct dma_buf_phys_ranges *ranges, u64 offset,
		    phys_addr_t paddr)
{
	struct dma_buf_phys_cursor cursor;
	struct phys_vec run;

	phys_cursor_start(&cursor, ranges, offset, 1);
	return phys_cursor_next(&cursor, &run) && run.paddr == paddr &&
	       run.len == 1;
}

/* Of @nr ranges, of which the first one begins at @begin. */
static unsigned int find_wrong(const struct dma_buf_phys_ranges *ranges,
			       u64 begin, const struct phys_vec *vec, size_t nr)
{
	unsigned int wrong = 0;
	size_t at[3], i, j;

	for (i = 0; i < nr; begin += vec[i++].len) {
		at[0] = 0;
		at[1] = vec[i].len / 2 + 1;
		at[2] = vec[i].len - 1;
		for (j = 0; j < ARRAY_SIZE(at); j++)
			wrong += !find_is(ranges, begin + at[j],
					  vec[i].paddr + at[j]);
	}
	return wrong;
}

/* The first byte of each range, one in the middle and the last one. */
static void find_byte(struct kunit *test)
{
	const struct find_param *p = test->param_value;
	const struct phys_vec *vec = find_list(test, p->nr);
	struct dma_buf_phys_ranges ranges = find_ranges(test, vec, p->nr,
							p->fixed);

	KUNIT_EXPECT_EQ(test, !!ranges.index,
			p->fixed && p->nr > PHYS_INDEX_STEP);
	KUNIT_EXPECT_EQ(test, find_wrong(&ranges, 0, vec, p->nr), 0);
}

/*
 * Of a long list, no more than the step of the byte is looked at: any other range
 * would be an endless one.
 */
static void find_looks_at_one_step(struct kunit *test)
{
	const struct phys_vec endless = { 0, ~(size_t)0 };
	const size_t nr = 70 * PHYS_INDEX_STEP - 1;
	const struct phys_vec *vec = find_list(test, nr);
	struct phys_vec *lent = find_list(test, nr);
	struct dma_buf_phys_ranges ranges = find_ranges(test, lent, nr, true);
	size_t first, len, i;
	u64 begin = 0;

	for (i = 0; i < nr; i++)
		lent[i] = endless;
	for (first = 0; first < nr; first += len) {
		len = min_t(size_t, nr - first, PHYS_INDEX_STEP);
		memcpy(lent + first, vec + first, len * sizeof(*vec));
		KUNIT_EXPECT_EQ_MSG(test, 0,
				    find_wrong(&ranges, begin, vec + first, len),
				    "from range %zu on", first);
		begin += mock_sum(vec + first, len);
		for (i = 0; i < len; i++)
			lent[first + i] = endless;
	}
}

static struct kunit_case ranges_cases[] = {
	KUNIT_CASE_PARAM(check_list, check_gen_params),
	KUNIT_CASE_PARAM(walk_edges, walk_gen_params),
	KUNIT_CASE(walk_every_byte),
	KUNIT_CASE(walk_every_slice),
	KUNIT_CASE(walk_nothing),
	KUNIT_CASE(walk_over_the_top),
	KUNIT_CASE_PARAM(walk_random, random_gen_params),
	KUNIT_CASE_PARAM(find_byte, find_gen_params),
	KUNIT_CASE(find_looks_at_one_step),
	{}
};

static struct kunit_suite ranges_suite = {
	.name = "dma-buf-phys-ranges",
	.test_cases = ranges_cases,
};

kunit_test_suite(ranges_suite);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("KUnit tests of dma-buf-phys");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: states, and waiting for importers
 *
 * Whether a buffer is live is asked in two ways: a DMA view can be mapped, and
 * a domain view, registered once, translates.
 */
#include <kunit/resource.h>
#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "dma-buf-phys-mock.h"

#define BOTH_VIEWS	(DMA_BUF_PHYS_VIEW_DMA | DMA_BUF_PHYS_VIEW_DOMAIN)
#define IOVA		SZ_1G

static const struct phys_vec list[] = {
	{ SZ_4G, SZ_8K }, { SZ_8G, SZ_4K }, { SZ_1G, SZ_4K },
};

#define LIST_SIZE	SZ_16K

/* One buffer, one importer of each kind, one domain view of all. */
struct stage {
	struct kunit *test;
	struct mock_exporter *exp;
	struct mock_importer *imp;
	struct mock_domain *dom;
	struct dma_buf_phys_domain_map *map;
};

static void register_in_domain(struct stage *s)
{
	s->map = mock_map_domain(s->imp, s->dom, IOVA, 0, LIST_SIZE, MOCK_PROT,
				 false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(s->test, s->map);
}

/* If it starts suspended, there is no domain view yet. */
static struct stage *set_stage(struct kunit *test, unsigned long suspended)
{
	const struct mock_buffer buffer = {
		.vec = list,
		.nr = ARRAY_SIZE(list),
		.kind = DMA_BUF_PHYS_RAM,
		.suspended = suspended,
	};
	struct stage *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->test = test;
	s->exp = mock_export(test, &buffer);
	s->imp = mock_attach(test, s->exp->dmabuf, BOTH_VIEWS);
	s->dom = mock_domain(test, SZ_4K);
	if (s->imp->pinned)
		register_in_domain(s);
	return s;
}

/* Whether exporter, domain and DMA view all think that it is @live. */
static void expect_live(struct stage *s, bool live)
{
	struct mock_exporter *exp = s->exp;
	int ret;

	KUNIT_EXPECT_EQ(s->test, s->dom->mapped, live ? LIST_SIZE : 0);
	KUNIT_EXPECT_EQ(s->test, exp->nr_get - exp->nr_put, live);
	ret = mock_map_dma(s->imp, 0, LIST_SIZE);
	KUNIT_EXPECT_EQ(s->test, ret, live ? 0 : -ENODEV);
	KUNIT_EXPECT_EQ(s->test, exp->nr_get - exp->nr_put, live * 2);
	mock_unmap_dma(s->imp);
	if (live)
		mock_expect_translates(s->dom, list, IOVA, 0, LIST_SIZE,
				       MOCK_PROT);
}

/* The @nr-th of the 24 orders of four things. */
static void nth_order(unsigned int nr, unsigned long *order)
{
	unsigned int i, j, left = MOCK_NR_REASONS;
	unsigned long pool[MOCK_NR_REASONS];

	for (i = 0; i < left; i++)
		pool[i] = BIT(i);
	for (i = 0; left; i++) {
		j = nr % left;
		nr /= left;
		order[i] = pool[j];
		pool[j] = pool[--left];
	}
}

static void suspend_and_restore(struct stage *s, const unsigned long *down,
				const unsigned long *up)
{
	unsigned int invalidated = s->imp->nr_invalidate;
	unsigned int i;

	for (i = 0; i < MOCK_NR_REASONS; i++) {
		dma_buf_phys_suspend(s->exp->dmabuf, down[i]);
		KUNIT_EXPECT_EQ(s->test, s->dom->mapped, 0);
	}
	KUNIT_EXPECT_EQ(s->test, s->imp->nr_invalidate, invalidated + 1);
	for (i = 0; i < MOCK_NR_REASONS; i++) {
		KUNIT_EXPECT_EQ(s->test, s->dom->mapped, 0);
		KUNIT_EXPECT_EQ(s->test, mock_map_dma(s->imp, 0, SZ_4K),
				-ENODEV);
		dma_buf_phys_restore(s->exp->dmabuf, up[i]);
	}
	KUNIT_EXPECT_EQ(s->test, s->dom->mapped, LIST_SIZE);
}

static void every_order(struct kunit *test)
{
	unsigned long down[MOCK_NR_REASONS], up[MOCK_NR_REASONS];
	struct stage *s = set_stage(test, 0);
	unsigned int i, j;

	for (i = 0; i < 24; i++) {
		nth_order(i, down);
		for (j = 0; j < 24; j++) {
			nth_order(j, up);
			suspend_and_restore(s, down, up);
		}
		expect_live(s, true);
	}
}

static void random_walk(struct kunit *test)
{
	struct stage *s = set_stage(test, 0);
	unsigned long reason, set = 0;
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 5);
	for (i = 0; i < 500; i++) {
		reason = BIT(prandom_u32_state(&rnd) % MOCK_NR_REASONS);
		if (prandom_u32_state(&rnd) % 2) {
			dma_buf_phys_suspend(s->exp->dmabuf, reason);
			set |= reason;
		} else {
			dma_buf_phys_restore(s->exp->dmabuf, reason);
			set &= ~reason;
		}
		expect_live(s, !set);
	}
}

/*
 * One set of reasons
 */

struct set_param {
	const char *name;
	unsigned long set;
};

#define RST DMA_BUF_PHYS_RESET
#define PWR DMA_BUF_PHYS_POWER
#define DEC DMA_BUF_PHYS_DECODE
#define OWN DMA_BUF_PHYS_OWNER

static const struct set_param set_params[] = {
	{ "live", 0 },
	{ "reset", RST },
	{ "power", PWR },
	{ "reset power", RST | PWR },
	{ "decode", DEC },
	{ "reset decode", RST | DEC },
	{ "power decode", PWR | DEC },
	{ "reset power decode", RST | PWR | DEC },
	{ "owner", OWN },
	{ "reset owner", RST | OWN },
	{ "power owner", PWR | OWN },
	{ "reset power owner", RST | PWR | OWN },
	{ "decode owner", DEC | OWN },
	{ "reset decode owner", RST | DEC | OWN },
	{ "power decode owner", PWR | DEC | OWN },
	{ "all", MOCK_ALL_REASONS },
};

KUNIT_ARRAY_PARAM_DESC(set, set_params, name);

static void change_all(struct stage *s, unsigned long set,
		       void (*change)(struct dma_buf *dmabuf,
				      enum dma_buf_phys_reason reason))
{
	unsigned int i;

	for (i = 0; i < MOCK_NR_REASONS; i++)
		if (set & BIT(i))
			change(s->exp->dmabuf, BIT(i));
}

static void start_suspended(struct kunit *test)
{
	const struct set_param *p = test->param_value;
	struct stage *s = set_stage(test, p->set);

	expect_live(s, !p->set);
	change_all(s, MOCK_ALL_REASONS & ~p->set, dma_buf_phys_restore);
	expect_live(s, !p->set);
	if (p->set)
		KUNIT_EXPECT_EQ(test, mock_pin_for_domain(s->imp), -ENODEV);
	change_all(s, p->set, dma_buf_phys_restore);
	if (p->set) {
		KUNIT_ASSERT_EQ(test, mock_pin_for_domain(s->imp), 0);
		register_in_domain(s);
	}
	expect_live(s, true);
	KUNIT_EXPECT_EQ(test, s->imp->nr_invalidate, 0);
}

static void suspend_twice(struct kunit *test)
{
	const struct set_param *p = test->param_value;
	struct stage *s = set_stage(test, 0);

	change_all(s, p->set, dma_buf_phys_suspend);
	change_all(s, p->set, dma_buf_phys_suspend);
	expect_live(s, !p->set);
	KUNIT_EXPECT_EQ(test, s->imp->nr_invalidate, !!p->set);
	change_all(s, p->set, dma_buf_phys_restore);
	expect_live(s, true);
	change_all(s, MOCK_ALL_REASONS, dma_buf_phys_restore);
	expect_live(s, true);
	KUNIT_EXPECT_EQ(test, s->dom->nr_map,
			ARRAY_SIZE(list) * (p->set ? 2 : 1));
}

static void expect_gone(struct stage *s)
{
	struct dma_buf *dmabuf = s->exp->dmabuf;
	struct mock_importer *imp;

	expect_live(s, false);
	imp = mock_try_attach(s->test, dmabuf, mock_device(s->test, "late"),
			      BOTH_VIEWS, &mock_stoppable);
	KUNIT_EXPECT_EQ(s->test, PTR_ERR_OR_ZERO(imp), -ENODEV);

	dma_resv_lock(dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(s->test, dma_buf_phys_pin(s->imp->attach), -ENODEV);
	dma_resv_unlock(dmabuf->resv);
}

/* The exporter's end proves that get_ranges() is not called after revoke. */
static void revoke(struct kunit *test)
{
	const struct set_param *p = test->param_value;
	struct stage *s = set_stage(test, 0);
	struct dma_buf_phys_domain_map *late;

	change_all(s, p->set, dma_buf_phys_suspend);
	mock_revoke(s->exp);
	expect_gone(s);
	KUNIT_EXPECT_EQ(test, s->imp->nr_invalidate, 1);

	late = mock_map_domain(s->imp, s->dom, IOVA + SZ_1M, 0, SZ_4K,
			       MOCK_PROT, false);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, late);

	change_all(s, MOCK_ALL_REASONS, dma_buf_phys_restore);
	expect_gone(s);
	change_all(s, MOCK_ALL_REASONS, dma_buf_phys_suspend);
	change_all(s, MOCK_ALL_REASONS, dma_buf_phys_restore);
	mock_revoke(s->exp);
	expect_gone(s);
	KUNIT_EXPECT_EQ(test, s->imp->nr_invalidate, 1);
}

static void revoke_at_birth(struct kunit *test)
{
	const struct set_param *p = test->param_value;
	const struct mock_buffer buffer = {
		.vec = list,
		.nr = ARRAY_SIZE(list),
		.suspended = p->set,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);

	mock_revoke(exp);
	KUNIT_EXPECT_EQ(test, exp->nr_get, 0);
}

/* A pin outlives suspend and revoke; unpin is right in any state. */
static void pin(struct kunit *test)
{
	struct stage *s = set_stage(test, 0);
	struct dma_resv *resv = s->exp->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(s->imp->attach), 0);
	dma_resv_unlock(resv);

	dma_buf_phys_suspend(s->exp->dmabuf, RST);
	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_pin(s->imp->attach), -ENODEV);
	dma_resv_unlock(resv);

	mock_revoke(s->exp);
	dma_resv_lock(resv, NULL);
	dma_buf_phys_unpin(s->imp->attach);
	dma_resv_unlock(resv);
}

/*
 * Waiting
 */

struct wait_param {
	const char *name;
	unsigned int delay_ms;	/* of the importer's unmap, 0: at once */
	unsigned int fence_ms;	/* until the fence signals, 0: no fence */
	bool revoke;
};

static const struct wait_param wait_params[] = {
	{ "suspend, unmap in invalidate", 0, 0, false },
	{ "revoke, unmap in invalidate", 0, 0, true },
	{ "suspend, unmap later", 50, 0, false },
	{ "revoke, unmap later", 50, 0, true },
	{ "suspend, fence", 0, 50, false },
	{ "revoke, fence", 0, 50, true },
	{ "suspend, fence then unmap", 100, 50, false },
	{ "suspend, unmap then fence", 50, 100, false },
	{ "suspend, unmap after the first report", 1400, 0, false },
	{ "revoke, fence after the first report", 0, 1400, true },
};

KUNIT_ARRAY_PARAM_DESC(wait, wait_params, name);

static void wait_for_importer(struct kunit *test)
{
	const struct wait_param *p = test->param_value;
	struct stage *s = set_stage(test, 0);
	struct dma_fence *fence = NULL;

	s->imp->delay_ms = p->delay_ms;
	KUNIT_ASSERT_EQ(test, mock_map_dma(s->imp, 0, LIST_SIZE), 0);
	if (p->fence_ms)
		fence = mock_fence_in(test, s->exp->dmabuf,
				      DMA_RESV_USAGE_BOOKKEEP, p->fence_ms);
	if (p->revoke)
		mock_revoke(s->exp);
	else
		dma_buf_phys_suspend(s->exp->dmabuf, RST);

	KUNIT_EXPECT_FALSE(test, s->imp->mapped);
	KUNIT_EXPECT_EQ(test, s->imp->nr_invalidate, 1);
	KUNIT_EXPECT_EQ(test, s->exp->nr_get, s->exp->nr_put);
	if (fence)
		KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(fence));
	expect_live(s, false);
}

struct fence_param {
	const char *name;
	enum dma_resv_usage usage;
	bool waits;
};

static const struct fence_param fence_params[] = {
	{ "kernel", DMA_RESV_USAGE_KERNEL, true },
	{ "write", DMA_RESV_USAGE_WRITE, false },
	{ "read", DMA_RESV_USAGE_READ, false },
	{ "bookkeep", DMA_RESV_USAGE_BOOKKEEP, false },
};

KUNIT_ARRAY_PARAM_DESC(fence, fence_params, name);

/* Map waits for KERNEL fences and for no other. */
static void map_waits_for_fence(struct kunit *test)
{
	const struct fence_param *p = test->param_value;
	struct stage *s = set_stage(test, 0);
	struct dma_buf_phys_domain_map *map;
	struct dma_fence *fence;

	fence = mock_fence_in(test, s->exp->dmabuf, p->usage, 200);
	KUNIT_ASSERT_EQ(test, mock_map_dma(s->imp, 0, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, dma_fence_is_signaled(fence), p->waits);
	mock_unmap_dma(s->imp);

	fence = mock_fence_in(test, s->exp->dmabuf, p->usage, 200);
	map = mock_map_domain(s->imp, s->dom, 0, 0, SZ_4K, MOCK_PROT, false);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	KUNIT_EXPECT_EQ(test, dma_fence_is_signaled(fence), p->waits);
}

/* A signal ends the wait of map; nothing is mapped then. */
static void map_is_interruptible(struct kunit *test)
{
	struct stage *s = set_stage(test, 0);
	struct dma_buf_phys_domain_map *map;
	u64 mapped = s->dom->mapped;

	mock_fence(test, s->exp->dmabuf, DMA_RESV_USAGE_KERNEL);
	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 1);
	KUNIT_EXPECT_EQ(test, mock_map_dma(s->imp, 0, SZ_4K), -ERESTARTSYS);
	map = mock_map_domain(s->imp, s->dom, 0, 0, SZ_4K, MOCK_PROT, false);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -ERESTARTSYS);
	flush_signals(current);
	disallow_signal(SIGUSR1);

	KUNIT_EXPECT_EQ(test, s->dom->mapped, mapped);
	KUNIT_EXPECT_EQ(test, s->exp->nr_get - s->exp->nr_put, 1);
}

/* Suspend waits even if somebody else changed the state before. */
static void second_suspend_waits(struct kunit *test)
{
	struct stage *s = set_stage(test, 0);
	struct dma_fence *fence;

	dma_buf_phys_suspend(s->exp->dmabuf, PWR);
	fence = mock_fence_in(test, s->exp->dmabuf, DMA_RESV_USAGE_BOOKKEEP, 50);
	dma_buf_phys_suspend(s->exp->dmabuf, RST);
	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(fence));
}

static int suspender(void *data)
{
	struct stage *s = data;

	dma_buf_phys_suspend(s->exp->dmabuf, RST);
	return 0;
}

/* Nothing but unmap ends the wait. */
static void suspend_does_not_give_up(struct kunit *test)
{
	struct stage *s = set_stage(test, 0);
	struct task_struct *task;

	s->imp->lazy = true;
	KUNIT_ASSERT_EQ(test, mock_map_dma(s->imp, 0, LIST_SIZE), 0);
	task = kthread_run(suspender, s, "mock-suspender");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	msleep(300);
	KUNIT_EXPECT_EQ(test, s->imp->nr_invalidate, 1);
	KUNIT_EXPECT_EQ(test, s->dom->mapped, 0);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(task->exit_state));
	KUNIT_EXPECT_EQ(test, s->exp->nr_get - s->exp->nr_put, 1);

	mock_unmap_dma(s->imp);
	kthread_stop_put(task);
	expect_live(s, false);
}

struct stopper {
	struct stage *stage;
	struct completion done;
};

static int stop_and_tell(void *data)
{
	struct stopper *stop = data;

	dma_buf_phys_suspend(stop->stage->exp->dmabuf, RST);
	complete(&stop->done);
	return 0;
}

/* Fences that come after invalidate cannot hold up the exporter for ever. */
static void later_fences_do_not_count(struct kunit *test)
{
	struct stopper stop = { .stage = set_stage(test, 0) };
	struct mock_importer *imp = stop.stage->imp;
	struct task_struct *task;
	struct dma_fence *fence;

	init_completion(&stop.done);
	imp->lazy = true;
	KUNIT_ASSERT_EQ(test, mock_map_dma(imp, 0, LIST_SIZE), 0);
	task = kthread_run(stop_and_tell, &stop, "mock-stopper");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	while (!READ_ONCE(imp->nr_invalidate))
		msleep(20);

	/* Takes resv, so that it comes after the whole critical section. */
	fence = mock_fence(test, stop.stage->exp->dmabuf,
			   DMA_RESV_USAGE_BOOKKEEP);
	/* The wait looks at the fences again each second. */
	msleep(1500);
	mock_unmap_dma(imp);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&stop.done, 10 * HZ),
			0);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(fence));
	dma_fence_signal(fence);
	kthread_stop_put(task);
}

/*
 * Racing
 */

static int racer(void *data)
{
	struct stage *s = data;
	unsigned int i;

	for (i = 0; !kthread_should_stop(); i++) {
		if (i % 2)
			mock_unmap_dma(s->imp);
		else
			mock_map_dma(s->imp, SZ_4K, SZ_8K);
		usleep_range(5, 50);
	}
	mock_unmap_dma(s->imp);
	return 0;
}

/* Whatever importers do, nothing is mapped when suspend returns. */
static void race_map_against_suspend(struct kunit *test)
{
	struct stage *s = set_stage(test, 0);
	struct task_struct *task;
	unsigned int i;

	task = kthread_run(racer, s, "mock-racer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < 100; i++) {
		dma_buf_phys_suspend(s->exp->dmabuf, BIT(i % 4));
		KUNIT_EXPECT_EQ(test, s->exp->nr_get, s->exp->nr_put);
		KUNIT_EXPECT_EQ(test, s->dom->mapped, 0);
		dma_buf_phys_restore(s->exp->dmabuf, BIT(i % 4));
		usleep_range(10, 500);
	}
	kthread_stop(task);
	expect_live(s, true);
}

static struct kunit_case states_cases[] = {
	KUNIT_CASE_SLOW(every_order),
	KUNIT_CASE_SLOW(random_walk),
	KUNIT_CASE_PARAM(start_suspended, set_gen_params),
	KUNIT_CASE_PARAM(suspend_twice, set_gen_params),
	KUNIT_CASE_PARAM(revoke, set_gen_params),
	KUNIT_CASE_PARAM(revoke_at_birth, set_gen_params),
	KUNIT_CASE(pin),
	KUNIT_CASE_PARAM_ATTR(wait_for_importer, wait_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(map_waits_for_fence, fence_gen_params),
	KUNIT_CASE(map_is_interruptible),
	KUNIT_CASE(second_suspend_waits),
	KUNIT_CASE(suspend_does_not_give_up),
	KUNIT_CASE_SLOW(later_fences_do_not_count),
	KUNIT_CASE_SLOW(race_map_against_suspend),
	{}
};

static struct kunit_suite states_suite = {
	.name = "dma-buf-phys-states",
	.test_cases = states_cases,
};

kunit_test_suite(states_suite);

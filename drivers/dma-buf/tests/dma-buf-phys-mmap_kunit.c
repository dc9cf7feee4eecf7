// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: mmap of a buffer
 *
 * The thread of a test gets an address space of its own, maps a mock buffer there
 * and accesses it as the kernel accesses user memory. What would be a SIGBUS for
 * a process is -EFAULT for the kernel. The memory is real pages, of which each
 * holds bytes of its own; where it is MMIO, nothing is accessed.
 */
#include <kunit/resource.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "dma-buf-phys-mock.h"

#define MMIO		DMA_BUF_PHYS_MMIO
#define RAM		DMA_BUF_PHYS_RAM
#define NR_PAGES	4
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define RW		(PROT_READ | PROT_WRITE)
#define COPY_MS		100

/* Pages of memory, and the ranges that lend them in an order of their own. */
struct memory {
	u8 *page[NR_PAGES];
	struct phys_vec vec[NR_PAGES];
};

static struct memory *memory(struct kunit *test, u8 first)
{
	struct memory *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (i = 0; i < NR_PAGES; i++) {
		m->page[i] = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, m->page[i]);
		KUNIT_ASSERT_TRUE(test, PAGE_ALIGNED(m->page[i]));
		memset(m->page[i], first + i, PAGE_SIZE);
		m->vec[i] = (struct phys_vec) { virt_to_phys(m->page[i]),
						PAGE_SIZE };
	}
	return m;
}

static struct mock_exporter *export_memory(struct kunit *test,
					   const struct memory *m)
{
	const struct mock_buffer buffer = {
		.vec = m->vec, .nr = NR_PAGES, .kind = RAM, .moves = true,
	};

	return mock_export(test, &buffer);
}

static struct mock_exporter *export_mmio(struct kunit *test)
{
	static const struct phys_vec vec[] = { { SZ_4G, SZ_8K },
					       { SZ_8G, SZ_8K } };
	const struct mock_buffer buffer = {
		.vec = vec, .nr = ARRAY_SIZE(vec), .kind = MMIO,
	};

	return mock_export(test, &buffer);
}

/* Where it is mapped, or -errno. */
static unsigned long map_part(struct kunit *test, struct mock_exporter *exp,
			      unsigned long first, unsigned long nr)
{
	return kunit_vm_mmap(test, exp->dmabuf->file, 0, nr * PAGE_SIZE, RW,
			     MAP_SHARED, first * PAGE_SIZE);
}

static unsigned long map_all(struct kunit *test, struct mock_exporter *exp)
{
	unsigned long addr = map_part(test, exp, 0, SIZE / PAGE_SIZE);

	KUNIT_ASSERT_NE(test, addr, 0);
	return addr;
}

/* mmap() that is to fail, and its errno. */
static long try_map(struct mock_exporter *exp, unsigned long len,
		    unsigned long prot, unsigned long flags,
		    unsigned long offset)
{
	long addr = kunit_attach_mm();

	if (!addr)
		addr = vm_mmap(exp->dmabuf->file, 0, len, prot, flags, offset);
	if (addr > 0)
		vm_munmap(addr, len);
	return addr > 0 ? 0 : addr;
}

/* The byte that a process reads, or -EFAULT. */
static int peek(unsigned long addr)
{
	u8 byte;

	return get_user(byte, (u8 __user *)addr) ?: byte;
}

static int poke(unsigned long addr, u8 byte)
{
	return put_user(byte, (u8 __user *)addr);
}

/* Every byte is where the order of the ranges puts it, and written there. */
static void in_order(struct kunit *test)
{
	struct memory *m = memory(test, 0x10);
	struct mock_exporter *exp = export_memory(test, m);
	unsigned long addr = map_all(test, exp);
	unsigned int i;

	for (i = 0; i < NR_PAGES; i++) {
		unsigned long page = addr + i * PAGE_SIZE;

		KUNIT_EXPECT_EQ(test, peek(page), 0x10 + i);
		KUNIT_EXPECT_EQ(test, peek(page + PAGE_SIZE - 1), 0x10 + i);
		KUNIT_EXPECT_EQ(test, poke(page + 5, 0x80 + i), 0);
		KUNIT_EXPECT_EQ(test, m->page[i][5], 0x80 + i);
		KUNIT_EXPECT_EQ(test, m->page[i][4], 0x10 + i);
	}
}

struct part_param {
	const char *name;
	unsigned long first, nr;
};

static const struct part_param part_params[] = {
	{ "first page", 0, 1 },
	{ "last page", 3, 1 },
	{ "in the middle", 1, 2 },
	{ "all but the first", 1, 3 },
};

KUNIT_ARRAY_PARAM_DESC(part, part_params, name);

static void part(struct kunit *test)
{
	const struct part_param *p = test->param_value;
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	unsigned long addr = map_part(test, exp, p->first, p->nr);
	unsigned long i;

	KUNIT_ASSERT_NE(test, addr, 0);
	for (i = 0; i < p->nr; i++)
		KUNIT_EXPECT_EQ(test, peek(addr + i * PAGE_SIZE),
				0x10 + p->first + i);
}

struct refused_param {
	const char *name;
	unsigned long len, prot, flags, offset;
	int error;
};

static const struct refused_param refused_params[] = {
	{ "private", SIZE, RW, MAP_PRIVATE, 0, -EINVAL },
	{ "executable", SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, 0, -EPERM },
	{ "too long", SIZE + PAGE_SIZE, RW, MAP_SHARED, 0, -EINVAL },
	{ "past the end", PAGE_SIZE, RW, MAP_SHARED, SIZE, -EINVAL },
	{ "across the end", 2 * PAGE_SIZE, RW, MAP_SHARED, SIZE - PAGE_SIZE,
	  -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(refused, refused_params, name);

static void refused(struct kunit *test)
{
	const struct refused_param *p = test->param_value;
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));

	KUNIT_EXPECT_EQ(test, p->error, try_map(exp, p->len, p->prot, p->flags,
						p->offset));
}

/* Reasons come and go; a page is there when there is none. */
static void suspended(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	unsigned long addr = map_all(test, exp);

	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	KUNIT_EXPECT_EQ(test, poke(addr, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, peek(addr + PAGE_SIZE), -EFAULT);
	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_OWNER);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_RESET);
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_OWNER);
	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
	KUNIT_EXPECT_EQ(test, peek(addr + PAGE_SIZE), 0x11);
}

/* It may be mapped before the memory is there. */
static void born_suspended(struct kunit *test)
{
	struct memory *m = memory(test, 0x10);
	const struct mock_buffer buffer = {
		.vec = m->vec, .nr = NR_PAGES, .kind = RAM,
		.suspended = DMA_BUF_PHYS_DECODE,
	};
	struct mock_exporter *exp = mock_export(test, &buffer);
	unsigned long addr = map_all(test, exp);

	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	dma_buf_phys_restore(exp->dmabuf, DMA_BUF_PHYS_DECODE);
	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
}

static void revoked(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	unsigned long addr = map_all(test, exp);

	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
	mock_revoke(exp);
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	KUNIT_EXPECT_EQ(test, peek(addr + PAGE_SIZE), -EFAULT);
	KUNIT_EXPECT_EQ(test, -ENODEV, try_map(exp, SIZE, RW, MAP_SHARED, 0));
}

static void move_to(struct kunit *test, struct mock_exporter *exp,
		    const struct memory *m)
{
	dma_resv_lock(exp->dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_move(exp->dmabuf), 0);
	mock_lend(exp, m->vec, NR_PAGES, RAM);
	dma_resv_unlock(exp->dmabuf->resv);
}

/* The page that was there is not used any more, the new place is. */
static void moved(struct kunit *test)
{
	struct memory *here = memory(test, 0x10), *there = memory(test, 0x20);
	struct mock_exporter *exp = export_memory(test, here);
	unsigned long addr = map_all(test, exp);

	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
	move_to(test, exp, there);
	KUNIT_EXPECT_EQ(test, peek(addr), 0x20);
	KUNIT_EXPECT_EQ(test, poke(addr, 0x30), 0);
	KUNIT_EXPECT_EQ(test, here->page[0][0], 0x10);
	KUNIT_EXPECT_EQ(test, there->page[0][0], 0x30);
	move_to(test, exp, here);
	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
}

/* An access waits until what it finds has arrived. */
static void waits_for_copy(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	struct memory *there = memory(test, 0x20);
	unsigned long addr = map_all(test, exp);
	struct dma_fence *copy;

	move_to(test, exp, there);
	copy = mock_fence_in(test, exp->dmabuf, DMA_RESV_USAGE_KERNEL, COPY_MS);
	KUNIT_EXPECT_EQ(test, peek(addr), 0x20);
	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(copy));
}

/* What is of no concern for who finds no memory. */
static void suspended_does_not_wait(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	unsigned long addr = map_all(test, exp);
	struct dma_fence *copy;

	dma_buf_phys_suspend(exp->dmabuf, DMA_BUF_PHYS_RESET);
	copy = mock_fence(test, exp->dmabuf, DMA_RESV_USAGE_KERNEL);
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(copy));
}

static void exporter_fails(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	unsigned long addr = map_all(test, exp);

	exp->get_error = -EIO;
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	KUNIT_EXPECT_EQ(test, -EIO, try_map(exp, SIZE, RW, MAP_SHARED, 0));
	exp->get_error = 0;
	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
}

/* At mmap() or, if it has moved there since, at an access. */
static void no_cpu(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	unsigned long addr = map_all(test, exp);

	exp->ranges.no_cpu = true;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			try_map(exp, SIZE, RW, MAP_SHARED, 0));
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
}

/* What the VMA at @addr says of caches. */
static u64 cache_mode(unsigned long addr)
{
	struct vm_area_struct *vma;
	pgprot_t prot = __pgprot(0);

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma)
		prot = vma->vm_page_prot;
	mmap_read_unlock(current->mm);
	return pgprot_val(prot);
}

/* The attribute is taken when mmap() is called. */
static void attribute(struct kunit *test)
{
	struct mock_exporter *exp = export_mmio(test);
	unsigned long uncached = map_all(test, exp), combining;
	pgprot_t prot;

	exp->ranges.write_combine = true;
	combining = map_all(test, exp);
	prot = __pgprot(cache_mode(uncached));
	KUNIT_EXPECT_EQ(test, pgprot_val(prot),
			pgprot_val(pgprot_noncached(prot)));
	prot = __pgprot(cache_mode(combining));
	KUNIT_EXPECT_EQ(test, pgprot_val(prot),
			pgprot_val(pgprot_writecombine(prot)));
	KUNIT_EXPECT_NE(test, cache_mode(uncached), cache_mode(combining));
}

/* A mapping cannot be made executable or larger, nor its memory be copied out. */
static void flags(struct kunit *test)
{
	struct mock_exporter *exp = export_mmio(test);
	unsigned long addr = map_all(test, exp);
	const vm_flags_t want = VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP;
	struct vm_area_struct *vma;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	KUNIT_EXPECT_NOT_NULL(test, vma);
	if (vma) {
		KUNIT_EXPECT_EQ(test, vma->vm_flags & want, want);
		KUNIT_EXPECT_EQ(test, vma->vm_flags & VM_MAYEXEC, 0);
		KUNIT_EXPECT_NULL(test, vma->vm_ops->access);
	}
	mmap_read_unlock(current->mm);
}

/*
 * Who waits, and for whom
 */

/* Another thread of the process, which reads the first byte. */
struct reader {
	struct mm_struct *mm;
	unsigned long addr;
	int byte;
	struct completion done;
};

static int read_one(void *arg)
{
	struct reader *reader = arg;

	kthread_use_mm(reader->mm);
	reader->byte = peek(reader->addr);
	kthread_unuse_mm(reader->mm);
	complete(&reader->done);
	return 0;
}

static bool address_space_is_free(void)
{
	if (!down_write_trylock(&current->mm->mmap_lock))
		return false;
	up_write(&current->mm->mmap_lock);
	return true;
}

/*
 * A fault that finds resv taken, and then a copy under way, keeps nobody from the
 * address space.
 */
static void fault_leaves_address_space(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	struct dma_resv *resv = exp->dmabuf->resv;
	struct reader reader = {
		.addr = map_all(test, exp),
		.done = COMPLETION_INITIALIZER_ONSTACK(reader.done),
	};
	struct dma_fence *copy;
	struct task_struct *task;

	reader.mm = current->mm;
	copy = mock_fence(test, exp->dmabuf, DMA_RESV_USAGE_KERNEL);
	dma_resv_lock(resv, NULL);
	task = kthread_run(read_one, &reader, "reader");
	msleep(COPY_MS);
	KUNIT_EXPECT_TRUE(test, address_space_is_free());
	dma_resv_unlock(resv);
	msleep(COPY_MS);
	KUNIT_EXPECT_TRUE(test, address_space_is_free());
	KUNIT_EXPECT_FALSE(test, completion_done(&reader.done));
	dma_fence_signal(copy);
	if (!IS_ERR(task))
		wait_for_completion(&reader.done);
	KUNIT_EXPECT_EQ(test, reader.byte, 0x10);
}

struct holder {
	struct dma_resv *resv;
	struct completion held, drop, done;
};

static int hold_resv(void *arg)
{
	struct holder *holder = arg;

	dma_resv_lock(holder->resv, NULL);
	complete(&holder->held);
	wait_for_completion(&holder->drop);
	dma_resv_unlock(holder->resv);
	complete(&holder->done);
	return 0;
}

/* All threads wait for an mmap() that waits; a signal ends it. */
static void mmap_is_interruptible(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	struct holder holder = {
		.resv = exp->dmabuf->resv,
		.held = COMPLETION_INITIALIZER_ONSTACK(holder.held),
		.drop = COMPLETION_INITIALIZER_ONSTACK(holder.drop),
		.done = COMPLETION_INITIALIZER_ONSTACK(holder.done),
	};

	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(hold_resv, &holder,
						    "holder")));
	wait_for_completion(&holder.held);
	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 1);
	KUNIT_EXPECT_EQ(test, -EINTR, try_map(exp, SIZE, RW, MAP_SHARED, 0));
	flush_signals(current);
	disallow_signal(SIGUSR1);
	complete(&holder.drop);
	wait_for_completion(&holder.done);
	KUNIT_EXPECT_EQ(test, 0, try_map(exp, SIZE, RW, MAP_SHARED, 0));
}

/* Whether the page at @addr is there without a fault. */
static bool present(struct vm_area_struct *vma, unsigned long addr)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };

	if (follow_pfnmap_start(&args))
		return false;
	follow_pfnmap_end(&args);
	return true;
}

/* No page keeps the attributes that an architecture would make of the VMA's. */
static void mprotect_takes_pages(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	unsigned long addr = map_all(test, exp);
	struct vm_area_struct *vma;

	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
	mmap_write_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma) {
		KUNIT_EXPECT_TRUE(test, present(vma, addr));
		KUNIT_EXPECT_EQ(test, 0, vma->vm_ops->mprotect(vma, addr,
							       addr + PAGE_SIZE,
							       VM_READ));
		KUNIT_EXPECT_FALSE(test, present(vma, addr));
	}
	mmap_write_unlock(current->mm);
	KUNIT_EXPECT_NOT_NULL(test, vma);
	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
}

/* A fatal signal ends the owner's wait, but not what the owner wanted. */
static void owner_is_killed(struct kunit *test)
{
	struct mock_exporter *exp = export_memory(test, memory(test, 0x10));
	struct dma_buf *dmabuf = exp->dmabuf;
	unsigned long addr = map_all(test, exp);
	struct dma_fence *fence;

	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);
	fence = mock_fence(test, dmabuf, DMA_RESV_USAGE_BOOKKEEP);
	allow_signal(SIGKILL);
	send_sig(SIGKILL, current, 1);
	KUNIT_EXPECT_EQ(test, -EINTR,
			dma_buf_phys_suspend_killable(dmabuf,
						      DMA_BUF_PHYS_OWNER));
	flush_signals(current);
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	dma_buf_phys_restore(dmabuf, DMA_BUF_PHYS_OWNER);
	KUNIT_EXPECT_EQ(test, peek(addr), 0x10);

	send_sig(SIGKILL, current, 1);
	KUNIT_EXPECT_EQ(test, -EINTR, dma_buf_phys_revoke_killable(dmabuf));
	flush_signals(current);
	disallow_signal(SIGKILL);
	KUNIT_EXPECT_EQ(test, peek(addr), -EFAULT);
	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, dma_buf_phys_revoke_killable(dmabuf), 0);
	exp->gone = true;
}

static struct kunit_case mmap_cases[] = {
	KUNIT_CASE(in_order),
	KUNIT_CASE_PARAM(part, part_gen_params),
	KUNIT_CASE_PARAM(refused, refused_gen_params),
	KUNIT_CASE(suspended),
	KUNIT_CASE(born_suspended),
	KUNIT_CASE(revoked),
	KUNIT_CASE(moved),
	KUNIT_CASE(waits_for_copy),
	KUNIT_CASE(suspended_does_not_wait),
	KUNIT_CASE(exporter_fails),
	KUNIT_CASE(no_cpu),
	KUNIT_CASE(attribute),
	KUNIT_CASE(flags),
	KUNIT_CASE(fault_leaves_address_space),
	KUNIT_CASE(mmap_is_interruptible),
	KUNIT_CASE(mprotect_takes_pages),
	KUNIT_CASE(owner_is_killed),
	{}
};

static struct kunit_suite mmap_suite = {
	.name = "dma-buf-phys-mmap",
	.test_cases = mmap_cases,
};

kunit_test_suite(mmap_suite);

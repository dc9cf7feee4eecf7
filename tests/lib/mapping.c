// SPDX-License-Identifier: GPL-2.0-only
/*
 * A dma-buf mapped, and memory that may be gone. See mapping.h.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "mapping.h"
#include "report.h"

#define PAGE_TABLES	"/sys/kernel/debug/page_tables/"

int dmabuf_map(int dmabuf, __u64 offset, size_t len, int prot, __u8 **map)
{
	void *at = mmap(NULL, len, prot, MAP_SHARED, dmabuf, offset);

	if (at == MAP_FAILED)
		return -errno;
	*map = at;
	return 0;
}

/* Take more address space than needed, then give back what is too much. */
int dmabuf_map_aligned(int dmabuf, __u64 offset, size_t len, int prot,
		       size_t align, size_t skew, __u8 **map)
{
	const size_t room = len + align + skew;
	__u8 *begin, *at, *end;
	int err = 0;

	begin = mmap(NULL, room, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (begin == MAP_FAILED)
		return -errno;
	at = (__u8 *)(((size_t)begin + align - 1) / align * align) + skew;
	if (mmap(at, len, prot, MAP_SHARED | MAP_FIXED, dmabuf, offset) ==
	    MAP_FAILED)
		err = -errno;
	end = err ? at : at + len;
	if (at > begin)
		munmap(begin, at - begin);
	if (begin + room > end)
		munmap(end, begin + room - end);
	*map = at;
	return err;
}

static __thread sigjmp_buf way_out;
static __thread bool expected;

/* Not expected: the access is made again, and kills. */
static void caught(int nr)
{
	if (!expected) {
		signal(nr, SIG_DFL);
		return;
	}
	expected = false;
	siglongjmp(way_out, nr);
}

static void expect(void)
{
	static bool prepared;
	const struct sigaction action = {
		.sa_handler = caught,
		.sa_flags = SA_NODEFER,
	};

	if (!__atomic_load_n(&prepared, __ATOMIC_RELAXED)) {
		if (sigaction(SIGBUS, &action, NULL) ||
		    sigaction(SIGSEGV, &action, NULL))
			die("sigaction: %s", strerror(errno));
		__atomic_store_n(&prepared, true, __ATOMIC_RELAXED);
	}
	expected = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void expect_no_more(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	expected = false;
}

int touch_copy(void *to, const void *from, size_t len)
{
	int nr = sigsetjmp(way_out, 0);

	if (!nr) {
		expect();
		memcpy(to, from, len);
		expect_no_more();
	}
	return nr;
}

int touch_load(const void *from, __u64 *value)
{
	int nr = sigsetjmp(way_out, 0);

	if (!nr) {
		expect();
		*value = __atomic_load_n((const __u64 *)from, __ATOMIC_RELAXED);
		expect_no_more();
	}
	return nr;
}

int touch_store(void *to, __u64 value)
{
	int nr = sigsetjmp(way_out, 0);

	if (!nr) {
		expect();
		__atomic_store_n((__u64 *)to, value, __ATOMIC_RELAXED);
		expect_no_more();
	}
	return nr;
}

__u64 count_page_faults(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage))
		die("getrusage: %s", strerror(errno));
	return usage.ru_minflt + usage.ru_majflt;
}

/* A level of the page tables, by the name that ends a line of the dump. */
static __u64 level_size(const char *line)
{
	if (strstr(line, " pte"))
		return 0x1000;
	if (strstr(line, " pmd"))
		return 0x200000;
	return strstr(line, " pud") ? 0x40000000 : 0;
}

int cpu_page_at(const void *at, struct cpu_page *page)
{
	unsigned long begin, end;
	bool pwt, pcd, pat;
	int err = -ENOENT;
	char line[256];
	FILE *file;

	file = fopen(PAGE_TABLES "current_kernel", "r");
	if (!file)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	while (err && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "0x%lx-0x%lx", &begin, &end) != 2 ||
		    (size_t)at < begin || (size_t)at >= end ||
		    !strstr(line, "USR"))
			continue;
		pwt = strstr(line, "PWT");
		pcd = strstr(line, "PCD");
		pat = strstr(line, "PAT");
		page->size = level_size(line);
		page->uncached = pcd && !pat;
		page->write_combining = pwt && !pcd && !pat;
		page->writable = strstr(line, "RW");
		err = 0;
	}
	fclose(file);
	return err;
}

/* Aligned blocks of @size that @begin to @end touches, but for those before @seen. */
static long count_blocks(__u64 begin, __u64 end, __u64 size, __u64 *seen)
{
	__u64 first = begin / size, after = (end - 1) / size + 1;

	if (first < *seen)
		first = *seen;
	if (first >= after)
		return 0;
	*seen = after;
	return after - first;
}

long vmalloc_page_tables(void)
{
	__u64 ptes_seen = 0, pmds_seen = 0, size;
	unsigned long begin, end;
	bool inside = false;
	char line[256];
	long count = 0;
	FILE *file;

	file = fopen(PAGE_TABLES "kernel", "r");
	if (!file)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "---[", 4))
			inside = strstr(line, "vmalloc");
		if (!inside || sscanf(line, "0x%lx-0x%lx", &begin, &end) != 2)
			continue;
		/* A line about PTEs, or about none, stands for a table of them. */
		size = level_size(line);
		if (size == 0x1000)
			count += count_blocks(begin, end, 0x200000, &ptes_seen);
		if (size && size <= 0x200000)
			count += count_blocks(begin, end, 0x40000000, &pmds_seen);
	}
	fclose(file);
	return count * 4;
}

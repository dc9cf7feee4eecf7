/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A dma-buf in the address space of the program, and memory that may be gone.
 *
 * The accesses return 0 if they were made, else the signal that came instead,
 * SIGBUS or SIGSEGV. Any thread may use them.
 */
#ifndef TESTS_LIB_MAPPING_H
#define TESTS_LIB_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

/* MAP_SHARED, of @len bytes from byte @offset of the dma-buf. 0 or -errno. */
int dmabuf_map(int dmabuf, __u64 offset, size_t len, int prot, __u8 **map);

/* The same @skew bytes behind an address that is a multiple of @align. */
int dmabuf_map_aligned(int dmabuf, __u64 offset, size_t len, int prot,
		       size_t align, size_t skew, __u8 **map);

/* Copy; some bytes may have been copied when a signal came. */
int touch_copy(void *to, const void *from, size_t len);

/* One access of 8 bytes. */
int touch_load(const void *from, __u64 *value);
int touch_store(void *to, __u64 value);

/* Page faults that this thread has had. */
__u64 count_page_faults(void);

/*
 * How the CPU maps @at, as the kernel's dump of this process's page tables says:
 * the size of the page, and whether it is uncached or write-combining. Returns 0,
 * -ENOENT if nothing is mapped there, or -EOPNOTSUPP if the kernel has no dump.
 */
struct cpu_page {
	__u64 size;
	bool uncached;
	bool write_combining;
	bool writable;
};

int cpu_page_at(const void *at, struct cpu_page *page);

/*
 * KiB of page tables for the kernel's vmalloc space, without the highest levels.
 * They stay when what they mapped is gone. -EOPNOTSUPP if the kernel has no dump.
 */
long vmalloc_page_tables(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that a dma-buf is made of, by name: "heap" is the system heap, "udmabuf"
 * a memfd, "huge" a memfd of huge pages (of which there must be some), "scattered"
 * single pages of a memfd, their number not a multiple of 1229 and 1024 at most,
 * "bar" a piece of the ivshmem device's BAR, exported by VFIO.
 *
 * The device can be opened by one process at a time; it stays open.
 */
#ifndef TESTS_LIB_BACKING_H
#define TESTS_LIB_BACKING_H

#include <stddef.h>
#include <sys/types.h>

struct backing {
	int dmabuf;
	int map_fd;		/* what to mmap() to reach it by the CPU, */
	off_t map_offset;	/* and from which offset */
	size_t size;		/* whole pages */
};

/* 0 or -errno; -EINVAL: there is no such kind. */
int backing_new(struct backing *backing, const char *kind, size_t size);
void backing_free(struct backing *backing);

/* Like mmap(), all of it, readable and writable. */
void *backing_map(const struct backing *backing, void *addr, int flags);

#endif

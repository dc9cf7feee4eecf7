/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The iommufd ioctls, one function each. All return 0 or -errno.
 *
 * Where a function takes @iova by pointer and @flags has
 * IOMMU_IOAS_MAP_FIXED_IOVA, *@iova is input, otherwise output.
 */
#ifndef TESTS_LIB_IOMMUFD_H
#define TESTS_LIB_IOMMUFD_H

#include <linux/iommufd.h>
#include <linux/types.h>

#define MAP_RO	IOMMU_IOAS_MAP_READABLE
#define MAP_RW	(IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

/* Returns a file descriptor or -errno. */
int iommufd_open(void);
int iommufd_destroy(int iommufd, __u32 id);

int ioas_alloc(int iommufd, __u32 *ioas);
int ioas_set_huge_pages(int iommufd, __u32 ioas, __u64 on);
int ioas_map(int iommufd, __u32 ioas, void *va, __u64 len, __u64 *iova,
	     __u32 flags);
int ioas_map_file(int iommufd, __u32 ioas, int fd, __u64 start, __u64 len,
		  __u64 *iova, __u32 flags);
int ioas_copy(int iommufd, __u32 dst, __u64 *dst_iova, __u32 src,
	      __u64 src_iova, __u64 len, __u32 flags);

/* On success *@unmapped is what the kernel says it unmapped. */
int ioas_unmap(int iommufd, __u32 ioas, __u64 iova, __u64 len,
	       __u64 *unmapped);

/* A page table of its own for device @dev_id in IOAS @ioas. */
int hwpt_alloc(int iommufd, __u32 dev_id, __u32 ioas, __u32 *hwpt);

/* MAP_FILE of @len bytes from the start of @fd, read-write, at @iova. */
int ioas_map_file_at(int iommufd, __u32 ioas, int fd, __u64 len, __u64 iova);

#endif

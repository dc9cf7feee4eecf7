// SPDX-License-Identifier: GPL-2.0-only
/*
 * The iommufd ioctls. See iommufd.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "iommufd.h"

static int do_ioctl(int iommufd, unsigned long cmd, void *arg)
{
	return ioctl(iommufd, cmd, arg) < 0 ? -errno : 0;
}

/* QEMU's virtio-iommu does not remap interrupts; a guest may trust itself. */
static void trust_interrupts(void)
{
	int fd = open("/sys/module/iommufd/parameters/allow_unsafe_interrupts",
		      O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1", 1) != 1)
		fprintf(stderr, "# unsafe interrupts stay forbidden\n");
	close(fd);
}

int iommufd_open(void)
{
	int fd;

	trust_interrupts();
	fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int iommufd_destroy(int iommufd, __u32 id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return do_ioctl(iommufd, IOMMU_DESTROY, &cmd);
}

int ioas_alloc(int iommufd, __u32 *ioas)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int err = do_ioctl(iommufd, IOMMU_IOAS_ALLOC, &cmd);

	if (!err)
		*ioas = cmd.out_ioas_id;
	return err;
}

int ioas_set_huge_pages(int iommufd, __u32 ioas, __u64 on)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_SET,
		.object_id = ioas,
		.val64 = on,
	};

	return do_ioctl(iommufd, IOMMU_OPTION, &cmd);
}

int ioas_map(int iommufd, __u32 ioas, void *va, __u64 len, __u64 *iova,
	     __u32 flags)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = *iova,
	};
	int err = do_ioctl(iommufd, IOMMU_IOAS_MAP, &cmd);

	if (!err)
		*iova = cmd.iova;
	return err;
}

int ioas_map_file(int iommufd, __u32 ioas, int fd, __u64 start, __u64 len,
		  __u64 *iova, __u32 flags)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.ioas_id = ioas,
		.fd = fd,
		.start = start,
		.length = len,
		.iova = *iova,
	};
	int err = do_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &cmd);

	if (!err)
		*iova = cmd.iova;
	return err;
}

int ioas_map_file_at(int iommufd, __u32 ioas, int fd, __u64 len, __u64 iova)
{
	return ioas_map_file(iommufd, ioas, fd, 0, len, &iova,
			     MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
}

int ioas_copy(int iommufd, __u32 dst, __u64 *dst_iova, __u32 src,
	      __u64 src_iova, __u64 len, __u32 flags)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.dst_ioas_id = dst,
		.src_ioas_id = src,
		.length = len,
		.dst_iova = *dst_iova,
		.src_iova = src_iova,
	};
	int err = do_ioctl(iommufd, IOMMU_IOAS_COPY, &cmd);

	if (!err)
		*dst_iova = cmd.dst_iova;
	return err;
}

int ioas_unmap(int iommufd, __u32 ioas, __u64 iova, __u64 len,
	       __u64 *unmapped)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.iova = iova,
		.length = len,
	};
	int err = do_ioctl(iommufd, IOMMU_IOAS_UNMAP, &cmd);

	if (!err)
		*unmapped = cmd.length;
	return err;
}

int hwpt_alloc(int iommufd, __u32 dev_id, __u32 ioas, __u32 *hwpt)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.pt_id = ioas,
	};
	int err = do_ioctl(iommufd, IOMMU_HWPT_ALLOC, &cmd);

	if (!err)
		*hwpt = cmd.out_hwpt_id;
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI device held through VFIO's character device and iommufd.
 *
 * vfio_open() does the whole way: bind to vfio-pci, open the cdev, bind to the
 * iommufd; memory decode is on. Functions return 0 (or a file descriptor where
 * said so) or -errno. Mappings of a BAR keep the device open: unmap before
 * vfio_close() if the close is to be the last.
 */
#ifndef TESTS_LIB_VFIO_H
#define TESTS_LIB_VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <linux/vfio.h>

#include "pci.h"

struct vfio_dev {
	char name[PCI_NAME_LEN];
	int fd;			/* the cdev, -1 when closed */
	__u32 id;		/* the device's object id in the iommufd */
};

int vfio_open(struct vfio_dev *dev, const char *name, int iommufd);
int vfio_open_id(struct vfio_dev *dev, struct pci_id id, unsigned int nth,
		 int iommufd);
void vfio_close(struct vfio_dev *dev);

/* @pt is an IOAS or a hardware page table; a second attach replaces. */
int vfio_attach(struct vfio_dev *dev, __u32 pt);
int vfio_detach(struct vfio_dev *dev);

int vfio_region(struct vfio_dev *dev, __u32 index,
		struct vfio_region_info *info);
int vfio_map_bar(struct vfio_dev *dev, __u32 bar, void **map, size_t *size);

/* VFIO_DEVICE_FEATURE with whatever @feature says. Result or -errno. */
int vfio_feature(struct vfio_dev *dev, void *feature);

/* Export ranges of a BAR. Returns the dma-buf's file descriptor or -errno. */
int vfio_export(struct vfio_dev *dev, __u32 bar,
		const struct vfio_region_dma_range *ranges, __u32 nr_ranges);

/* The same with other flags for the file than O_RDWR | O_CLOEXEC. */
int vfio_export_flags(struct vfio_dev *dev, __u32 bar,
		      const struct vfio_region_dma_range *ranges,
		      __u32 nr_ranges, __u32 open_flags);

/* VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE and _MEMATTR; what to is in linux/vfio.h. */
int vfio_revoke(struct vfio_dev *dev, int dmabuf, __u32 status);
int vfio_memattr(struct vfio_dev *dev, int dmabuf, __u32 memattr);

int vfio_config_read(struct vfio_dev *dev, __u32 pos, void *buf, size_t len);
int vfio_config_write(struct vfio_dev *dev, __u32 pos, const void *buf,
		      size_t len);
int vfio_set_memory(struct vfio_dev *dev, bool on);
int vfio_set_master(struct vfio_dev *dev, bool on);

/* PCI_D0 is 0, PCI_D3hot is 3. -ENOENT: no power management capability. */
int vfio_set_power(struct vfio_dev *dev, unsigned int state);

int vfio_reset(struct vfio_dev *dev);

/* VFIO_DEVICE_PCI_HOT_RESET of devices that are all bound to one iommufd */
int vfio_hot_reset(struct vfio_dev *dev);

/* VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY and _EXIT */
int vfio_low_power(struct vfio_dev *dev, bool enter);

/* VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: @eventfd tells of it */
int vfio_low_power_until_wakeup(struct vfio_dev *dev, int eventfd);

#endif

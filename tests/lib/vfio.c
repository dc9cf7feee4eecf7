// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI device held through VFIO. See vfio.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "vfio.h"

/* Opens /dev/vfio/devices/vfioN or noiommu-vfioN, N as sysfs says. */
static int open_cdev(const char *name)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int fd = -ENODEV;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", name);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!strstr(entry->d_name, "vfio"))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%.16s",
			 entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	closedir(dir);
	return fd;
}

static int bind_iommufd(struct vfio_dev *dev, int iommufd)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};

	if (ioctl(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0)
		return -errno;
	dev->id = bind.out_devid;
	return 0;
}

int vfio_open(struct vfio_dev *dev, const char *name, int iommufd)
{
	int err;

	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->fd = -1;
	err = pci_bind_vfio(name);
	if (err)
		return err;
	dev->fd = open_cdev(name);
	if (dev->fd < 0)
		return dev->fd;
	err = bind_iommufd(dev, iommufd);
	if (!err)
		err = vfio_set_memory(dev, true);
	if (err)
		vfio_close(dev);
	return err;
}

int vfio_open_id(struct vfio_dev *dev, struct pci_id id, unsigned int nth,
		 int iommufd)
{
	char name[PCI_NAME_LEN];
	int err = pci_find(id, nth, name);

	return err ? err : vfio_open(dev, name, iommufd);
}

void vfio_close(struct vfio_dev *dev)
{
	if (dev->fd >= 0)
		close(dev->fd);
	dev->fd = -1;
}

int vfio_attach(struct vfio_dev *dev, __u32 pt)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = pt,
	};

	return ioctl(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) < 0 ?
	       -errno : 0;
}

int vfio_detach(struct vfio_dev *dev)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};

	return ioctl(dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) < 0 ?
	       -errno : 0;
}

int vfio_region(struct vfio_dev *dev, __u32 index,
		struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){
		.argsz = sizeof(*info),
		.index = index,
	};
	return ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, info) < 0 ?
	       -errno : 0;
}

int vfio_map_bar(struct vfio_dev *dev, __u32 bar, void **map, size_t *size)
{
	struct vfio_region_info info;
	int err = vfio_region(dev, bar, &info);

	if (err)
		return err;
	*map = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    dev->fd, info.offset);
	if (*map == MAP_FAILED)
		return -errno;
	*size = info.size;
	return 0;
}

int vfio_feature(struct vfio_dev *dev, void *feature)
{
	int ret = ioctl(dev->fd, VFIO_DEVICE_FEATURE, feature);

	return ret < 0 ? -errno : ret;
}

static int device_feature(struct vfio_dev *dev, __u32 flags,
			  const void *data, size_t len)
{
	struct vfio_device_feature *feature;
	int ret;

	feature = malloc(sizeof(*feature) + len);
	if (!feature)
		return -ENOMEM;
	feature->argsz = sizeof(*feature) + len;
	feature->flags = flags;
	if (len)
		memcpy(feature->data, data, len);
	ret = vfio_feature(dev, feature);
	free(feature);
	return ret;
}

int vfio_export_flags(struct vfio_dev *dev, __u32 bar,
		      const struct vfio_region_dma_range *ranges,
		      __u32 nr_ranges, __u32 open_flags)
{
	size_t len = nr_ranges * sizeof(*ranges);
	struct vfio_device_feature_dma_buf *arg;
	int ret;

	arg = calloc(1, sizeof(*arg) + len);
	if (!arg)
		return -ENOMEM;
	arg->region_index = bar;
	arg->open_flags = open_flags;
	arg->nr_ranges = nr_ranges;
	memcpy(arg->dma_ranges, ranges, len);
	ret = device_feature(dev, VFIO_DEVICE_FEATURE_GET |
			     VFIO_DEVICE_FEATURE_DMA_BUF, arg,
			     sizeof(*arg) + len);
	free(arg);
	return ret;
}

int vfio_export(struct vfio_dev *dev, __u32 bar,
		const struct vfio_region_dma_range *ranges, __u32 nr_ranges)
{
	return vfio_export_flags(dev, bar, ranges, nr_ranges,
				 O_RDWR | O_CLOEXEC);
}

int vfio_revoke(struct vfio_dev *dev, int dmabuf, __u32 status)
{
	const struct vfio_device_feature_dma_buf_revoke arg = {
		.dmabuf_fd = dmabuf,
		.status = status,
	};

	return device_feature(dev, VFIO_DEVICE_FEATURE_SET |
			      VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE,
			      &arg, sizeof(arg));
}

int vfio_memattr(struct vfio_dev *dev, int dmabuf, __u32 memattr)
{
	const struct vfio_device_feature_dma_buf_memattr arg = {
		.dmabuf_fd = dmabuf,
		.memattr = memattr,
	};

	return device_feature(dev, VFIO_DEVICE_FEATURE_SET |
			      VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR,
			      &arg, sizeof(arg));
}

static int config_pos(struct vfio_dev *dev, __u32 pos, off_t *where)
{
	struct vfio_region_info info;
	int err = vfio_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, &info);

	*where = info.offset + pos;
	return err;
}

int vfio_config_read(struct vfio_dev *dev, __u32 pos, void *buf, size_t len)
{
	off_t where;
	int err = config_pos(dev, pos, &where);
	ssize_t got;

	if (err)
		return err;
	got = pread(dev->fd, buf, len, where);
	if (got < 0)
		return -errno;
	return (size_t)got == len ? 0 : -EIO;
}

int vfio_config_write(struct vfio_dev *dev, __u32 pos, const void *buf,
		      size_t len)
{
	off_t where;
	int err = config_pos(dev, pos, &where);
	ssize_t done;

	if (err)
		return err;
	done = pwrite(dev->fd, buf, len, where);
	if (done < 0)
		return -errno;
	return (size_t)done == len ? 0 : -EIO;
}

static int set_command(struct vfio_dev *dev, __u16 bit, bool on)
{
	__u16 command;
	int err = vfio_config_read(dev, PCI_COMMAND, &command, sizeof(command));

	if (err)
		return err;
	command = on ? command | bit : command & ~bit;
	return vfio_config_write(dev, PCI_COMMAND, &command, sizeof(command));
}

int vfio_set_memory(struct vfio_dev *dev, bool on)
{
	return set_command(dev, PCI_COMMAND_MEMORY, on);
}

int vfio_set_master(struct vfio_dev *dev, bool on)
{
	return set_command(dev, PCI_COMMAND_MASTER, on);
}

static int find_cap(struct vfio_dev *dev, __u8 want, __u8 *pos)
{
	__u8 head[2];
	__u8 at;
	int err = vfio_config_read(dev, PCI_CAPABILITY_LIST, &at, 1);

	while (!err && at) {
		err = vfio_config_read(dev, at, head, sizeof(head));
		if (!err && head[PCI_CAP_LIST_ID] == want) {
			*pos = at;
			return 0;
		}
		at = head[PCI_CAP_LIST_NEXT];
	}
	return err ? err : -ENOENT;
}

int vfio_set_power(struct vfio_dev *dev, unsigned int state)
{
	__u16 ctrl;
	__u8 pos;
	int err = find_cap(dev, PCI_CAP_ID_PM, &pos);

	if (err)
		return err;
	err = vfio_config_read(dev, pos + PCI_PM_CTRL, &ctrl, sizeof(ctrl));
	if (err)
		return err;
	ctrl = (ctrl & ~PCI_PM_CTRL_STATE_MASK) | state;
	return vfio_config_write(dev, pos + PCI_PM_CTRL, &ctrl, sizeof(ctrl));
}

int vfio_reset(struct vfio_dev *dev)
{
	return ioctl(dev->fd, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
}

int vfio_hot_reset(struct vfio_dev *dev)
{
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

	return ioctl(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, &reset) < 0 ?
	       -errno : 0;
}

int vfio_low_power(struct vfio_dev *dev, bool enter)
{
	__u32 what = enter ? VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY :
			     VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;

	return device_feature(dev, VFIO_DEVICE_FEATURE_SET | what, NULL, 0);
}

int vfio_low_power_until_wakeup(struct vfio_dev *dev, int eventfd)
{
	struct vfio_device_low_power_entry_with_wakeup entry = {
		.wakeup_eventfd = eventfd,
	};

	return device_feature(dev, VFIO_DEVICE_FEATURE_SET |
			      VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
			      &entry, sizeof(entry));
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI devices through sysfs. See pci.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci.h"

#define PCI_DEVICES	"/sys/bus/pci/devices"
#define PCI_DRIVERS	"/sys/bus/pci/drivers"

/* QEMU's host bridge where the machine is none that exists. */
#define HOST_BRIDGE	"0000:00:00.0"
#define PCI_ID_GPEX	((struct pci_id){ 0x1b36, 0x0008 })

int pci_write_file(const char *path, const char *value)
{
	size_t len = strlen(value);
	ssize_t done;
	int err = 0;
	int fd;

	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	done = write(fd, value, len);
	if (done < 0)
		err = -errno;
	else if ((size_t)done != len)
		err = -EIO;
	close(fd);
	return err;
}

int pci_write_attr(const char *name, const char *attr, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", name, attr);
	return pci_write_file(path, value);
}

int pci_read_attr(const char *name, const char *attr, char *buf, size_t len)
{
	char path[PATH_MAX];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", name, attr);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	got = read(fd, buf, len - 1);
	close(fd);
	if (got < 0)
		return -errno;
	buf[got] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static bool has_id(const char *name, struct pci_id id)
{
	char vendor[16], device[16];

	if (pci_read_attr(name, "vendor", vendor, sizeof(vendor)) ||
	    pci_read_attr(name, "device", device, sizeof(device)))
		return false;
	return strtoul(vendor, NULL, 16) == id.vendor &&
	       strtoul(device, NULL, 16) == id.device;
}

int pci_find(struct pci_id id, unsigned int nth, char name[PCI_NAME_LEN])
{
	struct dirent **list;
	int nr = scandir(PCI_DEVICES, &list, NULL, alphasort);
	int err = -ENODEV;
	int i;

	if (nr < 0)
		return -errno;
	for (i = 0; i < nr; i++) {
		if (err && has_id(list[i]->d_name, id) && !nth--) {
			snprintf(name, PCI_NAME_LEN, "%.15s", list[i]->d_name);
			err = 0;
		}
		free(list[i]);
	}
	free(list);
	return err;
}

static bool bound_to(const char *name, const char *driver)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PCI_DRIVERS "/%s/%s", driver, name);
	return !access(path, F_OK);
}

int pci_unbind(const char *name)
{
	int err = pci_write_attr(name, "driver/unbind", name);

	return err == -ENOENT ? 0 : err;
}

int pci_bind_vfio(const char *name)
{
	int err;

	if (!bound_to(name, "vfio-pci")) {
		err = pci_unbind(name);
		if (err)
			return err;
		err = pci_write_attr(name, "driver_override", "vfio-pci");
		if (err)
			return err;
	}
	/* -EBUSY: it is bound. If that was under way just now, it is over. */
	err = pci_write_file(PCI_DRIVERS "/vfio-pci/bind", name);
	return err == -EBUSY && bound_to(name, "vfio-pci") ? 0 : err;
}

int pci_sysfs_reset(const char *name)
{
	return pci_write_attr(name, "reset", "1");
}

int pci_sysfs_wake(const char *name)
{
	int err = pci_write_attr(name, "power/control", "on");

	return err ? err : pci_write_attr(name, "power/control", "auto");
}

bool pci_translated(const char *name)
{
	char type[32];

	return !pci_read_attr(name, "iommu_group/type", type, sizeof(type)) &&
	       !strncmp(type, "DMA", 3);
}

__u64 pci_bar_address(const char *name, unsigned int bar)
{
	unsigned long long start = 0;
	char path[128], line[128];
	unsigned int i;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	/* One line per BAR: start, end, flags. */
	for (i = 0; i <= bar && fgets(line, sizeof(line), file); i++)
		start = strtoull(line, NULL, 16);
	fclose(file);
	return start;
}

bool pci_peers_meet(void)
{
	if (topology_is("refused"))
		return false;
	return topology_is("switch") || !has_id(HOST_BRIDGE, PCI_ID_GPEX);
}

bool topology_is(const char *name)
{
	const char *topology = getenv("TOPOLOGY");

	return topology && !strcmp(topology, name);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI device behind its driver's back. See pci_raw.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "pci.h"
#include "pci_raw.h"

#define SLOTS		"/sys/bus/pci/slots"
#define MAX_SLOT	32
#define PLUG_LIMIT	100	/* times 100 ms */

static int open_config(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int get(int fd, unsigned int pos, void *value, size_t len)
{
	return pread(fd, value, len, pos) == (ssize_t)len ? 0 : -EIO;
}

/* Clear some bits of a 16 bit register, set others. */
static int change(int fd, unsigned int pos, __u16 clear, __u16 set)
{
	__u16 value;
	int err = get(fd, pos, &value, sizeof(value));

	if (err)
		return err;
	value = (value & ~clear) | set;
	return pwrite(fd, &value, sizeof(value), pos) == sizeof(value) ? 0 :
	       -EIO;
}

int pci_raw_set_memory(const char *name, bool on)
{
	int fd = open_config(name);
	int err;

	if (fd < 0)
		return fd;
	err = change(fd, PCI_COMMAND, PCI_COMMAND_MEMORY,
		     on ? PCI_COMMAND_MEMORY : 0);
	close(fd);
	return err;
}

static int find_pm(int fd, __u8 *pos)
{
	__u8 head[2];
	int err = get(fd, PCI_CAPABILITY_LIST, pos, 1);

	while (!err && *pos) {
		err = get(fd, *pos, head, sizeof(head));
		if (!err && head[PCI_CAP_LIST_ID] == PCI_CAP_ID_PM)
			return 0;
		*pos = head[PCI_CAP_LIST_NEXT];
	}
	return err ? err : -ENOENT;
}

int pci_raw_set_d0(const char *name)
{
	int fd = open_config(name);
	__u8 pos;
	int err;

	if (fd < 0)
		return fd;
	err = find_pm(fd, &pos);
	if (!err)
		err = change(fd, pos + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 0);
	close(fd);
	return err;
}

static int run(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

/* The slot whose address is that of the device, without the function. */
static int find_slot(const char *name, unsigned int *slot)
{
	char path[64], address[PCI_NAME_LEN] = "";
	FILE *file;

	for (*slot = 0; *slot < MAX_SLOT; (*slot)++) {
		snprintf(path, sizeof(path), SLOTS "/%u/address", *slot);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (!fgets(address, sizeof(address), file))
			address[0] = '\0';
		fclose(file);
		address[strcspn(address, "\n")] = '\0';
		if (address[0] && !strncmp(name, address, strlen(address)))
			return 0;
	}
	return -ENODEV;
}

/* The button alone has the kernel wait for 5 s in case it is pressed again. */
int slot_begin_unplug(const char *id, const char *name)
{
	char command[160];
	unsigned int slot;
	int err = find_slot(name, &slot);

	if (err)
		return err;
	snprintf(command, sizeof(command),
		 "vmctl device_del_nowait %s >/dev/null && { echo 0 > "
		 SLOTS "/%u/power & }", id, slot);
	return run(command);
}

/* It can be bound some time after it is seen. */
int slot_replug(const char *id, const char *name)
{
	char command[160];
	unsigned int tries;
	int err;

	snprintf(command, sizeof(command),
		 "vmctl wait_deleted %s 30 >/dev/null && vmctl device_add %s >/dev/null",
		 id, id);
	err = run(command);
	if (err)
		return err;
	for (tries = 0; tries < PLUG_LIMIT && pci_bind_vfio(name); tries++)
		usleep(100000);
	return tries < PLUG_LIMIT ? 0 : -ETIME;
}

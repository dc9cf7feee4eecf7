// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory cgroup. See cgroup.h.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "pci.h"

#define ROOT	"/sys/fs/cgroup"
#define CHILD	ROOT "/test"

int cgroup_make(void)
{
	int err = pci_write_file(ROOT "/cgroup.subtree_control", "+memory");

	if (err)
		return err;
	return mkdir(CHILD, 0755) ? -errno : 0;
}

int cgroup_remove(void)
{
	return rmdir(CHILD) ? -errno : 0;
}

int cgroup_enter(void)
{
	return pci_write_file(CHILD "/cgroup.procs", "0");
}

int cgroup_leave(void)
{
	return pci_write_file(ROOT "/cgroup.procs", "0");
}

int cgroup_limit(long long bytes)
{
	char text[32] = "max";

	if (bytes >= 0)
		snprintf(text, sizeof(text), "%lld", bytes);
	return pci_write_file(CHILD "/memory.max", text);
}

int cgroup_drain(void)
{
	int err = pci_write_file(CHILD "/memory.high", "0");

	return err ? err : pci_write_file(CHILD "/memory.high", "max");
}

long long cgroup_charged(void)
{
	FILE *file = fopen(CHILD "/memory.current", "r");
	long long bytes = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%lld", &bytes) != 1)
		bytes = -1;
	fclose(file);
	return bytes;
}

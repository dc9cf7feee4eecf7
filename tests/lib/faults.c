// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocations that fail on purpose. See faults.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "pci.h"
#include "report.h"

#define DEBUGFS		"/sys/kernel/debug/"
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

int faults_prepare(void)
{
	static const char * const settings[][2] = {
		{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
		{ DEBUGFS "failslab/verbose", "0" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUGFS "fail_page_alloc/min-order", "0" },
		{ DEBUGFS "fail_page_alloc/verbose", "0" },
	};
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(settings); i++)
		err = pci_write_file(settings[i][0], settings[i][1]);
	return err;
}

int faults_open(void)
{
	int file = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);

	return file < 0 ? -errno : file;
}

int faults_set(int file, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	return pwrite(file, text, len, 0) == len ? 0 : -errno;
}

bool faults_happened(int file)
{
	char text[16] = "";

	if (pread(file, text, sizeof(text) - 1, 0) < 0)
		die("read /proc/self/fail-nth: %s", strerror(errno));
	if (faults_set(file, 0))
		die("write /proc/self/fail-nth: %s", strerror(errno));
	return atoi(text) == 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting what a test must not leave behind. See leaks.h.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "leaks.h"
#include "report.h"

#define BUFINFO		"/sys/kernel/debug/dma_buf/bufinfo"

unsigned int count_dmabufs(void)
{
	FILE *file = fopen(BUFINFO, "r");
	unsigned int nr = ~0U;
	char line[256];

	if (!file)
		die("open %s: %s", BUFINFO, strerror(errno));
	while (fgets(line, sizeof(line), file))
		sscanf(line, "Total %u objects", &nr);
	fclose(file);
	if (nr == ~0U)
		die("%s has no total", BUFINFO);
	return nr;
}

unsigned int settle_dmabufs(unsigned int want)
{
	unsigned int nr = count_dmabufs();
	unsigned int tries;

	for (tries = 0; nr != want && tries < 50; tries++) {
		usleep(100000);
		nr = count_dmabufs();
	}
	return nr;
}

unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	if (!dir)
		die("open /proc/self/fd: %s", strerror(errno));
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

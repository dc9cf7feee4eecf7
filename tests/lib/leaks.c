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
#define HOLDINGS	"/sys/kernel/debug/dma_buf_phys"

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

struct holdings count_holdings(void)
{
	FILE *file = fopen(HOLDINGS, "r");
	struct holdings all = {};
	unsigned int maps;
	char line[256];

	if (!file)
		die("open %s: %s", HOLDINGS, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "  importer ", 11)) {
			all.importers++;
		} else if (sscanf(line, "buffer %*s exporter %*s size %*s maps %u",
				  &maps) == 1) {
			all.buffers++;
			all.maps += maps;
		}
	}
	fclose(file);
	return all;
}

bool same_holdings(struct holdings a, struct holdings b)
{
	return a.buffers == b.buffers && a.importers == b.importers &&
	       a.maps == b.maps;
}

struct holdings settle_holdings(struct holdings want)
{
	struct holdings now = count_holdings();
	unsigned int tries;

	for (tries = 0; !same_holdings(now, want) && tries < 50; tries++) {
		usleep(100000);
		now = count_holdings();
	}
	return now;
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

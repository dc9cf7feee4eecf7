// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel log. See kmsg.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "kmsg.h"

int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lseek(fd, 0, SEEK_END);
	return fd;
}

/* The words of intel-iommu, virtio-iommu, and arm-smmu-v3. */
static bool is_fault(const char *line)
{
	return strstr(line, "fault addr") || strstr(line, "fault from EP") ||
	       strstr(line, "event: F_TRANSLATION");
}

static bool read_faults(int kmsg)
{
	bool saw = false;
	char line[1024];
	ssize_t got;

	/* EPIPE: the log overran us, the next read goes on. */
	while ((got = read(kmsg, line, sizeof(line) - 1)) > 0 ||
	       (got < 0 && errno == EPIPE)) {
		line[got > 0 ? got : 0] = '\0';
		saw |= is_fault(line);
	}
	return saw;
}

void kmsg_drain(int kmsg)
{
	read_faults(kmsg);
}

bool kmsg_saw_fault(int kmsg)
{
	unsigned int tries;

	for (tries = 0; tries < 10; tries++) {
		if (read_faults(kmsg))
			return true;
		usleep(10000);
	}
	return read_faults(kmsg);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * State of a buffer. See phys_state.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "phys_state.h"
#include "report.h"

#define HOLDINGS	"/sys/kernel/debug/dma_buf_phys"

static bool first_buffer(char *line, int size)
{
	FILE *file = fopen(HOLDINGS, "r");
	bool found = false;

	if (!file)
		die("open %s: %s", HOLDINGS, strerror(errno));
	while (!found && fgets(line, size, file))
		found = !strncmp(line, "buffer ", 7);
	fclose(file);
	return found;
}

/* The same words are in both. Reasons do not matter once it is revoked. */
static bool same_state(const char *a, const char *b)
{
	static const char * const words[] = {
		"live", "suspended", "revoked",
		"reset", "power", "decode", "owner", NULL,
	};
	const char * const *word;

	if (strstr(a, "revoked") && strstr(b, "revoked"))
		return true;
	for (word = words; *word; word++)
		if (!strstr(a, *word) != !strstr(b, *word))
			return false;
	return true;
}

bool phys_state_is(const char *want)
{
	char line[256], *state;

	if (!first_buffer(line, sizeof(line))) {
		printf("# there is no buffer\n");
		return false;
	}
	line[strcspn(line, "\n")] = '\0';
	state = strstr(line, " state ");
	if (state && same_state(state, want) &&
	    (!strcmp(want, "live") || strstr(line, " maps 0 ")))
		return true;
	printf("# wanted \"%s\" without maps: %s\n", want, line);
	return false;
}

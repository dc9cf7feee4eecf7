/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dma-buf-phys: what the parts of the command share
 *
 * Each command collects what it knows in a JSON value, and prints it as that or
 * as sentences. So both always say the same.
 */
#ifndef DMA_BUF_PHYS_H
#define DMA_BUF_PHYS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <jansson.h>

/* What the command exits with; the README says it, too. */
enum status {
	STATUS_OK = 0,
	STATUS_NO = 1,		/* reach: it cannot */
	STATUS_ERROR = 2,	/* wrong arguments, not root, no debugfs, .. */
	STATUS_UNKNOWN = 3,	/* reach: only the kernel knows */
};

#define BUFFERS_FILE	"dma_buf_phys"
#define REACH_FILE	"dma_buf_phys_reach"

/* main.c */
noreturn void die(const char *fmt, ...)
	__attribute__((format(gnu_printf, 1, 2)));
void need_root(const char *why);

/* Options that every command has; the number of words left, from argv[0]. */
int options(int argc, char **argv, const char *help, bool *json);

/* NULL if there is none; else to be freed. */
char *debugfs_path(const char *name);
void print_json(json_t *value, size_t flags);

/* lines.c */

/*
 * "key value key value .." as an object. Values of keys in @texts, a list that
 * NULL ends, are strings, all others numbers. NULL: it is not such a line.
 */
json_t *parse_words(char *line, const char *const *texts);

/* "a,b" as an array of strings. */
json_t *parse_list(const char *text, char separator);
double now(void);

int cmd_list(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_reach(int argc, char **argv);

#endif

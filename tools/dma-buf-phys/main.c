// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: look at dma-bufs that are described by physical ranges
 */
#include <errno.h>
#include <getopt.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dma-buf-phys.h"

static const char help[] =
"usage: dma-buf-phys list [--json]\n"
"       dma-buf-phys events [--json]\n"
"       dma-buf-phys reach A B [--json]\n"
"\n"
"list    the buffers there are: their memory, their state, who uses them\n"
"events  what happens to them from now on, until it is interrupted\n"
"reach   whether DMA of the PCI device A can reach a BAR of the PCI device B\n"
"\n"
"dma-buf-phys COMMAND --help says more.\n";

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "list", cmd_list },
	{ "events", cmd_events },
	{ "reach", cmd_reach },
};

noreturn void die(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("dma-buf-phys: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(STATUS_ERROR);
}

void need_root(const char *why)
{
	if (geteuid())
		die("this needs root: %s", why);
}

int options(int argc, char **argv, const char *text, bool *json)
{
	static const struct option known[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ }
	};
	int nr, opt;

	while ((opt = getopt_long(argc, argv, "hj", known, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(text, stdout);
			exit(STATUS_OK);
		case 'j':
			*json = true;
			break;
		default:
			fputs(text, stderr);
			exit(STATUS_ERROR);
		}
	}
	nr = argc - optind;
	memmove(argv, argv + optind, nr * sizeof(*argv));
	return nr;
}

char *debugfs_path(const char *name)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *mount;
	char *path = NULL;

	while (mounts && !path && (mount = getmntent(mounts)))
		if (!strcmp(mount->mnt_type, "debugfs") &&
		    asprintf(&path, "%s/%s", mount->mnt_dir, name) < 0)
			die("out of memory");
	if (mounts)
		endmntent(mounts);
	return path;
}

void print_json(json_t *value, size_t flags)
{
	json_dumpf(value, stdout, flags);
	putchar('\n');
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		fputs(help, stderr);
		return STATUS_ERROR;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		fputs(help, stdout);
		return STATUS_OK;
	}
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	die("there is no command '%s'; see dma-buf-phys --help", argv[1]);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys events: follow the trace events, in a trace instance of our own,
 * so that nobody else's tracing is disturbed
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dma-buf-phys.h"

static const char help[] =
"usage: dma-buf-phys events [--json]\n"
"\n"
"Shows what happens to dma-bufs that are described by physical ranges, as it\n"
"happens, until it is interrupted (Ctrl-C): export and release, attach and detach,\n"
"pin and unpin, map and unmap, stop (suspend or revoke), stopped, restore, move,\n"
"and refuse. The first column is the time as CLOCK_MONOTONIC has it.\n"
"\n"
"  --json  one JSON object per line\n";

#define INSTANCE	"dma-buf-phys."
#define PREFIX		"dma_buf_phys_"
#define COMM_WIDTH	16	/* of the column in trace_pipe */

/*
 * The instance
 */

static char *instances_path(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *mount;
	char *path = NULL;

	while (mounts && !path && (mount = getmntent(mounts)))
		if (!strcmp(mount->mnt_type, "tracefs") &&
		    asprintf(&path, "%s/instances", mount->mnt_dir) < 0)
			die("out of memory");
	if (mounts)
		endmntent(mounts);
	if (!path)
		die("tracefs is not mounted: mount -t tracefs none /sys/kernel/tracing");
	return path;
}

/* What one of us left behind that was killed. */
static void remove_old(const char *instances)
{
	struct dirent *entry;
	DIR *dir = opendir(instances);
	pid_t pid;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, INSTANCE, strlen(INSTANCE)))
			continue;
		pid = atoi(entry->d_name + strlen(INSTANCE));
		if (pid > 0 && kill(pid, 0) && errno == ESRCH)
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	if (dir)
		closedir(dir);
}

static int write_file(const char *dir, const char *name, const char *value)
{
	char path[300];
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (write(fd, value, strlen(value)) < 0)
		err = errno;
	close(fd);
	return err;
}

/* Begin to trace; returns trace_pipe. */
static int begin(const char *instance)
{
	char path[300];
	int fd, err;

	/* The times of debugfs are of this clock. */
	err = write_file(instance, "trace_clock", "mono");
	if (!err)
		err = write_file(instance, "events/dma_buf_phys/enable", "1");
	snprintf(path, sizeof(path), "%s/trace_pipe", instance);
	fd = err ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;

	err = err ? err : errno;
	rmdir(instance);
	if (err == ENOENT)
		die("this kernel has no dma-buf-phys: it has no such trace events");
	die("cannot trace in %s: %s", instance, strerror(err));
}

/*
 * Lines of trace_pipe: "COMM-PID [CPU] FLAGS TIME: NAME: KEY=VALUE ..", COMM
 * being COMM_WIDTH wide
 */

static json_t *field_value(const char *value)
{
	json_t *number;
	char *end;

	if (isdigit(*value)) {
		number = json_integer(strtoull(value, &end, 0));
		if (!*end)
			return number;
		json_decref(number);
	}
	return json_string(value);
}

/* Set what "key=value key="several words" .." says. */
static void parse_fields(json_t *event, char *text)
{
	static const char *const strings[] = {
		"exp_name", "importer", "exporter", "device", "reason", "view",
		NULL
	};
	char *key, *value, *end;
	json_t *parsed;
	size_t i;

	while (*(text += strspn(text, "\n "))) {
		key = text;
		value = strchr(key, '=');
		if (!value)
			return;
		*value++ = 0;
		end = *value == '"' ? strchrnul(++value, '"') :
				      value + strcspn(value, "\n ");
		text = *end ? end + 1 : end;
		*end = 0;
		for (i = 0; strings[i] && strcmp(strings[i], key); i++)
			;
		if (!strcmp(key, "suspended") || !strcmp(key, "views"))
			parsed = parse_list(value, '|');
		else if (!strcmp(key, "revoked"))
			parsed = json_boolean(*value == '1');
		else
			parsed = strings[i] ? json_string(value) :
					      field_value(value);
		json_object_set_new(event, key, parsed);
	}
}

/* NULL if it is no event of ours. */
static json_t *parse_event(char *line)
{
	char *name, *fields, *time, *comm = line + strspn(line, " ");
	json_t *event;
	int pid;

	if (strlen(line) <= COMM_WIDTH ||
	    sscanf(line + COMM_WIDTH, "-%d", &pid) != 1)
		return NULL;
	time = strstr(line + COMM_WIDTH, ": " PREFIX);
	if (!time)
		return NULL;
	name = time + strlen(": " PREFIX);
	fields = strchr(name, ':');
	if (!fields)
		return NULL;
	*fields++ = 0;
	*time = 0;
	time = strrchr(line, ' ');
	line[COMM_WIDTH] = 0;

	event = json_pack("{s:f, s:s, s:s*, s:i}", "time",
			  time ? strtod(time, NULL) : 0, "event", name,
			  "process", comm, "pid", pid);
	if (event)
		parse_fields(event, fields);
	return event;
}

static void show(char *line, bool json)
{
	json_t *event;
	char *text, *name;

	text = strdup(line);
	event = text ? parse_event(text) : NULL;
	if (json && event) {
		print_json(event, JSON_COMPACT | JSON_REAL_PRECISION(15));
	} else if (event) {
		/* As the kernel says it, without the columns of no interest. */
		name = strstr(line + COMM_WIDTH, ": " PREFIX);
		printf("%.6f %s[%lld] %s\n",
		       json_real_value(json_object_get(event, "time")),
		       json_string_value(json_object_get(event, "process")) ?: "?",
		       json_integer_value(json_object_get(event, "pid")),
		       name + strlen(": " PREFIX));
		fflush(stdout);
	} else if (strstr(line, "LOST")) {
		fprintf(stderr, "dma-buf-phys: events were lost: %s\n", line);
	}
	json_decref(event);
	free(text);
}

/* Show whole lines, keep the rest for the next time. Returns what is left. */
static size_t show_lines(char *data, size_t len, bool json)
{
	char *line = data, *end;

	while ((end = memchr(line, '\n', data + len - line))) {
		*end = 0;
		show(line, json);
		line = end + 1;
	}
	len -= line - data;
	memmove(data, line, len);
	return len;
}

/* Until a signal comes, or nobody reads any more. */
static int follow(int pipe, int signals, bool json)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = pipe, .events = POLLIN },
	};
	char data[65536];
	size_t len = 0;
	ssize_t ret;

	while (poll(fds, 2, -1) >= 0 && !fds[0].revents) {
		ret = read(pipe, data + len, sizeof(data) - len);
		if (ret < 0 && errno != EAGAIN && errno != EINTR)
			return errno;
		if (ret <= 0)
			continue;
		len = show_lines(data, len + ret, json);
		if (len == sizeof(data))
			len = 0;
	}
	return 0;
}

/* From now on these end follow() instead of the process. */
static int catch_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd: %s", strerror(errno));
	return fd;
}

int cmd_events(int argc, char **argv)
{
	char *instances, instance[280];
	int signals, pipe, err;
	bool json = false;

	if (options(argc, argv, help, &json))
		die("events takes no arguments; see dma-buf-phys events --help");
	need_root("tracefs is root's");

	instances = instances_path();
	remove_old(instances);
	signals = catch_signals();
	snprintf(instance, sizeof(instance), "%s/" INSTANCE "%d", instances,
		 getpid());
	if (mkdir(instance, 0700))
		die("cannot make %s: %s", instance, strerror(errno));
	pipe = begin(instance);
	fputs("dma-buf-phys: following, Ctrl-C ends it\n", stderr);
	err = follow(pipe, signals, json);
	write_file(instance, "events/enable", "0");
	close(pipe);
	if (rmdir(instance))
		die("cannot remove %s: %s", instance, strerror(errno));
	free(instances);
	if (err)
		die("cannot read events: %s", strerror(err));
	return STATUS_OK;
}

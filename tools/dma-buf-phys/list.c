// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys list: what debugfs says, and who has the file descriptors
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dma-buf-phys.h"

static const char help[] =
"usage: dma-buf-phys list [--json]\n"
"\n"
"Shows every dma-buf that is described by physical ranges: its exporter, its\n"
"ranges as offsets into a BAR, whether its memory can be reached and if not why,\n"
"who has attached, what is mapped, and which processes hold a file descriptor.\n"
"\n"
"  --json  as one JSON object; README says what is in it\n";

static const char *const texts[] = {
	"exporter", "importer", "device", "process", "state", "reasons", "kind",
	"view", NULL
};

static json_t *member(json_t *object, const char *key)
{
	return json_object_get(object, key);
}

static const char *text(json_t *object, const char *key)
{
	const char *value = json_string_value(member(object, key));

	return value ? value : "-";
}

static long long number(json_t *object, const char *key)
{
	return json_integer_value(member(object, key));
}

static void rename_key(json_t *object, const char *from, const char *to)
{
	json_t *value = member(object, from);

	if (value) {
		json_object_set(object, to, value);
		json_object_del(object, from);
	}
}

/* Seconds since a time of the kernel. */
static double age(json_t *object, const char *key)
{
	return now() - json_real_value(member(object, key));
}

/*
 * Collecting
 */

static json_t *begin_buffer(json_t *buffer)
{
	json_t *reasons = parse_list("", ',');

	if (member(buffer, "reasons")) {
		json_decref(reasons);
		reasons = parse_list(text(buffer, "reasons"), ',');
	}
	json_object_set_new(buffer, "reasons", reasons);
	rename_key(buffer, "buffer", "ino");
	rename_key(buffer, "ranges", "nr_ranges");
	json_object_set_new(buffer, "age", json_real(age(buffer, "since")));
	json_object_set_new(buffer, "state_age",
			    json_real(age(buffer, "changed")));
	json_object_set_new(buffer, "ranges", json_array());
	json_object_set_new(buffer, "importers", json_array());
	json_object_set_new(buffer, "holders", json_array());
	return buffer;
}

static json_t *begin_importer(json_t *importer)
{
	rename_key(importer, "importer", "name");
	if (member(importer, "since"))
		json_object_set_new(importer, "age",
				    json_real(age(importer, "since")));
	json_object_set_new(importer, "views", json_array());
	return importer;
}

static json_t *last(json_t *array)
{
	size_t nr = json_array_size(array);

	return nr ? json_array_get(array, nr - 1) : NULL;
}

/* One line more. What the kernel says beyond what we know is left out. */
static void add_line(json_t *buffers, json_t *line)
{
	json_t *buffer = last(buffers);
	json_t *importers = member(buffer, "importers");

	if (member(line, "buffer")) {
		json_array_append(buffers, begin_buffer(line));
	} else if (member(line, "range")) {
		json_object_del(line, "range");
		json_array_append(member(buffer, "ranges"), line);
	} else if (member(line, "importer")) {
		json_array_append(importers, begin_importer(line));
	} else if (member(line, "view")) {
		json_array_append(member(last(importers), "views"), line);
	}
	json_decref(line);
}

static json_t *read_buffers(void)
{
	char *path = debugfs_path(BUFFERS_FILE);
	json_t *buffers = json_array();
	json_t *parsed;
	char *line = NULL;
	size_t size = 0;
	FILE *file;

	if (!path)
		die("debugfs is not mounted: mount -t debugfs none /sys/kernel/debug");
	file = fopen(path, "r");
	if (!file && errno == ENOENT)
		die("%s does not exist: this kernel has no dma-buf-phys", path);
	if (!file)
		die("cannot open %s: %s", path, strerror(errno));
	while (getline(&line, &size, file) > 0) {
		parsed = parse_words(line, texts);
		if (!parsed)
			die("%s: this is not what was expected: %s", path, line);
		add_line(buffers, parsed);
	}
	if (ferror(file))
		die("cannot read %s: %s", path, strerror(errno));
	fclose(file);
	free(line);
	free(path);
	return buffers;
}

/*
 * Who holds a file descriptor: /proc/PID/fd/N leads to "/dmabuf:", and the
 * number of the buffer is in /proc/PID/fdinfo/N.
 */

static unsigned long long fd_ino(const char *pid, const char *fd)
{
	unsigned long long ino = 0;
	char path[300], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "ino: %llu", &ino) == 1)
			break;
	if (file)
		fclose(file);
	return ino;
}

static json_t *process_name(const char *pid)
{
	char path[300], name[64] = "";
	json_t *value;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "r");
	if (file && fgets(name, sizeof(name), file))
		name[strcspn(name, "\n")] = 0;
	if (file)
		fclose(file);
	value = json_string(name);
	return value ? value : json_string("?");
}

static void add_holder(json_t *buffers, const char *pid, const char *fd)
{
	unsigned long long ino = fd_ino(pid, fd);
	json_t *buffer;
	size_t i;

	json_array_foreach(buffers, i, buffer) {
		if (number(buffer, "ino") != ino)
			continue;
		json_array_append_new(member(buffer, "holders"),
				      json_pack("{s:o, s:i, s:i}", "process",
						process_name(pid), "pid",
						atoi(pid), "fd", atoi(fd)));
	}
}

static void scan_process(json_t *buffers, const char *pid)
{
	static const char dmabuf[] = "/dmabuf:";
	char path[300], target[sizeof(dmabuf)];
	struct dirent *entry;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, target,
				 sizeof(target));
		if (len >= (ssize_t)strlen(dmabuf) &&
		    !memcmp(target, dmabuf, strlen(dmabuf)))
			add_holder(buffers, pid, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* Processes come and go meanwhile; those that are gone hold nothing. */
static void find_holders(json_t *buffers)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			scan_process(buffers, entry->d_name);
	if (dir)
		closedir(dir);
}

/*
 * Printing
 */

static void print_state(json_t *buffer)
{
	json_t *reasons = member(buffer, "reasons"), *reason;
	size_t i;

	printf("  %s", text(buffer, "state"));
	json_array_foreach(reasons, i, reason)
		printf("%s%s", i ? ", " : " by ", json_string_value(reason));
	printf(" for %.1f s, exported %.1f s ago\n",
	       json_real_value(member(buffer, "state_age")),
	       json_real_value(member(buffer, "age")));
}

static void print_ranges(json_t *buffer)
{
	json_t *ranges = member(buffer, "ranges"), *range;
	long long more = number(buffer, "nr_ranges") - json_array_size(ranges);
	size_t i;

	json_array_foreach(ranges, i, range) {
		if (member(range, "bar"))
			printf("  BAR %lld, offset %#llx, length %#llx\n",
			       number(range, "bar"), number(range, "offset"),
			       number(range, "length"));
		else
			printf("  length %#llx\n", number(range, "length"));
	}
	if (more > 0)
		printf("  and %lld ranges more\n", more);
}

static void print_importer(json_t *importer)
{
	json_t *views = member(importer, "views"), *view;
	long long dead;
	size_t i;

	printf("  importer %s on %s", text(importer, "name"),
	       text(importer, "device"));
	if (member(importer, "pid"))
		printf(" by %s[%lld] for %.1f s%s", text(importer, "process"),
		       number(importer, "pid"),
		       json_real_value(member(importer, "age")),
		       number(importer, "pins") ? ", pinned" : "");
	json_array_foreach(views, i, view) {
		dead = number(view, "dead");
		printf("%s %s view: %lld mapped", i ? "," : ":",
		       text(view, "view"), number(view, "maps"));
		if (dead)
			printf(" and %lld dead", dead);
	}
	putchar('\n');
}

static void print_buffer(json_t *buffer)
{
	json_t *entry;
	size_t i;

	printf("buffer %lld: %lld bytes", number(buffer, "ino"),
	       number(buffer, "size"));
	if (member(buffer, "kind"))
		printf(" of %s", strcmp(text(buffer, "kind"), "ram") ?
		       "device memory" : "system memory");
	if (member(buffer, "device"))
		printf(" of %s", text(buffer, "device"));
	printf(", exported by %s, %lld maps\n", text(buffer, "exporter"),
	       number(buffer, "maps"));
	print_state(buffer);
	print_ranges(buffer);
	json_array_foreach(member(buffer, "importers"), i, entry)
		print_importer(entry);
	json_array_foreach(member(buffer, "holders"), i, entry)
		printf("  held by %s[%lld], fd %lld\n", text(entry, "process"),
		       number(entry, "pid"), number(entry, "fd"));
}

int cmd_list(int argc, char **argv)
{
	json_t *all, *buffers, *buffer;
	bool json = false;
	size_t i;

	if (options(argc, argv, help, &json))
		die("list takes no arguments; see dma-buf-phys list --help");
	need_root("debugfs, and other processes' files, are root's");

	buffers = read_buffers();
	find_holders(buffers);
	all = json_pack("{s:o}", "buffers", buffers);
	if (json) {
		print_json(all, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	} else {
		json_array_foreach(buffers, i, buffer)
			print_buffer(buffer);
		if (!json_array_size(buffers))
			puts("no buffers");
	}
	json_decref(all);
	return STATUS_OK;
}

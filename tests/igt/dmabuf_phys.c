// SPDX-License-Identifier: MIT
/*
 * dma-bufs that are described by physical ranges: the core.
 *
 * The KUnit suites, and what the core promises to whoever looks at it from outside.
 *
 * libs: igt
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "igt.h"
#include "igt_kmod.h"
#include "iommufd.h"
#include "stage.h"

/**
 * TEST: dmabuf phys
 * Description: The core of dma-bufs that are described by physical ranges.
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: dma-buf
 * Functionality: core
 *
 * SUBTEST: %s
 * Description: All cases of this KUnit suite pass.
 * arg[1].values: dma-buf-phys-ranges, dma-buf-phys-states, dma-buf-phys-dma,
 *	dma-buf-phys-domain, dma-buf-phys-move
 *
 * SUBTEST: debugfs-tells-exporter-size-and-state
 * Description: debugfs has a block for each buffer.
 *
 * SUBTEST: debugfs-names-importer-and-process
 * Description: Each importer is named, with the process that attached it.
 *
 * SUBTEST: debugfs-counts-what-reaches-the-memory
 * Description: The number of maps is 0 while suspended, and as before afterwards.
 *
 * SUBTEST: debugfs-shows-no-physical-address
 * Description: The address of the BAR is nowhere in it.
 *
 * SUBTEST: trace-shows-no-physical-address
 * Description: Nor in the trace events.
 *
 * SUBTEST: trace-of-a-suspend-is-in-order
 * Description: Stop, unmap, stopped with no map left, restore, map.
 */

IGT_TEST_DESCRIPTION("dma-bufs described by physical ranges: the core");

#define TRACEFS		"/sys/kernel/tracing"
#define EVENTS		TRACEFS "/events/dma_buf_phys/enable"
#define TEXT		0x10000

static char text[TEXT];

/* A file of debugfs or tracefs into @text. */
static void read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t now;

	igt_assert_f(fd >= 0, "open %s: %m\n", path);
	while ((now = read(fd, text + got, TEXT - 1 - got)) > 0)
		got += now;
	text[got] = '\0';
	close(fd);
}

static void write_text(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	igt_require_f(fd >= 0, "no %s\n", path);
	igt_assert_eq(write(fd, value, strlen(value)), (int)strlen(value));
	close(fd);
}

static void trace_begin(void)
{
	write_text(EVENTS, "1");
	write_text(TRACEFS "/trace", "\n");
}

static void trace_end(void)
{
	read_text(TRACEFS "/trace");
	write_text(EVENTS, "0");
}

static int export_and_map(struct scene *scene)
{
	int fd = scene_export(scene, three_ranges);

	igt_assert_eq(scene_map_at(scene, fd, three_ranges, IOVA), 0);
	return fd;
}

static void away_and_back(struct scene *scene)
{
	igt_assert_eq(vfio_set_memory(&scene->exporter, false), 0);
	igt_assert_eq(vfio_set_memory(&scene->exporter, true), 0);
}

static void tells_state(struct scene *scene)
{
	int fd = scene_export(scene, three_ranges);
	struct phys_buffer buffer;

	igt_assert(phys_buffer(fd, &buffer));
	igt_assert(!strcmp(buffer.exporter, "vfio_pci_core"));
	igt_assert_eq_u64(buffer.size, layout_size(three_ranges));
	igt_assert(!strcmp(buffer.state, "live"));
	igt_assert_eq(buffer.importers, 0);
	close(fd);
}

static void names_importer(struct scene *scene)
{
	int fd = export_and_map(scene);
	struct phys_buffer buffer;
	char by[32];

	snprintf(by, sizeof(by), " pid %d ", getpid());
	igt_assert(phys_buffer(fd, &buffer));
	igt_assert_eq(buffer.importers, 1);
	igt_assert_f(strstr(buffer.first_importer, "importer iommufd ") &&
		     strstr(buffer.first_importer, by), "%s\n",
		     buffer.first_importer);
	close(fd);
}

static void counts_maps(struct scene *scene)
{
	int fd = export_and_map(scene);

	assert_holds(fd, 1, 1);
	igt_assert_eq(vfio_set_memory(&scene->exporter, false), 0);
	assert_holds(fd, 1, 0);
	igt_assert_eq(vfio_set_memory(&scene->exporter, true), 0);
	assert_holds(fd, 1, 1);
	close(fd);
}

static void assert_absent(__u64 address)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%llx", address);
	igt_assert_f(!strstr(text, digits), "%s is there\n", digits);
}

/* Where the BAR and each range begin is not in @text, as hexadecimal digits. */
static void assert_no_address(struct scene *scene)
{
	__u64 begin = pci_bar_address(scene->exporter.name, SCENE_BAR);
	__u32 i;

	igt_assert(begin);
	assert_absent(begin);
	for (i = 0; i < three_ranges.nr; i++)
		assert_absent(begin + three_ranges.ranges[i].offset);
}

static void no_address_in_debugfs(struct scene *scene)
{
	int fd = export_and_map(scene);

	read_text(PHYS_DEBUGFS);
	igt_assert(strstr(text, "buffer "));
	assert_no_address(scene);
	close(fd);
}

static void no_address_in_trace(struct scene *scene)
{
	int fd;

	trace_begin();
	fd = export_and_map(scene);
	away_and_back(scene);
	trace_end();
	igt_assert(strstr(text, "dma_buf_phys_map:"));
	assert_no_address(scene);
	close(fd);
}

/* @what follows at or after @where, which is moved behind it. */
static void assert_next(const char **where, const char *what)
{
	const char *found = strstr(*where, what);

	igt_assert_f(found, "no \"%s\" in the rest of the trace:\n%s\n", what,
		     *where);
	*where = found + strlen(what);
}

static void trace_order(struct scene *scene)
{
	const char *where = text;
	int fd = export_and_map(scene);

	trace_begin();
	away_and_back(scene);
	trace_end();
	close(fd);
	assert_next(&where, "dma_buf_phys_stop:");
	assert_next(&where, "dma_buf_phys_unmap:");
	assert_next(&where, "dma_buf_phys_stopped:");
	assert_next(&where, "nr_maps=0");
	assert_next(&where, "dma_buf_phys_restore:");
	assert_next(&where, "dma_buf_phys_map:");
}

static const char * const suites[] = {
	"dma-buf-phys-ranges",
	"dma-buf-phys-states",
	"dma-buf-phys-dma",
	"dma-buf-phys-domain",
	"dma-buf-phys-move",
};

igt_main()
{
	unsigned int i;

	igt_fixture()
		phys_require();

	for (i = 0; i < ARRAY_SIZE(suites); i++)
		igt_kunit("dma-buf-phys_kunit", suites[i], NULL);

	igt_describe("debugfs has a block for each buffer");
	igt_subtest("debugfs-tells-exporter-size-and-state")
		with_exporter(tells_state);

	igt_describe("each importer is named, with the process that attached it");
	igt_subtest("debugfs-names-importer-and-process")
		with_dma(names_importer);

	igt_describe("the number of maps is 0 while suspended, and comes back");
	igt_subtest("debugfs-counts-what-reaches-the-memory")
		with_dma(counts_maps);

	igt_describe("the address of the BAR is nowhere in debugfs");
	igt_subtest("debugfs-shows-no-physical-address")
		with_dma(no_address_in_debugfs);

	igt_describe("nor in the trace events");
	igt_subtest("trace-shows-no-physical-address")
		with_dma(no_address_in_trace);

	igt_describe("stop, unmap, stopped with no map left, restore, map");
	igt_subtest("trace-of-a-suspend-is-in-order")
		with_dma(trace_order);
}

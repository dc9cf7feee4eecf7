// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the DMA view costs, compared with mainline's scatterlist.
 *
 * One importer, a device's own driver, maps through dma-buf-phys (ours), and as
 * a driver that does not know it, by dma_buf_map_attachment() (mainline).
 *
 * Counted is the importer's ioctl, less what the same ioctl costs when there is
 * nothing to do. "walk" reads every address of the mapping once.
 *
 * summary: DMA view against scatterlist
 * topology: root switch
 * icount: yes
 * timeout: 300
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "iommufd.h"
#include "report.h"
#include "testdrv.h"

static struct figure map_cost = { .what = "map, instructions" };
static struct figure walk_cost = { .what = "walk, instructions" };
static struct figure unmap_cost = { .what = "unmap, instructions" };
static struct figure map_bytes = { .what = "map, bytes" };

static int importer;

static int do_state(int fd)
{
	struct dbt_state state;

	return importer_state(fd, &state);
}

/* Instructions that @act takes; it must return @want. */
static __u64 cost(int (*act)(int importer), int want)
{
	__u64 begin = measure_instructions();
	int ret = act(importer);
	__u64 took = measure_instructions() - begin;

	if (ret != want)
		die("an ioctl returned %d, not %d", ret, want);
	return took;
}

static void round_instructions(const struct bench_case *now)
{
	__u64 map, walk, unmap, idle_map, idle_walk, idle_unmap;

	idle_unmap = cost(importer_unmap, 0);
	idle_walk = cost(do_state, 0);
	map = cost(importer_map_all, 0);
	idle_map = cost(importer_map_all, -EBUSY);
	walk = cost(do_state, 0);
	unmap = cost(importer_unmap, 0);

	figure_add(&map_cost, now, map, idle_map);
	figure_add(&walk_cost, now, walk, idle_walk);
	figure_add(&unmap_cost, now, unmap, idle_unmap);
}

static void round_bytes(const struct bench_case *now)
{
	measure_bytes_begin();
	must("DBT_MAP", importer_map_all(importer));
	figure_add(&map_bytes, now, measure_bytes_end(now->title), 0);
	must("DBT_UNMAP", importer_unmap(importer));
}

static void warm_up(const struct bench_case *now)
{
	struct dbt_state state;

	must("DBT_MAP", importer_map_all(importer));
	must("DBT_STATE", importer_state(importer, &state));
	if (state.len != now->bytes)
		die("%s: %llu bytes are mapped", now->title, state.len);
	must("DBT_UNMAP", importer_unmap(importer));
}

static void measure(const struct bench_case *now)
{
	const __u32 flags = now->path == OURS ? DBT_ATTACH_CLASS : 0;
	int i;

	must("DBT_ATTACH", importer_attach(importer, now->dmabuf, flags, 0));
	for (i = 0; i < BENCH_WARM_UP; i++)
		warm_up(now);
	for (i = 0; i < BENCH_ROUNDS; i++) {
		round_instructions(now);
		round_bytes(now);
	}
	must("DBT_DETACH", importer_detach(importer));
}

int main(void)
{
	const char *row = "DMA view, IOMMU";
	char name[PCI_NAME_LEN];
	int iommufd;

	if (topology_is("switch")) {
		row = "DMA view, switch";
		must("allow VFIO without an IOMMU", vfio_allow_noiommu());
	}
	measure_calibrate();
	iommufd = must("open /dev/iommu", iommufd_open());
	importer = must("open the importer", importer_open(0, name));

	bench_run(row, iommufd, measure);
	figure_report(&map_cost, row);
	figure_report(&walk_cost, row);
	figure_report(&unmap_cost, row);
	figure_report(&map_bytes, row);

	close(importer);
	must("release the importer", testdrv_release(name));
	close(iommufd);
	return EXIT_SUCCESS;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a memory region of an RDMA device in a dma-buf costs, compared with
 * mainline's umem_dmabuf.c.
 *
 * One driver registers all of the dma-buf, pinned and revocable, looks for a
 * block size and reads every block, as a driver that fills its page table, and
 * deregisters: by the RDMA core (ours), and by the code of Linux that it
 * replaces, compiled into the test driver with its symbols renamed (mainline).
 *
 * Counted is the driver's ioctl, less what an ioctl costs when there is nothing
 * to do.
 *
 * summary: RDMA memory region against mainline's
 * topology: big switch
 * icount: yes
 * timeout: 900
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "iommufd.h"
#include "report.h"
#include "testdrv.h"

static struct figure reg_cost = { .what = "register, instructions" };
static struct figure blocks_cost = { .what = "read blocks, instructions" };
static struct figure dereg_cost = { .what = "deregister, instructions" };
static struct figure reg_bytes = { .what = "register, bytes" };

static int umem;

static int reg(const struct bench_case *now)
{
	return umem_reg(umem, now->dmabuf, now->bytes,
			now->path == OURS ? 0 : DBT_REG_MAINLINE);
}

static int blocks(const struct bench_case *now)
{
	struct dbt_blocks got;

	return umem_blocks(umem, &got);
}

static int dereg(const struct bench_case *now)
{
	return umem_dereg(umem);
}

/* Instructions that @act takes; it must return @want. */
static __u64 cost(const struct bench_case *now,
		  int (*act)(const struct bench_case *now), int want)
{
	__u64 begin = measure_instructions();
	int ret = act(now);
	__u64 took = measure_instructions() - begin;

	if (ret != want)
		die("%s: an ioctl returned %d, not %d", now->title, ret, want);
	return took;
}

static void round_instructions(const struct bench_case *now)
{
	__u64 idle = cost(now, dereg, 0);

	figure_add(&reg_cost, now, cost(now, reg, 0), idle);
	figure_add(&blocks_cost, now, cost(now, blocks, 0), idle);
	figure_add(&dereg_cost, now, cost(now, dereg, 0), idle);
}

static void round_bytes(const struct bench_case *now)
{
	measure_bytes_begin();
	must("DBT_REG", reg(now));
	figure_add(&reg_bytes, now, measure_bytes_end(now->title), 0);
	must("DBT_DEREG", dereg(now));
}

/* No two pages are adjacent, so each is a block. */
static void warm_up(const struct bench_case *now)
{
	struct dbt_blocks got;

	must("DBT_REG", reg(now));
	must("DBT_BLOCKS", umem_blocks(umem, &got));
	if (got.nr * got.size < now->bytes || !got.sum)
		die("%s: %llu blocks of %llu bytes", now->title, got.nr,
		    got.size);
	must("DBT_DEREG", dereg(now));
}

static void measure(const struct bench_case *now)
{
	int i;

	for (i = 0; i < BENCH_WARM_UP; i++)
		warm_up(now);
	for (i = 0; i < BENCH_ROUNDS; i++) {
		round_instructions(now);
		round_bytes(now);
	}
}

int main(void)
{
	const char *row = "memory region, IOMMU";
	char name[PCI_NAME_LEN];
	int iommufd;

	if (topology_is("switch")) {
		row = "memory region, switch";
		must("allow VFIO without an IOMMU", vfio_allow_noiommu());
	}
	measure_calibrate();
	iommufd = must("open /dev/iommu", iommufd_open());
	umem = must("open the test driver", umem_open(0, name));

	bench_run(row, iommufd, measure);
	figure_report(&reg_cost, row);
	figure_report(&blocks_cost, row);
	figure_report(&dereg_cost, row);
	figure_report(&reg_bytes, row);

	close(umem);
	must("release the test driver", testdrv_release(name));
	close(iommufd);
	return EXIT_SUCCESS;
}

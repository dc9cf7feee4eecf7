// SPDX-License-Identifier: GPL-2.0-only
/*
 * What rxe takes to move bytes in and out of a BAR, compared with plain memory.
 *
 * Ours is a region of a dma-buf, which VFIO exports; in the other column is a
 * region of anonymous memory, by the same two hosts. Counted is everything
 * that the guest does between posting a request and its completion: both
 * hosts, the network, and the polling process. The BAR is memory of QEMU's, so
 * that an access to it takes no longer than one to memory.
 *
 * summary: RDMA by rxe, dma-buf against anonymous memory
 * topology: root
 * icount: yes
 * timeout: 600
 * root: debian
 * libs: ibverbs
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "iommufd.h"
#include "rdma.h"
#include "report.h"
#include "vfio.h"

#define BAR		2
#define PAGE		0x1000ULL
#define LARGE		0x100000
#define MEM		0x200000
#define SMALL_TIMES	20
#define TURNS		3
#define NR_SIZES	2
#define NR_QUANTITIES	4

/* As a row's "ranges": the number of pages, of which no two are adjacent. */
static const __u32 nr_ranges[NR_SIZES] = { 1, LARGE / PAGE };

struct quantity {
	const char *what;		/* ends in its unit */
	enum ibv_wr_opcode opcode;
	__u32 len;
	__u32 times;			/* per round; the figure is for one */
	struct series series[BENCH_NR_PATHS][NR_SIZES];
};

static struct quantity quantities[NR_QUANTITIES] = {
	{ "write 8 bytes, instructions", IBV_WR_RDMA_WRITE, 8, SMALL_TIMES },
	{ "read 8 bytes, instructions", IBV_WR_RDMA_READ, 8, SMALL_TIMES },
	{ "write 1 MiB, instructions", IBV_WR_RDMA_WRITE, LARGE, 1 },
	{ "read 1 MiB, instructions", IBV_WR_RDMA_READ, LARGE, 1 },
};

static const char * const path_names[BENCH_NR_PATHS] = { "ours", "mainline" };

static struct rdma_host a, b;
static struct rdma_qp qa, qb;

/* 1 MiB in one range, or in pages that nothing can merge. */
static int export_bar(struct vfio_dev *dev, __u32 nr)
{
	struct vfio_region_dma_range *ranges = calloc(nr, sizeof(*ranges));
	__u32 i;
	int fd;

	if (!ranges)
		die("no memory");
	for (i = 0; i < nr; i++)
		ranges[i] = (struct vfio_region_dma_range){
			.offset = (i * 229ULL % nr * 2 + 1) * PAGE,
			.length = LARGE / nr,
		};
	fd = must("export", vfio_export(dev, BAR, ranges, nr));
	free(ranges);
	return fd;
}

static void measure(enum bench_path path, unsigned int size,
		    const struct rdma_mr *mr)
{
	struct quantity *quantity;
	struct rdma_wr wr;
	unsigned int i, round;
	__u64 took;

	for (i = 0; i < NR_QUANTITIES; i++) {
		quantity = &quantities[i];
		wr = rdma_wr_remote(quantity->opcode, b.key, 0, quantity->len,
				    mr->key, 0);
		rdma_measure(&qb, wr, quantity->times);
		for (round = 0; round < BENCH_ROUNDS; round++) {
			took = rdma_measure(&qb, wr, quantity->times);
			series_add(&quantity->series[path][size],
				   took / quantity->times, 0);
		}
	}
}

static void turn(struct vfio_dev *dev, unsigned int size)
{
	struct rdma_region region = {
		.dmabuf = export_bar(dev, nr_ranges[size]),
		.len = LARGE,
		.access = RDMA_ALL,
	};
	struct rdma_mr mr;

	must("ibv_reg_dmabuf_mr", rdma_reg(&a, &region, &mr));
	measure(OURS, size, &mr);
	must("ibv_dereg_mr", rdma_dereg(&mr));
	close(region.dmabuf);

	region.dmabuf = -1;
	must("ibv_reg_mr", rdma_reg(&a, &region, &mr));
	measure(MAINLINE, size, &mr);
	must("ibv_dereg_mr", rdma_dereg(&mr));
}

static void report(void)
{
	struct quantity *quantity;
	unsigned int i, path, size;

	for (i = 0; i < NR_QUANTITIES; i++) {
		quantity = &quantities[i];
		for (size = 0; size < NR_SIZES; size++)
			for (path = 0; path < BENCH_NR_PATHS; path++)
				series_report(&quantity->series[path][size],
					      "rxe", nr_ranges[size],
					      path_names[path], quantity->what);
	}
}

int main(void)
{
	struct vfio_dev dev;
	unsigned int i, size;
	int iommufd;

	measure_calibrate();
	rdma_net_open();
	rdma_host_start(&a, RDMA_A, MEM);
	rdma_host_start(&b, RDMA_B, MEM);
	memset(b.mem, 0x5a, MEM);
	rdma_qps_connect(&a, &qa, 0, &b, &qb, IBV_QPT_RC);
	iommufd = must("open /dev/iommu", iommufd_open());
	must("open the exporter", vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	for (i = 0; i < TURNS; i++)
		for (size = 0; size < NR_SIZES; size++)
			turn(&dev, size);
	report();
	rdma_host_stop(&b);
	rdma_host_stop(&a);
	vfio_close(&dev);
	close(iommufd);
	return EXIT_SUCCESS;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Demo: another host reads and writes a device's BAR, through RDMA.
 *
 * The exporter is an ivshmem device, whose BAR2 is plain memory. Host A registers
 * it; host B, in a network namespace of its own, reaches it over the wire, which
 * is rxe on veth. At the same time an edu device, a small DMA engine, reaches it
 * through iommufd. Each line is one step with the time it took, and says "ok" only
 * if the program checked what it says: every byte of the BAR, also outside the
 * exported ranges, compared with what it should be.
 *
 * flavour: plain
 * topology: root
 * timeout: 180
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommufd.h"
#include "rdma.h"
#include "report.h"
#include "scene.h"

#define IOVA		0x100000000ULL
#define NR_RANGES	4
#define MEM		0x400000	/* plain memory of host B */
#define FLOOD		0x4000		/* what B writes to over and over */
#define FLOOD_MS	300

/* Of different sizes, with gaps, not ascending. */
static const struct vfio_region_dma_range ranges[NR_RANGES] = {
	{ .offset = 0x2000000, .length = 0x200000 },
	{ .offset = 0x0100000, .length = 0x1000 },
	{ .offset = 0x3000000, .length = 0x10000 },
	{ .offset = 0x0804000, .length = 0x4000 },
};

static const struct layout layout = { ranges, NR_RANGES };

struct act {
	struct scene scene;
	struct rdma_host a, b;
	struct rdma_qp qa, qb;		/* RC */
	struct rdma_mr mr;
	int dmabuf;
};

static bool verdict(const char *what, int err)
{
	if (!err)
		return step_ok();
	return step_failed("%s: %s", what, err == -EILSEQ ?
			   "wrong bytes, see above" : strerror(-err));
}

/* The completion is as it should be. */
static bool completed(enum ibv_wc_status want, enum ibv_wc_status got, int err)
{
	if (got == want)
		return verdict("BAR", err);
	return step_failed("host B got \"%s\"", ibv_wc_status_str(got));
}

static bool export_ranges(struct act *act)
{
	step_begin("export these ranges of BAR%u as one dma-buf", SCENE_BAR);
	act->dmabuf = vfio_export(&act->scene.exporter, SCENE_BAR, ranges,
				  NR_RANGES);
	return verdict("VFIO_DEVICE_FEATURE_DMA_BUF",
		       act->dmabuf < 0 ? act->dmabuf : 0);
}

static int reg(struct act *act, int access)
{
	const struct rdma_region region = {
		.dmabuf = act->dmabuf,
		.len = layout_size(layout),
		.access = RDMA_ALL | access,
	};

	return rdma_reg(&act->a, &region, &act->mr);
}

static bool register_it(struct act *act)
{
	step_begin("host A: ibv_reg_dmabuf_mr() of all 0x%llx bytes",
		   layout_size(layout));
	return verdict("ibv_reg_dmabuf_mr", reg(act, 0));
}

static bool map_it(struct act *act)
{
	step_begin("iommufd: the same dma-buf, at IOVA 0x%llx", IOVA);
	return verdict("IOMMU_IOAS_MAP_FILE",
		       scene_map_at(&act->scene, act->dmabuf, layout, IOVA));
}

/* Between B's memory and the region, both from their start. */
static enum ibv_wc_status transfer(struct act *act, enum ibv_wr_opcode opcode,
				   size_t len)
{
	return rdma_do(&act->qb, rdma_wr_remote(opcode, act->b.key, 0, len,
						act->mr.key, 0));
}

static int judge_write(struct act *act, size_t len)
{
	bar_note(&act->scene.bar, layout, 0, act->b.mem, len);
	return scene_judge(&act->scene);
}

static enum ibv_wc_status write_new(struct act *act, size_t len)
{
	scene_pattern(&act->scene, act->b.mem, len);
	return transfer(act, IBV_WR_RDMA_WRITE, len);
}

static bool write_all(struct act *act)
{
	size_t len = layout_size(layout);
	enum ibv_wc_status status;

	step_begin("host B writes all of it: in place, gaps intact");
	status = write_new(act, len);
	return completed(IBV_WC_SUCCESS, status, judge_write(act, len));
}

/* What it reads is what the ranges hold. */
static int judge_read(struct act *act, size_t len)
{
	__u8 *want = malloc(len);
	int err;

	if (!want)
		return -ENOMEM;
	bar_expect(&act->scene.bar, layout, 0, want, len);
	err = memcmp(want, act->b.mem, len) ? -EILSEQ : 0;
	if (err)
		printf("# host B read other bytes\n");
	free(want);
	return err;
}

static bool read_all(struct act *act)
{
	size_t len = layout_size(layout);
	enum ibv_wc_status status;

	step_begin("host B reads all of it: the same bytes");
	memset(act->b.mem, 0, len);
	status = transfer(act, IBV_WR_RDMA_READ, len);
	return completed(IBV_WC_SUCCESS, status, judge_read(act, len));
}

static bool see_dma(struct act *act)
{
	enum ibv_wc_status status;
	int err;

	step_begin("edu writes through iommufd: host B reads these bytes");
	err = scene_write_arrives(&act->scene, IOVA, layout, 0, EDU_BLOCK);
	if (err)
		return verdict("DMA", err);
	status = transfer(act, IBV_WR_RDMA_READ, EDU_BLOCK);
	return completed(IBV_WC_SUCCESS, status, judge_read(act, EDU_BLOCK));
}

/* B writes over and over; the memory goes and comes; B still writes. */
static int take_away_meanwhile(struct act *act, struct rdma_flood *flood)
{
	struct scene *scene = &act->scene;
	struct rdma_qp uc_a, uc_b;
	int err;

	rdma_qps_connect(&act->a, &uc_a, 0, &act->b, &uc_b, IBV_QPT_UC);
	rdma_flood_start(&act->qb, &uc_b, act->mr.key, 0, FLOOD);
	do
		usleep(1000);
	while (rdma_flood_look(&act->qb).rc < 2);
	err = vfio_set_memory(&scene->exporter, false);
	if (!err)
		err = vfio_set_memory(&scene->exporter, true);
	bar_take(&scene->bar, layout, 0, FLOOD);
	usleep(FLOOD_MS * 1000);
	if (!err)
		err = scene_judge(scene);
	*flood = rdma_flood_stop(&act->qb);
	rdma_qps_destroy(&uc_a, &uc_b);
	return err;
}

static bool stop_by_memory_disable(struct act *act)
{
	struct rdma_flood flood;
	int err;

	step_begin("decode off and on under writes: not a byte changes from then on");
	err = take_away_meanwhile(act, &flood);
	if (!err && (!flood.rc || flood.uc_after < 2))
		return step_failed("host B did not write all the time");
	return completed(IBV_WC_REM_ACCESS_ERR, flood.status, err);
}

/* An RC connection ends with its first error. */
static void reconnect(struct act *act)
{
	rdma_qps_destroy(&act->qa, &act->qb);
	rdma_qps_connect(&act->a, &act->qa, 0, &act->b, &act->qb, IBV_QPT_RC);
}

static bool refused(struct act *act, const char *when)
{
	enum ibv_wc_status status;

	step_begin("%s: host B gets \"%s\"", when,
		   ibv_wc_status_str(IBV_WC_REM_ACCESS_ERR));
	reconnect(act);
	status = write_new(act, EDU_BLOCK);
	return completed(IBV_WC_REM_ACCESS_ERR, status, scene_judge(&act->scene));
}

static bool iommufd_works(struct act *act)
{
	step_begin("iommufd: the same IOVA works again, no new ioctl");
	return verdict("DMA", scene_write_arrives(&act->scene, IOVA, layout, 0,
						  EDU_BLOCK));
}

static int reg_on_demand(struct act *act)
{
	int err = rdma_dereg(&act->mr);

	return err ? err : reg(act, IBV_ACCESS_ON_DEMAND);
}

static bool comes_back(struct act *act)
{
	enum ibv_wc_status status;
	int err;

	step_begin("registered on demand: the same key works again after a reset");
	err = reg_on_demand(act);
	if (err)
		return verdict("ibv_reg_dmabuf_mr", err);
	reconnect(act);
	status = write_new(act, EDU_BLOCK);
	err = judge_write(act, EDU_BLOCK);
	if (status || err)
		return completed(IBV_WC_SUCCESS, status, err);
	err = vfio_reset(&act->scene.exporter);
	if (err)
		return verdict("VFIO_DEVICE_RESET", err);
	status = write_new(act, EDU_BLOCK);
	return completed(IBV_WC_SUCCESS, status, judge_write(act, EDU_BLOCK));
}

static bool close_it(struct act *act)
{
	int err;

	scene_close_exporter(&act->scene);
	err = scene_reopen_exporter(&act->scene);
	if (err)
		return verdict("open the device again", err);
	return refused(act, "closed and opened again");
}

static void introduce(const struct act *act)
{
	__u32 i;

	printf("exporter   %s ivshmem, BAR%u of 0x%zx bytes\n",
	       act->scene.exporter.name, SCENE_BAR, act->scene.bar.size);
	for (i = 0; i < NR_RANGES; i++)
		printf("%-10s offset 0x%07llx  length 0x%06llx\n",
		       i ? "" : "ranges", ranges[i].offset, ranges[i].length);
	printf("host A     rxe, registers it\n");
	printf("host B     rxe, in another network namespace\n");
	printf("initiator  %s edu, in an IOAS of iommufd\n\n",
	       act->scene.edu.dev.name);
}

static void perform(struct act *act)
{
	if (!export_ranges(act) || !register_it(act) || !map_it(act))
		return;
	write_all(act);
	read_all(act);
	see_dma(act);
	stop_by_memory_disable(act);
	refused(act, "a pinned region stays dead");
	iommufd_works(act);
	comes_back(act);
	close_it(act);
}

int main(void)
{
	struct act act = {};

	rdma_net_open();
	rdma_host_start(&act.a, RDMA_A, FLOOD);
	rdma_host_start(&act.b, RDMA_B, MEM);
	scene_open(&act.scene, PCI_ID_IVSHMEM, 0);
	rdma_qps_connect(&act.a, &act.qa, 0, &act.b, &act.qb, IBV_QPT_RC);
	introduce(&act);
	perform(&act);
	printf("\n");
	rdma_host_stop(&act.b);
	rdma_host_stop(&act.a);
	scene_close(&act.scene);
	return steps_verdict("demo rdma");
}

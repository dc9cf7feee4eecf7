// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of every entry point fails in turn.
 *
 * Each call is repeated with its first allocation failing, then its second, until
 * one goes through undisturbed. A call that fails says -ENOMEM and has changed
 * nothing: what debugfs shows of all buffers is as before, and the same call
 * succeeds at once. Some allocations have a substitute; then the call succeeds.
 *
 * A refill has nobody to tell: the map stays dead, the log says so, and user space
 * can unmap it and map it by hand.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 240
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backing.h"
#include "faults.h"
#include "iommufd.h"
#include "kmsg.h"
#include "leaks.h"
#include "mapping.h"
#include "report.h"
#include "testdrv.h"
#include "uverbs.h"
#include "vfio.h"

#include "kselftest_harness.h"

#define BAR		2
#define PAGE		0x1000ULL
#define LIMIT		600	/* seconds per test */
#define MAX_FAULTS	400	/* more than any call has */
#define IOVA		0x100000000ULL
#define MR_IOVA		0x7000000000ULL
#define RXE		"rxe_faults"
#define NETDEV		"faults0"
#define NR_IOAS		2
#define NR_LONG		128	/* ranges: the core makes an index of them */

/*
 * The first one cannot be mapped by large pages, and fills page tables, which
 * therefore go with it and are allocated again.
 */
static const struct vfio_region_dma_range ranges[] = {
	{ .offset = 0x001000, .length = 0x600000 },
	{ .offset = 0x824000, .length = 0x2000 },
	{ .offset = 0x801000, .length = 0x3000 },
};

static const struct layout layout = { ranges, 3 };

struct stage {
	int faults;
	int kmsg;
	int iommufd;
	__u32 ioas[NR_IOAS];
	__u32 hwpt;
	struct vfio_dev exporter;
	struct vfio_dev device;		/* of @ioas[0]; its page table */
	int dmabuf;
	int new;			/* what a call has made */
	__u8 *map;
	int importer;
	int ibdev;
	char importer_name[PCI_NAME_LEN];
	char ibdev_pci[PCI_NAME_LEN];
	struct uverbs verbs;
	__u32 pd;
	struct uverbs_mr mr;
};

static void must(const char *what, int err)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

static __u64 size(void)
{
	return layout_size(layout);
}

/*
 * The calls: prepare once, do, undo what was done
 */

struct call {
	void (*prepare)(struct stage *stage);
	void (*before)(struct stage *stage);	/* each time */
	int (*go)(struct stage *stage);
	void (*undo)(struct stage *stage);
	bool is_restore;
	bool is_iommufd;
	bool is_dma;		/* of the device that imports */
};

static int export(struct stage *stage)
{
	stage->new = vfio_export(&stage->exporter, BAR, ranges, 3);
	return stage->new < 0 ? stage->new : 0;
}

static void close_new(struct stage *stage)
{
	close(stage->new);
}

static const struct call export_call = { .go = export, .undo = close_new };

/* The test importer */

static void have_importer(struct stage *stage)
{
	stage->importer = importer_open(0, stage->importer_name);
	must("open the importer", stage->importer);
}

static void detach(struct stage *stage)
{
	must("detach", importer_detach(stage->importer));
}

static void unmap(struct stage *stage)
{
	must("unmap", importer_unmap(stage->importer));
}

static int attach_class(struct stage *stage)
{
	return importer_attach(stage->importer, stage->dmabuf,
			       DBT_ATTACH_CLASS | DBT_ATTACH_PIN, 0);
}

/* A new buffer each time: who is first to look makes the index. */
static int attach_long(struct stage *stage)
{
	struct vfio_region_dma_range list[NR_LONG];
	int err;

	layout_scattered(list, NR_LONG);
	stage->new = vfio_export(&stage->exporter, BAR, list, NR_LONG);
	if (stage->new < 0)
		return stage->new;
	err = importer_attach(stage->importer, stage->new,
			      DBT_ATTACH_CLASS | DBT_ATTACH_PIN, 0);
	if (err)
		close_new(stage);
	return err;
}

static void detach_long(struct stage *stage)
{
	detach(stage);
	close_new(stage);
}

static int attach_old(struct stage *stage)
{
	return importer_attach(stage->importer, stage->dmabuf, 0, 0);
}

static int attach_cpu(struct stage *stage)
{
	return importer_attach(stage->importer, stage->dmabuf,
			       DBT_ATTACH_CLASS | DBT_ATTACH_CPU, 0);
}

static int map_all(struct stage *stage)
{
	return importer_map_all(stage->importer);
}

static int remap(struct stage *stage)
{
	return importer_remap(stage->importer);
}

static void have_class(struct stage *stage)
{
	have_importer(stage);
	must("attach", attach_class(stage));
}

static void have_old(struct stage *stage)
{
	have_importer(stage);
	must("attach", attach_old(stage));
}

static void have_cpu(struct stage *stage)
{
	have_importer(stage);
	must("attach", attach_cpu(stage));
}

static void have_cpu_view(struct stage *stage)
{
	have_cpu(stage);
	must("map", map_all(stage));
}

static void away_and_back(struct stage *stage)
{
	must("memory off", vfio_set_memory(&stage->exporter, false));
	must("memory on", vfio_set_memory(&stage->exporter, true));
}

static const struct call attach_class_call = {
	.prepare = have_importer, .go = attach_class, .undo = detach,
	.is_dma = true,
};

static const struct call attach_long_call = {
	.prepare = have_importer, .go = attach_long, .undo = detach_long,
};

static const struct call attach_old_call = {
	.prepare = have_importer, .go = attach_old, .undo = detach,
	.is_dma = true,
};

static const struct call attach_cpu_call = {
	.prepare = have_importer, .go = attach_cpu, .undo = detach,
};

static const struct call map_dma_call = {
	.prepare = have_class, .go = map_all, .undo = unmap,
	.is_dma = true,
};

static const struct call map_sgt_call = {
	.prepare = have_old, .go = map_all, .undo = unmap,
	.is_dma = true,
};

static const struct call map_cpu_call = {
	.prepare = have_cpu, .go = map_all, .undo = unmap,
};

static const struct call remap_cpu_call = {
	.prepare = have_cpu_view, .before = away_and_back, .go = remap,
};

/* iommufd */

static int map_file(struct stage *stage)
{
	return ioas_map_file_at(stage->iommufd, stage->ioas[0], stage->dmabuf,
				size(), IOVA);
}

static void unmap_from(struct stage *stage, __u32 ioas)
{
	__u64 unmapped;

	must("unmap", ioas_unmap(stage->iommufd, ioas, IOVA, size(),
				 &unmapped));
}

static void unmap_file(struct stage *stage)
{
	unmap_from(stage, stage->ioas[0]);
}

/* Into an IOAS whose page table is not that of the source. */
static int copy(struct stage *stage)
{
	__u64 iova = IOVA;

	return ioas_copy(stage->iommufd, stage->ioas[0], &iova, stage->ioas[1],
			 IOVA, size(), MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
}

static void have_source(struct stage *stage)
{
	must("map", ioas_map_file_at(stage->iommufd, stage->ioas[1],
				     stage->dmabuf, size(), IOVA));
}

static void have_map(struct stage *stage)
{
	must("map", map_file(stage));
}

static int new_hwpt(struct stage *stage)
{
	return hwpt_alloc(stage->iommufd, stage->device.id, stage->ioas[0],
			  &stage->hwpt);
}

static void free_hwpt(struct stage *stage)
{
	must("free the page table", iommufd_destroy(stage->iommufd,
						    stage->hwpt));
}

/* The other IOAS has areas, but no page table. */
static int attach_ioas(struct stage *stage)
{
	return vfio_attach(&stage->device, stage->ioas[1]);
}

static void attach_back(struct stage *stage)
{
	must("attach", vfio_attach(&stage->device, stage->ioas[0]));
}

static void memory_off(struct stage *stage)
{
	must("memory off", vfio_set_memory(&stage->exporter, false));
	kmsg_drain(stage->kmsg);
}

static int memory_on(struct stage *stage)
{
	return vfio_set_memory(&stage->exporter, true);
}

static const struct call map_file_call = {
	.go = map_file, .undo = unmap_file,
	.is_iommufd = true,
};

static const struct call copy_call = {
	.prepare = have_source, .go = copy, .undo = unmap_file,
	.is_iommufd = true,
};

static const struct call hwpt_call = {
	.prepare = have_map, .go = new_hwpt, .undo = free_hwpt,
	.is_iommufd = true,
};

static const struct call attach_ioas_call = {
	.prepare = have_source, .go = attach_ioas, .undo = attach_back,
	.is_iommufd = true,
};

static const struct call restore_call = {
	.prepare = have_map, .before = memory_off, .go = memory_on,
	.is_restore = true,
};

/* By the CPU. A fault for want of memory is a signal, or is made again. */

static int user_map(struct stage *stage)
{
	return dmabuf_map(stage->dmabuf, 0, size(), PROT_READ | PROT_WRITE,
			  &stage->map);
}

static int user_touch(struct stage *stage)
{
	__u64 value;

	return touch_load(stage->map, &value) ||
	       touch_store(stage->map + size() - PAGE, value) ? -ENOMEM : 0;
}

static void user_unmap(struct stage *stage)
{
	if (stage->map)
		munmap(stage->map, size());
	stage->map = NULL;
}

static int user_map_and_touch(struct stage *stage)
{
	int err = user_map(stage);

	if (err)
		return err;
	err = user_touch(stage);
	if (err)
		user_unmap(stage);
	return err;
}

static void have_user_map(struct stage *stage)
{
	must("mmap", user_map(stage));
}

static const struct call mmap_call = {
	.go = user_map, .undo = user_unmap,
};

static const struct call mmap_touch_call = {
	.go = user_map_and_touch, .undo = user_unmap,
};

static const struct call touch_again_call = {
	.prepare = have_user_map, .before = away_and_back, .go = user_touch,
};

/* RDMA */

static void have_rxe(struct stage *stage)
{
	must("open uverbs", uverbs_open(&stage->verbs, RXE, RDMA_DRIVER_RXE));
	must("allocate a PD", uverbs_alloc_pd(&stage->verbs, &stage->pd));
}

static void have_ibdev(struct stage *stage, __u32 how)
{
	char name[IBDEV_NAME_LEN];

	stage->ibdev = ibdev_open(1, stage->ibdev_pci);
	must("open the RDMA device", stage->ibdev);
	must("find it", ibdev_of_pci(stage->ibdev_pci, name));
	must("configure", ibdev_config(stage->ibdev, how, PAGE));
	must("open uverbs", uverbs_open(&stage->verbs, name,
					RDMA_DRIVER_UNKNOWN));
	must("allocate a PD", uverbs_alloc_pd(&stage->verbs, &stage->pd));
}

static void have_revocable(struct stage *stage)
{
	have_ibdev(stage, DBT_IB_REVOCABLE);
}

static void have_dynamic(struct stage *stage)
{
	have_ibdev(stage, DBT_IB_DYNAMIC);
}

static int reg(struct stage *stage, enum uverbs_door door, __u32 access)
{
	const struct uverbs_dmabuf arg = {
		.pd = stage->pd,
		.fd = stage->dmabuf,
		.offset = 0x5ff800,
		.length = 0x4000,
		.iova = MR_IOVA + 0x800,
		.access = ACCESS_ALL | access,
	};

	return uverbs_reg_dmabuf(&stage->verbs, door, &arg, &stage->mr);
}

static int reg_dmabuf_door(struct stage *stage)
{
	return reg(stage, DOOR_REG_DMABUF_MR, 0);
}

static int reg_mr_door(struct stage *stage)
{
	return reg(stage, DOOR_REG_MR, 0);
}

static int reg_on_demand(struct stage *stage)
{
	return reg(stage, DOOR_REG_MR, IB_UVERBS_ACCESS_ON_DEMAND);
}

static void dereg(struct stage *stage)
{
	must("deregister", uverbs_dereg(&stage->verbs, &stage->mr));
}

static void have_dynamic_mr(struct stage *stage)
{
	have_dynamic(stage);
	must("register", reg_mr_door(stage));
}

/* The first access maps. */
static int read_mr(struct stage *stage)
{
	__u64 data;
	ssize_t done = ibdev_read(stage->ibdev, stage->mr.lkey,
				  MR_IOVA + 0x800, &data, sizeof(data));

	return done < 0 ? done : 0;
}

static const struct call rxe_dmabuf_call = {
	.prepare = have_rxe, .go = reg_dmabuf_door, .undo = dereg,
};

static const struct call rxe_mr_call = {
	.prepare = have_rxe, .go = reg_mr_door, .undo = dereg,
};

static const struct call rxe_on_demand_call = {
	.prepare = have_rxe, .go = reg_on_demand, .undo = dereg,
};

static const struct call ibdev_dmabuf_call = {
	.prepare = have_revocable, .go = reg_dmabuf_door, .undo = dereg,
	.is_dma = true,
};

static const struct call ibdev_mr_call = {
	.prepare = have_revocable, .go = reg_mr_door, .undo = dereg,
	.is_dma = true,
};

static const struct call ibdev_dynamic_call = {
	.prepare = have_dynamic, .go = reg_mr_door, .undo = dereg,
	.is_dma = true,
};

static const struct call ibdev_fault_call = {
	.prepare = have_dynamic_mr, .before = away_and_back, .go = read_mr,
	.is_dma = true,
};

/*
 * The sweep
 */

struct state {
	struct holdings holdings;
	unsigned int dmabufs;
	unsigned int fds;
};

static struct state state(void)
{
	return (struct state){
		.holdings = count_holdings(),
		.dmabufs = count_dmabufs(),
		.fds = count_fds(),
	};
}

/* 0, or -EILSEQ and a line that says what changed. */
static int same_state(struct state was)
{
	struct state now = {
		.holdings = settle_holdings(was.holdings),
		.dmabufs = settle_dmabufs(was.dmabufs),
		.fds = count_fds(),
	};

	if (same_holdings(was.holdings, now.holdings) &&
	    was.dmabufs == now.dmabufs && was.fds == now.fds)
		return 0;
	printf("# importers %u, now %u; maps %u, now %u; dma-bufs %u, now %u; files %u, now %u\n",
	       was.holdings.importers, now.holdings.importers,
	       was.holdings.maps, now.holdings.maps, was.dmabufs, now.dmabufs,
	       was.fds, now.fds);
	return -EILSEQ;
}

static int go_and_undo(struct stage *stage, const struct call *call)
{
	int err = call->go(stage);

	if (!err && call->undo)
		call->undo(stage);
	return err;
}

/*
 * With IOMMUFD_TEST, iommufd also fails where it does not allocate: where it
 * looks for an object, and where it looks for reserved regions.
 */
static bool is_of_iommufd(int err)
{
	return err == -ENOENT || err == -EINVAL;
}

/* The call said that it failed. */
static int failed_well(struct stage *stage, const struct call *call,
		       struct state was, int err)
{
	if (err != -ENOMEM && !(call->is_iommufd && is_of_iommufd(err))) {
		printf("# it says: %s\n", strerror(-err));
		return err;
	}
	err = same_state(was);
	if (!err)
		err = go_and_undo(stage, call);
	return err;
}

/* The memory is back, its map may not be: then that was said, and is mended. */
static int restored_well(struct stage *stage, struct state was,
			 unsigned int *dead)
{
	if (count_holdings().maps == was.holdings.maps + 1)
		return 0;
	(*dead)++;
	if (!kmsg_has(stage->kmsg, "stays unmapped after restore", "fail_nth[")) {
		printf("# a map is dead, and the log does not say so\n");
		return -ENOMSG;
	}
	unmap_file(stage);
	return map_file(stage);
}

/* Ends with 0 once no allocation was left to fail, or with what went wrong. */
static int sweep(struct stage *stage, const struct call *call,
		 unsigned int *faults, unsigned int *dead)
{
	bool happened = true;
	struct state was;
	int ret, err = 0;

	for (*faults = 0; happened && !err && *faults < MAX_FAULTS;
	     (*faults)++) {
		if (call->before)
			call->before(stage);
		was = state();
		must("fail-nth", faults_set(stage->faults, *faults + 1));
		ret = call->go(stage);
		happened = faults_happened(stage->faults);
		if (ret)
			err = happened ? failed_well(stage, call, was, ret) :
					 ret;
		else if (call->is_restore)
			err = restored_well(stage, was, dead);
		else if (call->undo)
			call->undo(stage);
		if (!err && call->undo)
			err = same_state(was);
	}
	(*faults)--;
	if (err)
		printf("# at allocation %u\n", *faults + 1);
	return happened && !err ? -E2BIG : err;
}

FIXTURE(entry)
{
	struct stage stage;
};

FIXTURE_VARIANT(entry)
{
	const struct call *call;
};

FIXTURE_VARIANT_ADD(entry, export) { &export_call };
FIXTURE_VARIANT_ADD(entry, attach_class) { &attach_class_call };
FIXTURE_VARIANT_ADD(entry, attach_long) { &attach_long_call };
FIXTURE_VARIANT_ADD(entry, attach_old) { &attach_old_call };
FIXTURE_VARIANT_ADD(entry, attach_cpu) { &attach_cpu_call };
FIXTURE_VARIANT_ADD(entry, map_dma) { &map_dma_call };
FIXTURE_VARIANT_ADD(entry, map_sgt) { &map_sgt_call };
FIXTURE_VARIANT_ADD(entry, map_cpu) { &map_cpu_call };
FIXTURE_VARIANT_ADD(entry, remap_cpu) { &remap_cpu_call };
FIXTURE_VARIANT_ADD(entry, map_file) { &map_file_call };
FIXTURE_VARIANT_ADD(entry, ioas_copy) { &copy_call };
FIXTURE_VARIANT_ADD(entry, new_page_table) { &hwpt_call };
FIXTURE_VARIANT_ADD(entry, attach_ioas) { &attach_ioas_call };
FIXTURE_VARIANT_ADD(entry, restore) { &restore_call };
FIXTURE_VARIANT_ADD(entry, mmap) { &mmap_call };
FIXTURE_VARIANT_ADD(entry, mmap_and_touch) { &mmap_touch_call };
FIXTURE_VARIANT_ADD(entry, touch_again) { &touch_again_call };
FIXTURE_VARIANT_ADD(entry, rxe_reg_dmabuf_mr) { &rxe_dmabuf_call };
FIXTURE_VARIANT_ADD(entry, rxe_reg_mr) { &rxe_mr_call };
FIXTURE_VARIANT_ADD(entry, rxe_on_demand) { &rxe_on_demand_call };
FIXTURE_VARIANT_ADD(entry, ibdev_reg_dmabuf_mr) { &ibdev_dmabuf_call };
FIXTURE_VARIANT_ADD(entry, ibdev_reg_mr) { &ibdev_mr_call };
FIXTURE_VARIANT_ADD(entry, ibdev_dynamic) { &ibdev_dynamic_call };
FIXTURE_VARIANT_ADD(entry, ibdev_access) { &ibdev_fault_call };

FIXTURE_SETUP(entry)
{
	struct stage *stage = &self->stage;
	unsigned int i;

	if (variant->call->is_dma && !pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	*stage = (struct stage){ .importer = -1, .ibdev = -1, .verbs.fd = -1 };
	stage->faults = faults_open();
	must("open fail-nth", stage->faults);
	stage->kmsg = kmsg_open();
	must("open kmsg", stage->kmsg);
	stage->iommufd = iommufd_open();
	must("open iommufd", stage->iommufd);
	for (i = 0; i < NR_IOAS; i++)
		must("allocate an IOAS", ioas_alloc(stage->iommufd,
						    &stage->ioas[i]));
	must("open the device", vfio_open_id(&stage->device, PCI_ID_NVME, 0,
					     stage->iommufd));
	attach_back(stage);
	must("open the exporter", vfio_open_id(&stage->exporter, PCI_ID_IVSHMEM,
					       0, stage->iommufd));
	stage->dmabuf = vfio_export(&stage->exporter, BAR, ranges, 3);
	must("export", stage->dmabuf);
}

FIXTURE_TEARDOWN(entry)
{
	struct stage *stage = &self->stage;

	user_unmap(stage);
	uverbs_close(&stage->verbs);
	if (stage->importer >= 0) {
		close(stage->importer);
		must("release", testdrv_release(stage->importer_name));
	}
	if (stage->ibdev >= 0) {
		close(stage->ibdev);
		must("release", testdrv_release(stage->ibdev_pci));
	}
	close(stage->dmabuf);
	vfio_close(&stage->exporter);
	vfio_close(&stage->device);
	close(stage->iommufd);
	close(stage->faults);
	close(stage->kmsg);
	EXPECT_EQ(0, settle_dmabufs(0));
}

TEST_F_TIMEOUT(entry, fail_nth, LIMIT)
{
	struct stage *stage = &self->stage;
	unsigned int faults, dead = 0;

	if (variant->call->prepare)
		variant->call->prepare(stage);
	EXPECT_EQ(0, sweep(stage, variant->call, &faults, &dead));
	TH_LOG("%u allocations failed, %u maps stayed dead", faults, dead);
	EXPECT_LT(0, faults);
	if (variant->call->is_restore)
		EXPECT_LT(0, dead);
}

/* Its predecessor of this name may not be gone yet. */
static int add_rxe(void)
{
	int err = netdev_add(NETDEV, "dummy");
	unsigned int tries;

	if (err)
		return err;
	for (tries = 0; tries < 50; tries++) {
		err = rdma_link_add(RXE, "rxe", NETDEV);
		if (!err)
			break;
		usleep(100000);
	}
	return err;
}

int main(int argc, char **argv)
{
	int ret;

	must("let allocations fail", faults_prepare());
	must("make an rxe device", add_rxe());
	ret = test_harness_run(argc, argv);
	must("remove the network device", netdev_del(NETDEV));
	return ret;
}

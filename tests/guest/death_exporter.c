// SPDX-License-Identifier: GPL-2.0-only
/*
 * However a BAR goes away, all who import it lose it, and those who may get it back.
 *
 * It is imported by an edu device through iommufd, by a peer through RDMA, and by
 * a driver that knows the class. It goes in every way there is, for several
 * reasons at once, and with the processes that have it or use it killed.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 300
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "iommufd.h"
#include "leaks.h"
#include "pci_raw.h"
#include "phys_state.h"
#include "rdma.h"
#include "report.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define LIMIT		120	/* seconds per test */
#define WINDOW		0x40000
#define MEM		0x10000
#define PAGE		0x1000
#define IOVA		0x100000000ULL
#define IOVA2		0x200000000ULL
#define BLOCKED_MS	300

static const struct vfio_region_dma_range two_ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x08000, .length = 0x6000 },
};

static const struct layout layout = { two_ranges, 2 };

/* Places in the dma-buf. */
#define EDU_AT		0x0000
#define DRIVER_AT	0x1000
#define RDMA_AT		0x4000

static int must(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

struct all {
	struct scene scene;	/* the exporter, and edu through iommufd */
	int importer;		/* another edu, through its driver */
	char driver[PCI_NAME_LEN];	/* where that is */
	struct rdma_host a, b;
	struct rdma_mr mr;
	int dmabuf;
	bool off;		/* memory decode is */
};

/*
 * The importers
 */

static int reg(struct all *all, struct rdma_mr *mr)
{
	const struct rdma_region region = {
		.dmabuf = all->dmabuf,
		.len = layout_size(layout),
		.access = RDMA_ALL,
	};

	return rdma_reg(&all->a, &region, mr);
}

static void hosts_open(struct all *all)
{
	rdma_host_start(&all->a, RDMA_A, MEM);
	rdma_host_start(&all->b, RDMA_B, MEM);
	pattern(all->b.mem, MEM, 12345);
}

/* Everything but RDMA. */
static void import_locally(struct all *all)
{
	must("IOMMU_IOAS_MAP_FILE",
	     scene_map_at(&all->scene, all->dmabuf, layout, IOVA));
	must("attach the driver", importer_attach(all->importer, all->dmabuf,
						  DBT_ATTACH_CLASS, 0));
	must("map for the driver", importer_map_all(all->importer));
}

static void all_open(struct all *all, struct pci_id exporter)
{
	*all = (struct all){};
	hosts_open(all);
	all->importer = must("open the driver", importer_open(1, all->driver));
	scene_open(&all->scene, exporter, WINDOW);
	all->dmabuf = scene_export(&all->scene, layout);
	import_locally(all);
	must("register an MR", reg(all, &all->mr));
}

static void all_close(struct all *all)
{
	rdma_host_stop(&all->b);
	rdma_host_stop(&all->a);
	close(all->importer);
	close(all->dmabuf);
	scene_close(&all->scene);
	must("release the edu device", testdrv_release(all->driver));
}

static enum ibv_wc_status rdma_write(struct all *all, const struct rdma_mr *mr)
{
	struct rdma_qp qa, qb;
	enum ibv_wc_status status;

	rdma_qps_connect(&all->a, &qa, 0, &all->b, &qb, IBV_QPT_RC);
	status = rdma_do(&qb, rdma_wr_remote(IBV_WR_RDMA_WRITE, all->b.key, 0,
					     PAGE, mr->key, RDMA_AT));
	rdma_qps_destroy(&qa, &qb);
	return status;
}

static int rdma_arrives(struct all *all, const struct rdma_mr *mr)
{
	struct scene *scene = &all->scene;

	scene_pattern(scene, all->b.mem, PAGE);
	if (rdma_write(all, mr))
		return -EIO;
	bar_note(&scene->bar, layout, RDMA_AT, all->b.mem, PAGE);
	return scene_judge(scene);
}

static int edu_arrives(struct all *all, __u64 iova)
{
	return scene_write_arrives(&all->scene, iova + EDU_AT, layout, EDU_AT,
				   PAGE);
}

static int driver_arrives(struct all *all)
{
	return importer_write_arrives(all->importer, &all->scene.bar, layout, 0,
				      DRIVER_AT, PAGE);
}

static int all_arrive(struct all *all)
{
	int err = edu_arrives(all, IOVA);

	if (!err)
		err = driver_arrives(all);
	return err ? err : rdma_arrives(all, &all->mr);
}

static int complain(const char *who)
{
	printf("# %s has not lost it\n", who);
	return -EEXIST;
}

/* They try; what they did to the BAR is looked at when it is back. */
static int nobody_arrives(struct all *all)
{
	struct dbt_state state;
	__u8 data[PAGE];
	int err;

	pattern(data, sizeof(data), 4711);
	if (rdma_write(all, &all->mr) != IBV_WC_REM_ACCESS_ERR)
		return complain("RDMA");
	err = importer_state(all->importer, &state);
	if (err)
		return err;
	if (state.len || importer_write(all->importer, 0, data, PAGE) != -ENODEV)
		return complain("the driver");
	if (importer_write_stale(all->importer, DRIVER_AT, data, PAGE) != PAGE)
		return -EIO;
	err = edu_wait(&all->scene.edu);
	if (!err)
		err = scene_write_due(&all->scene, IOVA + EDU_AT);
	return err ? err : edu_wait(&all->scene.edu);
}

/*
 * Ways for it to go, and to come back
 */

static int memory_off(struct all *all)
{
	all->off = true;
	return vfio_set_memory(&all->scene.exporter, false);
}

static int memory_on(struct all *all)
{
	all->off = false;
	return vfio_set_memory(&all->scene.exporter, true);
}

static int low_power(struct all *all)
{
	return vfio_low_power(&all->scene.exporter, true);
}

static int full_power(struct all *all)
{
	return vfio_low_power(&all->scene.exporter, false);
}

static int d3hot(struct all *all)
{
	return vfio_set_power(&all->scene.exporter, 3);
}

static int d0(struct all *all)
{
	return vfio_set_power(&all->scene.exporter, 0);
}

static int reset(struct all *all)
{
	return vfio_reset(&all->scene.exporter);
}

static int sysfs_reset(struct all *all)
{
	return pci_sysfs_reset(all->scene.exporter.name);
}

static int hot_reset(struct all *all)
{
	return vfio_hot_reset(&all->scene.exporter);
}

static int nothing(struct all *all)
{
	return 0;
}

static int close_it(struct all *all)
{
	scene_close_exporter(&all->scene);
	return 0;
}

static int open_it(struct all *all)
{
	return scene_reopen_exporter(&all->scene);
}

/* As long as it is open it is in use, if it was; a transfer is due again. */
static int still_in_use(struct all *all)
{
	int err;

	usleep(BLOCKED_MS * 1000);
	if (all->off)
		return 0;
	err = edu_arrives(all, IOVA);
	return err ? err : scene_write_due(&all->scene, IOVA + EDU_AT);
}

/* Taken from its driver, which lets go when the device is closed. */
struct unbind {
	pthread_t thread;
	const char *name;
	bool done;
	int err;
};

static void *do_unbind(void *arg)
{
	struct unbind *unbind = arg;

	unbind->err = pci_unbind(unbind->name);
	__atomic_store_n(&unbind->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static int unbind(struct all *all)
{
	struct unbind unbind = { .name = all->scene.exporter.name };
	int err;

	if (pthread_create(&unbind.thread, NULL, do_unbind, &unbind))
		return -EAGAIN;
	err = still_in_use(all);
	if (__atomic_load_n(&unbind.done, __ATOMIC_SEQ_CST)) {
		printf("# VFIO gave the device away while it was open\n");
		return -EBUSY;
	}
	close_it(all);
	pthread_join(unbind.thread, NULL);
	return err ? err : unbind.err;
}

static int unplug(struct all *all)
{
	int err = slot_begin_unplug("exporter", all->scene.exporter.name);

	if (!err)
		err = still_in_use(all);
	close_it(all);
	return err;
}

static int plug(struct all *all)
{
	struct scene *scene = &all->scene;
	int err = slot_replug("exporter", scene->exporter.name);

	if (!err)
		err = open_it(all);
	/* Its memory is new. */
	if (!err)
		memcpy(scene->bar.map, scene->bar.want, scene->bar.size);
	return err;
}

struct way {
	struct pci_id exporter;
	int (*go)(struct all *all);
	int (*come)(struct all *all);
	const char *away;	/* the state meanwhile */
	bool final;
};

FIXTURE(way)
{
	struct all all;
	struct holdings held;
	unsigned int dmabufs;
	unsigned int fds;
};

FIXTURE_VARIANT(way)
{
	struct way way;
};

FIXTURE_VARIANT_ADD(way, memory)
{
	{ PCI_ID_IVSHMEM, memory_off, memory_on, "suspended decode" },
};

FIXTURE_VARIANT_ADD(way, low_power)
{
	{ PCI_ID_IVSHMEM, low_power, full_power, "suspended decode" },
};

FIXTURE_VARIANT_ADD(way, d3hot)
{
	{ PCI_ID_NVME, d3hot, d0, "suspended decode" },
};

FIXTURE_VARIANT_ADD(way, reset)
{
	{ PCI_ID_IVSHMEM, reset, nothing, "live" },
};

FIXTURE_VARIANT_ADD(way, sysfs_reset)
{
	{ PCI_ID_IVSHMEM, sysfs_reset, nothing, "live" },
};

FIXTURE_VARIANT_ADD(way, hot_reset)
{
	{ PCI_ID_IVSHMEM, hot_reset, nothing, "live" },
};

FIXTURE_VARIANT_ADD(way, close)
{
	{ PCI_ID_IVSHMEM, close_it, open_it, "revoked", true },
};

FIXTURE_VARIANT_ADD(way, unbind)
{
	{ PCI_ID_IVSHMEM, unbind, open_it, "revoked", true },
};

FIXTURE_VARIANT_ADD(way, unplug)
{
	{ PCI_ID_IVSHMEM, unplug, plug, "revoked", true },
};

FIXTURE_SETUP(way)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	self->fds = count_fds();
	all_open(&self->all, variant->way.exporter);
}

FIXTURE_TEARDOWN(way)
{
	all_close(&self->all);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
	EXPECT_EQ(self->fds, count_fds());
}

/* What an importer finds when it maps anew. */
static int map_anew(struct all *all)
{
	int err = importer_map_all(all->importer);

	return err ? err : driver_arrives(all);
}

/* A new dma-buf works, also beside the old one. */
static int export_anew(struct all *all)
{
	int dmabuf = scene_export(&all->scene, layout);
	int err = scene_map_at(&all->scene, dmabuf, layout, IOVA2);

	close(dmabuf);
	return err ? err : edu_arrives(all, IOVA2);
}

TEST_F_TIMEOUT(way, everybody_loses_it, LIMIT)
{
	const struct way *way = &variant->way;
	const bool passing = !strcmp(way->away, "live");
	struct all *all = &self->all;
	struct rdma_mr mr;

	ASSERT_EQ(0, all_arrive(all));
	if (!passing)
		ASSERT_EQ(0, scene_write_due(&all->scene, IOVA + EDU_AT));
	ASSERT_EQ(0, way->go(all));
	if (!passing)
		EXPECT_EQ(0, nobody_arrives(all));
	EXPECT_TRUE(phys_state_is(way->away));
	ASSERT_EQ(0, way->come(all));
	EXPECT_EQ(0, scene_judge(&all->scene));
	EXPECT_TRUE(phys_state_is(way->final ? "revoked" : "live"));

	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, rdma_write(all, &all->mr));
	EXPECT_EQ(0, rdma_dereg(&all->mr));
	if (way->final) {
		EXPECT_EQ(0, scene_write_stopped(&all->scene, IOVA));
		EXPECT_EQ(-ENODEV, map_anew(all));
		EXPECT_EQ(-ENODEV, reg(all, &mr));
		EXPECT_EQ(-ENODEV, scene_map_at(&all->scene, all->dmabuf,
						layout, IOVA2));
	} else {
		EXPECT_EQ(0, edu_arrives(all, IOVA));
		EXPECT_EQ(0, map_anew(all));
		EXPECT_EQ(0, reg(all, &mr));
		EXPECT_EQ(0, rdma_arrives(all, &mr));
		EXPECT_EQ(0, rdma_dereg(&mr));
	}
	EXPECT_EQ(0, export_anew(all));
}

/*
 * Several reasons at once
 */

FIXTURE(reasons)
{
	struct all all;
	struct holdings held;
	unsigned int dmabufs;
};

FIXTURE_SETUP(reasons)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	all_open(&self->all, PCI_ID_IVSHMEM);
}

FIXTURE_TEARDOWN(reasons)
{
	all_close(&self->all);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
}

/* Each reset ends, the two others do not. */
TEST_F_TIMEOUT(reasons, resets_while_off_and_in_low_power, LIMIT)
{
	int (*const resets[])(struct all *all) = {
		reset, sysfs_reset, hot_reset,
	};
	struct all *all = &self->all;
	unsigned int i;

	ASSERT_EQ(0, memory_off(all));
	ASSERT_EQ(0, low_power(all));
	for (i = 0; i < ARRAY_SIZE(resets); i++) {
		EXPECT_EQ(0, resets[i](all))
			TH_LOG("reset %u", i);
		EXPECT_TRUE(phys_state_is("suspended decode"));
	}
	EXPECT_EQ(0, nobody_arrives(all));
	ASSERT_EQ(0, full_power(all));
	EXPECT_TRUE(phys_state_is("suspended decode"));
	ASSERT_EQ(0, memory_on(all));
	EXPECT_TRUE(phys_state_is("live"));
	EXPECT_EQ(0, scene_judge(&all->scene));
	EXPECT_EQ(0, edu_arrives(all, IOVA));
	EXPECT_EQ(0, map_anew(all));
}

TEST_F_TIMEOUT(reasons, unplugged_while_off_and_in_low_power, LIMIT)
{
	struct all *all = &self->all;

	ASSERT_EQ(0, memory_off(all));
	ASSERT_EQ(0, low_power(all));
	ASSERT_EQ(0, unplug(all));
	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_EQ(0, nobody_arrives(all));
	ASSERT_EQ(0, plug(all));
	EXPECT_EQ(0, scene_write_stopped(&all->scene, IOVA));
	EXPECT_EQ(-ENODEV, map_anew(all));
	EXPECT_EQ(0, export_anew(all));
}

TEST_F_TIMEOUT(reasons, unbound_while_off, LIMIT)
{
	struct all *all = &self->all;

	ASSERT_EQ(0, memory_off(all));
	ASSERT_EQ(0, unbind(all));
	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_EQ(0, nobody_arrives(all));
	ASSERT_EQ(0, open_it(all));
	EXPECT_EQ(0, scene_judge(&all->scene));
	EXPECT_EQ(0, scene_write_stopped(&all->scene, IOVA));
	EXPECT_EQ(0, export_anew(all));
}

/*
 * Killed: the process that has the device, or one that uses it, in each state
 */

struct process {
	pid_t pid;
	int channel;
};

/* What is to be done before it is killed; sent to the process. */
enum state { LIVE, OFF, LOW_POWER, CLOSED, NR_STATES };

static const char * const state_names[] = {
	"live", "suspended decode", "suspended decode", "revoked",
};

static int enter(struct all *all, enum state state)
{
	int (*const ways[NR_STATES])(struct all *all) = {
		nothing, memory_off, low_power, close_it,
	};

	return ways[state](all);
}

static void obey(struct all *all, int channel)
{
	enum state state;
	int err = 0, fd;

	while (channel_send(channel, &err, sizeof(err), -1) &&
	       channel_receive(channel, &state, sizeof(state), &fd))
		err = enter(all, state);
	pause();
}

/* Has the device, and imports it as well. */
static void own(int channel)
{
	struct all all = {};
	int err = 0;

	all.importer = must("open the driver", importer_open(1, all.driver));
	scene_open(&all.scene, PCI_ID_IVSHMEM, WINDOW);
	all.dmabuf = scene_export(&all.scene, layout);
	import_locally(&all);
	if (!channel_send(channel, &err, sizeof(err), all.dmabuf))
		die("nobody takes the dma-buf");
	obey(&all, channel);
}

/* Imports it only. */
static void use(int channel)
{
	struct all all = { .scene.exporter.fd = -1 };
	struct scene *scene = &all.scene;
	int err;

	if (!channel_receive(channel, &err, sizeof(err), &all.dmabuf))
		die("there is no dma-buf");
	all.importer = must("open the driver", importer_open(1, all.driver));
	scene->iommufd = must("open /dev/iommu", iommufd_open());
	must("IOMMU_IOAS_ALLOC", ioas_alloc(scene->iommufd, &scene->ioas));
	must("open the edu device",
	     edu_open(&scene->edu, 0, scene->iommufd, scene->ioas));
	import_locally(&all);
	obey(&all, channel);
}

static void process_start(struct process *process, void (*be)(int channel))
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		die("socketpair: %s", strerror(errno));
	fflush(stdout);
	process->pid = fork();
	if (!process->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		be(ends[1]);
		_exit(EXIT_FAILURE);
	}
	close(ends[1]);
	process->channel = ends[0];
}

/* The next thing it says, which may be a file descriptor. */
static int process_hear(struct process *process, int *fd)
{
	int err;

	if (!channel_receive(process->channel, &err, sizeof(err), fd))
		die("the process died on its own");
	return err;
}

static void process_kill(struct process *process)
{
	kill(process->pid, SIGKILL);
	waitpid(process->pid, NULL, 0);
	close(process->channel);
}

FIXTURE(killed)
{
	struct all all;
	struct process process;
	struct holdings held;
	unsigned int dmabufs;
};

FIXTURE_VARIANT(killed)
{
	enum state state;
};

FIXTURE_VARIANT_ADD(killed, live) { LIVE };
FIXTURE_VARIANT_ADD(killed, off) { OFF };
FIXTURE_VARIANT_ADD(killed, low_power) { LOW_POWER };
FIXTURE_VARIANT_ADD(killed, closed) { CLOSED };

FIXTURE_SETUP(killed)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	self->all = (struct all){};
	hosts_open(&self->all);
}

FIXTURE_TEARDOWN(killed)
{
	struct all *all = &self->all;

	rdma_host_stop(&all->b);
	rdma_host_stop(&all->a);
	close(all->dmabuf);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
}

/* With iommufd and the driver's file, while RDMA goes on using it. */
TEST_F_TIMEOUT(killed, exporter, LIMIT)
{
	struct all *all = &self->all;
	enum state state = variant->state;
	int fd;

	process_start(&self->process, own);
	ASSERT_EQ(0, process_hear(&self->process, &all->dmabuf));
	ASSERT_EQ(0, process_hear(&self->process, &fd));
	ASSERT_EQ(0, reg(all, &all->mr));
	EXPECT_EQ(IBV_WC_SUCCESS, rdma_write(all, &all->mr));
	ASSERT_TRUE(channel_send(self->process.channel, &state, sizeof(state),
				 -1));
	ASSERT_EQ(0, process_hear(&self->process, &fd));
	EXPECT_TRUE(phys_state_is(state_names[state]));
	process_kill(&self->process);

	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, rdma_write(all, &all->mr));
	EXPECT_EQ(0, rdma_dereg(&all->mr));
	scene_open(&all->scene, PCI_ID_IVSHMEM, WINDOW);
	EXPECT_EQ(0, export_anew(all));
	scene_close(&all->scene);
}

/* All who import it at once; the exporter does not notice. */
TEST_F_TIMEOUT(killed, importers, LIMIT)
{
	struct holdings alone = { .buffers = self->held.buffers + 1 };
	struct all *all = &self->all;
	struct vfio_dev *dev = &all->scene.exporter;
	int zero = 0, fd;

	process_start(&self->process, use);
	all->scene.iommufd = iommufd_open();
	ASSERT_EQ(0, vfio_open_id(dev, PCI_ID_IVSHMEM, 0, all->scene.iommufd));
	ASSERT_EQ(0, bar_open(&all->scene.bar, dev, SCENE_BAR, WINDOW));
	bar_fill(&all->scene.bar, 99);
	all->dmabuf = scene_export(&all->scene, layout);
	ASSERT_EQ(0, reg(all, &all->mr));
	ASSERT_TRUE(channel_send(self->process.channel, &zero, sizeof(zero),
				 all->dmabuf));
	ASSERT_EQ(0, process_hear(&self->process, &fd));
	EXPECT_EQ(3, count_holdings().importers - self->held.importers);
	ASSERT_EQ(0, enter(all, variant->state));
	EXPECT_TRUE(phys_state_is(state_names[variant->state]));
	process_kill(&self->process);
	rdma_host_kill(&all->a);

	alone.importers = self->held.importers;
	alone.maps = self->held.maps;
	EXPECT_TRUE(same_holdings(alone, settle_holdings(alone)));
	EXPECT_TRUE(phys_state_is(state_names[variant->state]));
	if (variant->state == OFF)
		EXPECT_EQ(0, memory_on(all));
	if (variant->state == LOW_POWER)
		EXPECT_EQ(0, full_power(all));
	if (variant->state == CLOSED)
		EXPECT_EQ(0, open_it(all));
	EXPECT_EQ(0, scene_judge(&all->scene));
	bar_close(&all->scene.bar);
	vfio_close(dev);
	close(all->scene.iommufd);
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The owner of a device takes a dma-buf of it back, for a while or for good.
 *
 * Everybody has it: an edu device through iommufd, a peer through RDMA with a
 * pinned region and one on demand, and the CPU through mmap(). The device decodes
 * all the time, so that what reaches its BAR can be seen.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 300
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backing.h"
#include "iommufd.h"
#include "leaks.h"
#include "mapping.h"
#include "phys_state.h"
#include "rdma.h"
#include "report.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define LIMIT		120	/* seconds per test */
#define WINDOW		0x40000
#define MEM		0x10000
#define PAGE		0x1000ULL
#define IOVA		0x100000000ULL
#define IOVA2		0x200000000ULL

#define PERM		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM
#define TEMP		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_TEMP
#define OK		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK

static const struct vfio_region_dma_range two_ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x08000, .length = 0x6000 },
};

static const struct vfio_region_dma_range other_ranges[] = {
	{ .offset = 0x30000, .length = 0x2000 },
};

static const struct layout layout = { two_ranges, 2 };
static const struct layout other_layout = { other_ranges, 1 };

#define SIZE		0x8000ULL

/* Places in the dma-buf, one for each importer. */
#define EDU_AT		0x0000
#define PINNED_AT	0x2000
#define DEMAND_AT	0x3000
#define CPU_AT		0x4000

static int must(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

/*
 * By the CPU only, on every state of the buffer there is
 */

struct owned {
	struct scene scene;
	int dmabuf;
	__u8 *map;
};

static void owned_open(struct owned *owned)
{
	scene_open(&owned->scene, PCI_ID_IVSHMEM, WINDOW);
	owned->dmabuf = scene_export(&owned->scene, layout);
	must("mmap", dmabuf_map(owned->dmabuf, 0, SIZE, PROT_READ | PROT_WRITE,
				&owned->map));
}

static void owned_close(struct owned *owned)
{
	munmap(owned->map, SIZE);
	close(owned->dmabuf);
	scene_close(&owned->scene);
}

static int take_back(struct owned *owned, __u32 status)
{
	return vfio_revoke(&owned->scene.exporter, owned->dmabuf, status);
}

static int by_cpu(struct owned *owned)
{
	__u8 data[PAGE];

	scene_pattern(&owned->scene, data, PAGE);
	if (touch_copy(owned->map + CPU_AT, data, PAGE))
		return -EFAULT;
	bar_note(&owned->scene.bar, layout, CPU_AT, data, PAGE);
	return scene_judge(&owned->scene);
}

static bool gone_for_cpu(struct owned *owned)
{
	__u64 at, value;

	for (at = 0; at < SIZE; at += PAGE)
		if (touch_load(owned->map + at, &value) != SIGBUS ||
		    touch_store(owned->map + at, 0) != SIGBUS)
			return false;
	return true;
}

static int by_edu(struct owned *owned)
{
	return scene_write_arrives(&owned->scene, IOVA + EDU_AT, layout, EDU_AT,
				   PAGE);
}

static int map_at(struct owned *owned, __u64 iova)
{
	return scene_map_at(&owned->scene, owned->dmabuf, layout, iova);
}

FIXTURE(owned)
{
	struct owned owned;
	struct holdings held;
	unsigned int dmabufs;
	unsigned int fds;
};

FIXTURE_SETUP(owned)
{
	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	self->fds = count_fds();
	owned_open(&self->owned);
	ASSERT_EQ(0, map_at(&self->owned, IOVA));
}

FIXTURE_TEARDOWN(owned)
{
	owned_close(&self->owned);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
	EXPECT_EQ(self->fds, count_fds());
}

TEST_F_TIMEOUT(owned, again_and_again, LIMIT)
{
	struct owned *owned = &self->owned;
	int i;

	EXPECT_EQ(0, take_back(owned, OK));
	EXPECT_TRUE(phys_state_is("live"));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, by_cpu(owned));
		ASSERT_EQ(0, take_back(owned, TEMP));
		ASSERT_EQ(0, take_back(owned, TEMP));
		EXPECT_TRUE(phys_state_is("suspended owner"));
		EXPECT_TRUE(gone_for_cpu(owned));
		ASSERT_EQ(0, take_back(owned, OK));
		ASSERT_EQ(0, take_back(owned, OK));
		EXPECT_TRUE(phys_state_is("live"));
	}
	EXPECT_EQ(0, by_cpu(owned));
	EXPECT_EQ(0, by_edu(owned));
}

TEST_F_TIMEOUT(owned, for_good, LIMIT)
{
	struct owned *owned = &self->owned;
	__u8 *map;

	EXPECT_EQ(0, by_cpu(owned));
	ASSERT_EQ(0, scene_write_due(&owned->scene, IOVA));
	ASSERT_EQ(0, take_back(owned, PERM));
	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_TRUE(gone_for_cpu(owned));
	EXPECT_EQ(-EBADFD, take_back(owned, OK));
	EXPECT_EQ(-EBADFD, take_back(owned, TEMP));
	EXPECT_EQ(-EBADFD, take_back(owned, PERM));
	EXPECT_EQ(-ENODEV, map_at(owned, IOVA2));
	EXPECT_EQ(-ENODEV, dmabuf_map(owned->dmabuf, 0, SIZE, PROT_READ, &map));
	ASSERT_EQ(0, vfio_reset(&owned->scene.exporter));
	EXPECT_TRUE(gone_for_cpu(owned));
	EXPECT_EQ(0, edu_wait(&owned->scene.edu));
	EXPECT_EQ(0, scene_judge(&owned->scene));
	EXPECT_EQ(0, scene_write_stopped(&owned->scene, IOVA));
}

/* One buffer of a device is taken, the other one never notices. */
TEST_F_TIMEOUT(owned, this_one_only, LIMIT)
{
	struct owned *owned = &self->owned;
	struct scene *scene = &owned->scene;
	int other = scene_export(scene, other_layout);
	__u64 value = 0;
	__u8 *map;

	ASSERT_EQ(0, dmabuf_map(other, 0, 2 * PAGE, PROT_READ, &map));
	ASSERT_EQ(0, ioas_map_file_at(scene->iommufd, scene->ioas, other,
				      2 * PAGE, IOVA2));
	ASSERT_EQ(0, take_back(owned, TEMP));
	EXPECT_EQ(0, touch_load(map + PAGE, &value));
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA2, other_layout, 0, PAGE));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	ASSERT_EQ(0, take_back(owned, OK));
	EXPECT_EQ(0, by_edu(owned));
	ASSERT_EQ(0, take_back(owned, PERM));
	EXPECT_EQ(0, touch_load(map + PAGE, &value));
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA2, other_layout, 0, PAGE));
	EXPECT_EQ(0, vfio_revoke(&scene->exporter, other, PERM));
	EXPECT_EQ(SIGBUS, touch_load(map + PAGE, &value));
	munmap(map, 2 * PAGE);
	close(other);
}

/* What was exported while the owner has the other one is live. */
TEST_F_TIMEOUT(owned, exported_meanwhile, LIMIT)
{
	struct owned *owned = &self->owned;
	__u64 value;
	__u8 *map;
	int other;

	ASSERT_EQ(0, take_back(owned, TEMP));
	other = scene_export(&owned->scene, layout);
	ASSERT_EQ(0, dmabuf_map(other, 0, SIZE, PROT_READ, &map));
	EXPECT_EQ(0, touch_load(map, &value));
	EXPECT_TRUE(gone_for_cpu(owned));
	munmap(map, SIZE);
	close(other);
	ASSERT_EQ(0, take_back(owned, OK));
	EXPECT_EQ(0, by_edu(owned));
}

TEST_F_TIMEOUT(owned, mapped_meanwhile, LIMIT)
{
	struct owned *owned = &self->owned;
	__u64 value, unmapped;
	__u8 *map;

	ASSERT_EQ(0, take_back(owned, TEMP));
	EXPECT_EQ(-ENODEV, map_at(owned, IOVA2));
	ASSERT_EQ(0, dmabuf_map(owned->dmabuf, PAGE, PAGE, PROT_READ, &map));
	EXPECT_EQ(SIGBUS, touch_load(map, &value));
	EXPECT_EQ(0, ioas_unmap(owned->scene.iommufd, owned->scene.ioas, IOVA,
				SIZE, &unmapped));
	ASSERT_EQ(0, take_back(owned, OK));
	EXPECT_EQ(0, touch_load(map, &value));
	EXPECT_EQ(0, scene_write_stopped(&owned->scene, IOVA));
	EXPECT_EQ(0, map_at(owned, IOVA));
	EXPECT_EQ(0, by_edu(owned));
	munmap(map, PAGE);
}

/* The last close ends it, whatever the owner has said before. */
TEST_F_TIMEOUT(owned, closed_meanwhile, LIMIT)
{
	struct owned *owned = &self->owned;
	struct scene *scene = &owned->scene;

	ASSERT_EQ(0, take_back(owned, TEMP));
	scene_close_exporter(scene);
	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_TRUE(gone_for_cpu(owned));
	ASSERT_EQ(0, scene_reopen_exporter(scene));
	EXPECT_EQ(-ENODEV, take_back(owned, OK));
	EXPECT_EQ(-ENODEV, take_back(owned, TEMP));
	EXPECT_EQ(-ENODEV, take_back(owned, PERM));
	EXPECT_TRUE(gone_for_cpu(owned));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	EXPECT_EQ(-ENODEV, map_at(owned, IOVA2));
}

/* The fd may be closed; what still uses the buffer has no more owner's calls. */
TEST_F_TIMEOUT(owned, fd_closed, LIMIT)
{
	struct owned *owned = &self->owned;

	ASSERT_EQ(0, take_back(owned, TEMP));
	close(owned->dmabuf);
	EXPECT_TRUE(gone_for_cpu(owned));
	EXPECT_EQ(-EBADF, take_back(owned, OK));
	EXPECT_EQ(0, scene_write_stopped(&owned->scene, IOVA));
	owned->dmabuf = open("/dev/null", O_RDWR);
}

/*
 * Reasons: what the model says after each step is what debugfs, the CPU and a new
 * map say.
 */

struct model {
	bool owner, decode;
};

/* One letter each; a reset begins and ends. */
static int step(struct owned *owned, struct model *model, char what)
{
	struct vfio_dev *exporter = &owned->scene.exporter;

	switch (what) {
	case 't':
		model->owner = true;
		return take_back(owned, TEMP);
	case 'g':
		model->owner = false;
		return take_back(owned, OK);
	case 'o':
		model->decode = true;
		return vfio_set_memory(exporter, false);
	case 'n':
		model->decode = false;
		return vfio_set_memory(exporter, true);
	case 'r':
		return vfio_reset(exporter);
	case 's':
		return pci_sysfs_reset(exporter->name);
	case 'h':
		return vfio_hot_reset(exporter);
	case 'l':
		model->decode = true;
		return vfio_low_power(exporter, true);
	case 'f':
		model->decode = false;
		return vfio_low_power(exporter, false);
	}
	return -EINVAL;
}

static bool state_is(struct owned *owned, struct model model)
{
	__u64 value, unmapped;
	char want[64];
	bool live = !model.owner && !model.decode;
	int err;

	snprintf(want, sizeof(want), "%s%s%s", live ? "live" : "suspended",
		 model.owner ? " owner" : "", model.decode ? " decode" : "");
	if (!phys_state_is(want) ||
	    touch_load(owned->map, &value) != (live ? 0 : SIGBUS))
		return false;
	err = map_at(owned, IOVA2);
	if (!err)
		ioas_unmap(owned->scene.iommufd, owned->scene.ioas, IOVA2, SIZE,
			   &unmapped);
	return err == (live ? 0 : -ENODEV);
}

static int go_through(struct owned *owned, const char *steps)
{
	struct model model = {};
	int err, i;

	for (i = 0; steps[i]; i++) {
		err = step(owned, &model, steps[i]);
		if (!err && !state_is(owned, model))
			err = -EEXIST;
		if (err) {
			printf("# %s, step %d\n", steps, i + 1);
			return err;
		}
	}
	return by_edu(owned);
}

TEST_F_TIMEOUT(owned, reasons, LIMIT)
{
	static const char * const orders[] = {
		"tong", "togn", "otng", "otgn", "onrtg", "tgon",
		"trg", "torng", "tornrg", "otrgn", "trsrg", "tsg", "thg",
		"tohng", "tlfg", "ltfg", "ltgf", "ttorgn",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(orders); i++)
		EXPECT_EQ(0, go_through(&self->owned, orders[i]));
}

TEST_F_TIMEOUT(owned, any_order, LIMIT)
{
	static const char what[] = "tgontgonrs";
	struct model model = {};
	unsigned int seed = 1;
	char now;
	int i;

	for (i = 0; i < 300; i++) {
		now = what[rand_r(&seed) % (sizeof(what) - 1)];
		ASSERT_EQ(0, step(&self->owned, &model, now));
		ASSERT_TRUE(state_is(&self->owned, model))
			TH_LOG("step %d, '%c'", i, now);
	}
	ASSERT_EQ(0, take_back(&self->owned, OK));
	ASSERT_EQ(0, vfio_set_memory(&self->owned.scene.exporter, true));
	EXPECT_EQ(0, by_cpu(&self->owned));
	EXPECT_EQ(0, by_edu(&self->owned));
}

/* For good, while it is away for other reasons, which end afterwards. */
TEST_F_TIMEOUT(owned, for_good_while_away, LIMIT)
{
	struct owned *owned = &self->owned;
	struct vfio_dev *exporter = &owned->scene.exporter;

	ASSERT_EQ(0, take_back(owned, TEMP));
	ASSERT_EQ(0, vfio_set_memory(exporter, false));
	ASSERT_EQ(0, take_back(owned, PERM));
	EXPECT_TRUE(phys_state_is("revoked"));
	ASSERT_EQ(0, vfio_set_memory(exporter, true));
	EXPECT_EQ(-EBADFD, take_back(owned, OK));
	EXPECT_TRUE(gone_for_cpu(owned));
	EXPECT_EQ(0, scene_write_stopped(&owned->scene, IOVA));
}

/*
 * Everybody at once
 */

struct all {
	struct owned owned;
	struct rdma_host a, b;
	struct rdma_mr pinned, demand;
};

static int reg(struct all *all, int access, struct rdma_mr *mr)
{
	const struct rdma_region region = {
		.dmabuf = all->owned.dmabuf,
		.len = SIZE,
		.access = RDMA_ALL | access,
	};

	return rdma_reg(&all->a, &region, mr);
}

static enum ibv_wc_status rdma_write(struct all *all, const struct rdma_mr *mr,
				     __u64 at)
{
	enum ibv_wc_status status;
	struct rdma_qp qa, qb;

	rdma_qps_connect(&all->a, &qa, 0, &all->b, &qb, IBV_QPT_RC);
	status = rdma_do(&qb, rdma_wr_remote(IBV_WR_RDMA_WRITE, all->b.key, 0,
					     PAGE, mr->key, at));
	rdma_qps_destroy(&qa, &qb);
	return status;
}

static int by_rdma(struct all *all, const struct rdma_mr *mr, __u64 at)
{
	struct scene *scene = &all->owned.scene;

	scene_pattern(scene, all->b.mem, PAGE);
	if (rdma_write(all, mr, at))
		return -EIO;
	bar_note(&scene->bar, layout, at, all->b.mem, PAGE);
	return scene_judge(scene);
}

/* Each tries; the BAR decodes, and shows nothing of it. */
static int nobody(struct all *all)
{
	struct owned *owned = &all->owned;

	if (!gone_for_cpu(owned) ||
	    rdma_write(all, &all->pinned, PINNED_AT) != IBV_WC_REM_ACCESS_ERR ||
	    rdma_write(all, &all->demand, DEMAND_AT) != IBV_WC_REM_ACCESS_ERR)
		return -EEXIST;
	return scene_write_stopped(&owned->scene, IOVA);
}

FIXTURE(all)
{
	struct all all;
	struct holdings held;
	unsigned int dmabufs;
};

FIXTURE_SETUP(all)
{
	struct all *all = &self->all;

	self->held = count_holdings();
	self->dmabufs = count_dmabufs();
	rdma_host_start(&all->a, RDMA_A, MEM);
	rdma_host_start(&all->b, RDMA_B, MEM);
	owned_open(&all->owned);
	ASSERT_EQ(0, map_at(&all->owned, IOVA));
	ASSERT_EQ(0, reg(all, 0, &all->pinned));
	ASSERT_EQ(0, reg(all, IBV_ACCESS_ON_DEMAND, &all->demand));
	EXPECT_EQ(0, by_edu(&all->owned));
	EXPECT_EQ(0, by_cpu(&all->owned));
	EXPECT_EQ(0, by_rdma(all, &all->pinned, PINNED_AT));
	EXPECT_EQ(0, by_rdma(all, &all->demand, DEMAND_AT));
}

FIXTURE_TEARDOWN(all)
{
	rdma_host_stop(&self->all.b);
	rdma_host_stop(&self->all.a);
	owned_close(&self->all.owned);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_TRUE(same_holdings(self->held, settle_holdings(self->held)));
}

TEST_F_TIMEOUT(all, for_a_while, LIMIT)
{
	struct all *all = &self->all;
	struct rdma_mr mr;

	ASSERT_EQ(0, scene_write_due(&all->owned.scene, IOVA));
	ASSERT_EQ(0, take_back(&all->owned, TEMP));
	EXPECT_TRUE(phys_state_is("suspended owner"));
	EXPECT_EQ(0, edu_wait(&all->owned.scene.edu));
	EXPECT_EQ(0, scene_judge(&all->owned.scene));
	EXPECT_EQ(0, nobody(all));
	EXPECT_EQ(-ENODEV, reg(all, 0, &mr));

	ASSERT_EQ(0, take_back(&all->owned, OK));
	EXPECT_EQ(0, scene_judge(&all->owned.scene));
	EXPECT_EQ(0, by_edu(&all->owned));
	EXPECT_EQ(0, by_cpu(&all->owned));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR,
		  rdma_write(all, &all->pinned, PINNED_AT));
	EXPECT_EQ(0, by_rdma(all, &all->demand, DEMAND_AT));
	EXPECT_EQ(0, reg(all, 0, &mr));
	EXPECT_EQ(0, by_rdma(all, &mr, PINNED_AT));
}

TEST_F_TIMEOUT(all, for_good, LIMIT)
{
	struct all *all = &self->all;
	struct rdma_mr mr;

	ASSERT_EQ(0, scene_write_due(&all->owned.scene, IOVA));
	ASSERT_EQ(0, take_back(&all->owned, PERM));
	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_EQ(0, edu_wait(&all->owned.scene.edu));
	EXPECT_EQ(0, scene_judge(&all->owned.scene));
	EXPECT_EQ(0, nobody(all));
	EXPECT_EQ(-ENODEV, reg(all, 0, &mr));
	EXPECT_EQ(-ENODEV, map_at(&all->owned, IOVA2));
	EXPECT_EQ(-EBADFD, take_back(&all->owned, OK));
	EXPECT_EQ(0, nobody(all));
}

/*
 * An importer that is slow to let go
 */

#define DELAY_MS	3000
#define BEGUN_MS	300	/* by then the owner's call waits */
#define KILL_MS		5000	/* it looks every second or two */

FIXTURE(slow)
{
	struct owned owned;
	int importer;
	char name[PCI_NAME_LEN];
	unsigned int dmabufs;
};

FIXTURE_VARIANT(slow)
{
	__u32 status;
	const char *state;
};

FIXTURE_VARIANT_ADD(slow, temp)
{
	TEMP, "suspended owner",
};

FIXTURE_VARIANT_ADD(slow, perm)
{
	PERM, "revoked",
};

FIXTURE_SETUP(slow)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->dmabufs = count_dmabufs();
	owned_open(&self->owned);
	ASSERT_EQ(0, map_at(&self->owned, IOVA));
	EXPECT_EQ(0, by_cpu(&self->owned));
	self->importer = must("open the driver", importer_open(1, self->name));
	ASSERT_EQ(0, importer_attach(self->importer, self->owned.dmabuf,
				     DBT_ATTACH_CLASS, DELAY_MS));
	ASSERT_EQ(0, importer_map_all(self->importer));
}

FIXTURE_TEARDOWN(slow)
{
	close(self->importer);
	testdrv_release(self->name);
	owned_close(&self->owned);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

static void ignore(int nr)
{
}

/* The owner's call in a process of its own, with alarms or without. */
static pid_t revoke_in_child(struct owned *owned, __u32 status, bool alarms)
{
	const struct itimerval often = { { 0, 100000 }, { 0, 100000 } };
	const struct sigaction action = { .sa_handler = ignore };
	pid_t pid = fork();

	if (pid)
		return pid;
	if (alarms) {
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &often, NULL);
	}
	_exit(take_back(owned, status) ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* It is waiting, and everybody else has lost the memory already. */
static void check_others(struct __test_metadata *_metadata, struct owned *owned)
{
	EXPECT_TRUE(gone_for_cpu(owned));
	EXPECT_EQ(-ENODEV, map_at(owned, IOVA2));
	EXPECT_EQ(0, scene_write_stopped(&owned->scene, IOVA));
}

TEST_F_TIMEOUT(slow, killed, LIMIT)
{
	struct owned *owned = &self->owned;
	pid_t pid = revoke_in_child(owned, variant->status, false);
	__u64 begin = now_ms();
	int status;

	usleep(BEGUN_MS * 1000);
	check_others(_metadata, owned);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_GT(KILL_MS, now_ms() - begin);
	check_others(_metadata, owned);

	usleep((begin + DELAY_MS + 500 - now_ms()) * 1000);
	EXPECT_TRUE(phys_state_is(variant->state));
	check_others(_metadata, owned);
	if (variant->status == TEMP) {
		EXPECT_EQ(0, take_back(owned, TEMP));
		EXPECT_EQ(0, take_back(owned, OK));
		EXPECT_EQ(0, by_edu(owned));
		EXPECT_EQ(0, by_cpu(owned));
	} else {
		EXPECT_EQ(-EBADFD, take_back(owned, OK));
	}
}

/* The promise of a return of 0, to whoever asks next. */
TEST_F_TIMEOUT(slow, asked_twice, LIMIT)
{
	struct owned *owned = &self->owned;
	pid_t pid = revoke_in_child(owned, variant->status, false);
	struct dbt_state state;
	int status;

	usleep(BEGUN_MS * 1000);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, take_back(owned, variant->status));
	ASSERT_EQ(0, importer_state(self->importer, &state));
	EXPECT_EQ(0, state.len);
	EXPECT_TRUE(phys_state_is(variant->state));
	EXPECT_EQ(variant->status == TEMP ? 0 : -EBADFD, take_back(owned, OK));
}

/* Other signals wait as the call does. */
TEST_F_TIMEOUT(slow, alarmed, LIMIT)
{
	__u64 begin = now_ms();
	pid_t pid = revoke_in_child(&self->owned, variant->status, true);
	int status;

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LE(DELAY_MS - 100, now_ms() - begin);
	EXPECT_TRUE(phys_state_is(variant->state));
}

/*
 * Errors, none of which changes anything
 */

/* Any argument of any length; @len counts without the header. */
static int raw(struct vfio_dev *dev, __u32 flags, const void *data, size_t len)
{
	struct {
		struct vfio_device_feature head;
		__u8 data[64];
	} arg = {
		.head.argsz = sizeof(arg.head) + len,
		.head.flags = flags,
	};

	memcpy(arg.data, data, len);
	return vfio_feature(dev, &arg);
}

FIXTURE(bad)
{
	struct owned owned;
	unsigned int dmabufs;
	unsigned int fds;
};

FIXTURE_VARIANT(bad)
{
	__u32 feature;
	__u32 value;		/* a good one, second in the argument */
	__u32 worst;		/* the first bad one */
	int unknown;		/* what it gets */
};

FIXTURE_VARIANT_ADD(bad, revoke)
{
	VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE, TEMP, 3, -EINVAL,
};

FIXTURE_VARIANT_ADD(bad, memattr)
{
	VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR,
	VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC, 2, -ENOENT,
};

FIXTURE_SETUP(bad)
{
	self->dmabufs = count_dmabufs();
	self->fds = count_fds();
	owned_open(&self->owned);
	EXPECT_EQ(0, by_cpu(&self->owned));
}

/* Still live, and used by the CPU. */
FIXTURE_TEARDOWN(bad)
{
	EXPECT_EQ(0, by_cpu(&self->owned));
	owned_close(&self->owned);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	EXPECT_EQ(self->fds, count_fds());
}

static int set(struct vfio_dev *dev, __u32 feature, int fd, __u32 value)
{
	const __u32 data[] = { fd, value };

	return raw(dev, VFIO_DEVICE_FEATURE_SET | feature, data, sizeof(data));
}

TEST_F_TIMEOUT(bad, file_descriptors, LIMIT)
{
	struct vfio_dev *dev = &self->owned.scene.exporter;
	const int files[] = {
		open("/dev/null", O_RDWR | O_CLOEXEC),
		open("/proc/self/status", O_RDONLY | O_CLOEXEC),
		eventfd(0, EFD_CLOEXEC),
		memfd_create("memfd", MFD_CLOEXEC),
		dup(self->owned.scene.iommufd),
		dup(dev->fd),
	};
	const int path = open("/dev/null", O_PATH | O_CLOEXEC);
	const __u32 feature = variant->feature, value = variant->value;
	size_t i;

	EXPECT_EQ(-EBADF, set(dev, feature, -1, value));
	EXPECT_EQ(-EBADF, set(dev, feature, 1000, value));
	EXPECT_EQ(-EBADF, set(dev, feature, 0x7fffffff, value));
	EXPECT_EQ(-EBADF, set(dev, feature, INT_MIN, value));
	EXPECT_EQ(-EBADF, set(dev, feature, path, value));
	close(path);
	EXPECT_EQ(-EBADF, set(dev, feature, path, value));
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_LE(0, files[i]);
		EXPECT_EQ(-EINVAL, set(dev, feature, files[i], value));
		close(files[i]);
	}
}

/* Whose dma-buf it is not. */
TEST_F_TIMEOUT(bad, strangers, LIMIT)
{
	struct owned *owned = &self->owned;
	struct vfio_dev *dev = &owned->scene.exporter;
	struct vfio_dev *edu = &owned->scene.edu.dev;
	const __u32 feature = variant->feature, value = variant->value;
	struct backing heap, memfd;
	struct vfio_dev disk;
	int theirs;

	ASSERT_EQ(0, backing_new(&heap, "heap", PAGE));
	ASSERT_EQ(0, backing_new(&memfd, "udmabuf", PAGE));
	EXPECT_EQ(-ENODEV, set(dev, feature, heap.dmabuf, value));
	EXPECT_EQ(-ENODEV, set(dev, feature, memfd.dmabuf, value));
	backing_free(&heap);
	backing_free(&memfd);

	ASSERT_EQ(0, vfio_open_id(&disk, PCI_ID_NVME, 0, owned->scene.iommufd));
	theirs = vfio_export(&disk, SCENE_BAR, other_ranges, 1);
	ASSERT_LE(0, theirs);
	EXPECT_EQ(-ENODEV, set(dev, feature, theirs, value));
	EXPECT_EQ(-ENODEV, set(&disk, feature, owned->dmabuf, value));
	EXPECT_EQ(-ENODEV, set(edu, feature, owned->dmabuf, value));
	EXPECT_EQ(0, set(&disk, feature, theirs, value));
	vfio_close(&disk);
	EXPECT_EQ(-ENODEV, set(dev, feature, theirs, value));
	close(theirs);
}

/* From before the device was closed last. */
TEST_F_TIMEOUT(bad, old_one, LIMIT)
{
	struct owned *owned = &self->owned;
	struct scene *scene = &owned->scene;
	int old = scene_export(scene, other_layout);

	scene_close_exporter(scene);
	ASSERT_EQ(0, scene_reopen_exporter(scene));
	EXPECT_EQ(-ENODEV, set(&scene->exporter, variant->feature, old,
			       variant->value));
	close(old);
	munmap(owned->map, SIZE);
	close(owned->dmabuf);
	owned->dmabuf = scene_export(scene, layout);
	ASSERT_EQ(0, dmabuf_map(owned->dmabuf, 0, SIZE, PROT_READ | PROT_WRITE,
				&owned->map));
}

TEST_F_TIMEOUT(bad, values, LIMIT)
{
	struct vfio_dev *dev = &self->owned.scene.exporter;
	const int fd = self->owned.dmabuf;

	EXPECT_EQ(variant->unknown, set(dev, variant->feature, fd, ~0U));
	EXPECT_EQ(variant->unknown, set(dev, variant->feature, fd, 0x80000000));
	EXPECT_EQ(variant->unknown, set(dev, variant->feature, fd,
					variant->worst));
}

TEST_F_TIMEOUT(bad, arguments, LIMIT)
{
	struct vfio_dev *dev = &self->owned.scene.exporter;
	const __u32 set = VFIO_DEVICE_FEATURE_SET | variant->feature;
	const __u32 get = VFIO_DEVICE_FEATURE_GET | variant->feature;
	const __u32 probe = VFIO_DEVICE_FEATURE_PROBE;
	const __u32 data[8] = { self->owned.dmabuf, 99 };
	struct {
		struct vfio_device_feature head;
	} *edge;
	size_t len;

	for (len = 0; len < 4; len++)
		EXPECT_EQ(-EINVAL, raw(dev, set, data, len));
	for (len = 5; len < 8; len++)
		EXPECT_EQ(-EINVAL, raw(dev, set, data, len))
			TH_LOG("%zu bytes", len);
	if (variant->feature == VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR)
		EXPECT_EQ(-EINVAL, raw(dev, set, data, 4));
	EXPECT_EQ(-EINVAL, raw(dev, get, data, 8));
	EXPECT_EQ(-EINVAL, raw(dev, set | get, data, 8));
	EXPECT_EQ(-EINVAL, raw(dev, variant->feature, data, 8));
	EXPECT_EQ(-EINVAL, raw(dev, set | 1 << 20, data, 8));
	EXPECT_EQ(0, raw(dev, set | probe, data, 8));
	EXPECT_EQ(0, raw(dev, set | probe, data, 0));
	EXPECT_EQ(-EINVAL, raw(dev, get | probe, data, 8));

	/* The header is at the end of a page, the next one is not there. */
	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, edge);
	munmap((void *)edge + PAGE, PAGE);
	edge = (void *)edge + PAGE - sizeof(*edge);
	edge->head.argsz = sizeof(edge->head) + 8;
	edge->head.flags = set;
	EXPECT_EQ(-EFAULT, vfio_feature(dev, edge));
	munmap((void *)((size_t)edge & ~(PAGE - 1)), PAGE);
}

/* A client of an older interface: only the file descriptor, for good. */
TEST_F_TIMEOUT(owned, short_argument, LIMIT)
{
	struct owned *owned = &self->owned;
	const __u32 fd = owned->dmabuf;

	EXPECT_EQ(0, by_cpu(owned));
	EXPECT_EQ(0, raw(&owned->scene.exporter, VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE, &fd, sizeof(fd)));
	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_TRUE(gone_for_cpu(owned));
}

/*
 * Who has the dma-buf only
 */

static int open_cdev_again(struct vfio_dev *dev)
{
	char link[64], path[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dev->fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	return open(path, O_RDWR | O_CLOEXEC);
}

static bool refused(struct owned *owned)
{
	struct vfio_dev fake = { .fd = owned->dmabuf };
	struct vfio_dev again = { .fd = open_cdev_again(&owned->scene.exporter) };
	bool refused = take_back(owned, TEMP) == 0 && take_back(owned, OK) == 0;

	/* The device belongs to the parent from here on. */
	vfio_close(&owned->scene.exporter);
	refused = refused && again.fd >= 0 && take_back(owned, PERM) == -EBADF &&
		  vfio_revoke(&fake, owned->dmabuf, PERM) == -ENOTTY &&
		  vfio_revoke(&again, owned->dmabuf, PERM) == -EINVAL;
	vfio_close(&again);
	return refused && by_cpu(owned) == 0;
}

TEST_F_TIMEOUT(owned, receiver, LIMIT)
{
	struct owned *owned = &self->owned;
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(refused(owned) ? EXIT_SUCCESS : EXIT_FAILURE);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(phys_state_is("live"));
	bar_take(&owned->scene.bar, layout, CPU_AT, PAGE);
	EXPECT_EQ(0, by_edu(owned));
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * While the exporter's memory is away DMA changes no byte; then the IOVA works.
 *
 * Memory goes away by decode off, low power (VFIO's feature, or D3hot written
 * to config space), or a reset (VFIO's ioctl, or sysfs behind VFIO's back). It
 * comes back without user space touching the IOAS.
 *
 * flavour: plain
 * topology: root virtio-iommu
 * tier: check
 * timeout: 600
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "iommufd.h"
#include "kmsg.h"
#include "leaks.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define IOVA		0x100000000ULL
#define IOVA2		0x200000000ULL
#define WINDOW		0x40000
#define PAGE		0x1000
#define LIMIT		120	/* seconds per test */
#define MAX_TRIES	30
#define FAULT_LOG_PAUSE	6	/* seconds: then the kernel logs faults again */

static const struct vfio_region_dma_range one_range[] = {
	{ .offset = 0x13000, .length = 0x8000 },
};

static const struct vfio_region_dma_range several_ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x26000, .length = 0x1000 },
	{ .offset = 0x01000, .length = 0x3000 },
};

static const struct layout one = { one_range, 1 };
static const struct layout several = { several_ranges, 3 };

static int arrives_at(struct scene *scene, struct layout layout, __u64 iova)
{
	return scene_write_arrives(scene, iova, layout, 0, PAGE);
}

static int memory_off(struct vfio_dev *dev)
{
	return vfio_set_memory(dev, false);
}

static int memory_on(struct vfio_dev *dev)
{
	return vfio_set_memory(dev, true);
}

static int low_power(struct vfio_dev *dev)
{
	return vfio_low_power(dev, true);
}

static int full_power(struct vfio_dev *dev)
{
	return vfio_low_power(dev, false);
}

static int to_d3hot(struct vfio_dev *dev)
{
	return vfio_set_power(dev, 3);
}

static int to_d0(struct vfio_dev *dev)
{
	return vfio_set_power(dev, 0);
}

/* Two reasons to be away; the first one ends, the second remains for a while. */
static int memory_off_and_d3hot(struct vfio_dev *dev)
{
	int err = memory_off(dev);

	return err ? err : to_d3hot(dev);
}

static int d0_and_memory_on(struct vfio_dev *dev)
{
	int err = to_d0(dev);

	return err ? err : memory_on(dev);
}

/* Ways that last until user space ends them. */
FIXTURE(away)
{
	struct scene scene;
	struct layout layout;
	long long size;
	unsigned int dmabufs;
	int dmabuf;
};

FIXTURE_VARIANT(away)
{
	struct pci_id exporter;
	const struct layout *layout;
	int (*go)(struct vfio_dev *dev);
	int (*come)(struct vfio_dev *dev);
};

FIXTURE_VARIANT_ADD(away, memory)
{
	PCI_ID_IVSHMEM, &one, memory_off, memory_on,
};

FIXTURE_VARIANT_ADD(away, memory_several)
{
	PCI_ID_IVSHMEM, &several, memory_off, memory_on,
};

FIXTURE_VARIANT_ADD(away, low_power)
{
	PCI_ID_IVSHMEM, &one, low_power, full_power,
};

FIXTURE_VARIANT_ADD(away, d3hot)
{
	PCI_ID_NVME, &one, to_d3hot, to_d0,
};

FIXTURE_VARIANT_ADD(away, memory_and_d3hot)
{
	PCI_ID_NVME, &one, memory_off_and_d3hot, d0_and_memory_on,
};

FIXTURE_SETUP(away)
{
	self->layout = *variant->layout;
	self->size = layout_size(self->layout);
	self->dmabufs = count_dmabufs();
	scene_open(&self->scene, variant->exporter, WINDOW);
	self->dmabuf = scene_export(&self->scene, self->layout);
	ASSERT_EQ(0, scene_map_at(&self->scene, self->dmabuf, self->layout, IOVA));
}

FIXTURE_TEARDOWN(away)
{
	close(self->dmabuf);
	scene_close(&self->scene);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

/* One transfer due when the memory goes, one begun while it is away. */
TEST_F_TIMEOUT(away, dma_changes_nothing, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, arrives_at(scene, self->layout, IOVA));
	ASSERT_EQ(0, scene_write_due(scene, IOVA));
	ASSERT_EQ(0, variant->go(&scene->exporter));
	ASSERT_EQ(0, edu_wait(&scene->edu));
	ASSERT_EQ(0, scene_write_due(scene, IOVA));
	ASSERT_EQ(0, edu_wait(&scene->edu));
	ASSERT_EQ(0, variant->come(&scene->exporter));
	EXPECT_EQ(0, scene_judge(scene));
}

TEST_F_TIMEOUT(away, works_again, LIMIT)
{
	struct scene *scene = &self->scene;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, variant->go(&scene->exporter));
		ASSERT_EQ(0, variant->come(&scene->exporter));
		ASSERT_EQ(0, arrives_at(scene, self->layout, IOVA));
	}
	EXPECT_EQ(0, scene_all_arrives(scene, IOVA, self->layout));
}

/* Going or coming twice is the same as once. */
TEST_F_TIMEOUT(away, idempotent, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, variant->go(&scene->exporter));
	variant->go(&scene->exporter);
	ASSERT_EQ(0, variant->come(&scene->exporter));
	variant->come(&scene->exporter);
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA));
}

TEST_F_TIMEOUT(away, no_new_map, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, variant->go(&scene->exporter));
	EXPECT_EQ(-ENODEV, scene_map_at(scene, self->dmabuf, self->layout, IOVA2));
	ASSERT_EQ(0, variant->come(&scene->exporter));
	EXPECT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA2));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA2));
}

TEST_F_TIMEOUT(away, unmap_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 unmapped;

	ASSERT_EQ(0, variant->go(&scene->exporter));
	EXPECT_EQ(0, ioas_unmap(scene->iommufd, scene->ioas, IOVA, self->size,
				&unmapped));
	EXPECT_EQ(self->size, (long long)unmapped);
	ASSERT_EQ(0, variant->come(&scene->exporter));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	EXPECT_EQ(0, scene_map_at(scene, self->dmabuf, self->layout, IOVA));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA));
}

/* A buffer that is exported while away begins away. */
TEST_F_TIMEOUT(away, export_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	int dmabuf;

	ASSERT_EQ(0, variant->go(&scene->exporter));
	dmabuf = scene_export(scene, self->layout);
	EXPECT_EQ(-ENODEV, scene_map_at(scene, dmabuf, self->layout, IOVA2));
	ASSERT_EQ(0, variant->come(&scene->exporter));
	EXPECT_EQ(0, scene_map_at(scene, dmabuf, self->layout, IOVA2));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA2));
	close(dmabuf);
}

/* A domain that is added while away is filled when the memory is back. */
TEST_F_TIMEOUT(away, domain_added_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	__u32 hwpt;

	ASSERT_EQ(0, variant->go(&scene->exporter));
	ASSERT_EQ(0, hwpt_alloc(scene->iommufd, scene->edu.dev.id, scene->ioas,
				&hwpt));
	ASSERT_EQ(0, vfio_attach(&scene->edu.dev, hwpt));
	ASSERT_EQ(0, scene_write_due(scene, IOVA));
	ASSERT_EQ(0, edu_wait(&scene->edu));
	ASSERT_EQ(0, variant->come(&scene->exporter));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA));
	ASSERT_EQ(0, vfio_attach(&scene->edu.dev, scene->ioas));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA));
}

/* A domain that is removed while away is forgotten. */
TEST_F_TIMEOUT(away, domain_removed_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	__u32 hwpt;

	ASSERT_EQ(0, hwpt_alloc(scene->iommufd, scene->edu.dev.id, scene->ioas,
				&hwpt));
	ASSERT_EQ(0, variant->go(&scene->exporter));
	ASSERT_EQ(0, iommufd_destroy(scene->iommufd, hwpt));
	ASSERT_EQ(0, variant->come(&scene->exporter));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA));
}

TEST_F_TIMEOUT(away, copied_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 iova = IOVA2;
	__u32 ioas;

	ASSERT_EQ(0, ioas_alloc(scene->iommufd, &ioas));
	ASSERT_EQ(0, edu_map_bounce(&scene->edu, ioas));
	ASSERT_EQ(0, variant->go(&scene->exporter));
	ASSERT_EQ(0, ioas_copy(scene->iommufd, ioas, &iova, scene->ioas, IOVA,
			       self->size, MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA));
	ASSERT_EQ(0, variant->come(&scene->exporter));
	ASSERT_EQ(0, vfio_attach(&scene->edu.dev, ioas));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA2));
}

TEST_F_TIMEOUT(away, closed_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 unmapped;

	ASSERT_EQ(0, variant->go(&scene->exporter));
	scene_close_exporter(scene);
	ASSERT_EQ(0, scene_reopen_exporter(scene));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	EXPECT_EQ(-ENODEV, scene_map_at(scene, self->dmabuf, self->layout, IOVA2));
	EXPECT_EQ(0, ioas_unmap(scene->iommufd, scene->ioas, IOVA, self->size,
				&unmapped));
	EXPECT_EQ(self->size, (long long)unmapped);
}

/* Two reasons at once: decode off and low power. */
FIXTURE(reasons)
{
	struct scene scene;
	int dmabuf;
};

FIXTURE_SETUP(reasons)
{
	scene_open(&self->scene, PCI_ID_NVME, WINDOW);
	self->dmabuf = scene_export(&self->scene, one);
	ASSERT_EQ(0, scene_map_at(&self->scene, self->dmabuf, one, IOVA));
}

FIXTURE_TEARDOWN(reasons)
{
	close(self->dmabuf);
	scene_close(&self->scene);
}

static int still_away(struct scene *scene, int dmabuf)
{
	int err = scene_write_due(scene, IOVA);

	if (!err)
		err = edu_wait(&scene->edu);
	if (!err && scene_map_at(scene, dmabuf, one, IOVA2) != -ENODEV)
		err = -EEXIST;
	return err;
}

TEST_F_TIMEOUT(reasons, power_ends_first, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, memory_off_and_d3hot(&scene->exporter));
	ASSERT_EQ(0, to_d0(&scene->exporter));
	EXPECT_EQ(0, still_away(scene, self->dmabuf));
	ASSERT_EQ(0, memory_on(&scene->exporter));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, arrives_at(scene, one, IOVA));
}

TEST_F_TIMEOUT(reasons, decode_off_ends_first, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, memory_off_and_d3hot(&scene->exporter));
	memory_on(&scene->exporter);
	EXPECT_EQ(0, still_away(scene, self->dmabuf));
	ASSERT_EQ(0, to_d0(&scene->exporter));
	ASSERT_EQ(0, memory_on(&scene->exporter));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, arrives_at(scene, one, IOVA));
}

TEST_F_TIMEOUT(reasons, reset_in_low_power, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, low_power(&scene->exporter));
	ASSERT_EQ(0, pci_sysfs_reset(scene->exporter.name));
	EXPECT_EQ(0, still_away(scene, self->dmabuf));
	ASSERT_EQ(0, vfio_reset(&scene->exporter));
	EXPECT_EQ(0, still_away(scene, self->dmabuf));
	ASSERT_EQ(0, full_power(&scene->exporter));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, arrives_at(scene, one, IOVA));
}

/*
 * To reset a device, the PCI core sets D0. What was exported before waits for whoever
 * set D3hot; what is exported from then on is there, as the memory is.
 */
TEST_F_TIMEOUT(reasons, reset_in_d3hot, LIMIT)
{
	struct scene *scene = &self->scene;
	int dmabuf;

	ASSERT_EQ(0, to_d3hot(&scene->exporter));
	EXPECT_EQ(0, still_away(scene, self->dmabuf));
	ASSERT_EQ(0, pci_sysfs_reset(scene->exporter.name));
	EXPECT_EQ(0, still_away(scene, self->dmabuf));
	dmabuf = scene_export(scene, one);
	EXPECT_EQ(0, scene_map_at(scene, dmabuf, one, IOVA2));
	EXPECT_EQ(0, arrives_at(scene, one, IOVA2));
	ASSERT_EQ(0, to_d0(&scene->exporter));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, arrives_at(scene, one, IOVA));
	close(dmabuf);
}

/* Low power may end without user space; it is only told so. */
TEST_F_TIMEOUT(reasons, wakes_up_by_itself, LIMIT)
{
	struct scene *scene = &self->scene;
	struct pollfd told = { .events = POLLIN };

	told.fd = eventfd(0, EFD_CLOEXEC);
	ASSERT_GE(told.fd, 0);
	ASSERT_EQ(0, vfio_low_power_until_wakeup(&scene->exporter, told.fd));
	EXPECT_EQ(0, still_away(scene, self->dmabuf));
	EXPECT_EQ(0, poll(&told, 1, 0));
	ASSERT_EQ(0, pci_sysfs_wake(scene->exporter.name));
	EXPECT_EQ(1, poll(&told, 1, 5000));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, arrives_at(scene, one, IOVA));
	close(told.fd);
}

static int ioctl_reset(void *dev)
{
	return vfio_reset(dev);
}

/* Needs no file descriptor of the device: VFIO learns it from the PCI core. */
static int sysfs_reset(void *dev)
{
	return pci_sysfs_reset(((struct vfio_dev *)dev)->name);
}

/* Ways that are over when the call returns. */
FIXTURE(reset)
{
	struct scene scene;
	struct layout layout;
	unsigned int dmabufs;
	int dmabuf;
	int kmsg;
};

FIXTURE_VARIANT(reset)
{
	struct pci_id exporter;
	const struct layout *layout;
	int (*reset)(void *dev);
};

FIXTURE_VARIANT_ADD(reset, ioctl) { PCI_ID_IVSHMEM, &one, ioctl_reset };
FIXTURE_VARIANT_ADD(reset, ioctl_several)
{
	PCI_ID_IVSHMEM, &several, ioctl_reset,
};

FIXTURE_VARIANT_ADD(reset, ioctl_nvme) { PCI_ID_NVME, &one, ioctl_reset };
FIXTURE_VARIANT_ADD(reset, sysfs) { PCI_ID_IVSHMEM, &one, sysfs_reset };
FIXTURE_VARIANT_ADD(reset, sysfs_nvme) { PCI_ID_NVME, &one, sysfs_reset };

FIXTURE_SETUP(reset)
{
	self->layout = *variant->layout;
	self->dmabufs = count_dmabufs();
	self->kmsg = kmsg_open();
	ASSERT_LE(0, self->kmsg);
	scene_open(&self->scene, variant->exporter, WINDOW);
	self->dmabuf = scene_export(&self->scene, self->layout);
	ASSERT_EQ(0, scene_map_at(&self->scene, self->dmabuf, self->layout, IOVA));
}

FIXTURE_TEARDOWN(reset)
{
	close(self->dmabuf);
	close(self->kmsg);
	scene_close(&self->scene);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

/* 1: a transfer hit the reset and the IOMMU stopped it, 0: it did not. */
static int hit_reset(struct scene *scene, int kmsg, int (*reset)(void *dev),
		     __u64 *took_us)
{
	int hit = scene_write_due(scene, IOVA);

	kmsg_drain(kmsg);
	if (!hit)
		hit = edu_aim(&scene->edu, reset, &scene->exporter, took_us);
	return hit > 0 ? kmsg_saw_fault(kmsg) : hit;
}

/*
 * The device decodes nothing during most of a reset, so that bytes unchanged
 * do not prove much. The fault proves that the IOMMU was in the way.
 */
TEST_F_TIMEOUT(reset, dma_is_stopped, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 took_us = 10000;
	unsigned int tries;
	int hit = 0;

	sleep(FAULT_LOG_PAUSE);
	for (tries = 0; !hit && tries < MAX_TRIES; tries++) {
		if (tries)
			scene_repair(scene, self->layout);
		hit = hit_reset(scene, self->kmsg, variant->reset, &took_us);
	}
	EXPECT_EQ(1, hit)
		TH_LOG("%u tries, reset of %llu us", tries, took_us);
	EXPECT_EQ(0, scene_judge(scene));
}

TEST_F_TIMEOUT(reset, works_again, LIMIT)
{
	struct scene *scene = &self->scene;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, variant->reset(&scene->exporter));
		ASSERT_EQ(0, arrives_at(scene, self->layout, IOVA));
	}
}

/* A reset does not give back what decode has taken. */
TEST_F_TIMEOUT(reset, while_decode_is_off, LIMIT)
{
	struct scene *scene = &self->scene;

	ASSERT_EQ(0, memory_off(&scene->exporter));
	ASSERT_EQ(0, variant->reset(&scene->exporter));
	ASSERT_EQ(0, scene_write_due(scene, IOVA));
	ASSERT_EQ(0, edu_wait(&scene->edu));
	EXPECT_EQ(-ENODEV, scene_map_at(scene, self->dmabuf, self->layout, IOVA2));
	ASSERT_EQ(0, memory_on(&scene->exporter));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, arrives_at(scene, self->layout, IOVA));
}

/*
 * The memory cgroup of who maps pays for a refill, whoever has brought that about. At
 * its limit nobody is killed: the map stays dead.
 */
#define NR_MAPS		32
#define MAP_AT(i)	(IOVA + ((__u64)(i) << 26))
#define TABLES		(NR_MAPS * (64LL << 20) / PAGE * 8)	/* bytes */
#define SLACK		(512 << 10)

/* No larger pages, as the IOVA is aligned in another way. */
static const struct vfio_region_dma_range large_range[] = {
	{ .offset = PAGE, .length = (64 << 20) - PAGE },
};

static const struct layout large = { large_range, 1 };

FIXTURE(limit)
{
	struct scene scene;
	int dmabuf;
	int kmsg;
	pid_t pid;
};

/* A process of the cgroup maps, says so and stays. */
static void map_in_cgroup(struct scene *scene, int dmabuf, int told)
{
	int err = cgroup_enter();
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; !err && i < NR_MAPS; i++)
		err = scene_map_at(scene, dmabuf, large, MAP_AT(i));
	if (write(told, &err, sizeof(err)) == sizeof(err))
		pause();
	_exit(1);
}

FIXTURE_SETUP(limit)
{
	struct scene *scene = &self->scene;
	int told[2], err = -EIO;

	if (!topology_is("root"))
		SKIP(return, "this IOMMU has no page tables of the kernel's");
	scene_open(scene, PCI_ID_IVSHMEM, WINDOW);
	self->dmabuf = scene_export(scene, large);
	self->kmsg = kmsg_open();
	ASSERT_LE(0, self->kmsg);
	ASSERT_EQ(0, cgroup_make());
	ASSERT_EQ(0, pipe(told));
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		map_in_cgroup(scene, self->dmabuf, told[1]);
	close(told[1]);
	ASSERT_EQ((ssize_t)sizeof(err), read(told[0], &err, sizeof(err)));
	ASSERT_EQ(0, err);
	close(told[0]);
}

FIXTURE_TEARDOWN(limit)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	close(self->kmsg);
	close(self->dmabuf);
	scene_close(&self->scene);
	EXPECT_EQ(0, cgroup_remove());
}

TEST_F_TIMEOUT(limit, refill_kills_nobody, LIMIT)
{
	struct scene *scene = &self->scene;
	long long charged = cgroup_charged();
	__u64 unmapped;
	int i;

	EXPECT_LT(TABLES, charged);
	ASSERT_EQ(0, memory_off(&scene->exporter));
	charged -= cgroup_charged();
	EXPECT_LT(TABLES / 2, charged);
	kmsg_drain(self->kmsg);
	ASSERT_EQ(0, cgroup_limit(cgroup_charged() + SLACK));
	ASSERT_EQ(0, memory_on(&scene->exporter));
	EXPECT_TRUE(kmsg_has(self->kmsg, "stays unmapped after restore",
			     "iommufd_suspend["));
	EXPECT_GT(NR_MAPS, count_holdings().maps);
	usleep(200000);
	EXPECT_EQ(0, waitpid(self->pid, NULL, WNOHANG));

	ASSERT_EQ(0, cgroup_limit(-1));
	for (i = 0; i < NR_MAPS; i++)
		EXPECT_EQ(0, ioas_unmap(scene->iommufd, scene->ioas, MAP_AT(i),
					large_range->length, &unmapped));
	EXPECT_EQ(0, scene_map_at(scene, self->dmabuf, large, IOVA));
	EXPECT_EQ(0, arrives_at(scene, large, IOVA));
}

TEST_HARNESS_MAIN

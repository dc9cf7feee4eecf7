// SPDX-License-Identifier: GPL-2.0-only
/*
 * With a mapping live, everything may be closed in any order, or killed.
 *
 * Four things are open: the exporting device, the dma-buf, the iommufd and the
 * edu device that DMAs. In each of the 24 orders, DMA arrives as long as the
 * exporter is open, changes nothing afterwards, and in the end no dma-buf is
 * left and the exporter can be opened again.
 *
 * flavour: plain debug
 * topology: root
 * tier: check
 * timeout: 600
 * leak: yes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iommufd.h"
#include "leaks.h"
#include "report.h"
#include "scene.h"

#include "kselftest_harness.h"

#define IOVA		0x100000000ULL
#define IOVA2		0x200000000ULL
#define WINDOW		0x40000
#define PAGE		0x1000
#define LIMIT		200	/* seconds per test */

static const struct vfio_region_dma_range ranges[] = {
	{ .offset = 0x13000, .length = 0x8000 },
};

static const struct layout layout = { ranges, 1 };

struct live {
	struct scene scene;
	unsigned int dmabufs;	/* before */
	int dmabuf;
};

static void live_open(struct live *live)
{
	struct scene *scene = &live->scene;
	int err;

	live->dmabufs = count_dmabufs();
	scene_open(scene, PCI_ID_IVSHMEM, WINDOW);
	live->dmabuf = scene_export(scene, layout);
	err = ioas_map_file_at(scene->iommufd, scene->ioas, live->dmabuf,
			       layout_size(layout), IOVA);
	if (err)
		die("IOMMU_IOAS_MAP_FILE: %s", strerror(-err));
}

static void close_one(struct live *live, char which)
{
	switch (which) {
	case 'd':
		scene_close_exporter(&live->scene);
		break;
	case 'b':
		close(live->dmabuf);
		break;
	case 'i':
		close(live->scene.iommufd);
		live->scene.iommufd = -1;
		break;
	case 'e':
		edu_close(&live->scene.edu);
		break;
	}
}

/* After each close: what does a transfer do now? */
static int check(struct live *live)
{
	struct scene *scene = &live->scene;
	__u8 data[PAGE];

	if (scene->edu.dev.fd < 0)
		return scene->exporter.fd < 0 ? 0 : scene_judge(scene);
	if (scene->exporter.fd >= 0)
		return scene_write_arrives(scene, IOVA, layout, 0, PAGE);
	scene_pattern(scene, data, sizeof(data));
	return edu_write(&scene->edu, IOVA, data, sizeof(data));
}

static int reopen_and_judge(struct live *live)
{
	struct scene *scene = &live->scene;
	int err;

	scene->iommufd = iommufd_open();
	if (scene->iommufd < 0)
		return scene->iommufd;
	err = scene_reopen_exporter(scene);
	return err ? err : scene_judge(scene);
}

static int try_order(const char *order)
{
	struct live live;
	int err = 0;
	int i;

	live_open(&live);
	for (i = 0; !err && order[i]; i++) {
		close_one(&live, order[i]);
		err = check(&live);
	}
	if (!err)
		err = reopen_and_judge(&live);
	if (!err && settle_dmabufs(live.dmabufs) != live.dmabufs)
		err = -EBUSY;
	if (err)
		printf("# order %s, at close %d: %s\n", order, i,
		       strerror(-err));
	scene_close(&live.scene);
	return err;
}

static void swap(char *a, char *b)
{
	char c = *a;

	*a = *b;
	*b = c;
}

/* All orders that begin with the first @fixed letters of @order. */
static int try_orders(char *order, size_t fixed)
{
	size_t i, len = strlen(order);
	int err = 0;

	if (fixed == len)
		return try_order(order);
	for (i = fixed; !err && i < len; i++) {
		swap(order + fixed, order + i);
		err = try_orders(order, fixed + 1);
		swap(order + fixed, order + i);
	}
	return err;
}

/* The orders are shared out by what is closed first. */
FIXTURE(order)
{
	char letters[5];
};

FIXTURE_VARIANT(order)
{
	char letters[5];
};

FIXTURE_VARIANT_ADD(order, device_first) { "dbie" };
FIXTURE_VARIANT_ADD(order, dmabuf_first) { "bdie" };
FIXTURE_VARIANT_ADD(order, iommufd_first) { "idbe" };
FIXTURE_VARIANT_ADD(order, edu_first) { "edbi" };

FIXTURE_SETUP(order)
{
	memcpy(self->letters, variant->letters, sizeof(self->letters));
}

FIXTURE_TEARDOWN(order)
{
}

TEST_F_TIMEOUT(order, six, LIMIT)
{
	EXPECT_EQ(0, try_orders(self->letters, 1));
}

/* A process that holds everything; it says so on @ready. */
static void hold(int ready)
{
	struct live live;

	live_open(&live);
	if (scene_write_due(&live.scene, IOVA) || write(ready, "r", 1) != 1)
		exit(EXIT_FAILURE);
	pause();
}

/* The same, but never at rest. */
static void be_busy(int ready)
{
	struct live live;
	struct scene *scene = &live.scene;
	__u64 size = layout_size(layout);

	live_open(&live);
	if (write(ready, "r", 1) != 1)
		exit(EXIT_FAILURE);
	for (;;) {
		scene_write_due(scene, IOVA);
		vfio_set_memory(&scene->exporter, false);
		vfio_set_memory(&scene->exporter, true);
		ioas_map_file_at(scene->iommufd, scene->ioas, live.dmabuf, size,
				 IOVA2);
		vfio_reset(&scene->exporter);
		ioas_unmap(scene->iommufd, scene->ioas, IOVA2, size, &size);
	}
}

/* Run @victim in a process, kill it @delay_us after it is ready. */
static int kill_one(void (*victim)(int ready), useconds_t delay_us)
{
	int status, ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		victim(ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("the victim died on its own");
	close(ready[0]);
	usleep(delay_us);
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid ? 0 : -ECHILD;
}

/* The device can be opened, nobody writes to it any more, nothing is left. */
static int all_quiet(unsigned int dmabufs)
{
	struct vfio_dev dev;
	struct bar bar;
	int iommufd = iommufd_open();
	int err = vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd);

	if (!err)
		err = bar_open(&bar, &dev, SCENE_BAR, WINDOW);
	if (err)
		return err;
	usleep(250000);
	if (bar_check(&bar) != BAR_SAME)
		err = -EILSEQ;
	bar_close(&bar);
	vfio_close(&dev);
	close(iommufd);
	if (!err && settle_dmabufs(dmabufs) != dmabufs)
		err = -EBUSY;
	return err;
}

FIXTURE(killed)
{
	unsigned int dmabufs;
};

FIXTURE_SETUP(killed)
{
	self->dmabufs = count_dmabufs();
}

FIXTURE_TEARDOWN(killed)
{
}

TEST_F_TIMEOUT(killed, at_rest, LIMIT)
{
	ASSERT_EQ(0, kill_one(hold, 0));
	EXPECT_EQ(0, all_quiet(self->dmabufs));
	ASSERT_EQ(0, kill_one(hold, 200000));
	EXPECT_EQ(0, all_quiet(self->dmabufs));
}

TEST_F_TIMEOUT(killed, busy, LIMIT)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, kill_one(be_busy, i * 37000));
		EXPECT_EQ(0, all_quiet(self->dmabufs));
	}
}

TEST_HARNESS_MAIN

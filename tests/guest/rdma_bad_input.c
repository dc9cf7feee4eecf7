// SPDX-License-Identifier: GPL-2.0-only
/*
 * What RDMA devices are asked for by mistake or by malice gets an errno, and
 * nothing has changed.
 *
 * Raw uverbs ioctls register a dma-buf of VFIO through both doors, on rxe, which
 * accesses memory by the CPU, and on an edu device with the driver
 * dma-buf-test-ibdev, which does DMA. After each refusal the importers and
 * mappings of all buffers are counted, and in the end the protection domain must
 * be free: a memory region that was left behind would hold it.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "faults.h"
#include "iommufd.h"
#include "kmsg.h"
#include "leaks.h"
#include "report.h"
#include "testdrv.h"
#include "uverbs.h"

#include "kselftest_harness.h"

#define BAR		2
#define PAGE		0x1000ULL
#define IOVA		0x7000000000ULL
#define NOT_OPEN	1000		/* file descriptor */
#define NO_HANDLE	1000
#define NR_SAME		1000
#define LIMIT		200		/* seconds per test */
#define RXE		"rxe0"
#define NETDEV		"rdma0"

static const struct vfio_region_dma_range ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x01000, .length = 0x3000 },
	{ .offset = 0x12000, .length = 0x1000 },
};

static const struct layout layout = { ranges, 3 };

#define SIZE		0x6000ULL	/* of them */

/*
 * The scene: a device with a context and a protection domain, and a dma-buf
 */

struct scene_rdma {
	bool rxe;
	int iommufd;
	int ibdev;			/* -1 for rxe */
	int dmabuf;
	__u32 pd;
	struct uverbs verbs;
	struct vfio_dev exporter;
	char pci[PCI_NAME_LEN];		/* of the test device */
	char name[IBDEV_NAME_LEN];
	struct holdings before;
};

static void must(const char *what, int err)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

static void open_device(struct scene_rdma *scene)
{
	scene->ibdev = -1;
	if (scene->rxe) {
		snprintf(scene->name, sizeof(scene->name), RXE);
		return;
	}
	scene->ibdev = ibdev_open(0, scene->pci);
	must("open the test device", scene->ibdev);
	must("find the RDMA device", ibdev_of_pci(scene->pci, scene->name));
}

static int open_verbs(const struct scene_rdma *scene, struct uverbs *verbs)
{
	return uverbs_open(verbs, scene->name, scene->rxe ? RDMA_DRIVER_RXE :
						 RDMA_DRIVER_UNKNOWN);
}

static void open_exporter(struct scene_rdma *scene)
{
	must("open the exporter", vfio_open_id(&scene->exporter, PCI_ID_IVSHMEM,
					       0, scene->iommufd));
	scene->dmabuf = vfio_export(&scene->exporter, BAR, ranges, layout.nr);
	must("export", scene->dmabuf);
}

static void scene_rdma_open(struct scene_rdma *scene, bool rxe)
{
	*scene = (struct scene_rdma){ .rxe = rxe };
	scene->iommufd = iommufd_open();
	must("open iommufd", scene->iommufd);
	open_device(scene);
	must("open uverbs", open_verbs(scene, &scene->verbs));
	must("allocate a PD", uverbs_alloc_pd(&scene->verbs, &scene->pd));
	open_exporter(scene);
	scene->before = count_holdings();
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Nothing holds the protection domain. Without a context there is none. */
static int pd_is_free(const struct scene_rdma *scene)
{
	return scene->verbs.fd < 0 ? 0 : uverbs_dealloc_pd(&scene->verbs,
							  scene->pd);
}

/* In any state. Returns -EBUSY if something is left. */
static int scene_rdma_close(struct scene_rdma *scene)
{
	const struct holdings none = {};
	int err = pd_is_free(scene);

	uverbs_close(&scene->verbs);
	close_fd(&scene->ibdev);
	close_fd(&scene->dmabuf);
	vfio_close(&scene->exporter);
	close_fd(&scene->iommufd);
	if (!err && !same_holdings(settle_holdings(none), none))
		err = -EBUSY;
	return err;
}

/* What can be registered; the tests change something. */
static struct uverbs_dmabuf good(const struct scene_rdma *scene)
{
	return (struct uverbs_dmabuf){
		.pd = scene->pd,
		.fd = scene->dmabuf,
		.length = SIZE,
		.iova = IOVA,
		.access = ACCESS_ALL,
	};
}

static int reg_good(const struct scene_rdma *scene, enum uverbs_door door,
		    struct uverbs_mr *mr)
{
	const struct uverbs_dmabuf arg = good(scene);

	return uverbs_reg_dmabuf(&scene->verbs, door, &arg, mr);
}

/* It gets this errno, and nothing has changed. */
static int refused(const struct scene_rdma *scene, enum uverbs_door door,
		   const struct uverbs_dmabuf *arg, int want)
{
	struct uverbs_mr mr;
	int err = uverbs_reg_dmabuf(&scene->verbs, door, arg, &mr);

	if (!err)
		uverbs_dereg(&scene->verbs, &mr);
	if (err != want) {
		printf("# got %s, not %s\n", strerror(-err), strerror(-want));
		return err ? err : -EILSEQ;
	}
	if (!same_holdings(count_holdings(), scene->before)) {
		printf("# something is left at the buffer\n");
		return -EBUSY;
	}
	return 0;
}

/* Is the good one accepted? */
static int accepted(const struct scene_rdma *scene, enum uverbs_door door)
{
	const struct uverbs_dmabuf arg = good(scene);

	return refused(scene, door, &arg, 0);
}

/*
 * What is asked for at a door
 */

FIXTURE(door)
{
	struct scene_rdma scene;
};

FIXTURE_VARIANT(door)
{
	bool rxe;
	enum uverbs_door door;
};

FIXTURE_VARIANT_ADD(door, rxe_reg_dmabuf_mr)
{
	.rxe = true,
	.door = DOOR_REG_DMABUF_MR,
};

FIXTURE_VARIANT_ADD(door, rxe_reg_mr)
{
	.rxe = true,
	.door = DOOR_REG_MR,
};

FIXTURE_VARIANT_ADD(door, dma_reg_dmabuf_mr)
{
	.door = DOOR_REG_DMABUF_MR,
};

FIXTURE_VARIANT_ADD(door, dma_reg_mr)
{
	.door = DOOR_REG_MR,
};

FIXTURE_SETUP(door)
{
	if (!variant->rxe && !pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	scene_rdma_open(&self->scene, variant->rxe);
}

FIXTURE_TEARDOWN(door)
{
	EXPECT_EQ(0, scene_rdma_close(&self->scene));
}

#define EXPECT_REFUSED(want, arg)					\
	EXPECT_EQ(0, refused(&self->scene, variant->door, arg, want))
#define EXPECT_ACCEPTED()						\
	EXPECT_EQ(0, accepted(&self->scene, variant->door))

TEST_F_TIMEOUT(door, offset_and_length, LIMIT)
{
	const struct {
		__u64 offset, length, iova;
	} bad[] = {
		{ 0, 0, IOVA },			/* empty */
		{ PAGE, 0, IOVA },
		{ SIZE, PAGE, IOVA },		/* behind the end */
		{ SIZE + PAGE, PAGE, IOVA },
		{ 0, SIZE + 1, IOVA },		/* across it */
		{ SIZE - PAGE, PAGE + 1, IOVA },
		{ SIZE - 1, 2, IOVA + PAGE - 1 },
		{ 0, ~0ULL, IOVA },
		{ -PAGE, 2 * PAGE, IOVA },	/* overflow */
		{ -PAGE, PAGE, IOVA },
		{ PAGE, -PAGE, IOVA },
		{ PAGE, ~0ULL, IOVA },
		{ 0, 2 * PAGE, -PAGE },		/* overflow of the IOVA */
		{ 0, SIZE, -PAGE },
		{ 1, PAGE, IOVA },		/* not the same in a page */
		{ 0, PAGE, IOVA + 1 },
		{ 0x801, PAGE, IOVA + 0x800 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct uverbs_dmabuf arg = good(&self->scene);

		arg.offset = bad[i].offset;
		arg.length = bad[i].length;
		arg.iova = bad[i].iova;
		EXPECT_REFUSED(-EINVAL, &arg)
			TH_LOG("offset 0x%llx length 0x%llx iova 0x%llx",
			       arg.offset, arg.length, arg.iova);
	}
	EXPECT_ACCEPTED();
}

TEST_F_TIMEOUT(door, access_flags, LIMIT)
{
	const struct {
		__u32 access;
		int dma, rxe;		/* errno */
	} bad[] = {
		{ 1 << 10, -EINVAL, -EINVAL },	/* no such flag */
		{ 1U << 31, -EINVAL, -EINVAL },
		{ IB_UVERBS_ACCESS_HUGETLB, -EINVAL, -EINVAL },
		{ IB_UVERBS_ACCESS_ZERO_BASED, -EINVAL, -EINVAL },
		{ IB_UVERBS_ACCESS_REMOTE_WRITE, -EINVAL, -EINVAL },
		{ IB_UVERBS_ACCESS_REMOTE_ATOMIC, -EINVAL, -EINVAL },
		/* Not everything can be done by every device. */
		{ IB_UVERBS_ACCESS_MW_BIND, -EOPNOTSUPP, 0 },
		{ IB_UVERBS_ACCESS_ON_DEMAND, -EOPNOTSUPP, 0 },
		{ IB_UVERBS_ACCESS_FLUSH_GLOBAL, -EOPNOTSUPP, 0 },
		{ IB_UVERBS_ACCESS_FLUSH_PERSISTENT, -EOPNOTSUPP, -EINVAL },
		/* Optional ones may be asked for by anybody. */
		{ IB_UVERBS_ACCESS_RELAXED_ORDERING, 0, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct uverbs_dmabuf arg = good(&self->scene);

		arg.access = bad[i].access;
		EXPECT_REFUSED(variant->rxe ? bad[i].rxe : bad[i].dma, &arg)
			TH_LOG("access 0x%x", arg.access);
	}
}

TEST_F_TIMEOUT(door, file_descriptors, LIMIT)
{
	const struct {
		int fd, err;
	} bad[] = {
		{ eventfd(0, EFD_CLOEXEC), -EINVAL },
		{ memfd_create("memfd", MFD_CLOEXEC), -EINVAL },
		{ self->scene.exporter.fd, -EINVAL },
		{ self->scene.verbs.fd, -EINVAL },
		{ self->scene.iommufd, -EINVAL },
		{ NOT_OPEN, -EBADF },
		{ -1, -EBADF },
		{ INT_MAX, -EBADF },
		{ INT_MIN, -EBADF },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct uverbs_dmabuf arg = good(&self->scene);

		arg.fd = bad[i].fd;
		EXPECT_REFUSED(bad[i].err, &arg)
			TH_LOG("file descriptor %d", arg.fd);
	}
	close(bad[0].fd);
	close(bad[1].fd);
	EXPECT_ACCEPTED();
}

/* Of this number, but another file's; and of no number at all. */
TEST_F_TIMEOUT(door, protection_domains, LIMIT)
{
	struct uverbs_dmabuf arg = good(&self->scene);
	struct uverbs other;

	ASSERT_EQ(0, open_verbs(&self->scene, &other));
	ASSERT_EQ(0, uverbs_alloc_pd(&other, &arg.pd));
	ASSERT_EQ(0, uverbs_alloc_pd(&other, &arg.pd));
	ASSERT_NE(self->scene.pd, arg.pd);
	EXPECT_REFUSED(-ENOENT, &arg);
	arg.pd = NO_HANDLE;
	EXPECT_REFUSED(-ENOENT, &arg);
	uverbs_close(&other);
	EXPECT_ACCEPTED();
}

TEST_F_TIMEOUT(door, memory_is_away, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	struct uverbs_dmabuf arg = good(scene);

	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	EXPECT_REFUSED(-ENODEV, &arg);
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	EXPECT_ACCEPTED();

	vfio_close(&scene->exporter);
	EXPECT_REFUSED(-ENODEV, &arg);
}

/* The log has the reason. */
TEST_F_TIMEOUT(door, exporter_refuses, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	struct uverbs_dmabuf arg = good(scene);
	char name[PCI_NAME_LEN];
	int exporter = -1, kmsg;

	if (variant->rxe) {
		/* It has neither ranges nor a kernel mapping. */
		close_fd(&scene->dmabuf);
		vfio_close(&scene->exporter);
		exporter = exporter_open(PCI_ID_IVSHMEM, name);
		ASSERT_LE(0, exporter);
		scene->dmabuf = exporter_export(exporter, BAR, layout);
		ASSERT_LE(0, scene->dmabuf);
		scene->before = count_holdings();
		arg.fd = scene->dmabuf;
	} else {
		ASSERT_EQ(0, ibdev_config(scene->ibdev, DBT_IB_STATIC, PAGE));
	}
	kmsg = kmsg_open();
	ASSERT_LE(0, kmsg);
	EXPECT_REFUSED(-EOPNOTSUPP, &arg);
	EXPECT_TRUE(kmsg_has(kmsg, "refused to", variant->rxe ? scene->name :
			     scene->pci));
	close(kmsg);
	if (variant->rxe) {
		close_fd(&scene->dmabuf);
		close(exporter);
		EXPECT_EQ(0, testdrv_release(name));
	} else {
		EXPECT_EQ(0, ibdev_config(scene->ibdev, DBT_IB_REVOCABLE,
					  PAGE));
	}
}

/* One buffer, many MRs; all of them lose it, and all can be deregistered. */
TEST_F_TIMEOUT(door, same_fd_many_times, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	static struct uverbs_mr mrs[NR_SAME];
	struct holdings now;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < NR_SAME; i++)
		err = reg_good(scene, variant->door, &mrs[i]);
	ASSERT_EQ(0, err);
	now = count_holdings();
	EXPECT_EQ(NR_SAME, now.importers);
	EXPECT_EQ(NR_SAME, now.maps);
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	now = count_holdings();
	EXPECT_EQ(NR_SAME, now.importers);
	EXPECT_EQ(0, now.maps);
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	EXPECT_EQ(-EBUSY, uverbs_dealloc_pd(&scene->verbs, scene->pd));
	for (i = 0; !err && i < NR_SAME; i++)
		err = uverbs_dereg(&scene->verbs, &mrs[i]);
	EXPECT_EQ(0, err);
	EXPECT_TRUE(same_holdings(count_holdings(), scene->before));
	EXPECT_ACCEPTED();
}

/*
 * Memory limits
 */

/* Register while the nth allocation fails. 1: there were not so many. */
static int reg_failing(const struct scene_rdma *scene, enum uverbs_door door,
		       int fail, unsigned int nth)
{
	struct uverbs_mr mr;
	bool happened;
	int err;

	err = faults_set(fail, nth);
	if (err)
		return err;
	err = reg_good(scene, door, &mr);
	happened = faults_happened(fail);
	if (!err)
		uverbs_dereg(&scene->verbs, &mr);
	if (err && err != -ENOMEM) {
		printf("# allocation %u: %s\n", nth, strerror(-err));
		return err;
	}
	if (!same_holdings(count_holdings(), scene->before)) {
		printf("# allocation %u left something behind\n", nth);
		return -EBUSY;
	}
	return !happened;
}

TEST_F_TIMEOUT(door, each_allocation_fails, LIMIT)
{
	unsigned int nth, nr_failed = 0;
	int fail, ret = 0;

	/* What is allocated once only. */
	EXPECT_ACCEPTED();
	ASSERT_EQ(0, faults_prepare());
	fail = faults_open();
	ASSERT_LE(0, fail);
	for (nth = 1; !ret && nth < 1000; nth++) {
		ret = reg_failing(&self->scene, variant->door, fail, nth);
		nr_failed += !ret;
	}
	close(fail);
	EXPECT_EQ(1, ret);
	EXPECT_LT(5, nr_failed);
	TH_LOG("%u allocations", nr_failed);
	EXPECT_ACCEPTED();
}

/*
 * What is done with a registered one
 */

FIXTURE(region)
{
	struct scene_rdma scene;
	struct uverbs_mr mr;
};

FIXTURE_VARIANT(region)
{
	bool rxe;
};

FIXTURE_VARIANT_ADD(region, rxe)
{
	.rxe = true,
};

FIXTURE_VARIANT_ADD(region, dma)
{
};

FIXTURE_SETUP(region)
{
	if (!variant->rxe && !pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	scene_rdma_open(&self->scene, variant->rxe);
	must("register", reg_good(&self->scene, DOOR_REG_DMABUF_MR, &self->mr));
	self->scene.before = count_holdings();
}

FIXTURE_TEARDOWN(region)
{
	EXPECT_EQ(0, uverbs_dereg(&self->scene.verbs, &self->mr));
	EXPECT_EQ(0, scene_rdma_close(&self->scene));
}

/* Its keys, place and mapping are as they were. */
static int unchanged(const struct scene_rdma *scene, const struct uverbs_mr *mr)
{
	struct holdings now = count_holdings();
	__u64 length, iova;
	int err = uverbs_query_mr(&scene->verbs, mr, &length, &iova);

	if (err)
		return err;
	if (length != SIZE || iova != IOVA)
		return -EILSEQ;
	return now.importers == 1 && now.maps == 1 ? 0 : -EBUSY;
}

TEST_F_TIMEOUT(region, rereg, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	__u8 *memory = aligned_alloc(PAGE, PAGE);
	__u32 pd;

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, uverbs_alloc_pd(&scene->verbs, &pd));
	EXPECT_EQ(-EOPNOTSUPP, uverbs_rereg(&scene->verbs, &self->mr, REREG_PD,
					    pd, 0, 0, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, uverbs_rereg(&scene->verbs, &self->mr,
					    REREG_ACCESS, 0, 0, 0, 0,
					    ACCESS_LOCAL));
	EXPECT_EQ(-EOPNOTSUPP, uverbs_rereg(&scene->verbs, &self->mr,
					    REREG_TRANS, 0, memory, PAGE, IOVA,
					    0));
	EXPECT_EQ(-EOPNOTSUPP, uverbs_rereg(&scene->verbs, &self->mr, 1 << 5,
					    0, 0, 0, 0, 0));
	EXPECT_EQ(0, unchanged(scene, &self->mr));
	EXPECT_EQ(0, uverbs_dealloc_pd(&scene->verbs, pd));
	free(memory);
}

/* Advice is for on-demand paging, which neither is. */
static int advise_refused(const struct scene_rdma *scene, __u32 lkey,
			  __u64 addr)
{
	const int want = scene->rxe ? -EINVAL : -EOPNOTSUPP;
	unsigned int advice, flush;
	int err;

	for (advice = IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH;
	     advice <= IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT; advice++)
		for (flush = 0; flush < 2; flush++) {
			err = uverbs_advise(&scene->verbs, scene->pd, advice,
					    flush, lkey, addr, PAGE);
			if (err != want) {
				printf("# advice %u, flush %u: %s\n", advice,
				       flush, strerror(-err));
				return err ? err : -EILSEQ;
			}
		}
	return 0;
}

TEST_F_TIMEOUT(region, advise, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	__u8 *memory = aligned_alloc(PAGE, PAGE);
	struct uverbs_mr plain;

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, uverbs_reg(&scene->verbs, scene->pd, memory, PAGE,
				(uintptr_t)memory, ACCESS_LOCAL, &plain));
	EXPECT_EQ(0, advise_refused(scene, self->mr.lkey, IOVA));
	EXPECT_EQ(0, advise_refused(scene, plain.lkey, (uintptr_t)memory));
	EXPECT_EQ(0, advise_refused(scene, 0xdeadbeef, IOVA));
	EXPECT_EQ(-EOPNOTSUPP, uverbs_advise(&scene->verbs, scene->pd, 99, true,
					     self->mr.lkey, IOVA, PAGE));
	EXPECT_EQ(0, unchanged(scene, &self->mr));
	EXPECT_EQ(0, uverbs_dereg(&scene->verbs, &plain));
	free(memory);
}

/* One door takes a DMA handle, but neither device has them. */
TEST_F_TIMEOUT(region, dma_handle, LIMIT)
{
	struct uverbs_dmabuf arg = good(&self->scene);
	const __u32 handles[] = { 0, NO_HANDLE, self->scene.pd };
	unsigned int i;

	arg.has_dmah = true;
	for (i = 0; i < ARRAY_SIZE(handles); i++) {
		arg.dmah = handles[i];
		EXPECT_EQ(0, refused(&self->scene, DOOR_REG_MR, &arg, -EINVAL));
	}
}

/* Deregistered twice, or by a handle of something else. */
TEST_F_TIMEOUT(region, dereg, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	struct uverbs_mr mr;

	ASSERT_EQ(0, reg_good(scene, DOOR_REG_MR, &mr));
	EXPECT_EQ(0, uverbs_dereg(&scene->verbs, &mr));
	EXPECT_EQ(-ENOENT, uverbs_dereg(&scene->verbs, &mr));
	mr.handle = NO_HANDLE;
	EXPECT_EQ(-ENOENT, uverbs_dereg(&scene->verbs, &mr));
	mr.handle = scene->pd;
	EXPECT_EQ(-EINVAL, uverbs_dereg(&scene->verbs, &mr));
	EXPECT_EQ(0, unchanged(scene, &self->mr));
}

/*
 * The end, in every order, and by force
 */

FIXTURE(end)
{
	struct scene_rdma scene;
};

FIXTURE_VARIANT(end)
{
	bool rxe;
};

FIXTURE_VARIANT_ADD(end, rxe)
{
	.rxe = true,
};

FIXTURE_VARIANT_ADD(end, dma)
{
};

FIXTURE_SETUP(end)
{
	if (!variant->rxe && !pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	scene_rdma_open(&self->scene, variant->rxe);
}

FIXTURE_TEARDOWN(end)
{
	scene_rdma_close(&self->scene);
}

/* Closing one of the four must not fail, whatever is closed already. */
static int close_one(struct scene_rdma *scene, const struct uverbs_mr *mr,
		     char which)
{
	switch (which) {
	case 'm':
		return scene->verbs.fd < 0 ? 0 : uverbs_dereg(&scene->verbs,
							      mr);
	case 'b':
		close_fd(&scene->dmabuf);
		return 0;
	case 'd':
		vfio_close(&scene->exporter);
		return 0;
	default:
		uverbs_close(&scene->verbs);
		return 0;
	}
}

static int try_order(bool rxe, const char *order)
{
	struct scene_rdma scene;
	struct uverbs_mr mr;
	int i, err, left;

	scene_rdma_open(&scene, rxe);
	err = reg_good(&scene, DOOR_REG_DMABUF_MR, &mr);
	for (i = 0; !err && order[i]; i++)
		err = close_one(&scene, &mr, order[i]);
	left = scene_rdma_close(&scene);
	if (err || left)
		printf("# order %s: %s\n", order, strerror(err ? -err : -left));
	return err ? err : left;
}

/* All orders of the letters that are not in @order yet. */
static int try_orders(bool rxe, char *order, size_t len)
{
	static const char letters[] = "mbdu";
	const char *letter;
	int err = 0;

	order[len] = '\0';
	if (len == strlen(letters))
		return try_order(rxe, order);
	for (letter = letters; !err && *letter; letter++) {
		if (memchr(order, *letter, len))
			continue;
		order[len] = *letter;
		err = try_orders(rxe, order, len + 1);
	}
	return err;
}

/* MR, dma-buf, device, uverbs */
TEST_F_TIMEOUT(end, orders, LIMIT)
{
	char order[5];

	ASSERT_EQ(0, scene_rdma_close(&self->scene));
	EXPECT_EQ(0, try_orders(variant->rxe, order, 0));
}

static noreturn void hold(const struct scene_rdma *unused, bool rxe, int ready)
{
	struct scene_rdma scene;
	struct uverbs_mr mr;
	unsigned int i;

	scene_rdma_open(&scene, rxe);
	for (i = 0; i < 100; i++)
		must("register", reg_good(&scene, i % 2, &mr));
	if (write(ready, "r", 1) != 1)
		exit(EXIT_FAILURE);
	for (;;)
		pause();
}

/* The same, but never at rest. */
static noreturn void be_busy(const struct scene_rdma *unused, bool rxe,
			     int ready)
{
	struct scene_rdma scene;
	struct uverbs_mr mr;
	unsigned int i;

	scene_rdma_open(&scene, rxe);
	if (write(ready, "r", 1) != 1)
		exit(EXIT_FAILURE);
	for (i = 0;; i++) {
		if (reg_good(&scene, i % 2, &mr))
			continue;
		if (i % 4 == 0)
			vfio_set_memory(&scene.exporter, false);
		if (i % 3)
			uverbs_dereg(&scene.verbs, &mr);
		if (i % 4 == 0)
			vfio_set_memory(&scene.exporter, true);
	}
}

/* With the buffer and the context of the parent: two processes share them. */
static noreturn void share(const struct scene_rdma *scene, bool rxe, int ready)
{
	struct uverbs_mr mr;

	if (write(ready, "r", 1) != 1)
		exit(EXIT_FAILURE);
	for (;;)
		if (!reg_good(scene, DOOR_REG_MR, &mr))
			uverbs_dereg(&scene->verbs, &mr);
}

typedef void (*victim_fn)(const struct scene_rdma *scene, bool rxe, int ready);

/* Run @victim in a process, kill it @delay_us after it is ready. */
static int kill_one(victim_fn victim, const struct scene_rdma *scene, bool rxe,
		    useconds_t delay_us)
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
		victim(scene, rxe, ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("the victim died on its own");
	close(ready[0]);
	usleep(delay_us);
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid ? 0 : -ECHILD;
}

static bool nothing_left(void)
{
	const struct holdings none = {};

	return same_holdings(settle_holdings(none), none);
}

TEST_F_TIMEOUT(end, killed, LIMIT)
{
	unsigned int i;

	ASSERT_EQ(0, scene_rdma_close(&self->scene));
	ASSERT_EQ(0, kill_one(hold, NULL, variant->rxe, 0));
	EXPECT_TRUE(nothing_left());
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, kill_one(be_busy, NULL, variant->rxe, i * 23000));
		EXPECT_TRUE(nothing_left());
	}
}

/* The context outlives the process, and is good for more. */
TEST_F_TIMEOUT(end, killed_beside_another, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	struct uverbs_mr mr;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < 4; i++)
		err = kill_one(share, scene, variant->rxe, i * 11000);
	EXPECT_EQ(0, err);
	EXPECT_GE(4, count_holdings().importers);
	EXPECT_EQ(0, reg_good(scene, DOOR_REG_MR, &mr));
	EXPECT_EQ(0, uverbs_dereg(&scene->verbs, &mr));
	uverbs_close(&scene->verbs);
	EXPECT_TRUE(same_holdings(settle_holdings(scene->before),
				  scene->before));
}

/* Its predecessor of this name may not be gone yet. */
static int add_rxe(void)
{
	unsigned int tries;
	int err = netdev_add(NETDEV, "dummy");

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

/*
 * The RDMA device goes while an MR is registered. The MR goes with it, so that
 * there is nothing more to do for dereg.
 */
TEST_F_TIMEOUT(end, device_is_gone, LIMIT)
{
	struct scene_rdma *scene = &self->scene;
	const struct holdings *before = &scene->before;
	struct uverbs_mr mr;

	ASSERT_EQ(0, reg_good(scene, DOOR_REG_MR, &mr));
	if (variant->rxe) {
		ASSERT_EQ(0, netdev_del(NETDEV));
	} else {
		close_fd(&scene->ibdev);
		ASSERT_EQ(0, testdrv_release(scene->pci));
	}
	EXPECT_TRUE(same_holdings(settle_holdings(*before), *before));
	EXPECT_EQ(0, uverbs_dereg(&scene->verbs, &mr));
	EXPECT_EQ(-EIO, reg_good(scene, DOOR_REG_MR, &mr));
	uverbs_close(&scene->verbs);
	if (variant->rxe)
		ASSERT_EQ(0, add_rxe());
	EXPECT_EQ(0, scene_rdma_close(scene));
}

#define MEMORY_MAX	(8 << 20)
#define MAX_MRS		512

/* Register the same again and again, until it fails. */
static noreturn void reg_without_end(struct scene_rdma *scene, int dmabuf,
				     __u64 size)
{
	struct uverbs_dmabuf arg = good(scene);
	struct uverbs_mr mr;
	unsigned int i;
	int err = 0;

	arg.fd = dmabuf;
	arg.length = size;
	if (cgroup_enter())
		_exit(EINVAL);
	for (i = 0; !err && i < MAX_MRS; i++)
		err = uverbs_reg_dmabuf(&scene->verbs, i % 2, &arg, &mr);
	_exit(-err);
}

static struct vfio_region_dma_range *single_pages(__u32 nr)
{
	struct vfio_region_dma_range *pages = calloc(nr, sizeof(*pages));
	__u32 i;

	for (i = 0; pages && i < nr; i++)
		pages[i] = (struct vfio_region_dma_range){
			.offset = (nr - 1 - i) * 2 * PAGE,
			.length = PAGE,
		};
	return pages;
}

/*
 * The tables of the MRs are charged: who registers without end is refused memory
 * or killed for it, and then everything is given back.
 */
TEST_F_TIMEOUT(end, memory_limit, LIMIT)
{
	const __u32 nr = 4096;
	struct vfio_region_dma_range *pages = single_pages(nr);
	struct scene_rdma *scene = &self->scene;
	int dmabuf, status;
	pid_t pid;

	ASSERT_EQ(0, cgroup_make());
	ASSERT_EQ(0, cgroup_limit(MEMORY_MAX));
	ASSERT_NE(NULL, pages);
	dmabuf = vfio_export(&scene->exporter, BAR, pages, nr);
	ASSERT_LE(0, dmabuf);
	if (!variant->rxe)
		ASSERT_EQ(0, ibdev_config(scene->ibdev, DBT_IB_REVOCABLE, PAGE));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		reg_without_end(scene, dmabuf, nr * PAGE);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == ENOMEM))
		TH_LOG("wait status 0x%x", status);
	uverbs_close(&scene->verbs);
	close(dmabuf);
	EXPECT_TRUE(same_holdings(settle_holdings(scene->before),
				  scene->before));
	EXPECT_EQ(0, cgroup_remove());
	free(pages);
}

/* A dma-buf is not memory of the process, so its limit does not matter. */
TEST_F_TIMEOUT(end, locked_memory_limit, LIMIT)
{
	const struct rlimit one_page = { PAGE, PAGE };
	struct scene_rdma *scene = &self->scene;
	__u8 *memory = aligned_alloc(PAGE, 2 * PAGE);
	struct uverbs_mr mr;

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &one_page));
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(-ENOMEM, uverbs_reg(&scene->verbs, scene->pd, memory,
				      2 * PAGE, (uintptr_t)memory,
				      ACCESS_LOCAL, &mr));
	EXPECT_EQ(0, reg_good(scene, DOOR_REG_MR, &mr));
	EXPECT_EQ(0, uverbs_dereg(&scene->verbs, &mr));
	EXPECT_EQ(0, reg_good(scene, DOOR_REG_DMABUF_MR, &mr));
	EXPECT_EQ(0, uverbs_dereg(&scene->verbs, &mr));
	ASSERT_EQ(0, seteuid(0));
	free(memory);
}

int main(int argc, char **argv)
{
	char name[PCI_NAME_LEN];
	int ret;

	must("make an rxe device", add_rxe());
	ret = test_harness_run(argc, argv);
	must("remove the network device", netdev_del(NETDEV));
	if (!pci_find(PCI_ID_EDU, 0, name))
		testdrv_release(name);
	return ret;
}

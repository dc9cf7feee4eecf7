// SPDX-License-Identifier: GPL-2.0-only
/*
 * An RDMA device exports its doorbells as a dma-buf: who gets it, and how it ends.
 *
 * The device is an edu device, and what is exported are its registers. One of
 * them, 4 bytes at offset 4, keeps the complement of what was written last. A
 * second edu device rings there by DMA, through iommufd, a driver or an RDMA
 * device of its own.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 200
 * leak: yes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <rdma/ib_user_ioctl_verbs.h>

#include "edu.h"
#include "iommufd.h"
#include "leaks.h"
#include "testdrv.h"
#include "uverbs.h"

#include "kselftest_harness.h"

#define IOVA	0x100000000ULL
#define IOVA2	0x200000000ULL
#define PAGE	0x1000ULL
#define SIZE	DBT_IB_DOORBELLS_LEN
#define BELL	4		/* offset of the register */
#define LIMIT	60		/* seconds per test */

struct bell {
	int ibdev;
	int dmabuf;
	struct uverbs verbs;
	__u32 *regs;		/* as the CPU sees them */
	__u32 rung;		/* last value */
	unsigned int dmabufs;
	char name[PCI_NAME_LEN];
};

static __u32 *map_regs(const char *name)
{
	char path[128];
	void *map;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

static int open_verbs(struct uverbs *verbs, const char *name)
{
	char ibdev[IBDEV_NAME_LEN];
	int err = ibdev_of_pci(name, ibdev);

	return err ? err : uverbs_open(verbs, ibdev, RDMA_DRIVER_UNKNOWN);
}

/* By the CPU. */
static void set_bell(struct bell *bell, __u32 value)
{
	__atomic_store_n(&bell->regs[BELL / 4], value, __ATOMIC_SEQ_CST);
}

static int bell_open(struct bell *bell)
{
	int err;

	*bell = (struct bell){ .dmabuf = -1, .verbs.fd = -1, .rung = 0x1000 };
	bell->dmabufs = count_dmabufs();
	bell->ibdev = ibdev_open(0, bell->name);
	if (bell->ibdev < 0)
		return bell->ibdev;
	err = open_verbs(&bell->verbs, bell->name);
	if (err)
		return err;
	bell->regs = map_regs(bell->name);
	if (!bell->regs)
		return -ENXIO;
	set_bell(bell, bell->rung);
	bell->dmabuf = uverbs_alloc_dmabuf(&bell->verbs, DBT_IB_DOORBELLS);
	return bell->dmabuf < 0 ? bell->dmabuf : 0;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* 0: the driver is gone, and no dma-buf is left. */
static int bell_close(struct bell *bell)
{
	int err = 0;

	shut(&bell->dmabuf);
	uverbs_close(&bell->verbs);
	if (bell->regs)
		munmap(bell->regs, PAGE);
	if (bell->ibdev >= 0) {
		shut(&bell->ibdev);
		err = testdrv_release(bell->name);
	}
	if (!err && settle_dmabufs(bell->dmabufs) != bell->dmabufs)
		err = -EBUSY;
	return err;
}

/* The register has the last value that rang. */
static int judge(struct bell *bell)
{
	__u32 value = ~__atomic_load_n(&bell->regs[BELL / 4],
				       __ATOMIC_SEQ_CST);

	if (value == bell->rung)
		return 0;
	printf("# the doorbell has 0x%x, not 0x%x\n", value, bell->rung);
	return -EILSEQ;
}

/*
 * The second device, through iommufd
 */

struct ringer {
	int iommufd;
	__u32 ioas;
	struct edu edu;
};

static int ringer_open(struct ringer *ringer)
{
	int err;

	ringer->iommufd = iommufd_open();
	err = ioas_alloc(ringer->iommufd, &ringer->ioas);
	return err ? err : edu_open(&ringer->edu, 1, ringer->iommufd,
				    ringer->ioas);
}

static void ringer_close(struct ringer *ringer)
{
	edu_close(&ringer->edu);
	shut(&ringer->iommufd);
}

static int map_slice(struct ringer *ringer, int fd, __u64 start, __u64 len,
		     __u64 iova)
{
	return ioas_map_file(ringer->iommufd, ringer->ioas, fd, start, len,
			     &iova, MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
}

static long long unmap(struct ringer *ringer, __u64 iova, __u64 len)
{
	__u64 unmapped;
	int err = ioas_unmap(ringer->iommufd, ringer->ioas, iova, len,
			     &unmapped);

	return err ? err : (long long)unmapped;
}

static int ring_start(struct ringer *ringer, __u64 iova, __u32 value)
{
	return edu_write_start(&ringer->edu, iova + BELL, &value, sizeof(value));
}

/* A write is complete and in place, and can be read back by DMA. */
static int rings(struct bell *bell, struct ringer *ringer, __u64 iova)
{
	__u32 got = 0;
	int err;

	err = ring_start(ringer, iova, ++bell->rung);
	if (!err)
		err = edu_wait(&ringer->edu);
	if (!err)
		err = judge(bell);
	if (!err)
		err = edu_read(&ringer->edu, iova + BELL, &got, sizeof(got));
	if (!err && got != ~bell->rung) {
		printf("# DMA read 0x%x, not 0x%x\n", got, ~bell->rung);
		err = -EILSEQ;
	}
	return err;
}

static int silent(struct bell *bell, struct ringer *ringer, __u64 iova)
{
	int err = ring_start(ringer, iova, 0xdead);

	if (!err)
		err = edu_wait(&ringer->edu);
	return err ? err : judge(bell);
}

FIXTURE(bell)
{
	struct bell bell;
	struct ringer ringer;
};

FIXTURE_SETUP(bell)
{
	ASSERT_EQ(0, bell_open(&self->bell));
	ASSERT_EQ(0, ringer_open(&self->ringer));
}

FIXTURE_TEARDOWN(bell)
{
	ringer_close(&self->ringer);
	EXPECT_EQ(0, bell_close(&self->bell));
}

TEST_F_TIMEOUT(bell, rings_through_iommufd, LIMIT)
{
	struct ringer *ringer = &self->ringer;
	struct bell *bell = &self->bell;

	ASSERT_EQ(0, map_slice(ringer, bell->dmabuf, 0, SIZE, IOVA));
	EXPECT_EQ(0, rings(bell, ringer, IOVA));
	EXPECT_EQ((long long)SIZE, unmap(ringer, IOVA, SIZE));
	EXPECT_EQ(0, silent(bell, ringer, IOVA));

	/* Only the page that was asked for. */
	ASSERT_EQ(0, map_slice(ringer, bell->dmabuf, PAGE, PAGE, IOVA));
	EXPECT_EQ(0, silent(bell, ringer, IOVA));
	EXPECT_EQ(0, silent(bell, ringer, IOVA - PAGE));
	ASSERT_EQ(0, map_slice(ringer, bell->dmabuf, 0, PAGE, IOVA2));
	EXPECT_EQ(0, rings(bell, ringer, IOVA2));
}

TEST_F_TIMEOUT(bell, bad_input, LIMIT)
{
	struct uverbs *verbs = &self->bell.verbs;
	struct ringer *ringer = &self->ringer;
	struct bell *bell = &self->bell;

	EXPECT_EQ(-EINVAL, uverbs_alloc_dmabuf(verbs, 0));
	EXPECT_EQ(-EINVAL, uverbs_alloc_dmabuf(verbs, DBT_IB_DOORBELLS - PAGE));
	EXPECT_EQ(-EINVAL, uverbs_alloc_dmabuf(verbs, DBT_IB_DOORBELLS + PAGE));
	EXPECT_EQ(-EINVAL, uverbs_alloc_dmabuf(verbs, DBT_IB_DOORBELLS + SIZE));
	EXPECT_EQ(-EINVAL, uverbs_alloc_dmabuf(verbs, -PAGE));
	EXPECT_EQ(bell->dmabufs + 1, settle_dmabufs(bell->dmabufs + 1));

	EXPECT_EQ(-EINVAL,
		  map_slice(ringer, bell->dmabuf, 0, SIZE + PAGE, IOVA));
	EXPECT_EQ(-EINVAL, map_slice(ringer, bell->dmabuf, SIZE, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, map_slice(ringer, bell->dmabuf, 0, 0, IOVA));
	EXPECT_EQ(0, silent(bell, ringer, IOVA));
}

/* Two exports of the same, and only one is closed. */
TEST_F_TIMEOUT(bell, exported_twice, LIMIT)
{
	struct ringer *ringer = &self->ringer;
	struct bell *bell = &self->bell;
	int other = uverbs_alloc_dmabuf(&bell->verbs, DBT_IB_DOORBELLS);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, map_slice(ringer, bell->dmabuf, 0, SIZE, IOVA));
	ASSERT_EQ(0, map_slice(ringer, other, 0, SIZE, IOVA2));
	EXPECT_EQ(0, rings(bell, ringer, IOVA));
	close(other);
	EXPECT_EQ(0, rings(bell, ringer, IOVA2));
	EXPECT_EQ((long long)SIZE, unmap(ringer, IOVA2, SIZE));
	EXPECT_EQ(bell->dmabufs + 1, settle_dmabufs(bell->dmabufs + 1));
	EXPECT_EQ(0, rings(bell, ringer, IOVA));
}

/* iommufd holds the file, so nothing has ended when the fd is closed. */
TEST_F_TIMEOUT(bell, outlives_the_fd, LIMIT)
{
	struct ringer *ringer = &self->ringer;
	struct bell *bell = &self->bell;

	ASSERT_EQ(0, map_slice(ringer, bell->dmabuf, 0, SIZE, IOVA));
	shut(&bell->dmabuf);
	EXPECT_EQ(0, rings(bell, ringer, IOVA));
	EXPECT_EQ((long long)SIZE, unmap(ringer, IOVA, SIZE));
	EXPECT_EQ(bell->dmabufs, settle_dmabufs(bell->dmabufs));
	EXPECT_EQ(0, silent(bell, ringer, IOVA));
}

/*
 * The ways to end while somebody holds the file
 */

FIXTURE(end)
{
	struct bell bell;
	struct ringer ringer;
};

FIXTURE_VARIANT(end)
{
	int (*end)(struct bell *bell);
};

static int close_context(struct bell *bell)
{
	uverbs_close(&bell->verbs);
	return 0;
}

static int take_entry(struct bell *bell)
{
	return ioctl(bell->ibdev, DBT_IB_FORGET) ? -errno : 0;
}

/* The driver waits for its character device to be closed. */
static int unbind(struct bell *bell)
{
	shut(&bell->ibdev);
	return testdrv_release(bell->name);
}

FIXTURE_VARIANT_ADD(end, context_closed) { .end = close_context };
FIXTURE_VARIANT_ADD(end, entry_taken_back) { .end = take_entry };
FIXTURE_VARIANT_ADD(end, device_gone) { .end = unbind };

FIXTURE_SETUP(end)
{
	ASSERT_EQ(0, bell_open(&self->bell));
	ASSERT_EQ(0, ringer_open(&self->ringer));
}

FIXTURE_TEARDOWN(end)
{
	ringer_close(&self->ringer);
	EXPECT_EQ(0, bell_close(&self->bell));
}

/* A transfer that comes due later does not ring. */
TEST_F_TIMEOUT(end, stops_dma, LIMIT)
{
	struct ringer *ringer = &self->ringer;
	struct bell *bell = &self->bell;

	ASSERT_EQ(0, map_slice(ringer, bell->dmabuf, 0, SIZE, IOVA));
	ASSERT_EQ(0, rings(bell, ringer, IOVA));
	ASSERT_EQ(0, ring_start(ringer, IOVA, 0xdead));
	EXPECT_TRUE(edu_busy(&ringer->edu));
	ASSERT_EQ(0, variant->end(bell));
	/* If the end took so long, the transfer came before it, and may ring. */
	if (!edu_busy(&ringer->edu))
		set_bell(bell, ++bell->rung);
	ASSERT_EQ(0, edu_wait(&ringer->edu));
	EXPECT_EQ(0, judge(bell));
	EXPECT_EQ(-ENODEV, map_slice(ringer, bell->dmabuf, 0, SIZE, IOVA2));
	EXPECT_EQ(0, silent(bell, ringer, IOVA));
	EXPECT_EQ((long long)SIZE, unmap(ringer, IOVA, SIZE));
	EXPECT_EQ(0, silent(bell, ringer, IOVA));
}

/* Nobody has mapped it, and the fd is closed after or before. */
TEST_F_TIMEOUT(end, unused, LIMIT)
{
	struct bell *bell = &self->bell;
	int other = dup(bell->dmabuf);

	ASSERT_EQ(0, variant->end(bell));
	EXPECT_EQ(-ENODEV, map_slice(&self->ringer, other, 0, SIZE, IOVA));
	close(other);
	shut(&bell->dmabuf);
	EXPECT_EQ(bell->dmabufs, settle_dmabufs(bell->dmabufs));
}

TEST_F_TIMEOUT(end, after_the_fd, LIMIT)
{
	struct ringer *ringer = &self->ringer;
	struct bell *bell = &self->bell;

	ASSERT_EQ(0, map_slice(ringer, bell->dmabuf, 0, SIZE, IOVA));
	shut(&bell->dmabuf);
	ASSERT_EQ(0, variant->end(bell));
	EXPECT_EQ(bell->dmabufs + 1, count_dmabufs());
	EXPECT_EQ(0, silent(bell, ringer, IOVA));
	shut(&ringer->iommufd);
	edu_close(&ringer->edu);
	EXPECT_EQ(bell->dmabufs, settle_dmabufs(bell->dmabufs));
}

/* What the context had is gone, not the driver's willingness. */
TEST_F_TIMEOUT(bell, exported_after_another_context, LIMIT)
{
	struct ringer *ringer = &self->ringer;
	struct bell *bell = &self->bell;
	struct uverbs other;
	int dmabuf;

	uverbs_close(&bell->verbs);
	ASSERT_EQ(0, open_verbs(&other, bell->name));
	dmabuf = uverbs_alloc_dmabuf(&other, DBT_IB_DOORBELLS);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(-ENODEV, map_slice(ringer, bell->dmabuf, 0, SIZE, IOVA));
	EXPECT_EQ(0, map_slice(ringer, dmabuf, 0, SIZE, IOVA));
	EXPECT_EQ(0, rings(bell, ringer, IOVA));
	EXPECT_EQ(0, take_entry(bell));
	EXPECT_EQ(-EINVAL, uverbs_alloc_dmabuf(&other, DBT_IB_DOORBELLS));
	close(dmabuf);
	uverbs_close(&other);
}

/*
 * Importers that do DMA by themselves
 */

FIXTURE(driver)
{
	struct bell bell;
};

FIXTURE_SETUP(driver)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	ASSERT_EQ(0, bell_open(&self->bell));
}

FIXTURE_TEARDOWN(driver)
{
	EXPECT_EQ(0, bell_close(&self->bell));
}

/* By DMA view and by scatterlist; and the CPU is refused. */
TEST_F_TIMEOUT(driver, rings, LIMIT)
{
	const __u32 flags[] = { DBT_ATTACH_CLASS, DBT_ATTACH_CLASS |
				DBT_ATTACH_PIN, 0 };
	struct bell *bell = &self->bell;
	char name[PCI_NAME_LEN];
	int importer = importer_open(1, name);
	unsigned int i;
	__u32 got;

	ASSERT_LE(0, importer);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_EQ(0, importer_attach(importer, bell->dmabuf, flags[i],
					     0));
		ASSERT_EQ(0, importer_map_all(importer));
		bell->rung++;
		EXPECT_EQ(4, importer_write(importer, BELL, &bell->rung, 4));
		EXPECT_EQ(0, judge(bell));
		EXPECT_EQ(4, importer_read(importer, BELL, &got, 4));
		EXPECT_EQ(~bell->rung, got);
		ASSERT_EQ(0, importer_unmap(importer));
		ASSERT_EQ(0, importer_detach(importer));
	}
	EXPECT_EQ(-EOPNOTSUPP,
		  importer_attach(importer, bell->dmabuf,
				  DBT_ATTACH_CLASS | DBT_ATTACH_CPU, 0));
	EXPECT_EQ(-EOPNOTSUPP,
		  importer_attach(importer, bell->dmabuf, DBT_ATTACH_STATIC,
				  0));

	ASSERT_EQ(0, importer_attach(importer, bell->dmabuf, DBT_ATTACH_CLASS,
				     0));
	ASSERT_EQ(0, importer_map_all(importer));
	ASSERT_EQ(0, take_entry(bell));
	EXPECT_EQ(-ENODEV, importer_write(importer, BELL, "dead", 4));
	EXPECT_EQ(-ENODEV, importer_map_all(importer));
	EXPECT_EQ(0, judge(bell));
	close(importer);
	EXPECT_EQ(0, testdrv_release(name));
}

/* RDMA on both sides. */
TEST_F_TIMEOUT(driver, rings_as_memory_region, LIMIT)
{
	struct bell *bell = &self->bell;
	struct uverbs_dmabuf arg = {
		.fd = bell->dmabuf, .length = SIZE, .access = ACCESS_LOCAL,
	};
	char name[PCI_NAME_LEN];
	struct uverbs verbs;
	struct uverbs_mr mr;
	int ibdev;

	ibdev = ibdev_open(1, name);
	ASSERT_LE(0, ibdev);
	ASSERT_EQ(0, open_verbs(&verbs, name));
	ASSERT_EQ(0, uverbs_alloc_pd(&verbs, &arg.pd));
	ASSERT_EQ(0, uverbs_reg_dmabuf(&verbs, DOOR_REG_DMABUF_MR, &arg, &mr));
	bell->rung++;
	EXPECT_EQ(4, ibdev_write(ibdev, mr.lkey, BELL, &bell->rung, 4));
	EXPECT_EQ(0, judge(bell));
	uverbs_close(&bell->verbs);
	EXPECT_EQ(-EACCES, ibdev_write(ibdev, mr.lkey, BELL, "dead", 4));
	EXPECT_EQ(0, judge(bell));
	uverbs_close(&verbs);
	close(ibdev);
	EXPECT_EQ(0, testdrv_release(name));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small NVMe driver. See nvme.h; the numbers are of the NVM Express Base
 * Specification 1.4.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommufd.h"
#include "nvme.h"
#include "report.h"

#define PAGE		4096
#define TIME_LIMIT	10000	/* ms */

/* Registers */
#define REG_CC		0x14
#define REG_CSTS	0x1c
#define REG_AQA		0x24
#define REG_ASQ		0x28
#define REG_ACQ		0x30
#define REG_DOORBELLS	0x1000	/* stride 4: SQ 0, CQ 0, SQ 1, CQ 1 */

#define CC_ENABLE	1
#define CC_ENTRY_SIZES	(6 << 16 | 4 << 20)	/* 64 and 16 bytes */
#define CSTS_READY	1

enum admin_opcode { CREATE_SQ = 1, CREATE_CQ = 5, IDENTIFY = 6 };
enum io_opcode { WRITE = 1, READ = 2 };

#define CONTIGUOUS	1	/* of a queue */
#define NSID		1

/* Pages of struct nvme::mem. */
enum {
	MEM_ADMIN_SQ,
	MEM_ADMIN_CQ,
	MEM_IO_SQ,
	MEM_IO_CQ,
	MEM_DATA,
	MEM_PRP,		/* one per slot */
	MEM_PAGES = MEM_PRP + NVME_SLOTS,
};

struct sqe {
	__u8 opcode;
	__u8 flags;
	__u16 id;
	__u32 nsid;
	__u64 reserved;
	__u64 metadata;
	__u64 prp[2];
	__u32 dword10[6];
};

static void *mem(struct nvme *nvme, unsigned int page)
{
	return nvme->mem + page * PAGE;
}

static __u64 mem_iova(unsigned int page)
{
	return NVME_IOVA + page * PAGE;
}

static void write32(struct nvme *nvme, __u32 reg, __u32 value)
{
	__atomic_store_n((__u32 *)(nvme->regs + reg), value, __ATOMIC_SEQ_CST);
}

static void write64(struct nvme *nvme, __u32 reg, __u64 value)
{
	write32(nvme, reg, value);
	write32(nvme, reg + 4, value >> 32);
}

static __u32 read32(struct nvme *nvme, __u32 reg)
{
	return __atomic_load_n((__u32 *)(nvme->regs + reg), __ATOMIC_SEQ_CST);
}

static void submit(struct nvme *nvme, struct nvme_queue *queue,
		   const struct sqe *sqe)
{
	memcpy(queue->sq + queue->tail * sizeof(*sqe), sqe, sizeof(*sqe));
	queue->tail = (queue->tail + 1) % queue->size;
	write32(nvme, REG_DOORBELLS + 8 * queue->nr, queue->tail);
}

/* The id of the next command that is done, or -EAGAIN. */
static int poll_queue(struct nvme *nvme, struct nvme_queue *queue, __u16 *status)
{
	__u32 last = __atomic_load_n(&queue->cq[queue->head * 4 + 3],
				     __ATOMIC_ACQUIRE);

	if ((last >> 16 & 1) != queue->phase)
		return -EAGAIN;
	queue->head = (queue->head + 1) % queue->size;
	if (!queue->head)
		queue->phase ^= 1;
	write32(nvme, REG_DOORBELLS + 8 * queue->nr + 4, queue->head);
	*status = last >> 17;
	return last & 0xffff;
}

static int wait_queue(struct nvme *nvme, struct nvme_queue *queue)
{
	const __u64 end = now_ms() + TIME_LIMIT;
	__u16 status;

	while (poll_queue(nvme, queue, &status) < 0) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		usleep(100);
	}
	if (!status)
		return 0;
	printf("# the disk reports status 0x%x\n", status);
	return -EIO;
}

static int admin(struct nvme *nvme, const struct sqe *sqe)
{
	submit(nvme, &nvme->admin, sqe);
	return wait_queue(nvme, &nvme->admin);
}

static int wait_ready(struct nvme *nvme, __u32 want)
{
	const __u64 end = now_ms() + TIME_LIMIT;

	while ((read32(nvme, REG_CSTS) & CSTS_READY) != want) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		usleep(100);
	}
	return 0;
}

static void init_queue(struct nvme *nvme, struct nvme_queue *queue, __u16 nr,
		       unsigned int page)
{
	*queue = (struct nvme_queue){
		.sq = mem(nvme, page),
		.cq = mem(nvme, page + 1),
		.nr = nr,
		.size = PAGE / sizeof(struct sqe),
		.phase = 1,
	};
}

static int enable(struct nvme *nvme)
{
	const __u32 last = PAGE / sizeof(struct sqe) - 1;
	int err;

	write32(nvme, REG_CC, 0);
	err = wait_ready(nvme, 0);
	if (err)
		return err;
	init_queue(nvme, &nvme->admin, 0, MEM_ADMIN_SQ);
	init_queue(nvme, &nvme->io, 1, MEM_IO_SQ);
	write32(nvme, REG_AQA, last << 16 | last);
	write64(nvme, REG_ASQ, mem_iova(MEM_ADMIN_SQ));
	write64(nvme, REG_ACQ, mem_iova(MEM_ADMIN_CQ));
	write32(nvme, REG_CC, CC_ENTRY_SIZES | CC_ENABLE);
	return wait_ready(nvme, CSTS_READY);
}

static int create_io_queue(struct nvme *nvme)
{
	const __u32 id_and_size = (nvme->io.size - 1) << 16 | nvme->io.nr;
	const struct sqe cq = {
		.opcode = CREATE_CQ,
		.prp = { mem_iova(MEM_IO_CQ) },
		.dword10 = { id_and_size, CONTIGUOUS },
	};
	const struct sqe sq = {
		.opcode = CREATE_SQ,
		.prp = { mem_iova(MEM_IO_SQ) },
		.dword10 = { id_and_size, nvme->io.nr << 16 | CONTIGUOUS },
	};
	int err = admin(nvme, &cq);

	return err ? err : admin(nvme, &sq);
}

/* Its first field is the number of blocks. */
static int identify(struct nvme *nvme)
{
	const struct sqe sqe = {
		.opcode = IDENTIFY,
		.nsid = NSID,
		.prp = { mem_iova(MEM_DATA) },
	};
	int err = admin(nvme, &sqe);

	memcpy(&nvme->blocks, mem(nvme, MEM_DATA), sizeof(nvme->blocks));
	return err;
}

static int setup(struct nvme *nvme, __u32 ioas)
{
	__u64 iova = NVME_IOVA;
	int err = vfio_attach(&nvme->dev, ioas);

	if (!err)
		err = vfio_set_master(&nvme->dev, true);
	if (!err)
		err = vfio_map_bar(&nvme->dev, 0, &nvme->regs, &nvme->regs_size);
	if (!err)
		err = ioas_map(nvme->iommufd, ioas, nvme->mem, MEM_PAGES * PAGE,
			       &iova, MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
	if (!err)
		err = enable(nvme);
	if (!err)
		err = create_io_queue(nvme);
	return err ? err : identify(nvme);
}

int nvme_open(struct nvme *nvme, int iommufd, __u32 ioas)
{
	int err;

	*nvme = (struct nvme){ .iommufd = iommufd, .dev.fd = -1 };
	nvme->mem = mmap(NULL, MEM_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (nvme->mem == MAP_FAILED) {
		nvme->mem = NULL;
		return -errno;
	}
	err = vfio_open_id(&nvme->dev, PCI_ID_NVME, 0, iommufd);
	if (!err)
		err = setup(nvme, ioas);
	if (err)
		nvme_close(nvme);
	return err;
}

void nvme_close(struct nvme *nvme)
{
	if (nvme->regs) {
		write32(nvme, REG_CC, 0);
		munmap(nvme->regs, nvme->regs_size);
	}
	vfio_close(&nvme->dev);
	if (nvme->mem)
		munmap(nvme->mem, MEM_PAGES * PAGE);
	nvme->regs = NULL;
	nvme->mem = NULL;
}

/* The second pointer is that of the second page, or of the list of the rest. */
static void set_prps(struct nvme *nvme, struct sqe *sqe, unsigned int slot,
		     __u64 iova, size_t len)
{
	__u64 *list = mem(nvme, MEM_PRP + slot);
	__u64 next = (iova | (PAGE - 1)) + 1;
	unsigned int nr = 0;

	for (; next < iova + len; next += PAGE)
		list[nr++] = next;
	sqe->prp[0] = iova;
	sqe->prp[1] = nr > 1 ? mem_iova(MEM_PRP + slot) : nr ? list[0] : 0;
}

int nvme_start(struct nvme *nvme, unsigned int slot, bool write, __u64 lba,
	       __u64 iova, size_t len)
{
	const __u32 nr = len / NVME_BLOCK;
	struct sqe sqe = {
		.opcode = write ? WRITE : READ,
		.id = slot,
		.nsid = NSID,
		.dword10 = { lba, lba >> 32, nr - 1 },
	};

	if (slot >= NVME_SLOTS || !len || len > NVME_MAX ||
	    (len | iova) % NVME_BLOCK || lba + nr > nvme->blocks)
		return -EINVAL;
	set_prps(nvme, &sqe, slot, iova, len);
	submit(nvme, &nvme->io, &sqe);
	return 0;
}

int nvme_poll(struct nvme *nvme, __u16 *status)
{
	return poll_queue(nvme, &nvme->io, status);
}

int nvme_move(struct nvme *nvme, bool write, __u64 lba, __u64 iova, size_t len)
{
	int err = nvme_start(nvme, 0, write, lba, iova, len);

	return err ? err : wait_queue(nvme, &nvme->io);
}

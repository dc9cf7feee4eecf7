// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's "edu" device as a DMA engine. See edu.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"
#include "iommufd.h"
#include "report.h"

#define EDU_BUFFER	0x40000ULL	/* the 4 KiB buffer, as the engine sees it */
#define EDU_DELAY_US	100000		/* from the command to the transfer */
#define EDU_TIME_LIMIT	10000		/* ms */

/* Registers of the DMA engine, as indexes of 64-bit words. */
enum edu_reg {
	EDU_SRC = 0x80 / 8,
	EDU_DST = 0x88 / 8,
	EDU_COUNT = 0x90 / 8,
	EDU_COMMAND = 0x98 / 8,
};

#define EDU_RUN		1	/* set by us, cleared by the device at the end */
#define EDU_TO_MEMORY	2

static void reg_write(struct edu *edu, enum edu_reg reg, __u64 value)
{
	__atomic_store_n(&edu->regs[reg], value, __ATOMIC_SEQ_CST);
}

bool edu_busy(const struct edu *edu)
{
	return __atomic_load_n(&edu->regs[EDU_COMMAND], __ATOMIC_SEQ_CST) &
	       EDU_RUN;
}

int edu_wait(const struct edu *edu)
{
	__u64 end = now_ms() + EDU_TIME_LIMIT;

	while (edu_busy(edu)) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		usleep(2000);
	}
	return 0;
}

/* The engine ignores its registers while it is busy. */
static int start(struct edu *edu, __u64 src, __u64 dst, size_t len, __u64 dir)
{
	int err = edu_wait(edu);

	if (err)
		return err;
	reg_write(edu, EDU_SRC, src);
	reg_write(edu, EDU_DST, dst);
	reg_write(edu, EDU_COUNT, len);
	edu->due_us = now_us() + EDU_DELAY_US;
	reg_write(edu, EDU_COMMAND, EDU_RUN | dir);
	return 0;
}

static int start_from(struct edu *edu, __u64 iova, size_t len)
{
	return start(edu, iova, EDU_BUFFER, len, 0);
}

static int start_to(struct edu *edu, __u64 iova, size_t len)
{
	return start(edu, EDU_BUFFER, iova, len, EDU_TO_MEMORY);
}

int edu_write_start(struct edu *edu, __u64 iova, const void *data, size_t len)
{
	int err;

	memcpy(edu->bounce, data, len);
	err = start_from(edu, EDU_BOUNCE_IOVA, len);
	return err ? err : start_to(edu, iova, len);
}

int edu_aim(struct edu *edu, int (*act)(void *arg), void *arg, __u64 *took_us)
{
	__u64 begin = edu->due_us - *took_us / 2;
	int was_due, err;

	while (now_us() < begin)
		;
	was_due = edu_busy(edu);
	begin = now_us();
	err = act(arg);
	*took_us = now_us() - begin;
	return err ? err : was_due && !edu_busy(edu);
}

static int read_block(struct edu *edu, __u64 iova, void *data, size_t len)
{
	int err = start_from(edu, iova, len);

	if (!err)
		err = start_to(edu, EDU_BOUNCE_IOVA, len);
	if (!err)
		err = edu_wait(edu);
	memcpy(data, edu->bounce, len);
	return err;
}

int edu_write(struct edu *edu, __u64 iova, const void *data, size_t len)
{
	size_t done, now;
	int err = 0;

	for (done = 0; !err && done < len; done += now) {
		now = len - done < EDU_BLOCK ? len - done : EDU_BLOCK;
		err = edu_write_start(edu, iova + done,
				      (const __u8 *)data + done, now);
		if (!err)
			err = edu_wait(edu);
	}
	return err;
}

int edu_read(struct edu *edu, __u64 iova, void *data, size_t len)
{
	size_t done, now;
	int err = 0;

	for (done = 0; !err && done < len; done += now) {
		now = len - done < EDU_BLOCK ? len - done : EDU_BLOCK;
		err = read_block(edu, iova + done, (__u8 *)data + done, now);
	}
	return err;
}

int edu_map_bounce(struct edu *edu, __u32 ioas)
{
	__u64 iova = EDU_BOUNCE_IOVA;

	return ioas_map(edu->iommufd, ioas, edu->bounce, EDU_BLOCK, &iova,
			MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
}

static int setup(struct edu *edu, __u32 ioas)
{
	void *map;
	int err;

	err = vfio_attach(&edu->dev, ioas);
	if (err)
		return err;
	err = vfio_set_master(&edu->dev, true);
	if (err)
		return err;
	err = vfio_map_bar(&edu->dev, 0, &map, &edu->regs_size);
	if (err)
		return err;
	edu->regs = map;
	err = edu_map_bounce(edu, ioas);
	return err ? err : edu_wait(edu);
}

int edu_open(struct edu *edu, unsigned int nth, int iommufd, __u32 ioas)
{
	int err;

	*edu = (struct edu){ .iommufd = iommufd, .dev.fd = -1 };
	edu->bounce = mmap(NULL, EDU_BLOCK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (edu->bounce == MAP_FAILED)
		return -errno;
	err = vfio_open_id(&edu->dev, PCI_ID_EDU, nth, iommufd);
	if (!err)
		err = setup(edu, ioas);
	if (err)
		edu_close(edu);
	return err;
}

void edu_close(struct edu *edu)
{
	if (edu->regs)
		munmap(edu->regs, edu->regs_size);
	vfio_close(&edu->dev);
	if (edu->bounce)
		munmap(edu->bounce, EDU_BLOCK);
	edu->regs = NULL;
	edu->bounce = NULL;
}

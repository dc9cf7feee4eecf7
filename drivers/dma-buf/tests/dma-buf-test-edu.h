/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The DMA engine of QEMU's "edu" device, for the test drivers
 *
 * The engine moves up to DBT_EDU_BLOCK bytes between a buffer of the device and
 * a DMA address, 100 ms after it was told to. It cannot be stopped, has no error
 * status, and ignores its registers while it is busy. Data of the CPU pass
 * through a bounce page, so one block takes two moves.
 */
#ifndef DMA_BUF_TEST_EDU_H
#define DMA_BUF_TEST_EDU_H

#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/types.h>

#define DBT_EDU_BLOCK	SZ_4K

struct pci_dev;

/**
 * struct dbt_edu - one device
 * @pdev: the device, immutable
 * @bounce: %DBT_EDU_BLOCK bytes, under @lock
 * @lock: held from before a transfer until after it
 */
struct dbt_edu {
	struct pci_dev *pdev;
	void *bounce;
	struct mutex lock;	/* of the engine */

	/* private: immutable */
	void __iomem *regs;
	dma_addr_t bounce_addr;
};

int dbt_edu_init(struct dbt_edu *edu, struct pci_dev *pdev);
int dbt_edu_wait_idle(struct dbt_edu *edu);
void dbt_edu_start_move(struct dbt_edu *edu, u64 addr, size_t pos, size_t len,
			bool to_memory);
int dbt_edu_move_bounce(struct dbt_edu *edu, size_t len, bool to_memory);

#endif

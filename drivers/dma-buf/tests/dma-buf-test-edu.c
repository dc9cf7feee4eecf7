// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine of QEMU's "edu" device, see dma-buf-test-edu.h
 */
#include <linux/dma-mapping.h>
#include <linux/iopoll.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "dma-buf-test-edu.h"

#define EDU_SRC		0x80
#define EDU_DST		0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_RUN		BIT(0)		/* until the move is done */
#define EDU_TO_MEMORY	BIT(1)
#define EDU_BUFFER	0x40000		/* as the engine sees it */
#define EDU_TIMEOUT_US	(10 * USEC_PER_SEC)

/**
 * dbt_edu_wait_idle - wait for the end of the move under way, if any
 * @edu: the device
 *
 * Context: process context, with or without &dbt_edu.lock.
 * Return: 0, or -ETIMEDOUT if there is no end.
 */
int dbt_edu_wait_idle(struct dbt_edu *edu)
{
	u64 command;

	return readq_poll_timeout(edu->regs + EDU_COMMAND, command,
				  !(command & EDU_RUN), USEC_PER_MSEC,
				  EDU_TIMEOUT_US);
}
EXPORT_SYMBOL_NS_GPL(dbt_edu_wait_idle, "DMA_BUF_TEST");

static void edu_start(struct dbt_edu *edu, u64 src, u64 dst, size_t len,
		      u64 direction)
{
	writeq(src, edu->regs + EDU_SRC);
	writeq(dst, edu->regs + EDU_DST);
	writeq(len, edu->regs + EDU_COUNT);
	writeq(EDU_RUN | direction, edu->regs + EDU_COMMAND);
}

/**
 * dbt_edu_start_move - start to move bytes, return at once
 * @edu: the device, idle
 * @addr: DMA address
 * @pos: first byte in the device's buffer
 * @len: number of bytes; @pos + @len is %DBT_EDU_BLOCK at most
 * @to_memory: from the buffer to @addr, else the other way
 *
 * Context: any, &dbt_edu.lock held.
 */
void dbt_edu_start_move(struct dbt_edu *edu, u64 addr, size_t pos, size_t len,
			bool to_memory)
{
	lockdep_assert_held(&edu->lock);

	if (to_memory)
		edu_start(edu, EDU_BUFFER + pos, addr, len, EDU_TO_MEMORY);
	else
		edu_start(edu, addr, EDU_BUFFER + pos, len, 0);
}
EXPORT_SYMBOL_NS_GPL(dbt_edu_start_move, "DMA_BUF_TEST");

/**
 * dbt_edu_move_bounce - move bytes between the bounce page and the buffer
 * @edu: the device, idle
 * @len: number of bytes, from the start of both
 * @to_memory: into the bounce page, else out of it
 *
 * Context: process context, &dbt_edu.lock held.
 * Return: 0, or -ETIMEDOUT if the device does not finish.
 */
int dbt_edu_move_bounce(struct dbt_edu *edu, size_t len, bool to_memory)
{
	dbt_edu_start_move(edu, edu->bounce_addr, 0, len, to_memory);
	return dbt_edu_wait_idle(edu);
}
EXPORT_SYMBOL_NS_GPL(dbt_edu_move_bounce, "DMA_BUF_TEST");

/**
 * dbt_edu_init - get a device ready, for as long as its driver is bound
 * @edu: to be filled
 * @pdev: the device
 *
 * Context: process context, from probe.
 * Return: 0 or a negative error code. There is nothing to undo.
 */
int dbt_edu_init(struct dbt_edu *edu, struct pci_dev *pdev)
{
	int ret;

	edu->pdev = pdev;
	ret = devm_mutex_init(&pdev->dev, &edu->lock);
	if (ret)
		return ret;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->regs = pcim_iomap_region(pdev, 0, pci_name(pdev));
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	edu->bounce = dmam_alloc_coherent(&pdev->dev, DBT_EDU_BLOCK,
					  &edu->bounce_addr, GFP_KERNEL);
	if (!edu->bounce)
		return -ENOMEM;
	pci_set_master(pdev);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dbt_edu_init, "DMA_BUF_TEST");

MODULE_DESCRIPTION("DMA engine of QEMU's edu device, for test drivers");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: debugfs, one block per buffer, no physical addresses
 */
#include <linux/debugfs.h>
#include <linux/dma-resv.h>
#include <linux/seq_file.h>

#include "dma-buf-phys-internal.h"

/* Every exported buffer. */
static LIST_HEAD(phys_buffers);
static DEFINE_MUTEX(phys_buffers_lock);

void phys_debugfs_add(struct dma_buf_phys *phys)
{
	mutex_lock(&phys_buffers_lock);
	list_add_tail(&phys->node, &phys_buffers);
	mutex_unlock(&phys_buffers_lock);
}

/* Once this returns, nobody looks at @phys any more. */
void phys_debugfs_del(struct dma_buf_phys *phys)
{
	mutex_lock(&phys_buffers_lock);
	list_del_init(&phys->node);
	mutex_unlock(&phys_buffers_lock);
}

static void phys_show_state(struct seq_file *s, const struct dma_buf_phys *phys)
{
	static const char * const names[] = {
		"reset", "power", "decode", "owner"
	};
	unsigned int i;

	if (phys->revoked) {
		seq_puts(s, "revoked");
		return;
	}
	if (!phys->suspended) {
		seq_puts(s, "live");
		return;
	}
	seq_puts(s, "suspended:");
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (phys->suspended & BIT(i))
			seq_printf(s, " %s", names[i]);
}

static void phys_show_importers(struct seq_file *s, struct dma_buf *dmabuf)
{
	struct dma_buf_phys_attachment *importer;
	struct dma_buf_phys_holder *holder;
	struct dma_buf_attachment *attach;

	list_for_each_entry(attach, &dmabuf->attachments, node) {
		importer = to_importer(attach);
		holder = to_holder(attach);
		seq_printf(s, "  importer %s on %s",
			   importer ? importer->ops->name : "dma-buf",
			   dev_name(attach->dev));
		if (holder)
			seq_printf(s, " by %s[%d] maps %u pins %u",
				   holder->comm, holder->pid, holder->nr_maps,
				   holder->nr_pins);
		seq_putc(s, '\n');
	}
}

static int phys_buffers_show(struct seq_file *s, void *unused)
{
	struct dma_buf_phys *phys;
	struct dma_buf *dmabuf;

	mutex_lock(&phys_buffers_lock);
	list_for_each_entry(phys, &phys_buffers, node) {
		dmabuf = phys->dmabuf;
		dma_resv_lock(dmabuf->resv, NULL);
		seq_printf(s, "buffer %llu exporter %s size %zu maps %u state ",
			   phys->ino, dmabuf->exp_name,
			   dmabuf->size, phys->nr_maps);
		phys_show_state(s, phys);
		seq_putc(s, '\n');
		phys_show_importers(s, dmabuf);
		dma_resv_unlock(dmabuf->resv);
	}
	mutex_unlock(&phys_buffers_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(phys_buffers);

static int __init phys_debugfs_init(void)
{
	debugfs_create_file("dma_buf_phys", 0400, NULL, NULL,
			    &phys_buffers_fops);
	return 0;
}
late_initcall(phys_debugfs_init);

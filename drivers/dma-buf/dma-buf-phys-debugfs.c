// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: what there is, for people and tools
 *
 * The file dma_buf_phys in debugfs has a block of lines per buffer, the file
 * dma_buf_phys_reach answers whether one PCI device can reach another. Both are
 * described in Documentation/driver-api/dma-buf-phys.rst: tools read them, so
 * keys are added, but keep their meaning. No physical address is shown: ranges
 * are told by BAR and offset.
 *
 * A buffer is shown under its dma_buf::resv, which an importer may hold while it
 * waits for a fence. So nobody else waits for the reader: it holds a reference
 * to the buffer, not the lock of the list, and can be interrupted.
 */
#include <linux/debugfs.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>

#include "dma-buf-phys-internal.h"

/* Of more ranges than this, the rest is only counted. */
#define PHYS_SHOW_RANGES	32

/* The list of all dma-bufs has a buffer a little before it is complete. */
static bool phys_is_exported(const struct dma_buf *dmabuf)
{
	if (!is_dma_buf_phys(dmabuf))
		return false;
	/* Pairs with dma_buf_phys_export(). */
	return smp_load_acquire(&to_phys(dmabuf)->dmabuf);
}

/*
 * Lines of words, in which keys and values take turns
 */

/* A text as one word: what would end it, is octal. */
static void phys_show_text(struct seq_file *s, const char *key,
			   const char *text)
{
	seq_printf(s, " %s ", key);
	seq_escape_mem(s, *text ? text : "-", strlen(*text ? text : "-"),
		       ESCAPE_OCTAL | ESCAPE_NP | ESCAPE_APPEND, " \\");
}

static void phys_show_time(struct seq_file *s, const char *key, ktime_t time)
{
	s32 us;
	s64 sec = div_s64_rem(ktime_to_us(time), USEC_PER_SEC, &us);

	seq_printf(s, " %s %lld.%06d", key, sec, us);
}

static void phys_show_state(struct seq_file *s, const struct dma_buf_phys *phys)
{
	static const char * const names[] = {
		"reset", "power", "decode", "owner"
	};
	const char *before = " reasons ";
	unsigned int i;

	if (phys->revoked)
		seq_puts(s, " state revoked");
	else
		seq_printf(s, " state %s",
			   phys->suspended ? "suspended" : "live");
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (phys->suspended & BIT(i)) {
			seq_printf(s, "%s%s", before, names[i]);
			before = ",";
		}
	}
}

/* The BAR that a range is a part of; none: it is device memory elsewhere. */
static const struct resource *phys_find_bar(struct p2pdma_provider *provider,
					    const struct phys_vec *vec,
					    unsigned int *bar)
{
	const struct resource *res;
	struct pci_dev *pdev;

	if (!provider || !dev_is_pci(provider->owner))
		return NULL;

	pdev = to_pci_dev(provider->owner);
	for (*bar = 0; *bar < PCI_STD_NUM_BARS; (*bar)++) {
		res = pci_resource_n(pdev, *bar);
		if (resource_type(res) == IORESOURCE_MEM &&
		    res->start <= vec->paddr &&
		    vec->paddr + (vec->len - 1) <= res->end)
			return res;
	}
	return NULL;
}

static void phys_show_ranges(struct seq_file *s,
			     const struct dma_buf_phys_ranges *ranges)
{
	size_t nr = min_t(size_t, ranges->nr, PHYS_SHOW_RANGES);
	const struct resource *res;
	unsigned int bar;
	size_t i;

	for (i = 0; i < nr; i++) {
		seq_printf(s, "  range %zu", i);
		res = phys_find_bar(ranges->provider, &ranges->vec[i], &bar);
		if (res)
			seq_printf(s, " bar %u offset %#llx", bar,
				   (u64)(ranges->vec[i].paddr - res->start));
		seq_printf(s, " length %#llx\n", (u64)ranges->vec[i].len);
	}
	if (nr < ranges->nr)
		seq_printf(s, "  more %zu\n", ranges->nr - nr);
}

static void phys_show_buffer(struct seq_file *s, struct dma_buf *dmabuf,
			     const struct dma_buf_phys_ranges *ranges)
{
	struct dma_buf_phys *phys = to_phys(dmabuf);

	seq_printf(s, "buffer %llu", phys->ino);
	phys_show_text(s, "exporter", dmabuf->exp_name);
	seq_printf(s, " size %zu maps %u", dmabuf->size, phys->nr_maps);
	phys_show_state(s, phys);
	phys_show_time(s, "since", phys->since);
	phys_show_time(s, "changed", phys->changed);
	if (ranges) {
		seq_printf(s, " kind %s ranges %zu",
			   ranges->kind == DMA_BUF_PHYS_RAM ? "ram" : "mmio",
			   ranges->nr);
		if (ranges->provider)
			phys_show_text(s, "device",
				       dev_name(ranges->provider->owner));
	}
	seq_putc(s, '\n');
	if (ranges)
		phys_show_ranges(s, ranges);
}

/*
 * Importers
 */

/* Maps of a view that the core keeps for the importer. */
struct phys_count {
	unsigned int live;
	unsigned int dead;
};

static void phys_count(struct phys_count *count, bool live)
{
	if (live)
		count->live++;
	else
		count->dead++;
}

static struct phys_count phys_count_domain(struct dma_buf_phys_attachment *importer)
{
	struct dma_buf_phys_domain_map *map;
	struct phys_count count = {};

	list_for_each_entry(map, &importer->domain_maps, node)
		phys_count(&count, map->live);
	return count;
}

static struct phys_count phys_count_cpu(struct dma_buf_phys_attachment *importer)
{
	struct dma_buf_phys_cpu_map *map;
	struct phys_count count = {};

	list_for_each_entry(map, &importer->cpu_maps, node)
		phys_count(&count, map->live);
	return count;
}

static void phys_show_views(struct seq_file *s,
			    struct dma_buf_phys_attachment *importer)
{
	struct phys_count domain = phys_count_domain(importer);
	struct phys_count cpu = phys_count_cpu(importer);

	if (importer->views & DMA_BUF_PHYS_VIEW_DMA)
		seq_printf(s, "    view dma maps %u\n",
			   importer->holder.nr_maps - domain.live - cpu.live);
	if (importer->views & DMA_BUF_PHYS_VIEW_DOMAIN)
		seq_printf(s, "    view domain maps %u dead %u\n", domain.live,
			   domain.dead);
	if (importer->views & DMA_BUF_PHYS_VIEW_CPU)
		seq_printf(s, "    view cpu maps %u dead %u\n", cpu.live,
			   cpu.dead);
}

static void phys_show_importer(struct seq_file *s,
			       struct dma_buf_attachment *attach)
{
	struct dma_buf_phys_holder *holder = to_holder(attach);

	seq_putc(s, ' ');
	phys_show_text(s, "importer", to_importer_name(attach));
	phys_show_text(s, "device", dev_name(attach->dev));
	if (holder) {
		phys_show_text(s, "process", holder->comm);
		seq_printf(s, " pid %d maps %u pins %u", holder->pid,
			   holder->nr_maps, holder->nr_pins);
		phys_show_time(s, "since", holder->since);
	}
	seq_putc(s, '\n');
	if (to_importer(attach))
		phys_show_views(s, to_importer(attach));
	else if (holder)
		seq_printf(s, "    view sgt maps %u\n", holder->nr_maps);
}

/* -EINTR, having shown nothing, if a signal came before the lock. */
static int phys_show_one(struct seq_file *s, struct dma_buf *dmabuf)
{
	struct dma_buf_phys_ranges ranges;
	struct dma_buf_attachment *attach;
	int ret;

	ret = dma_resv_lock_interruptible(dmabuf->resv, NULL);
	if (ret)
		return ret;

	/*
	 * Once it is revoked, the memory is the device's again. Pages are not
	 * made into ranges just for this.
	 */
	ret = phys_owns_sgt(dmabuf) || to_phys(dmabuf)->checked ?
		      phys_ranges_peek(dmabuf, &ranges) : -ENODATA;
	phys_show_buffer(s, dmabuf, ret ? NULL : &ranges);
	if (!ret)
		phys_ranges_put(dmabuf, &ranges);
	list_for_each_entry(attach, &dmabuf->attachments, node)
		phys_show_importer(s, attach);
	dma_resv_unlock(dmabuf->resv);
	return 0;
}

static int phys_buffers_show(struct seq_file *s, void *unused)
{
	struct dma_buf *dmabuf;
	int ret;

	/*
	 * A list of our own would not do. While somebody has the fd open as O_PATH,
	 * a buffer outlives its file, and no reference to it can be had.
	 */
	for (dmabuf = dma_buf_iter_begin(); dmabuf;
	     dmabuf = dma_buf_iter_next(dmabuf)) {
		if (!phys_is_exported(dmabuf))
			continue;
		ret = phys_show_one(s, dmabuf);
		if (ret) {
			dma_buf_put(dmabuf);
			return ret;
		}
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(phys_buffers);

/*
 * Whether one device can reach another
 */

#ifdef CONFIG_PCI_P2PDMA
/* The next word of @names as a device with a reference, NULL if it is none. */
static struct device *phys_reach_device(char **names)
{
	const char *name = strsep(names, "\n ");

	return name ? bus_find_device_by_name(&pci_bus_type, NULL, name) : NULL;
}

/*
 * Write the addresses of the device that does DMA and of the one that has the
 * BAR, then read the answer from the same open file.
 */
static ssize_t phys_reach_write(struct file *file, const char __user *buf,
				size_t size, loff_t *pos)
{
	struct device *client, *provider;
	char *text, *names;
	int distance;

	text = simple_transaction_get(file, buf, size);
	if (IS_ERR(text))
		return PTR_ERR(text);

	names = text;
	client = phys_reach_device(&names);
	provider = phys_reach_device(&names);
	if (client && provider) {
		distance = pci_p2pdma_distance_many(to_pci_dev(provider),
						    &client, 1, false);
		simple_transaction_set(file, distance < 0 ?
			sprintf(text, "none\n") :
			sprintf(text, "distance %d\n", distance));
	}
	put_device(provider);
	put_device(client);
	return client && provider ? size : -ENODEV;
}

static const struct file_operations phys_reach_fops = {
	.owner = THIS_MODULE,
	.write = phys_reach_write,
	.read = simple_transaction_read,
	.release = simple_transaction_release,
	.llseek = generic_file_llseek,
};

static void __init phys_reach_init(void)
{
	debugfs_create_file("dma_buf_phys_reach", 0600, NULL, NULL,
			    &phys_reach_fops);
}
#else
static void __init phys_reach_init(void)
{
}
#endif

static int __init phys_debugfs_init(void)
{
	debugfs_create_file("dma_buf_phys", 0400, NULL, NULL,
			    &phys_buffers_fops);
	phys_reach_init();
	return 0;
}
late_initcall(phys_debugfs_init);

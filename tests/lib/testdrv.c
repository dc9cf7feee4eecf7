// SPDX-License-Identifier: GPL-2.0-only
/*
 * The project's test drivers. See testdrv.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testdrv.h"

#define BLOCK	4096

static bool is_loaded(const char *module)
{
	char path[PATH_MAX], *c;

	c = path + snprintf(path, sizeof(path), "/sys/module/");
	snprintf(c, path + sizeof(path) - c, "%s", module);
	for (; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return !access(path, F_OK);
}

/* A child has what its parent's threads close meanwhile, so: only if need be. */
static int load(const char *module)
{
	char command[64];
	int status;

	if (is_loaded(module))
		return 0;
	snprintf(command, sizeof(command), "modprobe %s", module);
	status = system(command);
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ENOPKG;
}

static int bind(const char *name, const char *driver)
{
	int err = load(driver);

	if (!err)
		err = pci_unbind(name);
	if (!err)
		err = pci_write_attr(name, "driver_override", driver);
	return err ? err : pci_write_file("/sys/bus/pci/drivers_probe", name);
}

static int open_node(const char *prefix, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s%s", prefix, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int importer_reopen(const char *name)
{
	return open_node(DBT_IMPORTER_PATH, name);
}

int importer_open(unsigned int nth, char name[PCI_NAME_LEN])
{
	int err = pci_find(PCI_ID_EDU, nth, name);

	if (!err)
		err = bind(name, "dma-buf-test-importer");
	return err ? err : importer_reopen(name);
}

int exporter_open(struct pci_id id, char name[PCI_NAME_LEN])
{
	int err = pci_find(id, 0, name);

	if (!err)
		err = bind(name, "dma-buf-test-exporter");
	return err ? err : open_node(DBT_EXPORTER_PATH, name);
}

int ibdev_open(unsigned int nth, char name[PCI_NAME_LEN])
{
	int err = pci_find(PCI_ID_EDU, nth, name);

	if (!err)
		err = load("ib_uverbs");
	if (!err)
		err = bind(name, "dma-buf-test-ibdev");
	return err ? err : open_node(DBT_IBDEV_PATH, name);
}

int testdrv_release(const char *name)
{
	int err = pci_unbind(name);

	return err ? err : pci_write_attr(name, "driver_override", "\n");
}

int importer_attach(int importer, int dmabuf, __u32 flags, __u32 delay_ms)
{
	struct dbt_attach arg = {
		.fd = dmabuf,
		.flags = flags,
		.delay_ms = delay_ms,
	};

	return ioctl(importer, DBT_ATTACH, &arg) < 0 ? -errno : 0;
}

int importer_detach(int importer)
{
	return ioctl(importer, DBT_DETACH) < 0 ? -errno : 0;
}

int importer_map(int importer, __u64 offset, __u64 len)
{
	struct dbt_map arg = { .offset = offset, .len = len };

	return ioctl(importer, DBT_MAP, &arg) < 0 ? -errno : 0;
}

int importer_map_all(int importer)
{
	return importer_map(importer, 0, 0);
}

int importer_unmap(int importer)
{
	return ioctl(importer, DBT_UNMAP) < 0 ? -errno : 0;
}

int importer_remap(int importer)
{
	return ioctl(importer, DBT_REMAP) < 0 ? -errno : 0;
}

int importer_state(int importer, struct dbt_state *state)
{
	return ioctl(importer, DBT_STATE, state) < 0 ? -errno : 0;
}

int importer_set_mask(int importer, __u64 mask)
{
	return ioctl(importer, DBT_SET_MASK, &mask) < 0 ? -errno : 0;
}

static ssize_t transfer(int importer, __u64 offset, const void *data,
			size_t len, __u32 flags)
{
	struct dbt_transfer arg = {
		.offset = offset,
		.len = len,
		.data = (uintptr_t)data,
		.flags = flags,
	};
	int ret = ioctl(importer, DBT_TRANSFER, &arg);

	return ret < 0 ? -errno : ret;
}

ssize_t importer_write(int importer, __u64 offset, const void *data, size_t len)
{
	return transfer(importer, offset, data, len, DBT_TRANSFER_WRITE);
}

ssize_t importer_write_stale(int importer, __u64 offset, const void *data,
			     size_t len)
{
	return transfer(importer, offset, data, len,
			DBT_TRANSFER_WRITE | DBT_TRANSFER_STALE);
}

ssize_t importer_read(int importer, __u64 offset, void *data, size_t len)
{
	return transfer(importer, offset, data, len, 0);
}

ssize_t importer_write_flush(int importer, __u64 offset, const void *data,
			     size_t len)
{
	return transfer(importer, offset, data, len,
			DBT_TRANSFER_WRITE | DBT_TRANSFER_FLUSH);
}

static int all_done(ssize_t done, size_t len)
{
	if (done < 0)
		return done;
	return (size_t)done == len ? 0 : -EIO;
}

int importer_write64(int importer, __u64 offset, __u64 value)
{
	return all_done(transfer(importer, offset, &value, sizeof(value),
				 DBT_TRANSFER_WRITE | DBT_TRANSFER_EIGHT),
			sizeof(value));
}

int importer_read64(int importer, __u64 offset, __u64 *value)
{
	return all_done(transfer(importer, offset, value, sizeof(*value),
				 DBT_TRANSFER_EIGHT), sizeof(*value));
}

int scale_reopen(const char *name)
{
	return open_node(DBT_SCALE_PATH, name);
}

int scale_open(char name[PCI_NAME_LEN])
{
	int err = pci_find(PCI_ID_IVSHMEM, 0, name);

	if (!err)
		err = bind(name, "dma-buf-test-scale");
	return err ? err : scale_reopen(name);
}

int scale_make_up(int scale, __u32 nr, __u64 len, __u32 flags)
{
	struct dbt_made_up arg = { .len = len, .nr = nr, .flags = flags };
	int fd = ioctl(scale, DBT_MAKE_UP, &arg);

	return fd < 0 ? -errno : fd;
}

int scale_state(int scale, unsigned long change, int dmabuf)
{
	return ioctl(scale, change, &dmabuf) < 0 ? -errno : 0;
}

int scale_counts(int scale, struct dbt_counts *counts)
{
	return ioctl(scale, DBT_COUNTS, counts) < 0 ? -errno : 0;
}

int umem_open(unsigned int nth, char name[PCI_NAME_LEN])
{
	int err = pci_find(PCI_ID_EDU, nth, name);

	if (!err)
		err = bind(name, "dma-buf-test-umem");
	return err ? err : open_node(DBT_UMEM_PATH, name);
}

int umem_reg(int umem, int dmabuf, __u64 len, __u32 flags)
{
	struct dbt_reg arg = { .len = len, .fd = dmabuf, .flags = flags };

	return ioctl(umem, DBT_REG, &arg) < 0 ? -errno : 0;
}

int umem_blocks(int umem, struct dbt_blocks *blocks)
{
	return ioctl(umem, DBT_BLOCKS, blocks) < 0 ? -errno : 0;
}

int umem_dereg(int umem)
{
	return ioctl(umem, DBT_DEREG) < 0 ? -errno : 0;
}

int ibdev_config(int ibdev, __u32 how, __u64 pgsz_bitmap)
{
	struct dbt_ib_config arg = { .how = how, .pgsz_bitmap = pgsz_bitmap };

	return ioctl(ibdev, DBT_IB_CONFIG, &arg) < 0 ? -errno : 0;
}

int ibdev_state(int ibdev, __u32 lkey, struct dbt_ib_state *state)
{
	*state = (struct dbt_ib_state){ .lkey = lkey };
	return ioctl(ibdev, DBT_IB_STATE, state) < 0 ? -errno : 0;
}

static ssize_t ib_move(int ibdev, __u32 lkey, __u64 iova, const void *data,
		       size_t len, __u32 flags)
{
	struct dbt_ib_move arg = {
		.iova = iova,
		.len = len,
		.data = (uintptr_t)data,
		.lkey = lkey,
		.flags = flags,
	};
	int ret = ioctl(ibdev, DBT_IB_MOVE, &arg);

	return ret < 0 ? -errno : ret;
}

ssize_t ibdev_write(int ibdev, __u32 lkey, __u64 iova, const void *data,
		    size_t len)
{
	return ib_move(ibdev, lkey, iova, data, len, DBT_TRANSFER_WRITE);
}

ssize_t ibdev_write_stale(int ibdev, __u32 lkey, __u64 iova, const void *data,
			  size_t len)
{
	return ib_move(ibdev, lkey, iova, data, len,
		       DBT_TRANSFER_WRITE | DBT_TRANSFER_STALE);
}

ssize_t ibdev_read(int ibdev, __u32 lkey, __u64 iova, void *data, size_t len)
{
	return ib_move(ibdev, lkey, iova, data, len, 0);
}

int vram_open(__u32 kb, char name[PCI_NAME_LEN])
{
	char text[16];
	int err = pci_find(PCI_ID_IVSHMEM, 0, name);
	int fd;

	snprintf(text, sizeof(text), "%u", kb);
	if (!err)
		err = load("dma-buf-test-vram");
	if (!err)
		err = pci_write_file("/sys/module/dma_buf_test_vram/parameters/vram_kb",
				     text);
	if (!err)
		err = bind(name, "dma-buf-test-vram");
	if (err)
		return err;
	fd = open(DBV_PATH, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vram_create(int vram, __u64 size, __u32 flags)
{
	struct dbv_create arg = { .size = size, .flags = flags };
	int fd = ioctl(vram, DBV_CREATE, &arg);

	return fd < 0 ? -errno : fd;
}

int vram_evict(int vram, int dmabuf)
{
	return ioctl(vram, DBV_EVICT, &dmabuf) < 0 ? -errno : 0;
}

int vram_place(int vram, int dmabuf)
{
	return ioctl(vram, DBV_PLACE, &dmabuf) < 0 ? -errno : 0;
}

int vram_query(int vram, int dmabuf, struct dbv_query *query)
{
	*query = (struct dbv_query){ .fd = dmabuf };
	return ioctl(vram, DBV_QUERY, query) < 0 ? -errno : 0;
}

int vram_where(int vram, int dmabuf)
{
	struct dbv_query query;
	int err = vram_query(vram, dmabuf, &query);

	return err ? err : (int)query.where;
}

int vram_copy_ms(int vram, __u32 ms)
{
	return ioctl(vram, DBV_COPY_MS, &ms) < 0 ? -errno : 0;
}

/* Allocated; NULL: no memory. */
static struct dbt_range *to_ranges(struct layout layout)
{
	struct dbt_range *ranges = calloc(layout.nr, sizeof(*ranges));
	__u32 i;

	for (i = 0; ranges && i < layout.nr; i++) {
		ranges[i].offset = layout.ranges[i].offset;
		ranges[i].len = layout.ranges[i].length;
	}
	return ranges;
}

static int export_by(int exporter, unsigned long cmd, __u32 bar,
		     struct layout layout)
{
	struct dbt_range *ranges = to_ranges(layout);
	struct dbt_export arg = {
		.ranges = (uintptr_t)ranges,
		.nr_ranges = layout.nr,
		.bar = bar,
	};
	int fd;

	if (!ranges)
		return -ENOMEM;
	fd = ioctl(exporter, cmd, &arg);
	if (fd < 0)
		fd = -errno;
	free(ranges);
	return fd;
}

int exporter_export(int exporter, __u32 bar, struct layout layout)
{
	return export_by(exporter, DBT_EXPORT, bar, layout);
}

int exporter_export_moving(int exporter, __u32 bar, struct layout layout)
{
	return export_by(exporter, DBT_EXPORT_MOVING, bar, layout);
}

int exporter_move(int exporter, int dmabuf, struct layout layout)
{
	struct dbt_range *ranges = to_ranges(layout);
	struct dbt_move arg = {
		.ranges = (uintptr_t)ranges,
		.nr_ranges = layout.nr,
		.fd = dmabuf,
	};
	int err;

	if (!ranges)
		return -ENOMEM;
	err = ioctl(exporter, DBT_MOVE, &arg) < 0 ? -errno : 0;
	free(ranges);
	return err;
}

int bar_open_sysfs(struct bar *bar, const char *name, __u32 index, size_t size)
{
	char path[PATH_MAX];
	void *map;
	int fd;

	*bar = (struct bar){ .index = index, .size = size, .map_size = size };
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%u", name,
		 index);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -errno;
	bar->map = map;
	bar->want = calloc(1, size);
	return bar->want ? 0 : -ENOMEM;
}

int bar_judge(const struct bar *bar)
{
	long where = bar_check(bar);

	if (where == BAR_SAME)
		return 0;
	printf("# byte 0x%lx of the BAR is 0x%02x, not 0x%02x\n", where,
	       bar->map[where], bar->want[where]);
	return -EILSEQ;
}

int importer_write_arrives(int importer, struct bar *bar, struct layout layout,
			   __u64 start, __u64 offset, size_t len)
{
	static __u32 seed = 1000;
	void *data = malloc(len);
	int err;

	if (!data)
		return -ENOMEM;
	pattern(data, len, ++seed);
	bar_note(bar, layout, start + offset, data, len);
	err = all_done(importer_write(importer, offset, data, len), len);
	free(data);
	return err ? err : bar_judge(bar);
}

static int read_arrives(int importer, struct bar *bar, struct layout layout,
			__u64 start, __u64 offset, size_t len)
{
	__u8 *want = calloc(2, len);
	__u8 *got = want + len;
	int err;

	if (!want)
		return -ENOMEM;
	bar_expect(bar, layout, start + offset, want, len);
	err = all_done(importer_read(importer, offset, got, len), len);
	if (!err && memcmp(want, got, len)) {
		printf("# a DMA read at 0x%llx of the mapping got other bytes\n",
		       offset);
		err = -EILSEQ;
	}
	free(want);
	return err;
}

int importer_arrives(int importer, struct bar *bar, struct layout layout,
		     __u64 start, __u64 offset, size_t len)
{
	int err = importer_write_arrives(importer, bar, layout, start, offset,
					 len);

	return err ? err : read_arrives(importer, bar, layout, start, offset,
					len);
}

int importer_all_arrives(int importer, struct bar *bar, struct layout layout)
{
	__u64 begin = 0, end;
	int err = 0;
	__u32 i;

	for (i = 0; !err && i < layout.nr; i++) {
		end = begin + layout.ranges[i].length;
		err = importer_arrives(importer, bar, layout, 0, begin, BLOCK);
		if (!err && end - begin > BLOCK)
			err = importer_arrives(importer, bar, layout, 0,
					       end - BLOCK, BLOCK);
		if (!err && i + 1 < layout.nr)
			err = importer_arrives(importer, bar, layout, 0,
					       end - BLOCK / 2, BLOCK);
		begin = end;
	}
	return err;
}

int vfio_allow_noiommu(void)
{
	return pci_write_file("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
			  "Y");
}

bool kmsg_has(int kmsg, const char *one, const char *other)
{
	bool has = false;
	char line[2048];
	ssize_t got;

	while ((got = read(kmsg, line, sizeof(line) - 1)) > 0 ||
	       (got < 0 && errno == EPIPE)) {
		line[got > 0 ? got : 0] = '\0';
		has |= strstr(line, one) && strstr(line, other);
	}
	return has;
}

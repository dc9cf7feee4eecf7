/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The project's test drivers, drivers/dma-buf/tests: an importer that lets an
 * edu device read and write any dma-buf, an RDMA device that does so with its
 * memory regions, an exporter of BARs outside of the class dma-buf-phys, and one
 * of memory that moves.
 *
 * An importer or exporter is an open file of the driver's character device, as
 * is the part of the RDMA device that verbs do not have.
 * Functions return 0 (or what is said) or -errno.
 */
#ifndef TESTS_LIB_TESTDRV_H
#define TESTS_LIB_TESTDRV_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <linux/types.h>

#include "../../drivers/dma-buf/tests/dma-buf-test-uapi.h"
#include "bar.h"
#include "pci.h"

/*
 * Load the driver if need be, give it the nth device with this id, and open
 * it. Returns a file descriptor. The device's address is left in @name.
 */
int importer_open(unsigned int nth, char name[PCI_NAME_LEN]);
int exporter_open(struct pci_id id, char name[PCI_NAME_LEN]);
int ibdev_open(unsigned int nth, char name[PCI_NAME_LEN]);

/* One more importer on a device that is open already. */
int importer_reopen(const char *name);

/* Take the device from its driver, which waits for its files to be closed. */
int testdrv_release(const char *name);

int importer_attach(int importer, int dmabuf, __u32 flags, __u32 delay_ms);
int importer_detach(int importer);
int importer_map(int importer, __u64 offset, __u64 len);
int importer_map_all(int importer);
int importer_unmap(int importer);
int importer_remap(int importer);
int importer_state(int importer, struct dbt_state *state);
int importer_set_mask(int importer, __u64 mask);

/* @offset counts from the start of the mapping. Return bytes done or -errno. */
ssize_t importer_write(int importer, __u64 offset, const void *data,
		       size_t len);
ssize_t importer_read(int importer, __u64 offset, void *data, size_t len);

/* One access of 8 bytes by a CPU view; 0 or -errno. */
int importer_write64(int importer, __u64 offset, __u64 value);
int importer_read64(int importer, __u64 offset, __u64 *value);

/* By a CPU view; the bytes are in the device when it returns. */
ssize_t importer_write_flush(int importer, __u64 offset, const void *data,
			     size_t len);

/* The same with the addresses of a mapping that is gone. */
ssize_t importer_write_stale(int importer, __u64 offset, const void *data,
			     size_t len);

/*
 * Buffers of made-up addresses, on the ivshmem device: not for DMA. The file is
 * also an importer that makes domain views, and so is each by scale_reopen().
 */
int scale_open(char name[PCI_NAME_LEN]);
int scale_reopen(const char *name);

/* @nr ranges of @len bytes; @flags as %DBT_MADE_UP_MAINLINE. Returns the dma-buf. */
int scale_make_up(int scale, __u32 nr, __u64 len, __u32 flags);

/* @change is one of DBT_SUSPEND, DBT_RESTORE and DBT_REVOKE. */
int scale_state(int scale, unsigned long change, int dmabuf);
int scale_counts(int scale, struct dbt_counts *counts);

/* The driver that registers RDMA memory regions, of which a file has one. */
int umem_open(unsigned int nth, char name[PCI_NAME_LEN]);
int umem_reg(int umem, int dmabuf, __u64 len, __u32 flags);
int umem_blocks(int umem, struct dbt_blocks *blocks);
int umem_dereg(int umem);
/* How MRs are registered from now on, see struct dbt_ib_config. */
int ibdev_config(int ibdev, __u32 how, __u64 pgsz_bitmap);

int ibdev_state(int ibdev, __u32 lkey, struct dbt_ib_state *state);

/* Into or out of an MR. Return bytes done or -errno, see struct dbt_ib_move. */
ssize_t ibdev_write(int ibdev, __u32 lkey, __u64 iova, const void *data,
		    size_t len);
ssize_t ibdev_read(int ibdev, __u32 lkey, __u64 iova, void *data, size_t len);

/* The same as if the MR was still there, and in one piece. */
ssize_t ibdev_write_stale(int ibdev, __u32 lkey, __u64 iova, const void *data,
			  size_t len);

/*
 * The exporter of memory that moves, on the ivshmem device, with @kb KiB of video
 * memory. Returns a file descriptor.
 */
int vram_open(__u32 kb, char name[PCI_NAME_LEN]);

/* An object of zeroes in system RAM; @flags as %DBV_FETCH. Returns the dma-buf. */
int vram_create(int vram, __u64 size, __u32 flags);
int vram_evict(int vram, int dmabuf);
int vram_place(int vram, int dmabuf);
int vram_query(int vram, int dmabuf, struct dbv_query *query);

/* One of %DBV_RAM and so on, or -errno. */
int vram_where(int vram, int dmabuf);
int vram_copy_ms(int vram, __u32 ms);

/* Export ranges of a BAR. Returns the dma-buf. */
int exporter_export(int exporter, __u32 bar, struct layout layout);

/* The same, of a buffer that moves; and move it, the bytes stay behind. */
int exporter_export_moving(int exporter, __u32 bar, struct layout layout);
int exporter_move(int exporter, int dmabuf, struct layout layout);

/* The first @size bytes of a BAR, without VFIO, as bar_open() does. */
int bar_open_sysfs(struct bar *bar, const char *name, __u32 index, size_t size);

/*
 * DMA between byte @offset of the mapping, which is byte @start + @offset of
 * the dma-buf, and user space arrives there and nowhere else, in both
 * directions. -EILSEQ: wrong bytes, after a line that says where.
 */
int importer_arrives(int importer, struct bar *bar, struct layout layout,
		     __u64 start, __u64 offset, size_t len);

/* Only into the dma-buf, which takes half the time. */
int importer_write_arrives(int importer, struct bar *bar, struct layout layout,
			   __u64 start, __u64 offset, size_t len);

/* importer_arrives() at both ends of every range and across every seam. */
int importer_all_arrives(int importer, struct bar *bar, struct layout layout);

/* Every byte of the window is as it should be, else -EILSEQ and a line. */
int bar_judge(const struct bar *bar);

/* Let VFIO take devices that have no IOMMU. */
int vfio_allow_noiommu(void);

/* Is there a line with both texts in the log since kmsg_open() or _drain()? */
bool kmsg_has(int kmsg, const char *one, const char *other);

#endif

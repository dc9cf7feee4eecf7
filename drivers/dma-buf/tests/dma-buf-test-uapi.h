/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * How user space talks to the test drivers. Not an ABI: it changes with them.
 *
 * Each device bound to a test driver has a character device of its own:
 * DBT_IMPORTER_PATH, DBT_EXPORTER_PATH, DBT_UMEM_PATH, DBT_IBDEV_PATH or
 * DBT_SCALE_PATH followed by the PCI address.
 */
#ifndef DMA_BUF_TEST_UAPI_H
#define DMA_BUF_TEST_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define DBT_IMPORTER_PATH	"/dev/dma-buf-test-importer-"
#define DBT_EXPORTER_PATH	"/dev/dma-buf-test-exporter-"

/* Importer: each open file is one importer, with one attachment at most. */

/**
 * struct dbt_attach - attach to a dma-buf
 * @fd: the dma-buf
 * @flags: how, a set of DBT_ATTACH_*
 * @delay_ms: unmap so long after invalidate, 0: inside of it; with
 *	%DBT_ATTACH_CPU, stay so long in each section
 * @pad: 0
 */
struct dbt_attach {
	__s32 fd;
	__u32 flags;
	__u32 delay_ms;
	__u32 pad;
};

#define DBT_ATTACH_CLASS		0x01		/* by dma-buf-phys */
#define DBT_ATTACH_STATIC		0x02		/* by dma_buf_attach() */
#define DBT_ATTACH_NO_PEER2PEER		0x04
#define DBT_ATTACH_NO_INVALIDATE	0x08
#define DBT_ATTACH_PIN			0x10
#define DBT_ATTACH_CPU			0x20	/* CPU view only, with _CLASS */
#define DBT_ATTACH_FLAGS		0x3f

/**
 * struct dbt_map - map what is attached
 * @offset: first byte
 * @len: number of bytes, 0: all. Only %DBT_ATTACH_CLASS can map a part.
 */
struct dbt_map {
	__u64 offset;
	__u64 len;
};

/**
 * struct dbt_transfer - let the device, or the CPU, read or write
 * @offset: first byte, counted from the start of the mapping
 * @len: number of bytes
 * @data: user space address of the data to write, or of where to put it
 * @flags: a set of DBT_TRANSFER_*
 * @pad: 0
 *
 * The ioctl returns the number of bytes done, which is less than @len if the
 * mapping was taken away meanwhile, or -ENODEV if that is none.
 */
struct dbt_transfer {
	__u64 offset;
	__u64 len;
	__u64 data;
	__u32 flags;
	__u32 pad;
};

#define DBT_TRANSFER_WRITE	0x01		/* into the dma-buf */
#define DBT_TRANSFER_STALE	0x02		/* as if still mapped */
/* CPU view only: */
#define DBT_TRANSFER_EIGHT	0x04		/* 8 bytes at once */
#define DBT_TRANSFER_FLUSH	0x08		/* and wait for arrival */
#define DBT_TRANSFER_FLAGS	0x0f

/**
 * struct dbt_state - what the importer has, filled in by the driver
 * @addr: DMA address of the first byte of the last mapping
 * @len: bytes mapped, 0 if there is no mapping, or a dead CPU view
 * @runs: pieces that the DMA mapping consists of, 0 if there is none
 * @invalidated: number of calls of invalidate since attach
 */
struct dbt_state {
	__u64 addr;
	__u64 len;
	__u32 runs;
	__u32 invalidated;
};

#define DBT_ATTACH	_IOW('D', 0x80, struct dbt_attach)
#define DBT_DETACH	_IO('D', 0x81)
#define DBT_MAP		_IOW('D', 0x82, struct dbt_map)
#define DBT_UNMAP	_IO('D', 0x83)
#define DBT_TRANSFER	_IOW('D', 0x84, struct dbt_transfer)
#define DBT_STATE	_IOR('D', 0x85, struct dbt_state)

/* The highest DMA address that the device can reach from now on. */
#define DBT_SET_MASK	_IOW('D', 0x86, __u64)

/* Bring a CPU view back. */
#define DBT_REMAP	_IO('D', 0x87)

/* Exporter */

struct dbt_range {
	__u64 offset;
	__u64 len;
};

/**
 * struct dbt_export - export ranges of the BAR as one dma-buf
 * @ranges: user space address of an array of struct dbt_range
 * @nr_ranges: number of entries in it
 * @bar: number of the BAR
 *
 * The ioctl returns a file descriptor.
 */
struct dbt_export {
	__u64 ranges;
	__u32 nr_ranges;
	__u32 bar;
};

#define DBT_EXPORT	_IOW('D', 0x90, struct dbt_export)

/*
 * The same, of a buffer that moves as those of GPU drivers do, while nobody has
 * pinned it.
 */
#define DBT_EXPORT_MOVING	_IOW('D', 0x91, struct dbt_export)

/**
 * struct dbt_move - move a buffer to other ranges of the BAR
 * @ranges: user space address of an array of struct dbt_range, as large in total
 * @nr_ranges: number of entries in it
 * @fd: the dma-buf, by %DBT_EXPORT_MOVING
 *
 * The bytes stay behind. -EBUSY: it is pinned, and nobody was told.
 */
struct dbt_move {
	__u64 ranges;
	__u32 nr_ranges;
	__s32 fd;
};

#define DBT_MOVE	_IOW('D', 0x92, struct dbt_move)

/* RDMA memory regions: each open file is one region at most. */

#define DBT_UMEM_PATH		"/dev/dma-buf-test-umem-"

/**
 * struct dbt_reg - register the first @len bytes of a dma-buf
 * @len: number of bytes
 * @fd: the dma-buf
 * @flags: a set of DBT_REG_*
 * @pad: 0
 */
struct dbt_reg {
	__u64 len;
	__s32 fd;
	__u32 flags;
	__u64 pad;
};

#define DBT_REG_MAINLINE	0x01		/* by mainline's code */
#define DBT_REG_FLAGS		0x01

/**
 * struct dbt_blocks - what the device would be told, filled in by the driver
 * @size: of a block
 * @nr: number of blocks
 * @sum: of their addresses
 */
struct dbt_blocks {
	__u64 size;
	__u64 nr;
	__u64 sum;
};

#define DBT_REG		_IOW('D', 0xb0, struct dbt_reg)
#define DBT_BLOCKS	_IOR('D', 0xb1, struct dbt_blocks)
#define DBT_DEREG	_IO('D', 0xb2)

/* RDMA device. Memory regions (MRs) are registered through uverbs. */

#define DBT_IBDEV_PATH		"/dev/dma-buf-test-ibdev-"

/* How MRs use ib_umem_dmabuf */
#define DBT_IB_REVOCABLE	0	/* pinned, dead for good after revoke */
#define DBT_IB_STATIC		1	/* pinned, cannot stop */
#define DBT_IB_DYNAMIC		2	/* maps when it is accessed */

/**
 * struct dbt_ib_config - how MRs are registered from now on
 * @pgsz_bitmap: page sizes that the device has; the default is 4K, 64K and 2M
 * @how: one of DBT_IB_*, for dma-bufs; the default is %DBT_IB_REVOCABLE
 * @pad: 0
 */
struct dbt_ib_config {
	__u64 pgsz_bitmap;
	__u32 how;
	__u32 pad;
};

/**
 * struct dbt_ib_move - let the device read or write an MR
 * @iova: first byte, as the MR was registered
 * @len: number of bytes
 * @data: user space address of the data to write, or of where to put it
 * @lkey: key of the MR
 * @flags: a set of %DBT_TRANSFER_WRITE and %DBT_TRANSFER_STALE
 *
 * The ioctl returns the number of bytes done, which is less than @len if the MR
 * was taken away meanwhile. If none is done: -ENOENT no such MR, -ERANGE not in
 * it, -EPERM write to an MR without local write, -EACCES it was revoked; or why
 * a dynamic MR cannot be mapped.
 */
struct dbt_ib_move {
	__u64 iova;
	__u64 len;
	__u64 data;
	__u32 lkey;
	__u32 flags;
};

/**
 * struct dbt_ib_state - what an MR has
 * @lkey: key of the MR, filled in by the caller
 * @pad: 0
 * @pgsz: size of its blocks, 0 while it has none
 * @nr_blocks: number of blocks
 * @addr: DMA address of its first byte when it was mapped the last time
 */
struct dbt_ib_state {
	__u32 lkey;
	__u32 pad;
	__u64 pgsz;
	__u64 nr_blocks;
	__u64 addr;
};

#define DBT_IB_CONFIG	_IOW('D', 0xa0, struct dbt_ib_config)
#define DBT_IB_MOVE	_IOW('D', 0xa1, struct dbt_ib_move)
#define DBT_IB_STATE	_IOWR('D', 0xa2, struct dbt_ib_state)

/*
 * Each context has the start of the device's registers as "doorbells", which it
 * can export by UVERBS_METHOD_DMABUF_ALLOC: from this offset on, so many bytes.
 * DBT_IB_FORGET takes them from all contexts, as if a queue was destroyed.
 */
#define DBT_IB_DOORBELLS	0x100000
#define DBT_IB_DOORBELLS_LEN	0x4000
#define DBT_IB_FORGET		_IO('D', 0xa3)

/*
 * Exporter of memory that moves. It has one character device, and its video
 * memory is as large as the module's parameter vram_kb says, read when a device
 * is bound.
 */

#define DBV_PATH	"/dev/dma_buf_test_vram"

/* What happens when an importer maps, or attaches */
#define DBV_FETCH	0x01	/* it comes to video memory if there is room */
#define DBV_NO_RAM	0x02	/* same, or -ENOSPC; and no importer but who
				 * reaches video memory
				 */
#define DBV_STAY	0x04	/* it stays where it is for every importer */
#define DBV_FLAGS	0x07

/**
 * struct dbv_create - make an object of zeroes, in system RAM
 * @size: in bytes, whole pages
 * @flags: set of %DBV_FETCH and so on
 * @pad: 0
 *
 * The ioctl returns a dma-buf. Without flags, an object leaves video memory when
 * an importer maps that does not reach it, and comes back by %DBV_PLACE.
 */
struct dbv_create {
	__u64 size;
	__u32 flags;
	__u32 pad;
};

#define DBV_NOWHERE	0	/* the device is gone */
#define DBV_RAM		1
#define DBV_VRAM	2

/**
 * struct dbv_query - where an object is, filled in by the driver
 * @fd: in: the dma-buf
 * @where: one of %DBV_NOWHERE and so on
 * @offset: of its first byte in the BAR, in video memory
 * @pins: how many hold it in place
 * @moves: how often it changed its place
 * @evictions: how often to make room, or by %DBV_EVICT
 * @pad: 0
 */
struct dbv_query {
	__s32 fd;
	__u32 where;
	__u64 offset;
	__u32 pins;
	__u32 moves;
	__u32 evictions;
	__u32 pad;
};

#define DBV_CREATE	_IOW('D', 0xc0, struct dbv_create)

/* Out of video memory, or into it at the expense of who was used longest ago. */
#define DBV_EVICT	_IOW('D', 0xc1, __s32)
#define DBV_PLACE	_IOW('D', 0xc2, __s32)
#define DBV_QUERY	_IOWR('D', 0xc3, struct dbv_query)

/* How long each copy takes from now on, beyond what it takes anyway. */
#define DBV_COPY_MS	_IOW('D', 0xc4, __u32)

/*
 * Buffers of made-up addresses, to measure. Each open file is also an importer:
 * DBT_ATTACH, DBT_MAP, DBT_UNMAP and DBT_DETACH make a domain view, in a domain
 * of its own of an IOMMU that only counts. With %DBT_ATTACH_FLOOR they do what
 * every way to fill a domain has to do, and nothing else: a call of iommu_map()
 * for each range. "edu" devices are behind such an IOMMU once the driver is
 * loaded, if they are behind no other.
 */

#define DBT_SCALE_PATH		"/dev/dma-buf-test-scale-"

#define DBT_ATTACH_FLOOR	0x40

/**
 * struct dbt_made_up - make a buffer of ranges that are nowhere
 * @len: of each range in bytes, whole pages
 * @nr: number of ranges. No two are adjacent, and each is as aligned as it is
 *	long, up to 1 GiB.
 * @flags: a set of DBT_MADE_UP_*
 *
 * The ioctl returns a dma-buf.
 */
struct dbt_made_up {
	__u64 len;
	__u32 nr;
	__u32 flags;
};

#define DBT_MADE_UP_MAINLINE	0x01	/* not of the class */
#define DBT_MADE_UP_FLAGS	0x01

/**
 * struct dbt_counts - what the IOMMU was asked for, since it was last told
 * @maps: calls to map, each for any number of pages of one size
 * @entries: entries of page tables that these had to write
 * @map_syncs: calls that make what was mapped visible
 * @unmaps: calls to unmap
 * @flushes: of the IOTLB
 */
struct dbt_counts {
	__u64 maps;
	__u64 entries;
	__u64 map_syncs;
	__u64 unmaps;
	__u64 flushes;
};

#define DBT_MAKE_UP	_IOW('D', 0xd0, struct dbt_made_up)
#define DBT_COUNTS	_IOR('D', 0xd1, struct dbt_counts)

/*
 * Take a buffer away from its importers. One that is not of the class is
 * suspended and revoked as VFIO does it in Linux 7.3; importers that want it back
 * map it anew.
 */
#define DBT_SUSPEND	_IOW('D', 0xd2, __s32)
#define DBT_RESTORE	_IOW('D', 0xd3, __s32)
#define DBT_REVOKE	_IOW('D', 0xd4, __s32)

#endif

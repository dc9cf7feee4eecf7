// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to map a BAR for the CPU, to hand it out and to take it back.
 *
 * Ours is mmap() of a dma-buf that VFIO exports. Mainline's is mmap() of the same
 * place of VFIO's own file of the device.
 *
 * fault: the first access to a page, of 4 KiB and of 2 MiB. touch: map 64 MiB,
 * access each page of 4 KiB once, unmap. hand out: from the owner's first call
 * until the receiver, in a process of its own, has read a byte; to whom mainline
 * has to give all of the device, its file. take back: from 64 MiB that were all
 * accessed; mainline can only switch off decoding for the whole device.
 *
 * summary: mmap of a dma-buf against mmap of the device
 * topology: root
 * icount: yes
 * timeout: 300
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "channel.h"
#include "iommufd.h"
#include "mapping.h"
#include "report.h"
#include "vfio.h"

#define BAR		2
#define PAGE		0x1000ULL
#define LARGE		0x200000ULL
#define ALL		0x4000000ULL
#define NR_SMALL	64	/* faults per round */
#define TURNS		15

static const char * const row = "mmap";
static const char * const path_names[BENCH_NR_PATHS] = { "ours", "mainline" };

static struct {
	const char *what;
	struct series series[BENCH_NR_PATHS];
} figures[] = {
	{ "fault of 4 KiB, instructions" },
	{ "fault of 2 MiB, instructions" },
	{ "touch 64 MiB, instructions" },
	{ "hand out 64 MiB, instructions" },
	{ "take back 64 MiB, instructions" },
};

enum { SMALL_FAULT, LARGE_FAULT, TOUCH, HAND_OUT, TAKE_BACK, NR_FIGURES };

static struct vfio_dev dev;
static __u64 region;		/* where the BAR is in VFIO's file */

static bool warm;

static void add(int figure, enum bench_path path, __u64 value)
{
	if (warm)
		series_add(&figures[figure].series[path], value, 0);
}

static int export_all(void)
{
	const struct vfio_region_dma_range range = { .length = ALL };

	return must("VFIO_DEVICE_FEATURE_DMA_BUF",
		    vfio_export(&dev, BAR, &range, 1));
}

static __u8 *map(enum bench_path path, int fd, size_t skew)
{
	__u8 *at;

	must("mmap", dmabuf_map_aligned(fd, path == OURS ? 0 : region, ALL,
					PROT_READ | PROT_WRITE, LARGE, skew,
					&at));
	return at;
}

/* Read a byte every @stride bytes. */
static void touch(const __u8 *at, __u64 len, __u64 stride)
{
	__u64 i;

	for (i = 0; i < len; i += stride)
		__atomic_load_n(at + i, __ATOMIC_RELAXED);
}

/* @nr faults, each of a page of @size, at an address @skew bytes off alignment. */
static __u64 faults(enum bench_path path, int fd, size_t skew, __u64 size,
		    __u64 nr)
{
	__u8 *at = map(path, fd, skew);
	__u64 before = count_page_faults();
	__u64 begin = measure_instructions();
	__u64 took;

	touch(at, nr * size, size);
	took = measure_instructions() - begin;
	if (count_page_faults() - before != nr)
		die("%llu faults instead of %llu for pages of %llu, %s",
		    count_page_faults() - before, nr, size, path_names[path]);
	munmap(at, ALL);
	return took / nr;
}

static __u64 touch_all(enum bench_path path, int fd)
{
	__u64 begin = measure_instructions();
	__u8 *at = map(path, fd, 0);

	touch(at, ALL, PAGE);
	munmap(at, ALL);
	return measure_instructions() - begin;
}

static __u64 take_back(enum bench_path path, int fd)
{
	__u8 *at = map(path, fd, 0);
	__u64 begin, took, value;

	touch(at, ALL, PAGE);
	begin = measure_instructions();
	if (path == OURS)
		must("revoke", vfio_revoke(&dev, fd,
					   VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM));
	else
		must("decode off", vfio_set_memory(&dev, false));
	took = measure_instructions() - begin;
	if (!touch_load(at, &value))
		die("it was not taken back, %s", path_names[path]);
	if (path == MAINLINE)
		must("decode on", vfio_set_memory(&dev, true));
	munmap(at, ALL);
	return took;
}

/* What comes is mapped, read and unmapped, until the other end is gone. */
static void receive(int channel)
{
	enum bench_path path;
	__u8 *at;
	int fd;

	while (channel_receive(channel, &path, sizeof(path), &fd)) {
		at = map(path, fd, 0);
		touch(at, PAGE, PAGE);
		channel_send(channel, &path, sizeof(path), -1);
		munmap(at, ALL);
		close(fd);
	}
	_exit(EXIT_SUCCESS);
}

static __u64 hand_out(enum bench_path path, int channel)
{
	__u64 begin = measure_instructions();
	int fd = path == OURS ? export_all() : dev.fd;
	enum bench_path answer;
	int none;

	if (!channel_send(channel, &path, sizeof(path), fd) ||
	    !channel_receive(channel, &answer, sizeof(answer), &none))
		die("the receiver is gone");
	begin = measure_instructions() - begin;
	if (path == OURS)
		close(fd);
	return begin;
}

static void measure(enum bench_path path, int channel)
{
	int fd = path == OURS ? export_all() : dev.fd;

	add(SMALL_FAULT, path, faults(path, fd, PAGE, PAGE, NR_SMALL));
	add(LARGE_FAULT, path, faults(path, fd, 0, LARGE, ALL / LARGE));
	add(TOUCH, path, touch_all(path, fd));
	add(HAND_OUT, path, hand_out(path, channel));
	add(TAKE_BACK, path, take_back(path, fd));
	if (path == OURS)
		close(fd);
}

static void open_device(int iommufd)
{
	struct vfio_region_info info;

	must("open the exporter",
	     vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd));
	must("the BAR", vfio_region(&dev, BAR, &info));
	region = info.offset;
}

int main(void)
{
	int iommufd, ends[2], i;
	enum bench_path path;

	measure_calibrate();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		die("socketpair: %s", strerror(errno));
	iommufd = must("open /dev/iommu", iommufd_open());
	open_device(iommufd);
	if (!fork()) {
		close(ends[0]);
		vfio_close(&dev);
		close(iommufd);
		receive(ends[1]);
	}
	close(ends[1]);
	for (i = 0; i < BENCH_WARM_UP + TURNS; i++) {
		warm = i >= BENCH_WARM_UP;
		for (path = 0; path < BENCH_NR_PATHS; path++)
			measure(path, ends[0]);
	}
	for (i = 0; i < NR_FIGURES; i++)
		for (path = 0; path < BENCH_NR_PATHS; path++)
			series_report(&figures[i].series[path], row, 1,
				      path_names[path], figures[i].what);
	close(ends[0]);
	wait(NULL);
	vfio_close(&dev);
	close(iommufd);
	return EXIT_SUCCESS;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A BAR mapped through its dma-buf: the right bytes, and none while it is away.
 *
 * Every access goes to a window of the BAR of which each byte is compared. While
 * the memory is away an access gets SIGBUS; that nothing reached the BAR is seen
 * by a mapping of sysfs, with decoding switched on behind VFIO's back.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 240
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/dma-buf.h>

#include "iommufd.h"
#include "leaks.h"
#include "mapping.h"
#include "pci_raw.h"
#include "phys_state.h"
#include "report.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define LIMIT		60	/* seconds per test */
#define LONG_LIMIT	1800	/* of those that go on as often as one likes */
#define WINDOW		0x40000
#define PAGE		0x1000ULL
#define NR_PAGES	8
#define SIZE		(NR_PAGES * PAGE)
#define RW		(PROT_READ | PROT_WRITE)

/* Out of order; two are adjacent; the last one is a page alone. */
static const struct vfio_region_dma_range several_ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x26000, .length = 0x1000 },
	{ .offset = 0x01000, .length = 0x4000 },
	{ .offset = 0x13000, .length = 0x1000 },
};

static const struct layout several = { several_ranges, 4 };

/*
 * One mapping, judged. 0 or -errno.
 */

/* @map shows @len bytes of the dma-buf from @offset. */
static int shows(struct scene *scene, const __u8 *map, __u64 offset, size_t len)
{
	__u8 want[SIZE], got[SIZE];

	bar_expect(&scene->bar, several, offset, want, len);
	if (touch_copy(got, map, len))
		return -EFAULT;
	return memcmp(got, want, len) ? -EILSEQ : 0;
}

/* What is written through @map is there and nowhere else. */
static int stores(struct scene *scene, __u8 *map, __u64 offset, size_t len)
{
	__u8 data[SIZE];

	scene_pattern(scene, data, len);
	bar_note(&scene->bar, several, offset, data, len);
	if (touch_copy(map, data, len))
		return -EFAULT;
	return scene_judge(scene);
}

static int works(struct scene *scene, __u8 *map, __u64 offset, size_t len)
{
	int err = shows(scene, map, offset, len);

	return err ? err : stores(scene, map, offset, len);
}

/* Each page of @map answers loads and stores by @nr. */
static int signals(__u8 *map, size_t len, int nr)
{
	__u64 value;
	size_t at;

	for (at = 0; at < len; at += PAGE)
		if (touch_load(map + at, &value) != nr ||
		    touch_store(map + at + PAGE - 8, ~0ULL) != nr)
			return -EEXIST;
	return 0;
}

static int is_gone(__u8 *map, size_t len)
{
	return signals(map, len, SIGBUS);
}

/* As is_gone(), in a child that has the mapping from its parent. */
static int gone_for_child(__u8 *map, size_t len)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(is_gone(map, len) ? EXIT_FAILURE : EXIT_SUCCESS);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EEXIST;
}

static int sync_ioctl(int dmabuf, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0;
}

FIXTURE(live)
{
	struct scene scene;
	unsigned int dmabufs;
	int dmabuf;
	__u8 *map;
};

FIXTURE_SETUP(live)
{
	self->dmabufs = count_dmabufs();
	scene_open(&self->scene, PCI_ID_IVSHMEM, WINDOW);
	self->dmabuf = scene_export(&self->scene, several);
	ASSERT_EQ(0, dmabuf_map(self->dmabuf, 0, SIZE, RW, &self->map));
}

FIXTURE_TEARDOWN(live)
{
	munmap(self->map, SIZE);
	close(self->dmabuf);
	scene_close(&self->scene);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

/*
 * The right bytes
 */

TEST_F_TIMEOUT(live, whole, LIMIT)
{
	EXPECT_EQ(0, works(&self->scene, self->map, 0, SIZE));
	EXPECT_EQ(0, works(&self->scene, self->map, 0, SIZE));
}

/* Every place and every length, and each seam with some bytes of both sides. */
TEST_F_TIMEOUT(live, parts, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 offset, len;
	__u8 *map;

	for (offset = 0; offset < SIZE; offset += PAGE)
		for (len = PAGE; offset + len <= SIZE; len += PAGE) {
			ASSERT_EQ(0, dmabuf_map(self->dmabuf, offset, len, RW,
						&map));
			EXPECT_EQ(0, shows(scene, map, offset, len));
			EXPECT_EQ(0, stores(scene, map + len - PAGE,
					    offset + len - PAGE, PAGE));
			munmap(map, len);
		}
	for (offset = PAGE; offset < SIZE; offset += PAGE)
		EXPECT_EQ(0, works(scene, self->map + offset - 100,
				   offset - 100, 203));
}

/* What a device does by DMA is seen by the CPU, and the other way round. */
TEST_F_TIMEOUT(live, with_dma, LIMIT)
{
	struct scene *scene = &self->scene;
	const __u64 iova = 0x100000000ULL;

	ASSERT_EQ(0, scene_map_at(scene, self->dmabuf, several, iova));
	EXPECT_EQ(0, scene_write_arrives(scene, iova + PAGE, several, PAGE,
					 PAGE));
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	EXPECT_EQ(0, scene_read_arrives(scene, iova, several, 0, PAGE));
}

/* The kernel copies from and to it, as from and to any memory. */
TEST_F_TIMEOUT(live, system_calls, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 data[PAGE];
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	scene_pattern(scene, data, PAGE);
	ASSERT_EQ(PAGE, write(ends[1], data, PAGE));
	EXPECT_EQ(PAGE, read(ends[0], self->map + PAGE, PAGE));
	bar_note(&scene->bar, several, PAGE, data, PAGE);
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(PAGE, write(ends[1], self->map + PAGE, PAGE));
	memset(data, 0, PAGE);
	ASSERT_EQ(PAGE, read(ends[0], data, PAGE));
	EXPECT_EQ(0, memcmp(data, self->map + PAGE, PAGE));

	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	EXPECT_EQ(-1, write(ends[1], self->map, PAGE));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(PAGE, write(ends[1], data, PAGE));
	EXPECT_EQ(-1, read(ends[0], self->map, PAGE));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	EXPECT_EQ(0, scene_judge(scene));
	close(ends[0]);
	close(ends[1]);
}

/*
 * Bad input
 */

static int try_mmap(size_t len, int prot, int flags, int fd, off_t offset)
{
	void *at = mmap(NULL, len, prot, flags, fd, offset);

	if (at == MAP_FAILED)
		return -errno;
	munmap(at, len);
	return 0;
}

TEST_F_TIMEOUT(live, bad_mmap, LIMIT)
{
	const int fd = self->dmabuf;

	EXPECT_EQ(-EINVAL, try_mmap(SIZE, RW, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(-EINVAL, try_mmap(SIZE, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(-EPERM, try_mmap(SIZE, RW | PROT_EXEC, MAP_SHARED, fd, 0));
	EXPECT_EQ(-EPERM, try_mmap(SIZE, PROT_EXEC, MAP_SHARED, fd, 0));
	EXPECT_EQ(-EINVAL, try_mmap(SIZE + PAGE, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(-EINVAL, try_mmap(SIZE + 1, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(-EINVAL, try_mmap(PAGE, RW, MAP_SHARED, fd, SIZE));
	EXPECT_EQ(-EINVAL, try_mmap(2 * PAGE, RW, MAP_SHARED, fd, SIZE - PAGE));
	EXPECT_EQ(-EINVAL, try_mmap(PAGE, RW, MAP_SHARED, fd, 100));
	EXPECT_EQ(-EINVAL, try_mmap(0, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(-EINVAL, try_mmap(PAGE, RW, MAP_SHARED, fd, 1LL << 62));
	EXPECT_GT(0, try_mmap(PAGE, RW, MAP_SHARED, fd, -(off_t)PAGE));
	EXPECT_EQ(-EOPNOTSUPP, try_mmap(SIZE, RW, MAP_SHARED_VALIDATE | MAP_SYNC,
					fd, 0));
	EXPECT_EQ(0, try_mmap(SIZE, RW, MAP_SHARED_VALIDATE, fd, 0));
	EXPECT_EQ(0, try_mmap(SIZE, RW, MAP_SHARED | MAP_POPULATE, fd, 0));
	EXPECT_EQ(0, try_mmap(SIZE - 1, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(0, works(&self->scene, self->map, 0, SIZE));
}

TEST_F_TIMEOUT(live, protection, LIMIT)
{
	struct scene *scene = &self->scene;

	EXPECT_EQ(-1, mprotect(self->map, SIZE, RW | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->map + PAGE, PAGE, PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	ASSERT_EQ(0, mprotect(self->map, SIZE, PROT_READ));
	EXPECT_EQ(0, shows(scene, self->map, 0, SIZE));
	EXPECT_EQ(SIGSEGV, touch_store(self->map, 0));
	ASSERT_EQ(0, mprotect(self->map, SIZE, PROT_NONE));
	EXPECT_EQ(0, signals(self->map, SIZE, SIGSEGV));
	ASSERT_EQ(0, mprotect(self->map, SIZE, RW));
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
}

/* What was exported for reading only stays so, whoever asks. */
TEST_F_TIMEOUT(live, read_only_file, LIMIT)
{
	struct scene *scene = &self->scene;
	char path[64];
	__u8 *map;
	int fd;

	fd = vfio_export_flags(&scene->exporter, SCENE_BAR, several_ranges, 4,
			       O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, try_mmap(SIZE, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(-EACCES, try_mmap(SIZE, PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(-EINVAL, try_mmap(SIZE, RW, MAP_PRIVATE, fd, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_EQ(-1, open(path, O_RDWR));
	ASSERT_EQ(0, dmabuf_map(fd, 0, SIZE, PROT_READ, &map));
	EXPECT_EQ(-1, mprotect(map, SIZE, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, shows(scene, map, 0, SIZE));
	EXPECT_EQ(SIGSEGV, touch_store(map, 0));
	EXPECT_EQ(0, shows(scene, map, 0, SIZE));
	munmap(map, SIZE);
	close(fd);

	fd = vfio_export_flags(&scene->exporter, SCENE_BAR, several_ranges, 4,
			       O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, try_mmap(SIZE, PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
}

/*
 * What address spaces do with their mappings
 */

TEST_F_TIMEOUT(live, remap, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 *map, *place;

	/* Larger, by moving or in place, or a second one: no. */
	EXPECT_EQ(MAP_FAILED, mremap(self->map, SIZE, 2 * SIZE, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(MAP_FAILED, mremap(self->map, PAGE, 2 * PAGE, 0));
	EXPECT_EQ(MAP_FAILED, mremap(self->map, 0, PAGE, MREMAP_MAYMOVE));
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));

	/* Smaller, and elsewhere. */
	ASSERT_EQ(0, dmabuf_map(self->dmabuf, 0, SIZE, RW, &map));
	EXPECT_EQ(0, works(scene, map, 0, SIZE));
	ASSERT_EQ(map, mremap(map, SIZE, SIZE - PAGE, 0));
	EXPECT_EQ(0, works(scene, map, 0, SIZE - PAGE));
	place = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, place);
	ASSERT_EQ(place, mremap(map, SIZE - PAGE, SIZE - PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, place));
	EXPECT_EQ(0, signals(map, SIZE - PAGE, SIGSEGV));
	EXPECT_EQ(0, works(scene, place, 0, SIZE - PAGE));

	/* A piece out of the middle. */
	ASSERT_EQ(map, mremap(place + 2 * PAGE, PAGE, PAGE,
			      MREMAP_MAYMOVE | MREMAP_FIXED, map));
	EXPECT_EQ(0, works(scene, map, 2 * PAGE, PAGE));
	EXPECT_EQ(0, signals(place + 2 * PAGE, PAGE, SIGSEGV));

	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	EXPECT_EQ(0, is_gone(map, PAGE));
	EXPECT_EQ(0, is_gone(place, 2 * PAGE));
	EXPECT_EQ(0, is_gone(place + 3 * PAGE, SIZE - 4 * PAGE));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	EXPECT_EQ(0, works(scene, map, 2 * PAGE, PAGE));
	EXPECT_EQ(0, works(scene, place, 0, 2 * PAGE));
	EXPECT_EQ(0, works(scene, place + 3 * PAGE, 3 * PAGE, SIZE - 4 * PAGE));
	munmap(map, PAGE);
	munmap(place, SIZE);
}

TEST_F_TIMEOUT(live, holes, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 *map = self->map;

	EXPECT_EQ(0, works(scene, map, 0, SIZE));
	ASSERT_EQ(0, munmap(map + 3 * PAGE, PAGE));
	ASSERT_EQ(0, mprotect(map + 5 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(0, works(scene, map, 0, 3 * PAGE));
	EXPECT_EQ(0, signals(map + 3 * PAGE, PAGE, SIGSEGV));
	EXPECT_EQ(0, shows(scene, map + 4 * PAGE, 4 * PAGE, 4 * PAGE));
	EXPECT_EQ(SIGSEGV, touch_store(map + 5 * PAGE, 0));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	EXPECT_EQ(0, is_gone(map, 3 * PAGE));
	EXPECT_EQ(0, is_gone(map + 4 * PAGE, PAGE));
	EXPECT_EQ(0, is_gone(map + 6 * PAGE, 2 * PAGE));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	EXPECT_EQ(0, works(scene, map, 0, 3 * PAGE));
	EXPECT_EQ(0, shows(scene, map + 4 * PAGE, 4 * PAGE, 4 * PAGE));
	EXPECT_EQ(0, works(scene, map + 6 * PAGE, 6 * PAGE, 2 * PAGE));
}

/* Advice that would change what the mapping is, or touch its pages. */
TEST_F_TIMEOUT(live, advice, LIMIT)
{
	struct scene *scene = &self->scene;
	int status;
	pid_t pid;

	EXPECT_EQ(-1, madvise(self->map, SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1, madvise(self->map, SIZE, MADV_REMOVE));
	EXPECT_EQ(-1, madvise(self->map, SIZE, MADV_DODUMP));
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	ASSERT_EQ(0, madvise(self->map, SIZE, MADV_DONTFORK));
	pid = fork();
	if (!pid)
		_exit(signals(self->map, SIZE, SIGSEGV) ? EXIT_FAILURE :
							  EXIT_SUCCESS);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
}

/* Nobody gets at the memory, or keeps it, through the process that maps it. */
TEST_F_TIMEOUT(live, other_ways, LIMIT)
{
	struct scene *scene = &self->scene;
	__u64 value, iova = 0x300000000ULL;
	struct iovec here = { .iov_base = &value, .iov_len = sizeof(value) };
	struct iovec there = { .iov_base = self->map, .iov_len = sizeof(value) };
	int mem, ends[2];

	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	mem = open("/proc/self/mem", O_RDWR);
	ASSERT_LE(0, mem);
	EXPECT_EQ(-1, pread(mem, &value, sizeof(value), (off_t)self->map));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, pwrite(mem, &value, sizeof(value), (off_t)self->map));
	EXPECT_EQ(EIO, errno);
	close(mem);
	EXPECT_EQ(-1, process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, process_vm_writev(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, pipe(ends));
	EXPECT_EQ(-1, vmsplice(ends[1], &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-EFAULT, ioas_map(scene->iommufd, scene->ioas, self->map, SIZE,
				    &iova, MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA));
	close(ends[0]);
	close(ends[1]);
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
}

TEST_F_TIMEOUT(live, debugger, LIMIT)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(EXIT_SUCCESS);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	errno = 0;
	EXPECT_EQ(-1, ptrace(PTRACE_PEEKDATA, pid, self->map, NULL));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, ptrace(PTRACE_POKEDATA, pid, self->map, NULL));
	EXPECT_EQ(EIO, errno);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, scene_judge(&self->scene));
}

/*
 * A child has what its parent had; each may end it by itself.
 */
static int child(struct scene *scene, __u8 *map, int tell, int hear)
{
	char byte;

	if (shows(scene, map, 0, SIZE) || write(tell, "1", 1) != 1 ||
	    read(hear, &byte, 1) != 1 || is_gone(map, SIZE) ||
	    write(tell, "2", 1) != 1 || read(hear, &byte, 1) != 1)
		return EXIT_FAILURE;
	return shows(scene, map, 0, SIZE) ? EXIT_FAILURE : EXIT_SUCCESS;
}

TEST_F_TIMEOUT(live, forked, LIMIT)
{
	struct scene *scene = &self->scene;
	int status, up[2], down[2];
	char byte;
	pid_t pid;

	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	pid = fork();
	if (!pid)
		_exit(child(scene, self->map, up[1], down[0]));
	close(up[1]);
	ASSERT_EQ(1, read(up[0], &byte, 1));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	ASSERT_EQ(1, write(down[1], "1", 1));
	ASSERT_EQ(1, read(up[0], &byte, 1));
	EXPECT_EQ(0, gone_for_child(self->map, SIZE));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	ASSERT_EQ(1, write(down[1], "2", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	close(up[0]);
	close(down[0]);
	close(down[1]);
}

/*
 * Lifetime: the mapping keeps the dma-buf, not the device.
 */
TEST_F_TIMEOUT(live, outlives_the_file, LIMIT)
{
	struct scene *scene = &self->scene;
	int fd;

	close(self->dmabuf);
	EXPECT_EQ(self->dmabufs + 1, count_dmabufs());
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	fd = open("/dev/null", O_RDWR);
	munmap(self->map, SIZE);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
	self->dmabuf = fd;
}

TEST_F_TIMEOUT(live, does_not_keep_the_device, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 *map;
	int fd;

	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	scene_close_exporter(scene);
	EXPECT_TRUE(phys_state_is("revoked"));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	EXPECT_EQ(-ENODEV, dmabuf_map(self->dmabuf, 0, SIZE, RW, &map));
	ASSERT_EQ(0, pci_unbind(scene->exporter.name));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	ASSERT_EQ(0, scene_reopen_exporter(scene));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	EXPECT_EQ(0, gone_for_child(self->map, SIZE));
	EXPECT_EQ(-ENODEV, dmabuf_map(self->dmabuf, 0, SIZE, RW, &map));

	fd = scene_export(scene, several);
	ASSERT_EQ(0, dmabuf_map(fd, 0, SIZE, RW, &map));
	EXPECT_EQ(0, works(scene, map, 0, SIZE));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	munmap(map, SIZE);
	close(fd);
}

TEST_F_TIMEOUT(live, unplugged, LIMIT)
{
	struct scene *scene = &self->scene;
	char name[PCI_NAME_LEN];

	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	memcpy(name, scene->exporter.name, sizeof(name));
	ASSERT_EQ(0, slot_begin_unplug("exporter", name));
	scene_close_exporter(scene);
	ASSERT_EQ(0, slot_replug("exporter", name));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	ASSERT_EQ(0, scene_reopen_exporter(scene));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	bar_fill(&scene->bar, ++scene->seed);
}

/* A process that is killed leaves nothing. */
TEST_F_TIMEOUT(live, killed, LIMIT)
{
	unsigned int now = count_dmabufs();
	int status, ends[2];
	__u8 *map;
	char byte;
	pid_t pid;
	int fd;

	ASSERT_EQ(0, pipe(ends));
	pid = fork();
	if (!pid) {
		fd = scene_export(&self->scene, several);
		if (dmabuf_map(fd, 0, SIZE, RW, &map) ||
		    shows(&self->scene, map, 0, SIZE) ||
		    write(ends[1], "x", 1) != 1)
			_exit(EXIT_FAILURE);
		close(fd);
		for (;;)
			touch_store(map, 0);
	}
	close(ends[1]);
	ASSERT_EQ(1, read(ends[0], &byte, 1));
	EXPECT_EQ(now + 1, count_dmabufs());
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(now, settle_dmabufs(now));
	bar_take(&self->scene.bar, several, 0, 8);
	EXPECT_EQ(0, works(&self->scene, self->map, 0, SIZE));
	close(ends[0]);
}

/*
 * Others
 */

/* VFIO's own mapping of the BAR is what it was. */
TEST_F_TIMEOUT(live, vfio_mapping, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 *bar = scene->bar.map;
	__u64 value;

	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, false));
	EXPECT_EQ(SIGBUS, touch_load(bar, &value));
	EXPECT_EQ(SIGBUS, touch_store(bar, 0));
	ASSERT_EQ(0, vfio_set_memory(&scene->exporter, true));
	EXPECT_EQ(0, touch_load(bar, &value));
	ASSERT_EQ(0, vfio_reset(&scene->exporter));
	EXPECT_EQ(0, touch_load(bar, &value));
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
}

/* There are no caches to care for. */
TEST_F_TIMEOUT(live, sync_ioctl, LIMIT)
{
	struct vfio_dev *exporter = &self->scene.exporter;
	const __u64 both = DMA_BUF_SYNC_RW;

	EXPECT_EQ(0, sync_ioctl(self->dmabuf, DMA_BUF_SYNC_START | both));
	EXPECT_EQ(0, works(&self->scene, self->map, 0, SIZE));
	EXPECT_EQ(0, sync_ioctl(self->dmabuf, DMA_BUF_SYNC_END | both));
	EXPECT_EQ(-EINVAL, sync_ioctl(self->dmabuf, DMA_BUF_SYNC_START));
	EXPECT_EQ(-EINVAL, sync_ioctl(self->dmabuf, 1ULL << 5));
	ASSERT_EQ(0, vfio_set_memory(exporter, false));
	EXPECT_EQ(0, sync_ioctl(self->dmabuf, DMA_BUF_SYNC_START | both));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	EXPECT_EQ(0, sync_ioctl(self->dmabuf, DMA_BUF_SYNC_END | both));
	ASSERT_EQ(0, vfio_set_memory(exporter, true));
	EXPECT_EQ(0, works(&self->scene, self->map, 0, SIZE));
}

/*
 * Away, in all ways that last until they are ended
 */

static int memory_off(struct scene *scene, int dmabuf)
{
	return vfio_set_memory(&scene->exporter, false);
}

static int memory_on(struct scene *scene, int dmabuf)
{
	return vfio_set_memory(&scene->exporter, true);
}

static int low_power(struct scene *scene, int dmabuf)
{
	return vfio_low_power(&scene->exporter, true);
}

static int full_power(struct scene *scene, int dmabuf)
{
	return vfio_low_power(&scene->exporter, false);
}

static int d3hot(struct scene *scene, int dmabuf)
{
	return vfio_set_power(&scene->exporter, 3);
}

static int d0(struct scene *scene, int dmabuf)
{
	return vfio_set_power(&scene->exporter, 0);
}

static int take(struct scene *scene, int dmabuf)
{
	return vfio_revoke(&scene->exporter, dmabuf,
			   VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_TEMP);
}

static int give(struct scene *scene, int dmabuf)
{
	return vfio_revoke(&scene->exporter, dmabuf,
			   VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK);
}

FIXTURE(away)
{
	struct scene scene;
	unsigned int dmabufs;
	int dmabuf;
	__u8 *map;
};

FIXTURE_VARIANT(away)
{
	struct pci_id exporter;
	int (*go)(struct scene *scene, int dmabuf);
	int (*come)(struct scene *scene, int dmabuf);
};

FIXTURE_VARIANT_ADD(away, memory) { PCI_ID_IVSHMEM, memory_off, memory_on };
FIXTURE_VARIANT_ADD(away, low_power) { PCI_ID_IVSHMEM, low_power, full_power };
FIXTURE_VARIANT_ADD(away, d3hot) { PCI_ID_NVME, d3hot, d0 };
FIXTURE_VARIANT_ADD(away, owner) { PCI_ID_IVSHMEM, take, give };

FIXTURE_SETUP(away)
{
	self->dmabufs = count_dmabufs();
	scene_open(&self->scene, variant->exporter, WINDOW);
	self->dmabuf = scene_export(&self->scene, several);
	ASSERT_EQ(0, dmabuf_map(self->dmabuf, 0, SIZE, RW, &self->map));
}

FIXTURE_TEARDOWN(away)
{
	munmap(self->map, SIZE);
	close(self->dmabuf);
	scene_close(&self->scene);
	EXPECT_EQ(self->dmabufs, settle_dmabufs(self->dmabufs));
}

TEST_F_TIMEOUT(away, and_back, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 *untouched;
	int i;

	ASSERT_EQ(0, dmabuf_map(self->dmabuf, 0, SIZE, RW, &untouched));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
		ASSERT_EQ(0, variant->go(scene, self->dmabuf));
		EXPECT_EQ(0, is_gone(self->map, SIZE));
		EXPECT_EQ(0, is_gone(untouched, SIZE));
		EXPECT_EQ(0, gone_for_child(self->map, SIZE));
		ASSERT_EQ(0, variant->come(scene, self->dmabuf));
		EXPECT_EQ(0, scene_judge(scene));
	}
	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	EXPECT_EQ(0, works(scene, untouched, 0, SIZE));
	munmap(untouched, SIZE);
}

/* Whether it may be mapped is asked when it is mapped, where it is by the fault. */
TEST_F_TIMEOUT(away, mapped_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 *map;

	ASSERT_EQ(0, variant->go(scene, self->dmabuf));
	ASSERT_EQ(0, dmabuf_map(self->dmabuf, PAGE, SIZE - PAGE, RW, &map));
	EXPECT_EQ(0, is_gone(map, SIZE - PAGE));
	EXPECT_EQ(0, try_mmap(SIZE, RW, MAP_SHARED | MAP_POPULATE, self->dmabuf,
			      0));
	EXPECT_EQ(-EINVAL, try_mmap(SIZE, RW, MAP_PRIVATE, self->dmabuf, 0));
	EXPECT_EQ(-EINVAL, try_mmap(PAGE, RW, MAP_SHARED, self->dmabuf, SIZE));
	ASSERT_EQ(0, variant->come(scene, self->dmabuf));
	EXPECT_EQ(0, works(scene, map, PAGE, SIZE - PAGE));
	munmap(map, SIZE - PAGE);
}

TEST_F_TIMEOUT(away, unmapped_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;

	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	ASSERT_EQ(0, variant->go(scene, self->dmabuf));
	ASSERT_EQ(0, munmap(self->map, SIZE));
	ASSERT_EQ(0, variant->come(scene, self->dmabuf));
	EXPECT_EQ(0, signals(self->map, SIZE, SIGSEGV));
	EXPECT_EQ(0, scene_judge(scene));
}

TEST_F_TIMEOUT(away, closed_meanwhile, LIMIT)
{
	struct scene *scene = &self->scene;
	__u8 *map;

	EXPECT_EQ(0, works(scene, self->map, 0, SIZE));
	ASSERT_EQ(0, variant->go(scene, self->dmabuf));
	scene_close_exporter(scene);
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	ASSERT_EQ(0, scene_reopen_exporter(scene));
	EXPECT_EQ(0, is_gone(self->map, SIZE));
	EXPECT_EQ(-ENODEV, dmabuf_map(self->dmabuf, 0, SIZE, RW, &map));
}

/*
 * Away and back all the time, with threads that never pause
 */

/* MMAP_TIMES times as often. */
static unsigned int times(unsigned int once)
{
	const char *more = getenv("MMAP_TIMES");

	return more ? once * atoi(more) : once;
}

/* While the memory is away, all threads have a turn: two system calls are fast. */
static int toggle(struct scene *scene, int dmabuf,
		  int (*away)(struct scene *scene, int dmabuf),
		  int (*back)(struct scene *scene, int dmabuf))
{
	int err = away(scene, dmabuf);

	if (err)
		return err;
	usleep(1000);
	return back(scene, dmabuf);
}

static int toggle_memory(struct scene *scene, int dmabuf)
{
	return toggle(scene, dmabuf, memory_off, memory_on);
}

static int toggle_owner(struct scene *scene, int dmabuf)
{
	return toggle(scene, dmabuf, take, give);
}

static int ioctl_reset(struct scene *scene, int dmabuf)
{
	return vfio_reset(&scene->exporter);
}

static int sysfs_reset(struct scene *scene, int dmabuf)
{
	return pci_sysfs_reset(scene->exporter.name);
}

static int hot_reset(struct scene *scene, int dmabuf)
{
	return vfio_hot_reset(&scene->exporter);
}

/* The first page is written by one thread, the others are read by one each. */
#define NR_THREADS	3
#define AT_LEAST	20	/* what each must have seen of either */

struct worker {
	pthread_t thread;
	__u8 *map;		/* of all */
	__u8 want[SIZE];
	unsigned int seed;
	bool stop;		/* by the others */
	__u64 done, gone, wrong;
};

/* One more; only its own thread changes it. */
static void count(__u64 *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void *write_on(void *arg)
{
	struct worker *worker = arg;
	__u64 value = 0;

	while (!__atomic_load_n(&worker->stop, __ATOMIC_RELAXED))
		count(touch_store(worker->map, ++value) ? &worker->gone :
							  &worker->done);
	return NULL;
}

static void *read_on(void *arg)
{
	struct worker *worker = arg;
	__u64 at, value, want;

	while (!__atomic_load_n(&worker->stop, __ATOMIC_RELAXED)) {
		at = PAGE + rand_r(&worker->seed) % (SIZE - PAGE) / 8 * 8;
		memcpy(&want, worker->want + at, 8);
		if (touch_load(worker->map + at, &value))
			count(&worker->gone);
		else
			count(value == want ? &worker->done : &worker->wrong);
	}
	return NULL;
}

/* A mapping and threads that never pause. */
struct busy {
	struct scene scene;
	struct worker *workers;
	struct bar watch;	/* the BAR, whatever VFIO says */
	unsigned int dmabufs;
	int dmabuf;
	__u8 *map;
};

static void start_worker(struct worker *worker, __u8 *map, struct bar *bar,
			 void *(*work)(void *arg))
{
	worker->map = map;
	worker->seed = (size_t)worker;
	bar_expect(bar, several, 0, worker->want, SIZE);
	if (pthread_create(&worker->thread, NULL, work, worker))
		die("no thread");
}

/* Each has had its turn, in 10 s at most. */
static int await_workers(struct busy *busy)
{
	const __u64 limit = now_ms() + 10000;
	int i;

	for (i = 0; i < NR_THREADS; i++) {
		while (__atomic_load_n(&busy->workers[i].done,
				       __ATOMIC_RELAXED) <= AT_LEAST) {
			if (now_ms() > limit)
				return -ETIMEDOUT;
			usleep(1000);
		}
	}
	return 0;
}

static int busy_open(struct busy *busy)
{
	int err, i;

	busy->dmabufs = count_dmabufs();
	scene_open(&busy->scene, PCI_ID_IVSHMEM, WINDOW);
	busy->dmabuf = scene_export(&busy->scene, several);
	err = bar_open_sysfs(&busy->watch, busy->scene.exporter.name, SCENE_BAR,
			     WINDOW);
	if (!err)
		err = dmabuf_map(busy->dmabuf, 0, SIZE, RW, &busy->map);
	busy->workers = calloc(NR_THREADS, sizeof(*busy->workers));
	if (err || !busy->workers)
		return err ? err : -ENOMEM;
	for (i = 0; i < NR_THREADS; i++)
		start_worker(&busy->workers[i], busy->map, &busy->scene.bar,
			     i ? read_on : write_on);
	return await_workers(busy);
}

static void stop_workers(struct busy *busy)
{
	int i;

	for (i = 0; i < NR_THREADS; i++) {
		if (busy->workers[i].stop)
			continue;
		__atomic_store_n(&busy->workers[i].stop, true, __ATOMIC_RELAXED);
		pthread_join(busy->workers[i].thread, NULL);
	}
}

/* Returns how many dma-bufs are left. */
static unsigned int busy_close(struct busy *busy)
{
	stop_workers(busy);
	free(busy->workers);
	munmap(busy->map, SIZE);
	close(busy->dmabuf);
	bar_close(&busy->watch);
	scene_close(&busy->scene);
	return settle_dmabufs(busy->dmabufs) - busy->dmabufs;
}

/* No thread has read a wrong byte; all together got signals. */
static void check_workers(struct __test_metadata *_metadata, struct busy *busy)
{
	const struct worker *worker;
	__u64 gone = 0;

	for (worker = busy->workers; worker < busy->workers + NR_THREADS;
	     worker++) {
		TH_LOG("%llu accesses, %llu signals", worker->done,
		       worker->gone);
		EXPECT_EQ(0, worker->wrong);
		EXPECT_LT(AT_LEAST, worker->done);
		gone += worker->gone;
	}
	EXPECT_LT(AT_LEAST, gone);
}

FIXTURE(busy)
{
	struct busy busy;
};

FIXTURE_VARIANT(busy)
{
	int (*act)(struct scene *scene, int dmabuf);
	unsigned int times;
};

FIXTURE_VARIANT_ADD(busy, memory) { toggle_memory, 60 };
FIXTURE_VARIANT_ADD(busy, owner) { toggle_owner, 200 };
FIXTURE_VARIANT_ADD(busy, ioctl_reset) { ioctl_reset, 20 };
FIXTURE_VARIANT_ADD(busy, sysfs_reset) { sysfs_reset, 20 };
FIXTURE_VARIANT_ADD(busy, hot_reset) { hot_reset, 3 };

FIXTURE_SETUP(busy)
{
	ASSERT_EQ(0, busy_open(&self->busy));
}

FIXTURE_TEARDOWN(busy)
{
	EXPECT_EQ(0, busy_close(&self->busy));
}

TEST_F_TIMEOUT(busy, no_wrong_byte, LONG_LIMIT)
{
	struct busy *busy = &self->busy;
	struct scene *scene = &busy->scene;
	unsigned int i;

	for (i = 0; i < times(variant->times); i++) {
		ASSERT_EQ(0, variant->act(scene, busy->dmabuf));
		usleep(1000);
	}
	stop_workers(busy);
	check_workers(_metadata, busy);
	bar_take(&scene->bar, several, 0, 8);
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, works(scene, busy->map, 0, SIZE));
}

/*
 * Once the call has returned nothing arrives, although the device decodes: behind
 * VFIO's back, or because only the owner took the buffer.
 */

static int expose(struct scene *scene)
{
	return pci_raw_set_memory(scene->exporter.name, true);
}

static int hide(struct scene *scene)
{
	return pci_raw_set_memory(scene->exporter.name, false);
}

static int nothing(struct scene *scene)
{
	return 0;
}

FIXTURE(quiet)
{
	struct busy busy;
};

FIXTURE_VARIANT(quiet)
{
	int (*go)(struct scene *scene, int dmabuf);
	int (*come)(struct scene *scene, int dmabuf);
	int (*expose)(struct scene *scene);
	int (*hide)(struct scene *scene);
};

FIXTURE_VARIANT_ADD(quiet, memory) { memory_off, memory_on, expose, hide };
FIXTURE_VARIANT_ADD(quiet, owner) { take, give, nothing, nothing };

FIXTURE_SETUP(quiet)
{
	ASSERT_EQ(0, busy_open(&self->busy));
}

FIXTURE_TEARDOWN(quiet)
{
	EXPECT_EQ(0, busy_close(&self->busy));
}

static __u64 count_in_bar(const struct bar *bar)
{
	const __u8 *counter = bar->map + several_ranges[0].offset;

	return __atomic_load_n((const __u64 *)counter, __ATOMIC_RELAXED);
}

/* The writer does nothing to the BAR for 2 ms. */
static bool is_still(const struct bar *bar)
{
	__u64 before = count_in_bar(bar);

	usleep(2000);
	return before == count_in_bar(bar);
}

/* It writes, in a second at most. */
static bool goes_on(const struct bar *bar)
{
	const __u64 limit = now_ms() + 1000;
	__u64 before = count_in_bar(bar);

	while (before == count_in_bar(bar) && now_ms() < limit)
		usleep(100);
	return before != count_in_bar(bar);
}

TEST_F_TIMEOUT(quiet, nothing_arrives, LONG_LIMIT)
{
	struct busy *busy = &self->busy;
	unsigned int i;

	for (i = 0; i < times(50); i++) {
		ASSERT_TRUE(goes_on(&busy->watch));
		ASSERT_EQ(0, variant->go(&busy->scene, busy->dmabuf));
		ASSERT_EQ(0, variant->expose(&busy->scene));
		EXPECT_TRUE(is_still(&busy->watch));
		ASSERT_EQ(0, variant->hide(&busy->scene));
		ASSERT_EQ(0, variant->come(&busy->scene, busy->dmabuf));
	}
	stop_workers(busy);
	check_workers(_metadata, busy);
}

/* The device is closed while threads fault. */
FIXTURE(closing)
{
	struct busy busy;
};

FIXTURE_SETUP(closing)
{
	ASSERT_EQ(0, busy_open(&self->busy));
}

FIXTURE_TEARDOWN(closing)
{
	EXPECT_EQ(0, busy_close(&self->busy));
}

TEST_F_TIMEOUT(closing, for_good, LIMIT)
{
	struct busy *busy = &self->busy;

	ASSERT_TRUE(goes_on(&busy->watch));
	scene_close_exporter(&busy->scene);
	ASSERT_EQ(0, scene_reopen_exporter(&busy->scene));
	EXPECT_TRUE(is_still(&busy->watch));
	usleep(20000);
	EXPECT_TRUE(is_still(&busy->watch));
	stop_workers(busy);
	check_workers(_metadata, busy);
	EXPECT_EQ(0, is_gone(busy->map, SIZE));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: a render node that is not there.
 *
 * pyverbs' dma-buf tests get their memory from a GPU: they open a render node, ask
 * amdgpu for a buffer object, export it as dma-buf, and mmap() the node to reach
 * it by the CPU. This answers for the node; the memory is of the kind that
 * DRM_DMABUF names (see tests/lib/backing.h).
 *
 * shared: yes
 * libs: c
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <drm/amdgpu_drm.h>
#include <drm/drm.h>

#include "backing.h"

#define NODE		"/dev/dri/renderD"
#define NR_OBJECTS	64
#define OFFSET_SHIFT	32	/* mmap() offsets: handle << OFFSET_SHIFT */

/* Handles count from 1. size 0: free. */
static struct backing objects[NR_OBJECTS];

/* Every descriptor of the node is a duplicate of this one. */
static int node = -1;

#define NEXT(function)	((typeof(function) *)dlsym(RTLD_NEXT, #function))

static int open_node(int flags)
{
	if (node < 0)
		node = memfd_create("render node", MFD_CLOEXEC);
	if (node < 0)
		return -1;
	return fcntl(node, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
}

static bool is_node(int fd)
{
	struct stat ours, theirs;

	return node >= 0 && !fstat(node, &ours) && !fstat(fd, &theirs) &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static struct backing *find(__u64 handle)
{
	if (!handle || handle > NR_OBJECTS || !objects[handle - 1].size)
		return NULL;
	return &objects[handle - 1];
}

static int version(struct drm_version *version)
{
	static const char name[] = "amdgpu";

	if (version->name)
		snprintf(version->name, version->name_len, "%s", name);
	version->name_len = strlen(name);
	return 0;
}

static int create(union drm_amdgpu_gem_create *arg)
{
	const char *kind = getenv("DRM_DMABUF");
	unsigned int i = 0;
	int err;

	while (i < NR_OBJECTS && objects[i].size)
		i++;
	if (i == NR_OBJECTS || !arg->in.bo_size)
		return i == NR_OBJECTS ? -ENOMEM : -EINVAL;
	err = backing_new(&objects[i], kind ? kind : "heap", arg->in.bo_size);
	if (err) {
		fprintf(stderr, "drm_dmabuf: no memory: %s\n", strerror(-err));
		objects[i].size = 0;
		return err;
	}
	memset(arg, 0, sizeof(*arg));
	arg->out.handle = i + 1;
	return 0;
}

static int mmap_offset(union drm_amdgpu_gem_mmap *arg)
{
	__u64 handle = arg->in.handle;

	if (!find(handle))
		return -ENOENT;
	arg->out.addr_ptr = handle << OFFSET_SHIFT;
	return 0;
}

static int export(struct drm_prime_handle *arg)
{
	struct backing *object = find(arg->handle);

	if (!object)
		return -ENOENT;
	arg->fd = fcntl(object->dmabuf, F_DUPFD_CLOEXEC, 0);
	return arg->fd < 0 ? -errno : 0;
}

static int gem_close(struct drm_gem_close *arg)
{
	struct backing *object = find(arg->handle);

	if (!object)
		return -EINVAL;
	backing_free(object);
	object->size = 0;
	return 0;
}

static int node_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case DRM_IOCTL_VERSION:
		return version(arg);
	case DRM_IOCTL_AMDGPU_GEM_CREATE:
		return create(arg);
	case DRM_IOCTL_AMDGPU_GEM_MMAP:
		return mmap_offset(arg);
	case DRM_IOCTL_PRIME_HANDLE_TO_FD:
		return export(arg);
	case DRM_IOCTL_GEM_CLOSE:
		return gem_close(arg);
	default:
		return -ENOTTY;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *arg;
	int err;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	if (!is_node(fd))
		return NEXT(ioctl)(fd, request, arg);
	err = node_ioctl(request, arg);
	if (err)
		errno = -err;
	return err ? -1 : 0;
}

int open(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = va_arg(list, mode_t);
	va_end(list);
	if (!strncmp(path, NODE, strlen(NODE)))
		return open_node(flags);
	return NEXT(open)(path, flags, mode);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	struct backing *object;

	if (fd < 0 || !is_node(fd))
		return NEXT(mmap64)(addr, len, prot, flags, fd, offset);
	object = find(offset >> OFFSET_SHIFT);
	if (!object) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return NEXT(mmap64)(addr, len, prot, flags, object->map_fd,
			    object->map_offset);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return mmap64(addr, len, prot, flags, fd, offset);
}

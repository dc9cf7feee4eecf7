// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once, in an order that a seed decides.
 *
 * Threads export BARs by VFIO (several ranges each) and system memory by old
 * exporters, import them in every way there is, and take the memory away and
 * give it back meanwhile, close what they have in any order, and have children
 * do the same that are killed at any moment.
 *
 * Two devices export: ivshmem and the nvme's memory buffer. Both are attached to
 * page tables of the IOASes into which everything is mapped, so they are what
 * makes domains come and go, too. One edu device imports by DMA view, scatterlist
 * and CPU view, the other one is the test RDMA device; rxe is a third.
 *
 * In every other slice the ivshmem is the video memory of dma-buf-test-vram, too
 * small for all objects, which are moved to and fro under all these importers.
 * What is pinned stays, and the bytes of an object go with it.
 *
 * Threads also map buffers for the CPU, whose accesses get SIGBUS while there is
 * no memory, and as the device's owner take single buffers back, for a while or for
 * good.
 *
 * Each errno is compared with what the documentation says for the state that the
 * memory is in. A state has a number, odd while it changes. If it is the same
 * before and after a call, there is one right answer; else there are two. Bytes
 * written through a view are read back through the view and through VFIO. After
 * a suspend, debugfs shows no map of the device's buffers.
 *
 * It goes by slices. At the end of each, everything is closed, and nothing must
 * be left. --from=N goes on after slice N of an earlier run.
 *
 * flavour: debug
 * topology: root
 * tier: check
 * timeout: 400
 * leak: yes
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backing.h"
#include "iommufd.h"
#include "leaks.h"
#include "mapping.h"
#include "moving.h"
#include "report.h"
#include "testdrv.h"
#include "uverbs.h"
#include "vfio.h"

#define PAGE		0x1000ULL
#define BAR		2
#define RXE		"rxe_stress"
#define NETDEV		"stress0"
#define VRAM_KB		320	/* the slots want 384, and there are more objects */
#define MAX_THREADS	8
#define NR_IOAS		3
#define NR_AREAS	4	/* per thread and IOAS */
#define NR_IMPORTERS	2	/* per thread */
#define NR_MRS		3	/* per thread and RDMA device */
#define NR_USERS	2	/* mappings for the CPU, per thread */
#define NR_TAKEN	65536	/* buffers of a slice, at most */
#define NR_RANGES	3
#define WINDOW		0x40000000ULL	/* of I/O address space, per thread */
#define MR_IOVA		0x7000000000ULL
#define HANG_MS		90000

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum op_kind {
	EXPORT, ATTACH, IOAS_MAP, COPY, DMA, SGT, CPU, REMAP, RXE_MR, IB_MR,
	DOMAIN, ACCESS, UNMAP, SUSPEND, RESTORE, RESET, REVOKE, CLOSE, KILL, MOVE,
	USER_MAP, TOUCH, TAKE,
	NR_OPS
};

static const char * const op_names[NR_OPS] = {
	"export", "attach", "map file", "copy", "dma map", "sgt map", "cpu map",
	"cpu remap", "rxe mr", "ib mr", "domain", "access", "unmap", "suspend",
	"restore", "reset", "revoke", "close", "kill", "move", "mmap", "touch",
	"take",
};

static struct {
	unsigned long seed;
	unsigned long ops;	/* stop after so many, 0: by time */
	unsigned long seconds;
	unsigned long threads;
	unsigned long slice_ops;
	unsigned long from;
	unsigned long break_it;
} opt = { .seconds = 60, .threads = 4, .slice_ops = 50000 };

static atomic_bool stop, failed;
static atomic_ulong total_ops;

static __u64 next_random(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * Exporters
 */

enum memory { LIVE, AWAY, GONE, CHANGED };
enum away { NOT_AWAY, BY_DECODE, BY_POWER };

struct exporter {
	struct pci_id id;
	bool d3hot;		/* low power is D3hot, not VFIO's feature */
	char name[PCI_NAME_LEN];

	bool moves;		/* in this slice: by dma-buf-test-vram, not VFIO */

	/* For reading: use @dev.fd or @vram. For writing: change what the memory is. */
	pthread_rwlock_t lock;
	struct vfio_dev dev;
	int vram;
	__u64 bar_offset;	/* in the device's file */
	enum away away;
	__u32 hwpt;		/* under @domain_lock, 0: none */
	pthread_mutex_t domain_lock;

	/* Written under @lock; @version is odd while the others change. */
	atomic_uint version;
	atomic_uint opens;	/* number of the present open, 0: closed */
	atomic_bool is_away;
	atomic_uint woken;	/* number of the reset that ended D3hot, 0: none */
	unsigned int nr_opens, nr_woken;
};

static struct exporter exporters[] = {
	{ .id = { 0x1af4, 0x1110 } },
	{ .id = { 0x1b36, 0x0010 }, .d3hot = true },
};

#define NR_EXPORTERS	ARRAY_SIZE(exporters)

/* What the owner of the device did to one buffer; @version as of an exporter. */
struct taken {
	pthread_mutex_t lock;		/* who does it next */
	atomic_uint version;
	atomic_bool is_away, is_gone;	/* written under @lock */
};

/* All of a slice, none is used twice. */
static struct taken all_taken[NR_TAKEN];
static atomic_uint nr_taken;

/* What a buffer is, and a file descriptor of its own while in use. */
struct buffer {
	int fd;
	struct exporter *exporter;	/* NULL: system memory */
	struct taken *taken;		/* NULL: cannot be */
	unsigned int opens, woken;	/* of the exporter */
	unsigned int slot;
	__u64 size;
	bool moves;
	__u32 policy;			/* of what moves: DBV_FETCH and so on */
};

struct watch {
	const struct buffer *buf;
	unsigned int version;
	enum memory memory;
};

static enum memory memory_now(const struct buffer *buf)
{
	struct exporter *exporter = buf->exporter;

	if (!exporter)
		return LIVE;
	if (atomic_load(&exporter->version) & 1)
		return CHANGED;
	if (atomic_load(&exporter->opens) != buf->opens)
		return GONE;
	if (buf->taken && atomic_load(&buf->taken->version) & 1)
		return CHANGED;
	if (buf->taken && atomic_load(&buf->taken->is_gone))
		return GONE;
	if (buf->taken && atomic_load(&buf->taken->is_away))
		return AWAY;
	if (buf->woken && buf->woken == atomic_load(&exporter->woken))
		return LIVE;
	return atomic_load(&exporter->is_away) ? AWAY : LIVE;
}

/* Both only count up. */
static unsigned int version_of(const struct buffer *buf)
{
	unsigned int version = 0;

	if (buf->exporter)
		version += atomic_load(&buf->exporter->version);
	if (buf->taken)
		version += atomic_load(&buf->taken->version);
	return version;
}

static struct watch watch(const struct buffer *buf)
{
	struct watch now = { .buf = buf, .version = version_of(buf) };

	now.memory = memory_now(buf);
	return now;
}

/* What the memory was from watch() until now. Once it is gone it stays so. */
static enum memory watched(const struct watch *then)
{
	if (then->memory == GONE || !then->buf->exporter)
		return then->memory;
	if (version_of(then->buf) != then->version)
		return CHANGED;
	return then->memory;
}

/* The owner of @lock for writing is about to change the state, or has. */
static void change(struct exporter *exporter)
{
	atomic_fetch_add(&exporter->version, 1);
}

/*
 * Buffers. Slots are shared by all threads, each use has a descriptor of its own,
 * so that a slot may be closed while it is used.
 */

static struct slot {
	pthread_mutex_t lock;
	struct buffer buf;	/* fd is -1 if there is none */
	ino_t ino;
} slots[] = {
	{ .buf.exporter = &exporters[0] }, { .buf.exporter = &exporters[0] },
	{ .buf.exporter = &exporters[0] }, { .buf.exporter = &exporters[1] },
	{ .buf.exporter = &exporters[1] }, { .buf.exporter = NULL },
	{ .buf.exporter = NULL },
};

#define NR_SLOTS	ARRAY_SIZE(slots)
#define HEAP_SLOT	5

/* A slot always has the same ranges, so that a page of it has one writer. */
static void slot_ranges(unsigned int slot, struct vfio_region_dma_range *range)
{
	__u64 base = slot * 0x400000ULL;

	if (slot >= 3)
		base -= 3 * 0x400000ULL;
	range[0] = (struct vfio_region_dma_range){ base + 0x40000, 0x8000 };
	range[1] = (struct vfio_region_dma_range){ base + 0x1000, 0x3000 };
	range[2] = (struct vfio_region_dma_range){ base + 0x200000, 0x5000 };
	if (slot == 1)
		range[2].length = 0x200000;
}

static __u64 slot_size(unsigned int slot)
{
	struct vfio_region_dma_range range[NR_RANGES];

	slot_ranges(slot, range);
	return range[0].length + range[1].length + range[2].length;
}

/*
 * Threads
 */

struct area {
	__u64 len;		/* 0: nothing mapped */
};

struct importer {
	int fd;
	bool attached;
	__u32 flags;
	struct buffer buf;	/* without a descriptor */
	bool tried;		/* mapped once, whether it still is or not */
	__u64 offset, len;	/* what was mapped */
	struct watch since;	/* state in which it was mapped the last time */
	bool wrote;		/* by a CPU view to what moves: */
	__u64 value;		/* what is still there */
};

struct rdma {
	const char *ibdev;
	__u32 driver;
	struct uverbs verbs;
	__u32 pd;
	struct mr {
		bool used;
		bool dynamic;
		struct uverbs_mr mr;
		struct buffer buf;
		struct watch since;
	} mrs[NR_MRS];
};

/* A mapping for the CPU, of a page. */
struct user {
	__u8 *map;		/* NULL: none */
	struct buffer buf;	/* without a descriptor */
	__u64 offset;
};

struct thread {
	pthread_t thread;
	unsigned int id;
	__u64 random;
	atomic_ulong ok[NR_OPS];
	atomic_ulong refused[NR_OPS];
	atomic_uintptr_t doing;		/* what, as text; 0: nothing */
	atomic_ullong since_ms;
	struct area areas[NR_IOAS][NR_AREAS];
	struct importer importers[NR_IMPORTERS];
	struct user users[NR_USERS];
	struct rdma rxe, ib;
	struct moving moving;
	int zygote;		/* socket */
	pid_t zygote_pid;
};

static struct thread threads[MAX_THREADS];
static int iommufd, ibdev_fd;
static bool can_move;		/* there is the driver */
static __u32 ioases[NR_IOAS];
static char importer_name[PCI_NAME_LEN], ibdev_pci[PCI_NAME_LEN];
static char ibdev_name[IBDEV_NAME_LEN];
static pthread_mutex_t ibdev_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned int below(struct thread *t, unsigned int limit)
{
	return (next_random(&t->random) >> 11) % limit;
}

static void fail(const char *fmt, ...) like_printf;

static void fail(const char *fmt, ...)
{
	va_list args;

	flockfile(stdout);
	printf("# WRONG: ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	funlockfile(stdout);
	atomic_store(&failed, true);
	atomic_store(&stop, true);
}

static void must(const char *what, int err)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

static void begin(struct thread *t, const char *what)
{
	atomic_store(&t->since_ms, now_ms());
	atomic_store(&t->doing, (uintptr_t)what);
}

static const char *doing(const struct thread *t)
{
	return (const char *)atomic_load(&t->doing);
}

static void count(struct thread *t, enum op_kind op, int err)
{
	atomic_fetch_add(err ? &t->refused[op] : &t->ok[op], 1);
	atomic_fetch_add(&total_ops, 1);
}

/* What may be answered. */
enum rule {
	ALWAYS,			/* succeeds */
	ATTACHES,		/* unless it is gone */
	MAPS,			/* if it is there */
	MAPS_NEAR,		/* and if it can leave video memory */
	REFUSED,		/* does not go together */
	MAY_BE_BUSY,
	MAY_BE_FULL,		/* or busy */
};

static bool right(enum rule rule, enum memory memory, int err)
{
	const int good = rule == REFUSED ? -EOPNOTSUPP : 0;

	if (rule == ALWAYS)
		return !err;
	if (rule == MAY_BE_BUSY || rule == MAY_BE_FULL)
		return !err || err == -EBUSY ||
		       (rule == MAY_BE_FULL && err == -ENOSPC);
	switch (memory) {
	case LIVE:
		return err == good;
	case AWAY:
		return err == (rule >= MAPS && rule <= MAPS_NEAR ? -ENODEV :
								   good);
	case GONE:
		return err == -ENODEV;
	default:
		return err == good || err == -ENODEV;
	}
}

/* Memory that moves, and is not gone, may be in the wrong place for a map. */
static bool out_of_place(enum rule rule, const struct buffer *buf,
			 enum memory memory, int err)
{
	if (!buf->moves || memory == GONE)
		return false;
	if (rule == MAPS_NEAR && err == -EOPNOTSUPP)
		return true;
	return (rule == MAPS || rule == MAPS_NEAR) && err == -ENOSPC &&
	       buf->policy & DBV_NO_RAM;
}

static const char * const memory_names[] = {
	"there", "away", "gone", "on its way"
};

/* Count the operation and judge its result. */
static int judge(struct thread *t, enum op_kind op, enum rule rule,
		 const struct watch *then, int err)
{
	enum memory memory = then ? watched(then) : LIVE;

	if (opt.break_it == 1 && memory == AWAY && rule == MAPS)
		memory = LIVE;
	count(t, op, err);
	if (!right(rule, memory, err) &&
	    !(then && out_of_place(rule, then->buf, memory, err)))
		fail("%s (%s) of slot %d: %s, memory %s, rule %d",
		     op_names[op], doing(t), then ? (int)then->buf->slot : -1,
		     strerror(-err), memory_names[memory], rule);
	return err;
}

static void buffer_put(struct buffer *buf)
{
	close(buf->fd);
	buf->fd = -1;
}

/* Whatever was in the slot is closed. */
static void slot_set(struct thread *t, unsigned int nr, struct buffer buf)
{
	struct slot *slot = &slots[nr];
	struct stat st = {};
	int old;

	if (buf.fd >= 0)
		fstat(buf.fd, &st);
	pthread_mutex_lock(&slot->lock);
	old = slot->buf.fd;
	slot->buf = buf;
	slot->ino = st.st_ino;
	pthread_mutex_unlock(&slot->lock);
	if (old >= 0) {
		close(old);
		count(t, CLOSE, 0);
	}
}

/*
 * Operations: export and close
 */

static void export_system(struct thread *t, unsigned int nr)
{
	struct backing backing;
	int err = backing_new(&backing, nr == HEAP_SLOT ? "heap" : "udmabuf",
			      slot_size(nr));

	judge(t, EXPORT, ALWAYS, NULL, err);
	if (!err)
		slot_set(t, nr, (struct buffer){
			.fd = backing.dmabuf, .slot = nr, .size = backing.size,
		});
}

static int export_moving(struct thread *t, struct exporter *exporter,
			 struct buffer *buf)
{
	static const __u32 policies[] = { 0, 0, DBV_FETCH, DBV_NO_RAM, DBV_STAY };

	buf->moves = true;
	buf->policy = policies[below(t, ARRAY_SIZE(policies))];
	buf->size = buf->slot == 1 ? 0x40000 : 0x10000;
	return vram_create(exporter->vram, buf->size, buf->policy);
}

static int export_vfio(struct exporter *exporter, struct buffer *buf)
{
	struct vfio_region_dma_range ranges[NR_RANGES];
	unsigned int nr = atomic_fetch_add(&nr_taken, 1);

	if (nr >= NR_TAKEN)
		die("more than %u buffers in a slice", NR_TAKEN);
	buf->taken = &all_taken[nr];
	slot_ranges(buf->slot, ranges);
	return vfio_export(&exporter->dev, BAR, ranges, NR_RANGES);
}

static void export_bar(struct thread *t, unsigned int nr)
{
	struct exporter *exporter = slots[nr].buf.exporter;
	struct buffer buf = {
		.exporter = exporter, .slot = nr, .size = slot_size(nr),
	};

	pthread_rwlock_rdlock(&exporter->lock);
	buf.opens = atomic_load(&exporter->opens);
	buf.woken = atomic_load(&exporter->woken);
	if (buf.opens) {
		buf.fd = exporter->moves ?
				 export_moving(t, exporter, &buf) :
				 export_vfio(exporter, &buf);
		judge(t, EXPORT, ALWAYS, NULL, buf.fd < 0 ? buf.fd : 0);
	}
	pthread_rwlock_unlock(&exporter->lock);
	if (buf.opens && buf.fd >= 0)
		slot_set(t, nr, buf);
}

static void export(struct thread *t, unsigned int nr)
{
	begin(t, "export");
	if (slots[nr].buf.exporter)
		export_bar(t, nr);
	else
		export_system(t, nr);
}

static bool slot_dup(unsigned int nr, struct buffer *buf)
{
	struct slot *slot = &slots[nr];

	pthread_mutex_lock(&slot->lock);
	*buf = slot->buf;
	if (buf->fd >= 0)
		buf->fd = dup(buf->fd);
	pthread_mutex_unlock(&slot->lock);
	return buf->fd >= 0;
}

/*
 * Most of what is found gone, or not there, is exported anew, or all would be
 * refused most of the time. Returns false if there is nothing in the slot.
 */
static bool buffer_get(struct thread *t, unsigned int nr, struct buffer *buf)
{
	bool found = slot_dup(nr, buf);

	if ((found && memory_now(buf) != GONE) || !below(t, 8))
		return found;
	if (found)
		buffer_put(buf);
	export(t, nr);
	return slot_dup(nr, buf);
}

static void op_export(struct thread *t)
{
	export(t, below(t, NR_SLOTS));
}

static void op_close_buffer(struct thread *t)
{
	unsigned int nr = below(t, NR_SLOTS);

	begin(t, "close dma-buf");
	slot_set(t, nr, (struct buffer){
		.fd = -1, .exporter = slots[nr].buf.exporter, .slot = nr,
	});
}

/*
 * Operations: iommufd
 */

static __u64 area_iova(const struct thread *t, unsigned int area)
{
	return WINDOW * (t->id + 4) + area * (WINDOW / NR_AREAS);
}

static void unmap_area(struct thread *t, unsigned int ioas, unsigned int area)
{
	struct area *a = &t->areas[ioas][area];
	__u64 unmapped = 0;
	int err;

	begin(t, "unmap");
	err = ioas_unmap(iommufd, ioases[ioas], area_iova(t, area), a->len,
			 &unmapped);
	judge(t, UNMAP, ALWAYS, NULL, err);
	if (!err && unmapped != a->len)
		fail("unmapped %llu of %llu bytes", unmapped, a->len);
	a->len = 0;
}

static void copy_area(struct thread *t, unsigned int from, unsigned int area)
{
	unsigned int to = (from + 1 + below(t, NR_IOAS - 1)) % NR_IOAS;
	__u64 src = area_iova(t, area), dst = src;
	struct area *a = &t->areas[from][area];

	if (t->areas[to][area].len) {
		unmap_area(t, to, area);
		return;
	}
	begin(t, "copy");
	if (!judge(t, COPY, ALWAYS, NULL,
		   ioas_copy(iommufd, ioases[to], &dst, ioases[from], src,
			     a->len, MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA)))
		t->areas[to][area].len = a->len;
}

/* A slice of whole pages. */
static void pick_pages(struct thread *t, const struct buffer *buf, __u64 *start,
		       __u64 *len)
{
	__u64 pages = buf->size / PAGE;

	*start = 0;
	*len = buf->size;
	if (below(t, 2))
		return;
	*start = below(t, pages);
	*len = (1 + below(t, pages - *start)) * PAGE;
	*start *= PAGE;
}

static int map_file(struct thread *t, int fd, __u32 ioas, __u64 iova,
		    const struct buffer *buf, __u64 *len)
{
	struct watch then = watch(buf);
	__u64 start;
	int err;

	pick_pages(t, buf, &start, len);
	err = ioas_map_file(fd, ioas, buf->fd, start, *len, &iova,
			    MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
	return judge(t, IOAS_MAP, MAPS, &then, err);
}

static void op_area(struct thread *t)
{
	unsigned int ioas = below(t, NR_IOAS), area = below(t, NR_AREAS);
	struct area *a = &t->areas[ioas][area];
	struct buffer buf;
	__u64 len;

	if (a->len) {
		if (below(t, 2))
			copy_area(t, ioas, area);
		else
			unmap_area(t, ioas, area);
		return;
	}
	if (!buffer_get(t, below(t, 16) ? below(t, HEAP_SLOT) : HEAP_SLOT, &buf))
		return;
	begin(t, "map file");
	if (!map_file(t, iommufd, ioases[ioas], area_iova(t, area), &buf, &len))
		a->len = len;
	buffer_put(&buf);
}

/* An IOAS, or an iommufd, that is given up with everything in it. */
static void op_give_up(struct thread *t)
{
	struct buffer buf;
	bool own = below(t, 2);
	__u64 len, unmapped;
	int err, fd;
	__u32 ioas;

	if (!buffer_get(t, below(t, HEAP_SLOT), &buf))
		return;
	begin(t, own ? "close iommufd" : "destroy ioas");
	fd = own ? iommufd_open() : iommufd;
	err = ioas_alloc(fd, &ioas);
	if (err)
		fail("alloc ioas: %s", strerror(-err));
	map_file(t, fd, ioas, WINDOW, &buf, &len);
	map_file(t, fd, ioas, 2 * WINDOW, &buf, &len);
	if (own)
		close(fd);
	else
		err = iommufd_destroy(fd, ioas);
	/* One that is mapped has to be unmapped before it is destroyed. */
	if (!own && err == -EBUSY) {
		ioas_unmap(fd, ioas, 0, ~0ULL, &unmapped);
		err = iommufd_destroy(fd, ioas);
	}
	judge(t, CLOSE, ALWAYS, NULL, err);
	buffer_put(&buf);
}

static void domain_step(struct thread *t, struct exporter *exporter)
{
	__u32 ioas = ioases[below(t, NR_IOAS)];
	enum rule rule = ALWAYS;
	int err = 0;

	switch (below(t, 4)) {
	case 0:
		if (!exporter->hwpt) {
			err = hwpt_alloc(iommufd, exporter->dev.id, ioas,
					 &exporter->hwpt);
		} else {
			err = iommufd_destroy(iommufd, exporter->hwpt);
			rule = MAY_BE_BUSY;
			if (!err)
				exporter->hwpt = 0;
		}
		break;
	case 1:
		err = vfio_attach(&exporter->dev, exporter->hwpt ?: ioas);
		break;
	case 2:
		err = vfio_attach(&exporter->dev, ioas);
		break;
	case 3:
		err = vfio_detach(&exporter->dev);
		break;
	}
	judge(t, DOMAIN, rule, NULL, err);
}

/* Page tables of the IOASes come and go, and with them what is mapped. */
static void op_domain(struct thread *t)
{
	struct exporter *exporter = &exporters[below(t, NR_EXPORTERS)];

	begin(t, "domain");
	pthread_rwlock_rdlock(&exporter->lock);
	if (atomic_load(&exporter->opens) && !exporter->moves) {
		pthread_mutex_lock(&exporter->domain_lock);
		domain_step(t, exporter);
		pthread_mutex_unlock(&exporter->domain_lock);
	}
	pthread_rwlock_unlock(&exporter->lock);
}

/*
 * Operations: the test importer
 */

#define DBT_CPU	(DBT_ATTACH_CLASS | DBT_ATTACH_CPU)

static const __u32 attach_flags[] = {
	DBT_CPU, DBT_CPU, DBT_CPU, DBT_ATTACH_CLASS,
	DBT_ATTACH_CLASS | DBT_ATTACH_PIN, 0, DBT_ATTACH_STATIC,
	DBT_ATTACH_CLASS | DBT_ATTACH_NO_INVALIDATE | DBT_ATTACH_PIN,
	DBT_ATTACH_NO_PEER2PEER,
};

static enum rule attach_rule(const struct importer *importer)
{
	if (!importer->buf.exporter)
		return ALWAYS;
	if (importer->flags & (DBT_ATTACH_STATIC | DBT_ATTACH_NO_INVALIDATE))
		return REFUSED;
	if (importer->flags & DBT_ATTACH_NO_PEER2PEER &&
	    (!importer->buf.moves || importer->buf.policy & DBV_NO_RAM))
		return REFUSED;
	return importer->flags & DBT_ATTACH_PIN ? MAPS : ATTACHES;
}

/* Who does not reach video memory may find it pinned there. */
static enum rule map_rule(const struct importer *importer)
{
	return importer->flags & DBT_ATTACH_NO_PEER2PEER ? MAPS_NEAR : MAPS;
}

static void importer_do_attach(struct thread *t, struct importer *importer)
{
	struct watch then;
	__u32 delay = 0;
	int err;

	if (!buffer_get(t, below(t, NR_SLOTS), &importer->buf))
		return;
	begin(t, "attach");
	importer->flags = attach_flags[below(t, ARRAY_SIZE(attach_flags))];
	/* Who pinned unmaps at once; who sleeps in a section holds up all. */
	if (importer->flags == DBT_ATTACH_CLASS || !importer->flags)
		delay = below(t, 2) ? below(t, 20) : 0;
	then = watch(&importer->buf);
	err = importer_attach(importer->fd, importer->buf.fd, importer->flags,
			      delay);
	judge(t, ATTACH, attach_rule(importer), &then, err);
	importer->attached = !err;
	importer->tried = false;
	importer->wrote = false;
	buffer_put(&importer->buf);
}

static enum op_kind map_op(const struct importer *importer)
{
	if (importer->flags & DBT_ATTACH_CPU)
		return CPU;
	return importer->flags & DBT_ATTACH_CLASS ? DMA : SGT;
}

static void importer_do_map(struct thread *t, struct importer *importer)
{
	struct watch then = watch(&importer->buf);
	__u64 offset = 0, len = importer->buf.size;
	int err;

	begin(t, "importer map");
	/* A static importer of an old exporter has to take all of it. */
	if (importer->flags & DBT_ATTACH_CLASS && below(t, 2)) {
		offset = below(t, len);
		len = 1 + below(t, len - offset);
	}
	if (importer->flags & DBT_ATTACH_CLASS)
		err = importer_map(importer->fd, offset, len);
	else
		err = importer_map_all(importer->fd);
	judge(t, map_op(importer), map_rule(importer), &then, err);
	importer->tried = !err;
	importer->offset = offset;
	importer->len = len;
	importer->since = then;
}

/* The page of the slot that this thread writes to, as seen by the map. */
static bool own_place(const struct thread *t, const struct importer *importer,
		      __u64 *place)
{
	*place = t->id * PAGE + 0x40 + (importer - t->importers) * 0x40;
	return *place >= importer->offset &&
	       *place + 8 <= importer->offset + importer->len;
}

/* The BAR itself has it, too. */
static void check_bar(const struct buffer *buf, const struct watch *since,
		      __u64 place, __u64 want)
{
	struct exporter *exporter = buf->exporter;
	struct vfio_region_dma_range range[NR_RANGES];
	unsigned int i = 0;
	__u64 got = 0;

	if (pthread_rwlock_tryrdlock(&exporter->lock))
		return;
	slot_ranges(buf->slot, range);
	while (place >= range[i].length)
		place -= range[i++].length;
	if (memory_now(buf) == LIVE && watched(since) == LIVE) {
		if (pread(exporter->dev.fd, &got, 8, exporter->bar_offset +
			  range[i].offset + place) != 8)
			fail("read of the BAR: %s", strerror(errno));
		else if (got != want)
			fail("BAR of slot %u has %llx at %llx, not %llx",
			     buf->slot, got, range[i].offset + place,
			     want);
	}
	pthread_rwlock_unlock(&exporter->lock);
}

/* What became of an access through a view that may be dead. */
static void judge_access(struct thread *t, const struct importer *importer,
			 ssize_t done)
{
	enum memory memory = watched(&importer->since);

	count(t, ACCESS, done < 0);
	if (done == 8 && memory != AWAY && memory != GONE)
		return;
	if (done == -ENODEV && (memory != LIVE || importer->buf.moves))
		return;
	fail("access (%s) by slot %u: %zd, memory %s", doing(t),
	     importer->buf.slot, done, memory_names[memory]);
}

/* What was written before is there, wherever the memory has gone since. */
static void check_kept(struct thread *t, struct importer *importer, __u64 offset)
{
	__u64 got = ~importer->value;
	ssize_t done;

	begin(t, "read what was kept");
	done = importer_read(importer->fd, offset, &got, 8);
	judge_access(t, importer, done);
	if (opt.break_it == 4)
		got++;
	if (done == 8 && got != importer->value)
		fail("slot %u: kept %llx, not %llx", importer->buf.slot, got,
		     importer->value);
}

static void importer_do_access(struct thread *t, struct importer *importer)
{
	__u64 value = next_random(&t->random), got = ~value, place, offset;
	ssize_t done;

	if (!own_place(t, importer, &place))
		return;
	/* By DMA it takes 400 ms. */
	if (!(importer->flags & DBT_ATTACH_CPU) && below(t, 100))
		return;
	offset = place - importer->offset;
	if (importer->wrote)
		check_kept(t, importer, offset);
	begin(t, "write");
	done = importer_write(importer->fd, offset, &value, 8);
	judge_access(t, importer, done);
	if (done != 8)
		return;
	importer->wrote = importer->buf.moves &&
			  importer->flags & DBT_ATTACH_CPU;
	importer->value = value;
	begin(t, "read");
	done = importer_read(importer->fd, offset, &got, 8);
	judge_access(t, importer, done);
	if (opt.break_it == 2)
		got++;
	if (done == 8 && got != value && watched(&importer->since) == LIVE)
		fail("slot %u: read %llx, not %llx", importer->buf.slot, got,
		     value);
	if (importer->buf.exporter && !importer->buf.moves && done == 8)
		check_bar(&importer->buf, &importer->since, place, value);
}

static void importer_do_remap(struct thread *t, struct importer *importer)
{
	struct watch then = watch(&importer->buf);

	begin(t, "remap");
	if (!judge(t, REMAP, MAPS, &then, importer_remap(importer->fd)))
		importer->since = then;
}

static void importer_do_close(struct thread *t, struct importer *importer,
			      bool only_detach)
{
	begin(t, only_detach ? "detach" : "close importer");
	if (only_detach) {
		judge(t, UNMAP, ALWAYS, NULL, importer_detach(importer->fd));
	} else {
		close(importer->fd);
		count(t, CLOSE, 0);
		importer->fd = importer_reopen(importer_name);
		if (importer->fd < 0)
			fail("open importer: %s", strerror(-importer->fd));
	}
	importer->attached = false;
	importer->tried = false;
}

static void op_importer(struct thread *t)
{
	struct importer *importer = &t->importers[below(t, NR_IMPORTERS)];

	if (!importer->attached) {
		importer_do_attach(t, importer);
		return;
	}
	if (!below(t, 6)) {
		importer_do_close(t, importer, below(t, 2));
		return;
	}
	if (!importer->tried) {
		importer_do_map(t, importer);
		return;
	}
	switch (below(t, 5)) {
	case 0:
		begin(t, "importer unmap");
		judge(t, UNMAP, ALWAYS, NULL, importer_unmap(importer->fd));
		importer->tried = false;
		break;
	case 1:
	case 2:
		if (importer->flags & DBT_ATTACH_CPU) {
			importer_do_remap(t, importer);
			break;
		}
		__attribute__((fallthrough));
	default:
		importer_do_access(t, importer);
	}
}

/*
 * Operations: the CPU
 */

static void user_map(struct thread *t, struct user *user)
{
	struct buffer buf;
	struct watch then;
	int err;

	if (!buffer_get(t, below(t, NR_SLOTS), &buf))
		return;
	user->buf = buf;
	user->offset = t->id * PAGE;
	begin(t, "mmap");
	then = watch(&user->buf);
	err = dmabuf_map(buf.fd, user->offset, PAGE, PROT_READ | PROT_WRITE,
			 &user->map);
	if (judge(t, USER_MAP, ATTACHES, &then, err))
		user->map = NULL;
	buffer_put(&buf);
}

static void user_unmap(struct thread *t, struct user *user)
{
	begin(t, "munmap");
	judge(t, UNMAP, ALWAYS, NULL, munmap(user->map, PAGE) ? -errno : 0);
	user->map = NULL;
}

/* SIGBUS if and only if there is no memory. */
static bool touched(struct thread *t, const struct user *user,
		    const struct watch *then, int nr)
{
	enum memory memory = watched(then);

	count(t, TOUCH, nr);
	if (opt.break_it == 5 && nr)
		memory = LIVE;
	if (memory != CHANGED && nr != (memory == LIVE ? 0 : SIGBUS))
		fail("%s of slot %u: signal %d, memory %s", doing(t),
		     user->buf.slot, nr, memory_names[memory]);
	return !nr;
}

static void user_touch(struct thread *t, struct user *user)
{
	const __u64 at = 0x40 + (NR_IMPORTERS + user - t->users) * 0x40;
	__u64 value = next_random(&t->random), got = ~value;
	struct watch then = watch(&user->buf);

	begin(t, "store");
	if (!touched(t, user, &then, touch_store(user->map + at, value)))
		return;
	begin(t, "load");
	if (!touched(t, user, &then, touch_load(user->map + at, &got)))
		return;
	if (got != value && watched(&then) == LIVE)
		fail("slot %u: loaded %llx, not %llx", user->buf.slot, got,
		     value);
	if (user->buf.exporter && !user->buf.moves)
		check_bar(&user->buf, &then, user->offset + at, value);
}

static void op_user(struct thread *t)
{
	struct user *user = &t->users[below(t, NR_USERS)];

	if (!user->map)
		user_map(t, user);
	else if (!below(t, 8))
		user_unmap(t, user);
	else
		user_touch(t, user);
}

/*
 * Operations: RDMA
 */

static void rdma_open(struct rdma *rdma)
{
	int err = uverbs_open(&rdma->verbs, rdma->ibdev, rdma->driver);

	if (!err)
		err = uverbs_alloc_pd(&rdma->verbs, &rdma->pd);
	if (err)
		fail("open %s: %s", rdma->ibdev, strerror(-err));
}

static void rdma_close(struct thread *t, struct rdma *rdma)
{
	begin(t, "close uverbs");
	uverbs_close(&rdma->verbs);
	memset(rdma->mrs, 0, sizeof(rdma->mrs));
	count(t, CLOSE, 0);
}

static int reg(struct thread *t, struct rdma *rdma, struct mr *mr,
	       struct buffer *buf, bool on_demand)
{
	__u64 offset = below(t, buf->size);
	struct uverbs_dmabuf arg = {
		.pd = rdma->pd,
		.fd = buf->fd,
		.offset = offset,
		.length = 1 + below(t, buf->size - offset),
		.iova = MR_IOVA + offset,
		.access = ACCESS_ALL |
			  (on_demand ? IB_UVERBS_ACCESS_ON_DEMAND : 0),
	};

	return uverbs_reg_dmabuf(&rdma->verbs, below(t, 2) ? DOOR_REG_MR :
				 DOOR_REG_DMABUF_MR, &arg, &mr->mr);
}

static void reg_rxe(struct thread *t, struct mr *mr)
{
	struct watch then = watch(&mr->buf);

	begin(t, "reg rxe");
	mr->used = !judge(t, RXE_MR, MAPS, &then,
			  reg(t, &t->rxe, mr, &mr->buf, below(t, 2)));
}

static void reg_ib(struct thread *t, struct mr *mr)
{
	__u32 how = below(t, 8) ? below(t, 2) * DBT_IB_DYNAMIC : DBT_IB_STATIC;
	enum rule rule = how == DBT_IB_DYNAMIC ? ATTACHES : MAPS;
	struct watch then;
	int err;

	if (how == DBT_IB_STATIC && mr->buf.exporter)
		rule = REFUSED;
	begin(t, "reg ibdev");
	/* The device's mode is for whoever registers next. */
	pthread_mutex_lock(&ibdev_lock);
	err = ibdev_config(ibdev_fd, how, PAGE | 0x200000);
	if (err)
		fail("configure: %s", strerror(-err));
	then = watch(&mr->buf);
	err = reg(t, &t->ib, mr, &mr->buf, false);
	pthread_mutex_unlock(&ibdev_lock);
	mr->used = !judge(t, IB_MR, rule, &then, err);
	mr->dynamic = how == DBT_IB_DYNAMIC;
}

static void op_rdma(struct thread *t, struct rdma *rdma)
{
	struct mr *mr = &rdma->mrs[below(t, NR_MRS)];

	if (!below(t, 24)) {
		rdma_close(t, rdma);
		rdma_open(rdma);
		return;
	}
	if (mr->used) {
		begin(t, "dereg");
		judge(t, UNMAP, ALWAYS, NULL,
		      uverbs_dereg(&rdma->verbs, &mr->mr));
		mr->used = false;
		return;
	}
	if (!buffer_get(t, below(t, NR_SLOTS), &mr->buf))
		return;
	if (rdma == &t->rxe)
		reg_rxe(t, mr);
	else
		reg_ib(t, mr);
	buffer_put(&mr->buf);
}

/*
 * Operations: moving. What the state of the memory is does not change under
 * @lock for reading.
 */

/* An object of a device that was unbound since is none of this one's. */
static void move_one(struct thread *t, struct exporter *exporter,
		     struct buffer *buf)
{
	bool place = below(t, 2);
	struct dbv_query query;
	int err;

	begin(t, place ? "place" : "evict");
	err = place ? vram_place(exporter->vram, buf->fd) :
		      vram_evict(exporter->vram, buf->fd);
	count(t, MOVE, err);
	if (buf->opens != atomic_load(&exporter->opens)) {
		if (err != -EINVAL)
			fail("%s of what is gone: %s", doing(t),
			     strerror(-err));
		return;
	}
	if (!right(place ? MAY_BE_FULL : MAY_BE_BUSY, LIVE, err))
		fail("%s: %s", doing(t), strerror(-err));
	if (vram_query(exporter->vram, buf->fd, &query) ||
	    query.where == DBV_NOWHERE)
		fail("object of slot %u is nowhere", buf->slot);
}

static void walk(struct thread *t, struct exporter *exporter)
{
	static const __u32 policies[] = { 0, DBV_FETCH, DBV_NO_RAM, DBV_STAY };
	int err;

	begin(t, "walk");
	err = moving_walk(exporter->vram, importer_name,
			  (1 + below(t, 16)) * PAGE,
			  policies[below(t, ARRAY_SIZE(policies))], 2,
			  &t->moving);
	count(t, MOVE, err);
	if (err)
		fail("memory moved wrongly");
}

/* One pin of every sort that there is; who cannot pin does without. */
static void stay(struct thread *t, struct exporter *exporter,
		 struct buffer *buf)
{
	struct uverbs_dmabuf arg = {
		.pd = t->rxe.pd, .fd = buf->fd, .length = buf->size,
		.iova = MR_IOVA, .access = ACCESS_ALL,
	};
	struct watch then = watch(buf);
	unsigned int how = below(t, 4);
	int fd = -1, err;
	struct uverbs_mr mr;
	__u32 ioas;

	begin(t, "pin");
	if (how == 0) {
		err = uverbs_reg_dmabuf(&t->rxe.verbs, DOOR_REG_MR, &arg, &mr);
	} else if (how == 1) {
		fd = iommufd_open();
		must("open iommufd", fd);
		must("alloc IOAS", ioas_alloc(fd, &ioas));
		err = ioas_map_file_at(fd, ioas, buf->fd, buf->size, WINDOW);
	} else {
		fd = importer_reopen(importer_name);
		must("open importer", fd);
		err = importer_attach(fd, buf->fd, DBT_ATTACH_PIN |
				      (how == 2 ? DBT_ATTACH_CLASS : 0), 0);
	}
	judge(t, MOVE, MAPS, &then, err);
	begin(t, "move what is pinned");
	if (!err && moving_stays(exporter->vram, buf->fd, &t->moving))
		fail("pinned memory, sort %u, slot %u", how, buf->slot);
	if (!err && how == 0)
		judge(t, UNMAP, ALWAYS, NULL, uverbs_dereg(&t->rxe.verbs, &mr));
	if (fd >= 0)
		close(fd);
}

static void move_step(struct thread *t, struct exporter *exporter)
{
	bool own = !below(t, 6);
	struct buffer buf;

	/* Copies take longer, so that more finds them under way. */
	if (!below(t, 8))
		vram_copy_ms(exporter->vram, below(t, 3) ? 0 : below(t, 30));
	if (own) {
		walk(t, exporter);
		return;
	}
	if (!slot_dup(below(t, 3), &buf))
		return;
	if (below(t, 3) || buf.opens != atomic_load(&exporter->opens))
		move_one(t, exporter, &buf);
	else
		stay(t, exporter, &buf);
	buffer_put(&buf);
}

static void op_move(struct thread *t)
{
	struct exporter *exporter = &exporters[0];

	begin(t, "wait to move");
	pthread_rwlock_rdlock(&exporter->lock);
	if (atomic_load(&exporter->opens))
		move_step(t, exporter);
	pthread_rwlock_unlock(&exporter->lock);
}

/*
 * Operations: what the owner of the memory does. @lock is held for writing.
 */

static void must_be_done(struct thread *t, enum op_kind op, int err)
{
	judge(t, op, ALWAYS, NULL, err);
}

static int exporter_open_it(struct exporter *exporter, int fd)
{
	struct vfio_region_info info;
	int err = vfio_open(&exporter->dev, exporter->name, fd);

	if (!err)
		err = vfio_region(&exporter->dev, BAR, &info);
	exporter->bar_offset = info.offset;
	return err;
}

static int device_open(struct exporter *exporter)
{
	if (!exporter->moves)
		return exporter_open_it(exporter, iommufd);
	exporter->vram = vram_open(VRAM_KB, exporter->name);
	return exporter->vram < 0 ? exporter->vram : 0;
}

/* Its memory is gone when it returns. */
static void device_close(struct exporter *exporter, bool fd_first)
{
	int err;

	if (!exporter->moves) {
		vfio_close(&exporter->dev);
		return;
	}
	if (fd_first)
		close(exporter->vram);
	err = testdrv_release(exporter->name);
	if (err)
		fail("unbind %s: %s", exporter->name, strerror(-err));
	if (!fd_first)
		close(exporter->vram);
}

static void reopen(struct exporter *exporter)
{
	int err = device_open(exporter);

	if (err)
		fail("open %s: %s", exporter->name, strerror(-err));
	change(exporter);
	exporter->away = NOT_AWAY;
	atomic_store(&exporter->woken, 0);
	atomic_store(&exporter->is_away, false);
	atomic_store(&exporter->opens, ++exporter->nr_opens);
	change(exporter);
}

static bool is_of(const struct exporter *exporter, unsigned long long ino)
{
	unsigned int i;
	bool found = false;

	for (i = 0; i < HEAP_SLOT; i++) {
		pthread_mutex_lock(&slots[i].lock);
		found |= slots[i].buf.exporter == exporter &&
			 slots[i].buf.fd >= 0 && slots[i].ino == ino;
		pthread_mutex_unlock(&slots[i].lock);
	}
	return found;
}

/* No buffer of the device has a map, as debugfs tells. */
static void check_unmapped(struct exporter *exporter)
{
	FILE *file = fopen("/sys/kernel/debug/dma_buf_phys", "r");
	unsigned long long ino;
	unsigned int maps;
	char line[256];

	if (!file) {
		fail("no dma_buf_phys in debugfs");
		return;
	}
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "buffer %llu exporter %*s size %*s maps %u",
			   &ino, &maps) == 2 && maps && is_of(exporter, ino))
			fail("after suspend: %s", line);
	fclose(file);
}

static int go_away(struct exporter *exporter, enum away how)
{
	if (how == BY_DECODE)
		return vfio_set_memory(&exporter->dev, false);
	if (exporter->d3hot)
		return vfio_set_power(&exporter->dev, 3);
	return vfio_low_power(&exporter->dev, true);
}

static int come_back(struct exporter *exporter)
{
	if (exporter->away == BY_DECODE)
		return vfio_set_memory(&exporter->dev, true);
	if (exporter->d3hot)
		return vfio_set_power(&exporter->dev, 0);
	return vfio_low_power(&exporter->dev, false);
}

static void do_suspend(struct thread *t, struct exporter *exporter)
{
	enum away how = below(t, 4) ? BY_DECODE : BY_POWER;
	int err;

	begin(t, how == BY_DECODE ? "decode off" : "low power");
	change(exporter);
	err = go_away(exporter, how);
	exporter->away = how;
	atomic_store(&exporter->is_away, true);
	change(exporter);
	must_be_done(t, SUSPEND, err);
	if (!below(t, 8))
		check_unmapped(exporter);
}

static void do_restore(struct thread *t, struct exporter *exporter)
{
	int err;

	begin(t, "restore");
	change(exporter);
	err = come_back(exporter);
	exporter->away = NOT_AWAY;
	atomic_store(&exporter->woken, 0);
	atomic_store(&exporter->is_away, false);
	change(exporter);
	must_be_done(t, RESTORE, err);
}

static void do_reset(struct thread *t, struct exporter *exporter)
{
	bool sysfs = exporter->moves || exporter->away == BY_POWER ||
		     below(t, 2);
	int err;

	begin(t, sysfs ? "reset by sysfs" : "reset");
	change(exporter);
	err = sysfs ? pci_sysfs_reset(exporter->name) :
		      vfio_reset(&exporter->dev);
	/* It leaves D3hot for D0: what is exported from now on is there. */
	if (exporter->away == BY_POWER && exporter->d3hot && !exporter->woken)
		atomic_store(&exporter->woken, ++exporter->nr_woken);
	change(exporter);
	must_be_done(t, RESET, err);
}

/*
 * One buffer, with @lock of the device held for reading: it may be from before the
 * device was closed.
 */
static void take(struct thread *t, struct buffer *buf, __u32 status)
{
	struct taken *taken = buf->taken;
	int err, want = 0;

	if (atomic_load(&buf->exporter->opens) != buf->opens)
		want = -ENODEV;
	else if (atomic_load(&taken->is_gone))
		want = -EBADFD;
	begin(t, "take");
	atomic_fetch_add(&taken->version, 1);
	err = vfio_revoke(&buf->exporter->dev, buf->fd, status);
	if (!err) {
		atomic_store(&taken->is_away,
			     status == VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_TEMP);
		atomic_store(&taken->is_gone,
			     status == VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM);
	}
	atomic_fetch_add(&taken->version, 1);
	count(t, TAKE, err);
	if (err != want)
		fail("take slot %u, status %u: %s", buf->slot, status,
		     strerror(-err));
}

static void op_take(struct thread *t)
{
	static const __u32 status[] = {
		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_TEMP,
		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_TEMP,
		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK,
		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK,
		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK,
		VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM,
	};
	struct buffer buf;

	if (!buffer_get(t, below(t, HEAP_SLOT), &buf))
		return;
	begin(t, "wait to take");
	if (buf.taken && !pthread_mutex_trylock(&buf.taken->lock)) {
		pthread_rwlock_rdlock(&buf.exporter->lock);
		if (atomic_load(&buf.exporter->opens))
			take(t, &buf, status[below(t, ARRAY_SIZE(status))]);
		pthread_rwlock_unlock(&buf.exporter->lock);
		pthread_mutex_unlock(&buf.taken->lock);
	}
	buffer_put(&buf);
}

static void do_revoke(struct thread *t, struct exporter *exporter)
{
	begin(t, "close device");
	change(exporter);
	device_close(exporter, below(t, 2));
	atomic_store(&exporter->opens, 0);
	change(exporter);
	count(t, REVOKE, 0);
	if (exporter->hwpt && iommufd_destroy(iommufd, exporter->hwpt))
		fail("destroy page table of a closed device");
	exporter->hwpt = 0;
}

/*
 * Children
 */

enum victim { IMPORTS, OWNS };

struct order {
	enum victim victim;
	__u64 seed;
	unsigned int delay_us;	/* then it is killed */
	unsigned int exporter;	/* of who owns */
	__u64 size;
};

static bool allowed_in_child(int err)
{
	return err >= 0 || err == -ENODEV || err == -EOPNOTSUPP ||
	       err == -ENOSPC;
}

static void child_must(int err)
{
	if (!allowed_in_child(err)) {
		printf("# child: %s\n", strerror(-err));
		fflush(stdout);
		_exit(2);
	}
}

static void child_reg(int dmabuf, __u64 size)
{
	struct uverbs_dmabuf arg = {
		.fd = dmabuf, .length = size, .iova = MR_IOVA,
		.access = ACCESS_ALL,
	};
	struct uverbs verbs;
	struct uverbs_mr mr;

	child_must(uverbs_open(&verbs, RXE, RDMA_DRIVER_RXE));
	child_must(uverbs_alloc_pd(&verbs, &arg.pd));
	child_must(uverbs_reg_dmabuf(&verbs, DOOR_REG_MR, &arg, &mr));
	arg.access |= IB_UVERBS_ACCESS_ON_DEMAND;
	child_must(uverbs_reg_dmabuf(&verbs, DOOR_REG_DMABUF_MR, &arg, &mr));
}

/* Takes all it can of a buffer, and does not clean up. */
static void child_import(const struct order *order, int dmabuf)
{
	__u64 random = order->seed | 1, iova, unmapped;
	int fd = iommufd_open(), importer;
	__u32 flags, ioas;
	unsigned int i;

	child_must(fd);
	child_must(ioas_alloc(fd, &ioas));
	child_reg(dmabuf, order->size);
	for (i = 0; i < 4; i++) {
		importer = importer_reopen(importer_name);
		child_must(importer);
		flags = next_random(&random) & 0x100 ? DBT_CPU :
			next_random(&random) & 0x100 ? DBT_ATTACH_CLASS : 0;
		if (importer_attach(importer, dmabuf, flags, i) >= 0)
			child_must(importer_map_all(importer));
		iova = WINDOW * (i + 1);
		child_must(ioas_map_file(fd, ioas, dmabuf, 0, PAGE, &iova,
					 MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA));
		if (next_random(&random) & 0x100)
			ioas_unmap(fd, ioas, iova, PAGE, &unmapped);
	}
}

/* The owner itself, with everything that can be had at once. */
static void child_own(const struct order *order)
{
	struct exporter *exporter = &exporters[order->exporter];
	struct vfio_region_dma_range ranges[NR_RANGES];
	int fd = iommufd_open(), dmabuf;
	__u64 iova = WINDOW;
	__u32 ioas;

	child_must(fd);
	child_must(exporter_open_it(exporter, fd));
	child_must(ioas_alloc(fd, &ioas));
	child_must(vfio_attach(&exporter->dev, ioas));
	slot_ranges(order->exporter ? 3 : 0, ranges);
	dmabuf = vfio_export(&exporter->dev, BAR, ranges, NR_RANGES);
	child_must(dmabuf);
	child_must(ioas_map_file(fd, ioas, dmabuf, 0, PAGE, &iova,
				 MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA));
	child_import(order, dmabuf);
	for (;;) {
		child_must(vfio_set_memory(&exporter->dev, false));
		child_must(vfio_set_memory(&exporter->dev, true));
		child_must(vfio_reset(&exporter->dev));
	}
}

static int receive(int sock, struct order *order, int *fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { order, sizeof(*order) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);

	*fd = -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (got > 0 && cmsg)
		memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	return got == sizeof(*order) ? 0 : -EPIPE;
}

static int send_order(int sock, const struct order *order, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { (void *)order, sizeof(*order) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(sock, &msg, 0) < 0 ? -errno : 0;
}

/* Exit status of a child, 0 if it was killed. */
static int run_child(const struct order *order, int fd)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (order->victim == OWNS)
			child_own(order);
		else
			child_import(order, fd);
		_exit(0);
	}
	if (fd >= 0)
		close(fd);
	if (pid < 0)
		return 3;
	usleep(order->delay_us);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		return 4;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/*
 * Forks for a thread. It was forked itself while there was nothing to inherit,
 * so that a device that a thread closes is closed.
 */
static void zygote(int sock)
{
	struct order order;
	int fd, status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!receive(sock, &order, &fd)) {
		status = run_child(&order, fd);
		if (write(sock, &status, sizeof(status)) != sizeof(status))
			break;
	}
	_exit(0);
}

static void zygote_start(struct thread *t)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		die("socketpair: %s", strerror(errno));
	t->zygote_pid = fork();
	if (t->zygote_pid < 0)
		die("fork: %s", strerror(errno));
	if (!t->zygote_pid) {
		while (t-- > threads)
			close(t->zygote);
		close(pair[0]);
		zygote(pair[1]);
	}
	close(pair[1]);
	t->zygote = pair[0];
}

static void zygote_end(struct thread *t)
{
	close(t->zygote);
	waitpid(t->zygote_pid, NULL, 0);
}

static void have_killed(struct thread *t, const struct order *order, int fd)
{
	int status = -1;

	begin(t, order->victim == OWNS ? "kill owner" : "kill importer");
	if (send_order(t->zygote, order, fd) ||
	    read(t->zygote, &status, sizeof(status)) != sizeof(status) ||
	    status)
		fail("a child ended with %d", status);
	count(t, KILL, 0);
}

static void op_kill_importer(struct thread *t)
{
	struct order order = {
		.victim = IMPORTS,
		.seed = next_random(&t->random),
		.delay_us = below(t, 30000),
	};
	struct buffer buf;

	if (!buffer_get(t, below(t, NR_SLOTS), &buf))
		return;
	order.size = buf.size;
	have_killed(t, &order, buf.fd);
	buffer_put(&buf);
}

static void kill_owner(struct thread *t, struct exporter *exporter)
{
	struct order order = {
		.victim = OWNS,
		.seed = next_random(&t->random),
		.delay_us = below(t, 100000),
		.exporter = exporter - exporters,
		.size = slot_size(exporter == exporters ? 0 : 3),
	};

	have_killed(t, &order, -1);
}

static unsigned long sum_of(enum op_kind op, bool refused)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < opt.threads; i++)
		sum += atomic_load(refused ? &threads[i].refused[op] :
				   &threads[i].ok[op]);
	return sum;
}

/* They take longer than the rest, so the others wait until there are 6 %. */
static bool is_due(enum op_kind op)
{
	return 100 * sum_of(op, false) < 6 * atomic_load(&total_ops);
}

static void owner_due(struct thread *t, struct exporter *exporter)
{
	if (is_due(REVOKE))
		do_revoke(t, exporter);
	else if (exporter->moves)
		return;
	else if (exporter->away)
		do_restore(t, exporter);
	else
		do_suspend(t, exporter);
}

/* One step of the owner. */
static void owner_step(struct thread *t, struct exporter *exporter, bool due)
{
	if (!atomic_load(&exporter->opens)) {
		if (!below(t, 30))
			kill_owner(t, exporter);
		begin(t, "open device");
		reopen(exporter);
		return;
	}
	if (due)
		owner_due(t, exporter);
	else if (!below(t, exporter->moves ? 60 : 10))
		do_reset(t, exporter);
	else if (!below(t, exporter->moves ? 30 : 4))
		do_revoke(t, exporter);
	else if (exporter->moves)
		return;
	else if (exporter->away)
		do_restore(t, exporter);
	else
		do_suspend(t, exporter);
}

static void op_owner(struct thread *t, bool due)
{
	/*
	 * The first one is the quicker one: its reset takes 10 ms, not 100. But
	 * where it moves, it is not suspended, and its reset takes a second.
	 */
	bool first = exporters[0].moves ? !below(t, 4) : below(t, 8);
	struct exporter *exporter = &exporters[!first];

	begin(t, "wait for the device");
	if (due)
		pthread_rwlock_wrlock(&exporter->lock);
	else if (pthread_rwlock_trywrlock(&exporter->lock))
		return;
	owner_step(t, exporter, due);
	pthread_rwlock_unlock(&exporter->lock);
}

/*
 * The choice
 */

static void step(struct thread *t)
{
	unsigned int roll = below(t, 1000);

	if (is_due(REVOKE) || is_due(RESTORE))
		op_owner(t, true);
	else if (roll < 40)
		op_export(t);
	else if (roll < 80)
		op_close_buffer(t);
	else if (roll < 300)
		op_area(t);
	else if (roll < 330)
		op_give_up(t);
	else if (roll < 370)
		op_domain(t);
	else if (roll < 570)
		op_importer(t);
	else if (roll < 640)
		op_rdma(t, &t->rxe);
	else if (roll < 700)
		op_rdma(t, &t->ib);
	else if (roll < 704)
		op_kill_importer(t);
	else if (roll < 804 && exporters[0].moves)
		op_move(t);
	else if (roll >= 900 && roll < 970)
		op_user(t);
	else if (roll >= 970)
		op_take(t);
	else
		op_owner(t, false);
}

static void *run(void *data)
{
	struct thread *t = data;

	while (!atomic_load(&stop))
		step(t);
	begin(t, NULL);
	return NULL;
}

/*
 * A slice: open, run, close
 */

static void thread_open(struct thread *t, unsigned int slice)
{
	unsigned int i;

	t->random = (opt.seed * 1000003 + slice) * 1000003 + t->id + 1;
	for (i = 0; i < 20; i++)
		next_random(&t->random);
	t->rxe = (struct rdma){ .ibdev = RXE, .driver = RDMA_DRIVER_RXE };
	t->ib = (struct rdma){
		.ibdev = ibdev_name, .driver = RDMA_DRIVER_UNKNOWN,
	};
	rdma_open(&t->rxe);
	rdma_open(&t->ib);
	for (i = 0; i < NR_IMPORTERS; i++) {
		t->importers[i] = (struct importer){
			.fd = importer_reopen(importer_name),
		};
		must("open importer", t->importers[i].fd);
	}
}

static void thread_close(struct thread *t)
{
	unsigned int i, area;

	for (i = 0; i < NR_USERS; i++)
		if (t->users[i].map)
			user_unmap(t, &t->users[i]);
	for (i = 0; i < NR_IMPORTERS; i++)
		close(t->importers[i].fd);
	for (i = 0; i < NR_IOAS; i++)
		for (area = 0; area < NR_AREAS; area++)
			if (t->areas[i][area].len)
				unmap_area(t, i, area);
	uverbs_close(&t->rxe.verbs);
	uverbs_close(&t->ib.verbs);
}

static void slice_open(unsigned int slice)
{
	unsigned int i;

	iommufd = iommufd_open();
	must("open iommufd", iommufd);
	for (i = 0; i < NR_IOAS; i++)
		must("alloc IOAS", ioas_alloc(iommufd, &ioases[i]));
	for (i = 0; i < NR_SLOTS; i++) {
		slots[i].buf.fd = -1;
		slots[i].buf.slot = i;
	}
	atomic_store(&nr_taken, 0);
	for (i = 0; i < NR_TAKEN; i++)
		all_taken[i] = (struct taken){
			.lock = PTHREAD_MUTEX_INITIALIZER,
		};
	exporters[0].moves = can_move && slice % 2 == 0;
	for (i = 0; i < NR_EXPORTERS; i++)
		reopen(&exporters[i]);
	for (i = 0; i < opt.threads; i++)
		thread_open(&threads[i], slice);
}

static void slice_close(void)
{
	struct exporter *exporter;
	unsigned int i;

	for (i = 0; i < opt.threads; i++)
		thread_close(&threads[i]);
	for (i = 0; i < NR_SLOTS; i++)
		if (slots[i].buf.fd >= 0)
			close(slots[i].buf.fd);
	for (exporter = exporters; exporter < exporters + NR_EXPORTERS;
	     exporter++) {
		if (atomic_load(&exporter->opens))
			device_close(exporter, false);
		atomic_store(&exporter->opens, 0);
		exporter->hwpt = 0;
	}
	close(iommufd);
}

/* A thread that is in one operation for too long. */
static void look_for_hang(void)
{
	unsigned int i;
	const char *what;
	__u64 since, ms;

	for (i = 0; i < opt.threads; i++) {
		since = atomic_load(&threads[i].since_ms);
		what = doing(&threads[i]);
		/* Read after @since, which the thread may be changing. */
		ms = now_ms() - since;
		if (what && ms > HANG_MS &&
		    since == atomic_load(&threads[i].since_ms))
			die("thread %u hangs for %llu ms in: %s", i, ms,
			    what);
	}
}

static void print_rates(__u64 start_ms)
{
	unsigned long seconds = (now_ms() - start_ms) / 1000 ?: 1;
	enum op_kind op;

	printf("# %lu s, %lu operations, %lu/s:", seconds,
	       atomic_load(&total_ops), atomic_load(&total_ops) / seconds);
	for (op = 0; op < NR_OPS; op++)
		printf(" %s %lu+%lu", op_names[op], sum_of(op, false),
		       sum_of(op, true));
	printf("\n");
	fflush(stdout);
}

/* Until so many operations or so much time; returns whether that is all. */
static bool run_slice(unsigned long until_ops, __u64 until_ms, __u64 start_ms)
{
	__u64 said = now_ms();
	unsigned int i;

	atomic_store(&stop, false);
	for (i = 0; i < opt.threads; i++)
		must("make a thread", -pthread_create(&threads[i].thread, NULL,
						      run, &threads[i]));
	while (!atomic_load(&stop) && now_ms() < until_ms &&
	       atomic_load(&total_ops) < until_ops) {
		usleep(100000);
		look_for_hang();
		if (now_ms() - said >= 5000) {
			print_rates(start_ms);
			said = now_ms();
		}
	}
	atomic_store(&stop, true);
	for (i = 0; i < opt.threads; i++) {
		while (atomic_load(&threads[i].doing)) {
			usleep(10000);
			look_for_hang();
		}
		pthread_join(threads[i].thread, NULL);
	}
	return !atomic_load(&failed);
}

/*
 * What is left
 */

struct memory_use {
	long slab, page_tables, iommu, vmalloc;	/* KiB */
	long kernel;		/* page tables of vmalloc space, not in @page_tables */
};

static long read_kib(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[128], key[32];
	long value = -1, kib;

	if (!file)
		die("open %s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%31[^:]: %ld", key, &kib) == 2 &&
		    !strcmp(key, name))
			value = kib;
	fclose(file);
	return value;
}

/* All areas of vmalloc space; VmallocUsed leaves out what ioremap() maps. */
static long vmalloc_areas(void)
{
	FILE *file = fopen("/proc/vmallocinfo", "r");
	unsigned long bytes, sum = 0;
	char line[512];

	if (!file)
		die("open vmallocinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (!strstr(line, " unpurged ") &&
		    sscanf(line, "%*s %lu", &bytes) == 1)
			sum += bytes;
	fclose(file);
	return sum / 1024;
}

/*
 * vmalloc keeps free addresses by size, and page tables for good. So there are as
 * many tables as addresses were ever in use, whatever is left: that is an area.
 * Where they cannot be told apart, all tables count.
 */
static struct memory_use memory_use(void)
{
	long kernel = vmalloc_page_tables();

	if (kernel < 0)
		kernel = 0;
	return (struct memory_use){
		.slab = read_kib("/proc/meminfo", "SUnreclaim"),
		.page_tables = read_kib("/proc/meminfo", "PageTables") - kernel,
		.kernel = kernel,
		.iommu = read_kib("/proc/meminfo", "SecPageTables"),
		.vmalloc = vmalloc_areas(),
	};
}

static void print_use(const char *when, struct memory_use use)
{
	printf("# %s: slab %ld KiB, page tables %ld, of IOMMUs %ld, of vmalloc %ld, vmalloc %ld\n",
	       when, use.slab, use.page_tables, use.iommu, use.kernel,
	       use.vmalloc);
}

/*
 * RCU, per-CPU caches and the like make these numbers vary, but not by much, and
 * not the more the longer it runs.
 */
static bool use_is_same(struct memory_use a, struct memory_use b)
{
	return b.slab - a.slab < 4096 && b.page_tables - a.page_tables < 256 &&
	       b.iommu - a.iommu < 64 && b.vmalloc - a.vmalloc < 256;
}

#define MAX_CACHES	512

struct cache {
	char name[48];
	long objects;
};

static unsigned int read_caches(struct cache *caches)
{
	FILE *file = fopen("/proc/slabinfo", "r");
	unsigned int nr = 0;
	char line[256];

	if (!file)
		die("open slabinfo: %s", strerror(errno));
	while (nr < MAX_CACHES && fgets(line, sizeof(line), file))
		nr += sscanf(line, "%47s %ld", caches[nr].name,
			     &caches[nr].objects) == 2;
	fclose(file);
	return nr;
}

/* Slabs that are partly used, by per-CPU lists too, count as full. */
static long allowed_growth(long objects)
{
	return 2000 + objects / 10;
}

/* No cache has many more objects than before. */
static bool caches_same(const struct cache *before, unsigned int nr_before)
{
	static struct cache now[MAX_CACHES];
	unsigned int i, j, nr = read_caches(now);
	bool same = true;
	long was;

	for (i = 0; i < nr; i++) {
		for (j = 0, was = 0; j < nr_before; j++)
			if (!strcmp(now[i].name, before[j].name))
				was += before[j].objects;
		if (now[i].objects - was <= allowed_growth(was))
			continue;
		printf("# %s: %ld objects, %ld before\n", now[i].name,
		       now[i].objects, was);
		same = false;
	}
	return same;
}

static bool nothing_left(void)
{
	struct holdings none = {}, now = settle_holdings(none);
	unsigned int dmabufs = settle_dmabufs(0);

	if (same_holdings(now, none) && !dmabufs)
		return true;
	printf("# left: %u dma-bufs; %u buffers, %u importers, %u maps\n",
	       dmabufs, now.buffers, now.importers, now.maps);
	return false;
}

/*
 * From start to end
 */

/* What the zygotes must know. */
static void find_devices(void)
{
	pthread_rwlockattr_t attr;
	unsigned int i;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
				      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (i = 0; i < NR_EXPORTERS; i++) {
		must("find the exporter", pci_find(exporters[i].id, 0,
						   exporters[i].name));
		pthread_rwlock_init(&exporters[i].lock, &attr);
		pthread_mutex_init(&exporters[i].domain_lock, NULL);
	}
	must("find the importer", pci_find(PCI_ID_EDU, 0, importer_name));
}

/* Is there the driver for it? */
static void find_mover(void)
{
	int fd = vram_open(VRAM_KB, exporters[0].name);

	can_move = fd != -ENOPKG;
	if (!can_move)
		return;
	must("open the exporter of memory that moves", fd);
	close(fd);
	must("release", testdrv_release(exporters[0].name));
}

static void setup(void)
{
	unsigned int i, tries;
	int fd;

	/* Quicker than by FLR; fails where there is only one way. */
	pci_write_attr(exporters[1].name, "reset_method", "bus");
	for (i = 0; i < NR_SLOTS; i++)
		pthread_mutex_init(&slots[i].lock, NULL);
	find_mover();
	fd = importer_open(0, importer_name);
	must("open the importer", fd);
	close(fd);
	ibdev_fd = ibdev_open(1, ibdev_pci);
	must("open the RDMA device", ibdev_fd);
	must("find it", ibdev_of_pci(ibdev_pci, ibdev_name));
	must("make a network device", netdev_add(NETDEV, "dummy"));
	for (tries = 0; rdma_link_add(RXE, "rxe", NETDEV); tries++) {
		if (tries == 50)
			die("cannot make an rxe device");
		usleep(100000);
	}
}

static void teardown(void)
{
	must("remove the network device", netdev_del(NETDEV));
	close(ibdev_fd);
	must("release", testdrv_release(importer_name));
	must("release", testdrv_release(ibdev_pci));
	pci_write_attr(exporters[1].name, "reset_method", "default");
}

static unsigned int nr_cases;
static bool all_well = true;

static void verdict(bool ok, const char *name)
{
	printf("%sok %u %s\n", ok ? "" : "not ", ++nr_cases, name);
	all_well &= ok;
}

/* KASAN's quarantine holds on to what was freed. */
static bool kernel_has_kasan(void)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	char line[512], symbol[64];
	bool has = false;

	if (!file)
		die("open kallsyms: %s", strerror(errno));
	while (!has && fgets(line, sizeof(line), file))
		has = sscanf(line, "%*s %*s %63s", symbol) == 1 &&
		      !strcmp(symbol, "kasan_report");
	fclose(file);
	return has;
}

static void skipped(const char *name, const char *why)
{
	printf("ok %u %s # SKIP %s\n", ++nr_cases, name, why);
}

/* On a kernel that keeps what is freed, leaks are kmemleak's to find. */
static void judge_memory(bool use, bool slabs)
{
	static const char why[] = "KASAN keeps what was freed; kmemleak looks";

	if (kernel_has_kasan()) {
		skipped("memory in use as before", why);
		skipped("slab counts as before", why);
		return;
	}
	verdict(use, "memory in use as before");
	verdict(slabs, "slab counts as before");
}

static bool share_is(const char *name, unsigned long part)
{
	unsigned long all = atomic_load(&total_ops);

	printf("# %s: %lu of %lu, %lu.%lu %%\n", name, part, all,
	       100 * part / all, 1000 * part / all % 10);
	return 20 * part >= all;
}

static bool shares(void)
{
	unsigned long maps = 0;
	bool ok;
	enum op_kind op;

	for (op = IOAS_MAP; op <= IB_MR; op++)
		maps += sum_of(op, false);
	ok = share_is("map", maps);
	ok &= share_is("restore", sum_of(RESTORE, false));
	ok &= share_is("revoke", sum_of(REVOKE, false));
	ok &= share_is("close", sum_of(CLOSE, false));
	return ok;
}

/*
 * Each kind was tried. On a slow machine 60 s are not enough for the rare ones,
 * and which of them the memory was there for is a matter of luck.
 */
static bool every_kind(void)
{
	bool all = true;
	enum op_kind op;

	if (atomic_load(&total_ops) < 2000)
		return true;
	for (op = 0; op < NR_OPS; op++) {
		if (op == MOVE && !can_move)
			continue;
		if (!sum_of(op, false) && !sum_of(op, true))
			printf("# never: %s\n", op_names[op]);
		all &= sum_of(op, false) + sum_of(op, true) > 0;
	}
	return all;
}

static void judge_moving(void)
{
	struct moving seen = {};
	unsigned long ops;
	unsigned int i;

	if (!can_move) {
		skipped("moved", "no dma-buf-test-vram");
		return;
	}
	for (i = 0; i < opt.threads; i++) {
		seen.moves += threads[i].moving.moves;
		seen.compared += threads[i].moving.compared;
		seen.held += threads[i].moving.held;
	}
	printf("# walks: %lu moves, %lu times all bytes compared; %lu times held by a pin\n",
	       seen.moves, seen.compared, seen.held);
	ops = atomic_load(&total_ops);
	verdict(ops < 2000 || (seen.moves && seen.compared &&
			       (seen.held || ops < 10000)),
		"moved with all bytes, unless pinned");
}

static bool one_slice(unsigned int slice, unsigned long ops, __u64 until_ms,
		      __u64 start_ms)
{
	bool ok;

	slice_open(slice);
	printf("# slice %u, seed %lu%s\n", slice, opt.seed,
	       exporters[0].moves ? ", moving" : "");
	fflush(stdout);
	ok = run_slice(ops, until_ms, start_ms);
	slice_close();
	ok &= nothing_left();
	print_use("left", memory_use());
	return ok;
}

static bool all_slices(__u64 start_ms)
{
	const __u64 until_ms = opt.ops ? ~0ULL : start_ms + opt.seconds * 1000;
	/* Of a short run, too, there is more than one. */
	const __u64 slice_ms = opt.seconds * 1000 / 4 + 1;
	unsigned int slice = opt.from;
	unsigned long until = 0;
	bool ok = true;
	__u64 end_ms;

	/* A slice that did less than it should counts as what it did. */
	while (ok && now_ms() < until_ms &&
	       (!opt.ops || atomic_load(&total_ops) < opt.ops)) {
		until = atomic_load(&total_ops) + opt.slice_ops;
		if (opt.ops && until > opt.ops)
			until = opt.ops;
		end_ms = now_ms() + slice_ms;
		if (opt.ops || end_ms > until_ms)
			end_ms = until_ms;
		ok = one_slice(++slice, until, end_ms, start_ms);
	}
	if (!ok)
		printf("# again: --seed=%lu --from=%u\n", opt.seed, slice - 1);
	return ok;
}

static const char usage[] =
	"stress [OPTION]...\n"
	"  --seed=N     of all random choices; the time otherwise\n"
	"  --seconds=N  how long, 60 by default\n"
	"  --ops=N      how many operations, instead; those left out count\n"
	"  --threads=N  1 to 8, 4 by default\n"
	"  --slice=N    everything is closed after so many operations, 50000, or\n"
	"               after a quarter of the time\n"
	"  --from=N     leave out the first N slices\n"
	"  --break=N    be wrong: 1 about an errno, 2 about data, 3 leak a file,\n"
	"               4 about data that moved, 5 about a signal\n"
	"  --help\n";

static void parse(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned long *value;
	} numbers[] = {
		{ "seed", &opt.seed },	     { "seconds", &opt.seconds },
		{ "ops", &opt.ops },	     { "threads", &opt.threads },
		{ "slice", &opt.slice_ops }, { "from", &opt.from },
		{ "break", &opt.break_it },
	};
	struct option options[ARRAY_SIZE(numbers) + 2] = {};
	unsigned int i;
	int which, c;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		options[i] = (struct option){ numbers[i].name, 1, NULL, 'n' };
	options[i] = (struct option){ "help", 0, NULL, 'h' };

	opt.seed = now_us() ^ getpid();
	while ((c = getopt_long(argc, argv, "", options, &which)) != -1) {
		if (c != 'n') {
			fputs(usage, stdout);
			exit(c == 'h' ? EXIT_SUCCESS : EXIT_FAILURE);
		}
		*numbers[which].value = strtoul(optarg, NULL, 0);
	}
	opt.ops -= opt.ops ? opt.from * opt.slice_ops : 0;
	if (!opt.threads || opt.threads > MAX_THREADS || !opt.slice_ops)
		die("bad number, see --help");
}

/* Caches and modules fill before anything is measured. */
static void warm_up(void)
{
	unsigned long ops = opt.slice_ops;
	unsigned int i;

	opt.slice_ops = 300;
	one_slice(0, 300, now_ms() + 8000, now_ms());
	one_slice(-1, 600, now_ms() + 8000, now_ms());
	opt.slice_ops = ops;
	atomic_store(&total_ops, 0);
	for (i = 0; i < opt.threads; i++) {
		memset(threads[i].ok, 0, sizeof(threads[i].ok));
		memset(threads[i].refused, 0, sizeof(threads[i].refused));
		memset(&threads[i].moving, 0, sizeof(threads[i].moving));
	}
}

int main(int argc, char **argv)
{
	static struct cache caches[MAX_CACHES];
	struct memory_use before, after;
	unsigned int i, fds, nr_caches;
	__u64 start_ms;
	bool ok;

	parse(argc, argv);
	printf("TAP version 13\n1..6\n# seed %lu, %lu threads\n", opt.seed,
	       opt.threads);
	find_devices();
	for (i = 0; i < opt.threads; i++) {
		threads[i].id = i;
		zygote_start(&threads[i]);
	}
	setup();
	warm_up();
	fds = count_fds();
	before = memory_use();
	nr_caches = read_caches(caches);
	start_ms = now_ms();
	ok = all_slices(start_ms);
	print_rates(start_ms);
	if (opt.break_it == 3)
		dup(0);
	after = memory_use();
	verdict(ok, "every answer, every byte, nothing left after a slice");
	verdict(shares() && every_kind(), "map, restore, revoke, close: 5 % each");
	print_use("before", before);
	print_use("after", after);
	judge_memory(use_is_same(before, after), caches_same(caches, nr_caches));
	verdict(count_fds() == fds, "open files as before");
	judge_moving();
	for (i = 0; i < opt.threads; i++)
		zygote_end(&threads[i]);
	teardown();
	return all_well ? EXIT_SUCCESS : EXIT_FAILURE;
}

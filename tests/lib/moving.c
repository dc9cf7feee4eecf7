// SPDX-License-Identifier: GPL-2.0-only
/*
 * Judging memory that moves. See moving.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "moving.h"
#include "report.h"
#include "testdrv.h"

#define CPU	(DBT_ATTACH_CLASS | DBT_ATTACH_CPU)
#define TRIES	100	/* to use a view before others move the memory again */

/* An object of one's own and a CPU view of it. */
struct walker {
	int vram, importer, dmabuf;
	__u64 size;
	__u8 *want, *got;
};

static int wrong(int err, const char *fmt, ...) attribute(format(gnu_printf, 2, 3));

static int wrong(int err, const char *fmt, ...)
{
	va_list args;

	flockfile(stdout);
	printf("# moving: ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(": %s\n", strerror(-err));
	fflush(stdout);
	funlockfile(stdout);
	return err;
}

/*
 * All bytes. A view that ends half way because somebody made room at the
 * expense of the object is made anew. -ENOSPC: there is no place for it now.
 */
static int access_all(struct walker *w, bool write)
{
	unsigned int tries = 0;
	__u64 at = 0;
	ssize_t done;
	int err;

	while (at < w->size) {
		done = write ? importer_write(w->importer, at, w->want + at,
					      w->size - at) :
			       importer_read(w->importer, at, w->got + at,
					     w->size - at);
		if (done > 0) {
			at += done;
			continue;
		}
		if (done != -ENODEV || ++tries > TRIES)
			return wrong(done ?: -EIO, "access after %u tries",
				     tries);
		err = importer_remap(w->importer);
		if (err == -ENOSPC)
			return err;
		if (err)
			return wrong(err, "bring the view back");
	}
	return 0;
}

static int compare(struct walker *w, const char *when)
{
	int err = access_all(w, false);
	__u64 at;

	if (err)
		return err;
	for (at = 0; at < w->size; at++)
		if (w->got[at] != w->want[at])
			return wrong(-EILSEQ, "byte %llx is %02x, not %02x, after %s",
				     at, w->got[at], w->want[at], when);
	return 0;
}

/* Others may evict it at once, but nobody else brings it in. */
static int there(struct walker *w, struct moving *seen)
{
	struct dbv_query before, after;
	int err = vram_query(w->vram, w->dmabuf, &before);

	if (err)
		return wrong(err, "query");
	err = vram_place(w->vram, w->dmabuf);
	if (err == -ENOSPC)
		return err;
	if (!err)
		err = vram_query(w->vram, w->dmabuf, &after);
	if (err)
		return wrong(err, "place");
	if (before.where == DBV_RAM && after.moves == before.moves)
		return wrong(-EXDEV, "placed, but it did not move");
	seen->moves += after.moves - before.moves;
	return compare(w, "place");
}

static int back(struct walker *w, struct moving *seen)
{
	struct dbv_query query;
	int err = vram_evict(w->vram, w->dmabuf);

	if (!err)
		err = vram_query(w->vram, w->dmabuf, &query);
	if (err)
		return wrong(err, "evict");
	if (query.where != DBV_RAM || query.pins)
		return wrong(-EXDEV, "evicted, but it is at %u, with %u pins",
			     query.where, query.pins);
	seen->moves++;
	return compare(w, "evict");
}

static int walk(struct walker *w, unsigned int rounds, struct moving *seen)
{
	int err = importer_attach(w->importer, w->dmabuf, CPU, 0);

	if (err)
		return wrong(err, "attach");
	err = importer_map_all(w->importer);
	if (err && err != -ENOSPC)
		return wrong(err, "map");
	if (!err)
		err = access_all(w, true);
	while (!err && rounds--) {
		err = there(w, seen);
		if (!err)
			err = back(w, seen);
		if (!err)
			seen->compared += 2;
	}
	return err;
}

static int walker_open(struct walker *w, int vram, const char *name,
		       __u64 size, __u32 flags)
{
	*w = (struct walker){
		.vram = vram, .size = size,
		.want = malloc(size), .got = malloc(size),
		.importer = importer_reopen(name),
		.dmabuf = vram_create(vram, size, flags),
	};
	if (!w->want || !w->got)
		return wrong(-ENOMEM, "allocate");
	pattern(w->want, size, now_us());
	if (w->importer < 0)
		return wrong(w->importer, "open importer");
	return w->dmabuf < 0 ? wrong(w->dmabuf, "create") : 0;
}

int moving_walk(int vram, const char *name, __u64 size, __u32 flags,
		unsigned int rounds, struct moving *seen)
{
	struct walker w;
	int err = walker_open(&w, vram, name, size, flags);

	if (!err)
		err = walk(&w, rounds, seen);
	if (w.importer >= 0)
		close(w.importer);
	if (w.dmabuf >= 0)
		close(w.dmabuf);
	free(w.want);
	free(w.got);
	return err == -ENOSPC ? 0 : err;
}

int moving_stays(int vram, int dmabuf, struct moving *seen)
{
	struct dbv_query before, after;
	int err = vram_query(vram, dmabuf, &before), evict, place;

	if (err || !before.pins)
		return wrong(err ?: -ENOLCK, "pinned, but nobody pins it");
	evict = vram_evict(vram, dmabuf);
	place = vram_place(vram, dmabuf);
	err = vram_query(vram, dmabuf, &after);
	if (err)
		return wrong(err, "query");
	if (after.where != before.where || after.moves != before.moves ||
	    after.offset != before.offset ||
	    after.evictions != before.evictions)
		return wrong(-EXDEV, "pinned at %u, moved to %u", before.where,
			     after.where);
	if (before.where == DBV_VRAM ? evict != -EBUSY || place :
	    evict || (place != -EBUSY && place != -ENOSPC))
		return wrong(-EBADE, "pinned at %u: evict %d, place %d",
			     before.where, evict, place);
	seen->held++;
	return 0;
}

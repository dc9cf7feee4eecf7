// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory and what it should hold. See bar.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bar.h"

/* Prime, so that no two pages of a long pattern are alike. */
#define PATTERN_PERIOD	65521

#define PAGE		0x1000ULL

static const struct vfio_region_dma_range three_ranges[] = {
	{ .offset = 0x24000, .length = 0x2000 },
	{ .offset = 0x01000, .length = 0x3000 },
	{ .offset = 0x12000, .length = 0x1000 },
};

const struct layout layout_one = { three_ranges, 1 };
const struct layout layout_three = { three_ranges, 3 };

int bar_remap(struct bar *bar, struct vfio_dev *dev)
{
	void *map;
	int err = vfio_map_bar(dev, bar->index, &map, &bar->map_size);

	if (!err)
		bar->map = map;
	return err;
}

int bar_open(struct bar *bar, struct vfio_dev *dev, __u32 index, size_t limit)
{
	int err;

	*bar = (struct bar){ .index = index };
	err = bar_remap(bar, dev);
	if (err)
		return err;
	bar->size = bar->map_size;
	if (limit && limit < bar->size)
		bar->size = limit;
	bar->want = malloc(bar->size);
	if (!bar->want)
		return -ENOMEM;
	memcpy(bar->want, bar->map, bar->size);
	return 0;
}

void bar_unmap(struct bar *bar)
{
	if (bar->map)
		munmap(bar->map, bar->map_size);
	bar->map = NULL;
}

void bar_close(struct bar *bar)
{
	bar_unmap(bar);
	free(bar->want);
	bar->want = NULL;
}

void bar_fill(struct bar *bar, __u32 seed)
{
	pattern(bar->want, bar->size, seed);
	memcpy(bar->map, bar->want, bar->size);
}

/*
 * Where byte @offset of the dma-buf is in the window, and how many of @len bytes
 * follow there in a row; dies past the end.
 */
static size_t place_of(const struct bar *bar, struct layout layout,
		       __u64 offset, size_t *len)
{
	__u32 i = 0;

	while (i < layout.nr && offset >= layout.ranges[i].length)
		offset -= layout.ranges[i++].length;
	if (i == layout.nr)
		abort();
	if (*len > layout.ranges[i].length - offset)
		*len = layout.ranges[i].length - offset;
	if (layout.ranges[i].offset + offset + *len > bar->size)
		abort();
	return layout.ranges[i].offset + offset;
}

void bar_note(struct bar *bar, struct layout layout, __u64 offset,
	      const void *data, size_t len)
{
	size_t done, now, place;

	for (done = 0; done < len; done += now) {
		now = len - done;
		place = place_of(bar, layout, offset + done, &now);
		memcpy(bar->want + place, data + done, now);
	}
}

void bar_expect(const struct bar *bar, struct layout layout, __u64 offset,
		void *data, size_t len)
{
	size_t done, now, place;

	for (done = 0; done < len; done += now) {
		now = len - done;
		place = place_of(bar, layout, offset + done, &now);
		memcpy(data + done, bar->want + place, now);
	}
}

void bar_take(struct bar *bar, struct layout layout, __u64 offset, size_t len)
{
	size_t done, now, place;

	for (done = 0; done < len; done += now) {
		now = len - done;
		place = place_of(bar, layout, offset + done, &now);
		memcpy(bar->want + place, bar->map + place, now);
	}
}

long bar_check(const struct bar *bar)
{
	size_t i;

	if (!memcmp(bar->map, bar->want, bar->size))
		return BAR_SAME;
	for (i = 0; i < bar->size && bar->map[i] == bar->want[i]; i++)
		;
	return i;
}

__u64 layout_size(struct layout layout)
{
	__u64 size = 0;
	__u32 i;

	for (i = 0; i < layout.nr; i++)
		size += layout.ranges[i].length;
	return size;
}

void pattern(void *data, size_t len, __u32 seed)
{
	__u32 state = seed * 2654435761u + 1;
	__u8 *byte = data;
	size_t i;

	for (i = 0; i < len && i < PATTERN_PERIOD; i++) {
		state = state * 1664525u + 1013904223u;
		byte[i] = (state >> 24) | 1;
	}
	for (; i < len; i += PATTERN_PERIOD)
		memcpy(byte + i, byte, len - i < PATTERN_PERIOD ? len - i :
		       PATTERN_PERIOD);
}

struct layout layout_scattered(struct vfio_region_dma_range *ranges, __u32 nr)
{
	__u32 i;

	/* 1229 is prime: each page once. */
	for (i = 0; i < nr; i++)
		ranges[i] = (struct vfio_region_dma_range){
			.offset = ((__u64)i * 1229 % nr * 2 + 1) * PAGE,
			.length = PAGE,
		};
	return (struct layout){ ranges, nr };
}

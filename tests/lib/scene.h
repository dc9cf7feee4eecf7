/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The scene that most programs need: an IOAS, an edu device attached to it as
 * initiator, and another device as exporter whose BAR2 is watched.
 *
 * The judging functions return 0 if all is as expected, else -errno after a
 * "# ..." line that says what is wrong (-EILSEQ for wrong bytes). Each compares
 * the whole window, so they also see a byte changed elsewhere.
 */
#ifndef TESTS_LIB_SCENE_H
#define TESTS_LIB_SCENE_H

#include <stddef.h>
#include <linux/types.h>

#include "bar.h"
#include "edu.h"
#include "pci.h"
#include "vfio.h"

#define SCENE_BAR	2

struct scene {
	int iommufd;
	__u32 ioas;
	__u32 seed;			/* of the last pattern used */
	struct edu edu;
	struct vfio_dev exporter;
	struct bar bar;
};

/* Set all up and fill the window (@window bytes, 0: the BAR), or die. */
void scene_open(struct scene *scene, struct pci_id exporter, size_t window);

/* Close what is still open, in this order: devices, iommufd. */
void scene_close(struct scene *scene);

/* Export from BAR2. Returns the dma-buf or dies. */
int scene_export(struct scene *scene, struct layout layout);

/* Close the exporter for the last time; open it again, with a new window. */
void scene_close_exporter(struct scene *scene);
int scene_reopen_exporter(struct scene *scene);

/* Bytes that were not used before. */
void scene_pattern(struct scene *scene, void *data, size_t len);

/* Every byte of the window is as it should be. */
int scene_judge(struct scene *scene);

/* Map all of a dma-buf into the scene's IOAS; 0 or -errno. */
int scene_map_at(struct scene *scene, int dmabuf, struct layout layout,
		 __u64 iova);

/*
 * DMA between @iova and byte @offset of the dma-buf described by @layout
 * arrives there and nowhere else.
 */
int scene_write_arrives(struct scene *scene, __u64 iova, struct layout layout,
			__u64 offset, size_t len);
int scene_read_arrives(struct scene *scene, __u64 iova, struct layout layout,
		       __u64 offset, size_t len);

/* DMA to @iova changes no byte. */
int scene_write_stopped(struct scene *scene, __u64 iova);

/* Start a write of one block that is to change nothing; due in 100 ms. */
int scene_write_due(struct scene *scene, __u64 iova);

/*
 * Write and read at both ends of every range and across the seam behind it,
 * the whole dma-buf being mapped at @iova. Of many ranges, up to 8 are tried.
 */
int scene_all_arrives(struct scene *scene, __u64 iova, struct layout layout);

/* Put back what a transfer did to the first block of @layout. */
void scene_repair(struct scene *scene, struct layout layout);

#endif

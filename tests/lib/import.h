/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The scene of tests about a driver that imports: the test importer on the first
 * edu device, VFIO as exporter of a BAR that is watched, and the kernel log.
 *
 * Functions return 0 or -errno.
 */
#ifndef TESTS_LIB_IMPORT_H
#define TESTS_LIB_IMPORT_H

#include "bar.h"
#include "kmsg.h"
#include "pci.h"
#include "testdrv.h"
#include "vfio.h"

#define IMPORT_BAR	2
#define IMPORT_WINDOW	0x80000ULL

struct import {
	int iommufd;
	int importer;
	int dmabuf;			/* -1: nothing is exported */
	int kmsg;
	struct vfio_dev exporter;
	struct bar bar;
	char name[PCI_NAME_LEN];	/* of the importer's device */
};

int import_open(struct import *import);

/* Close what is open; both devices are free, and no dma-buf is left. */
int import_close(struct import *import);

int import_export(struct import *import, struct layout layout);

/* Export and attach, see importer_attach(). */
int import_attach(struct import *import, struct layout layout, __u32 flags,
		  __u32 delay_ms);

#endif

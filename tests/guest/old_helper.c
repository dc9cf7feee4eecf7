// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reproducers for mainline's dma_buf_phys_vec_to_sgt(), patches 0001 to 0003.
 *
 * The helper is used by a test exporter outside of the class, and what it maps
 * is used by an edu device's own DMA engine. Each case but the ones about the
 * class is red without one of the patches.
 *
 * flavour: plain debug
 * topology: root virtio-iommu switch
 * tier: check
 * timeout: 480
 * leak: yes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "kmsg.h"
#include "leaks.h"
#include "report.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define BAR		2
#define PAGE		0x1000ULL
#define MIB		0x100000ULL
#define WINDOW		(1 * MIB)
#define LIMIT		120	/* seconds per test */
#define NR_MANY		64
#define NR_MAPS		3000

/* I/O address space of 16 MiB, of which the first page cannot be had. */
#define SMALL_MASK	(16 * MIB - 1)

/* Three ranges fit into the small I/O address space, the other thirteen not. */
static const struct vfio_region_dma_range big_ranges[] = {
	{ 0 * MIB, 4 * MIB }, { 4 * MIB, 4 * MIB }, { 8 * MIB, 4 * MIB },
	{ 0 * MIB, 4 * MIB }, { 4 * MIB, 4 * MIB }, { 8 * MIB, 4 * MIB },
	{ 0 * MIB, 4 * MIB }, { 4 * MIB, 4 * MIB }, { 8 * MIB, 4 * MIB },
	{ 0 * MIB, 4 * MIB }, { 4 * MIB, 4 * MIB }, { 8 * MIB, 4 * MIB },
	{ 0 * MIB, 4 * MIB }, { 4 * MIB, 4 * MIB }, { 8 * MIB, 4 * MIB },
	{ 0 * MIB, 4 * MIB },
};

static const struct layout fits = { big_ranges, 3 };
static const struct layout too_big = { big_ranges, 16 };

/* Objects in all caches of kmalloc() for 32 bytes, or -errno. */
static long count_kmalloc_32(void)
{
	long count = -ENOENT, active;
	char line[256], name[64];
	FILE *file;

	file = fopen("/proc/slabinfo", "r");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %ld", name, &active) != 2 ||
		    strncmp(name, "kmalloc-", 8) ||
		    strcmp(name + strlen(name) - 3, "-32"))
			continue;
		count = count < 0 ? active : count + active;
	}
	fclose(file);
	return count;
}

FIXTURE(helper)
{
	int importer;
	int exporter;
	int dmabuf;
	struct bar bar;
	char importer_name[PCI_NAME_LEN];
	char exporter_name[PCI_NAME_LEN];
};

FIXTURE_VARIANT(helper)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(helper, old_importer)
{
};

FIXTURE_VARIANT_ADD(helper, class_importer)
{
	.flags = DBT_ATTACH_CLASS,
};

FIXTURE_SETUP(helper)
{
	if (!pci_peers_meet())
		SKIP(return, NO_WAY_TO_PEER);
	self->dmabuf = -1;
	self->exporter = exporter_open(PCI_ID_IVSHMEM, self->exporter_name);
	ASSERT_LE(0, self->exporter);
	self->importer = importer_open(0, self->importer_name);
	ASSERT_LE(0, self->importer);
	ASSERT_EQ(0, bar_open_sysfs(&self->bar, self->exporter_name, BAR,
				    WINDOW));
	bar_fill(&self->bar, 1);
}

FIXTURE_TEARDOWN(helper)
{
	importer_set_mask(self->importer, ~0ULL);
	bar_close(&self->bar);
	close(self->importer);
	if (self->dmabuf >= 0)
		close(self->dmabuf);
	close(self->exporter);
	EXPECT_EQ(0, settle_dmabufs(0));
	EXPECT_EQ(0, testdrv_release(self->importer_name));
	EXPECT_EQ(0, testdrv_release(self->exporter_name));
}

static int attach_to(int importer, int exporter, int *dmabuf,
		     struct layout layout, __u32 flags)
{
	*dmabuf = exporter_export(exporter, BAR, layout);
	if (*dmabuf < 0)
		return *dmabuf;
	return importer_attach(importer, *dmabuf, flags, 0);
}

#define ATTACH(layout)						\
	ASSERT_EQ(0, attach_to(self->importer, self->exporter,	\
			       &self->dmabuf, layout, variant->flags))

/* 0001 */
TEST_F_TIMEOUT(helper, three_ranges_arrive, LIMIT)
{
	ATTACH(layout_three);
	ASSERT_EQ(0, importer_map_all(self->importer));
	EXPECT_EQ(0, importer_all_arrives(self->importer, &self->bar, layout_three));
}

/* 0001 */
TEST_F_TIMEOUT(helper, many_ranges_arrive, LIMIT)
{
	struct vfio_region_dma_range ranges[NR_MANY];
	struct layout layout = layout_scattered(ranges, NR_MANY);

	ATTACH(layout);
	ASSERT_EQ(0, importer_map_all(self->importer));
	EXPECT_EQ(0, importer_write_arrives(self->importer, &self->bar, layout,
					    0, 0, layout_size(layout)));
}

/* KASAN keeps what was freed for a while; there the leak scan tells. */
static bool freed_is_free(void)
{
	const char *flavour = getenv("FLAVOUR");

	return !flavour || strcmp(flavour, "debug");
}

/* 0002 */
TEST_F_TIMEOUT(helper, scatterlist_is_freed, LIMIT)
{
	long before, after;
	int i;

	ATTACH(layout_one);
	before = count_kmalloc_32();
	ASSERT_LE(0, before);
	for (i = 0; i < NR_MAPS; i++) {
		ASSERT_EQ(0, importer_map_all(self->importer));
		ASSERT_EQ(0, importer_unmap(self->importer));
	}
	after = count_kmalloc_32();
	if (!freed_is_free())
		return;
	EXPECT_GT(before + NR_MAPS / 2, after)
		TH_LOG("%ld objects of 32 bytes more after %d maps",
		       after - before, NR_MAPS);
}

/*
 * 0003: one range in the middle cannot be mapped. What mainline unmaps without
 * having mapped it goes into a cache of free addresses, as address 0. The cache
 * is emptied when an address cannot be had, which warns about those.
 */
TEST_F_TIMEOUT(helper, failure_unmaps_what_was_mapped, LIMIT)
{
	int kmsg, i;

	if (topology_is("switch"))
		SKIP(return, "mapping by bus address cannot fail");

	kmsg = kmsg_open();
	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, importer_set_mask(self->importer, SMALL_MASK));
	ATTACH(too_big);
	for (i = 0; i < 3; i++)
		EXPECT_GT(0, importer_map_all(self->importer));
	ASSERT_EQ(0, importer_detach(self->importer));
	close(self->dmabuf);

	ATTACH(fits);
	EXPECT_EQ(0, importer_map_all(self->importer));
	EXPECT_FALSE(kmsg_has(kmsg, "WARNING: ", " at "));
	close(kmsg);
}

/* 0003: whatever allocation fails, the I/O address space is given back. */
TEST_F_TIMEOUT(helper, failure_frees_the_address_space, LIMIT)
{
	struct layout half = { &(struct vfio_region_dma_range){ 0, 8 * MIB }, 1 };
	unsigned int nth, failed = 0;
	bool happened = true;
	int file, err;

	if (topology_is("switch"))
		SKIP(return, "mapping by bus address has none");

	ASSERT_EQ(0, faults_prepare());
	file = faults_open();
	ASSERT_LE(0, file);
	ASSERT_EQ(0, importer_set_mask(self->importer, SMALL_MASK));
	ATTACH(half);
	for (nth = 1; happened; nth++) {
		ASSERT_EQ(0, faults_set(file, nth));
		err = importer_map_all(self->importer);
		happened = faults_happened(file);
		if (err)
			failed++;
		else
			ASSERT_EQ(0, importer_unmap(self->importer));
		ASSERT_GT(100, nth);
	}
	close(file);
	EXPECT_EQ(0, err);
	EXPECT_LE(2, failed);
	EXPECT_EQ(0, importer_map_all(self->importer));
	EXPECT_EQ(0, importer_arrives(self->importer, &self->bar, half, 0, 0,
				      PAGE));
}

/* It has no vmap operation, so there is no CPU view either. */
TEST_F_TIMEOUT(helper, cpu_view_is_refused, LIMIT)
{
	int kmsg;

	kmsg = kmsg_open();
	ASSERT_LE(0, kmsg);
	ATTACH(layout_three);
	ASSERT_EQ(0, importer_detach(self->importer));
	EXPECT_EQ(-EOPNOTSUPP, importer_attach(self->importer, self->dmabuf,
					       DBT_ATTACH_CLASS |
					       DBT_ATTACH_CPU, 0));
	EXPECT_TRUE(kmsg_has(kmsg, self->importer_name, "does not map"));
	close(kmsg);
}

TEST_HARNESS_MAIN

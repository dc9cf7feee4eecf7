// SPDX-License-Identifier: GPL-2.0-only
/*
 * Below a switch, a device gets only bus addresses that its DMA mask covers.
 *
 * Bus addresses bypass the DMA API and its checks, so the core has one of its own.
 * The memory is made up, at addresses from 2^46 on, which nobody accesses.
 *
 * The driver stays, and lets "edu" devices be behind an IOMMU that translates
 * nothing: no other test can use them for DMA after this one.
 *
 * topology: switch
 * tier: check
 * boot: own
 */
#include <errno.h>
#include <unistd.h>

#include "testdrv.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ULL
#define NR		4
#define MASK(bits)	((1ULL << (bits)) - 1)

FIXTURE(mask)
{
	int importer;
	int scale;
	int dmabuf;
	char importer_name[PCI_NAME_LEN];
	char scale_name[PCI_NAME_LEN];
};

FIXTURE_SETUP(mask)
{
	self->scale = scale_open(self->scale_name);
	ASSERT_LE(0, self->scale);
	self->importer = importer_open(0, self->importer_name);
	ASSERT_LE(0, self->importer);
	self->dmabuf = scale_make_up(self->scale, NR, PAGE, 0);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf,
				     DBT_ATTACH_CLASS, 0));
}

FIXTURE_TEARDOWN(mask)
{
	importer_set_mask(self->importer, ~0ULL);
	close(self->importer);
	close(self->dmabuf);
	close(self->scale);
	EXPECT_EQ(0, testdrv_release(self->importer_name));
	EXPECT_EQ(0, testdrv_release(self->scale_name));
}

TEST_F(mask, covers_all)
{
	struct dbt_state state;

	ASSERT_EQ(0, importer_set_mask(self->importer, ~0ULL));
	ASSERT_EQ(0, importer_map_all(self->importer));
	ASSERT_EQ(0, importer_state(self->importer, &state));
	EXPECT_EQ(NR * PAGE, state.len);
	EXPECT_LT(MASK(46), state.addr);
}

TEST_F(mask, covers_what_there_is)
{
	ASSERT_EQ(0, importer_set_mask(self->importer, MASK(47)));
	EXPECT_EQ(0, importer_map_all(self->importer));
}

TEST_F(mask, ends_before)
{
	ASSERT_EQ(0, importer_set_mask(self->importer, MASK(46)));
	EXPECT_EQ(-EOPNOTSUPP, importer_map_all(self->importer));
	ASSERT_EQ(0, importer_set_mask(self->importer, MASK(32)));
	EXPECT_EQ(-EOPNOTSUPP, importer_map_all(self->importer));
}

/* What the test driver refuses, the kernel need not warn of. */
TEST_F(mask, no_such_memory)
{
	EXPECT_EQ(-EINVAL, scale_make_up(self->scale, 0, PAGE, 0));
	EXPECT_EQ(-EINVAL, scale_make_up(self->scale, 1, PAGE + 1, 0));
	EXPECT_EQ(-EINVAL, scale_make_up(self->scale, 1u << 31, PAGE, 0));
	EXPECT_EQ(-EINVAL, scale_make_up(self->scale, 2, 1ULL << 45, 0));
	EXPECT_EQ(-EINVAL, scale_make_up(self->scale, 1, PAGE, ~0u));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that cannot reach the exporter's BAR gets no DMA view of it.
 *
 * The host bridge is not known to carry peer-to-peer traffic. The refusal comes
 * at attach, and the kernel log names both devices and the reason.
 *
 * flavour: plain debug
 * topology: refused
 * tier: check
 * timeout: 60
 * leak: yes
 */
#include <errno.h>
#include <unistd.h>

#include "iommufd.h"
#include "kmsg.h"
#include "leaks.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define BAR		2
#define REASON		"no peer-to-peer path"

static const struct vfio_region_dma_range range = {
	.offset = 0x13000, .length = 0x2000,
};

FIXTURE(refused)
{
	int iommufd;
	int importer;
	int dmabuf;
	int kmsg;
	struct vfio_dev exporter;
	char name[PCI_NAME_LEN];	/* of the importer */
};

FIXTURE_VARIANT(refused)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(refused, unconverted)
{
};

FIXTURE_VARIANT_ADD(refused, class)
{
	.flags = DBT_ATTACH_CLASS,
};

FIXTURE_SETUP(refused)
{
	ASSERT_EQ(0, vfio_allow_noiommu());
	self->kmsg = kmsg_open();
	ASSERT_LE(0, self->kmsg);
	self->iommufd = iommufd_open();
	ASSERT_LE(0, self->iommufd);
	self->importer = importer_open(0, self->name);
	ASSERT_LE(0, self->importer);
	ASSERT_EQ(0, vfio_open_id(&self->exporter, PCI_ID_IVSHMEM, 0,
				  self->iommufd));
	self->dmabuf = vfio_export(&self->exporter, BAR, &range, 1);
	ASSERT_LE(0, self->dmabuf);
}

FIXTURE_TEARDOWN(refused)
{
	close(self->importer);
	close(self->dmabuf);
	vfio_close(&self->exporter);
	close(self->iommufd);
	close(self->kmsg);
	EXPECT_EQ(0, settle_dmabufs(0));
	EXPECT_EQ(0, testdrv_release(self->name));
}

/* One line has the reason and both devices. */
static bool log_says_why(int kmsg, const char *importer, const char *exporter)
{
	char both[2 * PCI_NAME_LEN + 32];

	snprintf(both, sizeof(both), "%s refused to %s", exporter, importer);
	return kmsg_has(kmsg, both, REASON);
}

TEST_F(refused, at_attach)
{
	EXPECT_EQ(-EOPNOTSUPP, importer_attach(self->importer, self->dmabuf,
					       variant->flags, 0));
	EXPECT_TRUE(log_says_why(self->kmsg, self->name, self->exporter.name));
	EXPECT_EQ(-ENOTCONN, importer_map_all(self->importer));
}

/* Whether the memory is away for a while makes no difference. */
TEST_F(refused, at_attach_while_suspended)
{
	ASSERT_EQ(0, vfio_set_memory(&self->exporter, false));
	EXPECT_EQ(-EOPNOTSUPP, importer_attach(self->importer, self->dmabuf,
					       variant->flags, 0));
	EXPECT_TRUE(log_says_why(self->kmsg, self->name, self->exporter.name));
}

TEST_HARNESS_MAIN

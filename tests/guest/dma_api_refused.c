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
 * timeout: 120
 * leak: yes
 */
#include <errno.h>
#include <unistd.h>

#include "import.h"
#include "leaks.h"

#include "kselftest_harness.h"

#define REASON		"no peer-to-peer path"

FIXTURE(refused)
{
	struct import in;
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
	ASSERT_EQ(0, import_open(&self->in));
	ASSERT_EQ(0, import_export(&self->in, layout_one));
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_EQ(0, import_close(&self->in));
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
	EXPECT_EQ(-EOPNOTSUPP, importer_attach(self->in.importer, self->in.dmabuf,
					       variant->flags, 0));
	EXPECT_TRUE(log_says_why(self->in.kmsg, self->in.name, self->in.exporter.name));
	EXPECT_EQ(-ENOTCONN, importer_map_all(self->in.importer));
}

/* Whether the memory is away for a while makes no difference. */
TEST_F(refused, at_attach_while_suspended)
{
	ASSERT_EQ(0, vfio_set_memory(&self->in.exporter, false));
	EXPECT_EQ(-EOPNOTSUPP, importer_attach(self->in.importer, self->in.dmabuf,
					       variant->flags, 0));
	EXPECT_TRUE(log_says_why(self->in.kmsg, self->in.name, self->in.exporter.name));
}

TEST_HARNESS_MAIN

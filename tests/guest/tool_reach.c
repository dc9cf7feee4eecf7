// SPDX-License-Identifier: GPL-2.0-only
/*
 * What "dma-buf-phys reach" says is what the kernel does: an importer is let
 * in or refused just so, wherever the devices are, and whatever the ports' ACS
 * bits are.
 *
 * flavour: plain
 * topology: root switch refused acs
 * tier: check
 * timeout: 120
 * needs: tools/dma-buf-phys
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iommufd.h"
#include "report.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define BAR		2
#define ACS_ID		0x0d
#define ACS_CTRL	6
#define ACS_REDIRECT	0x0c	/* requests and completions */
#define ACS_ALL		0x2c	/* and egress control */

static const struct vfio_region_dma_range range = {
	.offset = 0x13000, .length = 0x2000,
};

/* Place of the ACS capability, 0: there is none. */
static unsigned int find_acs(int config)
{
	unsigned int pos = 0x100, left = 64;
	__u32 head;

	while (pos && left-- && pread(config, &head, 4, pos) == 4 && head + 1 > 1) {
		if ((head & 0xffff) == ACS_ID)
			return pos;
		pos = head >> 20;
	}
	return 0;
}

/* In every port that has it. Returns their number. */
static unsigned int set_acs(__u16 bits)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	unsigned int pos, nr = 0;
	struct dirent *entry;
	char path[300];
	int config;
	__u16 ctrl;

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
			 entry->d_name);
		config = open(path, O_RDWR);
		pos = config < 0 ? 0 : find_acs(config);
		if (pos && pread(config, &ctrl, 2, pos + ACS_CTRL) == 2) {
			ctrl = (ctrl & ~ACS_ALL) | bits;
			if (pwrite(config, &ctrl, 2, pos + ACS_CTRL) != 2)
				die("cannot set ACS bits of %s", entry->d_name);
			nr++;
		}
		if (config >= 0)
			close(config);
	}
	if (dir)
		closedir(dir);
	return nr;
}

/* What the tool prints; its exit status. */
static int reach(const char *a, const char *b, char *out, size_t size)
{
	char command[128];
	FILE *pipe;
	size_t len;

	snprintf(command, sizeof(command),
		 "/needs/dma-buf-phys reach %s %s --json", a, b);
	pipe = popen(command, "r");
	if (!pipe)
		die("popen: %s", strerror(errno));
	len = fread(out, 1, size - 1, pipe);
	out[len] = 0;
	while (len--)
		if (out[len] == '\n')
			out[len] = ' ';
	printf("# %s\n", out);
	return WEXITSTATUS(pclose(pipe));
}

/* What is to come out, known from how the topology is built. */
static const char *expected(bool redirect)
{
	const char *topology = getenv("TOPOLOGY");

	if (!strcmp(topology, "root"))
		return "host-bridge";
	if (!strcmp(topology, "switch"))
		return "bus";
	if (!strcmp(topology, "acs"))
		return redirect ? "none" : "bus";
	return "none";
}

FIXTURE(reach)
{
	int iommufd;
	int importer;
	int dmabuf;
	struct vfio_dev exporter;
	char name[PCI_NAME_LEN];	/* of the importer */
	char out[4096];
};

FIXTURE_VARIANT(reach)
{
	__u16 acs;
};

FIXTURE_VARIANT_ADD(reach, acs_off)
{
};

FIXTURE_VARIANT_ADD(reach, acs_on)
{
	.acs = ACS_REDIRECT,
};

/* The kernel decides once per binding of the exporter, so ACS comes first. */
FIXTURE_SETUP(reach)
{
	ASSERT_EQ(0, vfio_allow_noiommu());
	ASSERT_LT(0, set_acs(variant->acs));
	self->iommufd = iommufd_open();
	ASSERT_LE(0, self->iommufd);
	self->importer = importer_open(0, self->name);
	ASSERT_LE(0, self->importer);
	ASSERT_EQ(0, vfio_open_id(&self->exporter, PCI_ID_IVSHMEM, 0,
				  self->iommufd));
	self->dmabuf = vfio_export(&self->exporter, BAR, &range, 1);
	ASSERT_LE(0, self->dmabuf);
}

FIXTURE_TEARDOWN(reach)
{
	close(self->importer);
	close(self->dmabuf);
	vfio_close(&self->exporter);
	close(self->iommufd);
	EXPECT_EQ(0, testdrv_release(self->name));
	EXPECT_EQ(0, pci_unbind(self->exporter.name));
}

TEST_F(reach, as_the_kernel_decides)
{
	const char *want = expected(variant->acs);
	bool reaches = strcmp(want, "none");
	char line[64];

	/* The kernel first: it has not been asked yet. */
	EXPECT_EQ(reaches ? 0 : -EOPNOTSUPP,
		  importer_attach(self->importer, self->dmabuf,
				  DBT_ATTACH_CLASS, 0));
	EXPECT_EQ(reaches ? 0 : 1,
		  reach(self->name, self->exporter.name, self->out,
			sizeof(self->out)));
	snprintf(line, sizeof(line), "\"path\": \"%s\"", want);
	EXPECT_NE(NULL, strstr(self->out, line));
	snprintf(line, sizeof(line), "\"kernel\": %s",
		 reaches ? "true" : "false");
	EXPECT_NE(NULL, strstr(self->out, line));
}

/* Only a port on the way between the two is in the way. */
TEST_F(reach, names_the_acs_bits)
{
	bool in_the_way = variant->acs && !strcmp(getenv("TOPOLOGY"), "acs");

	reach(self->name, self->exporter.name, self->out, sizeof(self->out));
	EXPECT_EQ(in_the_way, !!strstr(self->out, "\"ReqRedir\""));
	EXPECT_EQ(in_the_way, !!strstr(self->out, "\"CmpltRedir\""));
	EXPECT_EQ(NULL, strstr(self->out, "\"EgressCtrl\""));
}

/* A device reaches itself. */
TEST_F(reach, itself)
{
	EXPECT_EQ(0, reach(self->exporter.name, self->exporter.name, self->out,
			   sizeof(self->out)));
	EXPECT_NE(NULL, strstr(self->out, "\"path\": \"bus\""));
	EXPECT_NE(NULL, strstr(self->out, "\"distance\": 0"));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scene of tests about a driver that imports. See import.h.
 */
#include <unistd.h>

#include "import.h"
#include "iommufd.h"
#include "leaks.h"

static int without_iommu(void)
{
	if (topology_is("switch") || topology_is("refused"))
		return vfio_allow_noiommu();
	return 0;
}

int import_open(struct import *import)
{
	int err = without_iommu();

	import->dmabuf = -1;
	if (err)
		return err;
	import->kmsg = kmsg_open();
	if (import->kmsg < 0)
		return import->kmsg;
	import->iommufd = iommufd_open();
	if (import->iommufd < 0)
		return import->iommufd;
	import->importer = importer_open(0, import->name);
	if (import->importer < 0)
		return import->importer;
	err = vfio_open_id(&import->exporter, PCI_ID_IVSHMEM, 0,
			   import->iommufd);
	if (!err)
		err = bar_open(&import->bar, &import->exporter, IMPORT_BAR,
			       IMPORT_WINDOW);
	if (!err)
		bar_fill(&import->bar, 1);
	return err;
}

int import_close(struct import *import)
{
	int err;

	bar_close(&import->bar);
	close(import->importer);
	if (import->dmabuf >= 0)
		close(import->dmabuf);
	vfio_close(&import->exporter);
	close(import->iommufd);
	close(import->kmsg);
	err = settle_dmabufs(0);
	return err ? err : testdrv_release(import->name);
}

int import_export(struct import *import, struct layout layout)
{
	import->dmabuf = vfio_export(&import->exporter, IMPORT_BAR,
				     layout.ranges, layout.nr);
	return import->dmabuf < 0 ? import->dmabuf : 0;
}

int import_attach(struct import *import, struct layout layout, __u32 flags,
		  __u32 delay_ms)
{
	int err = import_export(import, layout);

	if (err)
		return err;
	return importer_attach(import->importer, import->dmabuf, flags,
			       delay_ms);
}

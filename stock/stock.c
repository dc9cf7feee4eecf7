// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the class needs of a kernel that does not export it, from what it does
 * export. Each says what it cannot do that the real one can.
 */
#include <linux/cc_platform.h>
#include <linux/dma-direct.h>
#include <linux/iommu.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched.h>

/* The page tables of a CPU view are charged to nobody. */
struct obj_cgroup *current_obj_cgroup(void)
{
	return NULL;
}

int obj_cgroup_charge(struct obj_cgroup *objcg, gfp_t gfp, size_t size)
{
	return 0;
}

void obj_cgroup_uncharge(struct obj_cgroup *objcg, size_t size)
{
}

/* With memory encryption always, without asking whether the device could do. */
bool force_dma_unencrypted(struct device *dev)
{
	return cc_platform_has(CC_ATTR_MEM_ENCRYPT);
}

/* Of who owns the address space; of a kernel thread, what set_active_memcg() says. */
struct mem_cgroup *get_mem_cgroup_from_current(void)
{
	return get_mem_cgroup_from_mm(current->mm);
}

/* The IOMMU is told of each range, not once of all. */
int iommu_map_nosync(struct iommu_domain *domain, unsigned long iova,
		     phys_addr_t paddr, size_t size, int prot, gfp_t gfp)
{
	return iommu_map(domain, iova, paddr, size, prot, gfp);
}

int iommu_sync_map(struct iommu_domain *domain, unsigned long iova, size_t size)
{
	return 0;
}

static bool stock_redirects(struct pci_dev *bridge)
{
	u16 ctrl;

	if (!bridge->acs_cap)
		return false;
	pci_read_config_word(bridge, bridge->acs_cap + PCI_ACS_CTRL, &ctrl);
	return ctrl & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
}

static bool stock_is_above(struct pci_dev *bridge, struct pci_dev *dev)
{
	while (dev && dev != bridge)
		dev = pci_upstream_bridge(dev);
	return dev;
}

/* Whether no bridge below the common one sends requests up. */
static bool stock_is_direct(struct pci_dev *from, struct pci_dev *common)
{
	for (; from != common; from = pci_upstream_bridge(from))
		if (stock_redirects(from))
			return false;
	return true;
}

/*
 * Whether there is a way, the kernel says; which one, only the topology. It is
 * decided anew each time, also if the kernel has mapped for this pair before.
 */
enum pci_p2pdma_map_type pci_p2pdma_map_type(struct p2pdma_provider *provider,
					     struct device *dev)
{
	struct pci_dev *owner = to_pci_dev(provider->owner), *common = owner;

	if (!dev_is_pci(dev) ||
	    pci_p2pdma_distance_many(owner, &dev, 1, false) < 0)
		return PCI_P2PDMA_MAP_NOT_SUPPORTED;
	while (common && !stock_is_above(common, to_pci_dev(dev)))
		common = pci_upstream_bridge(common);
	if (common && !stock_redirects(common) &&
	    stock_is_direct(owner, common) &&
	    stock_is_direct(to_pci_dev(dev), common))
		return PCI_P2PDMA_MAP_BUS_ADDR;
	return PCI_P2PDMA_MAP_THRU_HOST_BRIDGE;
}

MODULE_DESCRIPTION("dma-bufs whose exporter describes physical ranges");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");

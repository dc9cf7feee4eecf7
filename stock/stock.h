/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Seen first by all that is built as a module for a distribution's kernel: what
 * the class calls there and is not exported, is called by other names, which
 * stock.c has.
 */
#ifndef _STOCK_H
#define _STOCK_H

#define current_obj_cgroup		stock_current_obj_cgroup
#define obj_cgroup_charge		stock_obj_cgroup_charge
#define obj_cgroup_uncharge		stock_obj_cgroup_uncharge
#define force_dma_unencrypted		stock_force_dma_unencrypted
#define get_mem_cgroup_from_current	stock_get_mem_cgroup_from_current
#define iommu_map_nosync		stock_iommu_map_nosync
#define iommu_sync_map			stock_iommu_sync_map
#define pci_p2pdma_map_type		stock_pci_p2pdma_map_type

#endif

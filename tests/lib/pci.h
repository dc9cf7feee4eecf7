/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI devices through sysfs: found by id, given to vfio-pci, reset, removed.
 *
 * A device is named by its address as sysfs writes it, "0000:01:00.0".
 * Functions return 0 or -errno.
 */
#ifndef TESTS_LIB_PCI_H
#define TESTS_LIB_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#define PCI_NAME_LEN	16

struct pci_id {
	__u16 vendor;
	__u16 device;
};

/* The devices that every topology has. */
#define PCI_ID_EDU	((struct pci_id){ 0x1234, 0x11e8 })
#define PCI_ID_IVSHMEM	((struct pci_id){ 0x1af4, 0x1110 })
#define PCI_ID_NVME	((struct pci_id){ 0x1b36, 0x0010 })

/* Address of the nth device (from 0, in bus order) with this id. */
int pci_find(struct pci_id id, unsigned int nth, char name[PCI_NAME_LEN]);

/* Take the device from its driver, if any, and bind it to vfio-pci. */
int pci_bind_vfio(const char *name);
int pci_unbind(const char *name);

/* echo 1 > reset */
int pci_sysfs_reset(const char *name);

/* Wake it from runtime power management, as the system's administrator may. */
int pci_sysfs_wake(const char *name);

/* One sysfs attribute of the device, without the newline. */
int pci_read_attr(const char *name, const char *attr, char *buf, size_t len);
int pci_write_attr(const char *name, const char *attr, const char *value);

/* Does an IOMMU translate what the device does? */
bool pci_translated(const char *name);

/* Where the PCI bus has a BAR: what the CPU uses on this machine. 0: nowhere. */
__u64 pci_bar_address(const char *name, unsigned int bar);

/*
 * May a device reach the BAR of another one? Not through a host bridge that Linux
 * does not know to carry such traffic, as that of QEMU's arm64 machine.
 */
bool pci_peers_meet(void);

/* For SKIP() where they do not: */
#define NO_WAY_TO_PEER	"no peer-to-peer through this host bridge"

/* Any file of the kernel's. */
int pci_write_file(const char *path, const char *value);

/* Is this the guest's topology? */
bool topology_is(const char *name);

#endif

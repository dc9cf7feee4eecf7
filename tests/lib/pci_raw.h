/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI device behind its driver's back, and its slot.
 *
 * A driver that has taken the memory away believes that nothing decodes there.
 * If decoding is put back without its knowledge, transfers that it should have
 * stopped arrive, and can be seen.
 *
 * Functions return 0 or -errno.
 */
#ifndef TESTS_LIB_PCI_RAW_H
#define TESTS_LIB_PCI_RAW_H

#include <stdbool.h>

/* The memory bit of the command register. */
int pci_raw_set_memory(const char *name, bool on);

/* The power state in the power management capability becomes D0. */
int pci_raw_set_d0(const char *name);

/*
 * Press the button of the slot of device @id, as tests/vm/topology calls it, and
 * begin to power the slot off, which ends when the driver has let the device go.
 */
int slot_begin_unplug(const char *id, const char *name);

/* Wait until it is gone, plug it in again, give it to vfio-pci. */
int slot_replug(const char *id, const char *name);

#endif

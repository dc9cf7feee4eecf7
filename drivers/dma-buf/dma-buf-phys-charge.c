// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys: charging for what others allocate
 *
 * The DMA API and ioremap() allocate page tables, and charge nobody. How much it
 * is, user space chooses, as ranges may alias. So the views estimate it, and the
 * estimate is charged to the memory cgroup of who attached.
 */
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>

#include "dma-buf-phys-internal.h"

/* The memory controller counts in unsigned int. */
static void phys_uncharge_bytes(struct obj_cgroup *objcg, size_t bytes)
{
	size_t step;

	for (; bytes; bytes -= step) {
		step = min_t(size_t, bytes, SZ_1G);
		obj_cgroup_uncharge(objcg, step);
	}
}

static int phys_charge_bytes(struct obj_cgroup *objcg, size_t bytes)
{
	size_t done, step;
	int ret;

	for (done = 0; done < bytes; done += step) {
		step = min_t(size_t, bytes - done, SZ_1G);
		ret = obj_cgroup_charge(objcg, PHYS_GFP_MAYFAIL, step);
		if (ret)
			goto err_uncharge;
	}
	return 0;

err_uncharge:
	phys_uncharge_bytes(objcg, done);
	return ret;
}

/**
 * phys_charge - charge who attached
 * @charge: filled in; give back with phys_uncharge()
 * @holder: who attached
 * @bytes: number of bytes, may be 0
 *
 * Context: process context, may sleep.
 * Return: 0, or -ENOMEM if the limit does not allow it; then nothing is charged.
 */
int phys_charge(struct dma_buf_phys_charge *charge,
		const struct dma_buf_phys_holder *holder, size_t bytes)
{
	struct obj_cgroup *objcg;
	struct mem_cgroup *old;
	int ret;

	charge->objcg = NULL;
	if (!bytes || !memcg_kmem_online() || mem_cgroup_is_root(holder->memcg))
		return 0;

	old = set_active_memcg(holder->memcg);
	objcg = get_obj_cgroup_from_current();
	set_active_memcg(old);
	if (!objcg || obj_cgroup_is_root(objcg))
		return 0;

	ret = phys_charge_bytes(objcg, bytes);
	if (ret) {
		obj_cgroup_put(objcg);
		return ret;
	}
	charge->objcg = objcg;
	charge->bytes = bytes;
	return 0;
}

/**
 * phys_uncharge_objcg - give a charge back, see phys_uncharge()
 * @charge: by phys_charge(), of somebody; of nobody afterwards
 *
 * Context: any.
 */
void phys_uncharge_objcg(struct dma_buf_phys_charge *charge)
{
	phys_uncharge_bytes(charge->objcg, charge->bytes);
	obj_cgroup_put(charge->objcg);
	charge->objcg = NULL;
}

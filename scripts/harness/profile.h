/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What profile.c uses of QEMU's interface for plugins, whose header distributions
 * do not bring.
 */
#ifndef HARNESS_PROFILE_H
#define HARNESS_PROFILE_H

#include <stddef.h>
#include <linux/types.h>

#define EXPORT		__attribute__((visibility("default")))
#define API_VERSION	4	/* since QEMU 9.2 */
#define NO_REGS		0

struct qemu_plugin_tb;		/* a block of code */
struct qemu_plugin_insn;

typedef void (*trans_fn)(__u64 id, struct qemu_plugin_tb *tb);
typedef void (*exec_fn)(unsigned int cpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(__u64 id, trans_fn fn);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  exec_fn fn, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    exec_fn fn, int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
__u64 qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *
qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *data,
			     size_t len);

#endif

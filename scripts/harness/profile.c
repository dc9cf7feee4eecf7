// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plugin for QEMU: which code the guest executes in a part of a program.
 *
 * A part begins and ends with an instruction that does nothing, a NOP with a
 * number in it; see tests/lib/measure.c. At its end the plugin writes a line for
 * each block of code that was executed: the number of the part, counted from 0,
 * the address, and how many instructions of the block that were.
 *
 * Argument: out=<file>. For one CPU.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"

#define USER_END	0x800000000000ULL
#define NOP_LEN		7

/* nopl 0x64627001(%rax), nopl 0x64627002(%rax) */
static const __u8 nop_begin[NOP_LEN] = { 0x0f, 0x1f, 0x80, 1, 0x70, 0x62, 0x64 };
static const __u8 nop_end[NOP_LEN] = { 0x0f, 0x1f, 0x80, 2, 0x70, 0x62, 0x64 };

/* As translated; the same code may be translated more than once. */
struct block {
	struct block *next;
	__u64 addr;
	__u64 nr_insns;
	__u64 times;		/* executed in this part */
};

EXPORT int qemu_plugin_version = API_VERSION;

static struct block *blocks;
static unsigned int nr_parts;
static bool on;
static FILE *out;

static void block_exec(unsigned int cpu, void *data)
{
	struct block *block = data;

	if (on)
		block->times++;
}

static void part_begin(unsigned int cpu, void *data)
{
	struct block *block;

	for (block = blocks; block; block = block->next)
		block->times = 0;
	on = true;
}

static void part_end(unsigned int cpu, void *data)
{
	struct block *block;

	on = false;
	for (block = blocks; block; block = block->next)
		if (block->times)
			fprintf(out, "%u %llx %llu\n", nr_parts, block->addr,
				block->times * block->nr_insns);
	nr_parts++;
	fflush(out);
}

static void watch(struct qemu_plugin_insn *insn)
{
	__u8 data[NOP_LEN];

	if (qemu_plugin_insn_data(insn, data, sizeof(data)) != sizeof(data))
		return;
	if (!memcmp(data, nop_begin, sizeof(data)))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, part_begin,
						       NO_REGS, NULL);
	else if (!memcmp(data, nop_end, sizeof(data)))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, part_end, NO_REGS,
						       NULL);
}

static void translated(__u64 id, struct qemu_plugin_tb *tb)
{
	struct block *block = calloc(1, sizeof(*block));
	size_t i;

	if (!block)
		abort();
	block->next = blocks;
	block->addr = qemu_plugin_tb_vaddr(tb);
	block->nr_insns = qemu_plugin_tb_n_insns(tb);
	blocks = block;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, block_exec, NO_REGS, block);
	for (i = 0; block->addr < USER_END && i < block->nr_insns; i++)
		watch(qemu_plugin_tb_get_insn(tb, i));
}

/* @info is not looked at. */
EXPORT int qemu_plugin_install(__u64 id, const void *info, int argc,
			       char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "profile: the argument is out=<file>\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		perror(argv[0] + 4);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}

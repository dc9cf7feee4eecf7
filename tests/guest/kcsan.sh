#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# KUnit tests and the stress program on a kernel that finds data races. None may
# be in code of the project. What KCSAN says of the rest of the kernel is left
# out; it is known by the functions that the first line of a report names.
#
# flavour: kcsan
# topology: root
# tier: long
# timeout: 2400
# params: kunit.enable=1 kunit.autorun=1 log_buf_len=16M
# boot: own
# judges: BUG: KCSAN:
# needs: tests/guest/stress.c tests/guest/kunit_dma_buf_phys.sh tests/guest/kunit_dma_buf_phys_cpu.sh
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh

ours='dma_buf_phys|phys_|to_phys|iopt_dmabuf|vfio_pci_dma_buf|vfio_pci_core_(reset|memory_ready|fill_phys|get_dmabuf)|umem_(dmabuf|dynamic|revocable|static)|ib_umem_dmabuf|rdma_dmabuf|rxe_(reg_user_mr_)?dmabuf|test_(importer|device|ibdev|dmabuf)|vram_|dbt_'

echo on > /sys/kernel/debug/kcsan
grep -q 'enabled: 1' /sys/kernel/debug/kcsan
ok $? "KCSAN is on"
for test in kunit_dma_buf_phys kunit_dma_buf_phys_cpu; do
	sh /needs/$test.sh > /tmp/kunit.out 2>&1
	ok $? $test || grep -E '^ *not ok|^# |rror' /tmp/kunit.out | sed 's/^/# /'
done
/needs/stress --seconds="${KCSAN_SECONDS:-600}" > /tmp/stress.log 2>&1
ok $? "stress"
sed 's/^/# /' /tmp/stress.log | tail -n 12

# A report's first line: "BUG: KCSAN: data-race in A / B"
dmesg | grep 'BUG: KCSAN' | sed 's/.*BUG: //' | sort | uniq -c | sort -rn > /tmp/races
echo "# races in all of the kernel: $(wc -l < /tmp/races) kinds"
grep -E "in ($ours)|/ ($ours)" /tmp/races > /tmp/ours
sed 's/^/# /' /tmp/ours
[ ! -s /tmp/ours ]
ok $? "no data race in code of the project"
sed 's/^/# /' /sys/kernel/debug/kcsan
grep -q 'setup_watchpoints: [1-9]' /sys/kernel/debug/kcsan
ok $? "memory was watched"

# The last report is out before this test ends, and nobody else has any.
echo off > /sys/kernel/debug/kcsan
sleep 2
plan

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
# needs: tests/guest/stress.c
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh

ours='dma_buf_phys|phys_|to_phys|iopt_dmabuf|vfio_pci_dma_buf|vfio_pci_core_(reset|memory_ready|fill_phys|get_dmabuf)|umem_(dmabuf|dynamic|revocable|static)|ib_umem_dmabuf|rdma_dmabuf|rxe_(reg_user_mr_)?dmabuf|test_(importer|device|ibdev|dmabuf)|dbt_'

echo on > /sys/kernel/debug/kcsan
grep -q 'enabled: 1' /sys/kernel/debug/kcsan
ok $? "KCSAN is on"
for attribute in failslab fail_page_alloc; do
	echo N > /sys/kernel/debug/$attribute/ignore-gfp-wait
	echo 0 > /sys/kernel/debug/$attribute/verbose
done
for module in dma-buf-phys_kunit dma-buf-phys-cpu_kunit; do
	modprobe $module
	ok $? "$module"
	modprobe -r $module
done
cat /sys/kernel/debug/kunit/*/results 2>/dev/null | grep -c '^ *not ok' | sed 's/^/# KUnit cases that failed: /'
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
plan

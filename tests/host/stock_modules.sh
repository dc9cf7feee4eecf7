#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the distribution's own kernel, booted as it is, runs the demo with our modules
# tier: long
# timeout: 3600
set -u
cd "$(dirname "$0")/../.." || exit
LIB=tests/lib
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
log=build/logs/stock-modules.out
mkdir -p build/logs

# vm PROGRAM: run it on that kernel. VFIO and iommufd are no part of it until loaded.
vm() {
	modules=virtio_blk,ext4,overlay,vfio_iommu_type1,vfio_pci
	env KERNEL_OUT=build/stock-boot "PARAMS=intel_iommu=on vm.modules=$modules" \
		scripts/vm "$1" > $log 2>&1
}

# judge STATUS WHAT: a case; if it fails, with what was said
judge() {
	ok "$@" || sed 's/^/# /' $log
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
echo mine > "$tmp/file"
! scripts/stock-modules "$tmp" > $log 2>&1 && [ -f "$tmp/file" ]
judge $? "a directory of somebody else's is left alone"

scripts/stock-modules build/stock build/stock-boot > $log 2>&1
judge $? "the modules are built" || { plan; exit; }
release=$(cat build/stock/release)
vm tests/host/stock/foreign.sh
grep -q "^Linux version $release (debian-kernel@" $log
judge $? "the distribution's kernel boots: $(sed -n 's/^Linux version .* \(#1 .*\)/\1/p' $log)"
grep -q "vfio_iommu_type1: module uses symbol .* from namespace DMA_BUF_PHYS, but does not" $log
judge $? "a module that was compiled for its VFIO is refused"
for act in demo/*.c; do
	vm "$act"
	judge $? "$(grep '^demo .*PASSED' $log || echo "$act")"
done
plan

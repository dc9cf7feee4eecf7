#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every VFIO PCI driver, iommufd and dma-buf compile without a warning, KUnit
# being off. Only their directories: what they depend on is not built.
# tier: long
# timeout: 1800
set -u
cd "$(dirname "$0")/../.." || exit
root=$PWD
entry=$(scripts/kernel-fetch) || exit
scripts/kernel-build plain > /dev/null || exit

out=$(mktemp -d "$entry/variants.XXXXXX")
trap 'rm -rf "$out"' EXIT
trap 'exit 1' HUP INT TERM
# xe has half of the graphics stack as a dependency, which its one file is not.
build() {
	env -u MAKEFLAGS -u MAKELEVEL flock "$entry/lock" make -s -C "$entry/tree" "O=$out" CC="ccache gcc" HOSTCC="ccache gcc" \
		-j"$(nproc)" CONFIG_XE_VFIO_PCI=m "$@" > "$out/log" 2>&1 && ! [ -s "$out/log" ]
}

echo "TAP version 13"
echo "1..4"
n=0
check() {
	what=$1
	shift
	n=$((n + 1))
	if build "$@"; then
		echo "ok $n $what"
	else
		sed 's/^/# /' "$out/log"
		echo "not ok $n $what"
	fi
}
check "configure" KCONFIG_ALLCONFIG="$root/tests/host/variants.config" allnoconfig
check "drivers/dma-buf" W=1 drivers/dma-buf/
check "drivers/iommu/iommufd" W=1 drivers/iommu/iommufd/
check "drivers/vfio/pci with all variants" W=1 drivers/vfio/pci/

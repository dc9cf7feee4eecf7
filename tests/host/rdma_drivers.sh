#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every RDMA driver that takes dma-bufs, and the RDMA core with and without user
# access, compile without a warning. Only their directories: what they depend on
# is not built.
# tier: long
# timeout: 2400
set -u
cd "$(dirname "$0")/../.." || exit
root=$PWD
entry=$(scripts/kernel-fetch) || exit
scripts/kernel-build plain > /dev/null || exit

out=$(mktemp -d "$entry/rdma.XXXXXX")
trap 'rm -rf "$out"' EXIT
trap 'exit 1' HUP INT TERM
build() {
	env -u MAKEFLAGS -u MAKELEVEL flock "$entry/lock" make -s -C "$entry/tree" "O=$out" CC="ccache gcc" HOSTCC="ccache gcc" \
		-j"$(nproc)" "$@" > "$out/log" 2>&1 && ! [ -s "$out/log" ]
}
# What is missing in the .config is not compiled, and nobody would notice.
configured() {
	build "$@" && scripts/kernel-config "$root/tests/host/rdma_drivers.config" "$out/.config" > "$out/log" 2>&1
}

echo "TAP version 13"
echo "1..10"
n=0
check() {
	what=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n $what"
	else
		sed 's/^/# /' "$out/log"
		echo "not ok $n $what"
	fi
}
check "configure" configured KCONFIG_ALLCONFIG="$root/tests/host/rdma_drivers.config" allnoconfig
for directory in core hw/mlx5 hw/mlx4 hw/efa hw/irdma hw/bnxt_re hw/mana hw/ionic; do
	check "drivers/infiniband/$directory" build W=1 "drivers/infiniband/$directory/"
done
# There the umem is not compiled, but its headers are.
without_user_access() {
	sed '/INFINIBAND_USER/d' "$root/tests/host/rdma_drivers.config" > "$out/fragment"
	build KCONFIG_ALLCONFIG="$out/fragment" allnoconfig &&
		! grep INFINIBAND_USER_MEM=y "$out/.config" > "$out/log" &&
		build W=1 drivers/infiniband/core/
}
check "drivers/infiniband/core without user access" without_user_access
